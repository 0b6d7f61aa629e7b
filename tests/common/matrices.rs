//! Small dense matrices as corpora, and what their singular values are.

use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::{CorpusWriter, Values};
use corpuscle::linalg::dense::symmetric_eigen;
use corpuscle::random::Stream;
use corpuscle::store::atomic::Target;
use ndarray::Array2;
use std::path::Path;

/// Documents x terms with Zipf-like term frequencies, deterministic.
pub fn random_matrix(documents: usize, terms: usize) -> Array2<f32> {
    let mut matrix = Array2::zeros((documents, terms));
    for document in 0..documents {
        let mut stream = Stream::new(7, "test matrix", document as u64);
        for _ in 0..30 {
            let term = ((terms as f64).powf(stream.uniform()) - 1.0) as usize;
            matrix[[document, term.min(terms - 1)]] += stream.uniform() as f32;
        }
    }
    matrix
}

pub fn write(path: &Path, matrix: &Array2<f32>) {
    let terms: Vec<String> = (0..matrix.ncols()).map(|term| format!("term{term}")).collect();
    let ids: Vec<String> = (0..matrix.nrows()).map(|document| document.to_string()).collect();
    let mut chunk = CsrChunk { terms: terms.len() as u32, indptr: vec![0], ..CsrChunk::default() };
    for row in matrix.rows() {
        for (term, value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            chunk.indices.push(term as u32);
            chunk.data.push(*value);
        }
        chunk.indptr.push(chunk.indices.len() as u64);
    }
    let _writing = super::writing();
    let target = Target::create(path).expect("target");
    let mut writer = CorpusWriter::create(target, &terms, Values::Weights("test".into()), false).expect("writer");
    writer.append(&chunk, &ids, None).expect("append");
    writer.finish(&serde_json::json!({})).expect("finish");
}

/// Singular values by a dense eigendecomposition in f64.
pub fn oracle(matrix: &Array2<f32>) -> Vec<f64> {
    let wide = matrix.mapv(f64::from);
    let gram = if wide.nrows() < wide.ncols() { wide.dot(&wide.t()) } else { wide.t().dot(&wide) };
    symmetric_eigen(&gram).expect("eigenvalues").0.iter().map(|value| value.max(0.0).sqrt()).collect()
}

/// Doubles as numpy writes them.
pub fn write_npy(path: &Path, rows: &Array2<f64>) {
    let head = format!("{{'descr': '<f8', 'fortran_order': False, 'shape': {:?}, }}", rows.dim());
    let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
    bytes.extend(format!("{head:<117}\n").as_bytes());
    bytes.extend(rows.iter().flat_map(|value| value.to_le_bytes()));
    std::fs::write(path, bytes).expect("written");
}

//! Corpora and models made for tests, the same in every run.

use super::{alone, text, writing};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::corpus::container::{CorpusReader, CorpusWriter, Values};
use corpuscle::lsi::model::{LsiModel, Origin};
use corpuscle::random::Stream;
use corpuscle::store::atomic::Target;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The dictionary of the test corpora: some terms are longer in bytes than in characters.
pub fn dictionary(terms: u32) -> Vec<String> {
    (0..terms).map(|term| if term % 5 == 0 { format!("wört{term}") } else { format!("term{term}") }).collect()
}

/// A corpus of counts: Zipf-like terms, documents of 0 to 90 distinct terms, every eleventh one empty. Which numbers come
/// out depends on `seed` alone.
pub fn documents(documents: u64, terms: u32, seed: u64) -> CsrChunk {
    let mut stream = Stream::new(seed, "test corpus", 0);
    let mut chunk = CsrChunk { terms, indptr: vec![0], ..CsrChunk::default() };
    for document in 0..documents {
        let wanted = if document % 11 == 3 { 0 } else { (stream.uniform() * 90.0) as usize };
        let mut counts = BTreeMap::new();
        for _ in 0..wanted {
            let term = (f64::from(terms) * stream.uniform().powi(2)) as u32;
            *counts.entry(term).or_insert(0f32) += 1.0 + (3.0 * stream.uniform().powi(4)).floor() as f32;
        }
        chunk.indices.extend(counts.keys());
        chunk.data.extend(counts.values());
        chunk.indptr.push(chunk.indices.len() as u64);
    }
    chunk
}

/// Writes a corpus with ids, and labels if wanted.
pub fn write_corpus(path: &Path, chunk: &CsrChunk, values: Values, labelled: bool) {
    let _writing = writing();
    let ids: Vec<String> = (0..chunk.documents()).map(|n| format!("document {n}")).collect();
    let labels: Vec<String> = (0..chunk.documents()).map(|n| format!("class {}", n % 3)).collect();
    let target = Target::create(path).expect("a target");
    let mut writer = CorpusWriter::create(target, &dictionary(chunk.terms), values, labelled).expect("a corpus");
    writer.append(chunk, &ids, labelled.then_some(&labels)).expect("documents");
    writer.finish(&serde_json::json!({ "made by": "a test" })).expect("a complete corpus");
}

/// All documents of a corpus.
pub fn read_corpus(path: &Path) -> (CorpusReader, CsrChunk) {
    let reader = CorpusReader::open(path).expect("a corpus");
    let chunk = reader.read_documents(0, reader.header().documents).expect("documents");
    (reader, chunk)
}

/// An LSI model over the dictionary of the test corpora whose numbers follow from their positions; it is orthonormal in
/// no way, which shows every mistake in a product.
pub fn model(terms: u32, topics: usize, values: &str) -> LsiModel {
    let entry = |(row, column): (usize, usize)| ((row * 31 + column * 17 + row * column) % 101) as f32 / 101.0 - 0.5;
    LsiModel {
        left_vectors: ndarray::Array2::from_shape_fn((terms as usize, topics), entry),
        singular_values: (0..topics).map(|topic| 30.0 / (topic + 1) as f64).collect(),
        residuals: (0..topics).map(|topic| 1e-6 * (topic + 1) as f64).collect(),
        terms: dictionary(terms),
        documents: 1000,
        values: values.into(),
        frobenius_squared: 5000.0,
    }
}

/// Writes a model.
pub fn write_model(path: &Path, model: &LsiModel) {
    let _writing = writing();
    let target = Target::create(path).expect("a target");
    let origin = Origin { provenance: serde_json::json!({ "made by": "a test" }), weighting: None };
    model.save(target, &origin).expect("a complete model");
}

/// A corpus of four topics with the topic as label.
pub fn four_topics(folder: &Path) -> PathBuf {
    let path = folder.join("corpus.h5");
    let shape = ["--documents", "400", "--terms", "600", "--topics", "4", "--mean-length", "40"];
    alone(["generate", "-o", text(&path)].iter().chain(&shape)).ok();
    path
}

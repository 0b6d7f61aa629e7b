//! The two sparse products of a Krylov round against Intel MKL's sparse routines, on one core:
//!
//! ```text
//! . jobscripts/env.sh
//! cargo bench --bench mkl_sparse                      # a chunk of a generated corpus
//! cargo bench --bench mkl_sparse -- TFIDF.h5          # the first chunk of a corpus
//! ```
//!
//! Y = A^T V and W = A Y for a chunk A of documents. MKL gets hints and its inspector's time for nothing. Its pair is the plain
//! and the transposed operation on the one matrix it is given; beside it stands what it does with a second matrix, transposed
//! beforehand, and plain operations on both, which leaves exact sums out. Ours adds W to exact sums on the way, as a round does.
//! Both sides take turns; the best of a number of turns counts. Exit status 1 when a bar does not hold: twice as fast as MKL's
//! pair on its matrix, and 15 GF/s from 256 columns on.
//!
//! Safety argument for the `unsafe` blocks: MKL reads the arrays of a CSR matrix that outlive its handle, all indices lie within
//! the dimensions handed over (both products check them first), and the dense operands are as large as their leading
//! dimension times their rows.

use std::process::ExitCode;

#[cfg(not(feature = "mkl"))]
fn main() -> ExitCode {
    eprintln!("built without MKL: nothing to compare with");
    ExitCode::SUCCESS
}

#[cfg(feature = "mkl")]
fn main() -> ExitCode {
    side_by_side::main()
}

#[cfg(feature = "mkl")]
mod side_by_side {
    use super::ExitCode;
    use corpuscle::corpus::chunk::CsrChunk;
    use corpuscle::corpus::container::CorpusReader;
    use corpuscle::corpus::generate::GenerateSpec;
    use corpuscle::linalg::fixed::Grid;
    use corpuscle::linalg::kernels::{Sums, documents_times, terms_times};
    use corpuscle::linalg::{Aligned, Prepared, Simd};
    use std::ffi::c_void;
    use std::ptr::null_mut;
    use std::time::Instant;

    /// Turns of each side.
    const TURNS: usize = 9;

    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Description {
        kind: i32,
        mode: i32,
        diagonal: i32,
    }

    const GENERAL: Description = Description { kind: 20, mode: 40, diagonal: 50 };
    const PLAIN: i32 = 10;
    const TRANSPOSED: i32 = 11;
    const BY_ROWS: i32 = 101;

    unsafe extern "C" {
        fn mkl_sparse_s_create_csr(
            matrix: *mut *mut c_void,
            base: i32,
            rows: i32,
            columns: i32,
            begins: *const i32,
            ends: *const i32,
            indices: *const i32,
            values: *const f32,
        ) -> i32;
        fn mkl_sparse_set_mm_hint(
            matrix: *mut c_void,
            operation: i32,
            description: Description,
            layout: i32,
            columns: i32,
            calls: i32,
        ) -> i32;
        fn mkl_sparse_optimize(matrix: *mut c_void) -> i32;
        fn mkl_sparse_s_mm(
            operation: i32,
            alpha: f32,
            matrix: *mut c_void,
            description: Description,
            layout: i32,
            dense: *const f32,
            columns: i32,
            dense_width: i32,
            beta: f32,
            result: *mut f32,
            result_width: i32,
        ) -> i32;
        fn mkl_sparse_destroy(matrix: *mut c_void) -> i32;
    }

    /// A CSR matrix with MKL's handle on it.
    struct Mkl {
        handle: *mut c_void,
        _begins: Vec<i32>,
        _indices: Vec<i32>,
        _values: Vec<f32>,
    }

    impl Mkl {
        fn new(rows: usize, columns: usize, begins: Vec<i32>, indices: Vec<i32>, values: Vec<f32>) -> Mkl {
            let mut handle = null_mut();
            // SAFETY: see the head of the file.
            let status = unsafe {
                mkl_sparse_s_create_csr(
                    &mut handle,
                    0,
                    rows as i32,
                    columns as i32,
                    begins.as_ptr(),
                    begins.as_ptr().add(1),
                    indices.as_ptr(),
                    values.as_ptr(),
                )
            };
            assert_eq!(status, 0, "mkl_sparse_s_create_csr");
            Mkl { handle, _begins: begins, _indices: indices, _values: values }
        }

        /// By documents, and by terms.
        fn both(chunk: &CsrChunk) -> [Mkl; 2] {
            let (documents, terms) = (chunk.documents(), chunk.terms as usize);
            let mut begins = vec![0i32; terms + 1];
            chunk.indices.iter().for_each(|&term| begins[term as usize + 1] += 1);
            (0..terms).for_each(|term| begins[term + 1] += begins[term]);
            let (mut place, mut indices) = (begins.clone(), vec![0i32; chunk.indices.len()]);
            let mut values = vec![0f32; chunk.indices.len()];
            for document in 0..documents {
                let (row, weights) = chunk.document(document);
                for (&term, &weight) in row.iter().zip(weights) {
                    let at = &mut place[term as usize];
                    (indices[*at as usize], values[*at as usize]) = (document as i32, weight);
                    *at += 1;
                }
            }
            let by_documents = Mkl::new(
                documents,
                terms,
                chunk.indptr.iter().map(|&at| at as i32).collect(),
                chunk.indices.iter().map(|&term| term as i32).collect(),
                chunk.data.clone(),
            );
            [by_documents, Mkl::new(terms, documents, begins, indices, values)]
        }

        fn expect(&self, operation: i32, width: usize) {
            // SAFETY: see the head of the file.
            unsafe {
                mkl_sparse_set_mm_hint(self.handle, operation, GENERAL, BY_ROWS, width as i32, 1000);
                mkl_sparse_optimize(self.handle);
            }
        }

        fn multiply(&self, operation: i32, dense: &[f32], width: usize, result: &mut [f32]) {
            let width = width as i32;
            // SAFETY: see the head of the file.
            let status = unsafe {
                mkl_sparse_s_mm(
                    operation,
                    1.0,
                    self.handle,
                    GENERAL,
                    BY_ROWS,
                    dense.as_ptr(),
                    width,
                    width,
                    0.0,
                    result.as_mut_ptr(),
                    width,
                )
            };
            assert_eq!(status, 0, "mkl_sparse_s_mm");
        }
    }

    impl Drop for Mkl {
        fn drop(&mut self) {
            // SAFETY: see the head of the file.
            unsafe { mkl_sparse_destroy(self.handle) };
        }
    }

    fn chunk() -> CsrChunk {
        // cargo adds --bench.
        match std::env::args().skip(1).find(|argument| !argument.starts_with("--")) {
            Some(path) => CorpusReader::open(path).expect("a corpus").read_chunk(0).expect("its first chunk"),
            None => {
                let spec = GenerateSpec { documents: 20_000, terms: 100_000, topics: 50, mean_length: 250.0, seed: 1 };
                spec.check().expect("a corpus").chunk(0).documents
            }
        }
    }

    fn time(best: &mut f64, work: impl FnOnce()) {
        let begin = Instant::now();
        work();
        *best = best.min(begin.elapsed().as_secs_f64());
    }

    pub fn main() -> ExitCode {
        let chunk = chunk();
        let (documents, terms, nonzeros) = (chunk.documents(), chunk.terms as usize, chunk.indices.len());
        let [by_documents, by_terms] = Mkl::both(&chunk);
        let prepared = Prepared::new(chunk).expect("a valid chunk");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        let simd = Simd::detect();
        println!("{documents} documents x {terms} terms, {nonzeros} nonzeros; GF/s on one core, {}", simd.name());
        println!(
            "columns   ours A'V    A Y   both   MKL A'V    A Y   both   ours/MKL   with a transposed copy: A Y   ours/MKL"
        );
        let mut holds = true;
        for width in [32usize, 64, 128, 256, 512] {
            by_documents.expect(PLAIN, width);
            by_documents.expect(TRANSPOSED, width);
            by_terms.expect(PLAIN, width);
            let mut v = Aligned::<f32>::zeros(terms * width);
            v.iter_mut().enumerate().for_each(|(i, value)| *value = ((i * 7919) % 1000) as f32 * 1e-3 - 0.5);
            let mut y = Aligned::<f32>::zeros(documents * width);
            let mut y_mkl = Aligned::<f32>::zeros(documents * width);
            let mut w = vec![0i64; terms * width];
            let mut w_mkl = Aligned::<f32>::zeros(terms * width);
            let grid = Grid::for_bound(1e9).expect("a grid");
            let mut best = [f64::INFINITY; 5];
            for turn in 0..TURNS {
                time(&mut best[0], || documents_times(simd, &pool, &prepared, &v, width, &mut y));
                time(&mut best[1], || terms_times(simd, &pool, &prepared, &y, width, grid, Sums::Begin(&mut w)));
                time(&mut best[2], || by_documents.multiply(PLAIN, &v, width, &mut y_mkl));
                // The transposed operation takes up to a hundred times as long on wide operands.
                if width <= 64 || turn == 0 {
                    time(&mut best[3], || by_documents.multiply(TRANSPOSED, &y_mkl, width, &mut w_mkl));
                }
                time(&mut best[4], || by_terms.multiply(PLAIN, &y_mkl, width, &mut w_mkl));
            }
            let largest = w_mkl.iter().fold(0f32, |most, value| most.max(value.abs()));
            let differs = w.iter().zip(w_mkl.iter()).any(|(a, b)| (grid.float(*a) as f32 - b).abs() > 1e-4 * largest);
            assert!(!differs, "the results differ");
            let speed = |seconds: f64, products: f64| 2.0 * products * (nonzeros * width) as f64 / seconds / 1e9;
            // The transposed operation may be the faster one of the two all the same.
            let copied = best[3].min(best[4]);
            let (ours, theirs) = (speed(best[0] + best[1], 2.0), speed(best[2] + best[3], 2.0));
            println!(
                "{width:7}   {:8.1} {:6.1} {ours:6.1}   {:7.1} {:6.1} {theirs:6.1}   {:8.2}   {:27.1}   {:8.2}",
                speed(best[0], 1.0),
                speed(best[1], 1.0),
                speed(best[2], 1.0),
                speed(best[3], 1.0),
                ours / theirs,
                speed(copied, 1.0),
                ours / speed(best[2] + copied, 2.0)
            );
            if ours < 2.0 * theirs {
                println!("FAILS  at {width} columns: {:.2} x MKL (wanted: >= 2)", ours / theirs);
                holds = false;
            }
            if width >= 256 && ours < 15.0 {
                println!("FAILS  at {width} columns: {ours:.1} GF/s (wanted: >= 15)");
                holds = false;
            }
        }
        if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

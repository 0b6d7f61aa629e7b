//! The n nearest rows of a stretch of the index to each of many queries.
//!
//! Problem: S = Q V^T for queries Q (queries x k) and documents V (rows x k), all rows of unit length; of each row of S the
//! n largest entries, without ever holding S.
//! Algorithm: by blocks of 256 queries and 512 documents, one matrix product each, whose 512 KiB stay in the cache while
//! they are compared with the worst similarity that each query still has among its best; nearly all of it is passed over 64
//! entries at a time. Blocks are cut at fixed numbers and each is one product on one thread, so that a similarity has the same
//! bits whoever computes it.
//! Cost: 2 k flops a query and document; packing for the product is a two-hundredth of that. Each thread goes through whole
//! blocks of documents with all queries and keeps its own lists of 16 n bytes a query.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::nearest::Best;
use crate::corpus::chunk::Footprint;
use crate::error::{Error, Result};
use crate::linalg::dense::multiply;

/// Documents of a block.
pub const DOCUMENTS: usize = 512;
/// Queries of a block.
pub const QUERIES: usize = 256;
/// Similarities that are compared with the threshold at a time.
const GROUP: usize = 64;

/// Consecutive documents of the index. The first one's number is a multiple of [`DOCUMENTS`].
pub struct Stretch {
    /// Number of the first document.
    pub first: u64,
    /// Unit vectors, and zeros for documents that are never a neighbour (rows x k).
    pub vectors: Array2<f32>,
    /// Rows that are zero, ascending.
    zeros: Vec<usize>,
}

impl Stretch {
    /// Takes rows of the index.
    pub fn new(first: u64, vectors: Array2<f32>) -> Self {
        let is_zero = |&row: &usize| vectors.row(row).iter().all(|&value| value == 0.0);
        let zeros = (0..vectors.nrows()).filter(is_zero).collect();
        Stretch { first, vectors, zeros }
    }
}

impl Footprint for Stretch {
    fn bytes(&self) -> u64 {
        (self.vectors.len() * 4 + self.zeros.len() * 8) as u64
    }
}

/// Queries, and the document that each must not be given, if there is one.
pub struct Queries {
    /// Unit vectors, or zeros (queries x k).
    pub vectors: Array2<f32>,
    /// The first query is document so-and-so of the index, the second the one after it: they are left out.
    pub own: Option<u64>,
}

/// What a thread needs: the best of each query, and room for a block of similarities.
struct Worker {
    best: Vec<Best>,
    similarities: Vec<f32>,
}

/// A search that goes through the index stretch by stretch.
pub struct Scan<'q> {
    queries: &'q Queries,
    workers: Vec<Mutex<Worker>>,
}

impl<'q> Scan<'q> {
    /// Starts a search for the `wanted` nearest documents on so many threads.
    pub fn new(queries: &'q Queries, wanted: usize, threads: usize) -> Self {
        let worker = || Worker {
            best: vec![Best::new(wanted); queries.vectors.nrows()],
            similarities: vec![0.0; QUERIES.min(queries.vectors.nrows()) * DOCUMENTS],
        };
        Scan { queries, workers: (0..threads).map(|_| Mutex::new(worker())).collect() }
    }

    /// Goes through a stretch. `pool` has as many threads as the search.
    pub fn search(&mut self, pool: &rayon::ThreadPool, stretch: &Stretch) -> Result<()> {
        let blocks: Vec<Range<usize>> = (0..stretch.vectors.nrows())
            .step_by(DOCUMENTS)
            .map(|begin| begin..(begin + DOCUMENTS).min(stretch.vectors.nrows()))
            .collect();
        let (queries, workers) = (self.queries, &self.workers);
        let on_this_thread = |block: &Range<usize>| {
            let worker = rayon::current_thread_index().and_then(|thread| workers.get(thread));
            let worker = worker.ok_or_else(|| Error::failed("a search on more threads than it was started with"))?;
            let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
            worker.block(queries, stretch, block.clone())
        };
        pool.install(|| blocks.par_iter().with_max_len(1).try_for_each(on_this_thread))
    }

    /// The best documents of each query.
    pub fn finish(self) -> Vec<Best> {
        let workers = self.workers.into_iter().map(|w| w.into_inner().unwrap_or_else(PoisonError::into_inner).best);
        let join = |mut all: Vec<Best>, part: Vec<Best>| {
            for (best, more) in all.iter_mut().zip(part) {
                more.into_sorted().iter().for_each(|n| best.offer(n.document, n.similarity));
            }
            all
        };
        workers.reduce(join).unwrap_or_default()
    }
}

impl Worker {
    /// Offers a block of documents to all queries.
    fn block(&mut self, queries: &Queries, stretch: &Stretch, block: Range<usize>) -> Result<()> {
        let documents = stretch.vectors.slice(s![block.clone(), ..]);
        let first = stretch.first + block.start as u64;
        let zeros = &stretch.zeros[stretch.zeros.partition_point(|&row| row < block.start)..];
        let zeros: Vec<usize> = zeros.iter().take_while(|&&row| row < block.end).map(|row| row - block.start).collect();
        let total = queries.vectors.nrows();
        for begin in (0..total).step_by(QUERIES) {
            let end = (begin + QUERIES).min(total);
            self.compare(queries.vectors.slice(s![begin..end, ..]), documents)?;
            for query in begin..end {
                let row = &self.similarities[(query - begin) * block.len()..][..block.len()];
                let own = queries.own.map(|own| own + query as u64);
                offer(row, first, &zeros, own, &mut self.best[query]);
            }
        }
        Ok(())
    }

    /// Similarities of all queries to all documents of a block (queries x documents).
    fn compare(&mut self, queries: ArrayView2<f32>, documents: ArrayView2<f32>) -> Result<()> {
        let shape = (queries.nrows(), documents.nrows());
        let room = &mut self.similarities[..shape.0 * shape.1];
        let mut product = ndarray::ArrayViewMut2::from_shape(shape, room)
            .map_err(|cause| Error::failed(format!("similarities have no room: {cause}")))?;
        multiply(1.0, queries, documents.t(), 0.0, &mut product);
        Ok(())
    }
}

/// Offers those similarities that can be among the best.
fn offer(similarities: &[f32], first: u64, zeros: &[usize], own: Option<u64>, best: &mut Best) {
    let mut threshold = best.threshold();
    for (at, group) in similarities.chunks(GROUP).enumerate() {
        // Without a branch for each, so that many are compared at once.
        if !group.iter().fold(false, |any, &similarity| any | (similarity >= threshold)) {
            continue;
        }
        for (row, &similarity) in (at * GROUP..).zip(group) {
            let document = first + row as u64;
            if similarity >= threshold && own != Some(document) && zeros.binary_search(&row).is_err() {
                best.offer(document, similarity);
                threshold = best.threshold();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn unit_vectors(rows: usize, columns: usize, purpose: &str) -> Array2<f32> {
        let mut stream = Stream::new(3, purpose, 0);
        let mut vectors = Array2::from_shape_simple_fn((rows, columns), || stream.normal() as f32);
        for mut row in vectors.rows_mut() {
            let norm = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            row.mapv_inplace(|x| (f64::from(x) / norm) as f32);
        }
        vectors
    }

    #[test]
    fn the_nearest_are_those_of_an_exhaustive_search_in_double_precision() {
        let (rows, columns) = (3 * DOCUMENTS + 77, 19);
        let mut vectors = unit_vectors(rows, columns, "documents");
        for zero in [0, 5, DOCUMENTS, rows - 1] {
            vectors.row_mut(zero).fill(0.0);
        }
        // Twins: equal similarities, of which the smaller number comes first.
        let twin = vectors.row(40).to_owned();
        vectors.row_mut(2 * DOCUMENTS + 1).assign(&twin);
        let mut queries = unit_vectors(QUERIES + 9, columns, "queries");
        queries.row_mut(2).assign(&twin);
        for (own, threads, wanted) in [(None, 1, 10), (Some(38), 3, 10), (None, 2, rows - 4)] {
            let queries = Queries { vectors: queries.clone(), own };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut scan = Scan::new(&queries, wanted, threads);
            for first in [2 * DOCUMENTS, 0] {
                let rows = first..(first + 2 * DOCUMENTS).min(rows);
                let stretch = Stretch::new(first as u64, vectors.slice(s![rows, ..]).to_owned());
                scan.search(&pool, &stretch).unwrap();
            }
            for (query, best) in scan.finish().into_iter().enumerate() {
                let found = best.into_sorted();
                let similarity = |document: usize| -> f64 {
                    let pairs = queries.vectors.row(query).to_owned();
                    pairs.iter().zip(vectors.row(document)).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
                };
                let mut all: Vec<(usize, f64)> = (0..rows)
                    .filter(|&d| {
                        vectors.row(d).iter().any(|&x| x != 0.0) && own.is_none_or(|own| d != own as usize + query)
                    })
                    .map(|d| (d, similarity(d)))
                    .collect();
                all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                assert_eq!(found.len(), wanted);
                for (place, (neighbour, expected)) in found.iter().zip(&all).enumerate() {
                    let exact = similarity(neighbour.document as usize);
                    assert!((f64::from(neighbour.similarity) - exact).abs() < 1e-6, "query {query}, place {place}");
                    assert!((exact - expected.1).abs() < 1e-6, "query {query}, place {place}");
                }
                assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "query {query} is out of order");
                if query == 2 {
                    let twins: Vec<u64> = found[..2].iter().map(|n| n.document).collect();
                    match own {
                        None => assert_eq!(twins, [40, 2 * DOCUMENTS as u64 + 1]),
                        Some(_) => assert_eq!(twins[0], 2 * DOCUMENTS as u64 + 1),
                    }
                }
            }
        }
    }
}

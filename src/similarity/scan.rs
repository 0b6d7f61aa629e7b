//! What a stretch of the index has to offer to each of many queries: documents as similar as is still wanted.
//!
//! Problem: of S = Q V^T for queries Q (queries x k) and documents V (rows x k), all rows of unit length, those entries that
//! reach what each query wants, without ever holding S.
//! Algorithm: two passes. The first rules out nearly everything: by panels of 64 documents in eight bits, with a bound on the
//! error that holds for certain ([`super::quantised`]); or by blocks of 256 queries and 512 documents in f32, one matrix
//! product each, whose 512 KiB stay in the cache while they are compared, with the bound of any sum of k rounded products. What is
//! left is computed by [`inner`], whose bits are the same on every CPU, and offered. So a similarity has the same bits
//! whichever pass came first and whoever computes it.
//! Where eight bits rule out too little, as among thousands of copies of one text, a panel is done in f32.
//! Cost: 2 k operations a query and document, in eight bits or in flops, and 2 k flops for each that is left. Each thread goes
//! through whole blocks of documents with all queries and keeps its own findings.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::quantised::{QuantisedQueries, QuantisedRows};
use crate::corpus::chunk::Footprint;
use crate::error::{Error, Result};
use crate::linalg::Simd;
use crate::linalg::dense::multiply;
use crate::linalg::inner::inner;
use crate::linalg::int8::{Int8, PANEL};

/// Documents of a block.
pub const DOCUMENTS: usize = 512;
/// Queries of a block.
pub const QUERIES: usize = 256;
/// Similarities that are compared with the threshold at a time.
const GROUP: usize = 64;
/// A panel of which more than one pair in so many is left after the first pass is done in f32.
const FEW: usize = 32;

/// Consecutive documents of the index. The first one's number is a multiple of [`DOCUMENTS`].
pub struct Stretch {
    /// Number of the first document.
    pub first: u64,
    /// Unit vectors, and zeros for documents that are never a neighbour (rows x k).
    pub vectors: Array2<f32>,
    /// Rows that are zero, ascending.
    zeros: Vec<usize>,
    /// The vectors in eight bits, if a first pass in them is worth it.
    quantised: Option<QuantisedRows>,
}

impl Stretch {
    /// Takes rows of the index; with a pool, to be gone through in eight bits first.
    pub fn new(first: u64, vectors: Array2<f32>, quantise: Option<&rayon::ThreadPool>) -> Self {
        let vectors = if vectors.is_standard_layout() { vectors } else { vectors.as_standard_layout().into_owned() };
        let is_zero = |&row: &usize| vectors.row(row).iter().all(|&value| value == 0.0);
        let zeros = (0..vectors.nrows()).filter(is_zero).collect();
        let quantised = quantise.and_then(|pool| QuantisedRows::new(pool, &vectors));
        Stretch { first, vectors, zeros, quantised }
    }
}

impl Footprint for Stretch {
    fn bytes(&self) -> u64 {
        let quantised = self.quantised.as_ref().map_or(0, QuantisedRows::bytes);
        (self.vectors.len() * 4 + self.zeros.len() * 8) as u64 + quantised
    }
}

/// Queries, and which documents each must not be given.
pub struct Queries {
    /// Unit vectors, or zeros (queries x k).
    pub vectors: Array2<f32>,
    /// Documents that are left out.
    pub without: Without,
}

/// Documents that a query is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Without {
    /// It may have all.
    Nothing,
    /// The first query is document so-and-so of the index, the second the one after it: no query gets itself.
    Itself(u64),
    /// The same, and no query gets a document before it either: each pair is found once.
    Earlier(u64),
}

impl Without {
    fn excludes(self, query: usize, document: u64) -> bool {
        match self {
            Without::Nothing => false,
            Without::Itself(first) => document == first + query as u64,
            Without::Earlier(first) => document <= first + query as u64,
        }
    }

    /// Whether no query gets any document up to this one.
    pub fn excludes_all(self, last: u64) -> bool {
        matches!(self, Without::Earlier(first) if last <= first)
    }
}

/// Takes what a search finds; each thread has its own.
pub trait Findings: Send {
    /// The lowest similarity that a query still has use for.
    fn wanted(&self, query: usize) -> f32;
    /// Takes a document, which is as similar as was wanted or a little less.
    fn offer(&mut self, query: usize, document: u64, similarity: f32);
    /// Whether there is room for more.
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// What a thread needs: what it has found, and room for a block of similarities.
struct Worker<F> {
    found: F,
    /// What `found` still wants, query by query: read far more often than it changes.
    wanted: Vec<f32>,
    quantised: Option<QuantisedQueries>,
    similarities: Vec<f32>,
    passed: Vec<u64>,
    rescored: u64,
}

/// A search that goes through the index stretch by stretch.
pub struct Scan<'q, F> {
    queries: &'q Queries,
    workers: Vec<Mutex<Worker<F>>>,
}

impl<'q, F: Findings> Scan<'q, F> {
    /// Starts a search on so many threads; `findings` makes what each puts its documents into.
    pub fn new(queries: &'q Queries, threads: usize, findings: impl Fn() -> F) -> Self {
        let count = queries.vectors.nrows();
        let worker = || {
            let found = findings();
            Worker {
                wanted: (0..count).map(|query| found.wanted(query)).collect(),
                found,
                quantised: None,
                similarities: vec![0.0; QUERIES.min(count) * DOCUMENTS],
                passed: vec![0; count],
                rescored: 0,
            }
        };
        Scan { queries, workers: (0..threads).map(|_| Mutex::new(worker())).collect() }
    }

    /// Goes through a stretch. `pool` has as many threads as the search.
    pub fn search(&mut self, pool: &rayon::ThreadPool, stretch: &Stretch) -> Result<()> {
        let blocks: Vec<Range<usize>> = (0..stretch.vectors.nrows())
            .step_by(DOCUMENTS)
            .map(|begin| begin..(begin + DOCUMENTS).min(stretch.vectors.nrows()))
            .filter(|block| !self.queries.without.excludes_all(stretch.first + block.end as u64 - 1))
            .collect();
        let (queries, workers) = (self.queries, &self.workers);
        let on_this_thread = |block: &Range<usize>| {
            let worker = rayon::current_thread_index().and_then(|thread| workers.get(thread));
            let worker = worker.ok_or_else(|| Error::failed("a search on more threads than it was started with"))?;
            let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
            worker.block(&Block { queries, stretch, simd: Simd::detect() }, block.clone())
        };
        pool.install(|| blocks.par_iter().with_max_len(1).try_for_each(on_this_thread))
    }

    /// What each thread has found, and how many similarities were computed exactly.
    pub fn finish(self) -> (Vec<F>, u64) {
        let workers =
            self.workers.into_iter().map(|worker| worker.into_inner().unwrap_or_else(PoisonError::into_inner));
        let (found, rescored): (Vec<F>, Vec<u64>) = workers.map(|worker| (worker.found, worker.rescored)).unzip();
        (found, rescored.iter().sum())
    }
}

/// What is compared with what.
struct Block<'a> {
    queries: &'a Queries,
    stretch: &'a Stretch,
    simd: Simd,
}

impl<F: Findings> Worker<F> {
    /// Offers a block of documents to all queries.
    fn block(&mut self, block: &Block, rows: Range<usize>) -> Result<()> {
        self.found.check()?;
        let Some(quantised) = &block.stretch.quantised else { return self.in_f32(block, rows) };
        for begin in rows.clone().step_by(PANEL) {
            let panel = begin..(begin + PANEL).min(rows.end);
            let queries = self
                .quantised
                .get_or_insert_with(|| QuantisedQueries::new(Int8::of(block.simd), block.queries.vectors.view()));
            queries.candidates(quantised, begin / PANEL, &self.wanted, &mut self.passed);
            let left: usize = self.passed.iter().map(|passed| passed.count_ones() as usize).sum();
            if left * FEW > self.passed.len() * PANEL {
                self.in_f32(block, panel)?;
                continue;
            }
            for query in 0..self.passed.len() {
                let mut passed = self.passed[query];
                while passed != 0 {
                    let row = begin + passed.trailing_zeros() as usize;
                    passed &= passed - 1;
                    // The last panel is not full.
                    if row < panel.end {
                        self.offer(block, query, row);
                    }
                }
            }
        }
        Ok(())
    }

    /// The same by products in f32.
    fn in_f32(&mut self, block: &Block, rows: Range<usize>) -> Result<()> {
        let documents = block.stretch.vectors.slice(s![rows.clone(), ..]);
        let total = block.queries.vectors.nrows();
        let margin = margin(documents.ncols());
        for begin in (0..total).step_by(QUERIES) {
            let end = (begin + QUERIES).min(total);
            self.compare(block.queries.vectors.slice(s![begin..end, ..]), documents)?;
            for query in begin..end {
                let at = (query - begin) * rows.len();
                for (group, first) in (at..at + rows.len()).step_by(GROUP).zip((rows.start..).step_by(GROUP)) {
                    let group = group..(group + GROUP).min(at + rows.len());
                    let threshold = self.wanted[query] - margin;
                    // Without a branch for each, so that many are compared at once.
                    let similarities = &self.similarities[group.clone()];
                    if !similarities.iter().fold(false, |any, &similarity| any | (similarity >= threshold)) {
                        continue;
                    }
                    for (at, row) in group.zip(first..) {
                        if self.similarities[at] >= self.wanted[query] - margin {
                            self.offer(block, query, row);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Similarities of all queries to all documents of a block (queries x documents), as f32 gives them.
    fn compare(&mut self, queries: ArrayView2<f32>, documents: ArrayView2<f32>) -> Result<()> {
        let shape = (queries.nrows(), documents.nrows());
        let room = &mut self.similarities[..shape.0 * shape.1];
        let mut product = ndarray::ArrayViewMut2::from_shape(shape, room)
            .map_err(|cause| Error::failed(format!("similarities have no room: {cause}")))?;
        multiply(1.0, queries, documents.t(), 0.0, &mut product);
        Ok(())
    }

    /// Computes a similarity exactly and offers it, unless the document is none for this query.
    fn offer(&mut self, block: &Block, query: usize, row: usize) {
        let document = block.stretch.first + row as u64;
        if block.queries.without.excludes(query, document) || block.stretch.zeros.binary_search(&row).is_ok() {
            return;
        }
        let (one, other) = (block.queries.vectors.row(query), block.stretch.vectors.row(row));
        if let (Some(one), Some(other)) = (one.to_slice(), other.to_slice()) {
            self.rescored += 1;
            self.found.offer(query, document, inner(block.simd, one, other));
            self.wanted[query] = self.found.wanted(query);
        }
    }
}

/// How far a product in f32 of vectors of length 1 can be from the exact one, whatever the order of its sums: k 2^-24
/// (Higham, Accuracy and Stability, 3.1) and some roundings more, twice.
fn margin(columns: usize) -> f32 {
    (columns + 8) as f32 * f32::EPSILON
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::Mergeable;
    use crate::random::Stream;
    use crate::similarity::nearest::{Answers, Best};

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
        let mut before = Vec::new();
        for (own, threads, wanted, quantise) in [
            (None, 1, 10, false),
            (None, 3, 10, true),
            (Some(38), 3, 10, false),
            (Some(38), 1, 10, true),
            (None, 2, rows - 4, false),
            (None, 2, rows - 4, true),
        ] {
            let without = own.map_or(Without::Nothing, Without::Itself);
            let queries = Queries { vectors: queries.clone(), without };
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut scan = Scan::new(&queries, threads, || vec![Best::new(wanted); QUERIES + 9]);
            for first in [2 * DOCUMENTS, 0] {
                let rows = first..(first + 2 * DOCUMENTS).min(rows);
                let quantise = quantise.then_some(&pool);
                let stretch = Stretch::new(first as u64, vectors.slice(s![rows, ..]).to_owned(), quantise);
                scan.search(&pool, &stretch).unwrap();
            }
            let (threads, rescored) = scan.finish();
            let mut answers = threads.into_iter().map(|best| Answers::new(wanted, best, 0));
            let first = answers.next().unwrap();
            let all = answers.fold(first, |mut all, more| {
                all.merge(more).unwrap();
                all
            });
            let lists = all.into_lists();
            assert!(rescored < (rows * lists.len()) as u64 + 1 && rescored >= (wanted * lists.len()) as u64);
            // The two ways give the same bits.
            if quantise {
                assert_eq!(lists, before);
            }
            before.clone_from(&lists);
            for (query, found) in lists.into_iter().enumerate() {
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
    #[test]
    fn copies_of_one_text_are_done_in_f32() {
        // All alike: nothing can be ruled out, in either way, and the first in the index are the best.
        let one = unit_vectors(1, 40, "one");
        let rows = Array2::from_shape_fn((2 * DOCUMENTS + 3, 40), |(_, column)| one[[0, column]]);
        let queries = Queries { vectors: rows.slice(s![..9, ..]).to_owned(), without: Without::Nothing };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let mut scan = Scan::new(&queries, 1, || vec![Best::new(5); 9]);
        scan.search(&pool, &Stretch::new(0, rows, Some(&pool))).unwrap();
        for best in scan.finish().0.remove(0) {
            assert!(best.into_sorted().iter().map(|found| found.document).eq(0..5));
        }
    }

    #[test]
    fn pairs_are_found_from_one_side_only() {
        assert!(Without::Earlier(10).excludes(3, 13) && !Without::Earlier(10).excludes(3, 14));
        assert!(Without::Earlier(10).excludes_all(10) && !Without::Earlier(10).excludes_all(11));
        assert!(!Without::Itself(10).excludes_all(10) && Without::Itself(10).excludes(1, 11));
        assert!(!Without::Nothing.excludes(0, 0) && !Without::Nothing.excludes_all(0));
    }
}

//! Many queries over an index that is spread over the workers.
//!
//! Problem: the n documents of largest cosine for each of q queries; index (documents x k), queries (q x k).
//! Algorithm: a fold over stretches of 8,192 documents, which workers keep in memory; each worker keeps the best of what it
//! has seen, the lists are joined in a binary tree. Queries go in batches that every worker gets.
//! Cost: 2 k operations a query and document; a batch costs a broadcast of 4 k bytes a query, one or more rounds of the fold, and
//! 12 n bytes a query up the tree. Memory of a worker: its share of the index (within `--memory`; what does not fit is read
//! again for each batch), a quarter more with a first pass in eight bits, and 16 n bytes a thread and query of a batch.

use ndarray::{Array2, ArrayView2};

use super::index::Index;
use super::nearest::{Answers, Best, Neighbour};
use super::quantised::QuantisedRows;
use super::scan::{DOCUMENTS, Findings, QUERIES, Queries, Scan, Stretch, Without};
use crate::comm::Route;
use crate::dispatch::memory::{FILES, Forecast, Need};
use crate::dispatch::{Dataset, Job, Mergeable, Parcel, Source, merge};
use crate::error::{Error, Result};

/// Documents of a stretch.
pub const STRETCH: usize = 16 * DOCUMENTS;
/// Most queries of a batch.
pub const BATCH: usize = 16 * QUERIES;
/// Most neighbours of all queries of a batch together, unless one query alone wants more.
const BATCH_NEIGHBOURS: usize = 1 << 22;

/// Queries from which on a first pass in eight bits makes up for bringing the index to them: as long as eight bits are made
/// of a number, twenty queries are compared with it.
const WORTH_IT: usize = 64;

/// How the nearest documents are looked for. What is found is the same to the last bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstPass {
    /// In eight bits where there are queries enough.
    Auto,
    /// In eight bits.
    Int8,
    /// In single precision.
    F32,
}

impl FirstPass {
    /// Whether to quantise the index for so many queries.
    pub fn quantises(self, queries: usize) -> bool {
        match self {
            FirstPass::Auto => queries >= WORTH_IT,
            FirstPass::Int8 => true,
            FirstPass::F32 => false,
        }
    }
}

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// Number of queries.
    pub queries: usize,
    /// Neighbours of each; at most as many as the index can give.
    pub wanted: usize,
    /// Query i is document i, which is not to be found.
    pub own: bool,
    /// Whether eight bits rule out what they can.
    pub quantised: bool,
}

impl Search {
    /// Queries of a batch.
    fn batch(&self) -> usize {
        (BATCH_NEIGHBOURS / self.wanted.max(1)).clamp(1, BATCH)
    }
}

impl Search {
    /// What a search takes: lists of a batch for each thread, and the share of the index that is worth keeping. Where
    /// the neighbours are printed all of them come together on the dispatcher.
    pub fn forecast(&self, job: &Job, index: &Index, to_file: bool) -> Forecast {
        let (batch, wanted, threads) =
            (self.batch().min(self.queries) as u64, self.wanted as u64, job.pool.current_num_threads());
        let (vector, documents) = (4 * index.header().columns as u64, index.header().documents);
        let (queries, lists) = (2 * batch * vector, batch * (16 * wanted + 64));
        let answers = 4 * lists;
        let printed = if to_file { 0 } else { self.queries as u64 * (160 + 288 * wanted) };
        let share = documents.div_ceil(job.workers() as u64) + STRETCH as u64;
        let row = row_bytes(index.header().columns, self.quantised);
        let sent = if index.visible() && !job.scatter { 1 } else { 4 };
        let dispatcher =
            Need::fixed(FILES).with("queries and their neighbours", queries + answers).with("all neighbours", printed);
        let worker = Need::fixed((QUERIES * DOCUMENTS * 4 * threads) as u64 + (12 << 20))
            .with("queries and their neighbours", queries + threads as u64 * lists + answers)
            .with("a stretch of the index", (sent * vector + row) * (STRETCH as u64).min(documents))
            .keeping(row * share.min(documents));
        Forecast { dispatcher, worker }
    }
}

/// Bytes of a document in memory.
pub fn row_bytes(columns: usize, quantised: bool) -> u64 {
    4 * columns as u64 + if quantised { QuantisedRows::bytes_a_row(columns) } else { 0 }
}

/// An index spread over the workers.
pub struct Spread<'j, 'c, 'i> {
    index: &'i Index,
    dataset: Dataset<'j, 'c, Stretches<'i, 'j>>,
}

impl<'j, 'c, 'i> Spread<'j, 'c, 'i> {
    /// Brings the stretches to their workers if there is memory for all of them, and quantises them if they are to be.
    /// Collective.
    pub fn new(job: &'j Job<'c>, index: &'i Index, quantised: bool) -> Result<Self> {
        let quantise = quantised.then_some(job.pool);
        let dataset = Dataset::new(job, Stretches { index, quantise, next: 0 })?.enduring();
        let most = i64::MAX as u64 / job.comm.size() as u64;
        let room = if job.works() { job.memory.min(most) as i64 } else { 0 };
        let room = job.wait(job.comm.sum(Route::World, vec![room]))?;
        let header = index.header();
        // Reading what cannot be kept would be in vain.
        if room.iter().all(|&room| header.documents * row_bytes(header.columns, quantised) <= room as u64) {
            dataset.fold(|_, _| Ok(()))?;
        }
        Ok(Spread { index, dataset })
    }

    /// Answers all queries. On the dispatcher, `read` gives queries `first .. first + count` (count x k, unit length or
    /// zero) and `take` gets their neighbours, best first, in the order of the queries; how many similarities were computed
    /// exactly is returned there. Collective; all ranks have the same `search`.
    pub fn search(
        &self,
        search: Search,
        mut read: impl FnMut(usize, usize) -> Result<Array2<f32>>,
        mut take: impl FnMut(ArrayView2<f32>, Vec<Vec<Neighbour>>) -> Result<()>,
    ) -> Result<u64> {
        let job = self.dataset.job();
        let mut rescored = 0;
        for first in (0..search.queries).step_by(search.batch()) {
            let count = search.batch().min(search.queries - first);
            let without = if search.own { Without::Itself(first as u64) } else { Without::Nothing };
            let queries = self.share(without, || read(first, count))?;
            let (found, exact) = self.scan(&queries, || vec![Best::new(search.wanted); count])?;
            let mut answers = Answers::new(search.wanted, vec![Best::new(search.wanted); count], exact);
            for best in found {
                job.account.compute(|| answers.merge(Answers::new(search.wanted, best, 0)))?;
            }
            if let Some(answers) = merge(job, answers)? {
                rescored += answers.rescored();
                take(queries.vectors.view(), answers.into_lists())?;
            }
        }
        Ok(rescored)
    }

    /// Queries that the dispatcher reads, on all ranks. Collective.
    pub fn share(&self, without: Without, read: impl FnOnce() -> Result<Array2<f32>>) -> Result<Queries> {
        let job = self.dataset.job();
        let message = job.share(|| Ok(bytes(&job.account.io(read)?)))?;
        Ok(Queries { vectors: rows(&message, self.index.header().columns)?, without })
    }

    /// Goes through the index once: what each thread of this rank has found in its part, and how many similarities were
    /// computed exactly. Collective.
    pub fn scan<F: Findings>(&self, queries: &Queries, findings: impl Fn() -> F) -> Result<(Vec<F>, u64)> {
        let job = self.dataset.job();
        let (count, columns) = queries.vectors.dim();
        let mut scan = Scan::new(queries, job.pool.current_num_threads(), findings);
        self.dataset.fold(|_, stretch| {
            let documents = stretch.vectors.nrows();
            if queries.without.excludes_all(stretch.first + documents as u64 - 1) {
                return Ok(());
            }
            job.account.count(|counters| {
                counters.documents += documents as u64;
                counters.flops += 2 * (documents * columns * count) as u64;
            });
            scan.search(job.pool, stretch)
        })?;
        Ok(scan.finish())
    }
}

/// Rows as bytes, to travel.
fn bytes(rows: &Array2<f32>) -> Vec<u8> {
    bytemuck::cast_slice(rows.as_standard_layout().as_slice().unwrap_or_default()).to_vec()
}

/// Undoes [`bytes`].
fn rows(message: &[u8], columns: usize) -> Result<Array2<f32>> {
    let damaged = || Error::failed("damaged vectors in a message");
    if !message.len().is_multiple_of(4 * columns) {
        return Err(damaged());
    }
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(message);
    Array2::from_shape_vec((values.len() / columns, columns), values).map_err(|_| damaged())
}

/// The index as a dataset of stretches.
struct Stretches<'i, 'p> {
    index: &'i Index,
    /// Quantises them, if they are to be.
    quantise: Option<&'p rayon::ThreadPool>,
    next: u64,
}

impl Stretches<'_, '_> {
    fn vectors(&self, parcel: &Parcel) -> Result<Array2<f32>> {
        let (first, documents) = (parcel.number as usize * STRETCH, self.index.header().documents as usize);
        self.index.reader()?.rows("vectors", first, STRETCH.min(documents.saturating_sub(first)))
    }
}

impl Source for Stretches<'_, '_> {
    type Item = Stretch;
    const KNOWN: bool = true;

    fn next(&mut self) -> Result<Option<Parcel>> {
        let header = self.index.header();
        let first = self.next * STRETCH as u64;
        let documents = header.documents.saturating_sub(first).min(STRETCH as u64);
        let parcel = Parcel {
            number: self.next,
            weight: documents,
            memory: documents * header.columns as u64 * 4,
            ..Parcel::default()
        };
        self.next += 1;
        Ok((documents > 0).then_some(parcel))
    }

    fn visible(&self) -> bool {
        self.index.visible()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        Ok(bytes(&self.vectors(parcel)?))
    }

    fn open(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<Stretch> {
        let vectors = rows(&bytes, self.index.header().columns)?;
        Ok(Stretch::new(parcel.number * STRETCH as u64, vectors, self.quantise))
    }

    fn load(&self, parcel: &Parcel) -> Result<Stretch> {
        Ok(Stretch::new(parcel.number * STRETCH as u64, self.vectors(parcel)?, self.quantise))
    }
}

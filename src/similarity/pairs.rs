//! All pairs of documents of an index that are as similar as a threshold or more: near-duplicates.
//!
//! Problem: of V V^T, V the index (documents x k), the entries above the diagonal that are at least t.
//! Algorithm: batches of 4,096 documents, which every rank gets, against the documents that come after them, spread over the
//! workers as in any search; what eight bits do not rule out is computed exactly, so no pair is missed and none is there in
//! error. The pairs of a batch are joined in a binary tree and written in the order of their documents.
//! Cost: k operations a pair of documents, n^2 / 2 of them; a batch costs a broadcast of 4 k bytes a document.
//!
//! The file: `pairs` (pairs x 2, i64: numbers of documents in the index, the smaller first, ascending), `similarities` (pairs,
//! f32).

use ndarray::{Array2, ArrayView2};
use serde_json::json;

use super::index::Index;
use super::scan::{DOCUMENTS, Findings, QUERIES, Without};
use super::search::{BATCH, FirstPass, STRETCH, Spread, row_bytes};
use crate::dispatch::memory::{FILES, Forecast, Need};
use crate::dispatch::{Job, Mergeable, merge};
use crate::error::{Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelWriter, Slabs};
use crate::store::provenance::{self, Input};

/// Most pairs of a batch, 1,024 for each of its documents: what is more alike than that is no near-duplicate.
const MOST: usize = BATCH << 10;
/// Most pairs that are printed.
const MOST_PRINTED: u64 = 1 << 22;
/// Bytes of a pair in memory and in a message.
const PAIR: u64 = 24;

/// Two documents that are alike.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// The number of the one that comes first in the index.
    pub first: u64,
    /// The number of the other.
    pub second: u64,
    /// Cosine of the angle between them.
    pub similarity: f32,
}

/// What was found, on the dispatcher.
pub struct Found {
    /// Number of pairs.
    pub pairs: u64,
    /// Documents that are in one of them or more.
    pub documents: u64,
    /// Similarities that were computed exactly, because nothing ruled them out.
    pub rescored: u64,
    /// The pairs, unless they went to a file.
    pub listed: Vec<Pair>,
}

/// Finds all pairs of at least this similarity. Collective; with a target, which the dispatcher has, they go to that file.
///
/// # Errors
/// Far more pairs than are near-duplicates (1,024 a document, 4 million printed); those of reading and writing.
pub fn pairs(
    job: &Job,
    index: &Index,
    threshold: f32,
    first_pass: FirstPass,
    to_file: bool,
    target: Option<Target>,
) -> Result<Option<Found>> {
    let header = index.header();
    let quantised = first_pass.quantises(usize::try_from(header.documents).unwrap_or(usize::MAX));
    let job = &job.within_memory("give more, or raise --threshold", || Ok(forecast(job, index, quantised, to_file)))?;
    let spread = job.account.phase("load", || Spread::new(job, index, quantised))?;
    let mut output = target.map(Output::create).transpose()?;
    let phase = job.account.enter_phase("search");
    let progress = job.progress.task("pairs", Unit::Documents, Some(header.documents));
    let mut found = Found { pairs: 0, documents: 0, rescored: 0, listed: Vec::new() };
    let mut alike = vec![false; if job.is_dispatcher() { header.documents as usize } else { 0 }];
    for first in (0..header.documents).step_by(BATCH) {
        let count = (header.documents - first).min(BATCH as u64);
        let read = || index.reader()?.rows("vectors", first as usize, count as usize);
        let queries = spread.share(Without::Earlier(first), read)?;
        let start = || Gathered { first, threshold, pairs: Vec::new(), rescored: 0 };
        let (parts, rescored) = spread.scan(&queries, start)?;
        let mut all = Gathered { rescored, ..start() };
        for part in parts {
            job.account.compute(|| all.merge(part.sorted()))?;
        }
        if let Some(all) = merge(job, all)? {
            all.check()?;
            found.pairs += all.pairs.len() as u64;
            found.rescored += all.rescored;
            all.pairs.iter().flat_map(|pair| [pair.first, pair.second]).for_each(|at| alike[at as usize] = true);
            match &mut output {
                Some(output) => job.account.io(|| output.append(&all.pairs))?,
                None if found.pairs <= MOST_PRINTED => found.listed.extend(all.pairs),
                None => {
                    return Err(Error::failed(format!(
                        "more than {MOST_PRINTED} pairs: give --output, or raise --threshold"
                    )));
                }
            }
        }
        progress.advance(count, count * header.documents);
    }
    drop((phase, progress));
    if !job.is_dispatcher() {
        return Ok(None);
    }
    found.documents = alike.iter().filter(|&&alike| alike).count() as u64;
    if let Some(output) = output {
        job.account.phase("write", || job.account.io(|| output.finish(index, threshold)))?;
    }
    Ok(Some(found))
}

/// What a search for pairs takes: its part of the index, and what is found in a batch.
fn forecast(job: &Job, index: &Index, quantised: bool, to_file: bool) -> Forecast {
    let (columns, documents) = (index.header().columns, index.header().documents);
    let (row, threads) = (row_bytes(columns, quantised), job.pool.current_num_threads() as u64);
    let batch = 2 * 4 * columns as u64 * documents.min(BATCH as u64);
    // What is usual; as many pairs as are allowed would be 100 MB.
    let pairs = 4 * PAIR * documents.min(BATCH as u64);
    let share = documents.div_ceil(job.workers() as u64) + STRETCH as u64;
    let sent = if index.visible() && !job.scatter { 1 } else { 4 };
    let printed = if to_file { 0 } else { 320 * documents };
    let dispatcher =
        Need::fixed(FILES).with("documents of a batch", batch + pairs + documents).with("all pairs", printed);
    let worker = Need::fixed((QUERIES * DOCUMENTS * 4) as u64 * threads + (12 << 20))
        .with("documents of a batch", batch + threads * (pairs + 2 * (columns as u64) * BATCH as u64))
        .with("a stretch of the index", (sent * 4 * columns as u64 + row) * documents.min(STRETCH as u64))
        .keeping(row * share.min(documents));
    Forecast { dispatcher, worker }
}

/// Pairs whose first document is in a batch; sorted, but for those of a thread.
struct Gathered {
    first: u64,
    threshold: f32,
    pairs: Vec<Pair>,
    rescored: u64,
}

impl Gathered {
    fn sorted(mut self) -> Gathered {
        self.pairs.sort_unstable_by_key(|pair| (pair.first, pair.second));
        self
    }
}

impl Findings for Gathered {
    fn wanted(&self, _: usize) -> f32 {
        self.threshold
    }

    fn offer(&mut self, query: usize, document: u64, similarity: f32) {
        if similarity >= self.threshold {
            self.pairs.push(Pair { first: self.first + query as u64, second: document, similarity });
        }
    }

    fn check(&self) -> Result<()> {
        if self.pairs.len() <= MOST {
            return Ok(());
        }
        let (first, last) = (self.first, self.first + BATCH as u64 - 1);
        Err(Error::failed(format!(
            "documents {first} to {last} of the index are in more than {MOST} pairs of similarity {} or more: raise \
             --threshold",
            self.threshold
        )))
    }
}

impl Mergeable for Gathered {
    fn merge(&mut self, other: Self) -> Result<()> {
        if (self.first, self.threshold.to_bits()) != (other.first, other.threshold.to_bits()) {
            return Err(Error::failed("two workers have searched for different pairs; please report it"));
        }
        self.rescored += other.rescored;
        self.pairs.extend(other.pairs);
        // Two runs that are in order.
        self.pairs.sort_by_key(|pair| (pair.first, pair.second));
        self.check()
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + 20 * self.pairs.len());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.rescored.to_le_bytes());
        bytes.extend_from_slice(&self.threshold.to_le_bytes());
        for Pair { first, second, similarity } in &self.pairs {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&second.to_le_bytes());
            bytes.extend_from_slice(&similarity.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let entry = |bytes: &[u8; 20]| {
            let whole = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
            (whole(0), whole(8), f32::from_le_bytes(std::array::from_fn(|byte| bytes[16 + byte])))
        };
        let (entries, rest) = bytes.as_chunks::<20>();
        match entries {
            [head, pairs @ ..] if rest.is_empty() => {
                let (first, rescored, threshold) = entry(head);
                let pair = |(first, second, similarity)| Pair { first, second, similarity };
                Ok(Gathered {
                    first,
                    threshold,
                    rescored,
                    pairs: pairs.iter().map(|bytes| pair(entry(bytes))).collect(),
                })
            }
            _ => Err(Error::failed("damaged pairs in a message")),
        }
    }
}

/// The file being written.
struct Output {
    // Before `file`, which must be the last to let go of the HDF5 file.
    pairs: Slabs<i64>,
    similarities: Slabs<f32>,
    file: ModelWriter,
}

impl Output {
    fn create(target: Target) -> Result<Output> {
        let mut file = ModelWriter::create(target, Format::Pairs)?;
        Ok(Output { pairs: file.slabs("pairs", 2)?, similarities: file.pieces("similarities"), file })
    }

    fn append(&mut self, found: &[Pair]) -> Result<()> {
        let pairs = Array2::from_shape_fn((found.len(), 2), |(at, second)| {
            if second == 1 { found[at].second as i64 } else { found[at].first as i64 }
        });
        self.file.push(&mut self.pairs, pairs.view())?;
        let similarities: Vec<f32> = found.iter().map(|pair| pair.similarity).collect();
        let column = ArrayView2::from_shape((similarities.len(), 1), &similarities)
            .map_err(|cause| Error::failed(format!("pairs do not add up: {cause}")))?;
        self.file.push(&mut self.similarities, column)
    }

    fn finish(self, index: &Index, threshold: f32) -> Result<()> {
        let Output { pairs, similarities, mut file } = self;
        file.finish_slabs(pairs)?;
        file.finish_slabs(similarities)?;
        let inputs = [("index", Input::result(index.reader()?.file())?)];
        file.finish(&provenance::of("pairs", json!({ "threshold": threshold }), &inputs)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(pairs: &[(u64, u64)]) -> Gathered {
        let pairs = pairs.iter().map(|&(first, second)| Pair { first, second, similarity: 0.5 }).collect();
        Gathered { first: 8, threshold: 0.25, pairs, rescored: 3 }
    }

    #[test]
    fn parts_are_joined_in_order_and_travel_unharmed() {
        let mut one = gathered(&[(9, 30), (8, 12)]).sorted();
        let other = gathered(&[(8, 11), (9, 10)]);
        one.merge(Gathered::decode(&other.encode()).unwrap()).unwrap();
        assert!(one.pairs.iter().map(|pair| (pair.first, pair.second)).eq([(8, 11), (8, 12), (9, 10), (9, 30)]));
        assert_eq!(one.rescored, 6);
        for cut in [0, 19, 21, other.encode().len() - 1] {
            assert!(Gathered::decode(&other.encode()[..cut]).is_err(), "cut at {cut}");
        }
        assert!(one.merge(Gathered { first: 9, ..gathered(&[]) }).is_err());
    }

    #[test]
    fn more_pairs_than_make_sense_are_refused() {
        let many = Gathered { pairs: vec![Pair { first: 8, second: 9, similarity: 1.0 }; MOST + 1], ..gathered(&[]) };
        let said = many.check().unwrap_err().to_string();
        assert!(said.contains("documents 8 to 4103") && said.contains("--threshold"), "{said}");
    }
}

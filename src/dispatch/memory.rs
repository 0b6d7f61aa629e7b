//! What `--memory` means, what a command will take, and what is left for chunks.
//!
//! A rank's memory has three parts: the program itself with its libraries, and buffers whose size no corpus changes, for
//! both of which [`OVERHEAD`] is set aside beside `--memory`; what a command has to hold of this corpus and this model,
//! reckoned from the numbers in the header of the corpus; and chunks kept between passes. `--memory` is the sum of the
//! last two: what a command has to hold comes first, chunks get the rest, and what is not kept is read again. A `--memory`
//! that was given is refused before any work is done where the peak would exceed it by more than OVERHEAD; one that was
//! only derived from the free memory gives a warning.
//!
//! The predicted peak is what the process held when the rank had joined the job, plus these parts. It bounds the real one.
//! Cost: a broadcast and a gather of some hundred bytes.

use serde::{Deserialize, Serialize};

use super::Job;
use crate::comm::Route;
use crate::corpus::chunk::ChunkSpan;
use crate::corpus::container::CorpusReader;
use crate::error::{Error, Result};
use crate::report::layout::bytes;

/// Bytes a rank may take beside `--memory`: the program with MPI, HDF5 and BLAS (25 to 40 MiB before it starts to work),
/// and buffers whose size no corpus changes, such as a piece of text with its bags of words.
pub const OVERHEAD: u64 = 128 << 20;

/// Bytes that allocators, threads and libraries take on top of what is asked of them.
const SLACK: u64 = 16 << 20;

/// What one kind of rank has to hold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// Buffers whose size no corpus changes, in bytes: part of [`OVERHEAD`].
    fixed: u64,
    /// What is held of this corpus or model: name, bytes.
    parts: Vec<(String, u64)>,
    /// Chunks worth keeping, in bytes.
    keeps: u64,
}

impl Need {
    /// A rank with buffers of so many bytes, whatever the corpus.
    pub fn fixed(bytes: u64) -> Need {
        Need { fixed: bytes, ..Need::default() }
    }

    /// With so many bytes of something.
    pub fn with(mut self, name: &str, bytes: u64) -> Need {
        self.parts.push((name.to_owned(), bytes));
        self
    }

    /// With chunks of so many bytes that are worth keeping.
    pub fn keeping(mut self, bytes: u64) -> Need {
        self.keeps = bytes;
        self
    }

    /// Of two stages of which one follows the other, the one that needs more.
    pub fn or(self, other: Need) -> Need {
        let keeps = self.keeps.max(other.keeps);
        let fixed = self.fixed.max(other.fixed);
        let more = if other.least() > self.least() { other } else { self };
        Need { fixed, keeps, ..more }
    }

    /// Bytes of this corpus or model that cannot be done without.
    pub fn least(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Both at once.
    pub fn and(mut self, other: Need) -> Need {
        self.parts.extend(other.parts);
        Need { fixed: self.fixed + other.fixed, parts: self.parts, keeps: self.keeps.saturating_add(other.keeps) }
    }

    /// Largest first.
    fn in_words(&self) -> String {
        let mut parts: Vec<&(String, u64)> = self.parts.iter().filter(|(_, bytes)| *bytes >> 20 > 0).collect();
        parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let words: Vec<String> = parts.iter().map(|(name, size)| format!("{name} {}", bytes(*size))).collect();
        words.join(", ")
    }
}

/// What a command has to hold on each kind of rank. A rank alone is both.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Forecast {
    /// The rank that reads, writes and hands out.
    pub dispatcher: Need,
    /// A rank that computes, the one with the largest share.
    pub worker: Need,
}

impl Forecast {
    /// The need of a rank.
    fn of(self, dispatches: bool, works: bool) -> Need {
        match (dispatches, works) {
            (true, true) => self.dispatcher.and(self.worker),
            (true, false) => self.dispatcher,
            (false, _) => self.worker,
        }
    }
}

impl<'a> Job<'a> {
    /// Predicts the peak of every rank, says it, and gives the job back with what is left for chunks. `make` is called on
    /// the dispatcher; `remedy` says what would lower the need. Collective.
    ///
    /// # Errors
    /// `Usage` when a `--memory` that was given would be exceeded by more than [`OVERHEAD`]; those of `make`.
    pub fn within_memory(&self, remedy: &str, make: impl FnOnce() -> Result<Forecast>) -> Result<Job<'a>> {
        let message = self.share(|| {
            let forecast = make()?;
            if self.strict {
                self.refuse(&forecast.clone().of(true, !self.distributed()), remedy)?;
                if self.distributed() {
                    self.refuse(&forecast.worker, remedy)?;
                }
            }
            serde_json::to_vec(&forecast).map_err(|cause| Error::failed(format!("{cause}")))
        })?;
        let forecast: Forecast =
            serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        let need = forecast.of(self.is_dispatcher(), self.works());
        let most = self.memory.saturating_add(OVERHEAD);
        let left = self.memory.saturating_sub(need.least()).min(most.saturating_sub(self.at_least(&need)));
        let predicted = self.at_least(&need) + left.min(need.keeps);
        self.account.predict_memory(predicted);

        let numbers = [predicted, u64::from(self.at_least(&need) > most)].map(u64::to_le_bytes).concat();
        let said = self.wait(self.comm.gather(Route::World, numbers))?;
        if self.is_dispatcher() {
            let said: Vec<[u64; 2]> = said.iter().map(|numbers| bytemuck::pod_read_unaligned(numbers)).collect();
            let workers = said.iter().skip(1).map(|numbers| numbers[0]).max();
            let peaks = match workers {
                Some(worker) => format!("{} on the dispatcher, {} on a worker", bytes(predicted), bytes(worker)),
                None => bytes(predicted),
            };
            log::info!("memory: predicted peak {peaks}; --memory {}", bytes(self.memory));
            if said.iter().any(|numbers| numbers[1] != 0) {
                log::warn!("memory: more than what is free may be needed: use more hosts, or {remedy}");
            }
        }
        Ok(Job { memory: left, ..*self })
    }

    /// The peak without any chunk that is kept.
    fn at_least(&self, need: &Need) -> u64 {
        self.account.memory_at_start() + SLACK + need.fixed + need.least()
    }

    fn refuse(&self, need: &Need, remedy: &str) -> Result<()> {
        let least = self.at_least(need).saturating_sub(OVERHEAD);
        if least <= self.memory {
            return Ok(());
        }
        Err(Error::usage(format!(
            "--memory {}: at least {} are needed beside the {} of every rank ({}); {remedy}",
            bytes(self.memory),
            bytes(least.next_multiple_of(1 << 20)),
            bytes(OVERHEAD),
            need.in_words()
        )))
    }
}

/// The sizes of a corpus that forecasts are made from, and how it is spread.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sizes {
    /// Documents.
    pub documents: u64,
    /// Terms of the dictionary.
    pub terms: u64,
    /// Nonzeros.
    pub nonzeros: u64,
    /// Whether documents have labels.
    pub labelled: bool,
    /// Most nonzeros of a chunk.
    pub chunk_nonzeros: u64,
    /// Most documents of a chunk.
    pub chunk_documents: u64,
    /// Chunks.
    pub chunks: u64,
    /// Ranks that compute.
    pub workers: u64,
    /// Chunks have to be sent.
    pub sent: bool,
    /// Bytes of chunks that are sent to a worker in one round.
    pub round: u64,
}

/// Bytes of a term as a string of about 10 letters, with its allocation.
const TERM: u64 = 64;
/// Bytes of an id or label as strings, read and about to be written.
const NAME: u64 = 128;
/// Buffers of the columns of a corpus or of vectors being written, and of HDF5 for reading and writing.
pub const FILES: u64 = 10 << 20;

/// Bytes of results of a [`map`](super::Dataset::map), of so many each, that may be on a dispatcher of so many workers.
pub fn waiting(workers: u64, bytes: u64) -> u64 {
    super::map::waiting(workers, bytes) + bytes
}

impl Sizes {
    /// Those of a corpus that so many ranks see and work on.
    pub fn of(corpus: &CorpusReader, workers: u64) -> Sizes {
        let (header, chunks) = (corpus.header(), corpus.chunks());
        let most = |of: fn(&ChunkSpan) -> u64| chunks.iter().map(of).max().unwrap_or(0);
        Sizes {
            documents: header.documents,
            terms: header.terms.into(),
            nonzeros: header.nonzeros,
            labelled: header.labelled,
            chunk_nonzeros: most(|chunk| chunk.nonzeros),
            chunk_documents: most(|chunk| chunk.documents),
            chunks: chunks.len() as u64,
            workers,
            sent: false,
            round: 0,
        }
    }

    /// Bytes of a chunk of documents as it is read.
    pub fn chunk(&self) -> u64 {
        8 * (self.chunk_nonzeros + self.chunk_documents)
    }

    /// Bytes of a chunk as products want it: see [`Prepared`](crate::linalg::Prepared).
    pub fn prepared(&self) -> u64 {
        16 * self.chunk_nonzeros + 4 * self.chunk_documents + 8 * self.terms.min(self.chunk_nonzeros)
    }

    /// Bytes of all prepared chunks of the worker that has most of them.
    pub fn all_prepared(&self) -> u64 {
        let all = 16 * self.nonzeros + 4 * self.documents + 8 * self.terms.min(self.chunk_nonzeros) * self.chunks;
        if self.workers == 1 { all } else { all / self.workers * 5 / 4 + self.prepared() }
    }

    /// Bytes of all chunks as they are read, of the worker that has most of them.
    pub fn all_chunks(&self) -> u64 {
        let all = 8 * (self.nonzeros + self.documents);
        if self.workers == 1 { all } else { all / self.workers * 5 / 4 + self.chunk() }
    }

    /// Bytes of the dictionary as strings.
    pub fn dictionary(&self) -> u64 {
        TERM * self.terms
    }

    /// What every rank holds that has the file open.
    fn open(&self) -> Need {
        Need::fixed(FILES).with("where documents begin", 8 * self.documents + 32 * self.chunks)
    }

    /// A dispatcher that has the corpus open and hands out its chunks.
    pub fn dispatcher(&self) -> Need {
        self.open().with("chunks on their way", 3 * self.workers * self.sent_at_once())
    }

    /// A worker that has the corpus open, or gets its chunks sent, where what it makes of a chunk takes so many bytes
    /// beside the chunk itself.
    pub fn worker(&self, beside: u64) -> Need {
        // Reading takes less than reading and writing.
        Need { fixed: FILES / 2, ..self.open() }
            .with("a chunk at hand", self.chunk() + beside)
            .with("chunks on their way", 2 * self.sent_at_once())
    }

    /// Bytes of chunks sent to a worker in one round, where they have to be.
    fn sent_at_once(&self) -> u64 {
        if self.sent { self.chunk().max(self.round.min(8 * self.nonzeros / self.workers)) } else { 0 }
    }

    /// What a dispatcher holds of the results of a [`map`](super::Dataset::map) of so many bytes each.
    pub fn results(&self, bytes: u64) -> u64 {
        waiting(self.workers, bytes) + bytes
    }

    /// Bytes of the ids and labels of a chunk that is written.
    pub fn names(&self) -> u64 {
        NAME * self.chunk_documents * (1 + u64::from(self.labelled))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forecast() -> Forecast {
        Forecast {
            dispatcher: Need::fixed(5).with("terms", 10),
            worker: Need::fixed(7).with("basis", 30).with("sums", 20).keeping(100),
        }
    }

    #[test]
    fn a_rank_alone_needs_what_both_need() {
        let alone = forecast().of(true, true);
        assert_eq!((alone.least(), alone.fixed, alone.keeps), (60, 12, 100));
        assert_eq!(forecast().of(true, false).least(), 10);
        assert_eq!(forecast().of(false, true).least(), 50);
        let large = Need::fixed(0).with("a", 2 << 20).with("b", 9).with("c", 3 << 20);
        assert_eq!(large.in_words(), "c 3.0 MiB, a 2.0 MiB");
    }

    #[test]
    fn of_two_stages_the_larger_counts() {
        let first = Need::fixed(1).with("a", 10).keeping(7);
        let second = Need::fixed(2).with("b", 9).keeping(8);
        let both = first.clone().or(second.clone());
        assert_eq!((both.least(), both.fixed, both.keeps), (10, 2, 8));
        assert_eq!(second.or(first), both);
    }
}

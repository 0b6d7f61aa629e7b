//! What the counting pass finds out: the terms of the corpus, and what each piece of text holds.

use std::collections::VecDeque;

use rayon::prelude::*;

use crate::comm::{Route, Started, Tag};
use crate::corpus::dictionary::{TermCounts, TermStatistics, TermTable};
use crate::corpus::term_runs::{self, Runs, Sequence};
use crate::corpus::vocabulary::Vocabulary;
use crate::dispatch::Job;
use crate::error::{Error, Result};

use super::pieces::Bags;

/// What a piece of text was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PieceFacts {
    /// Number of the piece.
    pub number: u64,
    /// Number of the input it is from.
    pub file: u32,
    /// Its decompressed length.
    pub bytes: u64,
    /// Its documents.
    pub documents: u64,
    /// BLAKE3 of its bytes.
    pub checksum: [u8; 32],
}

impl PieceFacts {
    /// Bytes of one, encoded.
    pub const BYTES: usize = 60;

    fn encode(&self, to: &mut Vec<u8>) {
        for number in [self.number, self.bytes, self.documents] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(&self.file.to_le_bytes());
        to.extend_from_slice(&self.checksum);
    }

    fn decode(record: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| record[at + i]));
        PieceFacts {
            number: word(0),
            bytes: word(8),
            documents: word(16),
            file: u32::from_le_bytes(std::array::from_fn(|i| record[24 + i])),
            checksum: std::array::from_fn(|i| record[28 + i]),
        }
    }

    /// Facts of several pieces as bytes.
    pub fn encode_all(pieces: &[PieceFacts]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(pieces.len() * Self::BYTES);
        pieces.iter().for_each(|piece| piece.encode(&mut bytes));
        bytes
    }

    /// Undoes [`encode_all`](Self::encode_all).
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<PieceFacts>> {
        let (records, rest) = bytes.as_chunks::<{ Self::BYTES }>();
        if rest.is_empty() { Ok(records.iter().map(Self::decode).collect()) } else { Err(damaged()) }
    }
}

fn damaged() -> Error {
    Error::failed("damaged message: not a census of the corpus; a defect of the network or of corpuscle")
}

/// The facts on all pieces, in order, on the dispatcher. Collective.
pub(super) fn gather(job: &Job, own: &[PieceFacts]) -> Result<Vec<PieceFacts>> {
    let parts = job.wait(job.comm.gather(Route::World, PieceFacts::encode_all(own)))?;
    let mut pieces = Vec::new();
    for part in parts {
        pieces.extend(PieceFacts::decode_all(&part)?);
    }
    pieces.sort_unstable_by_key(|piece| piece.number);
    if pieces.iter().enumerate().any(|(at, piece)| piece.number != at as u64) {
        return Err(Error::failed("a piece of the text was lost or counted twice; please report it"));
    }
    Ok(pieces)
}

/// The terms that one worker has counted, in memory and in a file.
pub(super) struct Census {
    /// By thread, under its own numbers.
    counts: Vec<TermCounts>,
    /// What had to leave memory.
    runs: Runs,
    /// Bytes that terms and counts may take.
    most: u64,
}

/// Terms under way from a worker to the next, in bytes of a message: no larger than that the next has begun to merge long before
/// the last is there.
fn block_bytes(job: &Job) -> u64 {
    (job.memory / 64).clamp(64 << 10, 1 << 20)
}

/// The rank to which merged terms come: the first that works.
fn collector(job: &Job) -> usize {
    if job.distributed() { Route::Workers.members(job.comm.size()).start } else { 0 }
}

/// Makes something of the terms that [`Census::merge`] has brought, where it has brought them, and gives it to the dispatcher,
/// on which it may be refused. Collective.
pub(super) fn conclude(job: &Job, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Option<Vec<u8>>> {
    let collects = job.comm.rank() == collector(job);
    let made = collects.then(|| job.account.compute(make));
    if !job.distributed() {
        return made.transpose();
    }
    if let Some(made) = made {
        let (refused, mut message) = match made {
            Ok(made) => (0, made),
            Err(error) => (1, error.to_string().into_bytes()),
        };
        message.push(refused);
        job.wait(job.comm.send(0, Tag::Merge, message))?;
    }
    if !job.is_dispatcher() {
        return Ok(None);
    }
    let mut message = job.wait(job.comm.receive(collector(job), Tag::Merge))?;
    match message.pop() {
        Some(0) => Ok(Some(message)),
        Some(1) => Err(Error::failed(String::from_utf8_lossy(&message).into_owned())),
        _ => Err(damaged()),
    }
}

impl Census {
    /// No term yet, and room for so many bytes.
    pub fn new(threads: usize, most: u64) -> Census {
        Census { counts: vec![TermCounts::default(); threads], runs: Runs::default(), most }
    }

    /// Counts the terms of a piece. True when there was no more room: they have gone to the file, and the vocabularies, which
    /// numbered them, are empty.
    pub fn absorb(&mut self, job: &Job, bags: &Bags, vocabularies: &mut [Vocabulary]) -> Result<bool> {
        let counts = &mut self.counts;
        job.pool.install(|| counts.par_iter_mut().zip(&bags.parts).for_each(|(counts, part)| counts.absorb(part)));
        let numbered: u64 = vocabularies.iter().map(Vocabulary::bytes).sum();
        let counted: u64 = self.counts.iter().map(TermCounts::bytes).sum();
        if numbered + counted <= self.most {
            return Ok(false);
        }
        let tables = self.resolve(job, vocabularies);
        vocabularies.fill_with(Vocabulary::default);
        job.account.io(|| self.runs.write(tables.into_iter().map(term_runs::whole).collect()))?;
        Ok(true)
    }

    /// The counts under the strings of the terms, by thread; there are none after it.
    fn resolve(&mut self, job: &Job, vocabularies: &[Vocabulary]) -> Vec<TermTable> {
        let counts: Vec<TermCounts> = self.counts.iter_mut().map(std::mem::take).collect();
        let resolve = |(counts, vocabulary): (TermCounts, &Vocabulary)| counts.resolve(vocabulary);
        job.pool.install(|| counts.into_par_iter().zip(vocabularies).map(resolve).collect())
    }

    /// Merges the terms of all workers in a binomial tree, block by block, so that nobody holds all of them: `sink` gets them
    /// on the first worker, ascending, so that the dispatcher is not one more that handles all of them. Vocabularies whose
    /// numbers stand in no bag that is kept are emptied. Collective.
    pub fn merge(
        mut self,
        job: &Job,
        vocabularies: &mut [Vocabulary],
        sink: &mut dyn FnMut(&str, TermStatistics),
    ) -> Result<()> {
        let tables = self.resolve(job, vocabularies);
        // With memory to spare the threads' tables are merged at once.
        let tables = if self.runs.is_empty() {
            let merge = || tables.into_par_iter().reduce(TermTable::default, TermTable::merge);
            vec![job.account.compute(|| job.pool.install(merge))]
        } else {
            vocabularies.fill_with(Vocabulary::default);
            tables
        };
        let mut sequences = self.runs.sequences();
        sequences.extend(tables.into_iter().map(term_runs::whole));
        let mut take = |term: &str, statistics| {
            sink(term, statistics);
            Ok(())
        };
        if !job.distributed() {
            return job.account.compute(|| term_runs::merge(sequences, &mut take));
        }
        let members = Route::Workers.members(job.comm.size());
        let first = members.start;
        if job.is_dispatcher() {
            return Ok(());
        }
        // Children are as far away as powers of two below the lowest bit of a member's own number.
        let member = job.comm.rank() - first;
        let steps = std::iter::successors(Some(1), |step| Some(step * 2));
        let children = steps.take_while(|&step| step < members.len() && member & step == 0);
        sequences.extend(
            children.filter(|step| member + step < members.len()).map(|step| received(job, first + member + step)),
        );
        if member == 0 {
            return job.account.compute(|| term_runs::merge(sequences, &mut take));
        }
        let parent = first + (member & (member - 1));
        let mut sends: VecDeque<Started<'_, ()>> = VecDeque::new();
        let mut send = |message: Vec<u8>| {
            if sends.len() == AHEAD
                && let Some(earlier) = sends.pop_front()
            {
                job.finish(earlier)?;
            }
            sends.push_back(Started::new(job.comm.send(parent, Tag::Merge, message)));
            Ok(())
        };
        job.account
            .compute(|| term_runs::merge_blocks(sequences, block_bytes(job), &mut |block| send(block.encode())))?;
        // The end.
        send(Vec::new())?;
        sends.into_iter().try_for_each(|send| job.finish(send))
    }
}

/// Blocks on their way to the parent at a time.
const AHEAD: usize = 2;

/// What another rank sends.
fn received<'a>(job: &'a Job<'_>, from: usize) -> Sequence<'a> {
    Box::new(move || {
        let message = job.wait(job.comm.receive(from, Tag::Merge))?;
        if message.is_empty() { Ok(None) } else { TermTable::decode(&message).map(Some) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_their_encoding_and_damage_is_noticed() {
        let piece = |number| PieceFacts { number, file: 3, bytes: 1 << 40, documents: 1, checksum: [number as u8; 32] };
        let pieces = [piece(7), piece(8)];
        let bytes = PieceFacts::encode_all(&pieces);
        assert_eq!(PieceFacts::decode_all(&bytes), Ok(pieces.to_vec()));
        for cut in (0..bytes.len()).filter(|cut| !cut.is_multiple_of(PieceFacts::BYTES)) {
            assert!(PieceFacts::decode_all(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}

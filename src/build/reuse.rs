//! Text on a dictionary that there is already: terms keep their numbers, tokens that are not in it are dropped.
//!
//! There is nothing to find out first, so one pass is enough: a map over the pieces. Workers turn each into a chunk, and
//! the dispatcher numbers and appends the documents in order. Messages: the terms to all ranks, and per piece its facts
//! with 8 bytes per nonzero to the dispatcher. Memory of a worker: the terms, and the pieces at hand.

use rayon::prelude::*;

use crate::corpus::bag::BagPiece;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::{BackgroundWriter, CorpusWriter};
use crate::corpus::text::TextPlan;
use crate::corpus::tokenizer::Tokenizer;
use crate::corpus::vocabulary::Vocabulary;
use crate::dispatch::{Dataset, Job};
use crate::error::{Error, Result};
use crate::report::progress::Task;

use super::census::PieceFacts;
use super::convert::{Arrived, Documents};
use super::pieces::{Bags, Pieces};

/// What the pass found out, on the dispatcher.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The pieces, in order.
    pub pieces: Vec<PieceFacts>,
    /// Tokens that are terms of the dictionary.
    pub known: u64,
    /// All others.
    pub unknown: u64,
}

/// The vocabulary whose numbers are those of the terms, of which no two are alike.
pub(super) fn vocabulary(terms: &[String]) -> Vocabulary {
    let mut vocabulary = Vocabulary::default();
    terms.iter().for_each(|term| {
        vocabulary.intern(term);
    });
    vocabulary
}

/// The documents of a piece over the known terms, whose numbers are `same`. They are numbered from 0.
pub(super) fn documents(job: &Job, plan: &TextPlan, bags: &Bags, same: &[u32]) -> Result<Documents> {
    job.account.count(|counters| counters.documents += bags.facts.documents);
    let terms = same.len() as u32;
    let convert = |part: &BagPiece| part.to_csr(same, terms, u64::from(part.first_row));
    let chunks = job.pool.install(|| bags.parts.par_iter().map(convert).collect::<Vec<Result<CsrChunk>>>());
    let documents = Documents::join(bags, chunks, CsrChunk { terms, indptr: vec![0], ..CsrChunk::default() });
    documents.map_err(|cause| {
        let path = plan.files[bags.facts.file as usize].path.display();
        Error::failed(format!("{path}: piece {} of the text: {cause}", bags.facts.number))
    })
}

/// Writes the documents over the known terms. Collective; the dispatcher, which has the writer, gets it back.
pub(super) fn write(
    job: &Job,
    plan: &TextPlan,
    tokenizer: &Tokenizer,
    progress: &Task,
    known: &Vocabulary,
    mut writer: Option<BackgroundWriter>,
) -> Result<(Option<CorpusWriter>, Found)> {
    // Nothing is asked for twice: no piece is worth keeping.
    let once = Job { memory: 0, ..*job };
    let dataset = Dataset::new(&once, Pieces::new(&once, plan, tokenizer, progress, Some(known)))?.enduring();
    let same = (0..known.len() as u32).collect::<Vec<_>>();
    let work = |_, bags: &Bags| {
        let documents = documents(job, plan, bags, &same)?;
        let mut message = PieceFacts::encode_all(&[bags.facts]);
        let known = documents.chunk.data.iter().map(|&count| count as u64).sum::<u64>();
        [bags.unknown, known].iter().for_each(|tokens| message.extend_from_slice(&tokens.to_le_bytes()));
        documents.encode(&mut message)?;
        Ok(message)
    };
    let (mut found, mut first_document) = (Found::default(), 0);
    dataset.map(work, |_, message| {
        let damaged = || Error::failed("damaged message: not documents; a defect of the network or of corpuscle");
        let (facts, rest) = message.split_at_checked(PieceFacts::BYTES).ok_or_else(damaged)?;
        let (unknown, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let (known, _) = rest.split_first_chunk().ok_or_else(damaged)?;
        found.pieces.extend(PieceFacts::decode_all(facts)?);
        found.unknown += u64::from_le_bytes(*unknown);
        found.known += u64::from_le_bytes(*known);
        let Arrived { mut rows, ids, labels } = Arrived::decode(message, PieceFacts::BYTES + 16)?;
        rows.first_document = first_document;
        first_document += rows.documents() as u64;
        progress.advance(0, rows.documents() as u64);
        writer.as_mut().map_or(Ok(()), |writer| writer.append_sent(rows, ids, labels))
    })?;
    let writer = writer.map(|writer| job.account.io(|| writer.finish())).transpose()?;
    Ok((writer, found))
}

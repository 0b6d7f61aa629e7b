//! Texts as documents over the terms of a model, taken to answers piece by piece: what a corpus would be built for only to be read
//! once.
//!
//! The steps are those of [`reuse`](super::reuse), so a text has the documents that `build --dictionary` would make of it.
//! Cost: one pass over the text; of a document only its answer and names travel. Memory of a worker: the terms, and the pieces at hand.

use crate::corpus::chunk::CsrChunk;
use crate::corpus::dictionary::Dictionary;
use crate::corpus::text::{TextPlan, TextSpec};
use crate::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use crate::dispatch::{Dataset, Job};
use crate::error::{Error, Result};
use crate::report::progress::Unit;

use super::census::PieceFacts;
use super::forecast::text_bytes;
use super::pieces::Pieces;
use super::{check_announcements, reuse};

/// What the dispatcher gets of a piece.
#[derive(Debug)]
pub struct Answered {
    /// What was made of its documents.
    pub answer: Vec<u8>,
    /// Number of them.
    pub documents: u64,
    /// An identifier for each, where the input has any.
    pub ids: Option<Vec<String>>,
    /// A label for each, where the input has any.
    pub labels: Option<Vec<String>>,
}

/// Takes all documents of texts to answers; `terms` and `tokenizer` say how they are cut, on the dispatcher. The dispatcher gets
/// the pieces in order. Collective.
///
/// # Errors
/// Texts that cannot be read; those of `work` and `take`.
pub fn answer(
    job: &Job,
    texts: &TextSpec,
    model: impl FnOnce() -> Result<(Vec<String>, TokenizerSpec)>,
    mut work: impl FnMut(CsrChunk) -> Result<Vec<u8>>,
    mut take: impl FnMut(Answered) -> Result<()>,
) -> Result<()> {
    let unsendable = |cause| Error::failed(format!("texts cannot be sent: {cause}"));
    let mut spec = None;
    let message = job.share(|| {
        let (terms, tokenizer) = model()?;
        spec = Some(tokenizer);
        Ok(Dictionary::of_terms(terms).encode())
    })?;
    let terms = Dictionary::decode(&message)?.terms;
    let message = job.share(|| serde_json::to_vec(&(texts.check()?, spec)).map_err(unsendable))?;
    let (plan, spec): (TextPlan, Option<TokenizerSpec>) = serde_json::from_slice(&message).map_err(unsendable)?;
    let tokenizer = Tokenizer::new(&spec.ok_or_else(|| Error::failed("damaged message: no tokenizer"))?)?;
    let known = reuse::vocabulary(&terms);
    let progress = job.progress.task("read texts", Unit::Bytes, text_bytes(job, &plan));
    // Gone through once: nothing is worth keeping.
    let once = Job { memory: 0, ..*job };
    let dataset = Dataset::new(&once, Pieces::new(&once, &plan, &tokenizer, &progress, Some(&known)))?.enduring();
    let same = (0..known.len() as u32).collect::<Vec<_>>();
    let mut pieces = Vec::new();
    let damaged = || Error::failed("damaged message: not an answer; a defect of the network or of corpuscle");
    dataset.map(
        |_, bags| {
            let documents = reuse::documents(job, &plan, bags, &same)?;
            let mut message = PieceFacts::encode_all(&[bags.facts]);
            let names = serde_json::to_vec(&(&documents.ids, &documents.labels)).map_err(unsendable)?;
            message.extend_from_slice(&(names.len() as u64).to_le_bytes());
            message.extend(names);
            message.extend(work(documents.chunk)?);
            Ok(message)
        },
        |_, message: Vec<u8>| {
            let (facts, rest) = message.split_at_checked(PieceFacts::BYTES).ok_or_else(damaged)?;
            let facts = PieceFacts::decode_all(facts)?;
            let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
            let (names, answer) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(damaged)?;
            let (ids, labels) = serde_json::from_slice(names).map_err(|_| damaged())?;
            let documents = facts.iter().map(|piece| piece.documents).sum();
            progress.advance(0, documents);
            pieces.extend(facts);
            take(Answered { answer: answer.to_vec(), documents, ids, labels })
        },
    )?;
    if job.is_dispatcher() { check_announcements(&plan, &pieces) } else { Ok(()) }
}

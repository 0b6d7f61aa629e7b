//! Which neighbouring words are phrases: a fold over the text for each pass, before its terms are counted.
//!
//! Words and pairs of neighbours are counted as terms are ([`Census`]): within `--memory`, merged in the tree of workers. The
//! dispatcher scores the pairs as they come by and tells all ranks which are phrases.

use crate::corpus::phrases::PhraseCensus;
use crate::corpus::text::TextPlan;
use crate::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use crate::dispatch::{Dataset, Job, once};
use crate::error::{Error, Result};
use crate::report::progress::Unit;

use super::census::{self, Census};
use super::forecast::{TERMS_SHARE, text_bytes};
use super::pieces::Pieces;

/// Goes through the text as often as is asked for, and adds the phrases to the tokenizer. Collective.
pub(super) fn find(job: &Job, plan: &TextPlan, spec: &mut TokenizerSpec) -> Result<()> {
    let missing = |phrases: &TokenizerSpec| match &phrases.phrases {
        Some(phrases) => phrases.found.len() < usize::from(phrases.spec.passes),
        None => false,
    };
    while missing(spec) {
        let found = once(job, || job.account.phase("phrases", || pass(job, plan, spec)))?;
        let none = || Error::failed("the dispatcher has found no phrases; please report it");
        let message = job.share(|| found.ok_or_else(none))?;
        let found: Vec<String> = serde_json::from_slice(&message)
            .map_err(|_| Error::failed("damaged message: not phrases; a defect of the network or of corpuscle"))?;
        if job.is_dispatcher() {
            log::info!("phrases: {} found", found.len());
        }
        spec.phrases.iter_mut().for_each(|phrases| phrases.found.push(found.clone()));
    }
    Ok(())
}

/// A pass: the dispatcher gets the phrases as a message. Collective.
fn pass(job: &Job, plan: &TextPlan, spec: &TokenizerSpec) -> Result<Option<Vec<u8>>> {
    let tokenizer = Tokenizer::of_pairs(spec)?;
    let progress = job.progress.task("build: phrases", Unit::Bytes, text_bytes(job, plan));
    // Bags under numbers of pairs are of no use to anybody later.
    let nothing_kept = Job { memory: 0, ..*job };
    let pieces = Pieces::new(&nothing_kept, plan, &tokenizer, &progress, None);
    let dataset = Dataset::new(&nothing_kept, pieces)?.enduring();
    let threads = dataset.source().vocabularies().len();
    let mut census = Census::new(threads, job.memory / TERMS_SHARE);
    dataset.fold(|_, bags| {
        census.absorb(job, bags, &mut dataset.source().vocabularies_mut())?;
        job.account.count(|counters| counters.documents += bags.facts.documents);
        Ok(())
    })?;
    let Some(phrases) = &spec.phrases else { return Ok(None) };
    let mut pairs = PhraseCensus::new(&phrases.spec);
    census.merge(job, &mut dataset.source().vocabularies_mut(), &mut |counted, statistics| {
        pairs.push(counted, statistics.collection_frequency);
    })?;
    census::conclude(job, || {
        let unsendable = |cause| Error::failed(format!("phrases cannot be sent: {cause}"));
        serde_json::to_vec(&pairs.phrases()).map_err(unsendable)
    })
}

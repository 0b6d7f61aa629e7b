//! Documents in the memory of the workers: those that are learned from, and held-out ones.
//!
//! Memory: 8 bytes a nonzero and document.

use std::cell::RefCell;
use std::sync::Arc;

use super::completion::{self, Score, Topics};
use super::minibatch::Held;
use crate::comm::Route;
use crate::corpus::container::Values;
use crate::corpus::kinship::same_terms;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};

/// Brings the documents of a corpus to the workers, who hold on to them. Collective. Returns the chunks of this rank, in the
/// order of the corpus, and the tokens of all.
pub fn hold(job: &Job, corpus: &Corpus) -> Result<(Vec<Held>, u64)> {
    if let Values::Weights(code) = &corpus.header().values {
        let path = corpus.path().display();
        return Err(Error::failed(format!(
            "{path}: holds {code} weights, and LDA is a model of counts; use the corpus they were made from"
        )));
    }
    let chunks = hold_all(job, corpus)?;
    let tokens: f64 = chunks.iter().flat_map(|held| &held.0.data).map(|&count| f64::from(count)).sum();
    let tokens = job.wait(job.comm.sum(Route::World, vec![tokens as i64]))?[0] as u64;
    Ok((chunks, tokens))
}

/// Brings the documents of a corpus of any values to the workers, who hold on to them. Collective. Returns the chunks of this
/// rank, in the order of the corpus.
pub fn hold_all(job: &Job, corpus: &Corpus) -> Result<Vec<Held>> {
    // Nothing is kept but what is held here.
    let job = &Job { memory: 0, ..*job };
    let dataset = Dataset::new(job, Documents::of(corpus, |chunk| Ok(Held(Arc::new(chunk)))))?;
    let chunks = RefCell::new(Vec::new());
    dataset.fold(|_, held| {
        chunks.borrow_mut().push(held.clone());
        Ok(())
    })?;
    let mut chunks = chunks.into_inner();
    chunks.sort_by_key(|held: &Held| held.0.first_document);
    Ok(chunks)
}

/// Held-out documents to judge the model by while it is trained.
pub struct HeldOut {
    chunks: Vec<Held>,
    tokens: u64,
}

impl HeldOut {
    /// Brings held-out documents to the workers. Collective.
    pub fn open(job: &Job, held_out: &Corpus, corpus: &Corpus) -> Result<HeldOut> {
        job.share(|| {
            same_terms(corpus.path(), &corpus.reader()?.terms()?, held_out.path(), &held_out.reader()?.terms()?)?;
            Ok(Vec::new())
        })?;
        let (chunks, tokens) = hold(job, held_out)?;
        Ok(HeldOut { chunks, tokens })
    }

    /// Perplexity of the documents; NaN where there is nothing to score. Collective over the workers.
    pub fn perplexity(&self, job: &Job, topics: &Topics, seed: u64) -> Result<f64> {
        let grid = completion::grid(self.tokens)?;
        let score = job.account.compute(|| {
            self.chunks.iter().fold(Score::default(), |sum, held| {
                let score = completion::score(topics, &held.0, grid, seed, job.pool);
                Score { log_likelihood: sum.log_likelihood + score.log_likelihood, tokens: sum.tokens + score.tokens }
            })
        });
        let sums = job.wait(job.comm.sum(Route::Workers, vec![score.log_likelihood, score.tokens as i64]))?;
        let score = Score { log_likelihood: sums[0], tokens: sums[1] as u64 };
        Ok(completion::perplexity(score, grid).unwrap_or(f64::NAN))
    }
}

//! How good a model is on a corpus: document-completion perplexity, u_mass coherence and topic diversity.
//!
//! One pass; the model is broadcast, 4 k bytes a term. Sums are exact. See [`completion`](super::completion) and
//! [`coherence`](super::coherence).

use std::path::Path;

use super::coherence::Pairs;
use super::completion::{self, Score, Topics};
use super::model::{LdaModel, Shared};
use super::topics::{diversity, leading_terms};
use crate::comm::Route;
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::store::file::Format;
use crate::store::model::ModelReader;

/// What was found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Perplexity of the halves of documents that were scored; none if there was no token to score.
    pub perplexity: Option<f64>,
    /// Tokens scored.
    pub tokens: u64,
    /// u_mass coherence of each topic.
    pub coherence: Vec<f64>,
    /// Share of distinct terms among the leading terms.
    pub diversity: f64,
    /// Share of each topic in the tokens that the model was trained on.
    pub shares: Vec<f64>,
}

impl Evaluation {
    /// Mean coherence of the topics that have one.
    pub fn mean_coherence(&self) -> Option<f64> {
        let known: Vec<f64> = self.coherence.iter().copied().filter(|value| value.is_finite()).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    }
}

/// Evaluates a model on a corpus with `words` leading terms of each topic. Collective; all ranks get the same.
pub fn evaluate(job: &Job, model: &Path, corpus: &Corpus, words: usize, seed: u64) -> Result<Evaluation> {
    let phase = job.account.enter_phase("load model");
    let mut about = None;
    let shared = Shared::share(job, || {
        let loaded = job.account.io(|| LdaModel::read_for(&ModelReader::open(model, Format::Lda)?, corpus))?;
        let leading: Vec<Vec<u32>> = (0..loaded.topics()).map(|topic| leading_terms(&loaded, topic, words)).collect();
        about = Some((leading, loaded.shares()));
        Ok(loaded)
    })?;
    let message = job
        .share(|| serde_json::to_vec(&about).map_err(|cause| Error::failed(format!("{}: {cause}", model.display()))))?;
    let about: Option<(Vec<Vec<u32>>, Vec<f64>)> =
        serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
    let (leading, shares) = about.unwrap_or_default();
    drop(phase);

    let _phase = job.account.enter_phase("evaluate");
    let dataset = Dataset::new(job, Documents::of(corpus, Ok::<CsrChunk, Error>))?;
    // Two passes, the second in memory: the grid of the scores needs the number of tokens.
    let mut tokens = 0u64;
    let mut pairs = Pairs::new(&leading);
    dataset.fold(|_, chunk| {
        tokens += chunk.data.iter().map(|&count| count as u64).sum::<u64>();
        pairs.absorb(chunk);
        Ok(())
    })?;
    let mut sums = pairs.counts().to_vec();
    sums.push(tokens as i64);
    let mut sums = job.wait(job.comm.sum(Route::World, sums))?;
    let tokens = sums.pop().unwrap_or_default() as u64;
    let grid = completion::grid(tokens)?;
    let topics = Topics { phi: &shared.phi, prior: &shared.prior, topics: shared.topics };
    let mut score = Score::default();
    dataset.fold(|_, chunk| {
        let part = completion::score(&topics, chunk, grid, seed, job.pool);
        score.log_likelihood += part.log_likelihood;
        score.tokens += part.tokens;
        job.account.count(|counters| counters.documents += chunk.documents() as u64);
        Ok(())
    })?;
    let scores = job.wait(job.comm.sum(Route::World, vec![score.log_likelihood, score.tokens as i64]))?;
    let score = Score { log_likelihood: scores[0], tokens: scores[1] as u64 };
    Ok(Evaluation {
        perplexity: completion::perplexity(score, grid),
        tokens: score.tokens,
        coherence: pairs.u_mass(&sums, corpus.header().documents),
        diversity: diversity(&leading),
        shares,
    })
}

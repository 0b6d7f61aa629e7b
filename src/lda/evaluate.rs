//! How good a model is on a corpus: document-completion perplexity, the variational bound, coherence and diversity of topics.
//!
//! The model is broadcast, 4 k bytes a term. The corpus is gone through twice, the second time in memory where it fits; texts
//! once. Sums are exact. See [`completion`](super::completion), [`bound`](super::bound), [`coherence`](super::coherence).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bound::Bound;
use super::coherence::Pairs;
use super::completion::{self, Score};
use super::memory::{self, Written};
use super::model::{LdaModel, Shared};
use super::texts::{self, Texts, Windowed};
use super::topics::{diversity, leading_terms};
use crate::comm::Route;
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::fixed::wide;
use crate::linalg::variational::Until;
use crate::store::file::Format;
use crate::store::model::ModelReader;

/// What to find out.
#[derive(Debug, Clone)]
pub struct Question {
    /// Leading terms of a topic.
    pub words: usize,
    /// How documents are inferred for the bound.
    pub until: Until,
    /// Texts for the measures that go by windows.
    pub texts: Option<Texts>,
    /// Which half of a document is scored.
    pub seed: u64,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Perplexity of the halves of documents that were scored; none if there was no token to score.
    pub perplexity: Option<f64>,
    /// Tokens scored.
    pub tokens: u64,
    /// The variational bound a token, as gensim's `log_perplexity`; none without a token.
    pub bound: Option<f64>,
    /// u_mass coherence of each topic.
    pub u_mass: Vec<f64>,
    /// Coherence over windows of texts, where there were any.
    pub windowed: Option<Windowed>,
    /// Share of distinct terms among the leading terms.
    pub diversity: f64,
    /// Share of each topic in the tokens that the model was trained on.
    pub shares: Vec<f64>,
}

/// Mean of the topics that have a coherence.
pub fn mean(coherence: &[f64]) -> Option<f64> {
    let known: Vec<f64> = coherence.iter().copied().filter(|value| value.is_finite()).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}

/// What all ranks know of the topics beside their weights.
#[derive(Serialize, Deserialize)]
struct About {
    leading: Vec<Vec<u32>>,
    /// Terms that lead in any, with their names.
    terms: Vec<(u32, String)>,
    shares: Vec<f64>,
}

impl About {
    fn of(model: &LdaModel, words: usize) -> About {
        let leading: Vec<Vec<u32>> = (0..model.topics()).map(|topic| leading_terms(model, topic, words)).collect();
        let mut terms = leading.concat();
        terms.sort_unstable();
        terms.dedup();
        let terms = terms.into_iter().map(|term| (term, model.terms[term as usize].clone())).collect();
        About { leading, terms, shares: model.shares() }
    }
}

/// Evaluates a model on a corpus. Collective; all ranks get the same.
pub fn evaluate(job: &Job, model: &Path, corpus: &Corpus, question: &Question) -> Result<Evaluation> {
    let sizes = corpus.sizes(job)?;
    let topics = || Ok(ModelReader::open(model, Format::Lda)?.shape("topic_word")?.first().copied().unwrap_or(0));
    let job = &job.within_memory("give more", || Ok(memory::inferring(&sizes, topics()?, Written::Nothing)))?;
    let phase = job.account.enter_phase("load model");
    let mut about = None;
    let shared = Shared::share(job, || {
        let loaded = job.account.io(|| LdaModel::read_for(&ModelReader::open(model, Format::Lda)?, corpus))?;
        about = Some(About::of(&loaded, question.words));
        Ok(loaded)
    })?;
    let message = job
        .share(|| serde_json::to_vec(&about).map_err(|cause| Error::failed(format!("{}: {cause}", model.display()))))?;
    let about: Option<About> =
        serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
    let About { leading, terms, shares } = about.ok_or_else(|| Error::failed("damaged message: no topics"))?;
    drop(phase);

    let phase = job.account.enter_phase("evaluate");
    let dataset = Dataset::new(job, Documents::of(corpus, Ok::<CsrChunk, Error>))?;
    // Two passes: the grid of the scores needs the number of tokens.
    let mut tokens = 0u64;
    let mut pairs = Pairs::new(&leading);
    dataset.fold(|_, chunk| {
        tokens += chunk.data.iter().map(|&count| count as u64).sum::<u64>();
        pairs.absorb(chunk);
        Ok(())
    })?;
    let mut sums = pairs.counts().to_vec();
    sums.push(tokens as i64);
    let mut counts = job.wait(job.comm.sum(Route::World, sums))?;
    let tokens = counts.pop().unwrap_or_default() as u64;
    let grid = completion::grid(tokens)?;
    let topics = shared.topics();
    let bound = job.works().then(|| job.account.compute(|| Bound::new(&shared, question.until, job.pool)));
    let (mut score, mut of_documents) = (Score::default(), [0i64; 2]);
    dataset.fold(|_, chunk| {
        let part = completion::score(&topics, chunk, grid, question.seed, job.pool);
        score.log_likelihood += part.log_likelihood;
        score.tokens += part.tokens;
        if let Some(bound) = &bound {
            let part = bound.documents(chunk, job.pool);
            (0..2).for_each(|half| of_documents[half] += part[half]);
        }
        job.account.count(|counters| counters.documents += chunk.documents() as u64);
        Ok(())
    })?;
    let of_topics = bound.as_ref().map_or([0; 2], |bound| {
        let worker = job.comm.rank() - Route::Workers.members(job.comm.size()).start;
        job.account.compute(|| bound.topics(worker, job.workers(), job.pool))
    });
    let [a, b] = [of_documents, of_topics];
    let all = vec![score.log_likelihood, score.tokens as i64, a[0] + b[0], a[1] + b[1]];
    let sums = job.wait(job.comm.sum(Route::World, all))?;
    let score = Score { log_likelihood: sums[0], tokens: sums[1] as u64 };
    drop(phase);
    let windowed = question.texts.as_ref();
    let windowed = windowed.map(|texts| job.account.phase("texts", || texts::coherence(job, texts, &leading, &terms)));
    Ok(Evaluation {
        perplexity: completion::perplexity(score, grid),
        tokens: score.tokens,
        bound: (tokens > 0).then(|| wide::value(&sums[2..]) / tokens as f64),
        u_mass: pairs.u_mass(&counts),
        windowed: windowed.transpose()?,
        diversity: diversity(&leading),
        shares,
    })
}

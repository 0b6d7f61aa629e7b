//! Topics in a pipeline: LDA on rows in memory, by one rank alone, and how good its topics are on other rows.
//!
//! It is the training of `corpuscle lda` on the same documents in the same chunks, so the model has the same bits; scores are those
//! of `corpuscle evaluate`: document-completion perplexity and log-likelihood, u_mass coherence of the leading terms, counted in the
//! rows that are scored.
//! Cost: see [`train`](crate::lda::train), [`completion`](crate::lda::completion) and [`coherence`](crate::lda::coherence).

use std::sync::Arc;

use crate::comm::Local;
use crate::corpus::chunk::{CsrChunk, boundaries};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::lda::coherence::{Pairs, WORDS};
use crate::lda::completion::{self, Score};
use crate::lda::evaluate::mean;
use crate::lda::minibatch::Held;
use crate::lda::model::{History, LdaModel, Shared};
use crate::lda::params::LdaParams;
use crate::lda::topics::leading_terms;
use crate::lda::train::{Documents, Start, Watch, train_on};
use crate::learn::metrics::Scorer;
use crate::report::progress::Progress;

/// Learns topics from documents of counts.
///
/// # Errors
/// Parameters that do not fit the documents or each other; documents without any term.
pub fn fit(job: &Job, params: &LdaParams, chunk: &CsrChunk) -> Result<LdaModel> {
    let tokens = tokens(chunk);
    if tokens == 0 {
        return Err(Error::failed("lda: no document has a term: there is nothing to learn"));
    }
    let (count, terms) = (chunk.documents() as u64, chunk.terms as usize);
    let plan = params.check(count, terms)?;
    let chunks = parts(chunk);
    let comm = Local::new();
    let job = Job { comm: &comm, progress: Progress::Quiet, checkpoint: None, ..*job };
    let documents = Documents { chunks: &chunks, count, terms, tokens };
    let watch = Watch { every: plan.passes, stop_below: None };
    let start = Start { before: History::default(), counts: None, held_out: None, watch, silent: true };
    let (_, trained) = train_on(&job, &documents, &plan, start)?;
    LdaModel::of(trained, Vec::new())
}

/// The same documents in the chunks that a corpus of them has: minibatches take their share of each.
fn parts(chunk: &CsrChunk) -> Vec<Held> {
    let part = |span: crate::corpus::chunk::ChunkSpan| {
        let rows = span.first_document as usize..=(span.first_document + span.documents) as usize;
        let nonzeros = span.first_nonzero as usize..(span.first_nonzero + span.nonzeros) as usize;
        Held(Arc::new(CsrChunk {
            first_document: span.first_document,
            terms: chunk.terms,
            indptr: chunk.indptr[rows].iter().map(|&at| at - span.first_nonzero).collect(),
            indices: chunk.indices[nonzeros.clone()].to_vec(),
            data: chunk.data[nonzeros].to_vec(),
        }))
    };
    boundaries(&chunk.indptr).into_iter().map(part).collect()
}

fn tokens(chunk: &CsrChunk) -> u64 {
    chunk.data.iter().map(|&count| count as u64).sum()
}

/// Scores on documents that the model has not seen; `seed` decides which half of a document is scored.
pub fn score(
    scorers: &[(String, Scorer)],
    model: &LdaModel,
    chunk: &CsrChunk,
    seed: u64,
    pool: &rayon::ThreadPool,
) -> Vec<Result<f64>> {
    let mut completed = None;
    let mut completion = || -> Result<f64> {
        if let Some(found) = completed {
            return Ok(found);
        }
        let grid = completion::grid(tokens(chunk))?;
        let Score { log_likelihood, tokens } = completion::score(&Shared::of(model).topics(), chunk, grid, seed, pool);
        if tokens == 0 {
            return Err(Error::failed("no document has a token to score"));
        }
        Ok(*completed.insert(grid.float(log_likelihood) / tokens as f64))
    };
    let one = |(_, scorer): &(String, Scorer)| match scorer {
        Scorer::NegPerplexity => completion().map(|mean| -(-mean).exp()),
        Scorer::LogLikelihood => completion(),
        Scorer::UMass => {
            let leading: Vec<Vec<u32>> = (0..model.topics()).map(|topic| leading_terms(model, topic, WORDS)).collect();
            let mut pairs = Pairs::new(&leading);
            pairs.absorb(chunk);
            let coherence = pairs.u_mass(pairs.counts());
            mean(&coherence).ok_or_else(|| Error::failed("no topic has two terms"))
        }
        _ => Err(Error::failed("not a score of topics")),
    };
    scorers.iter().map(one).collect()
}

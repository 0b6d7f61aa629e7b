//! Fitting the steps of a pipeline, by one rank on rows in memory.
//!
//! *Heavy* steps, up to the last of terms, tfidf, lsi and lda, are fitted once for all candidates that share them; lsi at the
//! largest k among those, whose first columns are the vectors of every smaller k. What follows is cheap.

use ndarray::Array2;

use super::data::Data;
use super::model::{FittedStep, Stage, fit_scaler};
use super::steps::Step;
use super::topics;
use crate::comm::Local;
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::linalg::Prepared;
use crate::lsi::chunks::Single;
use crate::lsi::krylov::decompose;
use crate::lsi::operator::Operator;
use crate::lsi::params::LsiParams;
use crate::report::progress::Progress;
use crate::weight::smart::SmartCode;
use crate::weight::tfidf::{Pivoting, TfidfModel, TrainingStatistics};

/// Fits a step that is no estimator to rows, and takes them and other rows through it.
pub fn fit_step(
    job: &Job,
    step: &Step,
    data: &Data,
    train: Stage,
    test: Option<Stage>,
) -> Result<(FittedStep, Stage, Option<Stage>)> {
    let fitted = match (step, &train) {
        (Step::Terms { no_below, no_above, keep_n, ngrams }, Stage::Documents(chunk)) => {
            FittedStep::Terms(choose_terms(chunk, *no_below, *no_above, *keep_n, *ngrams, &data.tokens)?)
        }
        (Step::Tfidf(code), Stage::Documents(chunk)) => FittedStep::Tfidf(Box::new(fit_tfidf(*code, chunk)?)),
        (Step::Lsi { k, tolerance, seed }, Stage::Documents(chunk)) => {
            // The training rows are transposed once, for both the decomposition and the projection.
            let prepared = Prepared::new(chunk.clone())?;
            let left = left_vectors(job, &prepared, *k, *tolerance, *seed)?;
            let rows = super::model::project(job.pool, &prepared, left.view());
            let fitted = FittedStep::Lsi(left);
            let test = test.map(|test| fitted.apply(job.pool, test)).transpose()?;
            return Ok((fitted, Stage::Features(rows), test));
        }
        (Step::Lda(params), Stage::Documents(chunk)) => FittedStep::Lda(Box::new(topics::fit(job, params, chunk)?)),
        (Step::Scale { with_mean, with_std }, _) => {
            let features = train.features();
            let fitted = FittedStep::Scale(fit_scaler(&features, *with_mean, *with_std)?);
            let test = test.map(|test| fitted.apply(job.pool, test)).transpose()?;
            let train = fitted.apply(job.pool, Stage::Features(features))?;
            return Ok((fitted, train, test));
        }
        (Step::Normalise(norm), _) => FittedStep::Normalise(*norm),
        (Step::Estimator(_), _) => return Err(Error::failed("an estimator is no step on the way")),
        (_, Stage::Features(_)) => {
            return Err(Error::failed("terms, tfidf, lsi and lda work on a corpus, not on vectors"));
        }
    };
    let test = test.map(|test| fitted.apply(job.pool, test)).transpose()?;
    let train = fitted.apply(job.pool, train)?;
    Ok((fitted, train, test))
}

fn document_frequency(chunk: &CsrChunk) -> Vec<u64> {
    let mut frequency = vec![0u64; chunk.terms as usize];
    chunk.indices.iter().for_each(|&term| frequency[term as usize] += 1);
    frequency
}

/// Terms that occur, in at least and at most so many documents, of runs of at most so many tokens; of those the most frequent.
fn choose_terms(
    chunk: &CsrChunk,
    no_below: u64,
    no_above: f64,
    keep_n: usize,
    ngrams: usize,
    tokens: &[usize],
) -> Result<Vec<u32>> {
    let frequency = document_frequency(chunk);
    let most = no_above * chunk.documents() as f64;
    let fits = |term: &u32| {
        let df = frequency[*term as usize];
        df >= no_below.max(1) && df as f64 <= most && (ngrams == 0 || tokens[*term as usize] <= ngrams)
    };
    let mut kept: Vec<u32> = (0..chunk.terms).filter(fits).collect();
    if keep_n > 0 && kept.len() > keep_n {
        kept.sort_by_key(|&term| (std::cmp::Reverse(frequency[term as usize]), term));
        kept.truncate(keep_n);
        kept.sort_unstable();
    }
    if kept.is_empty() {
        return Err(Error::failed("terms: no term is left"));
    }
    Ok(kept)
}

fn fit_tfidf(code: SmartCode, chunk: &CsrChunk) -> Result<TfidfModel> {
    if chunk.data.iter().any(|&count| count < 1.0 || count.fract() != 0.0) {
        return Err(Error::failed("tfidf: the corpus holds weights; give the corpus of counts it was made from"));
    }
    let mut collection = vec![0u64; chunk.terms as usize];
    chunk.indices.iter().zip(&chunk.data).for_each(|(&term, &count)| collection[term as usize] += count as u64);
    let statistics = TrainingStatistics {
        documents: chunk.documents() as u64,
        document_frequency: document_frequency(chunk),
        collection_frequency: Some(collection),
        term_characters: None,
    };
    TfidfModel::fit(code, statistics, Pivoting::default())
}

/// Left singular vectors (terms x k), found by this rank alone.
fn left_vectors(job: &Job, chunk: &Prepared, k: usize, tolerance: f64, seed: u64) -> Result<Array2<f32>> {
    let comm = Local::new();
    let job = Job { comm: &comm, progress: Progress::Quiet, ..*job };
    let terms = chunk.terms();
    let single = Single { job: &job, chunk };
    let params = LsiParams { topics: k, tolerance, block: None, rounds: None, basis: None, seed };
    let plan = params.check(chunk.documents() as u64, terms as u32)?;
    let found = decompose(&Operator::new(&single, terms)?, &plan, None)?;
    if found.topics < k {
        return Err(Error::failed(format!("lsi: the training rows have {} topics, not {k}", found.topics)));
    }
    Ok(found.vectors)
}

//! How topics stand in a corpus: how well their leading terms go together there, and how much of its documents they make up.
//!
//! One pass over the corpus with the model on every rank. Sums are exact.
//! Cost: that of inferring the documents, see [`transform`](super::transform).

use std::path::Path;

use rayon::prelude::*;

use super::coherence::Pairs;
use super::completion::Topics;
use super::memory::{self, Written};
use super::model::{LdaModel, Shared};
use super::topics::leading_terms;
use crate::comm::Route;
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Simd;
use crate::store::file::Format;
use crate::store::model::ModelReader;

/// Bits behind the point of sums of shares: room for 2^32 documents.
const SHIFT: i32 = 30;

/// What was found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// u_mass coherence of each topic; NaN where it has none.
    pub u_mass: Vec<f64>,
    /// Mean share of each topic in a document, of those that have terms.
    pub mean_share: Vec<f64>,
}

/// Finds it out with `words` leading terms of each topic. Collective; all ranks get the same.
pub fn standing(job: &Job, model: &Path, corpus: &Corpus, words: usize) -> Result<Standing> {
    let sizes = corpus.sizes(job)?;
    let topics = || Ok(ModelReader::open(model, Format::Lda)?.shape("topic_word")?.first().copied().unwrap_or(0));
    let job = &job.within_memory("give more", || Ok(memory::inferring(&sizes, topics()?, Written::Nothing)))?;
    let mut leading = Vec::new();
    let shared = job.account.phase("load model", || {
        Shared::share(job, || {
            let loaded = job.account.io(|| LdaModel::read_for(&ModelReader::open(model, Format::Lda)?, corpus))?;
            leading = (0..loaded.topics()).map(|topic| leading_terms(&loaded, topic, words)).collect();
            Ok(loaded)
        })
    })?;
    let message = job.share(|| serde_json::to_vec(&leading).map_err(|cause| Error::failed(cause.to_string())))?;
    let leading: Vec<Vec<u32>> =
        serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
    let _phase = job.account.enter_phase("infer");
    let topics = Topics { phi: &shared.phi, prior: &shared.prior, topics: shared.topics };
    let (count, simd) = (shared.topics, Simd::detect());
    let mut pairs = Pairs::new(&leading);
    // For each topic the sum of shares; behind them documents with terms.
    let mut sums = vec![0i64; count + 1];
    let dataset = Dataset::new(job, Documents::of(corpus, Ok::<CsrChunk, Error>))?;
    dataset.fold(|_, chunk| {
        pairs.absorb(chunk);
        let of = |mut sums: Vec<i64>, row: usize| {
            let (terms, counts) = chunk.document(row);
            if !terms.is_empty() {
                let shares = topics.infer(simd, terms, counts);
                let all: f64 = shares.iter().map(|&share| f64::from(share)).sum();
                for (sum, &share) in sums.iter_mut().zip(&shares[..count]) {
                    *sum += (f64::from(share) / all * f64::from(SHIFT).exp2()).round_ties_even() as i64;
                }
                sums[count] += 1;
            }
            sums
        };
        let none = || vec![0i64; count + 1];
        let add = |mut a: Vec<i64>, b: Vec<i64>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        };
        let found = job
            .account
            .compute(|| job.pool.install(|| (0..chunk.documents()).into_par_iter().fold(none, of).reduce(none, add)));
        sums.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
        job.account.count(|counters| counters.documents += chunk.documents() as u64);
        Ok(())
    })?;
    let split = sums.len();
    sums.extend(pairs.counts());
    let sums = job.wait(job.comm.sum(Route::World, sums))?;
    let (sums, windows) = sums.split_at(split);
    let documents = (sums[count] as f64).max(1.0);
    Ok(Standing {
        u_mass: pairs.u_mass(windows),
        mean_share: sums[..count].iter().map(|&sum| sum as f64 * f64::from(-SHIFT).exp2() / documents).collect(),
    })
}

impl Standing {
    /// Topics by falling coherence, those without one last; of equals the first one.
    pub fn by_coherence(&self) -> Vec<usize> {
        let value =
            |topic: usize| Some(self.u_mass[topic]).filter(|value| value.is_finite()).unwrap_or(f64::NEG_INFINITY);
        let mut order: Vec<usize> = (0..self.u_mass.len()).collect();
        order.sort_by(|&a, &b| value(b).total_cmp(&value(a)));
        order
    }

    /// Topics by falling mean share in a document, of equals the first one.
    pub fn by_documents(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.mean_share.len()).collect();
        order.sort_by(|&a, &b| self.mean_share[b].total_cmp(&self.mean_share[a]));
        order
    }
}

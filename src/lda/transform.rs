//! The topics of documents: the model is broadcast once, documents are inferred wherever they lie, and the dispatcher writes
//! their shares in the order of the corpus.
//!
//! Shapes: vectors (documents x topics, f32), rows sum to 1 unless small shares are left out. An empty document has the
//! shares of the prior.
//! Cost: one pass, 4 flops a nonzero, topic and iteration; 4 k bytes a document travel to the dispatcher. Memory: the
//! topics on every rank, twice while they are unpacked.

use std::path::Path;

use rayon::prelude::*;
use serde_json::json;

use super::completion::Topics;
use super::memory;
use super::model::{LdaModel, Shared};
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::linalg::Simd;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use crate::store::provenance::Input;
use crate::vectors::documents;
use crate::vectors::model::ModelInput;

/// The shares of the topics in each document of a chunk (documents x topics); those below `minimum` are 0.
pub fn infer(model: &Topics, chunk: &CsrChunk, minimum: f32, pool: &rayon::ThreadPool) -> Vec<f32> {
    let simd = Simd::detect();
    let mut vectors = vec![0f32; chunk.documents() * model.topics];
    let work = |(row, vector): (usize, &mut [f32])| {
        let (terms, counts) = chunk.document(row);
        let shares = model.infer(simd, terms, counts);
        let total: f64 = shares.iter().map(|&share| f64::from(share)).sum();
        for (to, share) in vector.iter_mut().zip(shares) {
            let share = (f64::from(share) / total) as f32;
            *to = if share < minimum { 0.0 } else { share };
        }
    };
    pool.install(|| vectors.par_chunks_mut(model.topics).enumerate().for_each(work));
    vectors
}

/// Infers a corpus; shares below `minimum` are written as 0. Collective; `target` is given on the dispatcher. Returns the
/// number of topics.
pub fn transform(job: &Job, model: &Path, corpus: &Corpus, minimum: f32, target: Option<Target>) -> Result<usize> {
    let sizes = corpus.sizes(job)?;
    let topics = || Ok(ModelReader::open(model, Format::Lda)?.shape("topic_word")?.first().copied().unwrap_or(0));
    // Gone through once: nothing is kept.
    let job = &Job { memory: 0, ..job.within_memory("give more", || Ok(memory::inferring(&sizes, topics()?, true)))? };
    let phase = job.account.enter_phase("load model");
    let mut input = ModelInput::default();
    let shared = Shared::share(job, || {
        let reader = input.open(job, model, Format::Lda)?;
        job.account.io(|| LdaModel::read_for(&reader, corpus))
    })?;
    drop(phase);
    let provenance = || {
        Ok(input
            .provenance(json!({ "minimum_probability": minimum }), ("corpus", Input::result(corpus.reader()?.file())?)))
    };
    let topics = shared.topics;
    let infer = |chunk: &CsrChunk| infer(&shared.topics(), chunk, minimum, job.pool);
    documents::write(job, corpus, topics, target, Ok::<CsrChunk, Error>, infer, &provenance)?;
    Ok(topics)
}

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
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Simd;
use crate::lsi::transform::Output;
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use crate::store::provenance::{self, Input};

/// Infers a corpus; shares below `minimum` are written as 0. Collective; `target` is given on the dispatcher. Returns the
/// number of topics.
pub fn transform(job: &Job, model: &Path, corpus: &Corpus, minimum: f32, target: Option<Target>) -> Result<usize> {
    let sizes = corpus.sizes(job)?;
    let topics = || Ok(ModelReader::open(model, Format::Lda)?.shape("topic_word")?.first().copied().unwrap_or(0));
    // Gone through once: nothing is kept.
    let job = &Job { memory: 0, ..job.within_memory("give more", || Ok(memory::inferring(&sizes, topics()?, true)))? };
    let phase = job.account.enter_phase("load model");
    let mut input = None;
    let shared = Shared::share(job, || {
        let reader = job.account.io(|| ModelReader::open(model, Format::Lda))?;
        input = Some(Input::result(reader.file())?);
        job.account.io(|| LdaModel::read_for(&reader, corpus))
    })?;
    drop(phase);
    let provenance = || {
        let mut inputs = vec![("corpus", Input::result(corpus.reader()?.file())?)];
        inputs.extend(input.clone().map(|model| ("model", model)));
        Ok(provenance::of("transform", json!({ "minimum_probability": minimum }), &inputs))
    };
    job.begin(provenance)?;
    let topics = shared.topics;
    let mut output = target.map(|target| Output::create(target, topics)).transpose()?;
    let phase = job.account.enter_phase("infer");
    let dataset = Dataset::new(job, Documents::of(corpus, Ok::<CsrChunk, Error>))?.enduring();
    let progress = job.progress.task("transform", Unit::Documents, Some(corpus.header().documents));
    let kernel = Topics { phi: &shared.phi, prior: &shared.prior, topics };
    let simd = Simd::detect();
    let infer = |chunk: &CsrChunk| {
        let mut vectors = vec![0f32; chunk.documents() * topics];
        let work = |(row, vector): (usize, &mut [f32])| {
            let (terms, counts) = chunk.document(row);
            let shares = kernel.infer(simd, terms, counts);
            let total: f64 = shares.iter().map(|&share| f64::from(share)).sum();
            for (to, share) in vector.iter_mut().zip(shares) {
                let share = (f64::from(share) / total) as f32;
                *to = if share < minimum { 0.0 } else { share };
            }
        };
        job.pool.install(|| vectors.par_chunks_mut(topics).enumerate().for_each(work));
        vectors
    };
    dataset.map(
        |_, chunk| {
            job.account.count(|counters| counters.documents += chunk.documents() as u64);
            Ok(bytemuck::cast_slice(&infer(chunk)).to_vec())
        },
        |_, vectors| {
            let vectors: Vec<f32> = bytemuck::pod_collect_to_vec(&vectors);
            let documents = (vectors.len() / topics) as u64;
            output.as_mut().map_or(Ok(()), |output| output.append(&vectors))?;
            progress.advance(documents, documents);
            Ok(())
        },
    )?;
    drop((phase, progress));
    if let Some(output) = output {
        let provenance = provenance()?;
        job.account.phase("write", || job.account.io(|| output.finish(corpus, &provenance)))?;
    }
    Ok(topics)
}

//! The weights of topics in documents: the model is broadcast once, documents are inferred wherever they lie.
//!
//! Shapes: vectors (documents x k, f32), rows sum to 1 if the model normalises, but for small shares that are left out; an empty
//! document is 0.
//! Cost: that of [`kernel`](super::kernel); terms k^2 flops for G on the dispatcher.

use std::path::Path;

use ndarray::Array2;
use serde_json::json;

use super::descent::Until;
use super::kernel::Kernel;
use super::memory;
use super::model::NmfModel;
use crate::corpus::kinship::{same_terms, same_values};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::linalg::dense::multiply_f64;
use crate::linalg::kernels::LANES;
use crate::linalg::{Aligned, Prepared, rows};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use crate::store::provenance::Input;
use crate::vectors::documents;
use crate::vectors::model::ModelInput;

/// A model as the kernel wants it, on every rank.
struct Shared {
    k: usize,
    normalize: bool,
    minimum: f64,
    until: Until,
    gram: Vec<f64>,
    topics: Aligned<f32>,
}

impl Shared {
    /// Numbers (8 bytes each): k, normalize, minimum, sweeps, change, kappa; G (f64); W by terms (f32).
    fn message(model: &NmfModel) -> Vec<u8> {
        let Until { sweeps, change, kappa } = model.until;
        let numbers = [
            model.topics() as u64,
            u64::from(model.normalize),
            model.minimum_probability.to_bits(),
            sweeps as u64,
            change.to_bits(),
            kappa.to_bits(),
        ];
        let mut message = numbers.map(u64::to_le_bytes).concat();
        message.extend(gram(&model.term_topic).iter().flat_map(|value| value.to_le_bytes()));
        message.extend(model.term_topic.iter().flat_map(|value| value.to_le_bytes()));
        message
    }

    /// Gives every rank the dispatcher's model. Collective.
    fn share(job: &Job, load: impl FnOnce() -> Result<NmfModel>) -> Result<Shared> {
        let message = job.share(|| Ok(Self::message(&load()?)))?;
        let damaged = || Error::failed("damaged message: a model");
        let (head, rest) = message.split_first_chunk::<48>().ok_or_else(damaged)?;
        let [k, normalize, minimum, sweeps, change, kappa] = bytemuck::pod_read_unaligned::<[u64; 6]>(head);
        let k = k as usize;
        let (gram, rest) = rest.split_at_checked(8 * k * k).filter(|_| k > 0).ok_or_else(damaged)?;
        let width = k.next_multiple_of(LANES);
        let mut topics = Aligned::zeros(rest.len() / 4 / k * width);
        for (row, from) in topics.chunks_exact_mut(width).zip(rest.chunks_exact(4 * k)) {
            row.iter_mut().zip(from.as_chunks().0).for_each(|(to, from)| *to = f32::from_le_bytes(*from));
        }
        let until = Until { sweeps: sweeps as usize, change: f64::from_bits(change), kappa: f64::from_bits(kappa) };
        let (normalize, minimum) = (normalize == 1, f64::from_bits(minimum));
        Ok(Shared { k, normalize, minimum, until, gram: bytemuck::pod_collect_to_vec(gram), topics })
    }
}

/// W^T W, block by block of rows.
fn gram(w: &Array2<f32>) -> Array2<f64> {
    let mut gram = Array2::zeros((w.ncols(), w.ncols()));
    for block in rows::blocks(w.nrows()) {
        let block = w.slice(ndarray::s![block, ..]).mapv(f64::from);
        multiply_f64(1.0, block.t(), block.view(), 1.0, &mut gram.view_mut());
    }
    gram
}

/// Infers a corpus; weights below `minimum`, or what the model says, are written as 0. Collective; `target` is given on the
/// dispatcher. Returns the number of topics and the minimum.
///
/// # Errors
/// A corpus over another dictionary or of other values than the model was made from.
pub fn transform(
    job: &Job,
    model: &Path,
    corpus: &Corpus,
    minimum: Option<f32>,
    target: Option<Target>,
) -> Result<(usize, f64)> {
    let sizes = corpus.sizes(job)?;
    let topics = || Ok(ModelReader::open(model, Format::Nmf)?.shape("term_topic")?.get(1).copied().unwrap_or(0));
    // Gone through once: nothing is kept.
    let job = &Job { memory: 0, ..job.within_memory("give more", || Ok(memory::inferring(&sizes, topics()?)))? };
    let phase = job.account.enter_phase("load model");
    let mut input = ModelInput::default();
    let shared = Shared::share(job, || {
        let reader = input.open(job, model, Format::Nmf)?;
        let found = job.account.io(|| NmfModel::read(&reader))?;
        same_terms(model, &found.terms, corpus.path(), &corpus.reader()?.terms()?)?;
        same_values(model, &found.values, corpus.path(), &corpus.header().values)?;
        Ok(found)
    })?;
    drop(phase);
    let (k, minimum) = (shared.k, minimum.map_or(shared.minimum, f64::from));
    let provenance = || {
        Ok(input
            .provenance(json!({ "minimum_probability": minimum }), ("corpus", Input::result(corpus.reader()?.file())?)))
    };
    let width = k.next_multiple_of(LANES);
    let kernel = Kernel { topics: &shared.topics, width, gram: &shared.gram, k, until: shared.until };
    let vectors = |chunk: &Prepared| {
        let mut h = Aligned::default();
        kernel.infer(job.pool, chunk, &mut h);
        job.account.count(|counters| counters.flops += 2 * (chunk.nonzeros() * k) as u64);
        let mut vectors = Vec::with_capacity(chunk.documents() * k);
        for row in h.chunks_exact(width) {
            let sum: f64 = row[..k].iter().map(|&weight| f64::from(weight)).sum();
            let divisor = if shared.normalize && sum > 0.0 { sum } else { 1.0 };
            vectors.extend(row[..k].iter().map(|&weight| {
                let share = f64::from(weight) / divisor;
                if share < minimum { 0.0 } else { share as f32 }
            }));
        }
        vectors
    };
    documents::write(job, corpus, k, target, Prepared::new, vectors, &provenance)?;
    Ok((k, minimum))
}

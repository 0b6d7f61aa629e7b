//! The topics of documents: the model is broadcast once, documents are inferred wherever they lie, and the dispatcher writes
//! their shares in the order of the corpus.
//!
//! Shapes: vectors (documents x topics, f32), rows sum to 1 unless small shares are left out. An empty document has the
//! shares of the prior.
//! Where per-word topics are asked for, the tokens of each term of a document are divided among the topics as they are in the
//! inference: phi = count x phi[w,k] u[k] / sum_k phi[w,k] u[k]; the topics of a term come by falling phi, of equal ones the
//! higher number first, as in gensim's `get_document_topics(per_word_topics=True)`.
//! Cost: one pass, 4 flops a nonzero, topic and iteration; 4 k bytes a document travel to the dispatcher. Memory: the
//! topics on every rank, twice while they are unpacked; with per-word topics up to 8 bytes a nonzero and topic of a chunk.

use std::path::Path;

use rayon::prelude::*;
use serde_json::json;

use super::completion::Topics;
use super::memory::{self, Written};
use super::model::{LdaModel, Shared};
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::linalg::Simd;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use crate::store::provenance::Input;
use crate::vectors::documents::{self, Shape};
use crate::vectors::model::ModelInput;
use crate::vectors::terms::TermTopics;

/// What is not worth writing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Minimum {
    /// Smaller shares of a document are written as 0.
    pub share: f32,
    /// Per-word topics, if they are wanted: those of a smaller phi are left out.
    pub phi: Option<f32>,
}

impl Minimum {
    /// As gensim has it where nothing is said.
    pub const PHI: f32 = 0.01;
    /// The same: not less than this, to prevent zeros.
    pub const SMALLEST_PHI: f32 = 1e-8;

    /// As it is recorded.
    pub fn parameters(self) -> serde_json::Value {
        let Minimum { share, phi } = self;
        json!({ "minimum_probability": share, "per_word_topics": phi.is_some(), "minimum_phi": phi })
    }
}

/// Documents a thread takes at a time.
const DOCUMENTS: usize = 64;

/// Adds the topics of each term of a document with these shares, which need not sum to 1.
fn topics_of_terms(topics: &Topics, shares: &[f32], document: (&[u32], &[f32]), minimum: f32, found: &mut TermTopics) {
    let (width, mut of_term, (terms, counts)) = (topics.prior.len(), Vec::new(), document);
    for (&term, &count) in terms.iter().zip(counts) {
        let row = &topics.phi[term as usize * width..][..topics.topics];
        let product = |(&weight, &share): (&f32, &f32)| f64::from(weight) * f64::from(share);
        let factor = f64::from(count) / row.iter().zip(shares).map(product).sum::<f64>();
        let phi = row.iter().zip(shares).map(|pair| (factor * product(pair)) as f32);
        of_term.clear();
        of_term.extend(phi.zip(0u32..).filter(|(phi, _)| *phi >= minimum));
        of_term.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        found.push(term, &of_term);
    }
    found.documents.push(terms.len() as u32);
}

/// The shares of the topics in each document of a chunk (documents x topics), and the topics of its terms where they are
/// wanted, for some documents after another.
pub fn infer(
    model: &Topics,
    chunk: &CsrChunk,
    minimum: Minimum,
    pool: &rayon::ThreadPool,
) -> (Vec<f32>, Vec<TermTopics>) {
    let simd = Simd::detect();
    let mut vectors = vec![0f32; chunk.documents() * model.topics];
    let work = |(run, vectors): (usize, &mut [f32])| -> TermTopics {
        let mut found = TermTopics::default();
        for (at, vector) in vectors.chunks_exact_mut(model.topics).enumerate() {
            let (terms, counts) = chunk.document(run * DOCUMENTS + at);
            let shares = model.infer(simd, terms, counts);
            let total: f64 = shares.iter().map(|&share| f64::from(share)).sum();
            for (to, share) in vector.iter_mut().zip(&shares) {
                let share = (f64::from(*share) / total) as f32;
                *to = if share < minimum.share { 0.0 } else { share };
            }
            if let Some(least) = minimum.phi {
                topics_of_terms(model, &shares, (terms, counts), least, &mut found);
            }
        }
        found.shrink();
        found
    };
    let runs = vectors.par_chunks_mut(DOCUMENTS * model.topics).enumerate();
    let found: Vec<TermTopics> = pool.install(|| runs.map(work).collect());
    (vectors, found)
}

/// Infers a corpus. Collective; `target` is given on the dispatcher. Returns the number of topics.
pub fn transform(job: &Job, model: &Path, corpus: &Corpus, minimum: Minimum, target: Option<Target>) -> Result<usize> {
    let sizes = corpus.sizes(job)?;
    let topics = || Ok(ModelReader::open(model, Format::Lda)?.shape("topic_word")?.first().copied().unwrap_or(0));
    // Gone through once: nothing is kept.
    let written = if minimum.phi.is_some() { Written::WithTerms } else { Written::Shares };
    let job =
        &Job { memory: 0, ..job.within_memory("give more", || Ok(memory::inferring(&sizes, topics()?, written)))? };
    let phase = job.account.enter_phase("load model");
    let mut input = ModelInput::default();
    let shared = Shared::share(job, || {
        let reader = input.open(job, model, Format::Lda)?;
        job.account.io(|| LdaModel::read_for(&reader, corpus))
    })?;
    drop(phase);
    let provenance = || Ok(input.provenance(minimum.parameters(), ("corpus", Input::result(corpus.reader()?.file())?)));
    let topics = shared.topics;
    let infer = |chunk: &CsrChunk| infer(&shared.topics(), chunk, minimum, job.pool);
    let shape = Shape { width: topics, terms: minimum.phi.is_some() };
    documents::write_both(job, corpus, shape, target, Ok::<CsrChunk, Error>, infer, &provenance)?;
    Ok(topics)
}

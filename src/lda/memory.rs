//! What training and using a model takes, from the numbers in the header of the corpus and the parameters.
//!
//! A worker holds its documents (8 bytes a nonzero), the counts (4 bytes a term and topic, K padded to 16), and for a
//! minibatch the weights of its terms and their expected counts, at most as much again each: three times the model. On top
//! come the shares of the documents of a minibatch and 20 bytes for each of its nonzeros.

use super::model::History;
use super::opening;
use super::params::{LdaPlan, Method};
use crate::dispatch::memory::{FILES, Forecast, Need, Sizes};
use crate::linalg::kernels::LANES;
use crate::vectors::terms::TermTopics;

/// Words that are on their way at a time, with what the other workers have sent of them.
const EXCHANGE: u64 = 4 * (8 << 22);
/// A record of a checkpoint, as it is and as it is sent.
const RECORD: u64 = 2 * (4 << 24);

/// Bytes of so many rows of topics.
fn rows(count: u64, topics: usize) -> u64 {
    4 * count * topics.next_multiple_of(LANES) as u64
}

/// Training, with held-out documents in memory or not; after earlier training, whose model is updated, or none; with checkpoints
/// or not.
pub fn training(
    sizes: &Sizes,
    plan: &LdaPlan,
    held_out: Option<&Sizes>,
    before: History,
    checkpoints: bool,
) -> Forecast {
    let (terms, workers) = (sizes.terms, sizes.workers);
    let model = rows(terms, plan.topics);
    let minibatches = plan.minibatches as u64;
    let nonzeros = sizes.nonzeros / minibatches * 5 / 4 + 1;
    let documents = (sizes.documents / minibatches + 1) / workers * 5 / 4 + sizes.chunks;
    let own = nonzeros / workers * 5 / 4;
    let ahead = 2 + plan.staleness as u64;
    let (shares, lanes) = match plan.method {
        Method::Scvb0 => (1, rows(terms.min(nonzeros), plan.topics)),
        Method::Online => (2, rows(terms.min(nonzeros * plan.update_every as u64), plan.topics)),
        Method::Batch => (2, model),
    };
    let weights = if held_out.is_some() { model } else { rows(terms.min(own), plan.topics) };
    let worker = Need::fixed(FILES)
        .with("documents", sizes.all_chunks() + held_out.map_or(0, Sizes::all_chunks))
        .with("topics", model)
        .with("weights of a minibatch", weights)
        .with("expected counts of a minibatch", lanes * (1 + plan.staleness as u64))
        .with("counts on their way", if workers > 1 { 4 * lanes.min(EXCHANGE / 4) } else { 0 })
        .with("documents of a minibatch", ahead * 20 * own + shares * rows(documents, plan.topics))
        .with("tables of terms", (12 + 24) * terms);
    // The clusters' counts, their vectors, and what is summed.
    let clusters = opening::clusters(plan, terms as usize, before);
    let of_clusters = clusters.map_or(0, |clusters| rows(terms, clusters));
    let opening = Need::fixed(FILES)
        .with("documents", sizes.all_chunks() + held_out.map_or(0, Sizes::all_chunks))
        .with("clusters of documents", 3 * of_clusters)
        .with("counts on their way", if workers > 1 { 4 * of_clusters.min(EXCHANGE / 4) } else { 0 })
        .with("tables of terms", 64 * terms);
    let worker = if clusters.is_some() { worker.or(opening) } else { worker };
    // The message with the model, and what becomes of it, before there is anything else.
    let reading = Need::fixed(FILES).with("the model to update", 4 * terms * plan.topics as u64 * 2 + model);
    let dispatcher = sizes
        .dispatcher()
        .with("dictionary", 2 * sizes.dictionary())
        .with("a topic", 3 * 4 * terms)
        .with("a checkpoint", if checkpoints { 3 * RECORD } else { 0 });
    if before == History::default() {
        return Forecast { dispatcher, worker };
    }
    let first = sizes.dispatcher().with("the model to update", 4 * terms * plan.topics as u64 * 3);
    Forecast { dispatcher: dispatcher.or(first), worker: worker.or(reading) }
}

/// What is written of documents that are inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Nothing: the model is judged by them.
    Nothing,
    /// Their shares of the topics.
    Shares,
    /// And the topics of their terms.
    WithTerms,
}

/// Inferring documents with a model of so many topics. Of the topics of terms it is not known before how many are worth
/// writing: room is made for all.
pub fn inferring(sizes: &Sizes, topics: usize, written: Written) -> Forecast {
    let writing = written != Written::Nothing;
    let (model, vectors) = (rows(sizes.terms, topics), 4 * sizes.chunk_documents * topics as u64);
    let of_terms = match written {
        Written::WithTerms => TermTopics::bytes(sizes.chunk_documents, sizes.chunk_nonzeros, topics as u64),
        Written::Nothing | Written::Shares => 0,
    };
    // Made, and put into a message, of which three more may be on their way. What the topics of terms are made
    // of grows.
    let beside = if writing { 5 * vectors + 7 * of_terms } else { model };
    let worker = sizes.worker(beside).with("topics", 2 * model);
    let worker = if writing { worker } else { worker.keeping(sizes.all_chunks()) };
    let results = if writing { sizes.results(vectors + of_terms) + sizes.names() } else { 0 };
    // Read, put into a message, and taken from it.
    let dispatcher = sizes
        .dispatcher()
        .with("topics", 3 * model)
        .with("dictionary", 2 * sizes.dictionary())
        .with("shares", results)
        .and(Need::fixed(if of_terms > 0 { FILES } else { 0 }));
    Forecast { dispatcher, worker }
}

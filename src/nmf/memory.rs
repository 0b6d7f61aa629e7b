//! What training and using a model takes, from the numbers in the header of the corpus and the parameters.
//!
//! A worker holds its documents (8 bytes a nonzero), W of all terms (4 bytes a term and topic, k padded to 16) and the exact
//! sums of V H^T (8 bytes, twice on their way), and of its own terms W and those sums once more.

use super::params::NmfPlan;
use crate::dispatch::memory::{FILES, Forecast, Need, Sizes};
use crate::linalg::kernels::LANES;
use crate::linalg::rows::RowShares;

/// Training.
pub fn training(sizes: &Sizes, plan: &NmfPlan) -> Forecast {
    let (terms, workers, k) = (sizes.terms, sizes.workers, plan.params.topics as u64);
    let width = k.next_multiple_of(LANES as u64);
    let own = RowShares::new(terms as usize, workers as usize).counts().into_iter().max().unwrap_or(0) as u64;
    let sums = 8 * terms * width;
    let worker = Need::fixed(FILES)
        .with("documents", sizes.all_chunks())
        .with("topics", 4 * terms * width + 3 * 4 * own * width)
        .with("sums of a minibatch", if workers > 1 { 2 * sums } else { sums })
        .with("products of topics", 8 * 5 * k * k)
        .with("a chunk at hand", 2 * sizes.prepared() + 4 * sizes.chunk_documents * width + 4 * terms);
    let dispatcher = sizes
        .dispatcher()
        .with("dictionary", 2 * sizes.dictionary())
        .with("a checkpoint", 8 * 4 * (1 << 24))
        .with("products of topics", 8 * 3 * k * k);
    Forecast { dispatcher, worker }
}

/// Inferring documents with a model of so many topics.
pub fn inferring(sizes: &Sizes, topics: usize) -> Forecast {
    let width = topics.next_multiple_of(LANES) as u64;
    let (model, result) = (4 * sizes.terms * width, 4 * sizes.chunk_documents * width);
    let dispatcher = sizes
        .dispatcher()
        .with("dictionaries", 2 * sizes.dictionary())
        .with("model", 3 * model)
        .with("results", sizes.results(result));
    let worker = sizes.worker(sizes.prepared() + 4 * sizes.terms).with("model", 2 * model);
    Forecast {
        dispatcher: dispatcher.and(Need::fixed(FILES / 2)),
        worker: worker.with("vectors of a chunk", 3 * result),
    }
}

//! What training and using a model takes, from the numbers in the header of the corpus and the parameters.
//!
//! T terms over P workers, b columns of a block and c of the basis (both padded), k topics, d documents and the nonzeros of
//! the largest chunk. A worker holds 4 c T/P bytes of the basis, 12 b T of operand and exact sums, as many again for the
//! sums of the others on their way, 8 b T/P of the block, a few c x c matrices, and 4 b d of products with a chunk. The f64
//! pass that verifies does the same with 64 columns at a time and keeps 8 k T/P bytes of products.

use crate::dispatch::memory::{FILES, Forecast, Need, Sizes};
use crate::linalg::kernels::LANES;
use crate::linalg::rows::RowShares;

use super::operator::STRIP;
use super::params::{LsiPlan, OnePassPlan};

/// Buffers of the products of MKL and of the kernels on all threads.
const KERNELS: u64 = 12 << 20;

fn padded(columns: usize) -> u64 {
    columns.next_multiple_of(LANES) as u64
}

/// Rows of the worker that has most.
fn rows(terms: u64, workers: u64) -> u64 {
    let counts = RowShares::new(terms as usize, workers as usize).counts();
    counts.into_iter().max().unwrap_or(0) as u64
}

/// A block of `width` columns on its way through a round.
fn round(need: Need, terms: u64, rows: u64, width: u64, documents: u64, workers: u64) -> Need {
    let sums = 8 * terms * width;
    need.with("operand of a round", 4 * terms * width + 8 * rows * width + 4 * width * documents)
        .with("sums of a round", if workers > 1 { 2 * sums } else { sums })
}

/// Columns that the basis may come to have.
fn columns(plan: &LsiPlan, terms: u64) -> u64 {
    let all = plan.rounds.map_or(plan.capacity, |rounds| plan.capacity.min((rounds + 1) * plan.block));
    (all as u64).min(terms + plan.block as u64)
}

fn krylov(need: Need, terms: u64, rows: u64, plan: &LsiPlan, documents: u64, workers: u64) -> Need {
    let (columns, width) = (columns(plan, terms), padded(plan.block));
    let need = need
        .with("basis", 4 * rows * columns + 4 * rows * plan.topics as u64)
        .with("projected problem", 8 * (5 * columns * columns + 4 * columns * width));
    round(need, terms, rows, width, documents, workers)
}

fn verification(need: Need, terms: u64, rows: u64, topics: usize, documents: u64, workers: u64) -> Need {
    let (k, width) = (topics as u64, padded(topics.min(STRIP)));
    let sums = 8 * terms * width;
    need.with("vectors and their products", (4 + 4 + 8) * k * rows)
        .with("operand of the verification", 12 * terms * width + 4 * rows * width + 8 * width * documents)
        .with("sums of the verification", if workers > 1 { 2 * sums } else { sums })
}

/// What reading chunks takes on a worker, and on a dispatcher with the dictionary for the model.
fn reading(sizes: &Sizes) -> (Need, Need) {
    let worker = sizes.worker(sizes.prepared() + 4 * sizes.terms).keeping(sizes.all_prepared());
    (worker.and(Need::fixed(KERNELS)), sizes.dispatcher().with("dictionary", sizes.dictionary()))
}

/// Training by iteration.
pub fn iterating(sizes: &Sizes, plan: &LsiPlan) -> Forecast {
    let (worker, dispatcher) = reading(sizes);
    let (terms, workers, documents) = (sizes.terms, sizes.workers, sizes.chunk_documents);
    let rows = rows(terms, workers);
    let iteration = krylov(worker.clone(), terms, rows, plan, documents, workers);
    // The buffers of a round stay.
    let width = padded(plan.block);
    let kept = round(worker, terms, rows, width, 0, 1).with("vectors", 4 * rows * plan.topics as u64);
    let checking = verification(kept, terms, rows, plan.topics, documents, workers);
    Forecast { dispatcher, worker: iteration.or(checking) }
}

/// Training in one pass; `chunk_nonzeros` are those of the largest chunk of the plan, `alone` is how it is decomposed, and
/// `earlier` are the topics of the model that is updated, 0 without one.
pub fn one_pass(sizes: &Sizes, plan: &OnePassPlan, chunk_nonzeros: u64, alone: &LsiPlan, earlier: usize) -> Forecast {
    let (terms, workers) = (sizes.terms, sizes.workers);
    let documents = plan.chunk_documents.min(sizes.documents);
    let chunk = Sizes { chunk_nonzeros, chunk_documents: documents, ..*sizes };
    let (worker, dispatcher) = reading(&chunk);
    let (own, width) = (rows(terms, workers), padded(plan.width));
    // Read, and cut into the parts of all workers; the dictionaries of both are compared.
    let read = if earlier > 0 { 12 * terms * earlier as u64 + sizes.dictionary() } else { 0 };
    let dispatcher = dispatcher.with("the model to update", read);
    let worker = worker.with("the model to update", 4 * own * padded(earlier));
    let merges = u64::from(sizes.documents.div_ceil(documents.max(1)).ilog2()) + 1;
    let waiting = 4 * own * width * merges;
    let decomposing = krylov(worker.clone().keeping(0), terms, terms, alone, documents, 1)
        .with("waiting partial models", waiting)
        // Found by one worker and on its way to all; then a basis of two partials with what becomes of it.
        .with("partial model of a chunk", 2 * 4 * terms * width);
    let merging = worker
        .clone()
        .keeping(0)
        .with("waiting partial models", waiting)
        .with("merge of two partial models", 4 * own * width * 6 + 8 * 20 * width * width);
    let mut need = decomposing.or(merging);
    if plan.residuals || plan.polish > 0 {
        let (worker, _) = reading(sizes);
        let worker = worker.with("partial model", 4 * own * width);
        let (documents, topics) = (sizes.chunk_documents, plan.topics);
        need = need.or(verification(worker.clone(), terms, own, topics, documents, workers));
        if plan.polish > 0 {
            let polish = LsiPlan {
                block: plan.width,
                rounds: Some(plan.polish),
                capacity: (plan.polish + 1) * plan.width,
                ..alone.clone()
            };
            need = need.or(krylov(worker, terms, own, &polish, documents, workers));
        }
    }
    Forecast { dispatcher, worker: need }
}

/// Evaluating a model of so many topics.
pub fn evaluating(sizes: &Sizes, topics: usize) -> Forecast {
    let (worker, dispatcher) = reading(sizes);
    let (terms, workers) = (sizes.terms, sizes.workers);
    let rows = rows(terms, workers);
    // Read, and cut into the parts of all workers; the dictionaries of both are compared.
    let model = 4 * terms * topics as u64;
    let dispatcher = dispatcher.with("model", 3 * model + sizes.dictionary());
    Forecast { dispatcher, worker: verification(worker, terms, rows, topics, sizes.chunk_documents, workers) }
}

/// Projecting onto a model of so many topics.
pub fn projecting(sizes: &Sizes, topics: usize) -> Forecast {
    let (model, width) = (4 * sizes.terms * topics as u64, padded(topics));
    let result = 4 * sizes.chunk_documents * width;
    let dispatcher = sizes
        .dispatcher()
        .with("dictionaries", 2 * sizes.dictionary())
        .with("model", 2 * model)
        .with("results", sizes.results(result));
    let worker = sizes
        .worker(sizes.prepared() + 4 * sizes.terms)
        .with("model", model + 4 * sizes.terms * width)
        .with("vectors of a chunk", 4 * result);
    Forecast { dispatcher: dispatcher.and(Need::fixed(FILES / 2)), worker }
}

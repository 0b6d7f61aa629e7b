//! Training: minibatches of documents, and after each the topics.
//!
//! Problem: V (terms x documents, over the workers by chunks) -> W (terms x k, over the workers by rows, columns of length 1).
//! Algorithm, for each minibatch of each pass; minibatches are defined on the corpus as those of LDA are
//! ([`minibatch`](crate::lda::minibatch)):
//!   1. all-gather of W; G = W^T W, an exact sum over blocks of rows;
//!   2. each worker infers H of its documents ([`kernel`](super::kernel)) and adds H H^T and V H^T to exact sums, which are bounded by
//!      |V|_F^2, since no weight exceeds the length of its document;
//!   3. these go into A (k x k) and B (terms x k) with weight 1 / min(t, minibatches of a pass) in the t-th step. In the first
//!      pass that is the mean of all steps, as in gensim; later on a pass makes the one before it forgotten, where gensim's
//!      mean keeps what topics were long ago;
//!   4. each row of W is improved by coordinate descent for its own least squares with A and B, the same as a document's;
//!   5. columns of W are brought to length 1, and A and B scaled as if H had been larger by as much: what they say of W H stays.
//!
//! Cost of a minibatch with d documents of z nonzeros: 4 z k flops, 2 k (d + terms) for each weight that moves in a sweep, terms k^2
//! over all workers; one all-gather of 4 terms k bytes, one exact sum of 8 terms k and three of 8 k^2.
//! At the end one more pass, for |V - W H| and the shares of the topics.
//! References: see [`nmf`](super).

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::descent::descend;
use super::kernel::Kernel;
use super::memory;
use super::model::NmfModel;
use super::params::NmfPlan;
use super::snapshot::{Keeper, Reached};
use crate::comm::Route;
use crate::corpus::chunk::CsrChunk;
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lda::held::hold_all;
use crate::lda::minibatch::{Held, Place, deal};
use crate::linalg::dense::multiply_f64;
use crate::linalg::fixed::{Grid, wide};
use crate::linalg::kernels::{LANES, Sums, terms_times};
use crate::linalg::rows::{self, RowShares};
use crate::linalg::{Aligned, Prepared, Simd};
use crate::lsi::operator::sum_in_order;
use crate::lsi::panel::Panel;
use crate::lsi::spread::{collect_rows, gather_rows, sum_rows};
use crate::random::Stream;
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::section::Section;

/// A model whose topics are spread over the workers.
pub struct Trained {
    /// The model without its topics, and its terms on the dispatcher only.
    pub model: NmfModel,
    /// This worker's rows of W.
    topics: Array2<f32>,
}

/// Most that an entry of W is before columns are brought to length 1. Only topics that hardly any document has come near it.
const MOST: f64 = 1000.0;

/// Covers columns that are of length 1 only to rounding, in bounds that hold for those of length 1.
const SLACK: f64 = 1.5;

/// What bounds sums over the corpus; the same on all ranks.
#[derive(Debug, Clone, Copy)]
struct Size {
    /// |V|_F^2.
    squares: f64,
    documents: u64,
    terms: usize,
}

impl Size {
    /// Collective.
    fn of(job: &Job, corpus: &Corpus, chunks: &[Held]) -> Result<Size> {
        let mut squares = Vec::new();
        for Held(chunk) in chunks {
            if let Some(at) = chunk.data.iter().position(|value| *value < 0.0) {
                let row = chunk.indptr.partition_point(|&begin| begin <= at as u64) as u64 - 1;
                let (path, document) = (corpus.path().display(), chunk.first_document + row);
                return Err(Error::failed(format!(
                    "{path}: document {document} (counted from 0) has a weight below 0: NMF takes none"
                )));
            }
            let sum: f64 = chunk.data.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
            squares.push([chunk.first_document, sum.to_bits()]);
        }
        let squares = sum_in_order(job, &squares)?;
        if squares == 0.0 {
            let path = corpus.path().display();
            return Err(Error::failed(format!("{path}: no document has a term: there is nothing to learn")));
        }
        let terms = corpus.header().terms as usize;
        Ok(Size { squares, documents: corpus.header().documents, terms })
    }

    /// Grid for sums of products of weights and values.
    fn products(&self) -> Result<Grid> {
        Grid::for_bound(SLACK * self.squares)
    }

    /// Grid for sums of weights of documents: |sum of |v|| <= sqrt(documents) |V|_F.
    fn weights(&self) -> Result<Grid> {
        Grid::for_bound(SLACK * (self.documents as f64 * self.squares).sqrt())
    }

    /// Grid for sums over a column of numbers of `largest` at most, one a term.
    fn column(&self, largest: f64) -> Result<Grid> {
        Grid::for_bound(SLACK * self.terms as f64 * largest)
    }
}

/// Trains. Collective.
///
/// # Errors
/// A weight below 0; no document has a term; `Stopped` at a checkpoint.
pub fn train(job: &Job, corpus: &Corpus, plan: &NmfPlan) -> Result<Trained> {
    let sizes = corpus.sizes(job)?;
    let remedy = "give more, use more ranks on more hosts, or lower -k";
    let job = &job.within_memory(remedy, || Ok(memory::training(&sizes, plan)))?;
    let phase = job.account.enter_phase("read");
    let chunks = hold_all(job, corpus)?;
    let size = Size::of(job, corpus, &chunks)?;
    drop(phase);
    let phase = job.account.enter_phase("train");
    let shares = RowShares::new(size.terms, job.workers());
    let (mut keeper, reached) = Keeper::open(job, &shares, plan)?;
    let begin = reached.as_ref().map_or(0, |reached| reached.step);
    let mut worker = job.works().then(|| Worker::new(job, plan, &chunks, size, shares, reached)).transpose()?;
    let k = plan.params.topics;
    let all = size.documents * plan.params.passes as u64;
    let progress = job.is_dispatcher().then(|| job.progress.task("nmf", Unit::Documents, Some(all)));
    let grid = size.products()?;
    for step in begin..plan.steps() {
        let words = match &mut worker {
            Some(worker) => worker.infer(step)?,
            None => vec![0; k * k + 3],
        };
        let words = job.wait(job.comm.sum(Route::World, words))?;
        let (products, rest) = words.split_at(k * k);
        if let Some(worker) = &mut worker {
            worker.learn(step, products)?;
        }
        if let Some(progress) = &progress {
            progress.advance(rest[2] as u64, rest[2] as u64);
            let every = plan.params.eval_every;
            if every > 0 && ((step + 1).is_multiple_of(every) || step + 1 == plan.steps()) {
                let error = relative(grid, rest);
                log::info!("nmf: minibatch {} of {}: relative error {error:.4}", step + 1, plan.steps());
            }
        }
        job.account.count(|counters| {
            counters.rounds += 1;
            counters.passes += u64::from((step + 1).is_multiple_of(plan.minibatches));
        });
        if let Some(keeper) = &mut keeper {
            keeper.after_step(job, size.terms, worker.as_ref())?;
        }
    }
    drop((phase, progress));
    let _phase = job.account.enter_phase("error");
    let words = match &mut worker {
        Some(worker) => worker.judge()?,
        None => vec![0; 2 * k + 2],
    };
    let words = job.wait(job.comm.sum(Route::World, words))?;
    let (weights, columns) = (size.weights()?, size.column(1.0)?);
    let shares: Vec<f64> = (0..k).map(|j| weights.float(words[j]) * columns.float(words[k + j])).collect();
    let sum: f64 = shares.iter().sum();
    let model = NmfModel {
        term_topic: Array2::zeros((0, k)),
        topic_share: shares.iter().map(|share| share / sum.max(f64::MIN_POSITIVE)).collect(),
        relative_error: relative(grid, &words[2 * k..]),
        terms: if job.is_dispatcher() { job.account.io(|| corpus.reader()?.terms())? } else { Vec::new() },
        documents: size.documents,
        values: corpus.header().values.name().to_owned(),
        normalize: plan.params.normalize,
        minimum_probability: plan.params.minimum_probability,
        until: plan.document,
    };
    let topics = worker.map_or_else(|| Array2::zeros((0, k)), |worker| worker.rows(&worker.w).to_owned());
    Ok(Trained { model, topics })
}

/// |V - W H| / |V|, given the square of the first less that of the second, and that of the second.
fn relative(grid: Grid, sums: &[i64]) -> f64 {
    let (difference, squares) = (grid.float(sums[0]), grid.float(sums[1]));
    ((difference + squares).max(0.0) / squares.max(f64::MIN_POSITIVE)).sqrt()
}

/// Writes a model; the rows of its topics come to the dispatcher, which has the target. Collective.
pub fn save(
    job: &Job,
    trained: &Trained,
    corpus: &Corpus,
    target: Option<Target>,
    provenance: impl FnOnce() -> Result<serde_json::Value>,
) -> Result<()> {
    let terms = corpus.header().terms as usize;
    let collect =
        |sink: &mut dyn FnMut(ArrayView2<f32>) -> Result<()>| collect_rows(job, terms, trained.topics.view(), sink);
    let Some(target) = target else { return collect(&mut |_| Ok(())) };
    let weighting = Section::open(corpus.reader()?.file(), crate::corpus::container::WEIGHTING)?;
    trained
        .model
        .save_rows(target, &provenance()?, weighting, |sink| collect(&mut |rows| job.account.io(|| sink(rows))))
}

/// The state on a worker.
pub(super) struct Worker<'a> {
    job: &'a Job<'a>,
    plan: &'a NmfPlan,
    chunks: &'a [Held],
    size: Size,
    shares: RowShares,
    /// Rows here of W and of B.
    pub(super) w: Panel,
    pub(super) b: Panel,
    /// A (k x k), the same on all workers.
    pub(super) a: Vec<f64>,
    /// The next step.
    pub(super) step: usize,
    /// Documents of the minibatches of the pass.
    dealt: Vec<Vec<Place>>,
    /// W of all terms, exact sums of V H^T, and H of a chunk: large, and used again.
    all: Aligned<f32>,
    sums: Vec<i64>,
    h: Aligned<f32>,
}

impl<'a> Worker<'a> {
    /// Collective over the workers.
    fn new(
        job: &'a Job<'a>,
        plan: &'a NmfPlan,
        chunks: &'a [Held],
        size: Size,
        shares: RowShares,
        reached: Option<Reached>,
    ) -> Result<Self> {
        let own = shares.of(job.comm.rank().saturating_sub(Route::Workers.members(job.comm.size()).start));
        let (k, width) = (plan.params.topics, plan.params.topics.next_multiple_of(LANES));
        let mut worker = Worker {
            job,
            plan,
            chunks,
            size,
            shares,
            w: Panel::zeros(own.len(), width),
            b: Panel::zeros(own.len(), width),
            a: vec![0.0; k * k],
            step: 0,
            dealt: Vec::new(),
            all: Aligned::zeros(size.terms * width),
            sums: Vec::new(),
            h: Aligned::default(),
        };
        match reached {
            Some(Reached { step, a, w, b }) => {
                (worker.step, worker.a) = (step, a);
                (worker.w, worker.b) = (Panel::of(w.view()), Panel::of(b.view()));
            }
            None => {
                for (term, row) in own.zip(worker.w.values.chunks_exact_mut(width)) {
                    let mut stream = Stream::new(plan.params.seed, "nmf start", term as u64);
                    row[..k].fill_with(|| stream.normal().abs() as f32);
                }
                worker.normalise()?;
            }
        }
        Ok(worker)
    }

    /// Rows here of a panel, without padding (rows x k).
    pub(super) fn rows<'p>(&self, panel: &'p Panel) -> ArrayView2<'p, f32> {
        let all = ArrayView2::from_shape((panel.rows, panel.width), &panel.values[..]).expect("rows of a panel");
        all.slice_move(s![.., ..self.plan.params.topics])
    }

    /// Brings W of all terms together and gives G.
    fn gather(&mut self) -> Result<Vec<f64>> {
        let (job, k, width) = (self.job, self.plan.params.topics, self.w.width);
        gather_rows(job, &self.shares, &mut self.w.values, &mut self.all, width)?;
        let mut sums = vec![0i64; 2 * width * width];
        job.account.compute(|| self.w.gram(&mut sums));
        let sums = job.wait(job.comm.sum(Route::Workers, sums))?;
        let value = |i: usize, j: usize| wide::value(&sums[2 * (i * width + j)..][..2]);
        // Both halves are the same but for rounding within a block.
        Ok((0..k * k).map(|at| value((at / k).min(at % k), (at / k).max(at % k))).collect())
    }

    /// Infers this worker's documents of a minibatch: H H^T (k x k), |v - W h|^2 - |v|^2 and |v|^2 on the grid of products,
    /// documents. Sums of V H^T stay here.
    fn infer(&mut self, step: usize) -> Result<Vec<i64>> {
        let (plan, job, chunks) = (self.plan, self.job, self.chunks);
        let (pass, at) = (step / plan.minibatches, step % plan.minibatches);
        if at == 0 || self.dealt.is_empty() {
            self.dealt = job.account.compute(|| deal(chunks, plan.minibatches, plan.params.seed, pass as u64));
        }
        let places = std::mem::take(&mut self.dealt[at]);
        let gram = self.gather()?;
        let (grid, k, width) = (self.size.products()?, plan.params.topics, self.w.width);
        let mut words = vec![0i64; k * k + 3];
        self.sums.clear();
        self.sums.resize(self.size.terms * width, 0);
        let kernel = Kernel { topics: &self.all, width, gram: &gram, k, until: plan.document };
        let (h, sums) = (&mut self.h, &mut self.sums);
        job.account.compute(|| {
            // Parts of the minibatch are its documents of each chunk: they follow from the corpus.
            for places in places.chunk_by(|one, other| one.0 == other.0) {
                let (part, squares) = part(chunks, places);
                let part = Prepared::new(part)?;
                let differences = kernel.infer(job.pool, &part, h);
                terms_times(Simd::detect(), job.pool, &part, h, width, grid, Sums::Add(sums));
                add_products(h, width, k, grid, &mut words[..k * k]);
                words[k * k] += grid.fix(differences.iter().sum());
                words[k * k + 1] += grid.fix(squares);
                words[k * k + 2] += part.documents() as i64;
                job.account.count(|counters| {
                    counters.documents += part.documents() as u64;
                    counters.flops += 4 * (part.nonzeros() * k) as u64;
                });
            }
            Ok(words)
        })
    }

    /// Takes the sums of a minibatch into A and B, and improves W. Collective over the workers.
    fn learn(&mut self, step: usize, products: &[i64]) -> Result<()> {
        let (plan, job) = (self.plan, self.job);
        let (k, width, grid) = (plan.params.topics, self.w.width, self.size.products()?);
        sum_rows(job, &self.shares, &mut self.sums, width)?;
        let weight = 1.0 / (step + 1).min(plan.minibatches) as f64;
        let take = |old: f64, sum: i64| (1.0 - weight) * old + weight * grid.float(sum);
        for i in 0..k {
            for j in 0..k {
                let (value, upper) = (self.a[i * k + j], products[i.min(j) * k + i.max(j)]);
                self.a[i * k + j] = take(value, upper);
            }
        }
        let a = &self.a;
        let (w, b, sums) = (&mut self.w.values, &mut self.b.values, &self.sums);
        let improve = |((w, b), sums): ((&mut [f32], &mut [f32]), &[i64])| {
            b.iter_mut().zip(sums).for_each(|(b, &sum)| *b = take(f64::from(*b), sum) as f32);
            let mut x: Vec<f64> = w[..k].iter().map(|&value| f64::from(value)).collect();
            let mut gradient: Vec<f64> = b[..k].iter().map(|&value| -f64::from(value)).collect();
            for (x, row) in x.iter().zip(a.chunks_exact(k)).filter(|(x, _)| **x != 0.0) {
                gradient.iter_mut().zip(row).for_each(|(sum, value)| *sum += x * value);
            }
            descend(a, &mut gradient, &mut x, &plan.term);
            w.iter_mut().zip(x).for_each(|(to, x)| *to = x.min(MOST) as f32);
        };
        job.account.compute(|| {
            job.pool.install(|| {
                let rows = w.par_chunks_mut(width).zip(b.par_chunks_mut(width)).zip(sums.par_chunks(width));
                rows.for_each(improve);
            });
        });
        self.step = step + 1;
        self.normalise()
    }

    /// Brings the columns of W to length 1; A and B change as if the weights of documents had
    /// been larger by as much. Collective over the workers.
    fn normalise(&mut self) -> Result<()> {
        let (job, k, width) = (self.job, self.plan.params.topics, self.w.width);
        let grid = self.size.column(MOST * MOST)?;
        let mut sums = vec![0i64; k];
        for block in rows::blocks(self.w.rows) {
            let mut squares = vec![0f64; k];
            for row in self.w.values[block.start * width..block.end * width].chunks_exact(width) {
                squares.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value) * f64::from(value));
            }
            sums.iter_mut().zip(squares).for_each(|(sum, square)| *sum += grid.fix(square));
        }
        let sums = job.wait(job.comm.sum(Route::Workers, sums))?;
        // A topic that no term has is left as it is: nothing.
        let length = |&sum: &i64| if sum > 0 { grid.float(sum).sqrt() } else { 1.0 };
        let lengths: Vec<f64> = sums.iter().map(length).collect();
        for (w, b) in self.w.values.chunks_exact_mut(width).zip(self.b.values.chunks_exact_mut(width)) {
            for ((w, b), length) in w.iter_mut().zip(b).zip(&lengths) {
                *w = (f64::from(*w) / length) as f32;
                *b = (f64::from(*b) * length) as f32;
            }
        }
        for (at, value) in self.a.iter_mut().enumerate() {
            *value *= lengths[at / k] * lengths[at % k];
        }
        Ok(())
    }

    /// Goes through all documents with the topics found: sums of H by topic on the grid of weights, of W on that of columns,
    /// and what [`relative`] takes.
    fn judge(&mut self) -> Result<Vec<i64>> {
        let gram = self.gather()?;
        let (job, size, k, width) = (self.job, self.size, self.plan.params.topics, self.w.width);
        let (weights, columns, products) = (size.weights()?, size.column(1.0)?, size.products()?);
        let mut words = vec![0i64; 2 * k + 2];
        for block in rows::blocks(self.w.rows) {
            let block = &self.w.values[block.start * width..block.end * width];
            let sums = column_sums(block, width, k);
            words[k..2 * k].iter_mut().zip(sums).for_each(|(word, sum)| *word += columns.fix(sum));
        }
        let kernel = Kernel { topics: &self.all, width, gram: &gram, k, until: self.plan.document };
        for Held(chunk) in self.chunks {
            let squares: f64 = chunk.data.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
            let part = Prepared::new((**chunk).clone())?;
            let differences = job.account.compute(|| kernel.infer(job.pool, &part, &mut self.h));
            let sums = column_sums(&self.h, width, k);
            words[..k].iter_mut().zip(sums).for_each(|(word, sum)| *word += weights.fix(sum));
            words[2 * k] += products.fix(differences.iter().sum());
            words[2 * k + 1] += products.fix(squares);
            job.account.count(|counters| counters.documents += part.documents() as u64);
        }
        Ok(words)
    }
}

/// Sums of the first k columns of some rows.
fn column_sums(rows: &[f32], width: usize, k: usize) -> Vec<f64> {
    let mut sums = vec![0f64; k];
    for row in rows.chunks_exact(width) {
        sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sums
}

/// Some documents of one chunk, and the sum of the squares of their values.
fn part(chunks: &[Held], places: &[Place]) -> (CsrChunk, f64) {
    let Held(whole) = &chunks[places[0].0 as usize];
    let mut rows: Vec<u32> = places.iter().map(|place| place.1).collect();
    rows.sort_unstable();
    let (first_document, terms) = (whole.first_document + u64::from(rows[0]), whole.terms);
    let mut part = CsrChunk { first_document, terms, indptr: vec![0], ..CsrChunk::default() };
    for row in rows {
        let (terms, values) = whole.document(row as usize);
        part.indices.extend_from_slice(terms);
        part.data.extend_from_slice(values);
        part.indptr.push(part.indices.len() as u64);
    }
    let squares = part.data.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    (part, squares)
}

/// Adds H^T H of some documents (documents x width) to exact sums (k x k).
fn add_products(h: &[f32], width: usize, k: usize, grid: Grid, sums: &mut [i64]) {
    let h = ArrayView2::from_shape((h.len() / width, width), h).expect("rows of a panel");
    let h = h.slice(s![.., ..k]).mapv(f64::from);
    let mut product = Array2::zeros((k, k));
    multiply_f64(1.0, h.t(), h.view(), 0.0, &mut product.view_mut());
    sums.iter_mut().zip(&product).for_each(|(sum, &value)| *sum += grid.fix(value));
}

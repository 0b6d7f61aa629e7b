//! Truncated singular value decomposition by block Krylov iteration.
//!
//! Problem: the k largest singular values s and left singular vectors u of A (terms x documents): eigenpairs
//! (s^2, u) of G = A A^T.
//! Algorithm: block Lanczos with full reorthogonalisation. A round applies G to the last block V_j, orthonormalises
//! the product against the whole basis Q = [V_1 .. V_j] and makes what is left the next block; H = Q^T G Q grows by the
//! overlaps found on the way. Rayleigh-Ritz: H = Z T Z^T gives s^2 ~ T, u ~ Q z, and the residual of each pair is
//! ||B z_last||, B the coupling to the next block: no extra product is needed to know how good an answer is. When the
//! basis is full it is compressed to the best Ritz vectors (thick restart: Wu and Simon, SIAM J. Matrix Anal. 22,
//! 2000), which keeps H exact. A block that turns out dependent shrinks; when nothing is left the space is invariant
//! and a fresh random block goes on (directions of a multiple value may hide from a smaller block).
//! Cost: a round is 4 nnz b flops of sparse products and, for a basis of c columns of which the last min(c, 2 b) are
//! recent, 4 terms (c + min(c, 2 b) + 2 b) b of dense ones; one fold, one all-gather, one exact sum of the product and
//! three small sums; at the end 2 terms c k. Memory terms c x 4 bytes over all workers.
//! References: Golub and Underwood 1977; Musco and Musco, NIPS 2015 (why blocks need so few rounds).

mod snapshot;

use ndarray::{Array1, Array2, s};

use crate::comm::Route;
use crate::error::{Error, Result};
use crate::linalg::dense::symmetric_eigen;
use crate::linalg::kernels::LANES;
use crate::random::Stream;
use crate::report::account::Account;
use crate::report::progress::Unit;

use super::operator::Operator;
use super::orthogonal::orthonormalise;
use super::panel::{Basis, Panel};
use super::params::LsiPlan;
use snapshot::Keeper;

/// The answer of the iteration, spread over the workers.
pub struct Decomposition {
    /// This worker's rows of the left vectors (rows x k).
    pub vectors: Array2<f32>,
    /// Their singular values, largest first, to the accuracy of f32 products; on workers only.
    pub singular_values: Vec<f64>,
    /// Triplets found: fewer than asked for when the corpus has no more.
    pub topics: usize,
    /// Rounds taken.
    pub rounds: usize,
    /// Largest relative residual of the wanted pairs, as estimated by the iteration.
    pub residual: f64,
}

/// Share of the wanted columns that a compressed basis keeps beyond them: these guard the slowest of them.
const GUARD: f64 = 0.25;
/// Products after which an iteration that does not converge gives its best answer.
const MOST_PRODUCTS_PER_TOPIC: usize = 60;
/// Eigenvalues of H below this share of the largest are rounding noise of the f32 products, not values of the corpus.
const NOISE: f64 = 1e-6;

/// What of a product is shorter than this share of the longest product seen, about the largest eigenvalue, is rounding
/// noise of f32: a space that leaves no more than that is invariant.
const ROUNDING: f64 = 1e-7;

/// What a worker tells the dispatcher after a round.
#[derive(Debug, Clone, Copy)]
struct Status {
    done: bool,
    topics: usize,
    residual: f64,
    /// Documents it has worked on so far, in all rounds.
    documents: u64,
}

impl Status {
    fn encode(self) -> Vec<u8> {
        let numbers = [self.done as u64, self.topics as u64, self.residual.to_bits(), self.documents];
        numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Result<Status> {
        let numbers: Vec<u64> = bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        match numbers[..] {
            [done, topics, residual, documents] => {
                let (topics, residual) = (topics as usize, f64::from_bits(residual));
                Ok(Status { done: done != 0, topics, residual, documents })
            }
            _ => Err(Error::failed("damaged message after a round")),
        }
    }
}

/// Runs the iteration. Collective. It begins with a random block, or with `start`: this worker's rows of `plan.block`
/// orthonormal vectors that are expected to be close to the wanted ones.
pub fn decompose(operator: &Operator, plan: &LsiPlan, start: Option<Panel>) -> Result<Decomposition> {
    let job = operator.job();
    let task = job.is_dispatcher().then(|| job.progress.task("lsi round 1", Unit::Documents, None));
    let width = plan.block.next_multiple_of(LANES);
    let (mut keeper, reached) = Keeper::open(job, operator, plan)?;
    let (mut worker, mut rounds) = match reached {
        Some(reached) => reached,
        None => (job.works().then(|| Worker::new(operator, plan, start)).transpose()?, 0),
    };
    let (before, mut worked_on) = (job.account.counters().documents, 0);
    loop {
        let status = match &mut worker {
            Some(worker) => worker.round(operator, plan)?,
            None => {
                operator.apply(&mut Panel::zeros(0, width), plan.block)?;
                Status { done: false, topics: 0, residual: 0.0, documents: 0 }
            }
        };
        rounds += 1;
        // All workers come to the same decision from the same bits; the dispatcher is told.
        let status = Status { documents: job.account.counters().documents - before, ..status };
        let said = job.wait(job.comm.gather(Route::World, status.encode()))?;
        let said = said.iter().map(|said| Status::decode(said)).collect::<Result<Vec<_>>>()?;
        let status = said.last().copied().unwrap_or(status);
        if let Some(task) = &task {
            let residual =
                if status.residual.is_finite() { format!(", residual {:.1e}", status.residual) } else { String::new() };
            let documents: u64 = said.iter().map(|said| said.documents).sum();
            let newly = documents.saturating_sub(std::mem::replace(&mut worked_on, documents));
            task.advance(newly, newly);
            task.rename(&format!("lsi round {}{residual}", rounds + 1));
            log::debug!("lsi round {rounds}{residual}");
        }
        if status.done {
            let Status { topics, residual, .. } = status;
            let (vectors, singular_values) = match worker {
                Some(worker) => worker.finish(operator, topics)?,
                None => (Array2::zeros((0, topics)), Vec::new()),
            };
            return Ok(Decomposition { vectors, singular_values, topics, rounds, residual });
        }
        if let Some(keeper) = &mut keeper {
            keeper.after_round(operator, worker.as_ref())?;
        }
    }
}

/// The state of the iteration on one worker. All workers hold the same small matrices.
struct Worker {
    basis: Basis,
    block: Panel,
    /// Columns of the block in use.
    used: usize,
    /// Q^T G Q.
    h: Array2<f64>,
    /// Ritz values and vectors of the last check.
    ritz: Option<Ritz>,
    rounds: usize,
    products: usize,
    fresh: u64,
    /// The next product overlaps with the columns before this one only by rounding.
    recent: usize,
    /// How often the basis was compressed.
    restarts: u64,
    /// Squared length of the longest product so far.
    longest: f64,
    check: Schedule,
}

impl Worker {
    fn new(operator: &Operator, plan: &LsiPlan, start: Option<Panel>) -> Result<Worker> {
        let rows = operator.rows().len();
        let width = plan.block.next_multiple_of(LANES);
        let mut worker = Worker {
            basis: Basis::new(rows),
            block: Panel::zeros(rows, width),
            used: 0,
            h: Array2::zeros((plan.capacity + width, plan.capacity + width)),
            ritz: None,
            rounds: 0,
            products: 0,
            fresh: 0,
            recent: 0,
            restarts: 0,
            longest: 0.0,
            check: Schedule::new(plan),
        };
        match start {
            Some(start) => (worker.block, worker.used) = (start, plan.block),
            None => worker.inject(operator, plan)?,
        }
        Ok(worker)
    }

    /// Makes the block a random one, orthogonal to the basis. Row r of it is a function of the seed and r alone.
    fn inject(&mut self, operator: &Operator, plan: &LsiPlan) -> Result<()> {
        let used = plan.block.min(operator.shares().rows() - self.basis.columns());
        let width = self.block.width;
        self.block.values.fill(0.0);
        let first = operator.rows().start;
        for (row, values) in self.block.values.chunks_exact_mut(width).enumerate() {
            let purpose = if self.fresh == 0 { "lsi start" } else { "lsi restart" };
            let mut stream = Stream::new(plan.seed.wrapping_add(self.fresh), purpose, (first + row) as u64);
            values[..used].fill_with(|| (2.0 * stream.uniform() - 1.0) as f32);
        }
        self.fresh += 1;
        // The sums of a random block of numbers below 1 are bounded by the number of rows.
        let grid = crate::linalg::fixed::Grid::for_bound(operator.shares().rows() as f64)?;
        let factors = orthonormalise(operator.job(), &self.basis, 0, &mut self.block, used, grid, 0.0)?;
        self.used = factors.b.nrows();
        Ok(())
    }

    /// One product, one block more. True in the status when the answer is there.
    fn round(&mut self, operator: &Operator, plan: &LsiPlan) -> Result<Status> {
        let (old, used) = (self.basis.columns(), self.used);
        self.basis.append(&self.block, used);
        operator.apply(&mut self.block, used)?;
        self.rounds += 1;
        self.products += used;
        let (job, grid, noise) = (operator.job(), operator.grid()?, ROUNDING * ROUNDING * self.longest);
        let factors = orthonormalise(job, &self.basis, self.recent, &mut self.block, used, grid, noise)?;
        self.longest = self.longest.max(factors.size);
        self.recent = old;
        let columns = old + used;
        self.h.slice_mut(s![..columns, old..columns]).assign(&factors.c);
        self.h.slice_mut(s![old..columns, ..old]).assign(&factors.c.slice(s![..old, ..]).t());
        self.used = factors.b.nrows();

        let terms = operator.shares().rows();
        let invariant = self.used == 0;
        let everything = columns == terms;
        let last =
            plan.rounds.map_or(self.products >= MOST_PRODUCTS_PER_TOPIC * plan.topics.max(plan.block), |rounds| {
                self.rounds == rounds
            });
        let full = columns + plan.block > plan.capacity;
        let due = plan.rounds.is_none() && self.check.due(columns);
        let mut status = Status { done: false, topics: plan.topics, residual: f64::NAN, documents: 0 };
        if due || last || full || invariant || everything {
            let residual = operator.job().account.compute(|| self.ritz(&factors.b, plan))?;
            self.check.learn(columns, residual, plan);
            status.residual = residual;
            // An invariant space that came from the first block alone may lack copies of multiple values: one fresh
            // block looks for them.
            let complete = everything || (columns >= plan.topics && (!invariant || self.fresh > 1));
            status.done = last || (complete && plan.rounds.is_none() && residual <= plan.tolerance) || everything;
        }
        if status.done {
            status.topics = self.rank().min(plan.topics);
            return Ok(status);
        }
        if full {
            self.compress(operator.job().account, plan);
        }
        if invariant {
            self.inject(operator, plan)?;
            if self.used == 0 {
                status.done = true;
                status.topics = self.rank().min(plan.topics);
            }
        }
        Ok(status)
    }

    /// Solves the projected problem; the largest relative residual of the wanted pairs.
    fn ritz(&mut self, coupling: &Array2<f64>, plan: &LsiPlan) -> Result<f64> {
        let columns = self.basis.columns();
        let (values, vectors) = symmetric_eigen(&self.h.slice(s![..columns, ..columns]).to_owned())?;
        let last = vectors.slice(s![columns - coupling.ncols().., ..]);
        let wanted = plan.topics.min(columns);
        let tail = coupling.dot(&last.slice(s![.., ..wanted]));
        let noise = NOISE * values[0];
        let residual = (0..wanted)
            .filter(|&i| values[i] > noise)
            .map(|i| tail.column(i).iter().map(|x| x * x).sum::<f64>().sqrt() / values[i])
            .fold(0.0, f64::max);
        self.ritz = Some(Ritz { values, vectors });
        Ok(residual)
    }

    /// Ritz values that are more than noise.
    fn rank(&self) -> usize {
        let above = |ritz: &Ritz| ritz.values.iter().filter(|&&value| value > NOISE * ritz.values[0]).count();
        self.ritz.as_ref().map_or(0, above)
    }

    /// Thick restart: the basis becomes the best Ritz vectors, H their values. The next block stays as it is, and its
    /// overlaps with them will be found by the next round.
    fn compress(&mut self, account: &Account, plan: &LsiPlan) {
        if let Some(Ritz { values, vectors }) = self.ritz.take() {
            let keep = (plan.topics + (plan.topics as f64 * GUARD).ceil() as usize)
                .min(plan.capacity - 2 * plan.block)
                .min(values.len());
            let flops = 2 * self.block.rows * self.basis.columns() * keep;
            account.count(|counters| counters.dense_flops += flops as u64);
            account.compute(|| self.basis.compress(vectors.slice(s![.., ..keep])));
            self.h.fill(0.0);
            for i in 0..keep {
                self.h[[i, i]] = values[i];
            }
            self.check.restarted();
            self.restarts += 1;
            // The next product overlaps with all of the compressed basis.
            self.recent = 0;
        }
    }

    /// The wanted left vectors and their singular values.
    fn finish(self, operator: &Operator, topics: usize) -> Result<(Array2<f32>, Vec<f64>)> {
        let Ritz { values, vectors } =
            self.ritz.ok_or_else(|| Error::failed("the iteration ended without an answer"))?;
        let singular_values = values.iter().take(topics).map(|value| (value / operator.unit()).sqrt()).collect();
        let account = operator.job().account;
        let flops = 2 * self.block.rows * self.basis.columns() * topics;
        account.count(|counters| counters.dense_flops += flops as u64);
        Ok((account.compute(|| self.basis.combine(vectors.slice(s![.., ..topics]))), singular_values))
    }
}

/// Eigenpairs of the projected problem, largest first: values, and vectors as combinations of the basis (columns x pairs).
struct Ritz {
    values: Array1<f64>,
    vectors: Array2<f64>,
}

/// When to solve the projected problem: it costs about (columns)^3, so it is solved only when it may show an end. The
/// residual falls about geometrically with the columns, at first as it did on other corpora; after two solutions the
/// rate of this one is known.
struct Schedule {
    next: usize,
    seen: Option<(usize, f64)>,
}

impl Schedule {
    fn new(plan: &LsiPlan) -> Schedule {
        // No corpus seen so far was done before three columns a topic.
        Schedule { next: 3 * plan.topics, seen: None }
    }

    fn due(&self, columns: usize) -> bool {
        columns >= self.next
    }

    fn learn(&mut self, columns: usize, residual: f64, plan: &LsiPlan) {
        // Columns a topic in which residuals fell by a factor e between 3 k columns and 4e-3: 0.34 to 0.65 on three
        // corpora with k from 50 to 200.
        const USUAL: f64 = 0.45;
        let topics = plan.topics as f64;
        let (rate, most) = match self.seen {
            // The fall quickens towards the end: twice the rate seen is expected.
            Some((before, earlier)) if columns > before && residual < earlier && residual > 0.0 => {
                (2.0 * (earlier / residual).ln() / (columns - before) as f64, 0.5 * topics)
            }
            Some(_) => (0.0, 0.5 * topics),
            None => (1.0 / (USUAL * topics), 1.25 * topics),
        };
        let ahead = ((residual / plan.tolerance).ln() / rate).clamp(1.0, most.max(plan.block as f64));
        self.seen = Some((columns, residual));
        self.next = columns + ahead as usize;
    }

    fn restarted(&mut self) {
        self.seen = None;
        self.next = 0;
    }
}

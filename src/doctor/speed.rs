//! How fast the workers are: dense and sparse products, and memory.
//!
//! First the first worker of each host measures on one thread while the others of its host sleep, then all workers at once
//! on all their threads, as in a run. A figure is that of the best of several repetitions. Working space: 100 MB a worker,
//! and 96 MB a thread for the triad, less where memory is short.

use std::time::{Duration, Instant};

use ndarray::{Array2, ArrayView2, ArrayViewMut2};
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::comm::Route;
use crate::corpus::generate::GenerateSpec;
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::linalg::dense::{multiply, multiply_in_rust};
use crate::linalg::fixed::Grid;
use crate::linalg::kernels::{Sums, documents_times, terms_times};
use crate::linalg::{Aligned, Prepared, Simd};

use super::{Figure, Unit};

/// Longest a measurement goes on, after a repetition that warms up.
const BUDGET: Duration = Duration::from_millis(200);

/// Names of the figures that advice is drawn from.
pub const SQUARE: &str = "dense f32, 768 x 768 x 768";
/// The linked back end may be one that does not suit the processor: `faer` always is at hand to compare with.
pub const SQUARE_IN_RUST: &str = "the same by faer";
/// The product of a basis with a block, as in orthogonalisation.
pub const SKINNY: &str = "dense f32, 400 x 2048 x 32";
/// The sparse products of a Krylov round.
pub const SPARSE: [(&str, usize); 2] = [("sparse f32, 32 columns", 32), ("sparse f32, 256 columns", 256)];
/// a = b + 3 c.
pub const TRIAD: &str = "memory, triad";

/// What one thread alone can do, by the first worker of each host. Collective; empty on the others.
pub fn one_thread(job: &Job, first_of_host: bool) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if first_of_host {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .map_err(|cause| Error::failed(format!("cannot start a thread: {cause}")))?;
        figures.push(Figure::new(SQUARE, dense(768, 768, 768, multiply), Unit::Flops));
        figures.push(Figure::new(SQUARE_IN_RUST, dense(768, 768, 768, multiply_in_rust), Unit::Flops));
        figures.push(Figure::new(SKINNY, dense(400, 2048, 32, multiply), Unit::Flops));
        sparse(&pool, &mut figures)?;
        figures.push(Figure::new(TRIAD, triad(&pool, job.memory), Unit::Bytes));
    }
    job.wait(job.comm.all_gather(Route::World, Vec::new()))?;
    Ok(figures)
}

/// What this worker can do with all its threads while all others work too. Collective; empty on a dispatcher that does not
/// work.
pub fn all_threads(job: &Job) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    if job.works() {
        sparse(job.pool, &mut figures)?;
        job.wait(job.comm.all_gather(Route::Workers, Vec::new()))?;
        figures.push(Figure::new(TRIAD, triad(job.pool, job.memory), Unit::Bytes));
    }
    job.wait(job.comm.all_gather(Route::World, Vec::new()))?;
    Ok(figures)
}

/// Units of work a second, in the best of the repetitions.
fn rate(work: f64, mut repeat: impl FnMut()) -> f64 {
    repeat();
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while best.is_infinite() || begin.elapsed() < BUDGET {
        let start = Instant::now();
        repeat();
        best = best.min(start.elapsed().as_secs_f64());
    }
    work / best.max(1e-9)
}

type Product = fn(f32, ArrayView2<f32>, ArrayView2<f32>, f32, &mut ArrayViewMut2<f32>);

/// Operations a second of an m x k by k x n product.
fn dense(m: usize, k: usize, n: usize, product: Product) -> f64 {
    let numbers = |rows: usize, columns: usize| {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * 31 + j * 17) % 101) as f32 * 0.01 - 0.5)
    };
    let (a, b, mut c) = (numbers(m, k), numbers(k, n), Array2::zeros((m, n)));
    rate(2.0 * (m * k * n) as f64, || product(1.0, a.view(), b.view(), 0.0, &mut c.view_mut()))
}

/// Operations a second of both sparse products of a Krylov round, on synthetic documents.
fn sparse(pool: &ThreadPool, figures: &mut Vec<Figure>) -> Result<()> {
    let spec = GenerateSpec { documents: 4_000, terms: 30_000, topics: 20, mean_length: 200.0, seed: 1 };
    let chunk = Prepared::new(spec.check()?.chunk(0).documents)?;
    let grid = Grid::for_bound(1e12)?;
    for (name, width) in SPARSE {
        let mut v = Aligned::<f32>::zeros(chunk.terms() * width);
        v.iter_mut().enumerate().for_each(|(i, value)| *value = ((i * 7919) % 1000) as f32 * 1e-3);
        let mut y = Aligned::<f32>::zeros(chunk.documents() * width);
        let mut w = vec![0i64; chunk.terms() * width];
        let both = rate(4.0 * (chunk.nonzeros() * width) as f64, || {
            documents_times(Simd::detect(), pool, &chunk, &v, width, &mut y);
            terms_times(Simd::detect(), pool, &chunk, &y, width, grid, Sums::Add(&mut w));
        });
        figures.push(Figure::new(name, both, Unit::Flops));
    }
    Ok(())
}

/// Bytes a second of a = b + 3 c over vectors that do not fit in the caches of a core: two read, one written.
fn triad(pool: &ThreadPool, memory: u64) -> f64 {
    let threads = pool.current_num_threads();
    // 32 MiB a vector and thread; three of them in at most a quarter of this rank's memory.
    let length = (4usize << 20).min((memory / 4 / 24) as usize / threads).max(1 << 10);
    let mut parts: Vec<[Vec<f64>; 3]> = pool.install(|| {
        (0..threads).into_par_iter().map(|_| [vec![0.0; length], vec![1.0; length], vec![2.0; length]]).collect()
    });
    rate((24 * length * threads) as f64, || {
        pool.install(|| {
            parts.par_iter_mut().for_each(|[a, b, c]| {
                a.iter_mut().zip(&*b).zip(&*c).for_each(|((a, b), c)| *a = b + 3.0 * c);
                std::hint::black_box(a);
            });
        });
    })
}

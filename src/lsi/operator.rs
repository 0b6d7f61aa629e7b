//! The matrix A A^T as an operator on blocks of vectors whose rows are spread over the workers.
//!
//! About the mean m of the documents the matrix is A - m 1^T, which is never made: `A^T V` gets the row `m^T V` subtracted
//! from each of its rows, a correction of rank one. The other factor needs none, for the rows of `Y = (A - m 1^T)^T V` add up
//! to zero: `(A - m 1^T) Y = A Y`.
//!
//! Problem: W = A A^T V for V (terms x b); A (terms x documents) by chunks of documents over the workers.
//! Algorithm, a round: (1) all-gather of V, whose rows are spread like those of the basis; (2) fold over the chunks:
//! `Y_i = A_i^T V`, `W += A_i Y_i` in fixed point, so that the product Y of all documents never exists; (3) sum of the
//! W of all workers, each getting the rows it owns.
//! Cost a round: 4 nnz b flops; a worker of P takes in (P-1)/P (4 + 8) terms b bytes and sends as many.

use std::cell::RefCell;

use crate::comm::Route;
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::linalg::fixed::{Grid, wide};
use crate::linalg::kernels::{LANES, Sums, documents_times, documents_times_f64, terms_times, terms_times_f64};
use crate::linalg::rows::{self, RowShares};
use crate::linalg::{Aligned, Prepared, Simd};

use super::chunks::Chunks;
use super::panel::Panel;
use super::spread::{gather_rows, sum_rows};

/// A corpus as a matrix, spread over the ranks of a job.
pub struct Operator<'d> {
    chunks: &'d dyn Chunks,
    shares: RowShares,
    member: usize,
    grid: Grid,
    frobenius_squared: f64,
    /// The mean of the documents (terms), where it is subtracted.
    mean: Option<Vec<f64>>,
    /// Factor by which products are scaled: see [`unit`].
    unit: f64,
    /// Large buffers of a round, kept for the next: fresh memory is slow memory.
    buffers: RefCell<Buffers>,
}

/// V of all terms, the sums of A Y, and Y of a chunk.
#[derive(Default)]
struct Buffers {
    v: Aligned<f32>,
    sums: Vec<i64>,
    y: Aligned<f32>,
}

/// Sums of one f64 pass over the corpus with the vectors U: see [`Operator::verify`].
pub struct Verified {
    /// ||A^T u||^2 of each column.
    pub captured: Vec<f64>,
    /// ||A A^T u - s^2 u|| / s^2 of each column.
    pub residuals: Vec<f64>,
}

impl<'d> Operator<'d> {
    /// Goes through the corpus once, which brings the chunks to their workers, and learns its norm. Collective.
    pub fn new(chunks: &'d dyn Chunks, terms: usize) -> Result<Self> {
        let job = chunks.job();
        let mut norms = Vec::new();
        chunks.each(&mut |number, chunk| {
            norms.push([number, chunk.frobenius_squared().to_bits()]);
            count(job, chunk, 0);
            Ok(())
        })?;
        let frobenius_squared = sum_in_order(job, &norms)?;
        if frobenius_squared == 0.0 {
            return Err(Error::failed("the corpus is empty: every document has no terms or no weight"));
        }
        // |A A^T V| for orthonormal V, and every partial sum of it, is bounded by ||A||_F^2.
        let grid = Grid::for_bound(SLACK * frobenius_squared)?;
        let members = Route::Workers.members(job.comm.size());
        Ok(Operator {
            chunks,
            shares: RowShares::new(terms, members.len()),
            member: job.comm.rank().saturating_sub(members.start),
            grid,
            frobenius_squared,
            mean: None,
            unit: unit(frobenius_squared),
            buffers: RefCell::default(),
        })
    }

    /// The same about the mean of the documents, for which the corpus is gone through once more. Collective; all ranks get the
    /// mean.
    pub fn about_mean(self, documents: u64) -> Result<Self> {
        // |sum of column j| <= sqrt(documents) |column j|, and so is every partial sum.
        let grid = Grid::for_bound(SLACK * (documents as f64 * self.frobenius_squared).sqrt())?;
        let mut sums = vec![0i64; self.shares.rows()];
        self.chunks.each(&mut |_, chunk| {
            chunk.add_term_sums(grid, &mut sums);
            count(self.job(), chunk, 0);
            Ok(())
        })?;
        let sums = self.job().wait(self.job().comm.sum(Route::World, sums))?;
        let mean = sums.iter().map(|&sum| grid.float(sum) / documents as f64).collect();
        Ok(Operator { mean: Some(mean), ..self })
    }

    /// The mean of the documents, where it is subtracted; empty elsewhere.
    pub fn mean(&self) -> &[f64] {
        self.mean.as_deref().unwrap_or_default()
    }

    /// m^T V for V of all terms (terms x width), in the order of the terms; empty where no mean is subtracted.
    fn shift(&self, v: &[f32], width: usize) -> Vec<f64> {
        let Some(mean) = &self.mean else { return Vec::new() };
        let mut shift = vec![0f64; width];
        for (mean, row) in mean.iter().zip(v.chunks_exact(width)).filter(|(mean, _)| **mean != 0.0) {
            shift.iter_mut().zip(row).for_each(|(sum, value)| *sum += mean * f64::from(*value));
        }
        shift
    }

    /// The job it runs in.
    pub fn job(&self) -> &Job<'_> {
        self.chunks.job()
    }

    /// Sum of the squares of the matrix.
    pub fn frobenius_squared(&self) -> f64 {
        self.frobenius_squared
    }

    /// Grid for sums over what [`apply`](Self::apply) gives, and overlaps of it with orthonormal vectors.
    pub fn grid(&self) -> Result<Grid> {
        Grid::for_bound(SLACK * self.unit * self.frobenius_squared)
    }

    /// The factor by which [`apply`](Self::apply) scales products, and with them their eigenvalues.
    pub fn unit(&self) -> f64 {
        self.unit
    }

    /// Rows of the matrix and who owns which.
    pub fn shares(&self) -> &RowShares {
        &self.shares
    }

    /// Rows owned here; none on a dispatcher that does not work.
    pub fn rows(&self) -> std::ops::Range<usize> {
        if self.job().works() { self.shares.of(self.member) } else { 0..0 }
    }

    /// Replaces V by A A^T V times the unit of the operator, of whose columns `columns` are in use. Collective; the
    /// dispatcher passes an empty panel.
    pub fn apply(&self, panel: &mut Panel, columns: usize) -> Result<()> {
        let job = self.job();
        let (width, terms) = (panel.width, self.shares.rows());
        if !job.works() {
            self.chunks.each(&mut |_, _| Ok(()))?;
            return Ok(());
        }
        let mut buffers = self.buffers.borrow_mut();
        let Buffers { v, sums, y } = &mut *buffers;
        v.resize(terms * width);
        gather_rows(job, &self.shares, &mut panel.values, v, width)?;
        let simd = Simd::detect();
        let shift: Vec<f32> = self.shift(v, width).into_iter().map(|value| value as f32).collect();
        let mut fresh = true;
        self.chunks.each(&mut |_, chunk| {
            let size = chunk.documents() * width;
            y.resize(size.max(y.len()));
            documents_times(simd, job.pool, chunk, v, width, &mut y[..size]);
            subtract(&mut y[..size], &shift);
            let into = Sums::begin_or_add(&mut fresh, sums, terms * width);
            terms_times(simd, job.pool, chunk, &y[..size], width, self.grid, into);
            count(job, chunk, columns);
            Ok(())
        })?;
        nothing_added(fresh, sums, terms * width);
        job.account.count(|counters| counters.products += columns as u64);
        sum_rows(job, &self.shares, sums, width)?;
        let step = self.unit * self.grid.step();
        for (value, sum) in panel.values.iter_mut().zip(&*sums) {
            *value = (*sum as f64 * step) as f32;
        }
        Ok(())
    }

    /// One pass in f64 with the given vectors (this worker's rows of terms x columns, f32 as they are saved), so that
    /// what is computed from it is that of the vectors, not of the arithmetic. `squares` are the s^2 that residuals are taken
    /// with; left out, those that the vectors capture. Collective; goes in strips of columns to bound the memory.
    ///
    /// V stays rows of f32, which is what it is; everything computed from it is f64.
    pub fn verify(&self, own: ndarray::ArrayView2<f32>, columns: usize, squares: Option<&[f64]>) -> Result<Verified> {
        let job = self.job();
        let rows = self.rows().len();
        let mut captured = Vec::with_capacity(columns);
        let mut differences = vec![0i64; 2 * columns];
        let simd = Simd::detect();
        let terms = self.shares.rows();
        let mut strip = Aligned::<f32>::default();
        let mut exact = Aligned::<f64>::default();
        let Buffers { v, sums, .. } = &mut *self.buffers.borrow_mut();
        for first in (0..columns).step_by(STRIP) {
            let used = STRIP.min(columns - first);
            let width = used.next_multiple_of(LANES);
            if !job.works() {
                self.chunks.each(&mut |_, _| Ok(()))?;
                let total = job.wait(job.comm.sum(Route::World, vec![0; 2 * used]))?;
                captured.extend(total.chunks_exact(2).map(|pair| wide::value(pair) / self.unit));
                continue;
            }
            strip.resize(rows * width);
            for (row, values) in strip.chunks_exact_mut(width).zip(own.rows()) {
                row[..used].iter_mut().zip(values.iter().skip(first)).for_each(|(to, from)| *to = *from);
                row[used..].fill(0.0);
            }
            v.resize(terms * width);
            gather_rows(job, &self.shares, &mut strip, v, width)?;
            let shift = self.shift(v, width);
            let mut norms = vec![0i64; 2 * used];
            let mut fresh = true;
            self.chunks.each(&mut |_, chunk| {
                let size = chunk.documents() * width;
                exact.resize(size.max(exact.len()));
                documents_times_f64(simd, job.pool, chunk, v, width, &mut exact[..size]);
                subtract(&mut exact[..size], &shift);
                let mut square = vec![0f64; width];
                for row in exact[..size].chunks_exact(width) {
                    square.iter_mut().zip(row).for_each(|(sum, value)| *sum += value * value);
                }
                norms.chunks_exact_mut(2).zip(&square).for_each(|(pair, value)| wide::add(pair, self.unit * value));
                let into = Sums::begin_or_add(&mut fresh, sums, terms * width);
                terms_times_f64(simd, job.pool, chunk, &exact[..size], width, self.grid, into);
                count(job, chunk, used);
                Ok(())
            })?;
            nothing_added(fresh, sums, terms * width);
            job.account.count(|counters| counters.products += used as u64);
            let total = job.wait(job.comm.sum(Route::World, norms))?;
            captured.extend(total.chunks_exact(2).map(|pair| wide::value(pair) / self.unit));
            sum_rows(job, &self.shares, sums, width)?;
            let squares = &squares.unwrap_or(&captured)[first..first + used];
            let differences = &mut differences[2 * first..2 * (first + used)];
            job.account.compute(|| self.add_differences(squares, &strip, sums, width, differences));
        }
        let sums = job.wait(job.comm.sum(Route::World, differences))?;
        let residuals = sums.chunks_exact(2).map(|pair| wide::value(pair).sqrt()).collect();
        Ok(Verified { captured, residuals })
    }

    /// Adds |A A^T u - s^2 u|^2 / s^4 of the rows here to exact sums, given s^2 of the columns, U (rows x width) and the
    /// product with it on the grid.
    fn add_differences(&self, squares: &[f64], u: &[f32], products: &[i64], width: usize, sums: &mut [i64]) {
        // Relative at once, which makes them fit the grid of exact sums whatever the scale of the corpus.
        let steps: Vec<f64> = squares.iter().map(|square| self.grid.step() / square).collect();
        // In blocks that are the same for any number of ranks, so that each partial sum is rounded alike.
        let blocks = u.chunks(rows::BLOCK * width).zip(products.chunks(rows::BLOCK * width));
        for (u, products) in blocks {
            let mut differences = vec![0f64; squares.len()];
            for (u, products) in u.chunks_exact(width).zip(products.chunks_exact(width)) {
                for ((sum, step), (value, product)) in differences.iter_mut().zip(&steps).zip(u.iter().zip(products)) {
                    *sum += (*product as f64 * step - f64::from(*value)).powi(2);
                }
            }
            sums.chunks_exact_mut(2).zip(&differences).for_each(|(pair, value)| wide::add(pair, *value));
        }
    }
}

/// Columns that are verified at a time.
pub(super) const STRIP: usize = 64;
/// Covers columns that are orthonormal only to rounding, in bounds that hold for orthonormal ones.
const SLACK: f64 = 1.5;

/// The power of 4 that brings ||A||_F^2 to between 2^17 and 2^19. Scaled by it, products with orthonormal vectors stay
/// below 2^19 and their squares below 2^38, where exact sums of numbers of unknown size have their range
/// ([`wide`]), whatever the scale of the corpus; and scaling a corpus by a power of two changes no bit of its left vectors.
fn unit(frobenius_squared: f64) -> f64 {
    let exponent = frobenius_squared.log2().floor() as i32 + 1;
    f64::from(2 * (19 - exponent).div_euclid(2)).exp2()
}

/// Sums one number a chunk, (chunk number, bits), in the order of the chunks: the same bits for any owner, and no bound
/// is needed beforehand. Collective.
pub(crate) fn sum_in_order(job: &Job, own: &[[u64; 2]]) -> Result<f64> {
    let parts = job.wait(job.comm.all_gather(Route::World, bytemuck::cast_slice(own).to_vec()))?;
    let mut all: Vec<[u64; 2]> =
        parts.iter().flat_map(|part| bytemuck::pod_collect_to_vec::<u8, [u64; 2]>(part)).collect();
    all.sort_unstable();
    Ok(all.iter().map(|[_, bits]| f64::from_bits(*bits)).sum())
}

/// Subtracts a row from each row; nothing, if it is empty.
fn subtract<T: Copy + std::ops::SubAssign>(rows: &mut [T], less: &[T]) {
    for row in rows.chunks_exact_mut(less.len().max(1)).filter(|_| !less.is_empty()) {
        row.iter_mut().zip(less).for_each(|(value, less)| *value -= *less);
    }
}

/// Sums of a pass that gave this worker no chunk.
fn nothing_added(fresh: bool, sums: &mut Vec<i64>, length: usize) {
    if fresh {
        sums.clear();
        sums.resize(length, 0);
    }
}

/// Books a chunk that was multiplied with so many vectors, and with them again transposed.
fn count(job: &Job, chunk: &Prepared, columns: usize) {
    job.account.count(|counters| {
        counters.documents += chunk.documents() as u64;
        counters.flops += 4 * chunk.nonzeros() as u64 * columns as u64;
    });
}

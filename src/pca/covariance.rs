//! PCA of dense rows, by the eigenpairs of their covariances.
//!
//! Problem: C = sum over the rows x of (x - m)(x - m)^T (columns x columns).
//! Algorithm: (1) mean and squared deviations of each column ([`moments`](crate::learn::moments)); (2) a fold over blocks of rows:
//! the rows less their mean, each column scaled by the power of two that brings its norm to 1 at most, are multiplied with
//! themselves, and the product is added to exact sums, of which each entry is bounded by 1 (Cauchy and Schwarz); the scaling
//! keeps the digits of small columns beside large ones and is undone without rounding; (3) eigenpairs in f64 on the
//! dispatcher.
//! Accuracy: an eigenvalue is right to about 1e-15 of the largest. What the smallest of them lose, since C has the square of
//! the condition number of X, is what scikit-learn's `covariance_eigh` loses as well.
//! Cost: rows columns^2 flops over all workers and about 9 columns^3 on the dispatcher; two readings, of which the second
//! finds what was kept of the first; one exact sum of 8 columns^2 bytes. Memory 8 columns^2 bytes a worker.

use ndarray::{Array2, ArrayView2, s};
use rayon::prelude::*;

use super::model::PcaModel;
use crate::comm::Route;
use crate::dispatch::memory::{Forecast, Need};
use crate::dispatch::{Dataset, Job, once};
use crate::error::{Error, Result};
use crate::learn::scaler;
use crate::learn::table::{Block, Blocks, Table};
use crate::linalg::dense::{multiply_f64, symmetric_eigen};
use crate::linalg::fixed::Grid;
use crate::vectors::affine::{finite, shifted};
use crate::vectors::model::DENSE;
use crate::vectors::rows::{named, reading};

/// Most columns: their covariances take 2 GiB.
pub const MOST_COLUMNS: usize = 16_384;
/// Rows of the product that are made at a time.
const STRIPE: usize = 128;

/// Finds the k leading components. Collective; the dispatcher gets the model.
///
/// # Errors
/// `Usage` for a k that the table cannot have; a missing or infinite value; rows that do not vary.
pub fn train(job: &Job, table: &Table, k: usize, whiten: bool) -> Result<Option<PcaModel>> {
    let (rows, columns) = (table.shape().rows, table.shape().columns);
    let job =
        &job.within_memory("give more, or take fewer columns (corpuscle project)", || Ok(forecast(job, table)))?;
    let dataset = Dataset::new(job, Blocks::of(table))?;
    let moments = job.account.phase("mean", || scaler::fit(job, table, &dataset, true, false))?;
    if let Some(column) = moments.samples.iter().position(|&count| count < rows as f64) {
        let missing = rows - moments.samples[column] as usize;
        let what = format!("column {column} lacks {missing} of {rows} values: fill them in or leave the rows out");
        return Err(Error::failed(format!("{}: {what}", table.path().display())));
    }
    let squares: Vec<f64> = moments.variance.iter().map(|variance| variance * rows as f64).collect();
    let total: f64 = squares.iter().sum();
    if total <= 0.0 {
        return Err(Error::failed(format!("{}: no column varies", table.path().display())));
    }
    let exponents: Vec<i32> = squares.iter().map(|&square| exponent(square)).collect();
    let phase = job.account.enter_phase("covariance");
    let sums = once(job, || {
        let sums = scatter(job, table, &dataset, &moments.mean, &exponents)?;
        Ok(job.is_dispatcher().then(|| bytemuck::cast_slice(&sums).to_vec()))
    })?;
    drop(phase);
    let Some(sums) = sums else { return Ok(None) };
    let sums: Vec<i64> = bytemuck::pod_collect_to_vec(&sums);
    let grid = grid()?;
    // Scaling by powers of two and back is exact.
    let c = Array2::from_shape_fn((columns, columns), |(i, j)| {
        let upper = sums[i.min(j) * columns + i.max(j)];
        grid.float(upper) * f64::from(exponents[i]).exp2() * f64::from(exponents[j]).exp2()
    });
    drop(sums);
    let _phase = job.account.enter_phase("eigenpairs");
    let (components, squares, residuals) = job.account.compute(|| leading(&c, k))?;
    Ok(Some(PcaModel {
        components,
        mean: moments.mean,
        singular_values: squares.iter().map(|square| square.sqrt()).collect(),
        residuals,
        total_variance: total / (rows as f64 - 1.0),
        rows: rows as u64,
        whiten,
        terms: Vec::new(),
        values: DENSE.to_owned(),
    }))
}

/// The e with |column| <= 2^e.
fn exponent(square: f64) -> i32 {
    // 2^-400 and below: the column is as good as constant.
    if square > 1e-240 { (0.5 * square.log2()).ceil() as i32 } else { 0 }
}

/// Grid for sums that are bounded by 1, but for rounding in the norms they were scaled by.
fn grid() -> Result<Grid> {
    Grid::for_bound(1.5)
}

/// C on the grid, scaled (columns x columns; above the diagonal). Collective; all ranks get it.
fn scatter(job: &Job, table: &Table, dataset: &Dataset<Blocks>, mean: &[f64], exponents: &[i32]) -> Result<Vec<i64>> {
    let columns = mean.len();
    let grid = grid()?;
    let factors: Vec<f64> = exponents.iter().map(|&exponent| f64::from(-exponent).exp2()).collect();
    let mut sums = vec![0i64; columns * columns];
    let progress = job.progress.task("pca", crate::report::progress::Unit::Documents, Some(table.shape().rows as u64));
    dataset.fold(|_, block| {
        named(table, finite(block))?;
        add(job.pool, block, mean, &factors, grid, &mut sums);
        job.account.count(|counters| {
            counters.documents += block.rows() as u64;
            counters.dense_flops += (block.rows() * columns * columns) as u64;
        });
        progress.advance(block.rows() as u64, 0);
        Ok(())
    })?;
    job.wait(job.comm.sum(Route::World, sums))
}

/// Adds the products of a block to the sums.
fn add(pool: &rayon::ThreadPool, block: &Block, mean: &[f64], factors: &[f64], grid: Grid, sums: &mut [i64]) {
    let columns = mean.len();
    let mut rows = shifted(block, 0, block.rows(), mean);
    for row in rows.chunks_exact_mut(columns) {
        row.iter_mut().zip(factors).for_each(|(value, factor)| *value *= factor);
    }
    let x = ArrayView2::from_shape((block.rows(), columns), &rows[..]).expect("rows of a block");
    let work = |(stripe, out): (usize, &mut [i64])| {
        let first = stripe * STRIPE;
        let height = out.len() / columns;
        let mut product = Array2::zeros((height, columns - first));
        let left = x.slice(s![.., first..first + height]);
        multiply_f64(1.0, left.t(), x.slice(s![.., first..]), 0.0, &mut product.view_mut());
        for (sums, values) in out.chunks_exact_mut(columns).zip(product.rows()) {
            sums[first..].iter_mut().zip(values).for_each(|(sum, &value)| *sum += grid.fix(value));
        }
    };
    pool.install(|| sums.par_chunks_mut(STRIPE * columns).enumerate().for_each(work));
}

/// The k leading eigenvectors with canonical signs (columns x k), their eigenvalues and relative residuals.
fn leading(c: &Array2<f64>, k: usize) -> Result<(Array2<f64>, Vec<f64>, Vec<f64>)> {
    let (values, vectors) = symmetric_eigen(c)?;
    let mut components = vectors.slice(s![.., ..k]).to_owned();
    drop(vectors);
    for mut column in components.columns_mut() {
        let largest = column.iter().fold(0f64, |largest, &x| if x.abs() > largest.abs() { x } else { largest });
        if largest < 0.0 {
            column.mapv_inplace(|value| -value);
        }
    }
    let values: Vec<f64> = values.iter().take(k).map(|value| value.max(0.0)).collect();
    let products = c.dot(&components);
    let least = f64::EPSILON * values[0] * c.nrows() as f64;
    let residual = |(i, value): (usize, &f64)| {
        let difference = &products.column(i) - &(&components.column(i) * *value);
        difference.dot(&difference).sqrt() / value.max(least)
    };
    let residuals = values.iter().enumerate().map(residual).collect();
    Ok((components, values, residuals))
}

fn forecast(job: &Job, table: &Table) -> Forecast {
    let square = 8 * (table.shape().columns as u64).pow(2);
    let Forecast { dispatcher, worker } = reading(table, job.workers(), 0);
    let threads = job.pool.current_num_threads() as u64;
    let stripes = 8 * (STRIPE * table.shape().columns) as u64 * threads;
    Forecast {
        dispatcher: dispatcher.with("covariances and their eigenpairs", 6 * square),
        worker: worker.with("sums of covariances", 2 * square).and(Need::fixed(12 << 20)).with("products", stripes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_any_size_are_scaled_to_at_most_1() {
        for square in [1e-300, 1e-30, 0.25, 1.0, 3.99, 4.0, 1e30, 0.0] {
            let scaled = square * f64::from(-2 * exponent(square)).exp2();
            assert!(scaled <= 1.0 && (scaled >= 0.249 || square < 1e-240), "{square}: {scaled}");
        }
    }
}

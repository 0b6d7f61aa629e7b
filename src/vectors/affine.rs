//! Dense rows through a shift, a matrix and divisors: y = (x - m) M / d.
//!
//! Shapes: x (rows x columns), m (columns), M (columns x k), d (k); all in f64. Rows are worked on in blocks of [`ROWS`] that
//! follow from the table alone, so that each product is made of the same operands whoever makes it.
//! Cost: 2 columns k flops a row.

use ndarray::{Array2, ArrayView2};
use rayon::prelude::*;

use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::learn::table::{Block, Numbers, ROWS};
use crate::linalg::dense::multiply_f64;

/// The map.
#[derive(Debug, Clone, PartialEq)]
pub struct Affine {
    /// What is subtracted from each column; nothing is if it is empty.
    pub mean: Vec<f64>,
    /// Columns x k.
    pub matrix: Array2<f64>,
    /// What each result is divided by; nothing is if it is empty.
    pub divisors: Vec<f64>,
}

impl Affine {
    /// Gives every rank the dispatcher's map. Collective; `make` runs on the dispatcher only.
    pub fn share(job: &Job, make: impl FnOnce() -> Result<Affine>) -> Result<Affine> {
        let message = job.share(|| {
            let Affine { mean, matrix, divisors } = make()?;
            let (columns, k) = matrix.dim();
            let lengths = [mean.len(), columns, k, divisors.len()].map(|length| (length as u64).to_le_bytes());
            let mut message = lengths.concat();
            message.extend_from_slice(bytemuck::cast_slice(&mean));
            message.extend(matrix.iter().flat_map(|value| value.to_le_bytes()));
            message.extend_from_slice(bytemuck::cast_slice(&divisors));
            Ok(message)
        })?;
        let damaged = || Error::failed("damaged message: a linear map");
        let (head, rest) = message.split_first_chunk::<32>().ok_or_else(damaged)?;
        let [shifts, columns, k, divisors] = bytemuck::pod_read_unaligned::<[u64; 4]>(head).map(|n| n as usize);
        let numbers: Vec<f64> = bytemuck::pod_collect_to_vec(rest);
        if Some(numbers.len()) != columns.checked_mul(k).and_then(|size| size.checked_add(shifts + divisors)) {
            return Err(damaged());
        }
        let (mean, rest) = numbers.split_at(shifts);
        let (matrix, divisors) = rest.split_at(columns * k);
        let matrix = Array2::from_shape_vec((columns, k), matrix.to_vec()).map_err(|_| damaged())?;
        Ok(Affine { mean: mean.to_vec(), matrix, divisors: divisors.to_vec() })
    }

    /// The shift as the results see it: m M (k), empty without a shift.
    pub fn offset(&self) -> Vec<f64> {
        let mut offset = vec![0.0; if self.mean.is_empty() { 0 } else { self.matrix.ncols() }];
        for (mean, row) in self.mean.iter().zip(self.matrix.rows()) {
            offset.iter_mut().zip(row).for_each(|(sum, value)| *sum += mean * value);
        }
        offset
    }

    /// The results of a block of rows (rows x k).
    ///
    /// # Errors
    /// A missing or an infinite value, with its place.
    pub fn rows(&self, pool: &rayon::ThreadPool, block: &Block) -> Result<Vec<f64>> {
        finite(block)?;
        let (columns, k) = self.matrix.dim();
        let mut results = vec![0f64; block.rows() * k];
        let work = |(number, out): (usize, &mut [f64])| {
            let rows = shifted(block, number * ROWS, out.len() / k, &self.mean);
            let x = ArrayView2::from_shape((out.len() / k, columns), &rows[..]).expect("rows of a block");
            let mut product = Array2::zeros((out.len() / k, k));
            multiply_f64(1.0, x, self.matrix.view(), 0.0, &mut product.view_mut());
            for (row, values) in out.chunks_exact_mut(k).zip(product.rows()) {
                row.iter_mut().zip(values).for_each(|(to, value)| *to = *value);
                row.iter_mut().zip(&self.divisors).for_each(|(value, divisor)| *value /= divisor);
            }
        };
        pool.install(|| results.par_chunks_mut(ROWS * k).enumerate().for_each(work));
        Ok(results)
    }
}

/// Some rows of a block, less a shift of each column if there is one, in f64.
pub fn shifted(block: &Block, first: usize, count: usize, shift: &[f64]) -> Vec<f64> {
    let span = first * block.columns..(first + count) * block.columns;
    let mut rows: Vec<f64> = match &block.numbers {
        Numbers::Single(numbers) => numbers[span].iter().map(|&value| f64::from(value)).collect(),
        Numbers::Double(numbers) => numbers[span].to_vec(),
    };
    if !shift.is_empty() {
        for row in rows.chunks_exact_mut(block.columns.max(1)) {
            row.iter_mut().zip(shift).for_each(|(value, shift)| *value -= shift);
        }
    }
    rows
}

/// Refuses values that are no numbers.
pub fn finite(block: &Block) -> Result<()> {
    let place = match &block.numbers {
        Numbers::Single(numbers) => numbers.iter().position(|value| !value.is_finite()),
        Numbers::Double(numbers) => numbers.iter().position(|value| !value.is_finite()),
    };
    let Some(place) = place else { return Ok(()) };
    let (row, column) = (block.first + place / block.columns, place % block.columns);
    Err(Error::failed(format!(
        "a missing or infinite value (row {row}, column {column}, counted from 0): fill it in or take it out first"
    )))
}

//! Mean and variance of each column, exact to the last few bits and the same for any partition of the rows.
//!
//! Problem: for X (rows x columns) with missing values (NaN), count, mean and sum of squared deviations of each column.
//! Algorithm: deviations from a fixed shift near the mean are summed in blocks of 256 rows, which stay in the cache for a
//! second sum of squares about the block's own mean; blocks are joined by the pairwise formula of Chan, Golub and LeVeque
//! (The American Statistician 37, 1983) in the order of the rows, within a chunk by its worker, over chunks by the
//! dispatcher. Both kinds of block follow from the number of rows alone.
//! Cost: 5 flops a number, one reading; 24 bytes a column from each chunk of about 4 MiB.

use super::table::{Block, Numbers, ROWS};
use crate::error::{Error, Result};

/// Count, mean (less the shift) and sum of squared deviations of each column.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Values that are not missing.
    pub count: Vec<f64>,
    /// Their mean, less the shift.
    pub mean: Vec<f64>,
    /// Sum of their squared deviations from the mean.
    pub squares: Vec<f64>,
}

impl Moments {
    /// Of no rows.
    pub fn none(columns: usize) -> Moments {
        Moments { count: vec![0.0; columns], mean: vec![0.0; columns], squares: vec![0.0; columns] }
    }

    /// Joins those of the rows that follow.
    pub fn join(&mut self, next: &Moments) {
        for column in 0..self.count.len() {
            let (a, b) = (self.count[column], next.count[column]);
            if b == 0.0 {
                continue;
            }
            let (total, delta) = (a + b, next.mean[column] - self.mean[column]);
            self.mean[column] += delta * (b / total);
            self.squares[column] += next.squares[column] + delta * delta * (a * b / total);
            self.count[column] = total;
        }
    }

    /// Those of a block of rows.
    ///
    /// # Errors
    /// An infinite value, with its place.
    pub fn of(block: &Block, shift: &[f64]) -> Result<Moments> {
        match &block.numbers {
            Numbers::Single(numbers) => of_rows(numbers, shift, block.first),
            Numbers::Double(numbers) => of_rows(numbers, shift, block.first),
        }
    }

    /// As bytes, to travel.
    pub fn encode(&self) -> Vec<u8> {
        [&self.count, &self.mean, &self.squares]
            .iter()
            .flat_map(|list| bytemuck::cast_slice::<f64, u8>(list))
            .copied()
            .collect()
    }

    /// Undoes [`Moments::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Moments> {
        let numbers: Vec<f64> = bytemuck::pod_collect_to_vec(bytes);
        if !bytes.len().is_multiple_of(24) {
            return Err(Error::failed("damaged moments in a message"));
        }
        let mut lists = numbers.chunks(numbers.len().max(3) / 3).map(<[f64]>::to_vec);
        let mut next = || lists.next().unwrap_or_default();
        Ok(Moments { count: next(), mean: next(), squares: next() })
    }
}

/// A column's shift: the mean of what is not missing in the first rows; any value near the data would do.
pub fn shift(first: &Block) -> Vec<f64> {
    let (columns, numbers) = (first.columns, first.doubles());
    (0..columns)
        .map(|column| {
            let values = numbers.iter().skip(column).step_by(columns).filter(|value| value.is_finite());
            let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
            if count > 0.0 && f64::is_finite(sum) { sum / count } else { 0.0 }
        })
        .collect()
}

fn of_rows<T: Copy + Into<f64>>(numbers: &[T], shift: &[f64], first: usize) -> Result<Moments> {
    let columns = shift.len();
    let mut total = Moments::none(columns);
    let mut block = Moments::none(columns);
    for (number, rows) in numbers.chunks(ROWS * columns).enumerate() {
        let count = (rows.len() / columns) as f64;
        block.mean.fill(0.0);
        block.squares.fill(0.0);
        for row in rows.chunks_exact(columns) {
            for ((sum, &value), shift) in block.mean.iter_mut().zip(row).zip(shift) {
                *sum += value.into() - shift;
            }
        }
        if block.mean.iter().all(|sum| sum.is_finite()) {
            block.count.fill(count);
            block.mean.iter_mut().for_each(|sum| *sum /= count);
            for row in rows.chunks_exact(columns) {
                for (((squares, &value), shift), mean) in block.squares.iter_mut().zip(row).zip(shift).zip(&block.mean)
                {
                    let deviation = value.into() - shift - mean;
                    *squares += deviation * deviation;
                }
            }
        } else {
            with_missing(rows, shift, first + number * ROWS, &mut block)?;
        }
        total.join(&block);
    }
    Ok(total)
}

/// A block that has missing values, or infinite ones.
fn with_missing<T: Copy + Into<f64>>(rows: &[T], shift: &[f64], first: usize, block: &mut Moments) -> Result<()> {
    let columns = shift.len();
    for (column, &shift) in shift.iter().enumerate() {
        let values = || rows.iter().skip(column).step_by(columns).map(|&value| -> f64 { value.into() });
        if let Some(row) = values().position(f64::is_infinite) {
            let place = format!("row {}, column {column}", first + row);
            return Err(Error::failed(format!("an infinite value ({place}, counted from 0): take it out first")));
        }
        let known = || values().filter(|value| !value.is_nan()).map(|value| value - shift);
        let count = known().count() as f64;
        let mean = if count > 0.0 { known().sum::<f64>() / count } else { 0.0 };
        if !mean.is_finite() {
            return Err(Error::failed(format!("the sum of column {column} is too large for a double")));
        }
        block.count[column] = count;
        block.mean[column] = mean;
        block.squares[column] = known().map(|value| (value - mean) * (value - mean)).sum();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn block(first: usize, columns: usize, numbers: Vec<f64>) -> Block {
        Block { first, columns, numbers: Numbers::Double(numbers) }
    }

    #[test]
    fn moments_are_those_of_exact_sums_far_from_zero_and_with_missing_values() {
        let (rows, columns) = (3000, 4);
        let mut stream = Stream::new(1, "moments", 0);
        let offsets = [0.0, 1e9, -3e-6, 7.0];
        let mut numbers: Vec<f64> = (0..rows * columns).map(|at| offsets[at % columns] + stream.normal()).collect();
        for row in (0..rows).step_by(7) {
            numbers[row * columns + 3] = f64::NAN;
        }
        let whole = block(0, columns, numbers.clone());
        let shift = shift(&block(0, columns, numbers[..ROWS * columns].to_vec()));
        let moments = Moments::of(&whole, &shift).unwrap();
        for column in 0..columns {
            // Integers of 2^-40 have no rounding at all.
            let grid = 2f64.powi(40);
            let values: Vec<i128> = numbers
                .iter()
                .skip(column)
                .step_by(columns)
                .filter(|x| !x.is_nan())
                .map(|x| ((x - offsets[column]) * grid).round() as i128)
                .collect();
            let n = values.len() as i128;
            let sum: i128 = values.iter().sum();
            let squares: i128 = values.iter().map(|v| v * v).sum::<i128>() - sum * sum / n;
            let (mean, squares) = (sum as f64 / n as f64 / grid, squares as f64 / grid / grid);
            assert_eq!(moments.count[column], n as f64);
            let found = shift[column] - offsets[column] + moments.mean[column];
            assert!((found - mean).abs() < 3e-12 + 2e-16 * offsets[column].abs(), "{column}: {found} {mean}");
            assert!(
                (moments.squares[column] / squares - 1.0).abs() < 1e-12 + 1e-16 * offsets[column].abs(),
                "{column}"
            );
        }
    }

    #[test]
    fn infinite_values_are_named_and_messages_survive() {
        let mut numbers = vec![1.0; 600];
        numbers[2 * 299 + 1] = f64::INFINITY;
        let error = Moments::of(&block(1000, 2, numbers), &[0.0; 2]).unwrap_err().to_string();
        assert!(error.contains("row 1299, column 1"), "{error}");
        let moments = Moments { count: vec![1.0, 2.0], mean: vec![0.5, -1.0], squares: vec![3.0, 0.0] };
        assert_eq!(Moments::decode(&moments.encode()), Ok(moments));
        assert!(Moments::decode(&[0; 23]).is_err());
    }
}

//! The entries of a random projection, functions of the seed, the row and the column.
//!
//! Shapes: R (columns of the data x k). Row c comes from a random stream of its own, so that any rank makes any row, and
//! nobody has to send or save one.
//! * Gaussian: normal numbers of variance 1 / k, in the order of the columns (scikit-learn's `GaussianRandomProjection`).
//! * Sparse, of density d: +-1 / sqrt(d k), each with probability d / 2, else 0 (`SparseRandomProjection`); with density 1 all are
//!   +-1 / sqrt(k), as in gensim's `RpModel`. Which columns are not zero is drawn by the gaps between them.
//!
//! Cost: sparse, d k random numbers and entries of 8 bytes a row; Gaussian, k numbers of 4 bytes.

use ndarray::Array2;

use crate::error::{Error, Result};
use crate::random::Stream;

/// How entries are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Signs, most of them left out
    Sparse,
    /// Normal numbers
    Gaussian,
}

impl Kind {
    /// As on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Sparse => "sparse",
            Kind::Gaussian => "gaussian",
        }
    }
}

/// A random matrix, which is all that is known of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matrix {
    /// How entries are drawn.
    pub kind: Kind,
    /// Share of the entries that are not zero.
    pub density: f64,
    /// Rows: columns of the data.
    pub rows: usize,
    /// Columns: of the result.
    pub width: usize,
    /// Seed of the streams.
    pub seed: u64,
}

/// Least columns so that the distances of so many rows are kept to within a share `eps`, with good probability: 4 ln(rows) /
/// (eps^2 / 2 - eps^3 / 3), rounded down as scikit-learn's `johnson_lindenstrauss_min_dim` is (Dasgupta and Gupta, Random
/// Struct. Algorithms 22, 2003).
///
/// # Errors
/// `Usage` for an `eps` that does not lie between 0 and 1.
pub fn least_width(rows: u64, eps: f64) -> Result<usize> {
    if !(eps > 0.0 && eps < 1.0) {
        return Err(Error::usage(format!("--eps {eps}: must lie between 0 and 1")));
    }
    let width = 4.0 * (rows as f64).ln() / (eps * eps / 2.0 - eps * eps * eps / 3.0);
    Ok((width as usize).max(1))
}

/// An entry of a row: a sign in some column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The column.
    pub column: u32,
    /// The sign.
    pub negative: bool,
}

impl Matrix {
    fn stream(&self, row: usize) -> Stream {
        Stream::new(self.seed, "random projection", row as u64)
    }

    /// The value of entries of a sparse matrix, but for their sign.
    pub fn scale(&self) -> f64 {
        1.0 / (self.density * self.width as f64).sqrt()
    }

    /// Calls `put` with the entries of a row of a sparse matrix, in the order of columns.
    fn entries(&self, row: usize, mut put: impl FnMut(Entry)) {
        let mut stream = self.stream(row);
        // ln(1 - d) of the chance that a column is left out; no gap where none is.
        let left_out = (-self.density).ln_1p();
        let mut column = 0f64;
        loop {
            if self.density < 1.0 {
                column += ((-stream.uniform()).ln_1p() / left_out).floor();
            }
            if column >= self.width as f64 {
                return;
            }
            put(Entry { column: column as u32, negative: stream.bits() & 1 == 1 });
            column += 1.0;
        }
    }

    /// All entries of a sparse matrix, by rows.
    pub fn signs(&self) -> Signs {
        let expected = (self.density * (self.rows * self.width) as f64 * 1.01) as usize;
        let mut signs = Signs { begins: vec![0], entries: Vec::with_capacity(expected), scale: self.scale() };
        for row in 0..self.rows {
            self.entries(row, |entry| signs.entries.push(entry));
            signs.begins.push(signs.entries.len());
        }
        signs
    }

    /// All entries (rows x width), by rows.
    pub fn dense(&self) -> Array2<f64> {
        let mut matrix = Array2::zeros((self.rows, self.width));
        for (row, mut values) in matrix.rows_mut().into_iter().enumerate() {
            match self.kind {
                Kind::Gaussian => {
                    let (mut stream, scale) = (self.stream(row), 1.0 / (self.width as f64).sqrt());
                    values.iter_mut().for_each(|value| *value = stream.normal() * scale);
                }
                Kind::Sparse => self.entries(row, |Entry { column, negative }| {
                    values[column as usize] = if negative { -self.scale() } else { self.scale() };
                }),
            }
        }
        matrix
    }
}

/// A sparse matrix in memory.
pub struct Signs {
    /// Where each row begins.
    begins: Vec<usize>,
    entries: Vec<Entry>,
    scale: f64,
}

impl Signs {
    /// Adds `value` times a row to a result, which is still to be scaled.
    pub fn add(&self, row: usize, value: f64, result: &mut [f64]) {
        for entry in &self.entries[self.begins[row]..self.begins[row + 1]] {
            result[entry.column as usize] += if entry.negative { -value } else { value };
        }
    }

    /// Scales a result.
    pub fn finish(&self, result: &mut [f64]) {
        result.iter_mut().for_each(|value| *value *= self.scale);
    }

    /// Entries of a row.
    pub fn count(&self, row: usize) -> usize {
        self.begins[row + 1] - self.begins[row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_widths_are_those_of_scikit_learn() {
        // sklearn.random_projection.johnson_lindenstrauss_min_dim, version 1.9.1.
        for (rows, eps, width) in
            [(1_000_000, 0.5, 663), (1_000_000, 0.1, 11_841), (10_000, 0.1, 7894), (100, 0.3, 511)]
        {
            assert_eq!(least_width(rows, eps).unwrap(), width, "{rows} {eps}");
        }
        assert!(least_width(10, 0.0).is_err() && least_width(10, 1.0).is_err() && least_width(10, f64::NAN).is_err());
    }

    #[test]
    fn entries_have_their_density_mean_and_variance_and_do_not_depend_on_other_rows() {
        for (kind, density) in
            [(Kind::Sparse, 0.03), (Kind::Sparse, 1.0 / 3.0), (Kind::Sparse, 1.0), (Kind::Gaussian, 1.0)]
        {
            let matrix = Matrix { kind, density, rows: 2000, width: 150, seed: 5 };
            let dense = matrix.dense();
            let count = dense.len() as f64;
            let filled = dense.iter().filter(|value| **value != 0.0).count() as f64 / count;
            // Five standard deviations of a share of 300,000.
            assert!((filled - density).abs() < 5.0 * (density * (1.0 - density) / count).sqrt() + 1e-12, "{filled}");
            assert!(dense.sum().abs() / count < 5.0 / (count * 150.0).sqrt());
            let variance = dense.iter().map(|value| value * value).sum::<f64>() / count * 150.0;
            assert!((variance - 1.0).abs() < 5.0 * (3.0 / density / count).sqrt(), "{variance}");
            let fewer = Matrix { rows: 7, ..matrix }.dense();
            assert_eq!(dense.slice(ndarray::s![..7, ..]), fewer);
            assert_ne!(Matrix { seed: 6, ..matrix }.dense(), dense);
        }
    }

    #[test]
    fn signs_multiply_like_the_dense_matrix() {
        let matrix = Matrix { kind: Kind::Sparse, density: 0.2, rows: 40, width: 30, seed: 1 };
        let (signs, dense) = (matrix.signs(), matrix.dense());
        let x: Vec<f64> = (0..40).map(|at| f64::from(at % 7) - 2.0).collect();
        let mut found = vec![0.0; 30];
        x.iter().enumerate().for_each(|(row, &value)| signs.add(row, value, &mut found));
        signs.finish(&mut found);
        for (found, column) in found.iter().zip(dense.columns()) {
            let expected: f64 = column.iter().zip(&x).map(|(a, b)| a * b).sum();
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}

//! Ridge regression for every strength of the penalty from one factorisation.
//!
//! Problem: min over W (columns x m), b (m) of sum_i s_i |y_i - x_i W - b|^2 + alpha |W|^2.
//! Algorithm: b is removed by centring at the weighted means. With A the centred rows times sqrt(s) and B likewise of y,
//! A^T A = V L V^T gives W(alpha) = V (L + alpha)^-1 V^T A^T B for all alpha; where there are fewer rows than columns,
//! A A^T = U L U^T gives W(alpha) = A^T U (L + alpha)^-1 U^T B. Cost: rows columns min(rows, columns) + 10 min(...)^3
//! flops once, 4 columns min(...) m a strength. Reference: Hoerl and Kennard, Technometrics 12, 1970.

use ndarray::{Array1, Array2, Axis};

use super::features::Features;
use crate::error::{Error, Result};
use crate::linalg::dense::{multiply_f64, symmetric_eigen};

/// Largest matrix that is factorised.
const LARGEST: usize = 8192;

/// The factorisation of some rows.
pub struct Factors {
    values: Array1<f64>,
    /// Eigenvectors of the smaller Gram matrix.
    vectors: Array2<f64>,
    /// Vectors^T A^T B, or vectors^T B.
    rotated: Array2<f64>,
    /// A, where the factorisation is that of A A^T.
    rows: Option<Array2<f64>>,
    x_mean: Array1<f64>,
    y_mean: Array1<f64>,
}

impl Factors {
    /// Factorises. `y` is rows x m, `weights` those of the rows.
    ///
    /// # Errors
    /// More than 8,192 rows and as many columns.
    pub fn new(x: &Features, y: &Array2<f64>, weights: &[f64], intercept: bool) -> Result<Factors> {
        let (n, columns) = (x.rows(), x.columns());
        if n.min(columns) > LARGEST {
            return Err(Error::failed(format!(
                "ridge on {n} rows of {columns} columns: one of them must be at most {LARGEST}; put lsi before it"
            )));
        }
        let total: f64 = weights.iter().sum();
        let weights = Array1::from(weights.to_vec());
        let (x_mean, y_mean) = if intercept {
            let column = weights.view().insert_axis(Axis(1));
            (x.transposed_times(column).column(0).mapv(|sum| sum / total), weights.dot(y) / total)
        } else {
            (Array1::zeros(columns), Array1::zeros(y.ncols()))
        };
        let roots = weights.mapv(f64::sqrt);
        let b = (y - &y_mean) * roots.view().insert_axis(Axis(1));
        let centred = |row: usize| (Array1::from(x.dense_row(row)) - &x_mean) * roots[row];
        if columns <= n {
            // Blocks of rows: a sparse matrix is never written out whole.
            let (mut gram, mut right) = (Array2::zeros((columns, columns)), Array2::zeros((columns, y.ncols())));
            for first in (0..n).step_by(1024) {
                let count = 1024.min(n - first);
                let mut a = Array2::zeros((count, columns));
                a.rows_mut().into_iter().enumerate().for_each(|(at, mut row)| row.assign(&centred(first + at)));
                multiply_f64(1.0, a.t(), a.view(), 1.0, &mut gram.view_mut());
                let b = b.slice(ndarray::s![first..first + count, ..]);
                multiply_f64(1.0, a.t(), b, 1.0, &mut right.view_mut());
            }
            let (values, vectors) = symmetric_eigen(&gram)?;
            let rotated = vectors.t().dot(&right);
            return Ok(Factors { values, vectors, rotated, rows: None, x_mean, y_mean });
        }
        let mut a = Array2::zeros((n, columns));
        a.rows_mut().into_iter().enumerate().for_each(|(at, mut row)| row.assign(&centred(at)));
        let mut gram = Array2::zeros((n, n));
        multiply_f64(1.0, a.view(), a.t(), 0.0, &mut gram.view_mut());
        let (values, vectors) = symmetric_eigen(&gram)?;
        let rotated = vectors.t().dot(&b);
        Ok(Factors { values, vectors, rotated, rows: Some(a), x_mean, y_mean })
    }

    /// Coefficients ((columns + 1) x m, the intercepts last) for a strength.
    pub fn solve(&self, alpha: f64) -> Array2<f64> {
        // Directions without any variation take no part where nothing is penalised.
        let noise =
            self.values.iter().fold(0.0, |most: f64, value| most.max(*value)) * 1e-14 * self.values.len() as f64;
        let inverse = self.values.mapv(|value| match value.max(0.0) + alpha {
            sum if alpha == 0.0 && sum <= noise => 0.0,
            sum => 1.0 / sum,
        });
        let scaled = &self.rotated * &inverse.view().insert_axis(Axis(1));
        let mut w = self.vectors.dot(&scaled);
        if let Some(rows) = &self.rows {
            w = rows.t().dot(&w);
        }
        let intercept = &self.y_mean - &self.x_mean.dot(&w);
        let mut all = Array2::zeros((w.nrows() + 1, w.ncols()));
        all.slice_mut(ndarray::s![..w.nrows(), ..]).assign(&w);
        all.row_mut(w.nrows()).assign(&intercept);
        all
    }
}

//! The thin place all dense linear algebra goes through.
//!
//! Products of blocks use the BLAS behind `ndarray` (MKL by default), small factorisations LAPACK through
//! `ndarray-linalg`. Each call is on one thread and of a shape that depends on the problem alone, never on the number
//! of ranks.

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};
use ndarray_linalg::{Eigh, UPLO};

use crate::error::{Error, Result};

/// C = alpha A B + beta C in f32.
pub fn multiply(alpha: f32, a: ArrayView2<f32>, b: ArrayView2<f32>, beta: f32, c: &mut ArrayViewMut2<f32>) {
    general_mat_mul(alpha, &a, &b, beta, c);
}

/// C = alpha A B + beta C in f64.
pub fn multiply_f64(alpha: f64, a: ArrayView2<f64>, b: ArrayView2<f64>, beta: f64, c: &mut ArrayViewMut2<f64>) {
    general_mat_mul(alpha, &a, &b, beta, c);
}

/// Eigenvalues, largest first, and eigenvectors (columns, in the same order) of a symmetric matrix.
pub fn symmetric_eigen(matrix: &Array2<f64>) -> Result<(Array1<f64>, Array2<f64>)> {
    let symmetric = (matrix + &matrix.t()) * 0.5;
    let (values, vectors) = symmetric
        .eigh(UPLO::Lower)
        .map_err(|cause| Error::failed(format!("eigenvalues of a {0} x {0} matrix: {cause}", matrix.nrows())))?;
    let n = values.len();
    let descending = Array1::from_shape_fn(n, |i| values[n - 1 - i]);
    let mut ordered = Array2::zeros((n, n));
    for i in 0..n {
        ordered.column_mut(i).assign(&vectors.column(n - 1 - i));
    }
    Ok((descending, ordered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvalues_come_largest_first_with_their_vectors() {
        // Second difference matrix: eigenvalues 2 - 2 cos(j pi / (n + 1)).
        let n = 9;
        let matrix = Array2::from_shape_fn((n, n), |(i, j)| match i.abs_diff(j) {
            0 => 2.0,
            1 => -1.0,
            _ => 0.0,
        });
        let (values, vectors) = symmetric_eigen(&matrix).expect("eigenvalues");
        for (i, value) in values.iter().enumerate() {
            let expected = 2.0 - 2.0 * ((n - i) as f64 * std::f64::consts::PI / (n + 1) as f64).cos();
            assert!((value - expected).abs() < 1e-13);
            let residual = matrix.dot(&vectors.column(i)) - vectors.column(i).to_owned() * *value;
            assert!(residual.iter().all(|r| r.abs() < 1e-13));
        }
    }
}

//! The thin place all dense linear algebra goes through.
//!
//! Products of blocks use the BLAS behind `ndarray` (MKL, brought by `ndarray-linalg`). Symmetric eigenproblems go to
//! `faer`: LAPACK's `dsyev`, the only solver `ndarray-linalg` offers for them, takes twice as long at the sizes met here
//! (230 ms against 114 for 832 x 832), and every worker solves them. Each call is on one thread and of a shape that depends
//! on the problem alone, never on the number of ranks.

use faer::{Mat, Side};
use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2};

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
    let n = matrix.nrows();
    let symmetric = Mat::from_fn(n, n, |i, j| 0.5 * (matrix[[i, j]] + matrix[[j, i]]));
    let eigen = symmetric
        .self_adjoint_eigen(Side::Lower)
        .map_err(|_| Error::failed(format!("the eigenvalues of a {n} x {n} matrix did not converge")))?;
    let (values, vectors) = (eigen.S(), eigen.U());
    // They come smallest first.
    let descending = Array1::from_shape_fn(n, |i| values[n - 1 - i]);
    let ordered = Array2::from_shape_fn((n, n), |(i, j)| vectors[(i, n - 1 - j)]);
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

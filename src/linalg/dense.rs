//! The thin place all dense linear algebra goes through.
//!
//! Products of blocks use the BLAS behind `ndarray` (MKL or OpenBLAS, see [`blas`](super::back_end)) or, in a build
//! without one, `faer`. Symmetric eigenproblems go to `faer` in every build: LAPACK's `dsyev`, the only solver
//! `ndarray-linalg` offers for them, takes twice as long at the sizes met here (230 ms against 114 for 832 x 832), and
//! every worker solves them. Each call is on one thread and of a shape that depends on the problem alone, never on the
//! number of ranks.

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use ndarray::{Array1, Array2, ArrayView2, ArrayViewMut2, CowArray, Ix2};

use crate::error::{Error, Result};

/// C = alpha A B + beta C in f32.
pub fn multiply(alpha: f32, a: ArrayView2<f32>, b: ArrayView2<f32>, beta: f32, c: &mut ArrayViewMut2<f32>) {
    #[cfg(any(feature = "mkl", feature = "openblas"))]
    ndarray::linalg::general_mat_mul(alpha, &a, &b, beta, c);
    #[cfg(not(any(feature = "mkl", feature = "openblas")))]
    multiply_in_rust(alpha, a, b, beta, c);
}

/// C = alpha A B + beta C in f64.
pub fn multiply_f64(alpha: f64, a: ArrayView2<f64>, b: ArrayView2<f64>, beta: f64, c: &mut ArrayViewMut2<f64>) {
    #[cfg(any(feature = "mkl", feature = "openblas"))]
    ndarray::linalg::general_mat_mul(alpha, &a, &b, beta, c);
    #[cfg(not(any(feature = "mkl", feature = "openblas")))]
    multiply_in_rust(alpha, a, b, beta, c);
}

/// C = alpha A B + beta C by `faer`, whatever BLAS is linked: what [`multiply`] is in a build without one, and what `doctor`
/// compares the linked one with.
pub fn multiply_in_rust<T>(alpha: T, a: ArrayView2<T>, b: ArrayView2<T>, beta: T, c: &mut ArrayViewMut2<T>)
where
    T: faer::traits::RealField + ndarray::LinalgScalar,
{
    let accumulate = if beta.is_zero() { Accum::Replace } else { Accum::Add };
    if !beta.is_zero() && !beta.is_one() {
        c.mapv_inplace(|value| value * beta);
    }
    let (a, b) = (compact(a), compact(b));
    if c.is_standard_layout() {
        matmul(by_rows(c), accumulate, matrix(&a), matrix(&b), alpha, Par::Seq);
    } else {
        let mut copy = c.to_owned().as_standard_layout().into_owned();
        matmul(by_rows(&mut copy.view_mut()), accumulate, matrix(&a), matrix(&b), alpha, Par::Seq);
        c.assign(&copy);
    }
}

/// The matrix without gaps in memory, by rows or by columns: as it is, or else as a copy.
fn compact<T: Clone>(matrix: ArrayView2<T>) -> CowArray<T, Ix2> {
    if matrix.is_standard_layout() || matrix.t().is_standard_layout() {
        matrix.into()
    } else {
        matrix.as_standard_layout().into_owned().into()
    }
}

/// A matrix without gaps, as `faer` sees it.
fn matrix<'a, T>(matrix: &'a CowArray<T, Ix2>) -> MatRef<'a, T> {
    let (rows, columns) = matrix.dim();
    let values = matrix.as_slice_memory_order().expect("no gaps");
    if matrix.is_standard_layout() {
        MatRef::from_row_major_slice(values, rows, columns)
    } else {
        MatRef::from_column_major_slice(values, rows, columns)
    }
}

/// A matrix by rows without gaps, as `faer` sees it.
fn by_rows<'a, T>(matrix: &'a mut ArrayViewMut2<T>) -> MatMut<'a, T> {
    let (rows, columns) = matrix.dim();
    MatMut::from_row_major_slice_mut(matrix.as_slice_mut().expect("by rows without gaps"), rows, columns)
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

    /// Three loops.
    fn oracle(alpha: f64, a: &Array2<f64>, b: &Array2<f64>, beta: f64, c: &Array2<f64>) -> Array2<f64> {
        Array2::from_shape_fn(c.dim(), |(i, j)| {
            alpha * (0..a.ncols()).map(|k| a[[i, k]] * b[[k, j]]).sum::<f64>() + beta * c[[i, j]]
        })
    }

    #[test]
    fn products_match_three_loops_however_the_operands_lie() {
        let numbers = |rows: usize, columns: usize, step: usize| {
            Array2::from_shape_fn((rows, columns), |(i, j)| ((i * columns + j) * step % 17) as f64 * 0.25 - 2.0)
        };
        for (m, k, n) in [(1, 1, 1), (5, 7, 3), (40, 2048, 33), (2, 0, 3)] {
            let (a, b, c) = (numbers(m, k, 5), numbers(k, n, 7), numbers(m, n, 3));
            // As columns, and as every second column of something wider.
            let (a_columns, b_columns) =
                (a.t().as_standard_layout().into_owned(), b.t().as_standard_layout().into_owned());
            let wider = |matrix: &Array2<f64>| {
                Array2::from_shape_fn((matrix.nrows(), 2 * matrix.ncols()), |(i, j)| matrix[[i, j / 2]])
            };
            let (a_gaps, b_gaps) = (wider(&a), wider(&b));
            let every_second = ndarray::s![.., ..;2];
            for (alpha, beta) in [(1.0, 0.0), (-1.0, 1.0), (2.0, 0.5)] {
                let expected = oracle(alpha, &a, &b, beta, &c);
                for a in [a.view(), a_columns.t(), a_gaps.slice(every_second)] {
                    for b in [b.view(), b_columns.t(), b_gaps.slice(every_second)] {
                        let close = |result: ArrayView2<f64>, what: &str| {
                            let error = (&result - &expected).iter().fold(0f64, |most, e| most.max(e.abs()));
                            assert!(error < 1e-11, "{what} {m} {k} {n} {alpha} {beta}: {error}");
                        };
                        let mut result = c.clone();
                        multiply_f64(alpha, a, b, beta, &mut result.view_mut());
                        close(result.view(), "linked");
                        let mut result = c.clone();
                        multiply_in_rust(alpha, a, b, beta, &mut result.view_mut());
                        close(result.view(), "faer");
                        let mut result = wider(&c);
                        multiply_in_rust(alpha, a, b, beta, &mut result.slice_mut(every_second));
                        close(result.slice(every_second), "faer, into every second column");
                    }
                }
            }
        }
        let ones = Array2::<f32>::ones((3, 3));
        let mut result = Array2::zeros((3, 3));
        multiply(2.0, ones.view(), ones.view(), 0.0, &mut result.view_mut());
        assert_eq!(result, 6.0 * ones);
    }

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

//! Rows to learn from, dense or sparse, in double precision, and the two products that every linear model is made of.
//!
//! Shapes: X (rows x columns). Cost: 2 flops a number, or a nonzero, and column of the other factor.

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::corpus::chunk::CsrChunk;
use crate::linalg::dense::multiply_f64;

/// Sparse rows: row i holds `indices[begins[i]..begins[i + 1]]`, ascending.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sparse {
    /// Columns of the matrix.
    pub columns: usize,
    /// Where each row begins; rows + 1 entries.
    pub begins: Vec<usize>,
    /// Column of each nonzero.
    pub indices: Vec<u32>,
    /// Value of each nonzero.
    pub values: Vec<f64>,
}

impl Sparse {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.begins.len().saturating_sub(1)
    }

    /// Some rows, in the order of their numbers given.
    pub fn select(&self, rows: &[usize]) -> Sparse {
        let mut chosen = Sparse { columns: self.columns, begins: vec![0], ..Sparse::default() };
        for &row in rows {
            let (indices, values) = self.row(row);
            chosen.indices.extend_from_slice(indices);
            chosen.values.extend_from_slice(values);
            chosen.begins.push(chosen.indices.len());
        }
        chosen
    }

    /// Columns and values of a row.
    pub fn row(&self, row: usize) -> (&[u32], &[f64]) {
        let span = self.begins[row]..self.begins[row + 1];
        (&self.indices[span.clone()], &self.values[span])
    }
}

/// X.
#[derive(Debug, Clone, PartialEq)]
pub enum Features {
    /// All numbers.
    Dense(Array2<f64>),
    /// Those that are not zero.
    Sparse(Sparse),
}

impl From<&CsrChunk> for Features {
    fn from(chunk: &CsrChunk) -> Features {
        Features::Sparse(Sparse {
            columns: chunk.terms as usize,
            begins: chunk.indptr.iter().map(|&at| at as usize).collect(),
            indices: chunk.indices.clone(),
            values: chunk.data.iter().map(|&value| f64::from(value)).collect(),
        })
    }
}

impl Features {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Features::Dense(x) => x.nrows(),
            Features::Sparse(x) => x.rows(),
        }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        match self {
            Features::Dense(x) => x.ncols(),
            Features::Sparse(x) => x.columns,
        }
    }

    /// Some rows, in the order of their numbers given.
    pub fn select(&self, rows: &[usize]) -> Features {
        match self {
            Features::Dense(x) => Features::Dense(x.select(Axis(0), rows)),
            Features::Sparse(x) => Features::Sparse(x.select(rows)),
        }
    }

    /// The first columns of dense rows; sparse ones stay whole.
    pub fn leading(&self, columns: usize) -> Features {
        match self {
            Features::Dense(x) if columns < x.ncols() => {
                Features::Dense(x.slice(s![.., ..columns]).as_standard_layout().into_owned())
            }
            other => other.clone(),
        }
    }

    /// X W for W (columns x m): rows x m.
    pub fn times(&self, w: ArrayView2<f64>) -> Array2<f64> {
        match self {
            Features::Dense(x) => {
                let mut product = Array2::zeros((x.nrows(), w.ncols()));
                multiply_f64(1.0, x.view(), w, 0.0, &mut product.view_mut());
                product
            }
            Features::Sparse(x) => {
                let mut product = Array2::zeros((x.rows(), w.ncols()));
                let w = w.as_standard_layout();
                for (row, mut sum) in product.rows_mut().into_iter().enumerate() {
                    let (indices, values) = x.row(row);
                    for (&column, &value) in indices.iter().zip(values) {
                        sum.scaled_add(value, &w.row(column as usize));
                    }
                }
                product
            }
        }
    }

    /// X^T R (columns x m) for R (rows x m) that `change` makes of X W, some rows after the other: it gets the number of the
    /// first and these rows of X W. Both products are made of rows while they are in the processor's cache.
    pub fn there_and_back(&self, w: ArrayView2<f64>, mut change: impl FnMut(usize, &mut Array2<f64>)) -> Array2<f64> {
        /// Bytes of X at a time.
        const CACHED: usize = 256 << 10;
        let Features::Dense(x) = self else {
            let mut product = self.times(w);
            change(0, &mut product);
            return self.transposed_times(product.view());
        };
        let mut back = Array2::zeros((x.ncols(), w.ncols()));
        let at_a_time = (CACHED / 8 / x.ncols().max(1)).max(16);
        for (number, rows) in x.axis_chunks_iter(Axis(0), at_a_time).enumerate() {
            let mut product = Array2::zeros((rows.nrows(), w.ncols()));
            multiply_f64(1.0, rows, w, 0.0, &mut product.view_mut());
            change(number * at_a_time, &mut product);
            multiply_f64(1.0, rows.t(), product.view(), 1.0, &mut back.view_mut());
        }
        back
    }

    /// X^T R for R (rows x m): columns x m.
    pub fn transposed_times(&self, r: ArrayView2<f64>) -> Array2<f64> {
        let mut product = Array2::zeros((self.columns(), r.ncols()));
        match self {
            Features::Dense(x) => multiply_f64(1.0, x.t(), r, 0.0, &mut product.view_mut()),
            Features::Sparse(x) => {
                for (row, factors) in r.rows().into_iter().enumerate() {
                    let (indices, values) = x.row(row);
                    for (&column, &value) in indices.iter().zip(values) {
                        product.row_mut(column as usize).scaled_add(value, &factors);
                    }
                }
            }
        }
        product
    }

    /// Squared length of each row.
    pub fn squared_lengths(&self) -> Vec<f64> {
        match self {
            Features::Dense(x) => x.rows().into_iter().map(|row| row.dot(&row)).collect(),
            Features::Sparse(x) => (0..x.rows()).map(|row| x.row(row).1.iter().map(|v| v * v).sum()).collect(),
        }
    }

    /// All values that are stored.
    pub fn values(&self) -> Box<dyn Iterator<Item = f64> + '_> {
        match self {
            Features::Dense(x) => Box::new(x.iter().copied()),
            Features::Sparse(x) => Box::new(x.values.iter().copied()),
        }
    }

    /// Applies a function to each row's stored values.
    pub fn for_each_row(&mut self, mut change: impl FnMut(&mut [f64])) {
        match self {
            Features::Dense(x) => {
                for mut row in x.rows_mut() {
                    change(row.as_slice_mut().expect("rows without gaps"));
                }
            }
            Features::Sparse(x) => {
                for row in 0..x.rows() {
                    change(&mut x.values[x.begins[row]..x.begins[row + 1]]);
                }
            }
        }
    }

    /// A row written out.
    pub fn dense_row(&self, row: usize) -> Vec<f64> {
        match self {
            Features::Dense(x) => x.row(row).to_vec(),
            Features::Sparse(x) => {
                let mut dense = vec![0.0; x.columns];
                let (indices, values) = x.row(row);
                indices.iter().zip(values).for_each(|(&column, &value)| dense[column as usize] = value);
                dense
            }
        }
    }
}

/// How rows are brought to a common length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Sum of absolute values.
    L1,
    /// Euclidean length.
    L2,
    /// Largest absolute value.
    Max,
}

/// scikit-learn's `Normalizer`: each row divided by its norm; rows of zeros stay.
pub fn normalise(features: &mut Features, norm: Norm) {
    features.for_each_row(|row| {
        let size = match norm {
            Norm::L1 => row.iter().map(|v| v.abs()).sum::<f64>(),
            Norm::L2 => row.iter().map(|v| v * v).sum::<f64>().sqrt(),
            Norm::Max => row.iter().fold(0.0, |most: f64, v| most.max(v.abs())),
        };
        if size > 0.0 {
            row.iter_mut().for_each(|value| *value /= size);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn sparse_and_dense_rows_are_one_matrix() {
        let dense = arr2(&[[0.0, 2.0, 0.0], [1.0, 0.0, -3.0], [0.0, 0.0, 0.0]]);
        let sparse = Features::Sparse(Sparse {
            columns: 3,
            begins: vec![0, 1, 3, 3],
            indices: vec![1, 0, 2],
            values: vec![2.0, 1.0, -3.0],
        });
        let dense = Features::Dense(dense);
        let (w, r) = (arr2(&[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), arr2(&[[1.0, -1.0], [0.5, 2.0], [7.0, 7.0]]));
        assert_eq!(dense.times(w.view()), sparse.times(w.view()));
        assert_eq!(dense.times(w.view()), arr2(&[[6.0, 8.0], [-14.0, -16.0], [0.0, 0.0]]));
        assert_eq!(dense.transposed_times(r.view()), sparse.transposed_times(r.view()));
        assert_eq!(dense.squared_lengths(), sparse.squared_lengths());
        assert_eq!(dense.select(&[1, 0]).dense_row(0), sparse.select(&[1, 0]).dense_row(0));
        for (norm, expected) in [(Norm::L1, 0.25), (Norm::L2, 0.1f64.sqrt()), (Norm::Max, 1.0 / 3.0)] {
            for mut features in [dense.clone(), sparse.clone()] {
                normalise(&mut features, norm);
                assert!((features.dense_row(1)[0] - expected).abs() < 1e-15);
                assert_eq!(features.dense_row(2), [0.0; 3]);
            }
        }
    }
}

//! Local pieces of tall matrices and what a block method does with them. No rank is seen here: partial sums are
//! added up by the caller.
//!
//! A [`Panel`] is the current block (rows x width, f32, row-major, padded). The [`Basis`] keeps all earlier blocks by
//! fixed row blocks, each stored vector by vector (columns x rows of the block), so that it grows at its end and every
//! product is one BLAS call of a shape that depends on the corpus and k alone.

use ndarray::{Array2, ArrayView2, ArrayViewMut2, s};

use crate::linalg::dense::{multiply, multiply_f64};
use crate::linalg::fixed::{Grid, wide};
use crate::linalg::kernels::{LANES, add_fixed};
use crate::linalg::{Aligned, Simd, rows};

/// Some rows of a block of vectors.
pub struct Panel {
    /// Rows here.
    pub rows: usize,
    /// Columns in memory, the last of which may be padding that holds zeros.
    pub width: usize,
    /// Row-major values.
    pub values: Aligned<f32>,
}

impl Panel {
    /// All zeros.
    pub fn zeros(rows: usize, width: usize) -> Panel {
        Panel { rows, width, values: Aligned::zeros(rows * width) }
    }

    /// The rows of a matrix.
    pub fn of(matrix: ArrayView2<f32>) -> Panel {
        let width = matrix.ncols().next_multiple_of(LANES);
        let mut panel = Panel::zeros(matrix.nrows(), width);
        for (to, from) in panel.values.chunks_exact_mut(width.max(1)).zip(matrix.rows()) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
        panel
    }

    fn part(&self, range: &std::ops::Range<usize>) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape(
            (range.len(), self.width),
            &self.values[range.start * self.width..range.end * self.width],
        )
        .expect("rows of a panel")
    }

    fn part_mut(&mut self, range: &std::ops::Range<usize>) -> ArrayViewMut2<'_, f32> {
        let width = self.width;
        ArrayViewMut2::from_shape((range.len(), width), &mut self.values[range.start * width..range.end * width])
            .expect("rows of a panel")
    }

    /// Adds the products W^T W of all row blocks here to exact sums (width x width pairs). The products are in f64:
    /// in f32 they would fail for condition numbers above 1e4.
    pub fn gram(&self, sums: &mut [i64]) {
        let mut product = Array2::<f64>::zeros((self.width, self.width));
        for range in rows::blocks(self.rows) {
            let block = self.part(&range).mapv(f64::from);
            multiply_f64(1.0, block.t(), block.view(), 0.0, &mut product.view_mut());
            for (pair, value) in sums.chunks_exact_mut(2).zip(&product) {
                wide::add(pair, *value);
            }
        }
    }

    /// Adds the products W^T W of all row blocks here, made in f32, to exact sums (width x width): good enough where
    /// the columns are orthonormal but for rounding.
    pub fn gram_single(&self, grid: Grid, sums: &mut [i64]) {
        let simd = Simd::detect();
        let mut product = Array2::<f32>::zeros((self.width, self.width));
        for range in rows::blocks(self.rows) {
            let block = self.part(&range);
            multiply(1.0, block.t(), block, 0.0, &mut product.view_mut());
            add_fixed(simd, product.as_slice().expect("row-major product"), grid, sums);
        }
    }

    /// Adds the squared norms of the columns to exact sums (width pairs), row block by row block.
    pub fn norms(&self, sums: &mut [i64]) {
        let mut squares = vec![0f64; self.width];
        for range in rows::blocks(self.rows) {
            squares.fill(0.0);
            for row in self.part(&range).rows() {
                squares.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value) * f64::from(*value));
            }
            sums.chunks_exact_mut(2).zip(&squares).for_each(|(pair, value)| wide::add(pair, *value));
        }
    }

    /// A column of the rows here.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> {
        self.values.iter().skip(column).step_by(self.width).copied()
    }

    /// Replaces a column.
    pub fn set_column(&mut self, column: usize, values: impl IntoIterator<Item = f32>) {
        let width = self.width;
        self.values.iter_mut().skip(column).step_by(width).zip(values).for_each(|(to, value)| *to = value);
    }

    /// Sets all columns from this one on to zero.
    pub fn clear_columns(&mut self, first: usize) {
        if first < self.width {
            self.values.chunks_exact_mut(self.width).for_each(|row| row[first..].fill(0.0));
        }
    }

    /// W := W T for a small T (width x width).
    pub fn transform(&mut self, t: &Array2<f64>) {
        let t = t.mapv(|value| value as f32);
        for range in rows::blocks(self.rows) {
            let block = self.part(&range).to_owned();
            multiply(1.0, block.view(), t.view(), 0.0, &mut self.part_mut(&range));
        }
    }
}

/// Some rows of an orthonormal basis that grows by blocks.
pub struct Basis {
    blocks: Vec<Vec<f32>>,
    rows: usize,
    columns: usize,
}

impl Basis {
    /// No columns yet; room for `capacity` of them is reserved, not touched.
    pub fn new(rows: usize, capacity: usize) -> Basis {
        let blocks = rows::blocks(rows).map(|range| Vec::with_capacity(range.len() * capacity)).collect();
        Basis { blocks, rows, columns: 0 }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Appends the first `count` columns of a panel.
    pub fn append(&mut self, panel: &Panel, count: usize) {
        for (block, range) in self.blocks.iter_mut().zip(rows::blocks(self.rows)) {
            let part = panel.part(&range);
            for column in 0..count {
                block.extend(part.column(column).iter());
            }
        }
        self.columns += count;
    }

    fn block(&self, block: usize, rows: usize) -> ArrayView2<'_, f32> {
        ArrayView2::from_shape((self.columns, rows), &self.blocks[block]).expect("columns of a basis")
    }

    /// Copies some columns to a matrix (rows x columns).
    pub fn copy_columns(&self, columns: std::ops::Range<usize>, mut to: ArrayViewMut2<f32>) {
        for (number, range) in rows::blocks(self.rows).enumerate() {
            let block = self.block(number, range.len());
            to.slice_mut(s![range, ..]).assign(&block.slice(s![columns.clone(), ..]).t());
        }
    }

    /// Adds Q^T W of the rows here, for the columns of Q from `first` on, to exact sums (columns x width).
    pub fn overlaps(&self, first: usize, panel: &Panel, grid: Grid, sums: &mut [i64]) {
        let simd = Simd::detect();
        let mut product = Array2::<f32>::zeros((self.columns - first, panel.width));
        for (number, range) in rows::blocks(self.rows).enumerate() {
            let q = self.block(number, range.len());
            multiply(1.0, q.slice(s![first.., ..]), panel.part(&range), 0.0, &mut product.view_mut());
            add_fixed(simd, product.as_slice().expect("row-major product"), grid, sums);
        }
    }

    /// W := W - Q C for the columns of Q from `first` on and C (columns x width).
    pub fn subtract(&self, first: usize, c: &Array2<f64>, panel: &mut Panel) {
        let c = c.mapv(|value| value as f32);
        for (number, range) in rows::blocks(self.rows).enumerate() {
            let q = self.block(number, range.len());
            multiply(-1.0, q.slice(s![first.., ..]).t(), c.view(), 1.0, &mut panel.part_mut(&range));
        }
    }

    /// The rows here of Q Z for Z (columns x any), one row after the other.
    pub fn combine(&self, z: ArrayView2<f64>) -> Array2<f32> {
        let narrow = z.mapv(|value| value as f32);
        let mut result = Array2::zeros((self.rows, z.ncols()));
        for (number, range) in rows::blocks(self.rows).enumerate() {
            let mut part = result.slice_mut(ndarray::s![range.clone(), ..]);
            multiply(1.0, self.block(number, range.len()).t(), narrow.view(), 0.0, &mut part);
        }
        result
    }

    /// Q := Q Z: replaces the basis by fewer vectors of its span.
    pub fn compress(&mut self, z: ArrayView2<f64>) {
        let combined = self.combine(z);
        self.columns = z.ncols();
        for (block, range) in self.blocks.iter_mut().zip(rows::blocks(self.rows)) {
            block.clear();
            for column in combined.columns() {
                block.extend(column.slice(ndarray::s![range.clone()]).iter());
            }
        }
    }
}

//! Local pieces of tall matrices and what a block method does with them. No rank is seen here: partial sums are
//! added up by the caller.
//!
//! A [`Panel`] is the current block (rows x width, f32, row-major, padded). The [`Basis`] keeps all earlier blocks in groups
//! of [`GROUP`] columns, each row-major like a panel: it grows at its end without moving, and products with a block read it
//! from memory in order, once ([`tall`](crate::linalg::tall)). Products are made by fixed blocks of rows, so their bits depend
//! on the corpus and k alone.

use std::ops::Range;

use ndarray::{Array2, ArrayView2, ArrayViewMut2};

use crate::linalg::dense::multiply_f64;
use crate::linalg::fixed::{Grid, wide};
use crate::linalg::kernels::{LANES, add_fixed};
use crate::linalg::tall::{Tall, add_product, add_squares, cross};
use crate::linalg::{Aligned, Simd, rows};

/// Columns of the basis that lie together.
const GROUP: usize = 32;

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

    /// Some rows of it.
    fn part(&self, range: &Range<usize>) -> Tall<'_> {
        Tall { values: &self.values[range.start * self.width..range.end * self.width], width: self.width }
    }

    /// Adds the products W^T W of all row blocks here to exact sums (width x width pairs). The products are in f64:
    /// in f32 they would fail for condition numbers above 1e4.
    pub fn gram(&self, sums: &mut [i64]) {
        let mut product = Array2::<f64>::zeros((self.width, self.width));
        for range in rows::blocks(self.rows) {
            let block = ArrayView2::from_shape((range.len(), self.width), self.part(&range).values)
                .expect("rows of a panel")
                .mapv(f64::from);
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
        let mut product = vec![0f32; self.width * self.width];
        for range in rows::blocks(self.rows) {
            cross(simd, self.part(&range), self.part(&range), &mut product);
            add_fixed(simd, &product, grid, sums);
        }
    }

    /// Adds the squared norms of the columns to exact sums (width pairs), row block by row block.
    pub fn norms(&self, sums: &mut [i64]) {
        let simd = Simd::detect();
        let mut squares = vec![0f64; self.width];
        for range in rows::blocks(self.rows) {
            squares.fill(0.0);
            add_squares(simd, self.part(&range), &mut squares);
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
        // Few enough rows for the first-level cache, in whole tiles of 6 and of 8.
        const ROWS: usize = 48;
        let (simd, width) = (Simd::detect(), self.width);
        let t: Vec<f32> = t.iter().map(|value| *value as f32).collect();
        let mut copy = Vec::with_capacity(ROWS * width);
        for rows in self.values.chunks_mut(ROWS * width) {
            copy.clear();
            copy.extend_from_slice(rows);
            rows.fill(0.0);
            add_product(simd, Tall { values: &copy, width }, &t, rows, width);
        }
    }
}

/// Some rows of an orthonormal basis that grows by blocks.
pub struct Basis {
    /// Row-major (rows x [`GROUP`]) each; columns of the last that are not in use are zero.
    groups: Vec<Aligned<f32>>,
    rows: usize,
    columns: usize,
}

impl Basis {
    /// No columns yet.
    pub fn new(rows: usize) -> Basis {
        Basis { groups: Vec::new(), rows, columns: 0 }
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Appends the first `count` columns of a panel.
    pub fn append(&mut self, panel: &Panel, count: usize) {
        let mut from = 0;
        while from < count {
            let at = self.columns % GROUP;
            if at == 0 {
                self.groups.push(Aligned::zeros(self.rows * GROUP));
            }
            let taken = (count - from).min(GROUP - at);
            let group = self.groups.last_mut().expect("a group with room");
            for (to, row) in group.chunks_exact_mut(GROUP).zip(panel.values.chunks_exact(panel.width)) {
                to[at..at + taken].copy_from_slice(&row[from..from + taken]);
            }
            from += taken;
            self.columns += taken;
        }
    }

    fn part(&self, group: usize, range: &Range<usize>) -> Tall<'_> {
        Tall { values: &self.groups[group][range.start * GROUP..range.end * GROUP], width: GROUP }
    }

    /// Copies some columns to a matrix (rows x columns).
    pub fn copy_columns(&self, columns: Range<usize>, mut to: ArrayViewMut2<f32>) {
        for (mut to, column) in to.columns_mut().into_iter().zip(columns) {
            let from = self.groups[column / GROUP].iter().skip(column % GROUP).step_by(GROUP);
            to.iter_mut().zip(from).for_each(|(to, value)| *to = *value);
        }
    }

    /// Adds Q^T W of the rows here, for the columns of Q from `first` on, to exact sums (columns x width).
    pub fn overlaps(&self, first: usize, panel: &Panel, grid: Grid, sums: &mut [i64]) {
        let (simd, width) = (Simd::detect(), panel.width);
        let mut product = vec![0f32; GROUP * width];
        for range in rows::blocks(self.rows) {
            for group in first / GROUP..self.groups.len() {
                let begin = first.max(group * GROUP);
                let end = self.columns.min((group + 1) * GROUP);
                if begin == end {
                    continue;
                }
                cross(simd, self.part(group, &range), panel.part(&range), &mut product);
                let product = &product[(begin - group * GROUP) * width..(end - group * GROUP) * width];
                add_fixed(simd, product, grid, &mut sums[(begin - first) * width..(end - first) * width]);
            }
        }
    }

    /// W := W - Q C for the columns of Q from `first` on and C (columns x width).
    pub fn subtract(&self, first: usize, c: &Array2<f64>, panel: &mut Panel) {
        self.add(first, c.view(), -1.0, &mut panel.values, panel.width);
    }

    /// The rows here of Q Z for Z (columns x any), one row after the other.
    pub fn combine(&self, z: ArrayView2<f64>) -> Array2<f32> {
        let panel = self.times(z);
        let mut result = Array2::zeros((self.rows, z.ncols()));
        for (mut to, from) in result.rows_mut().into_iter().zip(panel.values.chunks_exact(panel.width.max(1))) {
            to.as_slice_mut().expect("a row").copy_from_slice(&from[..z.ncols()]);
        }
        result
    }

    /// Q := Q Z: replaces the basis by fewer vectors of its span.
    pub fn compress(&mut self, z: ArrayView2<f64>) {
        let panel = self.times(z);
        self.groups.clear();
        self.columns = 0;
        self.append(&panel, z.ncols());
    }

    /// The rows here of Q Z.
    fn times(&self, z: ArrayView2<f64>) -> Panel {
        let mut panel = Panel::zeros(self.rows, z.ncols().next_multiple_of(LANES));
        self.add(0, z, 1.0, &mut panel.values, panel.width);
        panel
    }

    /// W += `sign` Q C for the columns of Q from `first` on; C (columns x at most width), W (rows x width).
    fn add(&self, first: usize, c: ArrayView2<f64>, sign: f64, w: &mut [f32], width: usize) {
        if width == 0 {
            return;
        }
        let simd = Simd::detect();
        let start = first / GROUP;
        // Rows of C for whole groups: zeros stand for columns that do not take part.
        let mut factors = vec![0f32; (self.groups.len() - start) * GROUP * width];
        for (row, values) in c.rows().into_iter().enumerate() {
            let at = (first - start * GROUP + row) * width;
            factors[at..].iter_mut().zip(values).for_each(|(to, value)| *to = (sign * value) as f32);
        }
        // A stretch of the product stays in the cache while all groups go by. It is added to W at the end: what is
        // subtracted is mostly small, and adding it up within W would round hundreds of times at the size of W.
        let mut product = vec![0f32; STRETCH * width];
        for begin in (0..self.rows).step_by(STRETCH) {
            let range = begin..(begin + STRETCH).min(self.rows);
            let product = &mut product[..range.len() * width];
            product.fill(0.0);
            for (group, factors) in (start..self.groups.len()).zip(factors.chunks_exact(GROUP * width)) {
                add_product(simd, self.part(group, &range), factors, product, width);
            }
            let w = &mut w[range.start * width..range.end * width];
            w.iter_mut().zip(product.iter()).for_each(|(w, product)| *w += product);
        }
    }
}

/// Rows of W that are changed at a time: whole tiles of 6 and of 8 rows.
const STRETCH: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::s;

    fn numbers(rows: usize, columns: usize, step: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, columns), |(i, j)| ((i * columns + j) * step % 61) as f32 / 32.0 - 1.0)
    }

    /// Blocks of widths that are no multiples of a group, and a first column within a group.
    #[test]
    fn a_basis_of_uneven_blocks_multiplies_like_a_dense_matrix() {
        let rows = 2100;
        let blocks = [(20, 7), (16, 11), (48, 13), (5, 17)];
        let mut basis = Basis::new(rows);
        let mut dense = Array2::<f64>::zeros((rows, 0));
        for (columns, step) in blocks {
            let block = numbers(rows, columns, step);
            basis.append(&Panel::of(block.view()), columns);
            dense.append(ndarray::Axis(1), block.mapv(f64::from).view()).expect("same rows");
        }
        assert_eq!(basis.columns(), 89);
        let w = numbers(rows, 20, 19);
        let mut panel = Panel::of(w.view());
        let grid = Grid::for_bound(1e4).expect("a grid");
        for first in [0, 20, 36, 64, 84, 89] {
            let mut sums = vec![0i64; (89 - first) * panel.width];
            basis.overlaps(first, &panel, grid, &mut sums);
            let expected = dense.slice(s![.., first..]).t().dot(&w.mapv(f64::from));
            for ((i, j), value) in expected.indexed_iter() {
                assert!((grid.float(sums[i * panel.width + j]) - value).abs() < 1e-2, "{first} {i} {j}");
            }
        }
        let c = numbers(25, panel.width, 23).mapv(f64::from);
        basis.subtract(64, &c, &mut panel);
        let expected = w.mapv(f64::from) - dense.slice(s![.., 64..]).dot(&c.slice(s![.., ..20]));
        for ((i, j), value) in expected.indexed_iter() {
            assert!((f64::from(panel.values[i * panel.width + j]) - value).abs() < 1e-4, "{i} {j}");
        }
        let z = numbers(89, 33, 29).mapv(f64::from);
        let expected = dense.dot(&z);
        let close = |found: &Array2<f32>| expected.iter().zip(found).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-3);
        assert!(close(&basis.combine(z.view())));
        basis.compress(z.view());
        assert_eq!(basis.columns(), 33);
        assert!(close(&basis.combine(Array2::eye(33).view())));
    }
}

//! Vectors in eight bits a number, and how far off their products can be at the most.
//!
//! A document d of length 1 becomes whole numbers x and a scale a, the largest magnitude in d over 127; a query q becomes y and b.
//! With the errors e = d - a x and f = q - b y, whose lengths are computed and not estimated,
//!
//! ```text
//! q d = a b (x y) + q e + f (a x),     |q e| <= |e|,    |f (a x)| <= |f| (1 + |e|)       (Cauchy-Schwarz; |q| = |d| = 1)
//! ```
//!
//! So a document of which a b (x y) lies further below a similarity than |e| + |f| (1 + |e|) cannot reach it, whatever the
//! vectors are: a search that computes exactly what is not ruled out finds exactly what a search without this pass does. For
//! 200 numbers of about equal size the two lengths are 0.007 each, and some twenty documents are left to prove the best ten.

use ndarray::{Array2, ArrayView1, ArrayView2, s};
use rayon::prelude::*;

use crate::linalg::int8::{Int8, MOST_COLUMNS, PANEL, PackedQueries, ZERO, panel_bytes, passing, place};

/// Twice what rounding adds to the bound: lengths are 1 but for 1e-7, an exact similarity is rounded to f32 (2^-25), the
/// product is converted and scaled in f32 (2^-23 of at most 1.1), and the threshold comes of six roundings of numbers up to 3.
const ROUNDING: f32 = 5e-6;

/// 1.5 * 2^23: added to a number below 2^22 it leaves the nearest whole number in the last bits.
const ROUND: f32 = 12_582_912.0;

/// Rows in eight bits, in panels of 64.
#[derive(Debug)]
pub struct QuantisedRows {
    /// Panel after panel, as [`passing`] wants them.
    numbers: Vec<u8>,
    /// What a document's numbers stand for.
    scales: Vec<[f32; PANEL]>,
    /// The longest |e| of each panel.
    errors: Vec<f32>,
}

impl QuantisedRows {
    /// Quantises unit vectors, or zeros (rows x k). None for rows too long for sums of 32 bits.
    pub fn new(pool: &rayon::ThreadPool, rows: &Array2<f32>) -> Option<QuantisedRows> {
        let columns = rows.ncols();
        if columns == 0 || columns > MOST_COLUMNS {
            return None;
        }
        let panels = rows.nrows().div_ceil(PANEL);
        let mut numbers = vec![ZERO; panels * panel_bytes(columns)];
        let mut scales = vec![[0.0f32; PANEL]; panels];
        let mut errors = vec![0.0f32; panels];
        let parts = numbers.par_chunks_mut(panel_bytes(columns)).zip(&mut scales).zip(&mut errors).enumerate();
        pool.install(|| {
            parts.for_each(|(at, ((numbers, scales), error))| {
                let rows = rows.slice(s![at * PANEL..((at + 1) * PANEL).min(rows.nrows()), ..]);
                let mut whole = vec![0; columns];
                for (row, vector) in rows.rows().into_iter().enumerate() {
                    let (scale, length) = quantise(vector, i8::MAX, &mut whole);
                    for (column, &x) in whole.iter().enumerate() {
                        numbers[place(row, column)] = (i16::from(x) + i16::from(ZERO)) as u8;
                    }
                    scales[row] = scale;
                    *error = error.max(length);
                }
            });
        });
        Some(QuantisedRows { numbers, scales, errors })
    }

    /// Bytes of memory that each row takes beside its f32.
    pub fn bytes_a_row(columns: usize) -> u64 {
        (panel_bytes(columns) / PANEL + 8) as u64
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        (self.numbers.len() + self.scales.len() * (PANEL + 1) * 4) as u64
    }
}

/// Queries in eight bits, and what it takes to compare them.
pub struct QuantisedQueries {
    kernel: Int8,
    packed: PackedQueries,
    columns: usize,
    /// 1 / b of each query.
    inverses: Vec<f32>,
    /// |f| of each query.
    errors: Vec<f32>,
    /// Queries that are zero.
    zeros: Vec<usize>,
    thresholds: Vec<f32>,
}

impl QuantisedQueries {
    /// Quantises unit vectors, or zeros (queries x k), at most [`MOST_COLUMNS`] long.
    pub fn new(kernel: Int8, queries: ArrayView2<f32>) -> QuantisedQueries {
        let columns = queries.ncols();
        let mut numbers = vec![0; queries.len()];
        let (mut inverses, mut errors, mut zeros) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (query, whole)) in queries.rows().into_iter().zip(numbers.chunks_mut(columns)).enumerate() {
            let (scale, length) = quantise(query, kernel.most(), whole);
            if scale == 0.0 {
                zeros.push(at);
            }
            inverses.push(if scale == 0.0 { 1.0 } else { 1.0 / scale });
            errors.push(length);
        }
        let packed = PackedQueries::new(&numbers, columns);
        QuantisedQueries { kernel, packed, columns, inverses, errors, zeros, thresholds: vec![0.0; queries.nrows()] }
    }

    /// Which documents of a panel may be as similar to a query as `wanted` says: bit d of `passed[q]`. All others are less
    /// similar, for certain; zero queries have none.
    pub fn candidates(&mut self, rows: &QuantisedRows, panel: usize, wanted: &[f32], passed: &mut [u64]) {
        let error = rows.errors[panel];
        let queries = self.inverses.iter().zip(&self.errors).zip(wanted);
        for (threshold, ((inverse, length), wanted)) in self.thresholds.iter_mut().zip(queries) {
            *threshold = (wanted - (error + length * (1.0 + error) + ROUNDING)) * inverse;
        }
        self.zeros.iter().for_each(|&query| self.thresholds[query] = f32::INFINITY);
        let size = panel_bytes(self.columns);
        let numbers = &rows.numbers[panel * size..][..size];
        passing(self.kernel, numbers, &rows.scales[panel], &self.packed, &self.thresholds, passed);
    }
}

/// A vector as whole numbers up to `most` in magnitude; their scale, and the length of the error, rounded up.
fn quantise(vector: ArrayView1<f32>, most: i8, whole: &mut [i8]) -> (f32, f32) {
    let copy;
    let values = match vector.as_slice() {
        Some(values) => values,
        None => {
            copy = vector.to_vec();
            &copy
        }
    };
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let most = f32::from(most);
    let scale = largest / most;
    // A vector of length 1 has a number of at least 1 / sqrt(k); what is smaller than this is zero.
    if scale < f32::MIN_POSITIVE {
        whole.fill(0);
        return (0.0, largest * values.len() as f32);
    }
    let inverse = most / largest;
    let mut squares = [0.0f64; 8];
    for (values, whole) in values.chunks(8).zip(whole.chunks_mut(8)) {
        for ((value, whole), square) in values.iter().zip(whole).zip(&mut squares) {
            let nearest = (value * inverse).clamp(-most, most) + ROUND;
            *whole = (nearest.to_bits() as i32).wrapping_sub(ROUND.to_bits() as i32) as i8;
            let error = f64::from(*value) - f64::from(scale) * f64::from(*whole);
            *square += error * error;
        }
    }
    let length = squares.iter().sum::<f64>().sqrt();
    (scale, ((length * (1.0 + 1e-9)) as f32).next_up())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::{Simd, inner::inner};
    use crate::random::Stream;
    use crate::similarity::unit::normalise;

    /// Unit vectors: even ones, some with one number far above the others, some of one number alone, zeros.
    fn vectors(rows: usize, columns: usize, purpose: &str) -> Array2<f32> {
        let mut stream = Stream::new(8, purpose, columns as u64);
        let mut vectors = Array2::from_shape_simple_fn((rows, columns), || stream.normal() as f32);
        for (at, mut row) in vectors.rows_mut().into_iter().enumerate() {
            match at % 5 {
                1 => row[at % columns] *= 40.0,
                2 if at % 3 == 0 => row.fill(0.0),
                3 if at % 3 == 0 => {
                    row.fill(0.0);
                    row[at % columns] = -1.0;
                }
                _ => {}
            }
            normalise(row);
        }
        vectors
    }

    #[test]
    fn whole_numbers_are_the_nearest_and_the_error_is_theirs() {
        let rows = vectors(40, 33, "rows");
        for most in [63, 127] {
            for row in rows.rows() {
                let mut whole = [0; 33];
                let (scale, length) = quantise(row, most, &mut whole);
                let mut squared = 0.0;
                for (&value, &x) in row.iter().zip(&whole) {
                    let error = f64::from(value) - f64::from(scale) * f64::from(x);
                    assert!(error.abs() <= 0.5001 * f64::from(scale) && x.abs() <= most, "{value} as {x}");
                    squared += error * error;
                }
                let exact = squared.sqrt();
                assert!((exact..=exact * 1.000001 + 1e-44).contains(&f64::from(length)), "{length} for {exact}");
            }
        }
    }

    #[test]
    fn nothing_as_similar_as_wanted_is_ruled_out() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        let mut left = Vec::new();
        for columns in [1, 2, 30, 200] {
            let (rows, queries) = (vectors(150, columns, "rows"), vectors(31, columns, "queries"));
            let quantised = QuantisedRows::new(&pool, &rows).unwrap();
            let similarity = |query: usize, row: usize| -> f32 {
                inner(Simd::detect(), &queries.row(query).to_vec(), &rows.row(row).to_vec())
            };
            for kernel in Int8::available() {
                let mut asked = QuantisedQueries::new(kernel, queries.view());
                // Each query wants what one document has to the last bit.
                for shift in 0..20 {
                    let wanted: Vec<f32> =
                        (0..31).map(|query| similarity(query, (query * 7 + shift * 13) % 150)).collect();
                    for panel in 0..3 {
                        let mut passed = vec![0; 31];
                        asked.candidates(&quantised, panel, &wanted, &mut passed);
                        for (query, passed) in passed.iter().enumerate() {
                            let zero = queries.row(query).iter().all(|&value| value == 0.0);
                            for row in panel * PANEL..(panel * PANEL + PANEL).min(150) {
                                let passes = passed >> (row % PANEL) & 1 == 1;
                                let wants = !zero && similarity(query, row) >= wanted[query];
                                assert!(passes || !wants, "{kernel:?}: {query} and {row} of {columns}");
                                left.push((columns, passes, wants));
                            }
                        }
                    }
                }
            }
        }
        // And most of what can be ruled out is, though one number far above the others in a panel spoils the bound for all.
        let count = |wants: bool| left.iter().filter(|l| l.0 == 200 && l.1 && l.2 == wants).count();
        let other = left.iter().filter(|l| l.0 == 200 && !l.2).count();
        assert!(count(true) > 0 && count(false) * 2 < other, "{} of {other}", count(false));
    }

    #[test]
    fn rows_too_long_for_sums_of_32_bits_are_left_alone() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert!(QuantisedRows::new(&pool, &Array2::zeros((1, MOST_COLUMNS + 1))).is_none());
        assert!(QuantisedRows::new(&pool, &Array2::zeros((1, MOST_COLUMNS))).is_some());
    }
}

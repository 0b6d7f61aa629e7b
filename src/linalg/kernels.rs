//! Sparse x dense products of one chunk, the hot loops of the program.
//!
//! Problem: Y = A^T V (documents x b) and W += A Y (terms x b), A sparse, V, Y, W row-major with rows padded to 16.
//! Algorithm: a strip of up to 64 columns is kept in registers while the nonzeros of one row are gone through, each adding
//! value x (row of the dense operand); so every operand row is read once per nonzero and strip, and each result row is
//! written once. Strips of 128 columns are a fifth slower: two neighbouring lines are fetched together, and more of them
//! are on their way for the nonzeros ahead when the strip is short. A Y is added to fixed-point sums straight from the registers
//! with AVX-512; other instruction sets convert no f64 to i64, and do it by additions. There, too, rows are asked for some nonzeros
//! before they are needed: a core with a small second-level cache else waits for most of them.
//! Cost: 2 flops a nonzero and column; the operand rows are 4 b bytes a nonzero, from cache for frequent terms.
//!
//! Safety argument for the `unsafe` blocks: they call a function compiled for an instruction set after [`Simd`] has seen
//! that the CPU has it, or convert to i64 a number that the grid's a-priori bound keeps below 2^62 in magnitude. All
//! memory is reached through checked slices.

use super::fixed::Grid;
use super::prefetch;
use super::prepared::{Prepared, Rows};
use super::simd::Simd;
use rayon::prelude::*;
use std::ops::Range;

/// Columns are padded to a multiple of this: one AVX-512 register of f32.
pub const LANES: usize = 16;

/// Adds strips of results into where they belong; with AVX-512 the CPU converts to i64 in registers.
trait Sink<T> {
    /// Asks for where a strip will go.
    fn expect(&self, row: usize, column: usize, length: usize);
    fn put<const AVX512: bool>(&mut self, row: usize, column: usize, strip: &[T]);
}

/// Result rows in plain floats, written once each.
struct Store<'a, T> {
    out: &'a mut [T],
    first: usize,
    width: usize,
}

impl<T: Copy> Sink<T> for Store<'_, T> {
    #[inline(always)]
    fn expect(&self, _: usize, _: usize, _: usize) {}

    #[inline(always)]
    fn put<const AVX512: bool>(&mut self, row: usize, column: usize, strip: &[T]) {
        let at = (row - self.first) * self.width + column;
        self.out[at..at + strip.len()].copy_from_slice(strip);
    }
}

/// Fixed-point sums of a product (terms x width).
pub enum Sums<'a> {
    /// The first chunk of a pass: what was there is overwritten, and rows of terms that do not occur become zero. This
    /// spares clearing and reading them.
    Begin(&'a mut [i64]),
    /// Another chunk is added.
    Add(&'a mut [i64]),
}

impl<'a> Sums<'a> {
    /// The first call of a pass, when `fresh` still holds, gives sums of this length to begin with; later ones add.
    pub fn begin_or_add(fresh: &mut bool, sums: &'a mut Vec<i64>, length: usize) -> Sums<'a> {
        if std::mem::replace(fresh, false) {
            sums.resize(length, 0);
            Sums::Begin(sums)
        } else {
            Sums::Add(sums)
        }
    }
}

/// Result rows in fixed-point numbers, which replace what is there or are added to it.
struct Accumulate<'a, T, const ADD: bool> {
    sums: &'a mut [i64],
    /// Row of the sums that each row of the product belongs to.
    rows: &'a [u32],
    /// First row of `sums`.
    first: usize,
    width: usize,
    scale: T,
}

macro_rules! kernels {
    ($float:ty, $module:ident, $most_avx512:expr, $most:expr) => {
        mod $module {
            use super::*;

            /// A value on the grid, already scaled.
            #[inline(always)]
            pub fn fixed<const AVX512: bool>(scaled: $float) -> i64 {
                if AVX512 {
                    // SAFETY: within the grid's bound by construction: see the head of the file.
                    unsafe { scaled.round_ties_even().to_int_unchecked::<i64>() }
                } else {
                    to_fixed(f64::from(scaled))
                }
            }

            impl<const ADD: bool> Sink<$float> for Accumulate<'_, $float, ADD> {
                #[inline(always)]
                fn expect(&self, row: usize, column: usize, length: usize) {
                    let Some(&row) = self.rows.get(row) else { return };
                    prefetch::from(self.sums, (row as usize - self.first) * self.width + column, length);
                }

                #[inline(always)]
                fn put<const AVX512: bool>(&mut self, row: usize, column: usize, strip: &[$float]) {
                    let at = (self.rows[row] as usize - self.first) * self.width + column;
                    for (sum, value) in self.sums[at..at + strip.len()].iter_mut().zip(strip) {
                        let fixed = fixed::<AVX512>(value * self.scale);
                        *sum = if ADD { sum.wrapping_add(fixed) } else { fixed };
                    }
                }
            }

            #[inline(always)]
            fn strip<const W: usize, const FUSED: bool, const AVX512: bool, O: Copy + Into<$float>>(
                columns: &[u32],
                values: &[f32],
                ahead: &[u32],
                dense: &[O],
                width: usize,
                at: usize,
            ) -> [$float; W] {
                let mut sum = [0 as $float; W];
                for ((&column, &value), &next) in columns.iter().zip(values).zip(ahead) {
                    if !AVX512 {
                        prefetch::from(dense, next as usize * width + at, W);
                    }
                    let value = value as $float;
                    let operand = &dense[column as usize * width + at..][..W];
                    for lane in 0..W {
                        let operand: $float = operand[lane].into();
                        sum[lane] = if FUSED { operand.mul_add(value, sum[lane]) } else { operand * value + sum[lane] };
                    }
                }
                sum
            }

            #[inline(always)]
            fn product<const FUSED: bool, const AVX512: bool, O: Copy + Into<$float>, S: Sink<$float>>(
                rows: &Rows,
                range: Range<usize>,
                dense: &[O],
                width: usize,
                most: usize,
                sink: &mut S,
            ) {
                for row in range {
                    let span = rows.begins[row] as usize..rows.begins[row + 1] as usize;
                    let ahead = prefetch::ahead::<AHEAD>(&rows.columns, span.clone());
                    let (columns, values) = (&rows.columns[span.clone()], &rows.values[span]);
                    let mut at = 0;
                    while at < width {
                        macro_rules! step {
                            ($w:expr) => {{
                                if !AVX512 {
                                    sink.expect(row + 2, at, $w);
                                }
                                let strip = strip::<$w, FUSED, AVX512, O>(columns, values, ahead, dense, width, at);
                                // In memory without AVX-512: compilers else mix what is done with it into the loop over the nonzeros.
                                let strip = if AVX512 { &strip } else { std::hint::black_box(&strip) };
                                sink.put::<AVX512>(row, at, strip);
                            }};
                        }
                        let wide = (width - at).min(most);
                        match wide / LANES {
                            1 => step!(16),
                            2 => step!(32),
                            3 => step!(48),
                            _ => step!(64),
                        }
                        at += wide;
                    }
                }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn product_avx512<O: Copy + Into<$float>, S: Sink<$float>>(
                rows: &Rows,
                range: Range<usize>,
                dense: &[O],
                width: usize,
                sink: &mut S,
            ) {
                product::<true, true, O, S>(rows, range, dense, width, $most_avx512, sink)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn product_avx2<O: Copy + Into<$float>, S: Sink<$float>>(
                rows: &Rows,
                range: Range<usize>,
                dense: &[O],
                width: usize,
                sink: &mut S,
            ) {
                product::<true, false, O, S>(rows, range, dense, width, $most, sink)
            }

            fn run<O: Copy + Into<$float>, S: Sink<$float>>(
                simd: Simd,
                rows: &Rows,
                range: Range<usize>,
                dense: &[O],
                width: usize,
                sink: &mut S,
            ) {
                match simd {
                    // SAFETY: see the head of the file.
                    #[cfg(target_arch = "x86_64")]
                    Simd::Avx512 => unsafe { product_avx512(rows, range, dense, width, sink) },
                    // SAFETY: see the head of the file.
                    #[cfg(target_arch = "x86_64")]
                    Simd::Avx2 => unsafe { product_avx2(rows, range, dense, width, sink) },
                    _ => product::<false, false, O, S>(rows, range, dense, width, $most, sink),
                }
            }

            /// Y = A^T V by documents: `v` is terms x width, `y` documents x width; width a multiple of 16.
            pub fn documents_times(
                simd: Simd,
                pool: &rayon::ThreadPool,
                chunk: &Prepared,
                v: &[f32],
                width: usize,
                y: &mut [$float],
            ) {
                check(width, chunk.terms(), v.len(), chunk.documents(), y.len());
                let rows = &chunk.by_document;
                let parts = cut(rows, pool.current_num_threads());
                let mut rest = y;
                let mut tasks = Vec::new();
                for range in parts {
                    let (out, tail) = rest.split_at_mut(range.len() * width);
                    rest = tail;
                    tasks.push((range, out));
                }
                each(pool, tasks, |(range, out)| {
                    let mut sink = Store { first: range.start, out, width };
                    run(simd, rows, range, v, width, &mut sink);
                });
            }

            /// W += A Y on a fixed-point grid: `y` is documents x width, `w` terms x width.
            pub fn terms_times(
                simd: Simd,
                pool: &rayon::ThreadPool,
                chunk: &Prepared,
                y: &[$float],
                width: usize,
                grid: Grid,
                w: Sums,
            ) {
                match w {
                    Sums::Begin(w) => terms_into::<false>(simd, pool, chunk, y, width, grid, w),
                    Sums::Add(w) => terms_into::<true>(simd, pool, chunk, y, width, grid, w),
                }
            }

            fn terms_into<const ADD: bool>(
                simd: Simd,
                pool: &rayon::ThreadPool,
                chunk: &Prepared,
                y: &[$float],
                width: usize,
                grid: Grid,
                w: &mut [i64],
            ) {
                check(width, chunk.documents(), y.len(), chunk.terms(), w.len());
                let rows = &chunk.by_term;
                let present = &chunk.present;
                let mut rest = w;
                let mut done = 0;
                let mut tasks = Vec::new();
                for range in cut(rows, pool.current_num_threads()) {
                    let end = present.get(range.end).map_or(chunk.terms(), |&term| term as usize);
                    let (sums, tail) = rest.split_at_mut((end - done) * width);
                    rest = tail;
                    tasks.push((range, done, sums));
                    done = end;
                }
                let scale = grid.scale() as $float;
                each(pool, tasks, |(range, first, sums)| {
                    if !ADD {
                        let mut next = 0;
                        for &term in &present[range.clone()] {
                            let at = (term as usize - first) * width;
                            sums[next..at].fill(0);
                            next = at + width;
                        }
                        sums[next..].fill(0);
                    }
                    let mut sink = Accumulate::<_, ADD> { sums, rows: present, first, width, scale };
                    run(simd, rows, range, y, width, &mut sink);
                });
            }
        }
    };
}

/// Nonzeros by which rows of the dense operand are asked for before they are added.
const AHEAD: usize = 24;

/// The nearest integer, ties to even, of a number of magnitude up to 2^62, by additions that every instruction set has for
/// registers full of numbers: beside 1.5 x 2^52 an f64 has no bits for fractions, and its last bits are those of the integer.
/// Half the bits are taken at a time; what the upper half leaves is exact.
#[inline(always)]
fn to_fixed(value: f64) -> i64 {
    const MAGIC: f64 = 1.5 * (1u64 << 52) as f64;
    const HALF: f64 = (1u64 << 32) as f64;
    const BITS: i64 = MAGIC.to_bits() as i64;
    let upper = value * (1.0 / HALF) + MAGIC;
    let lower = (value - (upper - MAGIC) * HALF) + MAGIC;
    let (upper, lower) = (upper.to_bits() as i64, lower.to_bits() as i64);
    (upper << 32).wrapping_add(lower).wrapping_sub((BITS << 32).wrapping_add(BITS))
}

/// Adds values to fixed-point sums on a grid: sums[i] += round(values[i] / step).
pub fn add_fixed(simd: Simd, values: &[f32], grid: Grid, sums: &mut [i64]) {
    #[inline(always)]
    fn body<const AVX512: bool>(values: &[f32], scale: f32, sums: &mut [i64]) {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = sum.wrapping_add(single::fixed::<AVX512>(value * scale));
        }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    fn avx512(values: &[f32], scale: f32, sums: &mut [i64]) {
        body::<true>(values, scale, sums)
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(values: &[f32], scale: f32, sums: &mut [i64]) {
        body::<false>(values, scale, sums)
    }
    let scale = grid.scale() as f32;
    match simd {
        // SAFETY: see the head of the file.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { avx512(values, scale, sums) },
        // SAFETY: see the head of the file.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { avx2(values, scale, sums) },
        _ => body::<false>(values, scale, sums),
    }
}

kernels!(f32, single, 64, 64);
kernels!(f64, double, 64, 32);

pub use double::{documents_times as documents_times_f64, terms_times as terms_times_f64};
pub use single::{documents_times, terms_times};

fn check(width: usize, operand_rows: usize, operand: usize, result_rows: usize, result: usize) {
    assert!(width.is_multiple_of(LANES), "rows of {width} are not padded");
    assert_eq!((operand, result), (operand_rows * width, result_rows * width), "shapes of a sparse product");
}

/// Rows in consecutive runs of about equal work, one a thread.
fn cut(rows: &Rows, parts: usize) -> Vec<Range<usize>> {
    let count = rows.begins.len() - 1;
    let total = rows.columns.len();
    let mut begin = 0;
    (1..=parts)
        .map(|part| {
            let end = if part == parts {
                count
            } else {
                rows.begins.partition_point(|&at| (at as usize) < total * part / parts).min(count)
            };
            let range = begin..end.max(begin);
            begin = range.end;
            range
        })
        .collect()
}

fn each<T: Send>(pool: &rayon::ThreadPool, mut tasks: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if tasks.len() == 1 {
        tasks.drain(..).for_each(work);
    } else {
        pool.install(|| tasks.into_par_iter().for_each(work));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::chunk::CsrChunk;
    use proptest::prelude::*;

    fn chunk(documents: usize, terms: u32) -> CsrChunk {
        let mut state = 88_172_645_463_325_252u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        let mut chunk = CsrChunk { terms, indptr: vec![0], ..CsrChunk::default() };
        for _ in 0..documents {
            for term in 0..terms {
                if random() < 0.07 {
                    chunk.indices.push(term);
                    chunk.data.push(random() as f32 - 0.3);
                }
            }
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk
    }

    proptest! {
        #[test]
        fn additions_round_like_a_conversion(value in -(2f64.powi(62))..2f64.powi(62), shift in 0..80i32) {
            let value = value * 2f64.powi(-shift);
            prop_assert_eq!(to_fixed(value), value.round_ties_even() as i64);
        }
    }

    #[test]
    fn halves_go_to_even_numbers_on_both_sides_of_the_cut() {
        for base in [0.0, 1.0, 2f64.powi(31), 2f64.powi(32) - 1.0, 3.0 * 2f64.powi(31), 2f64.powi(51)] {
            for value in [base - 0.5, base, base + 0.5, base + 1.5] {
                for value in [value, -value] {
                    assert_eq!(to_fixed(value), value.round_ties_even() as i64, "{value}");
                }
            }
        }
        assert_eq!(to_fixed(2f64.powi(62)), 1 << 62);
        assert_eq!(to_fixed(-(2f64.powi(62))), -(1 << 62));
    }

    /// Slow oracle in f64: dense matrices, three loops.
    fn oracle(chunk: &CsrChunk, v: &[f64], width: usize) -> (Vec<f64>, Vec<f64>) {
        let mut y = vec![0.0; chunk.documents() * width];
        let mut w = vec![0.0; chunk.terms as usize * width];
        for row in 0..chunk.documents() {
            let (terms, values) = chunk.document(row);
            for column in 0..width {
                y[row * width + column] =
                    terms.iter().zip(values).map(|(&t, &x)| f64::from(x) * v[t as usize * width + column]).sum();
                for (&t, &x) in terms.iter().zip(values) {
                    w[t as usize * width + column] += f64::from(x) * y[row * width + column];
                }
            }
        }
        (y, w)
    }

    #[test]
    fn products_match_the_oracle_on_every_instruction_set_and_any_number_of_threads() {
        for (documents, terms) in [(1, 1), (37, 211), (0, 5), (90, 17)] {
            let chunk = chunk(documents, terms);
            let prepared = Prepared::new(chunk.clone()).expect("valid chunk");
            for width in [16, 48, 112, 128, 144, 400] {
                let v: Vec<f64> =
                    (0..terms as usize * width).map(|i| f64::from(((i * 7919) % 1000) as f32 * 1e-3)).collect();
                let (y, w) = oracle(&chunk, &v, width);
                let grid = Grid::for_bound(1e4).expect("bound in range");
                let mut first: Option<Vec<i64>> = None;
                for simd in Simd::available() {
                    for threads in [1, 3] {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                        let narrow: Vec<f32> = v.iter().map(|&x| x as f32).collect();
                        let mut y32 = vec![0f32; y.len()];
                        documents_times(simd, &pool, &prepared, &narrow, width, &mut y32);
                        // What is there before does not count.
                        let mut w32 = vec![77i64; w.len()];
                        terms_times(simd, &pool, &prepared, &y32, width, grid, Sums::Begin(&mut w32));
                        let mut y64 = vec![0f64; y.len()];
                        documents_times_f64(simd, &pool, &prepared, &narrow, width, &mut y64);
                        let mut w64 = vec![0i64; w.len()];
                        terms_times_f64(simd, &pool, &prepared, &y64, width, grid, Sums::Add(&mut w64));
                        // At most 37 f32 (f64) additions of numbers below 1 in each entry, then 90 of those.
                        assert!(y.iter().zip(&y32).all(|(a, b)| (a - f64::from(*b)).abs() < 1e-5));
                        assert!(w.iter().zip(&w32).all(|(a, b)| (a - grid.float(*b)).abs() < 1e-4));
                        assert!(y.iter().zip(&y64).all(|(a, b)| (a - b).abs() < 1e-13));
                        assert!(w.iter().zip(&w64).all(|(a, b)| (a - grid.float(*b)).abs() < 1e-12));
                        if simd > Simd::Portable {
                            assert_eq!(
                                first.get_or_insert_with(|| w32.clone()),
                                &w32,
                                "{simd:?} with {threads} threads"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn sums_do_not_depend_on_how_documents_are_cut_into_calls() {
        let chunk = chunk(60, 50);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("threads");
        let grid = Grid::for_bound(1e4).expect("bound in range");
        let width = 32;
        let v: Vec<f32> = (0..50 * width).map(|i| (i % 13) as f32 * 0.1).collect();
        let run = |order: &[usize]| {
            let mut w = vec![0i64; 50 * width];
            for &part in order {
                let rows = part * 20..part * 20 + 20;
                let span = chunk.indptr[rows.start] as usize..chunk.indptr[rows.end] as usize;
                let piece = CsrChunk {
                    first_document: rows.start as u64,
                    terms: 50,
                    indptr: chunk.indptr[rows.start..=rows.end].iter().map(|p| p - span.start as u64).collect(),
                    indices: chunk.indices[span.clone()].to_vec(),
                    data: chunk.data[span].to_vec(),
                };
                let prepared = Prepared::new(piece).expect("valid chunk");
                let mut y = vec![0f32; 20 * width];
                documents_times(Simd::detect(), &pool, &prepared, &v, width, &mut y);
                terms_times(Simd::detect(), &pool, &prepared, &y, width, grid, Sums::Add(&mut w));
            }
            w
        };
        assert_eq!(run(&[0, 1, 2]), run(&[2, 0, 1]));
    }
}

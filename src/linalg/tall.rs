//! Products of tall matrices that have few columns: what orthogonalising a block against a basis is made of.
//!
//! Problem: C = Q^T W and W += Q C for Q (rows x q) and W (rows x w), rows many, q and w at most some dozens, all row-major
//! with rows padded to 16.
//! Algorithm: both go through the rows in stretches of [`STRETCH`], so that Q and W stay in the first-level cache while a
//! tile of the result is in registers: with AVX-512 8 columns of Q by 32 of W for the first product and 8 rows by 32 columns for
//! the second, with AVX2 6 by 16. Q is read from memory once, in order, and nothing is packed: a general matrix product spends
//! as long on packing operands of this shape as on multiplying them.
//! Cost: 2 rows q w flops; 4 rows q bytes from memory, which bounds it on most machines when w is 32.
//! Every element is summed in the order of the rows (or of the columns of Q) whatever the tile, so AVX-512 and AVX2 give the
//! same bits.
//!
//! Safety argument for the `unsafe` blocks: they call code compiled for an instruction set after [`Simd`] has seen that the CPU
//! has it ([`Plain`] needs none), or load and store a register at the address of an array of its size. All memory is reached
//! through checked slices. The instructions are written out because compilers do not keep tiles of this size in registers.

use super::kernels::LANES;
use super::prefetch;
use super::simd::Simd;

/// Rows worked on at a time: 64 of 32 columns of Q and of W, with their product, fill two thirds of a cache of 32 KiB.
const STRETCH: usize = 64;

/// Some rows of a row-major matrix.
#[derive(Clone, Copy)]
pub struct Tall<'a> {
    /// Values, row after row.
    pub values: &'a [f32],
    /// Columns in memory, a multiple of 16.
    pub width: usize,
}

/// Asks for the rows that come next, a share with each tile. CPUs see rows come by in order and fetch ahead, but not beyond a
/// page of memory: waiting begins anew every 4 KiB. All at once would make the core wait, too, for the misses it can have under way.
struct Ahead<'a> {
    values: &'a [f32],
    at: usize,
    share: usize,
}

impl Ahead<'_> {
    #[inline(always)]
    fn step(&mut self) {
        prefetch::from(self.values, self.at, self.share.min(self.values.len().saturating_sub(self.at)));
        self.at += self.share;
    }
}

/// C = Q^T W (columns of Q x columns of W), row-major.
pub fn cross(simd: Simd, q: Tall, w: Tall, c: &mut [f32]) {
    check(q.width, w.width, q.values.len(), w.values.len(), c.len());
    c.fill(0.0);
    // SAFETY: see the head of the file.
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { x86::cross_avx512(q, w, c) },
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { x86::cross_avx2(q, w, c) },
        _ => unsafe { cross_tiles::<Plain, 4, 2>(q, w, c) },
    }
}

/// W += Q C for C (columns of Q x columns of W), row-major.
pub fn add_product(simd: Simd, q: Tall, c: &[f32], w: &mut [f32], width: usize) {
    check(q.width, width, q.values.len(), w.len(), c.len());
    // SAFETY: see the head of the file.
    match simd {
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { x86::add_avx512(q, c, w, width) },
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { x86::add_avx2(q, c, w, width) },
        _ => unsafe { add_tiles::<Plain, 4, 2>(q, c, w, width) },
    }
}

/// Adds the squares of each column of W to `squares`, row after row in f64.
pub fn add_squares(simd: Simd, w: Tall, squares: &mut [f64]) {
    #[inline(always)]
    fn body(w: Tall, squares: &mut [f64]) {
        for (at, squares) in squares.as_chunks_mut::<LANES>().0.iter_mut().enumerate() {
            let mut sums = *squares;
            for row in w.values.chunks_exact(w.width) {
                let row: &[f32; LANES] = row[at * LANES..][..LANES].try_into().expect("a register");
                for (sum, value) in sums.iter_mut().zip(row) {
                    *sum += f64::from(*value) * f64::from(*value);
                }
            }
            *squares = sums;
        }
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    fn avx512(w: Tall, squares: &mut [f64]) {
        body(w, squares)
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(w: Tall, squares: &mut [f64]) {
        body(w, squares)
    }
    assert_eq!(squares.len(), w.width, "a square for each column");
    match simd {
        // SAFETY: see the head of the file.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { avx512(w, squares) },
        // SAFETY: see the head of the file.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { avx2(w, squares) },
        _ => body(w, squares),
    }
}

fn check(q_width: usize, w_width: usize, q: usize, w: usize, c: usize) {
    assert!(
        q_width > 0 && w_width > 0 && q_width.is_multiple_of(LANES) && w_width.is_multiple_of(LANES),
        "rows of {q_width} and {w_width} are not padded"
    );
    assert_eq!((q / q_width * w_width, q_width * w_width), (w, c), "shapes of a tall product");
}

/// A register of f32. Everything is inlined into a function compiled for the instruction set of the register.
///
/// # Safety
/// The CPU must have that instruction set.
trait Register: Copy {
    /// Numbers it holds.
    const LANES: usize;
    /// The numbers of a slice of that length.
    unsafe fn load(from: &[f32]) -> Self;
    /// Puts them into a slice of that length.
    unsafe fn store(self, to: &mut [f32]);
    /// One number in all lanes.
    unsafe fn splat(value: f32) -> Self;
    /// self * factor + sum.
    unsafe fn times_plus(self, factor: Self, sum: Self) -> Self;
}

/// For CPUs without a kernel of their own; rounds after the product and after the sum.
#[derive(Clone, Copy)]
struct Plain([f32; 8]);

impl Register for Plain {
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn load(from: &[f32]) -> Self {
        Plain(from.try_into().expect("eight numbers"))
    }

    #[inline(always)]
    unsafe fn store(self, to: &mut [f32]) {
        to.copy_from_slice(&self.0);
    }

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Plain([value; 8])
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Self, sum: Self) -> Self {
        Plain(std::array::from_fn(|lane| self.0[lane] * factor.0[lane] + sum.0[lane]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Register, Tall, add_tiles, cross_tiles};
    use std::arch::x86_64::*;

    macro_rules! register {
        ($register:ty, $lanes:expr, $load:ident, $store:ident, $splat:ident, $fused:ident) => {
            impl Register for $register {
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn load(from: &[f32]) -> Self {
                    let from: &[f32; $lanes] = from.try_into().expect("a register");
                    // SAFETY: reads the array; see the trait.
                    unsafe { $load(from.as_ptr()) }
                }

                #[inline(always)]
                unsafe fn store(self, to: &mut [f32]) {
                    let to: &mut [f32; $lanes] = to.try_into().expect("a register");
                    // SAFETY: writes the array; see the trait.
                    unsafe { $store(to.as_mut_ptr(), self) }
                }

                #[inline(always)]
                unsafe fn splat(value: f32) -> Self {
                    // SAFETY: see the trait.
                    unsafe { $splat(value) }
                }

                #[inline(always)]
                unsafe fn times_plus(self, factor: Self, sum: Self) -> Self {
                    // SAFETY: see the trait.
                    unsafe { $fused(self, factor, sum) }
                }
            }
        };
    }

    register!(__m512, 16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_set1_ps, _mm512_fmadd_ps);
    register!(__m256, 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_set1_ps, _mm256_fmadd_ps);

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    pub fn cross_avx512(q: Tall, w: Tall, c: &mut [f32]) {
        // SAFETY: compiled for the register's instruction set.
        unsafe { cross_tiles::<__m512, 8, 2>(q, w, c) }
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn cross_avx2(q: Tall, w: Tall, c: &mut [f32]) {
        // SAFETY: compiled for the register's instruction set.
        unsafe { cross_tiles::<__m256, 6, 2>(q, w, c) }
    }

    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    pub fn add_avx512(q: Tall, c: &[f32], w: &mut [f32], width: usize) {
        // SAFETY: compiled for the register's instruction set.
        unsafe { add_tiles::<__m512, 8, 2>(q, c, w, width) }
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn add_avx2(q: Tall, c: &[f32], w: &mut [f32], width: usize) {
        // SAFETY: compiled for the register's instruction set.
        unsafe { add_tiles::<__m256, 6, 2>(q, c, w, width) }
    }
}

/// # Safety
/// As for [`Register`].
#[inline(always)]
unsafe fn cross_tiles<V: Register, const Q: usize, const N: usize>(q: Tall, w: Tall, c: &mut [f32]) {
    let tiles = (q.width / Q + q.width % Q / 2) * (w.width / (N * V::LANES)).max(1);
    let nexts = q.values.chunks(STRETCH * q.width).skip(1).chain([&[][..]]);
    for ((q_part, w_part), next) in
        q.values.chunks(STRETCH * q.width).zip(w.values.chunks(STRETCH * w.width)).zip(nexts)
    {
        let (q, w) = (Tall { values: q_part, ..q }, Tall { values: w_part, ..w });
        let mut ahead = Ahead { values: next, at: 0, share: (STRETCH * q.width).div_ceil(tiles) };
        let mut from = 0;
        while from + Q <= q.width {
            // SAFETY: the caller's.
            unsafe { cross_columns::<V, Q, N>(q, from, w, c, &mut ahead) };
            from += Q;
        }
        // Widths are even, and so are all tiles.
        while from < q.width {
            // SAFETY: the caller's.
            unsafe { cross_columns::<V, 2, N>(q, from, w, c, &mut ahead) };
            from += 2;
        }
    }
}

/// Adds to the rows of C for `Q` columns of Q from `from` on.
///
/// # Safety
/// As for [`Register`].
#[inline(always)]
unsafe fn cross_columns<V: Register, const Q: usize, const N: usize>(
    q: Tall,
    from: usize,
    w: Tall,
    c: &mut [f32],
    ahead: &mut Ahead,
) {
    let mut at = 0;
    while at + N * V::LANES <= w.width {
        ahead.step();
        // SAFETY: the caller's.
        unsafe { cross_tile::<V, Q, N>(q, from, w, at, c) };
        at += N * V::LANES;
    }
    while at < w.width {
        // SAFETY: the caller's.
        unsafe { cross_tile::<V, Q, 1>(q, from, w, at, c) };
        at += V::LANES;
    }
}

/// Adds to the tile of C for `Q` columns of Q from `from` on and `N` registers of W from `at` on.
///
/// # Safety
/// As for [`Register`].
#[inline(always)]
unsafe fn cross_tile<V: Register, const Q: usize, const N: usize>(
    q: Tall,
    from: usize,
    w: Tall,
    at: usize,
    c: &mut [f32],
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[V::splat(0.0); N]; Q];
        for (q, w) in q.values.chunks_exact(q.width).zip(w.values.chunks_exact(w.width)) {
            let q: &[f32; Q] = q[from..from + Q].try_into().expect("columns of Q");
            let w = &w[at..at + N * V::LANES];
            let w: [V; N] = std::array::from_fn(|n| V::load(&w[n * V::LANES..(n + 1) * V::LANES]));
            for (sums, factor) in sums.iter_mut().zip(q) {
                let factor = V::splat(*factor);
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = factor.times_plus(w, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (n, sum) in sums.iter().enumerate() {
                let to = &mut c[(from + i) * w.width + at + n * V::LANES..][..V::LANES];
                V::splat(1.0).times_plus(*sum, V::load(to)).store(to);
            }
        }
    }
}

/// # Safety
/// As for [`Register`].
#[inline(always)]
unsafe fn add_tiles<V: Register, const R: usize, const N: usize>(q: Tall, c: &[f32], w: &mut [f32], width: usize) {
    for (q_rows, w_rows) in q.values.chunks(R * q.width).zip(w.chunks_mut(R * width)) {
        if w_rows.len() == R * width {
            let mut at = 0;
            while at + N * V::LANES <= width {
                // SAFETY: the caller's.
                unsafe { add_tile::<V, R, N>(q_rows, q.width, c, w_rows, width, at) };
                at += N * V::LANES;
            }
            while at < width {
                // SAFETY: the caller's.
                unsafe { add_tile::<V, R, 1>(q_rows, q.width, c, w_rows, width, at) };
                at += V::LANES;
            }
        } else {
            for (q_row, w_row) in q_rows.chunks_exact(q.width).zip(w_rows.chunks_exact_mut(width)) {
                for at in (0..width).step_by(V::LANES) {
                    // SAFETY: the caller's.
                    unsafe { add_tile::<V, 1, 1>(q_row, q.width, c, w_row, width, at) };
                }
            }
        }
    }
}

/// Adds to `R` rows of W, `N` registers of columns from `at` on.
///
/// # Safety
/// As for [`Register`].
#[inline(always)]
unsafe fn add_tile<V: Register, const R: usize, const N: usize>(
    q: &[f32],
    q_width: usize,
    c: &[f32],
    w: &mut [f32],
    width: usize,
    at: usize,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[V::splat(0.0); N]; R];
        for (i, sums) in sums.iter_mut().enumerate() {
            for (n, sum) in sums.iter_mut().enumerate() {
                *sum = V::load(&w[i * width + at + n * V::LANES..][..V::LANES]);
            }
        }
        let rows: [&[f32]; R] = std::array::from_fn(|i| &q[i * q_width..][..q_width]);
        for (j, c) in c.chunks_exact(width).enumerate().take(q_width) {
            let c = &c[at..at + N * V::LANES];
            let c: [V; N] = std::array::from_fn(|n| V::load(&c[n * V::LANES..(n + 1) * V::LANES]));
            for (sums, row) in sums.iter_mut().zip(rows) {
                let factor = V::splat(row[j]);
                for (sum, c) in sums.iter_mut().zip(c) {
                    *sum = factor.times_plus(c, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (n, sum) in sums.iter().enumerate() {
                sum.store(&mut w[i * width + at + n * V::LANES..][..V::LANES]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * step) % 1009) as f32 / 512.0 - 1.0).collect()
    }

    #[test]
    fn products_match_three_loops_on_every_instruction_set() {
        for (rows, q_width, width) in [(1, 16, 16), (7, 32, 48), (300, 32, 32), (2048, 48, 16), (129, 16, 208)] {
            let (q, w, c) = (numbers(rows * q_width, 7), numbers(rows * width, 11), numbers(q_width * width, 13));
            let at = |values: &[f32], width: usize, i: usize, j: usize| f64::from(values[i * width + j]);
            let mut seen: Option<(Vec<f32>, Vec<f32>)> = None;
            for simd in Simd::available() {
                let mut product = vec![f32::NAN; q_width * width];
                cross(simd, Tall { values: &q, width: q_width }, Tall { values: &w, width }, &mut product);
                for i in 0..q_width {
                    for j in 0..width {
                        let exact: f64 = (0..rows).map(|r| at(&q, q_width, r, i) * at(&w, width, r, j)).sum();
                        // Sums of `rows` products below 1, in f32.
                        let error = (exact - at(&product, width, i, j)).abs();
                        assert!(error < 1e-6 * (rows + 10) as f64, "{simd:?} {rows} {i} {j}: {error}");
                    }
                }
                let mut sum = w.clone();
                add_product(simd, Tall { values: &q, width: q_width }, &c, &mut sum, width);
                for r in 0..rows {
                    for j in 0..width {
                        let exact: f64 = at(&w, width, r, j)
                            + (0..q_width).map(|i| at(&q, q_width, r, i) * at(&c, width, i, j)).sum::<f64>();
                        assert!((exact - at(&sum, width, r, j)).abs() < 1e-4, "{simd:?} {rows} {r} {j}");
                    }
                }
                let mut squares = vec![1f64; width];
                add_squares(simd, Tall { values: &w, width }, &mut squares);
                for (j, square) in squares.iter().enumerate() {
                    let exact: f64 = 1.0 + (0..rows).map(|r| at(&w, width, r, j).powi(2)).sum::<f64>();
                    assert!((square / exact - 1.0).abs() < 1e-12);
                }
                if simd > Simd::Portable {
                    let first = seen.get_or_insert_with(|| (product.clone(), sum.clone()));
                    assert_eq!(*first, (product, sum), "{simd:?}");
                }
            }
        }
    }
}

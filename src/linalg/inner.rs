//! Inner products that have the same bits on every CPU.
//!
//! Problem: s = sum of a_i b_i for f32 vectors.
//! Algorithm: the product of two f32 is exact in f64; 16 sums, each of every sixteenth product in order, are added by halves and
//! rounded to f32 once. With or without fused instructions, in registers of any width, the operations are the same.
//! Cost: 2 flops a number; the result is off by 2^-25 of itself and n 2^-53 of the sum of magnitudes.
//!
//! Safety argument for the `unsafe` blocks: they call code compiled for an instruction set after [`Simd`] has seen that the CPU
//! has it.

use super::simd::Simd;

/// Sums that are kept side by side.
const SUMS: usize = 16;

/// The inner product of two vectors of one length.
pub fn inner(simd: Simd, a: &[f32], b: &[f32]) -> f32 {
    #[inline(always)]
    fn body(a: &[f32], b: &[f32]) -> f32 {
        let mut sums = [0.0f64; SUMS];
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<SUMS>(), b.as_chunks::<SUMS>());
        for (a, b) in a.iter().zip(b) {
            for lane in 0..SUMS {
                sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
            }
        }
        for (sum, (&a, &b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
            *sum += f64::from(a) * f64::from(b);
        }
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                sums[lane] += sums[lane + half];
            }
        }
        sums[0] as f32
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
    fn avx512(a: &[f32], b: &[f32]) -> f32 {
        body(a, b)
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    fn avx2(a: &[f32], b: &[f32]) -> f32 {
        body(a, b)
    }
    assert_eq!(a.len(), b.len(), "vectors of an inner product");
    match simd {
        // SAFETY: see the head of the file.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx512 => unsafe { avx512(a, b) },
        // SAFETY: see the head of the file.
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => unsafe { avx2(a, b) },
        _ => body(a, b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn the_same_bits_everywhere_and_those_of_the_exact_sum() {
        for length in [0, 1, 15, 16, 17, 200, 1003] {
            let mut stream = Stream::new(4, "inner", length as u64);
            let mut vector = || -> Vec<f32> { (0..length).map(|_| stream.normal() as f32).collect() };
            let (a, b) = (vector(), vector());
            // Whole multiples of 2^-80 in i128: no rounding at all.
            let fixed = |x: f32, y: f32| (f64::from(x) * f64::from(y) * 2f64.powi(80)) as i128;
            let exact = a.iter().zip(&b).map(|(&x, &y)| fixed(x, y)).sum::<i128>() as f64 / 2f64.powi(80);
            let all: Vec<f32> = Simd::available().into_iter().map(|simd| inner(simd, &a, &b)).collect();
            assert!(all.iter().all(|value| value.to_bits() == all[0].to_bits()), "{all:?}");
            assert!((f64::from(all[0]) - exact).abs() <= 2f64.powi(-24) * exact.abs() + 1e-12, "{} {exact}", all[0]);
        }
    }
}

//! Logarithms, exponentials and the digamma function over registers, and the sums that a Dirichlet prior is learned from.
//!
//! Cost: some 40 flops a value and three divisions. Errors: a few units of f32's last place of the largest part.
//!
//! The sums are whole numbers, so that they have the same bits in any order.

// Lanes and strips are places in several arrays at once; indices say so, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::Simd;
use super::kernels::LANES;
use super::lanes::{Strip, dispatch, dot, fused};
use super::topics::Bag;

/// ln x for normal x > 0, to 2^-22 (the polynomial of Cephes' logf).
#[inline(always)]
pub(super) fn ln<const FUSED: bool>(x: f32) -> f32 {
    let bits = x.to_bits() as i32;
    let exponent = (bits - 0x3f35_04f3) >> 23;
    let m = f32::from_bits((bits - (exponent << 23)) as u32) - 1.0;
    let z = m * m;
    let mut p = 7.037_683_6e-2f32;
    for c in [
        -1.151_461e-1f32,
        1.167_699_9e-1,
        -1.242_014_1e-1,
        1.424_932_3e-1,
        -1.666_805_8e-1,
        2.000_071_5e-1,
        -2.499_999_4e-1,
        3.333_333e-1,
    ] {
        p = fused::<FUSED>(p, m, c);
    }
    let exponent = exponent as f32;
    let y = fused::<FUSED>(exponent, -2.121_944_4e-4, p * m * z);
    let y = fused::<FUSED>(z, -0.5, y);
    fused::<FUSED>(exponent, 0.693_359_4, m + y)
}

/// The digamma function for x from 1e-6 to 1e12: six steps of psi(x) = psi(x + 1) - 1 / x, their sum as one fraction, then
/// the asymptotic series.
#[inline(always)]
pub(super) fn digamma<const FUSED: bool>(x: f32) -> f32 {
    let shifted = x + 6.0;
    let (a, b, c) = (x * (x + 5.0), (x + 1.0) * (x + 4.0), (x + 2.0) * (x + 3.0));
    // 1/x + 1/(x+5) = (2x + 5) / a, and so on: divided one by one, products of all three would overflow.
    let steps = (2.0 * x + 5.0) * (1.0 / a + 1.0 / b + 1.0 / c);
    let i = 1.0 / shifted;
    let i2 = i * i;
    let tail = i2 * (1.0 / 12.0 - i2 * (1.0 / 120.0 - i2 * (1.0 / 252.0)));
    ln::<FUSED>(shifted) - 0.5 * i - tail - steps
}

/// e^x for x from -80 to 80, to 2^-22 (the polynomial of Cephes' expf).
#[inline(always)]
fn exp<const FUSED: bool>(x: f32) -> f32 {
    /// Added to a number below 2^22, it leaves the nearest whole number in the last bits.
    const ROUND: f32 = 12_582_912.0;
    let shifted = fused::<FUSED>(x, std::f32::consts::LOG2_E, ROUND);
    let whole = shifted - ROUND;
    let r = fused::<FUSED>(whole, -0.693_359_4, x);
    let r = fused::<FUSED>(whole, 2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4f32;
    for c in [1.398_2e-3f32, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.0e-1] {
        p = fused::<FUSED>(p, r, c);
    }
    let power = (shifted.to_bits() as i32 - ROUND.to_bits() as i32 + 127) << 23;
    (fused::<FUSED>(p, r * r, r) + 1.0) * f32::from_bits(power as u32)
}

/// Nothing is smaller than e^FLOOR times the largest of a row. What a Dirichlet of tiny parameters makes of a topic that
/// has no token is far smaller; but then it is nothing either way, and products of two such numbers stay normal.
const FLOOR: f32 = -35.0;

/// out[k] = exp(psi(x[k]) + offset[k] - m) for one row, where x[k] is `value` of strip and lane; returns m, which is about
/// the largest exponent. Behind the last topic x may be 0, or its offset minus infinity: 0 comes out.
///
/// exp(psi(x)) = exp(psi(x + 6)) exp(-sum of 1 / (x + i), i < 6), and for z = x + 6 - 1/2 the first factor is
/// z + 1/24 z^-1 - 37/5760 z^-3 + 10313/2903040 z^-5 - ..: no logarithm is taken. The sum is of three fractions over
/// quadratic polynomials, the last two of them as one.
#[inline(always)]
pub(super) fn exp_digammas<const FUSED: bool>(
    value: impl Fn(usize, usize) -> f32,
    offset: impl Fn(usize, usize) -> f32,
    topics: usize,
    out: &mut [Strip],
) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    for (strip, out) in out.iter_mut().enumerate() {
        for lane in 0..LANES {
            let x = value(strip, lane);
            let (a, b, c) = (x * (x + 5.0), (x + 1.0) * (x + 4.0), (x + 2.0) * (x + 3.0));
            let steps = (2.0 * x + 5.0) * (1.0 / a + (b + c) / (b * c));
            let exponent = offset(strip, lane) - steps;
            out[lane] = exponent;
            most[lane] = if exponent > most[lane] { exponent } else { most[lane] };
        }
    }
    let most = most.into_iter().fold(f32::NEG_INFINITY, f32::max);
    for (strip, out) in out.iter_mut().enumerate() {
        for lane in 0..LANES {
            let z = value(strip, lane) + 5.5;
            let i = 1.0 / z;
            let i2 = i * i;
            let tail = i * fused::<FUSED>(i2, fused::<FUSED>(i2, 10_313.0 / 2_903_040.0, -37.0 / 5760.0), 1.0 / 24.0);
            let exponent = out[lane] - most;
            let exponent = if exponent > FLOOR { exponent } else { FLOOR };
            out[lane] = (z + tail) * exp::<FUSED>(exponent);
        }
    }
    out.as_flattened_mut()[topics..].fill(0.0);
    most
}

#[inline(always)]
fn variational_weights_body<const FUSED: bool>(
    counts: &[f32],
    scale: f32,
    eta: f32,
    offsets: &[f32],
    topics: usize,
    out: &mut [f32],
) -> f32 {
    let (counts, offsets) = (counts.as_chunks::<LANES>().0, offsets.as_chunks::<LANES>().0);
    let out = out.as_chunks_mut::<LANES>().0;
    exp_digammas::<FUSED>(
        |strip, lane| fused::<FUSED>(counts[strip][lane], scale, eta),
        |strip, lane| offsets[strip][lane],
        topics,
        out,
    )
}

#[inline(always)]
fn log_shares_body<const FUSED: bool>(gamma: &[f32], topics: usize, scale: f64, sums: &mut [i64]) {
    let all: f64 = gamma[..topics].iter().map(|&gamma| f64::from(gamma)).sum();
    let all = f64::from(digamma::<FUSED>(all as f32));
    for (sum, &gamma) in sums.iter_mut().zip(&gamma[..topics]) {
        *sum += ((f64::from(digamma::<FUSED>(gamma)) - all) * scale).round_ties_even() as i64;
    }
}

/// Bits behind the point of sums of digammas.
pub const DIGAMMA_SHIFT: i32 = 20;

/// A digamma on the grid of the sums.
fn on_grid(value: f32) -> i64 {
    (f64::from(value) * f64::from(DIGAMMA_SHIFT).exp2()).round_ties_even() as i64
}

#[inline(always)]
fn presence_body<const FUSED: bool>(phi: &[f32], prior: &[f32], bag: Bag, u: &[f32], sums: &mut [i64]) {
    let (phi, shares) = (phi.as_chunks::<LANES>().0, u.as_chunks::<LANES>().0);
    let strips = shares.len();
    // For each topic the logarithm of the probability that no token belongs to it.
    let mut absent = vec![[0f32; LANES]; strips];
    for (&row, &count) in bag.rows.iter().zip(bag.counts) {
        let row = &phi[row as usize * strips..][..strips];
        let weight = 1.0 / dot::<FUSED>(row, shares);
        for ((absent, row), share) in absent.iter_mut().zip(row).zip(shares) {
            for lane in 0..LANES {
                let other = (1.0 - row[lane] * share[lane] * weight).max(1e-7);
                absent[lane] = fused::<FUSED>(count, ln::<FUSED>(other), absent[lane]);
            }
        }
    }
    let absent = absent.as_flattened();
    for (topic, (sum, &prior)) in sums.iter_mut().zip(prior).enumerate() {
        let tokens = (u[topic] - prior).max(0.0);
        let present = if tokens < 1e-3 { tokens } else { (-absent[topic].exp_m1()).min(tokens) };
        // Below that both factors are as good as proportional to the tokens, and a sum of them is nothing.
        if present > 1e-6 {
            *sum += on_grid(present * (digamma::<FUSED>(prior + tokens / present) - digamma::<FUSED>(prior)));
        }
    }
}

#[inline(always)]
fn digamma_body<const FUSED: bool>(values: &[f32], least: f32) -> i64 {
    let start = digamma::<FUSED>(least);
    values.iter().map(|&value| on_grid(digamma::<FUSED>(least + value) - start)).sum()
}

/// The probability that a count which is Poisson-distributed about n > 0 is not 0.
#[inline(always)]
fn occurs<const FUSED: bool>(n: f32) -> f32 {
    let few = n * fused::<FUSED>(n, -0.5, 1.0);
    let capped = if n < 40.0 { n } else { 40.0 };
    let many = 1.0 - exp::<FUSED>(-capped);
    if n < 1e-3 { few } else { many }
}

#[inline(always)]
fn occurrences_body<const FUSED: bool>(counts: &[f32], scale: f32, eta: f32) -> i64 {
    let start = digamma::<FUSED>(eta);
    let mut sum = [0i64; LANES];
    for strip in counts.as_chunks::<LANES>().0 {
        let mut values = [0f32; LANES];
        for lane in 0..LANES {
            let count = strip[lane] * scale;
            let n = if count > 1e-6 { count } else { 1e-6 };
            let present = occurs::<FUSED>(n);
            let value = present * (digamma::<FUSED>(eta + n / present) - start);
            values[lane] = if count > 1e-6 { value } else { 0.0 };
        }
        for lane in 0..LANES {
            sum[lane] += on_grid(values[lane]);
        }
    }
    sum.iter().sum()
}

dispatch!(
    /// sums[k] += E[psi(N + prior[k]) - psi(prior[k])] for the number N of tokens of a document in topic k, rounded to
    /// 2^-[`DIGAMMA_SHIFT`]; `sums` has an entry for each topic, without padding.
    ///
    /// The expectation is P(N > 0) times the same at E[N | N > 0] (Teh, Kurihara, Welling, "Collapsed variational inference
    /// for HDP", NIPS 2007). Taken at E[N] it would be far too large: a thousandth of a token in each topic would count like
    /// several tokens.
    add_presence, presence_body, (phi: &[f32], prior: &[f32], bag: Bag, u: &[f32], sums: &mut [i64])
);
dispatch!(
    /// The sum of psi(least + value) - psi(least) over the values, each rounded to 2^-[`DIGAMMA_SHIFT`].
    sum_digammas, digamma_body, (values: &[f32], least: f32) -> i64
);
dispatch!(
    /// The weights of a term as variational inference has them, all divided by the same number, the logarithm of which is
    /// returned: exp(psi(counts x scale + eta) + offsets). Behind the last topic `offsets` are minus infinity.
    variational_weights, variational_weights_body,
    (counts: &[f32], scale: f32, eta: f32, offsets: &[f32], topics: usize, out: &mut [f32]) -> f32
);
dispatch!(
    /// sums[k] += psi(gamma[k]) - psi(sum gamma), the expected logarithm of a share, x `scale`.
    add_log_shares, log_shares_body, (gamma: &[f32], topics: usize, scale: f64, sums: &mut [i64])
);

dispatch!(
    /// The sum over a row of expected counts n = counts x scale of E[psi(N + eta) - psi(eta)], each rounded to
    /// 2^-[`DIGAMMA_SHIFT`], for N that is Poisson-distributed about n: as in [`add_presence`].
    sum_occurrences, occurrences_body, (counts: &[f32], scale: f32, eta: f32) -> i64
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::special::digamma as digamma_oracle;

    #[test]
    fn digamma_is_digamma() {
        // Euler's constant, to check the oracle itself.
        assert!((digamma_oracle(1.0) + 0.577_215_664_901_532_9).abs() < 1e-13);
        for exponent in -60..120 {
            let x = 10f32.powf(exponent as f32 / 10.0);
            let (ours, theirs) = (f64::from(digamma::<false>(x)), digamma_oracle(f64::from(x)));
            // A few roundings of the largest part: near the zero at 1.46 parts of size 2 cancel.
            assert!((ours - theirs).abs() <= 5e-7 * theirs.abs().max(4.0), "{x}: {ours} is not {theirs}");
        }
    }

    #[test]
    fn exponentials_of_digammas_are_those_and_ratios_stay() {
        let topics = 37;
        for simd in Simd::available() {
            for scale in [1e-6f32, 1e-3, 0.1, 1.0, 30.0, 1e4, 1e8] {
                let mut counts = vec![0f32; 48];
                (0..topics).for_each(|k| counts[k] = scale * (1.0 + 0.37 * k as f32));
                let mut offsets = vec![f32::NEG_INFINITY; 48];
                (0..topics).for_each(|k| offsets[k] = -0.25 * (k % 5) as f32);
                let mut out = vec![7f32; 48];
                let most = variational_weights(simd, &counts, 1.5, 1e-6, &offsets, topics, &mut out);
                let exact = |k: usize| {
                    let x = f64::from(counts[k].mul_add(1.5, 1e-6));
                    digamma_oracle(x) + f64::from(offsets[k]) - f64::from(most)
                };
                for k in 0..topics {
                    // The exponent is a sum of parts of the size of 1 / x.
                    let part = 1.0 / f64::from(counts[k] * 1.5);
                    let theirs = exact(k).max(f64::from(FLOOR));
                    let ours = f64::from(out[k]).ln();
                    let floored = exact(k) < f64::from(FLOOR) + 2.0;
                    assert!(
                        floored && ours < f64::from(FLOOR) + 3.0 || (ours - theirs).abs() < 1e-6 + 4e-7 * part,
                        "{simd:?}, {scale}, {k}: {ours} is not {theirs}"
                    );
                }
                assert!(out[topics..].iter().all(|&value| value == 0.0));
            }
        }
    }

    #[test]
    fn what_eta_is_learned_from_is_right_for_many_tokens_and_nothing_for_none() {
        let mut counts = vec![0f32; 32];
        (counts[0], counts[1], counts[2]) = (30.0, 500.0, 1e-9);
        for simd in Simd::available() {
            let sum = sum_occurrences(simd, &counts, 2.0, 0.05) as f64 * f64::from(-DIGAMMA_SHIFT).exp2();
            let part = |n: f64| digamma_oracle(n + 0.05) - digamma_oracle(0.05);
            let expected = part(60.0) + part(1000.0);
            assert!((sum - expected).abs() < 1e-4, "{simd:?}: {sum} is not {expected}");
            // A tenth of a token is nothing in nine of ten cases, and about one token in the tenth.
            let few = sum_occurrences(simd, &[0.05; 16], 2.0, 0.05) as f64 * f64::from(-DIGAMMA_SHIFT).exp2() / 16.0;
            assert!((few / (0.095 * part(1.0)) - 1.0).abs() < 0.02, "{few}");
        }
    }

    #[test]
    fn logarithms_of_shares_are_those_of_the_oracle() {
        let mut gamma = vec![0f32; 16];
        gamma[..3].copy_from_slice(&[0.01, 5.0, 300.0]);
        for simd in Simd::available() {
            let mut sums = [0i64; 3];
            add_log_shares(simd, &gamma, 3, 1e6, &mut sums);
            for (sum, gamma) in sums.into_iter().zip([0.01, 5.0, 300.0]) {
                let expected = digamma_oracle(gamma) - digamma_oracle(305.01);
                assert!((sum as f64 / 1e6 - expected).abs() < 1e-4, "{sum} is not {expected}");
            }
        }
    }

    #[test]
    fn the_number_of_tokens_in_a_topic_is_taken_for_what_it_is() {
        // Three terms, each of one topic alone or nearly so: N is 5, 1 and next to nothing.
        let mut phi = vec![0f32; 2 * LANES];
        (phi[0], phi[1], phi[2]) = (1.0, 1e-9, 1e-9);
        (phi[LANES], phi[LANES + 1], phi[LANES + 2]) = (1e-9, 1.0, 1e-9);
        let mut prior = vec![0f32; LANES];
        prior[..3].fill(0.1);
        let bag = Bag { rows: &[0, 1], counts: &[5.0, 1.0], tokens: 6.0 };
        let mut u = prior.clone();
        (u[0], u[1], u[2]) = (5.1, 1.1, 0.1);
        for simd in Simd::available() {
            let mut sums = [0i64; 3];
            add_presence(simd, &phi, &prior, bag, &u, &mut sums);
            let found = sums.map(|sum| sum as f64 * f64::from(-DIGAMMA_SHIFT).exp2());
            for (found, tokens) in found.into_iter().zip([5.0, 1.0, 0.0]) {
                let expected = digamma_oracle(0.1 + tokens) - digamma_oracle(0.1);
                assert!((found - expected).abs() < 1e-3, "{simd:?}: {found} is not {expected}");
            }
            let sum = sum_digammas(simd, &[5.0, 1.0], 0.3) as f64 * f64::from(-DIGAMMA_SHIFT).exp2();
            let expected = digamma_oracle(5.3) + digamma_oracle(1.3) - 2.0 * digamma_oracle(0.3);
            assert!((sum - expected).abs() < 1e-5, "{sum} is not {expected}");
        }
    }
}

//! Variational inference of documents, vectorised over topics: the inner loop of online and batch VB.
//!
//! Problem: with phi (term rows x topics) the weights exp E[log beta], each row up to a factor, find for a document the
//! parameters gamma of the Dirichlet that comes nearest to the posterior of its shares:
//!   gamma[k] = alpha[k] + sum over terms of count u[k] phi[w,k] / sum_j u[j] phi[w,j],    u = exp(psi(gamma)),
//! which is iterated until gamma hardly moves. A factor of u, or of a row of phi, cancels out; both are therefore taken
//! relative to their largest entry, and nothing underflows where all topics are unlikely.
//! Algorithm: four terms at a time: their products with u, then their shares of the tokens, so that u and the sums are loaded
//! and stored once for four. Terms are added in their order, whatever the number at a time.
//! Cost: 4 flops a nonzero, topic and iteration, and an exponential and a digamma function a topic and iteration.
//! References: Blei, Ng, Jordan, "Latent Dirichlet allocation", JMLR 3, 2003; Hoffman, Blei, Bach, "Online learning for
//! latent Dirichlet allocation", NIPS 2010.

// Lanes and strips are places in several arrays at once; indices say so, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::Simd;
use super::digamma::exp_digammas;
use super::kernels::LANES;
use super::lanes::{Strip, dispatch, fused, products, total, totals};
use super::topics::{ABREAST, Bag};

/// sums += count x probabilities of so many terms under `shares`.
#[inline(always)]
pub(super) fn add_probabilities<const FUSED: bool, const N: usize>(
    phi: &[Strip],
    rows: &[u32; N],
    counts: &[f32; N],
    shares: &[Strip],
    sums: &mut [Strip],
) {
    let strips = shares.len();
    let rows: [&[Strip]; N] = std::array::from_fn(|n| &phi[rows[n] as usize * strips..][..strips]);
    // One after the other: the compiler vectorises over lanes, but not over lanes and terms at once.
    let mut sums_of = [[0f32; LANES]; N];
    for n in 0..N {
        sums_of[n] = products::<FUSED>(rows[n], shares);
    }
    let dots = totals(&sums_of);
    let weights: [f32; N] = std::array::from_fn(|n| counts[n] / dots[n]);
    for strip in 0..strips {
        let mut sum = sums[strip];
        for n in 0..N {
            for lane in 0..LANES {
                sum[lane] = fused::<FUSED>(rows[n][strip][lane], weights[n], sum[lane]);
            }
        }
        sums[strip] = sum;
    }
}

/// sums += expected counts of a document's terms under `shares`, but for the factor `shares`.
#[inline(always)]
pub(super) fn add_document<const FUSED: bool>(phi: &[Strip], bag: Bag, shares: &[Strip], sums: &mut [Strip]) {
    let (rows, last_rows) = bag.rows.as_chunks::<ABREAST>();
    let (counts, last_counts) = bag.counts.as_chunks::<ABREAST>();
    for (rows, counts) in rows.iter().zip(counts) {
        add_probabilities::<FUSED, ABREAST>(phi, rows, counts, shares, sums);
    }
    for (&row, &count) in last_rows.iter().zip(last_counts) {
        add_probabilities::<FUSED, 1>(phi, &[row], &[count], shares, sums);
    }
}

/// When an iteration ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    /// Most iterations.
    pub iterations: usize,
    /// Mean change of gamma over topics, in tokens, below which it is taken as found.
    pub threshold: f32,
}

impl Default for Until {
    /// As in gensim.
    fn default() -> Self {
        Until { iterations: 50, threshold: 1e-3 }
    }
}

#[inline(always)]
fn variational_body<const FUSED: bool>(
    phi: &[f32],
    prior: &[f32],
    bag: Bag,
    until: Until,
    gamma: &mut [f32],
    u: &mut [f32],
) -> f32 {
    let topics = prior.iter().filter(|&&prior| prior > 0.0).count();
    let (phi, prior) = (phi.as_chunks::<LANES>().0, prior.as_chunks::<LANES>().0);
    let (gamma, u) = (gamma.as_chunks_mut::<LANES>().0, u.as_chunks_mut::<LANES>().0);
    let strips = prior.len();
    let mut sums = vec![[0f32; LANES]; strips];
    let mut most = exp_digammas::<FUSED>(|strip, lane| gamma[strip][lane], |_, _| 0.0, topics, u);
    for _ in 0..until.iterations {
        sums.fill([0f32; LANES]);
        add_document::<FUSED>(phi, bag, u, &mut sums);
        let mut moved = [0f32; LANES];
        for strip in 0..strips {
            for lane in 0..LANES {
                let next = fused::<FUSED>(u[strip][lane], sums[strip][lane], prior[strip][lane]);
                moved[lane] += (next - gamma[strip][lane]).abs();
                gamma[strip][lane] = next;
            }
        }
        most = exp_digammas::<FUSED>(|strip, lane| gamma[strip][lane], |_, _| 0.0, topics, u);
        if total(&moved) < until.threshold * topics as f32 {
            break;
        }
    }
    most
}

dispatch!(
    /// Infers one document, from the parameters in `gamma` on. Leaves gamma, and in `u` its exp(psi(gamma)) divided by a
    /// number, the logarithm of which is returned. Rows are of the width of `prior`, with zeros behind the last topic.
    variational, variational_body,
    (phi: &[f32], prior: &[f32], bag: Bag, until: Until, gamma: &mut [f32], u: &mut [f32]) -> f32
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::special::digamma;

    #[test]
    fn a_document_is_inferred_as_a_slow_oracle_does() {
        const TOPICS: usize = 21;
        const WIDTH: usize = 32;
        let mut phi = vec![0f32; 30 * WIDTH];
        for (term, row) in phi.chunks_exact_mut(WIDTH).enumerate() {
            (0..TOPICS).for_each(|k| row[k] = 1e-5 + ((term * 7919 + k * 104_729 + term * k) % 97) as f32 / 97.0);
        }
        let mut prior = vec![0f32; WIDTH];
        (0..TOPICS).for_each(|k| prior[k] = 0.02 + 0.01 * k as f32);
        let mut bits = Vec::new();
        for length in [1usize, 2, 4, 5, 11, 30] {
            let rows: Vec<u32> = (0..length as u32).map(|at| at * 7 % 30).collect();
            let counts: Vec<f32> = (0..length).map(|at| [1.0, 3.0, 1.0, 40.0][at % 4]).collect();
            let tokens: f32 = counts.iter().sum();
            let start = |k: usize| if k < TOPICS { prior[k] + tokens / TOPICS as f32 } else { 0.0 };
            let mut theirs: Vec<f64> = (0..TOPICS).map(|k| f64::from(start(k))).collect();
            for _ in 0..40 {
                let u: Vec<f64> = theirs.iter().map(|&gamma| digamma(gamma).exp()).collect();
                let mut next: Vec<f64> = prior[..TOPICS].iter().map(|&alpha| f64::from(alpha)).collect();
                for (&row, &count) in rows.iter().zip(&counts) {
                    let weight = |k: usize| u[k] * f64::from(phi[row as usize * WIDTH + k]);
                    let sum: f64 = (0..TOPICS).map(weight).sum();
                    (0..TOPICS).for_each(|k| next[k] += f64::from(count) * weight(k) / sum);
                }
                theirs = next;
            }
            for simd in Simd::available() {
                let mut gamma: Vec<f32> = (0..WIDTH).map(start).collect();
                let mut u = vec![0f32; WIDTH];
                let bag = Bag { rows: &rows, counts: &counts, tokens };
                let until = Until { iterations: 40, threshold: 0.0 };
                let most = variational(simd, &phi, &prior, bag, until, &mut gamma, &mut u);
                for k in 0..TOPICS {
                    let (ours, theirs) = (f64::from(gamma[k]), theirs[k]);
                    // 40 iterations on: roundings of f32 grow where two topics compete.
                    assert!((ours - theirs).abs() < 1e-3 * theirs.max(0.05), "{simd:?}, {k}: {ours} is not {theirs}");
                    let share = f64::from(u[k]).ln() + f64::from(most);
                    let expected = digamma(ours);
                    let floored = share < f64::from(most) - 32.0;
                    assert!(floored || (share - expected).abs() < 1e-5 * expected.abs().max(1.0));
                }
                assert!(u[TOPICS..].iter().chain(&gamma[TOPICS..]).all(|&value| value == 0.0));
                if simd != Simd::Portable {
                    bits.push((length, gamma, u));
                }
            }
        }
        // AVX2 and AVX-512 agree to the bit.
        for pair in bits.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            assert_eq!(pair[0], pair[1]);
        }
    }

    #[test]
    fn an_iteration_ends_when_nothing_moves() {
        let phi = [[1f32; LANES]; 2].concat();
        let prior = [0.5f32; LANES];
        let bag = Bag { rows: &[0, 1], counts: &[2.0, 14.0], tokens: 16.0 };
        for simd in Simd::available() {
            // The fixed point: each topic has one token. From elsewhere one iteration does not yet come to it.
            for (start, iterations, at_rest) in [(1.5, 1000, true), (3.0, 1, false)] {
                let (mut gamma, mut u) = ([0.5f32; LANES], [0f32; LANES]);
                (gamma[0], gamma[1]) = (start, start);
                let until = Until { iterations, threshold: 1e-4 };
                variational(simd, &phi, &prior, bag, until, &mut gamma, &mut u);
                let even = gamma.iter().all(|gamma| (gamma - 1.5).abs() < 0.2);
                assert_eq!(even, at_rest && gamma[0] - gamma[2] < 0.2, "{gamma:?}");
            }
        }
    }
}

//! Document completion: how well a model foretells one half of a document from the other.
//!
//! Problem: the topics phi (terms x width) and the prior alpha of a model, documents it has not seen -> the mean
//! log-likelihood of their tokens.
//! Algorithm: the tokens of each document are split at random into halves (the first has the odd one). The document's shares
//! theta of the topics are inferred on the first half: u = alpha + expected counts, iterated, theta = u / sum u. Each token
//! of the second half then has the probability sum_k phi[w,k] theta[k]. Perplexity is exp(-mean log-likelihood): the number
//! of equally probable terms that would be as hard to foretell. The half that is scored was not looked at, so unlike a
//! variational bound the number can be compared between methods.
//! Cost: 4 flops a nonzero, topic and iteration. Sums over documents are on a fixed-point grid.
//! Reference: Wallach, Murray, Salakhutdinov, Mimno, "Evaluation methods for topic models", ICML 2009.

use rayon::prelude::*;

use crate::corpus::chunk::CsrChunk;
use crate::error::Result;
use crate::linalg::Simd;
use crate::linalg::fixed::Grid;
use crate::linalg::topics::{Bag, fold_in};
use crate::random::Stream;

/// Most iterations of a document's shares.
const ITERATIONS: usize = 100;
/// Change of a document's shares, in tokens, at which they are taken as found; relative to its tokens.
const TOLERANCE: f32 = 1e-5;
/// No token's log-likelihood is below this: it is the logarithm of about the smallest f32.
const WORST: f64 = 104.0;

/// Topics as they are used: padded rows, ready for the kernels.
pub struct Topics<'a> {
    /// Terms x width.
    pub phi: &'a [f32],
    /// Width entries, zeros behind the last topic.
    pub prior: &'a [f32],
    /// Number of topics.
    pub topics: usize,
}

impl Topics<'_> {
    /// The shares of a document with the prior, not normalised: width entries.
    pub fn infer(&self, simd: Simd, terms: &[u32], counts: &[f32]) -> Vec<f32> {
        let tokens: f32 = counts.iter().map(|&count| f64::from(count)).sum::<f64>() as f32;
        let even = tokens / self.topics as f32;
        let mut shares: Vec<f32> =
            self.prior.iter().map(|&prior| if prior > 0.0 { prior + even } else { 0.0 }).collect();
        if tokens > 0.0 {
            let bag = Bag { rows: terms, counts, tokens };
            fold_in(simd, self.phi, self.prior, bag, ITERATIONS, TOLERANCE * tokens, &mut shares);
        }
        shares
    }
}

/// The split of one document's counts: of each term the tokens in the first half. `document` is its number in the corpus.
pub fn first_half(counts: &[f32], seed: u64, document: u64) -> Vec<f32> {
    let mut stream = Stream::new(seed, "halves", document);
    let mut left: u64 = counts.iter().map(|&count| count as u64).sum();
    let mut wanted = left.div_ceil(2);
    let mut half = vec![0f32; counts.len()];
    for (half, &count) in half.iter_mut().zip(counts) {
        let mut taken = 0u32;
        for _ in 0..count as u64 {
            if stream.below(left) < wanted {
                taken += 1;
                wanted -= 1;
            }
            left -= 1;
        }
        *half = taken as f32;
    }
    half
}

/// Log-likelihood on the grid of [`grid`], and tokens it is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// Sum over the scored tokens, fixed-point.
    pub log_likelihood: i64,
    /// Tokens scored.
    pub tokens: u64,
}

/// The grid for documents of so many tokens in all.
pub fn grid(tokens: u64) -> Result<Grid> {
    Grid::for_bound(tokens as f64 * WORST)
}

/// Scores the documents of a chunk.
pub fn score(topics: &Topics, chunk: &CsrChunk, grid: Grid, seed: u64, pool: &rayon::ThreadPool) -> Score {
    let simd = Simd::detect();
    let scored = |row: usize| {
        let (terms, counts) = chunk.document(row);
        let half = first_half(counts, seed, chunk.first_document + row as u64);
        let (mut known, mut given) = (Vec::new(), Vec::new());
        for (&term, &count) in terms.iter().zip(&half).filter(|(_, count)| **count > 0.0) {
            known.push(term);
            given.push(count);
        }
        let shares = topics.infer(simd, &known, &given);
        let total: f64 = shares.iter().map(|&share| f64::from(share)).sum();
        let width = topics.prior.len();
        let (mut sum, mut tokens) = (0.0, 0);
        for ((&term, &count), half) in terms.iter().zip(counts).zip(half) {
            if count > half {
                let row = &topics.phi[term as usize * width..][..width];
                let p: f64 =
                    row.iter().zip(&shares).map(|(&weight, &share)| f64::from(weight) * f64::from(share)).sum();
                sum += f64::from(count - half) * (p / total).ln().max(-WORST);
                tokens += (count - half) as u64;
            }
        }
        Score { log_likelihood: grid.fix(sum), tokens }
    };
    let add =
        |a: Score, b: Score| Score { log_likelihood: a.log_likelihood + b.log_likelihood, tokens: a.tokens + b.tokens };
    pool.install(|| (0..chunk.documents()).into_par_iter().map(scored).reduce(Score::default, add))
}

/// exp(-mean log-likelihood); none without tokens.
pub fn perplexity(score: Score, grid: Grid) -> Option<f64> {
    (score.tokens > 0).then(|| (-grid.float(score.log_likelihood) / score.tokens as f64).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_halves_and_differ_by_document() {
        for counts in [vec![1.0], vec![1.0, 1.0, 1.0], vec![7.0, 1.0, 2.0, 40.0], vec![1e5, 3.0], vec![]] {
            let total: f32 = counts.iter().sum();
            let half = first_half(&counts, 1, 5);
            assert_eq!(half.iter().sum::<f32>(), (total / 2.0).ceil());
            assert!(half.iter().zip(&counts).all(|(half, count)| (0.0..=*count).contains(half)));
        }
        let counts = vec![3.0; 40];
        assert_ne!(first_half(&counts, 1, 5), first_half(&counts, 1, 6));
        assert_ne!(first_half(&counts, 1, 5), first_half(&counts, 2, 5));
        assert_eq!(first_half(&counts, 1, 5), first_half(&counts, 1, 5));
    }
}

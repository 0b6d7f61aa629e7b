//! A worker's part of a minibatch: from the weights of terms in topics to expected counts.
//!
//! Problem: phi (terms of the part x width), the part's documents -> the rows of expected counts of its terms, in the
//! layout that all workers share.
//! Algorithm: first the documents, each from even shares, by threads that take documents: sweeps of SCVB0 and draws of the tokens
//! ([`gibbs`](crate::linalg::gibbs)), or the iteration of variational inference until it is at rest. Then the terms, by threads that take rows, so that no two write
//! the same. What a document gets depends on nothing but phi.
//! Cost: (sweeps + 1) x 8 + draws x 2 flops a nonzero and topic, or (iterations + 1) x 4. Memory: a row of 4 bytes a topic for each
//! document and term; twice that for documents in variational inference.

use rayon::prelude::*;

use super::counts::spread;
use super::exchange::Layout;
use super::minibatch::Batch;
use super::params::{LdaPlan, Method};
use crate::linalg::digamma::{DIGAMMA_SHIFT, add_log_shares, add_presence, sum_digammas};
use crate::linalg::gibbs::{Document, Tokens, draw};
use crate::linalg::kernels::LANES;
use crate::linalg::special::digamma;
use crate::linalg::topics::{ABREAST, Bag, DITHERS, expected_counts, sweep};
use crate::linalg::variational::{Until, variational};
use crate::linalg::{Aligned, Simd};
use crate::random::Stream;

/// Documents a thread takes at a time.
const DOCUMENTS: usize = 8 * ABREAST;
/// Nonzeros a thread takes at a time, about.
const NONZEROS: usize = 4096;

/// Documents between two looks at messages under way.
const BLOCK: usize = 16 * DOCUMENTS;

/// How a document is inferred.
#[derive(Debug, Clone, Copy)]
enum Inference {
    /// So many sweeps of SCVB0, then draws of the tokens, so many times again.
    Sweeps(usize, usize),
    /// Variational inference.
    Variational(Until),
}

/// What does not change from minibatch to minibatch, and buffers.
pub struct Estep {
    simd: Simd,
    inference: Inference,
    topics: usize,
    /// What each step within a document leaves of its present shares.
    keep: Vec<f32>,
    dithers: Vec<f32>,
    /// Shares of the documents (documents x width): SCVB0's with the prior, of variational inference exp E[log theta] up
    /// to a factor.
    shares: Aligned<f32>,
    /// Variational inference: gamma of the documents (documents x width).
    gamma: Aligned<f32>,
    /// Grid of sums of logarithms of shares: a power of two.
    scale: f64,
}

/// Tokens of the longest document whose tokens are drawn: the shares of longer ones leave little doubt.
const LONGEST: f32 = 4096.0;

/// Whether the tokens of a document are drawn, where any are.
fn is_short(bag: &Bag) -> bool {
    bag.tokens <= LONGEST
}

/// Adds psi(N + prior) - psi(prior) for a document's numbers of drawn tokens, rounded to 2^-[`DIGAMMA_SHIFT`]. With
/// expected numbers it would come out too large: doubtful tokens make every topic seem present.
fn add_drawn(prior: &[f32], shares: &[f32], totals: &mut [i64]) {
    let scale = f64::from(DIGAMMA_SHIFT).exp2();
    for ((total, &share), &prior) in totals.iter_mut().zip(shares).zip(prior) {
        let number = (share - prior).round();
        if number > 0.0 {
            let prior = f64::from(prior);
            let value = match number as u32 {
                few @ ..8 => (0..few).map(|before| 1.0 / (prior + f64::from(before))).sum(),
                many => digamma(f64::from(many) + prior) - digamma(prior),
            };
            *total += (value * scale).round() as i64;
        }
    }
}

/// Foulds et al.: the step size of the t-th update within a document is 1 / (10 + t)^0.9.
fn keep(step: usize) -> f32 {
    (1.0 - (10.0 + (step + 1) as f64).powf(-0.9)) as f32
}

/// A document with even shares of the topics, prior included.
pub fn even(tokens: f32, topics: usize, prior: &[f32], shares: &mut [f32]) {
    let even = tokens / topics as f32;
    shares.iter_mut().zip(prior).for_each(|(share, &prior)| *share = if prior > 0.0 { prior + even } else { 0.0 });
}

impl Estep {
    /// For a plan; no sum is over more than `documents`.
    pub fn new(plan: &LdaPlan, documents: u64) -> Estep {
        let width = plan.topics.next_multiple_of(LANES);
        let mut stream = Stream::new(plan.seed, "dithers", 0);
        let dithers = (0..DITHERS + width).map(|_| ((stream.bits() >> 40) as f32) * 2f32.powi(-24)).collect();
        let inference = match plan.method {
            Method::Scvb0 => Inference::Sweeps(plan.burn_in, plan.gibbs_sweeps),
            Method::Online | Method::Batch => Inference::Variational(plan.until),
        };
        // No logarithm of a share is below -1.1 / the smallest prior, about -2^20.1.
        let shift = DIGAMMA_SHIFT.min(40 - (64 - documents.leading_zeros() as i32));
        Estep {
            simd: Simd::detect(),
            inference,
            topics: plan.topics,
            keep: Vec::new(),
            dithers,
            shares: Aligned::zeros(0),
            gamma: Aligned::zeros(0),
            scale: f64::from(shift).exp2(),
        }
    }

    /// Infers the documents; `between` is called now and then while that goes on.
    pub fn documents(
        &mut self,
        batch: &Batch,
        phi: &[f32],
        prior: &[f32],
        pool: &rayon::ThreadPool,
        mut between: impl FnMut(),
    ) {
        let (width, topics, simd) = (prior.len(), self.topics, self.simd);
        self.shares.resize(batch.documents() * width);
        let bags = |run: usize, count: usize| -> Vec<_> {
            (0..count).map(|document| batch.bag(run * DOCUMENTS + document)).collect()
        };
        match self.inference {
            Inference::Sweeps(sweeps, again) => {
                let steps = batch.longest() * sweeps;
                self.keep.extend((self.keep.len()..steps).map(keep));
                let keep = &self.keep;
                for (block, shares) in self.shares.chunks_mut(BLOCK * width).enumerate() {
                    let work = |(run, shares): (usize, &mut [f32])| {
                        let run = block * BLOCK / DOCUMENTS + run;
                        let bags = bags(run, shares.len() / width);
                        for (bag, shares) in bags.iter().zip(shares.chunks_exact_mut(width)) {
                            even(bag.tokens, topics, prior, shares);
                        }
                        sweep(simd, phi, prior, &bags, keep, sweeps, shares);
                        if again > 0 {
                            let rows = bags.into_iter().zip(shares.chunks_exact_mut(width)).enumerate();
                            let document = |(at, (bag, u))| {
                                let stream = Stream::new(batch.bits(run * DOCUMENTS + at), "tokens", 0);
                                Document { bag, stream, u }
                            };
                            let mut documents: Vec<Document> =
                                rows.map(document).filter(|document| is_short(&document.bag)).collect();
                            draw(simd, phi, prior, &mut documents, again, &mut Tokens::default());
                        }
                    };
                    spread(pool, shares.par_chunks_mut(DOCUMENTS * width).enumerate(), work);
                    between();
                }
            }
            Inference::Variational(until) => {
                self.gamma.resize(batch.documents() * width);
                let blocks = self.shares.chunks_mut(BLOCK * width).zip(self.gamma.chunks_mut(BLOCK * width));
                for (block, (shares, gamma)) in blocks.enumerate() {
                    let work = |(run, (shares, gamma)): (usize, (&mut [f32], &mut [f32]))| {
                        let bags = bags(block * BLOCK / DOCUMENTS + run, shares.len() / width);
                        let rows = shares.chunks_exact_mut(width).zip(gamma.chunks_exact_mut(width));
                        for (bag, (shares, gamma)) in bags.into_iter().zip(rows) {
                            even(bag.tokens, topics, prior, gamma);
                            variational(simd, phi, prior, bag, until, gamma, shares);
                        }
                    };
                    let runs = shares.par_chunks_mut(DOCUMENTS * width).zip(gamma.par_chunks_mut(DOCUMENTS * width));
                    spread(pool, runs.enumerate(), work);
                    between();
                }
            }
        }
    }

    /// Flops that inference and expected counts of a batch take.
    pub fn flops(&self, batch: &Batch) -> u64 {
        let (sweeps, draws) = match self.inference {
            Inference::Sweeps(sweeps, 0) => (sweeps + 1, 0),
            Inference::Sweeps(sweeps, again) => (sweeps + 1, again + 1),
            Inference::Variational(_) => (1, 0),
        };
        let bags = (0..batch.documents()).map(|document| batch.bag(document));
        let drawn: usize = bags.filter(is_short).map(|bag| bag.rows.len()).sum();
        let width = self.topics.next_multiple_of(LANES);
        ((8 * sweeps * batch.nonzeros() + 2 * draws * drawn) * width) as u64
    }

    /// What a prior of the documents is learned from, under the shares found last, as whole numbers: for each topic a sum
    /// over the documents, and one number more. SCVB0: of psi(N + alpha) - psi(alpha), and the same of the lengths.
    /// Variational inference: of E[log share], and the number of documents.
    pub fn statistics(&self, batch: &Batch, phi: &[f32], prior: &[f32], pool: &rayon::ThreadPool) -> Vec<i64> {
        let (width, topics) = (prior.len(), self.topics);
        let add = |mut a: Vec<i64>, b: Vec<i64>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        };
        match self.inference {
            Inference::Sweeps(..) => {
                let all: f64 = prior.iter().map(|&alpha| f64::from(alpha)).sum();
                let of = |(run, shares): (usize, &[f32])| {
                    let mut sums = vec![0i64; topics + 1];
                    let (of_topics, of_lengths) = sums.split_at_mut(topics);
                    for (at, shares) in shares.chunks_exact(width).enumerate() {
                        let bag = batch.bag(run * DOCUMENTS + at);
                        if is_short(&bag) {
                            add_drawn(prior, shares, of_topics);
                        } else {
                            add_presence(self.simd, phi, prior, bag, shares, of_topics);
                        }
                        of_lengths[0] += sum_digammas(self.simd, &[bag.tokens], all as f32);
                    }
                    sums
                };
                let runs = self.shares.par_chunks(DOCUMENTS * width).enumerate();
                pool.install(|| runs.map(of).reduce(|| vec![0; topics + 1], add))
            }
            Inference::Variational(_) => {
                let of = |gamma: &[f32]| {
                    let mut sums = vec![0i64; topics];
                    for gamma in gamma.chunks_exact(width) {
                        add_log_shares(self.simd, gamma, topics, self.scale, &mut sums);
                    }
                    sums
                };
                let runs = self.gamma.par_chunks(DOCUMENTS * width);
                let mut sums = pool.install(|| runs.map(of).reduce(|| vec![0; topics], add));
                sums.push(batch.documents() as i64);
                sums
            }
        }
    }

    /// A sum of logarithms of shares as a number.
    pub fn of_grid(&self, sum: i64) -> f64 {
        sum as f64 / self.scale
    }

    /// Adds the expected counts of the terms, under the shares found last, to what the words of the layout hold.
    pub fn terms(&self, batch: &Batch, phi: &[f32], layout: &Layout, words: &mut [i64], pool: &rayon::ThreadPool) {
        let width = self.topics.next_multiple_of(LANES);
        let positions = layout.positions(&batch.terms);
        let mut tasks = Vec::new();
        let (mut rest, mut done, mut first) = (words, 0, 0);
        while first < batch.terms.len() {
            let mut end = first + 1;
            while end < batch.terms.len()
                && batch.occurrences_before(end + 1) - batch.occurrences_before(first) <= NONZEROS
            {
                end += 1;
            }
            let (from, to) = (
                layout.rows[positions[first] as usize].begin,
                layout.rows[positions[end - 1] as usize].words(width).end,
            );
            let (stretch, tail) = rest.split_at_mut(to - done);
            rest = tail;
            tasks.push((first..end, from, &mut stretch[from - done..]));
            done = to;
            first = end;
        }
        spread(pool, tasks.into_par_iter(), |(range, from, stretch)| {
            let mut sums = vec![0i32; width];
            for term in range {
                let row = layout.rows[positions[term] as usize];
                sums.fill(0);
                let scale = f64::from(row.shift).exp2() as f32;
                let weights = &phi[term * width..][..width];
                expected_counts(
                    self.simd,
                    weights,
                    batch.occurrences(term),
                    &self.shares,
                    scale,
                    &self.dithers,
                    &mut sums,
                );
                let words = row.words(width);
                let words = &mut stretch[words.start - from..words.end - from];
                if row.wide {
                    let lanes: &mut [u32] = bytemuck::cast_slice_mut(words);
                    lanes.iter_mut().zip(&sums).for_each(|(lane, &sum)| *lane += sum as u32);
                } else {
                    let lanes: &mut [u16] = bytemuck::cast_slice_mut(words);
                    lanes.iter_mut().zip(&sums).for_each(|(lane, &sum)| *lane += sum as u16);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_alpha_is_learned_from_is_a_difference_of_digammas() {
        let mut prior = vec![0f32; LANES];
        prior[..4].copy_from_slice(&[1e-5, 0.1, 0.5, 3.0]);
        let numbers = [7.0, 0.0, 8.0, 4000.0];
        let mut shares = prior.clone();
        shares.iter_mut().zip(numbers).for_each(|(share, number)| *share += number);
        let mut totals = [0i64; 4];
        add_drawn(&prior, &shares, &mut totals);
        for ((total, number), prior) in totals.iter().zip(numbers).zip(&prior) {
            let prior = f64::from(*prior);
            let expected = digamma(prior + f64::from(number)) - digamma(prior);
            let found = *total as f64 * f64::from(-DIGAMMA_SHIFT).exp2();
            // Rounded to the grid; the digammas cancel to some 1e-11 where the prior is small.
            assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
        }
    }
}

//! A worker's part of a minibatch: from the weights of terms in topics to expected counts.
//!
//! Problem: phi (terms of the part x width), the part's documents -> the rows of expected counts of its terms, in the
//! layout that all workers share.
//! Algorithm: first the documents, several sweeps each from even shares, by threads that take documents; then the terms,
//! by threads that take rows, so that no two write the same. What a document gets depends on nothing but phi.
//! Cost: (sweeps + 1) x 8 flops a nonzero and topic. Memory: a row of 4 bytes a topic for each document and term.

use rayon::prelude::*;

use super::counts::spread;
use super::exchange::Layout;
use super::minibatch::Batch;
use crate::linalg::topics::{ABREAST, DITHERS, add_presence, expected_counts, sum_digammas, sweep};
use crate::linalg::{Aligned, Simd};
use crate::random::Stream;

/// Documents a thread takes at a time.
const DOCUMENTS: usize = 8 * ABREAST;
/// Nonzeros a thread takes at a time, about.
const NONZEROS: usize = 4096;

/// What does not change from minibatch to minibatch, and buffers.
pub struct Estep {
    simd: Simd,
    sweeps: usize,
    /// What each step within a document leaves of its present shares.
    keep: Vec<f32>,
    dithers: Vec<f32>,
    /// Shares of the documents (documents x width), prior included.
    pub shares: Aligned<f32>,
}

/// Foulds et al.: the step size of the t-th update within a document is 1 / (10 + t)^0.9.
fn keep(step: usize) -> f32 {
    (1.0 - (10.0 + (step + 1) as f64).powf(-0.9)) as f32
}

impl Estep {
    /// For rows of `width` topics.
    pub fn new(width: usize, sweeps: usize, seed: u64) -> Estep {
        let mut stream = Stream::new(seed, "dithers", 0);
        let dithers = (0..DITHERS + width).map(|_| ((stream.bits() >> 40) as f32) * 2f32.powi(-24)).collect();
        Estep { simd: Simd::detect(), sweeps, keep: Vec::new(), dithers, shares: Aligned::zeros(0) }
    }

    /// Infers the documents' shares of the topics.
    pub fn documents(&mut self, batch: &Batch, phi: &[f32], prior: &[f32], topics: usize, pool: &rayon::ThreadPool) {
        let width = prior.len();
        let steps = batch.longest() * self.sweeps;
        self.keep.extend((self.keep.len()..steps).map(keep));
        self.shares.resize(batch.documents() * width);
        let (simd, keep, sweeps) = (self.simd, &self.keep, self.sweeps);
        let work = |(run, shares): (usize, &mut [f32])| {
            let bags: Vec<_> =
                (0..shares.len() / width).map(|document| batch.bag(run * DOCUMENTS + document)).collect();
            for (bag, shares) in bags.iter().zip(shares.chunks_exact_mut(width)) {
                let even = bag.tokens / topics as f32;
                shares
                    .iter_mut()
                    .zip(prior)
                    .for_each(|(share, &prior)| *share = if prior > 0.0 { prior + even } else { 0.0 });
            }
            sweep(simd, phi, prior, &bags, keep, sweeps, shares);
        };
        spread(pool, self.shares.par_chunks_mut(DOCUMENTS * width).enumerate(), work);
    }

    /// What a prior of the documents is learned from: for each topic and then for the lengths the sum of psi(N + alpha) -
    /// psi(alpha) over the documents, under the shares found last, on a grid of whole numbers.
    pub fn statistics(
        &self,
        batch: &Batch,
        phi: &[f32],
        prior: &[f32],
        topics: usize,
        pool: &rayon::ThreadPool,
    ) -> Vec<i64> {
        let width = prior.len();
        let of = |(run, shares): (usize, &[f32])| {
            let mut sums = vec![0i64; topics];
            for (at, shares) in shares.chunks_exact(width).enumerate() {
                add_presence(self.simd, phi, prior, batch.bag(run * DOCUMENTS + at), shares, &mut sums);
            }
            sums
        };
        let add = |mut a: Vec<i64>, b: Vec<i64>| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
            a
        };
        let runs = self.shares.par_chunks(DOCUMENTS * width).enumerate();
        let mut sums = pool.install(|| runs.map(of).reduce(|| vec![0; topics], add));
        let lengths: Vec<f32> = (0..batch.documents()).map(|document| batch.bag(document).tokens).collect();
        let all: f64 = prior.iter().map(|&alpha| f64::from(alpha)).sum();
        sums.push(sum_digammas(self.simd, &lengths, all as f32));
        sums
    }

    /// The expected counts of the terms, under the shares found last.
    pub fn terms(
        &self,
        batch: &Batch,
        phi: &[f32],
        layout: &Layout,
        width: usize,
        pool: &rayon::ThreadPool,
    ) -> Vec<i64> {
        let positions = layout.positions(&batch.terms);
        let mut words = vec![0i64; layout.words];
        let mut tasks = Vec::new();
        let (mut rest, mut done, mut first) = (words.as_mut_slice(), 0, 0);
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
                    lanes.iter_mut().zip(&sums).for_each(|(lane, &sum)| *lane = sum as u32);
                } else {
                    let lanes: &mut [u16] = bytemuck::cast_slice_mut(words);
                    lanes.iter_mut().zip(&sums).for_each(|(lane, &sum)| *lane = sum as u16);
                }
            }
        });
        words
    }
}

//! The state of training: how many tokens of each term belong to each topic, as far as is known.
//!
//! Shapes: counts (terms x width, f32), totals (topics, f64); width is the number of topics padded to 16 with zeros.
//! Algorithm: a minibatch with expected counts h, which stand for a corpus `grow` times as large, moves the state by
//! N = (1 - rate) N + rate grow h. The factor 1 - rate is kept aside as a scale of all counts, so that only the rows of terms
//! that occur are touched.
//! Cost: 4 bytes a topic read and written for each term that occurs.

use rayon::prelude::*;

use super::exchange::{FINEST_SHIFT, Layout, Row};
use super::params::Eta;
use crate::error::Result;
use crate::linalg::digamma::{DIGAMMA_SHIFT, sum_occurrences, variational_weights};
use crate::linalg::kernels::LANES;
use crate::linalg::special::digamma;
use crate::linalg::topics::{absorb_narrow, absorb_wide, term_weights};
use crate::linalg::{Aligned, Simd};
use crate::random::Stream;

/// Rows a thread takes at a time.
const ROWS: usize = 256;
/// All counts are multiplied with the scale before it gets smaller than this.
const SMALLEST_SCALE: f64 = 1e-6;

/// Expected counts of terms in topics.
#[derive(Clone)]
pub struct Counts {
    width: usize,
    simd: Simd,
    values: Aligned<f32>,
    scale: f64,
    totals: Vec<f64>,
}

impl Counts {
    /// Counts that say nothing yet but break the symmetry of the topics: `tokens` in all, each count uniform between 0 and
    /// twice the mean.
    pub fn uniform(terms: usize, topics: usize, tokens: f64, seed: u64, pool: &rayon::ThreadPool) -> Counts {
        let mean = tokens / terms as f64 / topics as f64;
        Self::random(terms, topics, seed, pool, |stream| 2.0 * mean * stream.uniform())
    }

    /// The same as gensim begins with: each count from the gamma distribution of shape 100 and mean 1. Where digammas of
    /// counts are taken, even ones are needed: those of small counts are worlds apart.
    pub fn even(terms: usize, topics: usize, seed: u64, pool: &rayon::ThreadPool) -> Counts {
        Self::random(terms, topics, seed, pool, |stream| stream.gamma(100.0) / 100.0)
    }

    fn random(
        terms: usize,
        topics: usize,
        seed: u64,
        pool: &rayon::ThreadPool,
        draw: impl Fn(&mut Stream) -> f64 + Sync,
    ) -> Counts {
        let mut counts = Self::zeros(terms, topics);
        let width = counts.width;
        pool.install(|| {
            counts.values.par_chunks_mut(width).enumerate().for_each(|(term, row)| {
                let mut stream = Stream::new(seed, "topics", term as u64);
                row[..topics].iter_mut().for_each(|count| *count = draw(&mut stream) as f32);
            });
        });
        for row in counts.values.chunks_exact(width) {
            let row = &row[..topics];
            counts.totals.iter_mut().zip(row).for_each(|(total, &count)| *total += f64::from(count));
        }
        counts
    }

    /// No counts.
    pub fn zeros(terms: usize, topics: usize) -> Counts {
        let width = topics.next_multiple_of(LANES);
        let values = Aligned::zeros(terms * width);
        Counts { width, simd: Simd::detect(), values, scale: 1.0, totals: vec![0.0; topics] }
    }

    /// With the count of each term in each topic.
    pub fn of(terms: usize, topics: usize, count: impl Fn(usize, usize) -> f32) -> Counts {
        let mut counts = Self::zeros(terms, topics);
        for (term, row) in counts.values.chunks_exact_mut(counts.width).enumerate() {
            for (topic, (to, total)) in row[..topics].iter_mut().zip(&mut counts.totals).enumerate() {
                *to = count(term, topic);
                *total += f64::from(*to);
            }
        }
        counts
    }

    /// As they were saved: rows of [`rows`](Self::rows), the scale and the totals.
    pub fn restored(rows: &[f32], scale: f64, totals: Vec<f64>) -> Counts {
        let topics = totals.len();
        let mut counts = Self::zeros(rows.len() / topics, topics);
        for (row, from) in counts.values.chunks_exact_mut(counts.width).zip(rows.chunks_exact(topics)) {
            row[..topics].copy_from_slice(from);
        }
        Counts { scale, totals, ..counts }
    }

    /// All rows, without padding and before they are scaled, about `numbers` at a time.
    pub fn rows(&self, numbers: usize, sink: &mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()> {
        let topics = self.totals.len();
        for rows in self.values.chunks(self.width * (numbers / topics).max(1)) {
            let rows: Vec<f32> = rows.chunks_exact(self.width).flat_map(|row| &row[..topics]).copied().collect();
            sink(&rows)?;
        }
        Ok(())
    }

    /// What all rows are to be multiplied with.
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The counts of every n-th term, of about `most` terms in all (terms x width).
    pub fn sample(&self, most: usize) -> Vec<f32> {
        let scale = self.scale as f32;
        self.sampled(most).flatten().map(|&value| value * scale).collect()
    }

    fn sampled(&self, most: usize) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width).step_by(self.terms().div_ceil(most).max(1))
    }

    /// Share of the tokens of these terms that were in another topic then; NaN without a sample.
    pub fn moved_since(&self, sample: &[f32], most: usize) -> f64 {
        if sample.is_empty() {
            return f64::NAN;
        }
        let (mut moved, mut all) = (0.0, 0.0);
        for (now, then) in self.sampled(most).zip(sample.chunks_exact(self.width)) {
            let now: Vec<f64> = now.iter().map(|&value| f64::from(value) * self.scale).collect();
            let (sum, before) = (now.iter().sum::<f64>(), then.iter().map(|&value| f64::from(value)).sum::<f64>());
            if sum > 0.0 && before > 0.0 {
                let apart = now.iter().zip(then).map(|(now, &then)| (now / sum - f64::from(then) / before).abs());
                moved += 0.5 * sum * apart.sum::<f64>();
                all += sum;
            }
        }
        if all > 0.0 { moved / all } else { 0.0 }
    }

    /// The sum of psi(N + eta) - psi(eta) over all counts: see [`sum_occurrences`].
    pub fn occurrences(&self, eta: f64, pool: &rayon::ThreadPool) -> f64 {
        let (scale, eta) = (self.scale as f32, eta as f32);
        let of = |row: &[f32]| sum_occurrences(self.simd, row, scale, eta);
        // Whole numbers: exact in any order.
        let sum: i64 = pool.install(|| self.values.par_chunks(self.width).map(of).sum());
        sum as f64 * f64::from(-DIGAMMA_SHIFT).exp2()
    }

    /// Topics with padding.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of terms.
    pub fn terms(&self) -> usize {
        self.values.len() / self.width
    }

    /// Tokens of each topic.
    pub fn totals(&self) -> &[f64] {
        &self.totals
    }

    /// Tokens of a term in all topics.
    pub fn tokens(&self, term: usize) -> f64 {
        (0..self.totals.len()).map(|topic| self.count(term, topic)).sum()
    }

    /// Tokens of a term in a topic.
    pub fn count(&self, term: usize, topic: usize) -> f64 {
        f64::from(self.values[term * self.width + topic]) * self.scale
    }

    /// Tokens of a term in the topics of a strip of the width.
    pub fn strip(&self, term: usize, strip: usize) -> [f64; LANES] {
        let values = &self.values[term * self.width..][..self.width].as_chunks::<LANES>().0[strip];
        values.map(|value| f64::from(value) * self.scale)
    }

    /// phi of these terms (terms x width): (count + eta) / (total + the sum of all eta), in this order.
    pub fn weights(&self, terms: &[u32], eta: &Eta, pool: &rayon::ThreadPool, out: &mut Aligned<f32>) {
        let width = self.width;
        out.resize(terms.len() * width);
        let all = eta.sum(self.terms());
        let mut factors = vec![0f32; width];
        factors.iter_mut().zip(&self.totals).for_each(|(factor, total)| *factor = (1.0 / (total + all)) as f32);
        let scale = self.scale as f32;
        let fill = |(terms, out): (&[u32], &mut [f32])| {
            for (&term, out) in terms.iter().zip(out.chunks_exact_mut(width)) {
                let (term, eta) = (term as usize, eta.of(term as usize) as f32);
                term_weights(self.simd, &self.values[term * width..][..width], scale, eta, &factors, out);
            }
        };
        spread(pool, terms.par_chunks(ROWS).zip(out.par_chunks_mut(ROWS * width)), fill);
    }

    /// exp(E[log beta]) of these terms, each row divided by a number (terms x width): digammas of count + eta, less those of
    /// the topics' totals.
    pub fn variational_weights(&self, terms: &[u32], eta: &Eta, pool: &rayon::ThreadPool, out: &mut Aligned<f32>) {
        let (width, topics) = (self.width, self.totals.len());
        out.resize(terms.len() * width);
        let all = eta.sum(self.terms());
        let mut offsets = vec![f32::NEG_INFINITY; width];
        offsets.iter_mut().zip(&self.totals).for_each(|(offset, total)| *offset = -digamma(total + all) as f32);
        let scale = self.scale as f32;
        let fill = |(terms, out): (&[u32], &mut [f32])| {
            for (&term, out) in terms.iter().zip(out.chunks_exact_mut(width)) {
                let (term, eta) = (term as usize, eta.of(term as usize) as f32);
                let counts = &self.values[term * width..][..width];
                variational_weights(self.simd, counts, scale, eta, &offsets, topics, out);
            }
        };
        spread(pool, terms.par_chunks(ROWS).zip(out.par_chunks_mut(ROWS * width)), fill);
    }

    /// Takes in the expected counts of a minibatch.
    pub fn absorb(&mut self, layout: &Layout, words: &[i64], rate: f64, grow: f64, pool: &rayon::ThreadPool) {
        let (width, simd) = (self.width, self.simd);
        self.scale *= 1.0 - rate;
        if self.scale < SMALLEST_SCALE {
            let scale = self.scale as f32;
            pool.install(|| self.values.par_iter_mut().for_each(|value| *value *= scale));
            self.scale = 1.0;
        }
        let weight = rate * grow / self.scale;
        // Runs of rows, each with the stretch of the counts that holds them.
        let mut rest: &mut [f32] = &mut self.values;
        let mut done = 0;
        let mut tasks: Vec<(&[Row], &mut [f32])> = Vec::new();
        for rows in layout.rows.chunks(ROWS) {
            let end = rows.last().map_or(done, |row| row.term as usize + 1);
            let (stretch, tail) = rest.split_at_mut((end - done) * width);
            rest = tail;
            let skip = rows.first().map_or(0, |row| (row.term as usize - done) * width);
            tasks.push((rows, &mut stretch[skip..]));
            done = end;
        }
        let work = |(rows, stretch): (&[Row], &mut [f32])| -> Vec<i64> {
            let mut totals = vec![0i64; width];
            let first = rows.first().map_or(0, |row| row.term as usize);
            for row in rows {
                let counts = &mut stretch[(row.term as usize - first) * width..][..width];
                let words = &words[row.words(width)];
                let weight = (weight * f64::from(-row.shift).exp2()) as f32;
                let onto = (FINEST_SHIFT - row.shift) as u32;
                if row.wide {
                    let sums: &[u32] = bytemuck::cast_slice(words);
                    absorb_wide(simd, sums, weight, counts);
                    totals.iter_mut().zip(sums).for_each(|(total, &sum)| *total += i64::from(sum) << onto);
                } else {
                    let sums: &[u16] = bytemuck::cast_slice(words);
                    absorb_narrow(simd, sums, weight, counts);
                    totals.iter_mut().zip(sums).for_each(|(total, &sum)| *total += i64::from(sum) << onto);
                }
            }
            totals
        };
        let parts: Vec<Vec<i64>> = if pool.current_num_threads() == 1 {
            tasks.into_iter().map(work).collect()
        } else {
            pool.install(|| tasks.into_par_iter().map(work).collect())
        };
        // Whole numbers on one grid: exact in any order.
        for (topic, total) in self.totals.iter_mut().enumerate() {
            let sum: i64 = parts.iter().map(|part| part[topic]).sum();
            let sum = sum as f64 * f64::from(-FINEST_SHIFT).exp2();
            *total = (1.0 - rate) * *total + rate * grow * sum;
        }
    }
}

/// Runs tasks on the threads of a pool, without it where there is one thread.
pub fn spread<T: Send>(
    pool: &rayon::ThreadPool,
    tasks: impl IndexedParallelIterator<Item = T>,
    work: impl Fn(T) + Sync + Send,
) {
    pool.install(|| tasks.for_each(work));
}

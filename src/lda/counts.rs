//! The state of training: how many tokens of each term belong to each topic, as far as is known.
//!
//! Shapes: counts (terms x width, f32), totals (topics, f64); width is the number of topics padded to 16 with zeros.
//! Algorithm: a minibatch with expected counts h, which stand for a corpus `grow` times as large, moves the state by
//! N = (1 - rate) N + rate grow h. The factor 1 - rate is kept aside as a scale of all counts, so that only the rows of terms
//! that occur are touched.
//! Cost: 4 bytes a topic read and written for each term that occurs.

use rayon::prelude::*;

use super::exchange::{Layout, Row, WIDE_SHIFT};
use crate::linalg::kernels::LANES;
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
    pub fn random(terms: usize, topics: usize, tokens: f64, seed: u64, pool: &rayon::ThreadPool) -> Counts {
        let width = topics.next_multiple_of(LANES);
        let mean = tokens / terms as f64 / topics as f64;
        let mut values = Aligned::zeros(terms * width);
        pool.install(|| {
            values.par_chunks_mut(width).enumerate().for_each(|(term, row)| {
                let mut stream = Stream::new(seed, "topics", term as u64);
                row[..topics].iter_mut().for_each(|count| *count = (2.0 * mean * stream.uniform()) as f32);
            });
        });
        let mut counts = Counts { width, simd: Simd::detect(), values, scale: 1.0, totals: vec![0.0; topics] };
        for term in 0..terms {
            let row = &counts.values[term * width..][..topics];
            counts.totals.iter_mut().zip(row).for_each(|(total, &count)| *total += f64::from(count));
        }
        counts
    }

    /// Counts by term, (terms x topics) without padding, from a model.
    pub fn from_rows(topics: usize, rows: &[f32]) -> Counts {
        let width = topics.next_multiple_of(LANES);
        let terms = rows.len() / topics;
        let mut counts = Counts {
            width,
            simd: Simd::detect(),
            values: Aligned::zeros(terms * width),
            scale: 1.0,
            totals: vec![0.0; topics],
        };
        for (row, from) in counts.values.chunks_exact_mut(width).zip(rows.chunks_exact(topics)) {
            row[..topics].copy_from_slice(from);
            counts.totals.iter_mut().zip(from).for_each(|(total, &count)| *total += f64::from(count));
        }
        counts
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

    /// Tokens of a term in a topic.
    pub fn count(&self, term: usize, topic: usize) -> f64 {
        f64::from(self.values[term * self.width + topic]) * self.scale
    }

    /// phi of these terms (terms x width): (count + eta) / (total + eta x all terms), in this order.
    pub fn weights(&self, terms: &[u32], eta: f64, pool: &rayon::ThreadPool, out: &mut Aligned<f32>) {
        let width = self.width;
        out.resize(terms.len() * width);
        let all = self.terms() as f64 * eta;
        let mut factors = vec![0f32; width];
        factors.iter_mut().zip(&self.totals).for_each(|(factor, total)| *factor = (1.0 / (total + all)) as f32);
        let (scale, eta) = (self.scale as f32, eta as f32);
        let fill = |(terms, out): (&[u32], &mut [f32])| {
            for (&term, out) in terms.iter().zip(out.chunks_exact_mut(width)) {
                term_weights(self.simd, &self.values[term as usize * width..][..width], scale, eta, &factors, out);
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
            self.values.iter_mut().for_each(|value| *value *= scale);
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
                let onto = (WIDE_SHIFT - row.shift) as u32;
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
            let sum = sum as f64 * f64::from(-WIDE_SHIFT).exp2();
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

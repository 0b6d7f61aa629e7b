//! A document's tokens drawn into topics.
//!
//! Problem: phi (term rows x topics) and a document's u (topics: tokens of each topic plus the prior) are given. Wanted is a
//! sample of the numbers of its tokens in each topic, instead of the numbers expected: in expectations every topic
//! has a little of every document, while in truth tokens follow each other into few topics.
//! Algorithm: each token is drawn by its probabilities phi[w,k] u[k] / sum; then all tokens of a term at a time are drawn again,
//! given those of the other terms, in so many sweeps (collapsed Gibbs sampling within a document, as in Mimno, Hoffman and Blei,
//! "Sparse stochastic inference for latent Dirichlet allocation", ICML 2012).
//! A draw finds the lane first, by the sums over all strips, then the strip: there is no sum over a register.
//! Shapes: as in [`topics`](super::topics). Nothing is fused and all sums are in one order: every CPU draws the same.
//! Cost: 2 flops a nonzero and topic a sweep, and a few tens of nanoseconds a token.

// Lanes and strips are places in several arrays at once; indices say so, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::Simd;
use super::kernels::LANES;
use super::lanes::{Strip, dispatch};
use super::topics::Bag;
use crate::random::Stream;

/// Buffers of a thread.
#[derive(Debug, Default)]
pub struct Tokens {
    /// For the term at hand, what the probability of each topic is proportional to.
    products: Vec<Strip>,
    /// Tokens of each topic.
    numbers: Vec<Strip>,
    /// Topic of each token.
    topics: Vec<u32>,
}

/// Where a random number below the sum of the products leads: the topic whose part of it holds the number, when they are gone
/// through lane by lane. `running` are the sums of the lanes up to each.
#[inline(always)]
fn find(products: &[Strip], sums: &Strip, running: &Strip, mark: f32) -> usize {
    let mut lane = running.iter().map(|&sum| u32::from(sum <= mark)).sum::<u32>() as usize;
    if lane == LANES {
        // Rounding has led beyond the end.
        lane = sums.iter().rposition(|&sum| sum > 0.0).unwrap_or(0);
    }
    let rest = mark - if lane > 0 { running[lane - 1] } else { 0.0 };
    let (mut strip, mut sum) = (0, 0.0);
    for row in products {
        sum += row[lane];
        strip += usize::from(sum <= rest);
    }
    if strip == products.len() {
        strip = products.iter().rposition(|row| row[lane] > 0.0).unwrap_or(0);
    }
    strip * LANES + lane
}

#[inline(always)]
fn draw_body<const FUSED: bool>(
    phi: &[f32],
    prior: &[f32],
    bag: Bag,
    sweeps: usize,
    stream: &mut Stream,
    tokens: &mut Tokens,
    u: &mut [f32],
) {
    let strips = prior.len() / LANES;
    let Tokens { products, numbers, topics } = tokens;
    topics.clear();
    numbers.clear();
    numbers.resize(strips, [0.0; LANES]);
    products.resize(strips, [0.0; LANES]);
    let phi = phi.as_chunks::<LANES>().0;
    for sweep in 0..=sweeps {
        let mut at = 0;
        for (&row, &count) in bag.rows.iter().zip(bag.counts) {
            let count = count as usize;
            if sweep > 0 {
                let numbers = numbers.as_flattened_mut();
                for &topic in &topics[at..at + count] {
                    let topic = topic as usize;
                    numbers[topic] -= 1.0;
                    u[topic] = numbers[topic] + prior[topic];
                }
            }
            let row = &phi[row as usize * strips..][..strips];
            let mut sums = [0f32; LANES];
            for ((product, row), share) in products.iter_mut().zip(row).zip(u.as_chunks::<LANES>().0) {
                for lane in 0..LANES {
                    product[lane] = row[lane] * share[lane];
                    sums[lane] += product[lane];
                }
            }
            let (mut running, mut all) = ([0f32; LANES], 0.0);
            for lane in 0..LANES {
                all += sums[lane];
                running[lane] = all;
            }
            for token in at..at + count {
                let mark = (stream.bits() >> 40) as f32 * 2f32.powi(-24) * all;
                let topic = find(products, &sums, &running, mark);
                let numbers = numbers.as_flattened_mut();
                numbers[topic] += 1.0;
                if sweep > 0 {
                    topics[token] = topic as u32;
                    u[topic] = numbers[topic] + prior[topic];
                } else {
                    // The first draws know the shares only, later ones each other.
                    topics.push(topic as u32);
                }
            }
            at += count;
        }
        if sweep == 0 {
            let numbers = numbers.as_flattened();
            (0..u.len()).for_each(|topic| u[topic] = numbers[topic] + prior[topic]);
        }
    }
}

dispatch!(
    /// Draws the tokens of a document by the shares in `u` (prior included), then again in so many sweeps. What is in `u` then
    /// are the numbers of the last draws plus the prior. The document's counts are whole numbers, for each token a place is
    /// taken in `tokens`.
    draw, draw_body,
    (phi: &[f32], prior: &[f32], bag: Bag, sweeps: usize, stream: &mut Stream, tokens: &mut Tokens, u: &mut [f32])
);

#[cfg(test)]
mod tests {
    use super::*;

    const TOPICS: usize = 20;
    const WIDTH: usize = 32;

    fn weights(terms: usize) -> (Vec<f32>, Vec<f32>) {
        let mut phi = vec![0f32; terms * WIDTH];
        for (term, row) in phi.chunks_exact_mut(WIDTH).enumerate() {
            for (topic, weight) in row[..TOPICS].iter_mut().enumerate() {
                *weight = 1e-3 + ((term * 7919 + topic * 104_729 + term * topic) % 97) as f32 / 97.0;
            }
        }
        let mut prior = vec![0f32; WIDTH];
        (0..TOPICS).for_each(|topic| prior[topic] = 0.05 + topic as f32 / 100.0);
        (phi, prior)
    }

    #[test]
    fn every_cpu_draws_the_same_and_keeps_every_token() {
        let (phi, prior) = weights(7);
        let (rows, counts) = ([0, 3, 4, 6], [1.0, 5.0, 2.0, 300.0]);
        let bag = Bag { rows: &rows, counts: &counts, tokens: 308.0 };
        for sweeps in [0, 1, 5] {
            let mut found: Vec<Vec<f32>> = Vec::new();
            for simd in Simd::available() {
                let mut u = prior.clone();
                let (mut stream, mut tokens) = (Stream::new(1, "tokens", 0), Tokens::default());
                draw(simd, &phi, &prior, bag, sweeps, &mut stream, &mut tokens, &mut u);
                let mut sum = 0.0;
                for (u, prior) in u.iter().zip(&prior) {
                    let number = (u - prior).round();
                    assert_eq!(*u, number + prior);
                    sum += number;
                }
                assert_eq!(sum, 308.0);
                assert!(u[TOPICS..].iter().all(|&u| u == 0.0));
                found.push(u);
            }
            assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    /// Two tokens of different terms: the chain's stationary distribution is p(a, b) ~ phi[0,a] phi[1,b] x the Dirichlet-multinomial
    /// weight of (a, b), which can be summed up.
    #[test]
    fn the_last_draws_are_from_the_joint_distribution() {
        let (phi, prior) = weights(2);
        let joint = |a: usize, b: usize| {
            let again = if a == b { 1.0 } else { 0.0 };
            f64::from(phi[a]) * f64::from(phi[WIDTH + b]) * f64::from(prior[a]) * (f64::from(prior[b]) + again)
        };
        let pairs: Vec<(usize, usize)> = (0..TOPICS).flat_map(|a| (0..TOPICS).map(move |b| (a, b))).collect();
        let all: f64 = pairs.iter().map(|&(a, b)| joint(a, b)).sum();
        let (rows, counts) = ([0, 1], [1.0, 1.0]);
        let bag = Bag { rows: &rows, counts: &counts, tokens: 2.0 };
        let rounds = 40_000;
        let (mut together, mut of_topic) = (0usize, [0usize; TOPICS]);
        let mut tokens = Tokens::default();
        for round in 0..rounds {
            let mut u: Vec<f32> = prior.iter().map(|&prior| if prior > 0.0 { prior + 0.1 } else { 0.0 }).collect();
            let mut stream = Stream::new(2, "tokens", round);
            draw(Simd::detect(), &phi, &prior, bag, 12, &mut stream, &mut tokens, &mut u);
            for topic in 0..TOPICS {
                let number = (u[topic] - prior[topic]).round() as usize;
                of_topic[topic] += number;
                together += usize::from(number == 2);
            }
        }
        // Five standard deviations of a share of so many rounds.
        let close = |found: usize, expected: f64| {
            let error = (expected.min(1.0) * rounds as f64).sqrt() * 5.0;
            assert!((found as f64 - expected * rounds as f64).abs() < error, "{found} of {rounds}, expected {expected}");
        };
        close(together, (0..TOPICS).map(|topic| joint(topic, topic)).sum::<f64>() / all);
        for topic in 0..TOPICS {
            let expected = |&(a, b): &(usize, usize)| {
                joint(a, b) * (f64::from(u8::from(a == topic)) + f64::from(u8::from(b == topic)))
            };
            close(of_topic[topic], pairs.iter().map(expected).sum::<f64>() / all);
        }
    }

    #[test]
    fn a_mark_at_the_end_finds_the_last_topic_there_is() {
        let mut products = vec![[0f32; LANES]; 2];
        (products[0][3], products[1][5], products[0][5]) = (1.0, 2.0, 0.5);
        let mut sums = [0f32; LANES];
        (sums[3], sums[5]) = (1.0, 2.5);
        let mut running = [0f32; LANES];
        (0..LANES).for_each(|lane| running[lane] = sums[..=lane].iter().sum());
        for (mark, topic) in [(0.0, 3), (0.99, 3), (1.0, 5), (1.49, 5), (1.5, 21), (3.49, 21), (3.5, 21), (4.0, 21)] {
            assert_eq!(find(&products, &sums, &running, mark), topic, "{mark}");
        }
    }
}

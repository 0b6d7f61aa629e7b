//! A document's tokens drawn into topics.
//!
//! Problem: phi (term rows x topics) and a document's u (topics: tokens of each topic plus the prior) are given. Wanted is a
//! sample of the numbers of its tokens in each topic, instead of the numbers expected: in expectations every topic
//! has a little of every document, while in truth tokens follow each other into few topics.
//! Algorithm: each token is drawn by its probabilities phi[w,k] u[k] / sum; then all tokens of a term at a time are drawn again, given
//! those of the other terms and as if they knew nothing of each other, in so many sweeps (collapsed Gibbs sampling within a
//! document, as in Mimno, Hoffman and Blei, "Sparse stochastic inference for latent Dirichlet allocation", ICML 2012; where each
//! term occurs once it is just that).
//! A draw finds the lane first, by the sums over all strips, then the strip: there is no sum over a register.
//! Shapes: as in [`topics`](super::topics). Nothing is fused and all sums are in one order: every CPU draws the same.
//! Cost: 2 flops a nonzero and topic a sweep, and a few tens of nanoseconds a token.

// Lanes and strips are places in several arrays at once; indices say so, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::Simd;
use super::kernels::LANES;
use super::lanes::{Strip, dispatch};
use super::topics::{ABREAST, Bag};
use crate::random::Stream;

/// A document and its random numbers.
#[derive(Debug)]
pub struct Document<'a> {
    /// Its terms.
    pub bag: Bag<'a>,
    /// Where its random numbers come from.
    pub stream: Stream,
    /// Its shares, prior included; then the numbers of its tokens in each topic plus the prior.
    pub u: &'a mut [f32],
}

/// Buffers of a thread.
#[derive(Debug, Default)]
pub struct Tokens([Buffers; ABREAST]);

/// Buffers for a document.
#[derive(Debug, Default)]
struct Buffers {
    /// For the term at hand, what the probability of each topic is proportional to.
    products: Vec<Strip>,
    /// Their sums over the strips, those of the first lanes up to each.
    running: Strip,
    /// Tokens of each topic.
    numbers: Vec<f32>,
    /// Topic of each token.
    topics: Vec<u32>,
    /// Tokens of the terms before the one at hand.
    at: usize,
}

/// The sums of the first so many lanes, from one on. Not inlined, as [`below`]: the compiler would otherwise tear the
/// register of the sums into its lanes, in the loop over strips too.
#[inline(never)]
fn running(sums: &Strip, running: &mut Strip) {
    // In four parts that do not wait for each other.
    let mut sums = *sums;
    for lane in 1..4 {
        for part in 0..4 {
            sums[4 * part + lane] += sums[4 * part + lane - 1];
        }
    }
    for part in 1..4 {
        let before = sums[4 * part - 1];
        (0..4).for_each(|lane| sums[4 * part + lane] += before);
    }
    *running = sums;
}

/// How many of the lanes are not above this.
#[inline(never)]
fn below(running: &Strip, mark: f32) -> usize {
    let mut below = [0i32; LANES];
    for lane in 0..LANES {
        below[lane] = i32::from(running[lane] <= mark);
    }
    below.iter().sum::<i32>() as usize
}

/// Where a random number below the sum of the products leads: the topic whose part of it holds the number, when they are gone
/// through lane by lane.
#[inline(always)]
fn find(products: &[Strip], running: &Strip, mark: f32) -> usize {
    let mut lane = below(running, mark);
    if lane == LANES {
        // Rounding has led beyond the end.
        lane = (1..LANES).rev().find(|&lane| running[lane] > running[lane - 1]).unwrap_or(0);
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

/// Draws the tokens of the `term`-th term of each of so many documents, in the first sweep or a later one. What waits for one
/// document is done beside the same of the others.
#[inline(always)]
fn draw_term<const N: usize>(
    phi: &[Strip],
    prior: &[f32],
    documents: &mut [Document],
    buffers: &mut [Buffers],
    term: usize,
    first: bool,
) {
    let strips = prior.len() / LANES;
    for n in 0..N {
        let Buffers { products, running: sums_before, numbers, topics, at } = &mut buffers[n];
        let Document { bag, u, .. } = &mut documents[n];
        if !first {
            for &topic in &topics[*at..*at + bag.counts[term] as usize] {
                let topic = topic as usize;
                numbers[topic] -= 1.0;
                u[topic] = numbers[topic] + prior[topic];
            }
        }
        let row = &phi[bag.rows[term] as usize * strips..][..strips];
        let mut sums = [0f32; LANES];
        for ((product, row), share) in products.iter_mut().zip(row).zip(u.as_chunks::<LANES>().0) {
            let mut values = [0f32; LANES];
            for lane in 0..LANES {
                values[lane] = row[lane] * share[lane];
            }
            for lane in 0..LANES {
                sums[lane] += values[lane];
            }
            *product = values;
        }
        running(&sums, sums_before);
    }
    for n in 0..N {
        let Buffers { products, running, numbers, topics, at } = &mut buffers[n];
        let Document { bag, stream, u } = &mut documents[n];
        let end = *at + bag.counts[term] as usize;
        for token in &mut topics[*at..end] {
            let mark = (stream.bits() >> 40) as f32 * 2f32.powi(-24) * running[LANES - 1];
            let topic = find(products, running, mark);
            *token = topic as u32;
            numbers[topic] += 1.0;
            // The first draws know the shares only, later ones each other.
            if !first {
                u[topic] = numbers[topic] + prior[topic];
            }
        }
        *at = end;
    }
}

#[inline(always)]
fn draw_body<const FUSED: bool>(
    phi: &[f32],
    prior: &[f32],
    documents: &mut [Document],
    sweeps: usize,
    tokens: &mut Tokens,
) {
    let phi = phi.as_chunks::<LANES>().0;
    for documents in documents.chunks_mut(ABREAST) {
        for (document, buffers) in documents.iter().zip(&mut tokens.0) {
            buffers.products.resize(prior.len() / LANES, [0.0; LANES]);
            buffers.numbers.clear();
            buffers.numbers.resize(prior.len(), 0.0);
            buffers.topics.clear();
            buffers.topics.resize(document.bag.tokens as usize, 0);
        }
        let common =
            if documents.len() == ABREAST { documents.iter().map(|one| one.bag.rows.len()).min() } else { None };
        let common = common.unwrap_or(0);
        for sweep in 0..=sweeps {
            let first = sweep == 0;
            tokens.0.iter_mut().for_each(|buffers| buffers.at = 0);
            for term in 0..common {
                draw_term::<ABREAST>(phi, prior, documents, &mut tokens.0, term, first);
            }
            for n in 0..documents.len() {
                for term in common..documents[n].bag.rows.len() {
                    draw_term::<1>(phi, prior, &mut documents[n..], &mut tokens.0[n..], term, first);
                }
                if first {
                    let Document { u, .. } = &mut documents[n];
                    let numbers = u.iter_mut().zip(&tokens.0[n].numbers).zip(prior);
                    numbers.for_each(|((u, number), prior)| *u = number + prior);
                }
            }
        }
    }
}

dispatch!(
    /// Draws the tokens of documents by their shares, then again in so many sweeps. Counts are whole numbers, for each token
    /// a place is taken in `tokens`.
    draw, draw_body,
    (phi: &[f32], prior: &[f32], documents: &mut [Document], sweeps: usize, tokens: &mut Tokens)
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::topics::tests::{TOPICS, WIDTH, weights};

    #[test]
    fn every_cpu_draws_the_same_and_keeps_every_token() {
        let (phi, prior) = weights(7);
        let (rows, counts) = ([0, 3, 4, 6], [1.0, 5.0, 2.0, 300.0]);
        let bag = Bag { rows: &rows, counts: &counts, tokens: 308.0 };
        for sweeps in [0, 1, 5] {
            let mut found: Vec<Vec<f32>> = Vec::new();
            for simd in Simd::available() {
                let mut u = prior.clone();
                let (stream, mut tokens) = (Stream::new(1, "tokens", 0), Tokens::default());
                draw(simd, &phi, &prior, &mut [Document { bag, stream, u: &mut u }], sweeps, &mut tokens);
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

    #[test]
    fn a_document_is_drawn_the_same_whoever_is_beside() {
        let (phi, prior) = weights(9);
        let rows: Vec<Vec<u32>> = (0..11u32).map(|d| (0..d % 7).map(|at| (at * 2 + d) % 9).collect()).collect();
        let counts: Vec<Vec<f32>> =
            rows.iter().map(|rows| rows.iter().map(|&row| 1.0 + (row % 3) as f32).collect()).collect();
        let bag = |d: usize| Bag { rows: &rows[d], counts: &counts[d], tokens: counts[d].iter().sum() };
        let start: Vec<f32> = prior.iter().map(|prior| 2.0 * prior).collect();
        let stream = |d: usize| Stream::new(3, "tokens", d as u64);
        let mut together = start.repeat(rows.len());
        let documents = together.chunks_mut(WIDTH).enumerate();
        let mut documents: Vec<Document> =
            documents.map(|(d, u)| Document { bag: bag(d), stream: stream(d), u }).collect();
        let mut tokens = Tokens::default();
        draw(Simd::detect(), &phi, &prior, &mut documents, 3, &mut tokens);
        for (d, together) in together.chunks(WIDTH).enumerate() {
            let mut alone = start.clone();
            draw(
                Simd::detect(),
                &phi,
                &prior,
                &mut [Document { bag: bag(d), stream: stream(d), u: &mut alone }],
                3,
                &mut tokens,
            );
            assert_eq!(alone, together, "document {d}");
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
            let document = Document { bag, stream: Stream::new(2, "tokens", round), u: &mut u };
            draw(Simd::detect(), &phi, &prior, &mut [document], 12, &mut tokens);
            for topic in 0..TOPICS {
                let number = (u[topic] - prior[topic]).round() as usize;
                of_topic[topic] += number;
                together += usize::from(number == 2);
            }
        }
        // Five standard deviations of a share of so many rounds.
        let close = |found: usize, expected: f64| {
            let error = (expected.min(1.0) * rounds as f64).sqrt() * 5.0;
            assert!(
                (found as f64 - expected * rounds as f64).abs() < error,
                "{found} of {rounds}, expected {expected}"
            );
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
        let mut up_to = [0f32; LANES];
        running(&sums, &mut up_to);
        for (mark, topic) in [(0.0, 3), (0.99, 3), (1.0, 5), (1.49, 5), (1.5, 21), (3.49, 21), (3.5, 21), (4.0, 21)] {
            assert_eq!(find(&products, &up_to, mark), topic, "{mark}");
        }
    }
}

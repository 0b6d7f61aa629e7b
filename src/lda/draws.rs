//! A document's tokens drawn into topics, to learn alpha from.
//!
//! Problem: the fixed point for alpha needs E[psi(N + alpha) - psi(alpha)] for the number N of a document's tokens in each
//! topic. From expected numbers alone it comes out too large: the tokens of a document are taken for independent, so that a few
//! doubtful ones make every topic seem present. In truth they follow each other.
//! Algorithm: each token is drawn by its probabilities under the shares that were inferred, then drawn again so many times given
//! all others (collapsed Gibbs sampling, Griffiths and Steyvers, PNAS 2004); the last draw is a sample of the numbers.
//! Cost: 2 flops a token, topic and sweep, of one document in so many: see [`every`].

use crate::linalg::digamma::DIGAMMA_SHIFT;
use crate::linalg::kernels::LANES;
use crate::linalg::special::digamma;
use crate::linalg::topics::Bag;
use crate::random::Stream;

/// Times that each token is drawn again.
const SWEEPS: usize = 2;
/// Documents of a minibatch that are drawn, about.
const DOCUMENTS: u64 = 512;
/// Longer documents are not drawn: their shares leave little doubt.
pub const LONGEST: f32 = 4096.0;

/// One document in so many is drawn, of minibatches of this size.
pub fn every(minibatch: u64) -> u64 {
    (minibatch / DOCUMENTS).max(1)
}

/// Buffers of a thread.
#[derive(Debug, Default)]
pub struct Draws {
    /// For the token at hand, what the probability of each topic is proportional to.
    products: Vec<f32>,
    /// Tokens of each topic and the prior.
    shares: Vec<f32>,
    /// Topic of each token.
    topics: Vec<u32>,
}

/// The sum of a strip, as a tree: vectorised.
fn total(strip: &[f32; LANES]) -> f32 {
    let mut sums = *strip;
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|lane| sums[lane] += sums[lane + half]);
    }
    sums[0]
}

/// A place drawn in proportion to the products; the last that is not 0 if rounding leads beyond it.
fn draw(products: &[f32], stream: &mut Stream) -> usize {
    let strips = products.as_chunks::<LANES>().0;
    let all: f32 = strips.iter().map(total).sum();
    let mut rest = (stream.uniform() * f64::from(all)) as f32;
    for (number, strip) in strips.iter().enumerate() {
        let sum = total(strip);
        if rest < sum {
            for (lane, &product) in strip.iter().enumerate() {
                if rest < product {
                    return number * LANES + lane;
                }
                rest -= product;
            }
            break;
        }
        rest -= sum;
    }
    products.iter().rposition(|&product| product > 0.0).unwrap_or(0)
}

impl Draws {
    /// Draws a document with these shares, prior included; `totals` has an entry for each topic, to which psi(N + prior) -
    /// psi(prior) is added, rounded to 2^-[`DIGAMMA_SHIFT`].
    pub fn add(
        &mut self,
        phi: &[f32],
        prior: &[f32],
        bag: Bag,
        shares: &[f32],
        stream: &mut Stream,
        totals: &mut [i64],
    ) {
        let width = prior.len();
        self.topics.clear();
        self.products.resize(width, 0.0);
        self.shares.clear();
        self.shares.extend_from_slice(prior);
        for sweep in 0..=SWEEPS {
            let mut at = 0;
            for (&row, &count) in bag.rows.iter().zip(bag.counts) {
                let weights = &phi[row as usize * width..][..width];
                for _ in 0..count as u32 {
                    if sweep > 0 {
                        self.shares[self.topics[at] as usize] -= 1.0;
                    }
                    // Those drawn first know the shares only, the others each other.
                    let shares = if sweep > 0 { &self.shares[..] } else { shares };
                    for ((product, weight), share) in self.products.iter_mut().zip(weights).zip(shares) {
                        *product = weight * share;
                    }
                    let topic = draw(&self.products, stream);
                    self.shares[topic] += 1.0;
                    if sweep > 0 {
                        self.topics[at] = topic as u32;
                    } else {
                        self.topics.push(topic as u32);
                    }
                    at += 1;
                }
            }
        }
        // Without what has been rounded on the way.
        self.shares.fill(0.0);
        self.topics.iter().for_each(|&topic| self.shares[topic as usize] += 1.0);
        for ((total, &number), &prior) in totals.iter_mut().zip(&self.shares).zip(prior) {
            if number > 0.0 {
                let prior = f64::from(prior);
                let value = digamma(f64::from(number) + prior) - digamma(prior);
                *total += (value * f64::from(DIGAMMA_SHIFT).exp2()).round() as i64;
            }
        }
    }
}

//! The variational bound: a lower bound of the likelihood of documents, as gensim's `LdaModel.bound` has it.
//!
//! Problem: lambda (topics x terms, expected counts and eta), alpha, eta and documents -> the sum over documents d of
//!   sum_w n[d,w] log sum_k exp(E[log theta[d,k]] + E[log beta[k,w]]),
//!   sum_k (alpha[k] - gamma[d,k]) E[log theta[d,k]] + ln G(gamma[d,k]) - ln G(alpha[k]),
//!   ln G(sum alpha) - ln G(sum gamma[d]),
//! and the last two for the topics: (eta - lambda) E[log beta] + ln G(lambda) - ln G(eta), ln G(sum eta) - ln G(sum lambda).
//!
//! gamma is found by variational inference on the whole of the document, so the number flatters: it compares models of one
//! kind on one corpus, no more. gensim's `log_perplexity` is the bound over the number of tokens.
//! Cost: the inference of the documents; a logarithm of the Gamma function for each document or term and topic. Sums are exact.
//! Reference: Hoffman, Blei, Bach, NIPS 2010, equation 4.

use rayon::prelude::*;

use super::estep::even;
use super::model::Shared;
use crate::corpus::chunk::CsrChunk;
use crate::linalg::digamma::variational_weights;
use crate::linalg::fixed::wide;
use crate::linalg::special::{digamma, ln_gamma};
use crate::linalg::topics::Bag;
use crate::linalg::variational::{Until, variational};
use crate::linalg::{Aligned, Simd};

/// Terms a rank takes at a time.
const TERMS: usize = 256;

/// The topics as the bound wants them.
pub struct Bound<'a> {
    model: &'a Shared,
    simd: Simd,
    until: Until,
    /// exp(E[log beta]), each term's divided by a number (terms x width).
    weights: Aligned<f32>,
    /// The logarithms of those numbers.
    logs: Vec<f32>,
    /// lambda of each topic, summed over terms.
    totals: Vec<f64>,
    /// ln G(sum alpha) - sum ln G(alpha).
    of_alpha: f64,
}

/// A pair of [`wide`].
type Pair = [i64; 2];

fn add(a: Pair, b: Pair) -> Pair {
    [a[0] + b[0], a[1] + b[1]]
}

impl<'a> Bound<'a> {
    /// Of a model, whose documents are inferred until then.
    pub fn new(model: &'a Shared, until: Until, pool: &rayon::ThreadPool) -> Bound<'a> {
        let (width, topics, simd) = (model.prior.len(), model.topics, Simd::detect());
        let terms = model.phi.len() / width;
        let eta = model.eta.sum(terms);
        let totals: Vec<f64> = model.topic_tokens.iter().map(|tokens| tokens + eta).collect();
        let (mut weights, mut logs) = (Aligned::zeros(terms * width), vec![0f32; terms]);
        let mut offsets = vec![f32::NEG_INFINITY; width];
        offsets.iter_mut().zip(&totals).for_each(|(offset, &total)| *offset = -digamma(total) as f32);
        let rows = weights.par_chunks_mut(width).zip(model.phi.par_chunks(width)).zip(&mut logs);
        pool.install(|| {
            rows.for_each(|((out, phi), log)| {
                let mut lambda = vec![0f32; width];
                for (lambda, (&phi, &total)) in lambda.iter_mut().zip(phi.iter().zip(&totals)) {
                    *lambda = (f64::from(phi) * total) as f32;
                }
                *log = variational_weights(simd, &lambda, 1.0, 0.0, &offsets, topics, out);
            });
        });
        let alpha = &model.alpha;
        let of_alpha = ln_gamma(alpha.iter().sum()) - alpha.iter().map(|&alpha| ln_gamma(alpha)).sum::<f64>();
        Bound { model, simd, until, weights, logs, totals, of_alpha }
    }

    /// The part of a document.
    fn document(&self, terms: &[u32], counts: &[f32]) -> f64 {
        let (prior, topics) = (&self.model.prior, self.model.topics);
        let width = prior.len();
        let tokens = counts.iter().map(|&count| f64::from(count)).sum::<f64>() as f32;
        if tokens == 0.0 {
            return 0.0;
        }
        let (mut gamma, mut u) = (vec![0f32; width], vec![0f32; width]);
        even(tokens, topics, prior, &mut gamma);
        let bag = Bag { rows: terms, counts, tokens };
        let most = variational(self.simd, &self.weights, prior, bag, self.until, &mut gamma, &mut u);
        let all: f64 = gamma[..topics].iter().map(|&gamma| f64::from(gamma)).sum();
        let psi = digamma(all);
        let mut sum = self.of_alpha - ln_gamma(all);
        for (&gamma, &alpha) in gamma.iter().zip(&self.model.alpha) {
            let gamma = f64::from(gamma);
            sum += (alpha - gamma) * (digamma(gamma) - psi) + ln_gamma(gamma);
        }
        for (&term, &count) in terms.iter().zip(counts) {
            let row = &self.weights[term as usize * width..][..width];
            let dot: f64 = row.iter().zip(&u).map(|(&weight, &u)| f64::from(weight) * f64::from(u)).sum();
            sum += f64::from(count) * (dot.ln() + f64::from(self.logs[term as usize]) + f64::from(most) - psi);
        }
        sum
    }

    /// The part of the documents of a chunk.
    pub fn documents(&self, chunk: &CsrChunk, pool: &rayon::ThreadPool) -> Pair {
        let of = |row: usize| {
            let (terms, counts) = chunk.document(row);
            let mut pair = [0; 2];
            wide::add(&mut pair, self.document(terms, counts));
            pair
        };
        pool.install(|| (0..chunk.documents()).into_par_iter().map(of).reduce(|| [0; 2], add))
    }

    /// The part of a share of the topics' terms: that of worker `worker` of `workers`. The first has what does not go by terms.
    pub fn topics(&self, worker: usize, workers: usize, pool: &rayon::ThreadPool) -> Pair {
        let (model, width) = (self.model, self.model.prior.len());
        let psi: Vec<f64> = self.totals.iter().map(|&total| digamma(total)).collect();
        let of = |(term, phi): (usize, &[f32])| {
            let eta = model.eta.of(term);
            let of_eta = ln_gamma(eta);
            let mut sum = 0.0;
            for topic in 0..model.topics {
                let lambda = f64::from(phi[topic]) * self.totals[topic];
                sum += (eta - lambda) * (digamma(lambda) - psi[topic]) + ln_gamma(lambda) - of_eta;
            }
            let mut pair = [0; 2];
            wide::add(&mut pair, sum);
            pair
        };
        let own = model.phi.par_chunks(width).enumerate().filter(|(term, _)| term / TERMS % workers == worker);
        let mut pair = pool.install(|| own.map(of).reduce(|| [0; 2], add));
        if worker == 0 {
            let eta = ln_gamma(model.eta.sum(model.phi.len() / width));
            wide::add(&mut pair, self.totals.iter().map(|&total| eta - ln_gamma(total)).sum());
        }
        pair
    }
}

//! What the priors learn from additive statistics of documents and topics.
//!
//! SCVB0 learns alpha by Minka's fixed point ("Estimating a Dirichlet distribution", 2000, equation 55) on expected numbers of
//! tokens; variational inference by Newton steps on the expected logarithms of shares, as gensim does it (Huang, "Maximum
//! likelihood estimation of Dirichlet distribution parameters", 2005). eta is learned by the fixed point for all methods, and
//! stays the same for all terms: an asymmetric prior of terms does harm (Wallach, Mimno, McCallum, "Rethinking LDA: why
//! priors matter", NIPS 2009).

use super::params::{LARGEST_PRIOR, SMALLEST_PRIOR};
use crate::linalg::special::{digamma, trigamma};

/// A step of the fixed point: alpha[k] x sum(psi(N[k] + alpha[k]) - psi(alpha[k])) / sum(psi(n + sum alpha) - psi(sum
/// alpha)), of which a share `rate` is taken. `statistics` are those sums, the last one that of the lengths.
pub fn fixed_point(alpha: &mut [f64], statistics: &[i64], rate: f64) {
    let Some((&all, topics)) = statistics.split_last().filter(|(all, _)| **all > 0) else { return };
    for (alpha, &sum) in alpha.iter_mut().zip(topics) {
        let next = *alpha * sum as f64 / all as f64;
        *alpha = ((1.0 - rate) * *alpha + rate * next).clamp(SMALLEST_PRIOR, LARGEST_PRIOR);
    }
}

/// How often a step is halved.
const HALVINGS: usize = 30;

/// A share `rate` of a Newton step up the likelihood of a Dirichlet prior, given the mean logarithms of shares of so many
/// documents. A step that would leave the positive numbers is halved until it does not; gensim takes none then, and may never
/// leave a prior that is far too large.
pub fn newton(alpha: &mut [f64], mean_logs: &[f64], documents: f64, rate: f64) {
    let sum: f64 = alpha.iter().sum();
    let (psi, curvature) = (digamma(sum), documents * trigamma(sum));
    let gradient: Vec<f64> =
        alpha.iter().zip(mean_logs).map(|(&alpha, log)| documents * (psi - digamma(alpha) + log)).collect();
    let diagonal: Vec<f64> = alpha.iter().map(|&alpha| -documents * trigamma(alpha)).collect();
    let above: f64 = gradient.iter().zip(&diagonal).map(|(g, q)| g / q).sum();
    let below: f64 = 1.0 / curvature + diagonal.iter().map(|q| 1.0 / q).sum::<f64>();
    let shift = above / below;
    let step: Vec<f64> = gradient.iter().zip(&diagonal).map(|(g, q)| -(g - shift) / q).collect();
    let mut rate = rate;
    for _ in 0..HALVINGS {
        let next: Vec<f64> = alpha.iter().zip(&step).map(|(alpha, step)| alpha + rate * step).collect();
        if next.iter().all(|&next| next > 0.0 && next.is_finite()) {
            alpha.iter_mut().zip(next).for_each(|(alpha, next)| *alpha = next.clamp(SMALLEST_PRIOR, LARGEST_PRIOR));
            return;
        }
        rate *= 0.5;
    }
}

/// The next eta of the fixed point: `occurrences` is the sum of psi(N[k,w] + eta) - psi(eta) over topics and terms.
pub fn eta(eta: f64, occurrences: f64, totals: &[f64], terms: usize) -> f64 {
    let all = eta * terms as f64;
    let lengths: f64 = totals.iter().map(|total| digamma(total + all) - digamma(all)).sum();
    if lengths > 0.0 {
        (eta * occurrences / (terms as f64 * lengths)).clamp(SMALLEST_PRIOR, LARGEST_PRIOR)
    } else {
        eta
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn newton_steps_find_the_prior_that_shares_were_drawn_from() {
        let truth = [0.05, 0.5, 2.0, 0.2];
        let documents = 4000;
        let mut mean = [0.0; 4];
        for document in 0..documents {
            let mut stream = Stream::new(3, "shares", document);
            let draws = truth.map(|alpha| stream.gamma(alpha).max(1e-300));
            let sum: f64 = draws.iter().sum();
            mean.iter_mut().zip(draws).for_each(|(mean, draw)| *mean += (draw / sum).ln() / documents as f64);
        }
        let mut alpha = [0.25; 4];
        for _ in 0..100 {
            newton(&mut alpha, &mean, documents as f64, 0.5);
        }
        for (found, truth) in alpha.iter().zip(truth) {
            assert!((found / truth - 1.0).abs() < 0.1, "{found} is not {truth}");
        }
    }

    #[test]
    fn a_newton_step_is_that_of_the_full_hessian() {
        let (mut alpha, logs) = ([0.3, 0.7, 1.1], [-2.0, -1.2, -0.6]);
        let (before, sum) = (alpha, 2.1);
        newton(&mut alpha, &logs, 10.0, 1.0);
        // H d = -g, for H = diag(q) + c 1 1'.
        let step: Vec<f64> = alpha.iter().zip(before).map(|(after, before)| after - before).collect();
        for k in 0..3 {
            let gradient = 10.0 * (digamma(sum) - digamma(before[k]) + logs[k]);
            let product = -10.0 * trigamma(before[k]) * step[k] + 10.0 * trigamma(sum) * step.iter().sum::<f64>();
            assert!((product + gradient).abs() < 1e-9, "{product} and {gradient}");
        }
    }

    #[test]
    fn a_step_out_of_range_is_shortened_or_not_taken() {
        let mut alpha = [1e-3, 5.0];
        newton(&mut alpha, &[-2000.0, -1e-9], 10.0, 1.0);
        assert!(
            alpha[0] < 1e-3 && alpha.iter().all(|&alpha| (SMALLEST_PRIOR..=LARGEST_PRIOR).contains(&alpha)),
            "{alpha:?}"
        );
        let mut alpha = [1e-3, 5.0];
        newton(&mut alpha, &[f64::NAN, -1e-9], 10.0, 1.0);
        assert_eq!(alpha, [1e-3, 5.0]);
        let mut alpha = [0.1, 0.1];
        fixed_point(&mut alpha, &[5, 5, 0], 1.0);
        assert_eq!(alpha, [0.1, 0.1]);
    }

    #[test]
    fn eta_of_drawn_topics_is_found() {
        let (truth, terms, tokens) = (0.1, 500, 2000);
        let mut counts = vec![vec![0u32; terms]; 30];
        for (topic, counts) in counts.iter_mut().enumerate() {
            let mut stream = Stream::new(5, "topic", topic as u64);
            let weights: Vec<f64> = (0..terms).map(|_| stream.gamma(truth)).collect();
            let sum: f64 = weights.iter().sum();
            for _ in 0..tokens {
                let mut at = stream.uniform() * sum;
                let place = weights.iter().position(|weight| {
                    at -= weight;
                    at < 0.0
                });
                counts[place.unwrap_or(terms - 1)] += 1;
            }
        }
        let mut found = 1.0;
        for _ in 0..200 {
            let sum = counts.iter().flatten().map(|&n| digamma(f64::from(n) + found) - digamma(found)).sum();
            found = eta(found, sum, &vec![f64::from(tokens); 30], terms);
        }
        assert!((found / truth - 1.0).abs() < 0.1, "{found}");
    }
}

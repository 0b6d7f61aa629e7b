//! Which terms tell what a topic is about: frequent in it, or more frequent in it than elsewhere.
//!
//! Relevance of term w to topic k: lambda ln p(w|k) + (1 - lambda) ln(p(w|k) / p(w)). Of each topic those terms are kept that
//! lead for one of the eleven lambdas 0, 0.1, ..., 1, so that a page can show any of these without the whole model.
//! Cost: 11 K V comparisons. Reference: Sievert, Shirley, "LDAvis", ACL workshop 2014.

use std::collections::BTreeSet;

use ndarray::ArrayView1;

/// Steps of lambda from 0 to 1.
const STEPS: usize = 10;

/// p(w) of every term: the mean of the topics, `shares` their weights.
pub fn overall<'a>(topics: impl Iterator<Item = ArrayView1<'a, f32>>, shares: &[f64], terms: usize) -> Vec<f64> {
    let all: f64 = shares.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let mut sums = vec![0.0; terms];
    for (topic, share) in topics.zip(shares) {
        sums.iter_mut().zip(topic).for_each(|(sum, &weight)| *sum += share / all * f64::from(weight));
    }
    sums
}

/// Numbers of the terms that are among the `count` most relevant ones for some lambda, in their order.
pub fn candidates(topic: ArrayView1<f32>, overall: &[f64], count: usize) -> Vec<u32> {
    let logs: Vec<(u32, f32, f32)> = topic
        .iter()
        .zip(overall)
        .enumerate()
        .filter(|(_, (weight, all))| **weight > 0.0 && **all > 0.0)
        .map(|(term, (&weight, &all))| (term as u32, weight.ln(), weight.ln() - all.ln() as f32))
        .collect();
    let mut chosen = BTreeSet::new();
    let mut order: Vec<(f32, u32)> = Vec::with_capacity(logs.len());
    for step in 0..=STEPS {
        let lambda = step as f32 / STEPS as f32;
        order.clear();
        order.extend(logs.iter().map(|(term, ln, lift)| (lambda * ln + (1.0 - lambda) * lift, *term)));
        if count < order.len() {
            order.select_nth_unstable_by(count, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            order.truncate(count);
        }
        chosen.extend(order.iter().map(|(_, term)| *term));
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn frequent_and_typical_terms_are_candidates_and_others_are_not() {
        let topics = array![[0.60f32, 0.25, 0.10, 0.05, 0.0], [0.70, 0.01, 0.01, 0.0, 0.28]];
        let all = overall(topics.rows().into_iter(), &[1.0, 1.0], 5);
        assert!((all[0] - 0.65).abs() < 1e-6 && (all.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        // Most frequent: 0; the one found nowhere else: 3; in between 1 leads.
        assert_eq!(candidates(topics.row(0), &all, 1), [0, 1, 3]);
        assert_eq!(candidates(topics.row(1), &all, 9), [0, 1, 2, 4]);
    }
}

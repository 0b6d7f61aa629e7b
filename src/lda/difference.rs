//! How far the topics of two models over one dictionary are apart, as gensim's `LdaModel.diff` has it.
//!
//! Cost: K1 K2 terms steps in f64 for the distances of distributions; the leading terms only for Jaccard's.

use ndarray::{Array2, ArrayView1};

use super::model::LdaModel;
use super::topics::leading_terms;

/// A distance of two topics p and q.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Distance {
    /// sqrt(sum (sqrt p - sqrt q)^2 / 2), from 0 to 1
    Hellinger,
    /// 1 - common / all of their leading terms, from 0 to 1
    Jaccard,
    /// sum p log(p / q), in nats: what q wastes on p
    KullbackLeibler,
    /// Mean of both to (p + q) / 2, in nats, from 0 to log 2
    JensenShannon,
}

/// sum p log(p / q).
fn divergence(p: impl Iterator<Item = (f64, f64)>) -> f64 {
    p.map(|(p, q)| if p > 0.0 { p * (p / q).ln() } else { 0.0 }).sum()
}

/// Weights of a topic that sum to 1 in f64.
fn normalised(row: ArrayView1<f32>) -> Vec<f64> {
    let sum: f64 = row.iter().map(|&weight| f64::from(weight)).sum();
    row.iter().map(|&weight| f64::from(weight) / sum).collect()
}

/// The distance of two distributions; Jaccard's is not one of distributions.
fn between(distance: Distance, p: &[f64], q: &[f64]) -> f64 {
    let pairs = || p.iter().copied().zip(q.iter().copied());
    match distance {
        Distance::KullbackLeibler => divergence(pairs()),
        Distance::JensenShannon => {
            let to_mean =
                |pairs: &mut dyn Iterator<Item = (f64, f64)>| divergence(pairs.map(|(p, q)| (p, 0.5 * (p + q))));
            0.5 * (to_mean(&mut pairs()) + to_mean(&mut pairs().map(|(p, q)| (q, p))))
        }
        Distance::Hellinger | Distance::Jaccard => {
            (0.5 * pairs().map(|(p, q)| (p.sqrt() - q.sqrt()).powi(2)).sum::<f64>()).sqrt()
        }
    }
}

/// The distances of the topics of one model (rows) from those of another over the same dictionary (columns); `words` is the
/// number of leading terms that Jaccard's distance compares.
pub fn differences(one: &LdaModel, other: &LdaModel, distance: Distance, words: usize) -> Array2<f64> {
    let shape = (one.topics(), other.topics());
    if distance == Distance::Jaccard {
        let sets = |model: &LdaModel| -> Vec<Vec<u32>> {
            let sorted = |topic| {
                let mut terms = leading_terms(model, topic, words);
                terms.sort_unstable();
                terms
            };
            (0..model.topics()).map(sorted).collect()
        };
        let (ours, theirs) = (sets(one), sets(other));
        return Array2::from_shape_fn(shape, |(a, b)| {
            let common = ours[a].iter().filter(|term| theirs[b].binary_search(term).is_ok()).count();
            1.0 - common as f64 / (ours[a].len() + theirs[b].len() - common) as f64
        });
    }
    let rows = |model: &LdaModel| -> Vec<Vec<f64>> { model.topic_word.rows().into_iter().map(normalised).collect() };
    let (ours, theirs) = (rows(one), rows(other));
    Array2::from_shape_fn(shape, |(a, b)| between(distance, &ours[a], &theirs[b]))
}

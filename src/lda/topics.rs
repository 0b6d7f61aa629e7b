//! What a topic is about: its terms of largest weight; which topics matter.

use std::cmp::Ordering;

use super::model::LdaModel;
use crate::error::Result;
use crate::store::model::ModelReader;

/// Numbers of the `count` terms of largest weight in a topic, largest first; of equals the one that comes first in the
/// dictionary. Cost: O(terms + count log count).
pub fn leading_terms(model: &LdaModel, topic: usize, count: usize) -> Vec<u32> {
    let weights = model.topic_word.row(topic);
    let by_weight =
        |a: &u32, b: &u32| -> Ordering { weights[*b as usize].total_cmp(&weights[*a as usize]).then(a.cmp(b)) };
    let mut terms: Vec<u32> = (0..weights.len() as u32).collect();
    if count < terms.len() {
        terms.select_nth_unstable_by(count, by_weight);
        terms.truncate(count);
    }
    terms.sort_unstable_by(by_weight);
    terms
}

/// Topics by falling share of the tokens, of equals the first one.
pub fn by_share(model: &LdaModel) -> Vec<usize> {
    let shares = model.shares();
    let mut order: Vec<usize> = (0..model.topics()).collect();
    order.sort_by(|&a, &b| shares[b].total_cmp(&shares[a]));
    order
}

/// Documents read at a time.
const ROWS: usize = 65_536;

/// For each topic the `count` documents with the largest shares of it, largest first, of equals the first in the corpus, as
/// shares and numbers. Reads the vectors in slabs. Cost: O(documents x topics), and a sort of `count` for each document that
/// is among them when it comes.
pub fn largest_shares(vectors: &ModelReader, count: usize) -> Result<Vec<Vec<(f32, u64)>>> {
    let shape = vectors.shape("vectors")?;
    let mut most: Vec<Vec<(f32, u64)>> = vec![Vec::new(); shape.get(1).copied().unwrap_or(0)];
    let documents = shape.first().copied().unwrap_or(0);
    for first in (0..documents).step_by(ROWS) {
        let slab = vectors.rows::<f32>("vectors", first, ROWS.min(documents - first))?;
        for (row, shares) in slab.rows().into_iter().enumerate() {
            for (most, &share) in most.iter_mut().zip(shares) {
                if most.len() < count || most.last().is_some_and(|last| share > last.0) {
                    let place = most.partition_point(|other| other.0 >= share);
                    most.insert(place, (share, (first + row) as u64));
                    most.truncate(count);
                }
            }
        }
    }
    Ok(most)
}

/// Share of distinct terms among the leading terms of all topics: 1 if no two topics have one in common (Dieng, Ruiz, Blei,
/// "Topic modeling in embedding spaces", TACL 2020).
pub fn diversity(leading: &[Vec<u32>]) -> f64 {
    let mut all = leading.concat();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    all.len() as f64 / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lda::model::History;
    use crate::lda::params::Eta;
    use ndarray::arr2;

    #[test]
    fn terms_and_topics_come_by_weight_and_equals_by_number() {
        let model = LdaModel {
            topic_word: arr2(&[[0.1, 0.3, 0.3, 0.3], [0.7, 0.1, 0.2, 0.0], [0.25; 4]]),
            alpha: vec![0.1; 3],
            eta: Eta::symmetric(0.01),
            topic_tokens: vec![30.0, 90.0, 30.0],
            terms: ["a", "b", "c", "d"].map(String::from).into(),
            history: History::default(),
        };
        let leading: Vec<_> = (0..3).map(|topic| leading_terms(&model, topic, 2)).collect();
        assert_eq!(leading, [[1, 2], [0, 2], [0, 1]]);
        assert_eq!(leading_terms(&model, 1, 9), [0, 2, 1, 3]);
        assert_eq!(by_share(&model), [1, 0, 2]);
        assert_eq!(model.shares(), [0.2, 0.6, 0.2]);
        assert_eq!(diversity(&leading), 0.5);
        assert_eq!(diversity(&[]), 0.0);
    }
}

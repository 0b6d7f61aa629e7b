//! What a topic is about: the terms that weigh most in its left vector.

use crate::lsi::model::LsiModel;
use std::cmp::Ordering;

/// The `count` terms of largest absolute weight in a topic, largest first, with their signed weights; of equals the one
/// that comes first in the dictionary. The order is that of gensim's `print_topics`.
///
/// Cost: O(terms + count log count).
pub fn leading_terms(model: &LsiModel, topic: usize, count: usize) -> Vec<(&str, f32)> {
    let weights = model.left_vectors.column(topic).to_vec();
    leading_weights(weights, count).map(|(term, weight)| (model.terms[term].as_str(), weight)).collect()
}

/// The numbers and values of the `count` weights of largest absolute value, largest first; of equals the first.
pub fn leading_weights(weights: Vec<f32>, count: usize) -> impl Iterator<Item = (usize, f32)> {
    let mut weights: Vec<(usize, f32)> = weights.into_iter().enumerate().collect();
    let by_size =
        |a: &(usize, f32), b: &(usize, f32)| -> Ordering { b.1.abs().total_cmp(&a.1.abs()).then(a.0.cmp(&b.0)) };
    if count < weights.len() {
        weights.select_nth_unstable_by(count, by_size);
        weights.truncate(count);
    }
    weights.sort_unstable_by(by_size);
    weights.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::arr2;

    #[test]
    fn terms_come_by_absolute_weight_and_equals_by_number() {
        let model = LsiModel {
            left_vectors: arr2(&[[0.1, 0.0], [-0.7, 0.0], [0.5, 0.0], [-0.1, 0.0], [0.5, 1.0]]),
            singular_values: vec![2.0, 1.0],
            residuals: vec![0.0; 2],
            terms: ["a", "b", "c", "d", "e"].map(String::from).into(),
            documents: 3,
            values: "counts".into(),
            frobenius_squared: 5.0,
        };
        assert_eq!(leading_terms(&model, 0, 4), [("b", -0.7), ("c", 0.5), ("e", 0.5), ("a", 0.1)]);
        assert_eq!(leading_terms(&model, 0, 9).last(), Some(&("d", -0.1)));
        assert_eq!(leading_terms(&model, 1, 2), [("e", 1.0), ("a", 0.0)]);
    }
}

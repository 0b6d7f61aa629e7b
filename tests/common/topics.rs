//! Corpora whose topics are known, and what must hold of any LDA model.

use super::{alone, text};
use corpuscle::corpus::chunk::CsrChunk;
use corpuscle::lda::model::LdaModel;
use corpuscle::random::Stream;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A Dirichlet draw.
pub fn dirichlet(alpha: &[f64], stream: &mut Stream) -> Vec<f64> {
    let draws: Vec<f64> = alpha.iter().map(|&alpha| stream.gamma(alpha)).collect();
    let sum: f64 = draws.iter().sum();
    draws.into_iter().map(|draw| draw / sum).collect()
}

/// The place in a list of probabilities where a number from [0, 1) falls.
pub fn choose(probabilities: &[f64], mut at: f64) -> usize {
    for (place, probability) in probabilities.iter().enumerate() {
        at -= probability;
        if at < 0.0 {
            return place;
        }
    }
    probabilities.len() - 1
}

/// Documents that follow the model exactly: topics are Dirichlet(0.05) over the terms, shares Dirichlet(alpha).
pub fn generated(count: usize, terms: usize, length: usize, alpha: &[f64], seed: u64) -> (CsrChunk, Vec<Vec<f64>>) {
    let topics: Vec<Vec<f64>> = (0..alpha.len())
        .map(|topic| dirichlet(&vec![0.05; terms], &mut Stream::new(7, "true topic", topic as u64)))
        .collect();
    let mut chunk = CsrChunk { terms: terms as u32, indptr: vec![0], ..CsrChunk::default() };
    for document in 0..count {
        let mut stream = Stream::new(seed, "true document", document as u64);
        let shares = dirichlet(alpha, &mut stream);
        let mut counts = BTreeMap::new();
        for _ in 0..length {
            let topic = choose(&shares, stream.uniform());
            *counts.entry(choose(&topics[topic], stream.uniform()) as u32).or_insert(0f32) += 1.0;
        }
        chunk.indices.extend(counts.keys());
        chunk.data.extend(counts.values());
        chunk.indptr.push(chunk.indices.len() as u64);
    }
    (chunk, topics)
}

/// Everything in a model is a number, and rows sum to 1.
pub fn assert_sound(path: &Path) -> LdaModel {
    let model = LdaModel::load(path).expect("a model");
    for row in model.topic_word.rows() {
        let sum: f64 = row.iter().map(|&weight| f64::from(weight)).sum();
        assert!((sum - 1.0).abs() < 1e-5, "a topic sums to {sum}");
        assert!(row.iter().all(|&weight| weight > 0.0 && weight.is_finite()));
    }
    assert!(model.alpha.iter().chain(&model.topic_tokens).all(|value| value.is_finite() && *value >= 0.0));
    assert!(model.eta.0.iter().all(|value| value.is_finite() && *value > 0.0));
    model
}

/// The figures of `evaluate --format json`, which are the same in every row.
pub fn evaluated(model: &Path, corpus: &Path) -> Vec<Value> {
    let printed = alone(["evaluate", text(model), text(corpus), "--format", "json", "-q"]).ok().stdout;
    serde_json::from_str(&printed).expect("JSON")
}

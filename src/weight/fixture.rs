//! What tests/fixtures/weights.py made with gensim, for the tests of the schemes.

use crate::corpus::chunk::CsrChunk;
use serde::Deserialize;

/// A small corpus, its statistics, and what gensim's models make of it.
#[derive(Deserialize)]
pub struct Fixture {
    /// Documents that were trained on: the first of `counts`.
    pub documents: u64,
    pub terms: Vec<String>,
    pub document_frequency: Vec<u64>,
    pub collection_frequency: Vec<u64>,
    /// Term and count; behind the training documents some new ones.
    pub counts: Vec<Vec<(u32, f32)>>,
    pub cases: Vec<Case>,
}

/// What a model makes of all documents.
#[derive(Deserialize)]
pub struct Case {
    pub scheme: String,
    #[serde(default)]
    pub k1: f64,
    #[serde(default)]
    pub b: f64,
    #[serde(default)]
    pub epsilon: f64,
    pub weights: Vec<Vec<(u32, f64)>>,
}

impl Fixture {
    pub fn read() -> Self {
        serde_json::from_str(include_str!("../../tests/fixtures/weights.json")).unwrap()
    }

    /// Documents as a chunk.
    pub fn chunk(&self, documents: &[Vec<(u32, f32)>]) -> CsrChunk {
        let mut chunk = CsrChunk { terms: self.terms.len() as u32, indptr: vec![0], ..CsrChunk::default() };
        for document in documents {
            chunk.indices.extend(document.iter().map(|&(term, _)| term));
            chunk.data.extend(document.iter().map(|&(_, count)| count));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk
    }

    pub fn training(&self) -> CsrChunk {
        self.chunk(&self.counts[..self.documents as usize])
    }

    pub fn all(&self) -> CsrChunk {
        self.chunk(&self.counts)
    }

    /// Compares all cases of a scheme with what `weigh` makes of all documents; returns their number.
    pub fn check(&self, scheme: &str, weigh: impl Fn(&Case) -> CsrChunk) -> usize {
        let cases: Vec<&Case> = self.cases.iter().filter(|case| case.scheme == scheme).collect();
        for case in &cases {
            let weighted = weigh(case);
            weighted.check().unwrap();
            assert_eq!(weighted.documents(), case.weights.len());
            for (row, expected) in case.weights.iter().enumerate() {
                let (terms, weights) = weighted.document(row);
                // gensim keeps weights of zero.
                let expected: Vec<_> = expected.iter().filter(|(_, weight)| weight.abs() > 1e-12).collect();
                assert_eq!(terms, expected.iter().map(|pair| pair.0).collect::<Vec<_>>(), "{scheme}: document {row}");
                for (&ours, (term, theirs)) in weights.iter().zip(expected) {
                    let error = (f64::from(ours) - theirs).abs() / theirs.abs();
                    assert!(error <= 1e-6, "{scheme}: document {row}, term {term}: {ours} is not {theirs}");
                }
            }
        }
        cases.len()
    }
}

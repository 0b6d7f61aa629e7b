//! Which scheme, and a fitted model of any of them.

use crate::corpus::chunk::CsrChunk;
use crate::error::{Error, Result};
use crate::weight::bm25::{Bm25Model, Bm25Parameters, Variant};
use crate::weight::log_entropy::LogEntropyModel;
use crate::weight::smart::SmartCode;
use crate::weight::tfidf::{Pivoting, TfidfModel};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How terms are to be weighted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scheme {
    /// tf-idf.
    Tfidf {
        /// How terms are weighted.
        code: SmartCode,
        /// How document lengths are pivoted.
        pivoting: Pivoting,
    },
    /// Log-entropy.
    LogEntropy {
        /// Documents are scaled to length 1.
        normalised: bool,
    },
    /// A kind of BM25.
    Bm25 {
        /// Which kind.
        variant: Variant,
        /// Its parameters.
        parameters: Bm25Parameters,
    },
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub enum WeightModel {
    /// tf-idf.
    Tfidf(TfidfModel),
    /// Log-entropy.
    LogEntropy(LogEntropyModel),
    /// A kind of BM25.
    Bm25(Bm25Model),
}

impl WeightModel {
    /// Weighs the counts of a chunk (documents x terms).
    ///
    /// # Errors
    /// The chunk belongs to a dictionary of another size.
    pub fn apply(&self, counts: &CsrChunk) -> Result<CsrChunk> {
        match self {
            WeightModel::Tfidf(model) => model.apply(counts),
            WeightModel::LogEntropy(model) => model.apply(counts),
            WeightModel::Bm25(model) => model.apply(counts),
        }
    }

    /// Size of the dictionary.
    pub fn terms(&self) -> usize {
        match self {
            WeightModel::Tfidf(model) => model.terms(),
            WeightModel::LogEntropy(model) => model.global_weight.len(),
            WeightModel::Bm25(model) => model.idf.len(),
        }
    }

    /// What the values of a corpus are called that it has weighted: a SMART code or the name of the scheme.
    pub fn code(&self) -> String {
        match self {
            WeightModel::Tfidf(model) => model.code().to_string(),
            WeightModel::LogEntropy(model) => log_entropy_code(model.normalised).into(),
            WeightModel::Bm25(model) => model.variant.name().into(),
        }
    }

    /// What decides its weights besides the corpus it was fitted on.
    pub fn parameters(&self) -> Value {
        match self {
            WeightModel::Tfidf(model) => {
                json!({ "smart": model.code().to_string(), "pivot": model.pivot(), "slope": model.slope() })
            }
            WeightModel::LogEntropy(model) => json!({ "scheme": "log-entropy", "normalised": model.normalised }),
            WeightModel::Bm25(Bm25Model { variant, parameters: Bm25Parameters { k1, b, epsilon }, .. }) => {
                let mut parameters = json!({ "scheme": variant.name(), "k1": k1, "b": b });
                if *variant == Variant::Okapi {
                    parameters["epsilon"] = json!(epsilon);
                }
                parameters
            }
        }
    }

    /// A checksum of all of the model: two models of one fingerprint weigh alike.
    pub fn fingerprint(&self) -> String {
        blake3::hash(&self.to_bytes()).to_hex().to_string()
    }

    /// The model as a message to other ranks.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            WeightModel::Tfidf(model) => [vec![0], model.to_bytes()].concat(),
            WeightModel::LogEntropy(model) => tagged(1, model),
            WeightModel::Bm25(model) => tagged(2, model),
        }
    }

    /// Reads a message made by [`WeightModel::to_bytes`].
    ///
    /// # Errors
    /// Fails on anything else, such as the message of another version of the program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        match bytes.split_first() {
            Some((0, rest)) => TfidfModel::from_bytes(rest).map(WeightModel::Tfidf),
            Some((1, rest)) => untagged(rest).map(WeightModel::LogEntropy),
            Some((2, rest)) => untagged(rest).map(WeightModel::Bm25),
            _ => Err(Error::failed("damaged message: no model of term weights")),
        }
    }
}

/// The code of log-entropy weights.
pub fn log_entropy_code(normalised: bool) -> &'static str {
    if normalised { "log-entropy" } else { "log-entropy-raw" }
}

fn tagged(tag: u8, model: &impl Serialize) -> Vec<u8> {
    let mut bytes = vec![tag];
    serde_json::to_writer(&mut bytes, model).expect("plain data with string keys always serialises");
    bytes
}

fn untagged<M: DeserializeOwned>(bytes: &[u8]) -> Result<M> {
    serde_json::from_slice(bytes).map_err(|cause| {
        Error::failed(format!("damaged model in a message ({cause}); do all ranks run the same corpuscle?"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_travel_unchanged_and_damage_is_noticed() {
        let (documents, df, cf, sums) = (4, [3, 1], [7, 1], [5, 1 << 39, 0, 0]);
        let bm25 = |variant| Bm25Model::fit(variant, Bm25Parameters::default(), documents, &df, &cf).unwrap();
        let entropy = LogEntropyModel::fit(documents, &cf, &sums, false).unwrap();
        for (model, code) in [
            (WeightModel::LogEntropy(entropy), "log-entropy-raw"),
            (WeightModel::Bm25(bm25(Variant::Okapi)), "bm25-okapi"),
            (WeightModel::Bm25(bm25(Variant::Lucene)), "bm25-lucene"),
        ] {
            let bytes = model.to_bytes();
            assert_eq!(WeightModel::from_bytes(&bytes).as_ref(), Ok(&model));
            assert!(WeightModel::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            assert_eq!((model.code().as_str(), model.terms()), (code, 2));
            assert_eq!(model.parameters().get("epsilon").is_some(), code == "bm25-okapi");
        }
        assert!(WeightModel::from_bytes(&[]).is_err() && WeightModel::from_bytes(&[9]).is_err());
    }
}

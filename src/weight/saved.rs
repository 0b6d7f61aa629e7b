//! A saved model of term weights, of any scheme. tf-idf has a format of its own ([`super::model`]); the others share one:
//!
//! ```text
//! terms                  strings: the dictionary
//! global_weight          f64: weight of each term; 0 for a term of no training document
//! ```
//!
//! Root attributes: `scheme` ("log-entropy", "log-entropy-raw", "bm25-okapi", "bm25-lucene", "bm25-atire"), `documents` and,
//! for BM25, `k1`, `b`, `epsilon` (Okapi) and `mean_length`.

use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::file::{Format, OpenFile};
use crate::store::model::{ModelReader, ModelWriter};
use crate::weight::bm25::{Bm25Model, Bm25Parameters, Variant};
use crate::weight::log_entropy::LogEntropyModel;
use crate::weight::model::SavedTfidf;
use crate::weight::scheme::{WeightModel, log_entropy_code};
use std::path::Path;

/// A model with the dictionary it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedModel {
    /// The dictionary.
    pub terms: Vec<String>,
    /// The weights.
    pub model: WeightModel,
}

impl SavedModel {
    /// Writes the model and returns the checksum of the file.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind then.
    pub fn save(self, target: Target, provenance: &serde_json::Value) -> Result<String> {
        let SavedModel { terms, model } = self;
        let (global_weight, documents) = match &model {
            WeightModel::Tfidf(model) => {
                return SavedTfidf { terms, model: model.clone() }.save(target, provenance);
            }
            WeightModel::LogEntropy(model) => (&model.global_weight, model.documents),
            WeightModel::Bm25(model) => (&model.idf, model.documents),
        };
        let mut file = ModelWriter::create(target, Format::Weights)?;
        file.strings("terms", &terms)?;
        file.list("global_weight", global_weight)?;
        file.attribute("scheme", model.code().as_str())?;
        file.attribute("documents", documents)?;
        if let WeightModel::Bm25(Bm25Model {
            variant,
            parameters: Bm25Parameters { k1, b, epsilon },
            mean_length,
            ..
        }) = &model
        {
            file.attribute("k1", *k1)?;
            file.attribute("b", *b)?;
            file.attribute("mean_length", *mean_length)?;
            if *variant == Variant::Okapi {
                file.attribute("epsilon", *epsilon)?;
            }
        }
        file.finish(provenance)
    }

    /// Reads a model and the checksum of its file.
    ///
    /// # Errors
    /// No such file, not a model of term weights, a damaged one.
    pub fn load(path: &Path) -> Result<(SavedModel, String)> {
        if OpenFile::open(path)?.format != Format::Weights {
            let (SavedTfidf { terms, model }, checksum) = SavedTfidf::load(path)?;
            return Ok((SavedModel { terms, model: WeightModel::Tfidf(model) }, checksum));
        }
        let reader = ModelReader::open(path, Format::Weights)?;
        let file = reader.file();
        let damaged =
            |what: String| Error::failed(format!("{}: damaged model ({what}); make it again", path.display()));
        let terms = reader.all_strings("terms")?;
        let weights: Vec<f64> = reader.list("global_weight")?;
        if weights.len() != terms.len() || weights.iter().any(|weight| !weight.is_finite()) {
            return Err(damaged(format!("{} weights for {} terms", weights.len(), terms.len())));
        }
        let (scheme, documents) = (file.text("scheme")?, file.unsigned("documents")?);
        let entropy = [true, false].into_iter().find(|&normalised| log_entropy_code(normalised) == scheme);
        let variant = Variant::ALL.into_iter().find(|variant| variant.name() == scheme);
        let model = match (entropy, variant) {
            (Some(normalised), _) => {
                WeightModel::LogEntropy(LogEntropyModel { documents, normalised, global_weight: weights })
            }
            (_, Some(variant)) => {
                let epsilon = match variant {
                    Variant::Okapi => file.float("epsilon")?,
                    _ => Bm25Parameters::default().epsilon,
                };
                let parameters = Bm25Parameters { k1: file.float("k1")?, b: file.float("b")?, epsilon };
                parameters.check().map_err(|cause| damaged(cause.to_string()))?;
                let mean_length = file.float("mean_length")?;
                if !(mean_length.is_finite() && mean_length >= 0.0) {
                    return Err(damaged(format!("mean length {mean_length}")));
                }
                WeightModel::Bm25(Bm25Model { variant, parameters, documents, mean_length, idf: weights })
            }
            _ => return Err(damaged(format!("scheme {scheme:?}"))),
        };
        let checksum = file.checksum.clone();
        Ok((SavedModel { terms, model }, checksum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn models_read_back_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.h5");
        let terms: Vec<String> = ["alpha", "be\u{301}ta", "漢字"].map(String::from).into();
        let (df, cf) = ([3, 7, 0], [4, 9, 0]);
        let bm25 = |variant| {
            let parameters = Bm25Parameters { k1: 1.25, ..Bm25Parameters::default() };
            WeightModel::Bm25(Bm25Model::fit(variant, parameters, 7, &df, &cf).unwrap())
        };
        let entropy = |normalised| {
            WeightModel::LogEntropy(LogEntropyModel::fit(7, &cf, &[1 << 24, 9, 1, 2, 0, 0], normalised).unwrap())
        };
        let models = Variant::ALL.into_iter().map(bm25).chain([entropy(true), entropy(false)]);
        for model in models {
            let saved = SavedModel { terms: terms.clone(), model };
            let checksum = saved.clone().save(Target::create(&path).unwrap(), &json!({})).unwrap();
            assert_eq!(SavedModel::load(&path), Ok((saved, checksum)));
        }
        let short = SavedModel { terms: terms[1..].to_vec(), model: entropy(true) };
        short.save(Target::create(&path).unwrap(), &json!({})).unwrap();
        let error = SavedModel::load(&path).unwrap_err().to_string();
        assert!(error.contains("model.h5: damaged model (3 weights for 2 terms)"), "{error}");
    }
}

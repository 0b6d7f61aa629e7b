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
use crate::store::provenance::Input;
use crate::store::section::{Section, SectionWriter};
use crate::weight::bm25::{Bm25Model, Bm25Parameters, Variant};
use crate::weight::log_entropy::LogEntropyModel;
use crate::weight::model;
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
    pub fn save(&self, target: Target, provenance: &serde_json::Value) -> Result<String> {
        let format = match self.model {
            WeightModel::Tfidf(_) => Format::Tfidf,
            WeightModel::LogEntropy(_) | WeightModel::Bm25(_) => Format::Weights,
        };
        let mut file = ModelWriter::create(target, format)?;
        file.strings("terms", &self.terms)?;
        write(&self.model, &mut file.root())?;
        file.finish(provenance)
    }

    /// Reads a model, and what its file is as an input of something else.
    ///
    /// # Errors
    /// No such file, not a model of term weights, a damaged one.
    pub fn load(path: &Path) -> Result<(SavedModel, Input)> {
        let format = match OpenFile::open(path)?.format {
            Format::Weights => Format::Weights,
            _ => Format::Tfidf,
        };
        let reader = ModelReader::open(path, format)?;
        let terms = reader.all_strings("terms")?;
        let model = read(&Section::root(reader.file())?, &terms)?;
        Ok((SavedModel { terms, model }, Input::result(reader.file())?))
    }
}

/// Writes all of a model but the dictionary it belongs to.
pub fn write(model: &WeightModel, section: &mut SectionWriter) -> Result<()> {
    let (global_weight, documents) = match model {
        WeightModel::Tfidf(model) => return model::write(model, section),
        WeightModel::LogEntropy(model) => (&model.global_weight, model.documents),
        WeightModel::Bm25(model) => (&model.idf, model.documents),
    };
    section.list("global_weight", global_weight)?;
    section.attribute("scheme", model.code().as_str())?;
    section.attribute("documents", documents)?;
    if let WeightModel::Bm25(Bm25Model {
        variant, parameters: Bm25Parameters { k1, b, epsilon }, mean_length, ..
    }) = model
    {
        section.attribute("k1", *k1)?;
        section.attribute("b", *b)?;
        section.attribute("mean_length", *mean_length)?;
        if *variant == Variant::Okapi {
            section.attribute("epsilon", *epsilon)?;
        }
    }
    Ok(())
}

/// Reads what [`write`] has written; `terms` is the dictionary.
///
/// # Errors
/// Parts that are missing, damaged, or do not fit each other or the dictionary.
pub fn read(section: &Section, terms: &[String]) -> Result<WeightModel> {
    // The section of tf-idf has a `code` instead.
    if !section.has_attribute("scheme")? {
        return model::read(section, terms).map(WeightModel::Tfidf);
    }
    let path = section.path().display();
    let damaged = |what: String| Error::failed(format!("{path}: damaged model ({what}); make it again"));
    let weights: Vec<f64> = section.list("global_weight")?;
    if weights.len() != terms.len() || weights.iter().any(|weight| !weight.is_finite()) {
        return Err(damaged(format!("{} weights for {} terms", weights.len(), terms.len())));
    }
    let (scheme, documents) = (section.text("scheme")?, section.unsigned("documents")?);
    let entropy = [true, false].into_iter().find(|&normalised| log_entropy_code(normalised) == scheme);
    let variant = Variant::ALL.into_iter().find(|variant| variant.name() == scheme);
    match (entropy, variant) {
        (Some(normalised), _) => {
            Ok(WeightModel::LogEntropy(LogEntropyModel { documents, normalised, global_weight: weights }))
        }
        (_, Some(variant)) => {
            let epsilon = match variant {
                Variant::Okapi => section.float("epsilon")?,
                _ => Bm25Parameters::default().epsilon,
            };
            let parameters = Bm25Parameters { k1: section.float("k1")?, b: section.float("b")?, epsilon };
            parameters.check().map_err(|cause| damaged(cause.to_string()))?;
            let mean_length = section.float("mean_length")?;
            if !(mean_length.is_finite() && mean_length >= 0.0) {
                return Err(damaged(format!("mean length {mean_length}")));
            }
            Ok(WeightModel::Bm25(Bm25Model { variant, parameters, documents, mean_length, idf: weights }))
        }
        _ => Err(damaged(format!("scheme {scheme:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::provenance;
    use crate::weight::smart::SmartCode;
    use crate::weight::tfidf::{Pivoting, TfidfModel, TrainingStatistics};
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
        let tfidf = |(code, collection): (&str, bool)| {
            let code = SmartCode::parse(code).unwrap();
            let statistics = TrainingStatistics {
                documents: 7,
                document_frequency: df.into(),
                collection_frequency: collection.then(|| cf.into()),
                term_characters: model::characters_for(code, &terms),
            };
            WeightModel::Tfidf(TfidfModel::fit(code, statistics, Pivoting::default()).unwrap())
        };
        let codes = [("nfc", true), ("nfc", false), ("Ltu", false), ("lpb", true)];
        let models = Variant::ALL.into_iter().map(bm25).chain([entropy(true), entropy(false)]).chain(codes.map(tfidf));
        for model in models {
            let saved = SavedModel { terms: terms.clone(), model };
            let checksum = saved.save(Target::create(&path).unwrap(), &json!({"command": "test"})).unwrap();
            let (loaded, input) = SavedModel::load(&path).unwrap();
            assert_eq!(loaded, saved);
            let provenance = provenance::of("tfidf", json!({}), &[("model", input)]);
            assert_eq!(provenance::checksum(&provenance, "model"), Some(checksum.as_str()));
        }
        for (model, what) in [(entropy(true), "3 weights for 2 terms"), (tfidf(("nfc", true)), "2 terms for 3 weights")]
        {
            let short = SavedModel { terms: terms[1..].to_vec(), model };
            short.save(Target::create(&path).unwrap(), &json!({})).unwrap();
            let error = SavedModel::load(&path).unwrap_err();
            assert!(error.to_string().contains(&format!("model.h5: damaged model ({what}")), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
    }
}

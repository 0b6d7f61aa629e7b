//! A saved tf-idf model.
//!
//! ```text
//! terms                  strings: the dictionary
//! idf                    f64: global weight of each term
//! document_frequency     u64: documents of the training corpus that hold the term
//! collection_frequency   u64: occurrences in the training corpus; may be absent
//! ```
//!
//! Root attributes: `code` (three SMART letters), `documents`, `slope` and, where documents are pivoted, `pivot`.

use crate::error::{At, Error, Result};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::weight::smart::{Normalisation, SmartCode};
use crate::weight::tfidf::{Pivoting, TfidfModel, TrainingStatistics, term_characters};
use std::path::Path;

/// A model with the dictionary it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedTfidf {
    /// The dictionary.
    pub terms: Vec<String>,
    /// The weights.
    pub model: TfidfModel,
}

/// What a model of this code has to know about the terms themselves.
pub fn characters_for(code: SmartCode, terms: &[String]) -> Option<Vec<u32>> {
    (code.normalisation == Normalisation::PivotedCharacters).then(|| term_characters(terms))
}

impl SavedTfidf {
    /// Writes the model and returns the checksum of the file.
    ///
    /// # Errors
    /// Those of the file system; nothing is left behind then.
    pub fn save(&self, target: Target, provenance: &serde_json::Value) -> Result<String> {
        let TrainingStatistics { documents, document_frequency, collection_frequency, .. } = self.model.statistics();
        let mut file = ModelWriter::create(target, Format::Tfidf)?;
        file.strings("terms", &self.terms)?;
        file.list("idf", self.model.idf())?;
        file.list("document_frequency", document_frequency)?;
        if let Some(frequencies) = collection_frequency {
            file.list("collection_frequency", frequencies)?;
        }
        file.attribute("code", self.model.code().to_string().as_str())?;
        file.attribute("documents", *documents)?;
        file.attribute("slope", self.model.slope())?;
        if let Some(pivot) = self.model.pivot() {
            file.attribute("pivot", pivot)?;
        }
        file.finish(provenance)
    }

    /// Reads a model and the checksum of its file.
    ///
    /// # Errors
    /// No such file, not a tf-idf model, a damaged one.
    pub fn load(path: &Path) -> Result<(SavedTfidf, String)> {
        let reader = ModelReader::open(path, Format::Tfidf)?;
        let file = reader.file();
        let terms = reader.all_strings("terms")?;
        let code = SmartCode::parse(&file.text("code")?).map_err(|cause| Error::failed(cause.to_string())).at(path)?;
        let frequencies = || reader.list("collection_frequency");
        let statistics = TrainingStatistics {
            documents: file.unsigned("documents")?,
            document_frequency: reader.list("document_frequency")?,
            collection_frequency: reader.has("collection_frequency").then(frequencies).transpose()?,
            term_characters: characters_for(code, &terms),
        };
        let pivot = if file.has_attribute("pivot")? { Some(file.float("pivot")?) } else { None };
        let pivoting = Pivoting { pivot, slope: file.float("slope")? };
        // The numbers are those of a file, not of a command line: whatever is wrong with them is no usage error.
        let model = TfidfModel::restore(code, statistics, pivoting, reader.list("idf")?).at(path)?;
        if model.terms() != terms.len() {
            let what = format!("{} terms for {} weights; make it again", terms.len(), model.terms());
            return Err(Error::failed(format!("{}: damaged model ({what})", path.display())));
        }
        Ok((SavedTfidf { terms, model }, file.checksum.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn saved(code: &str, collection: bool) -> SavedTfidf {
        let terms: Vec<String> = ["alpha", "be\u{301}ta", "漢字"].map(String::from).into();
        let code = SmartCode::parse(code).unwrap();
        let statistics = TrainingStatistics {
            documents: 7,
            document_frequency: vec![3, 7, 0],
            collection_frequency: collection.then(|| vec![4, 9, 0]),
            term_characters: characters_for(code, &terms),
        };
        SavedTfidf { model: TfidfModel::fit(code, statistics, Pivoting::default()).unwrap(), terms }
    }

    #[test]
    fn a_model_reads_back_bit_by_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.h5");
        for (code, collection) in [("nfc", true), ("nfc", false), ("Ltu", false), ("lpb", true)] {
            let model = saved(code, collection);
            let checksum = model.save(Target::create(&path).unwrap(), &json!({"command": "test"})).unwrap();
            assert_eq!(SavedTfidf::load(&path), Ok((model, checksum)), "{code}");
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.h5");
        let mut model = saved("nfc", true);
        model.terms.pop();
        model.save(Target::create(&path).unwrap(), &json!({})).unwrap();
        let error = SavedTfidf::load(&path).unwrap_err();
        assert!(error.to_string().contains("model.h5: damaged model (2 terms for 3 weights"), "{error}");
        assert_eq!(error.exit_code(), 1);
    }
}

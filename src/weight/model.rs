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
//!
//! A weighted corpus, and what is made from it, holds the same but for the dictionary, which it has anyway, in its section
//! `weighting`.

use crate::error::{At, Error, Result};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::store::provenance::Input;
use crate::store::section::{Section, SectionWriter};
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
        let mut file = ModelWriter::create(target, Format::Tfidf)?;
        file.strings("terms", &self.terms)?;
        write(&self.model, &mut file.root())?;
        file.finish(provenance)
    }

    /// Reads a model, and what its file is as an input of something else.
    ///
    /// # Errors
    /// No such file, not a tf-idf model, a damaged one.
    pub fn load(path: &Path) -> Result<(SavedTfidf, Input)> {
        let reader = ModelReader::open(path, Format::Tfidf)?;
        let terms = reader.all_strings("terms")?;
        let model = read(&Section::root(reader.file())?, &terms)?;
        let input = Input::result(reader.file())?;
        Ok((SavedTfidf { terms, model }, input))
    }
}

/// Writes all of a model but the dictionary it belongs to.
pub fn write(model: &TfidfModel, section: &mut SectionWriter) -> Result<()> {
    let TrainingStatistics { documents, document_frequency, collection_frequency, .. } = model.statistics();
    section.list("idf", model.idf())?;
    section.list("document_frequency", document_frequency)?;
    if let Some(frequencies) = collection_frequency {
        section.list("collection_frequency", frequencies)?;
    }
    section.attribute("code", model.code().to_string().as_str())?;
    section.attribute("documents", *documents)?;
    section.attribute("slope", model.slope())?;
    if let Some(pivot) = model.pivot() {
        section.attribute("pivot", pivot)?;
    }
    Ok(())
}

/// Reads what [`write`] has written; `terms` is the dictionary.
///
/// # Errors
/// Parts that are missing, damaged, or do not fit each other or the dictionary.
pub fn read(section: &Section, terms: &[String]) -> Result<TfidfModel> {
    let path = section.path();
    let code = SmartCode::parse(&section.text("code")?).map_err(|cause| Error::failed(cause.to_string())).at(path)?;
    let frequencies = || section.list("collection_frequency");
    let statistics = TrainingStatistics {
        documents: section.unsigned("documents")?,
        document_frequency: section.list("document_frequency")?,
        collection_frequency: section.has("collection_frequency").then(frequencies).transpose()?,
        term_characters: characters_for(code, terms),
    };
    let pivot = if section.has_attribute("pivot")? { Some(section.float("pivot")?) } else { None };
    let pivoting = Pivoting { pivot, slope: section.float("slope")? };
    // The numbers are those of a file, not of a command line: whatever is wrong with them is no usage error.
    let model = TfidfModel::restore(code, statistics, pivoting, section.list("idf")?).at(path)?;
    if model.terms() != terms.len() {
        let what = format!("{} terms for {} weights; make it again", terms.len(), model.terms());
        return Err(Error::failed(format!("{}: damaged model ({what})", path.display())));
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::provenance;
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
            let (loaded, input) = SavedTfidf::load(&path).unwrap();
            assert_eq!(loaded, model, "{code}");
            let provenance = provenance::of("tfidf", json!({}), &[("model", input)]);
            assert_eq!(provenance::checksum(&provenance, "model"), Some(checksum.as_str()));
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

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
use crate::store::section::{Section, SectionWriter};
use crate::weight::smart::{Normalisation, SmartCode};
use crate::weight::tfidf::{Pivoting, TfidfModel, TrainingStatistics, term_characters};

/// What a model of this code has to know about the terms themselves.
pub fn characters_for(code: SmartCode, terms: &[String]) -> Option<Vec<u32>> {
    (code.normalisation == Normalisation::PivotedCharacters).then(|| term_characters(terms))
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

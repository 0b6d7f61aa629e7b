//! tf-idf under any SMART code.
//!
//! Problem: a chunk of counts (documents x terms) becomes a chunk of weights of the same shape.
//! Algorithm: weight(t, d) = local(tf) x idf(t), then division by the document's norm. Terms with |idf| <= 1e-12 are
//! dropped before the norm is taken, weights <= 1e-12 after it, as gensim's `TfidfModel` does; a term of no training
//! document has no idf and is dropped under every code. The local weights `a` and `L` look at all terms of the document,
//! dropped ones too. A pivoted norm is (1 - slope) pivot + slope (norm of this document).
//! Cost: one logarithm or less per nonzero; memory of the result. Arithmetic in f64, weights rounded to f32 at the end.
//! Reference: see [`crate::weight::smart`].

use crate::corpus::chunk::CsrChunk;
use crate::error::{Error, Result};
use crate::weight::documents::{EPSILON, euclidean, weigh_documents};
use crate::weight::smart::{Global, Local, Normalisation, SmartCode};
use serde::{Deserialize, Serialize};

/// What was counted over the training corpus: the part of a model that costs a pass.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TrainingStatistics {
    /// Number of documents, empty ones included.
    pub documents: u64,
    /// In how many documents each term occurs (terms).
    pub document_frequency: Vec<u64>,
    /// How often each term occurs in all documents together (terms); wanted by code `b` without a given pivot.
    pub collection_frequency: Option<Vec<u64>>,
    /// Length of each term in characters, not bytes (terms); wanted by code `b`.
    pub term_characters: Option<Vec<u32>>,
}

/// Lengths of terms in characters, as the code `b` wants them.
pub fn term_characters(terms: &[String]) -> Vec<u32> {
    terms.iter().map(|term| term.chars().count() as u32).collect()
}

/// How document lengths are pivoted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pivoting {
    /// The pivot: the norm that stays as it is. Left out, the codes `u` and `b` use the mean norm of the training
    /// documents and the other codes do not pivot; given, every code does, `n` and `c` on the Euclidean norm.
    pub pivot: Option<f64>,
    /// Share of the document's own norm, 0 to 1.
    pub slope: f64,
}

/// gensim's defaults.
impl Default for Pivoting {
    fn default() -> Self {
        Pivoting { pivot: None, slope: 0.25 }
    }
}

/// A fitted tf-idf model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TfidfModel {
    code: SmartCode,
    statistics: TrainingStatistics,
    idf: Vec<f64>,
    pivot: Option<f64>,
    slope: f64,
}

impl TfidfModel {
    /// Computes the idfs and the pivot from the statistics of a corpus.
    ///
    /// # Errors
    /// A usage error for a slope outside 0 to 1 or a pivot that is not positive. Fails on no documents, on statistics
    /// that contradict each other, and on code `b` without what it needs.
    pub fn fit(code: SmartCode, statistics: TrainingStatistics, pivoting: Pivoting) -> Result<Self> {
        let Pivoting { pivot: given, slope } = pivoting;
        if !(0.0..=1.0).contains(&slope) {
            return Err(Error::usage(format!("slope {slope} is not between 0 and 1")));
        }
        if let Some(pivot) = given.filter(|&p| !(p.is_finite() && p > 0.0)) {
            return Err(Error::usage(format!("pivot {pivot} is not a positive number")));
        }
        let pivot = given.or(check(&statistics, code, given.is_some())?);
        let idf = statistics.document_frequency.iter().map(|&df| idf(code.global, statistics.documents, df)).collect();
        Ok(TfidfModel { code, statistics, idf, pivot, slope })
    }

    /// A model that was fitted before, from its parts as they were saved: its idfs are taken as they are, so that it
    /// weighs the same on a machine whose logarithm rounds another way.
    ///
    /// # Errors
    /// Those of [`TfidfModel::fit`], and idfs that are not finite or not one a term.
    pub fn restore(code: SmartCode, statistics: TrainingStatistics, pivoting: Pivoting, idf: Vec<f64>) -> Result<Self> {
        let fitted = Self::fit(code, statistics, pivoting)?;
        if idf.len() != fitted.terms() || idf.iter().any(|idf| !idf.is_finite()) {
            return Err(Error::failed(format!("damaged idfs: {} for {} terms", idf.len(), fitted.terms())));
        }
        Ok(TfidfModel { idf, ..fitted })
    }

    /// The model as a message to other ranks.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data with string keys always serialises")
    }

    /// Reads a message made by [`TfidfModel::to_bytes`].
    ///
    /// # Errors
    /// Fails on anything else, such as the message of another version of the program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let TfidfModel { code, statistics, idf, pivot, slope } = serde_json::from_slice(bytes).map_err(|cause| {
            Error::failed(format!("damaged tf-idf model in a message ({cause}); do all ranks run the same corpuscle?"))
        })?;
        Self::restore(code, statistics, Pivoting { pivot, slope }, idf)
    }

    /// The scheme.
    pub fn code(&self) -> SmartCode {
        self.code
    }

    /// What was counted over the training corpus.
    pub fn statistics(&self) -> &TrainingStatistics {
        &self.statistics
    }

    /// Number of terms of the dictionary.
    pub fn terms(&self) -> usize {
        self.idf.len()
    }

    /// Global weight of each term (terms); 0 for a term of no training document.
    pub fn idf(&self) -> &[f64] {
        &self.idf
    }

    /// The norm that pivoting leaves as it is; none where documents are not pivoted.
    pub fn pivot(&self) -> Option<f64> {
        self.pivot
    }

    /// Share of the document's own norm in the pivoted one.
    pub fn slope(&self) -> f64 {
        self.slope
    }

    /// Weights the counts of a chunk (documents x terms), which the caller has made sure are counts >= 1.
    ///
    /// # Errors
    /// Fails when the chunk belongs to a dictionary of another size.
    pub fn apply(&self, counts: &CsrChunk) -> Result<CsrChunk> {
        weigh_documents(counts, self.terms(), |terms, frequencies, weights| {
            self.weigh(terms, frequencies, weights);
            let norm = self.norm(terms, frequencies, weights);
            weights.iter_mut().for_each(|(_, weight)| *weight /= norm);
        })
    }

    /// Local times global weight of every term that has an idf.
    fn weigh(&self, terms: &[u32], frequencies: &[f32], weights: &mut Vec<(u32, f64)>) {
        let log = |tf: f64| 1.0 + tf.log2();
        // The one figure of the whole document that the local weight needs.
        let scale = match self.code.local {
            Local::Augmented => frequencies.iter().fold(0.0, |most: f64, &tf| most.max(tf as f64)),
            Local::LogAverage => log(frequencies.iter().map(|&tf| tf as f64).sum::<f64>() / frequencies.len() as f64),
            _ => 1.0,
        };
        for (&term, &frequency) in terms.iter().zip(frequencies) {
            let (tf, idf) = (frequency as f64, self.idf[term as usize]);
            if idf.abs() > EPSILON {
                let local = match self.code.local {
                    Local::Binary => 1.0,
                    Local::Natural => tf,
                    Local::Augmented => 0.5 + 0.5 * tf / scale,
                    Local::Logarithm => log(tf),
                    Local::DoubleLogarithm => log(log(tf)),
                    Local::LogAverage => log(tf) / scale,
                };
                weights.push((term, local * idf));
            }
        }
    }

    /// What the weights of a document are divided by; 1 for a document without any.
    fn norm(&self, terms: &[u32], frequencies: &[f32], weights: &[(u32, f64)]) -> f64 {
        if weights.is_empty() {
            return 1.0;
        }
        let own = match self.code.normalisation {
            Normalisation::None if self.pivot.is_none() => return 1.0,
            Normalisation::None | Normalisation::Cosine => euclidean(weights),
            Normalisation::PivotedUnique => weights.len() as f64,
            // The characters of the text itself, one after each term for the space: dropped terms take part.
            Normalisation::PivotedCharacters => match &self.statistics.term_characters {
                Some(lengths) => {
                    let long = |(&term, &tf): (&u32, &f32)| tf as f64 * (lengths[term as usize] as f64 + 1.0);
                    terms.iter().zip(frequencies).map(long).sum()
                }
                None => unreachable!("fit refuses this code without term lengths"),
            },
        };
        match self.pivot {
            Some(pivot) => (1.0 - self.slope) * pivot + self.slope * own,
            None => own,
        }
    }
}

/// Checks the statistics and returns the pivot they give under this code.
fn check(statistics: &TrainingStatistics, code: SmartCode, pivot_given: bool) -> Result<Option<f64>> {
    let TrainingStatistics { documents, document_frequency, collection_frequency, term_characters } = statistics;
    let terms = document_frequency.len();
    if *documents == 0 {
        return Err(Error::failed("tf-idf cannot be fitted on a corpus without documents"));
    }
    if let Some(term) = document_frequency.iter().position(|df| df > documents) {
        return Err(Error::failed(format!(
            "damaged statistics: term {term} is said to be in {} of {documents} documents",
            document_frequency[term]
        )));
    }
    let other = [collection_frequency.as_ref().map(Vec::len), term_characters.as_ref().map(Vec::len)];
    if let Some(&length) = other.iter().flatten().find(|&&length| length != terms) {
        return Err(Error::failed(format!("damaged statistics: {length} entries for {terms} terms")));
    }
    let documents = *documents as f64;
    match code.normalisation {
        Normalisation::PivotedUnique => Ok(Some(document_frequency.iter().sum::<u64>() as f64 / documents)),
        Normalisation::PivotedCharacters => {
            let Some(lengths) = term_characters else {
                return Err(Error::failed(format!("SMART code {code} needs the lengths of the terms")));
            };
            match collection_frequency {
                Some(frequencies) => {
                    let characters = |(&cf, &length): (&u64, &u32)| cf as f64 * (length as f64 + 1.0);
                    Ok(Some(frequencies.iter().zip(lengths).map(characters).sum::<f64>() / documents))
                }
                None if pivot_given => Ok(None),
                None => Err(Error::failed(format!(
                    "SMART code {code} needs collection frequencies, which this corpus lacks; fit on counts or give a pivot"
                ))),
            }
        }
        Normalisation::None | Normalisation::Cosine => Ok(None),
    }
}

/// Global weight of a term in `df` of `documents` documents.
fn idf(global: Global, documents: u64, df: u64) -> f64 {
    let (documents, df) = (documents as f64, df as f64);
    if df == 0.0 {
        return 0.0;
    }
    match global {
        Global::None => 1.0,
        Global::Idf => (documents / df).log2(),
        Global::ZeroCorrected => ((documents + 1.0) / df).log2(),
        Global::Probabilistic => ((documents - df) / df).log2().max(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// What tests/fixtures/tfidf_smart.py made with gensim.
    #[derive(Deserialize)]
    struct Fixture {
        documents: u64,
        terms: Vec<String>,
        document_frequency: Vec<u64>,
        collection_frequency: Vec<u64>,
        counts: Vec<Vec<(u32, f32)>>,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        code: String,
        fixed_pivot: Option<f64>,
        slope: f64,
        pivot: Option<f64>,
        weights: Vec<Vec<(u32, f64)>>,
    }

    fn fixture() -> Fixture {
        serde_json::from_str(include_str!("../../tests/fixtures/tfidf_smart.json")).unwrap()
    }

    fn statistics(fixture: &Fixture) -> TrainingStatistics {
        TrainingStatistics {
            documents: fixture.documents,
            document_frequency: fixture.document_frequency.clone(),
            collection_frequency: Some(fixture.collection_frequency.clone()),
            term_characters: Some(term_characters(&fixture.terms)),
        }
    }

    fn chunk(documents: &[Vec<(u32, f32)>], terms: usize) -> CsrChunk {
        let mut chunk = CsrChunk { first_document: 7, terms: terms as u32, indptr: vec![0], ..Default::default() };
        for document in documents {
            chunk.indices.extend(document.iter().map(|&(term, _)| term));
            chunk.data.extend(document.iter().map(|&(_, count)| count));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk
    }

    #[test]
    fn equals_gensim_for_every_code() {
        let fixture = fixture();
        assert!(fixture.cases.len() >= 96);
        let counts = chunk(&fixture.counts, fixture.terms.len());
        for case in &fixture.cases {
            let code = SmartCode::parse(&case.code).unwrap();
            let pivoting = Pivoting { pivot: case.fixed_pivot, slope: case.slope };
            let model = TfidfModel::fit(code, statistics(&fixture), pivoting).unwrap();
            match (model.pivot(), case.pivot) {
                (Some(ours), Some(theirs)) => assert!((ours - theirs).abs() <= 1e-12 * theirs, "{code}: pivot"),
                (ours, theirs) => assert_eq!(ours, theirs, "{code}: pivot"),
            }
            let weighted = model.apply(&counts).unwrap();
            weighted.check().unwrap();
            assert_eq!((weighted.first_document, weighted.documents()), (7, case.weights.len()));
            for (row, expected) in case.weights.iter().enumerate() {
                let (terms, weights) = weighted.document(row);
                let kept: Vec<u32> = expected.iter().map(|&(term, _)| term).collect();
                assert_eq!(terms, kept, "{code}: terms kept of document {row}");
                for (&ours, &(term, theirs)) in weights.iter().zip(expected) {
                    // Rounding to f32 costs 6e-8, the fixture's nine digits 5e-10.
                    let error = (ours as f64 - theirs).abs() / theirs.abs();
                    assert!(error <= 1e-6, "{code}: document {row}, term {term}: {ours} is not {theirs}");
                }
            }
        }
    }

    #[test]
    fn a_document_weighs_the_same_in_any_chunk() {
        let fixture = fixture();
        let model =
            TfidfModel::fit(SmartCode::parse("Ltu").unwrap(), statistics(&fixture), Default::default()).unwrap();
        let whole = model.apply(&chunk(&fixture.counts, fixture.terms.len())).unwrap();
        for (row, document) in fixture.counts.iter().enumerate() {
            let alone = model.apply(&chunk(std::slice::from_ref(document), fixture.terms.len())).unwrap();
            assert_eq!(alone.document(0), whole.document(row));
        }
    }

    #[test]
    fn impossible_fits_are_refused() {
        let fixture = fixture();
        let fit = |code: &str, change: &dyn Fn(&mut TrainingStatistics), pivoting: Pivoting| {
            let mut statistics = statistics(&fixture);
            change(&mut statistics);
            TfidfModel::fit(SmartCode::parse(code).unwrap(), statistics, pivoting)
        };
        let pivoting = |pivot, slope| Pivoting { pivot, slope };
        let usual = Pivoting::default();
        for (pivot, slope) in [(None, -0.1), (None, 1.1), (None, f64::NAN), (Some(0.0), 0.2), (Some(f64::NAN), 0.2)] {
            assert_eq!(fit("nfu", &|_| (), pivoting(pivot, slope)).unwrap_err().exit_code(), 2, "{pivot:?} {slope}");
        }
        for (code, message, change) in [
            ("nfc", "without documents", (|s| s.documents = 0) as fn(&mut TrainingStatistics)),
            ("nfc", "term 1 is said to be in 7 of 6", |s| s.document_frequency[1] = 7),
            ("nfc", "entries for", |s| s.term_characters = Some(vec![1])),
            ("nfb", "collection frequencies", |s| s.collection_frequency = None),
            ("nfb", "lengths of the terms", |s| s.term_characters = None),
        ] {
            let error = fit(code, &change, usual).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
            assert_eq!(error.exit_code(), 1);
        }
        // A pivot that is given does away with the frequencies it would be computed from.
        assert_eq!(
            fit("nfb", &|s| s.collection_frequency = None, pivoting(Some(9.0), 0.5)).unwrap().pivot(),
            Some(9.0)
        );
    }

    #[test]
    fn a_model_travels_unchanged_and_damage_is_noticed() {
        let fixture = fixture();
        for code in ["nfc", "Ltu", "lpb"] {
            let model =
                TfidfModel::fit(SmartCode::parse(code).unwrap(), statistics(&fixture), Default::default()).unwrap();
            let bytes = model.to_bytes();
            assert_eq!(TfidfModel::from_bytes(&bytes), Ok(model.clone()));
            assert!(TfidfModel::from_bytes(&bytes[..bytes.len() - 1]).is_err());
            let short = model.idf()[1..].to_vec();
            let pivoting = Pivoting { pivot: model.pivot(), slope: model.slope() };
            assert!(TfidfModel::restore(model.code(), statistics(&fixture), pivoting, short).is_err());
        }
    }

    #[test]
    fn a_foreign_dictionary_is_refused() {
        let fixture = fixture();
        let model = TfidfModel::fit(SmartCode::default(), statistics(&fixture), Default::default()).unwrap();
        let error = model.apply(&chunk(&[], fixture.terms.len() + 1)).unwrap_err().to_string();
        assert!(error.contains("terms but the corpus has"), "{error}");
    }
}

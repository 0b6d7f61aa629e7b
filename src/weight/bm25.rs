//! Okapi BM25 and two of its variants, as document vectors.
//!
//! Problem: a chunk of counts (documents x terms) becomes a chunk of weights of the same shape, whose product with a vector
//! of query terms (1 for each) is the BM25 score of each document. Queries are therefore not weighted by this model but as
//! `bnn` tf-idf, which is 1 for each of its terms.
//! Algorithm: weight(t, d) = idf(t) tf (k1 + 1) / (tf + k1 (1 - b + b |d| / mean |d|)), |d| the tokens of the document that
//! are in the dictionary; Lucene leaves out the factor k1 + 1. A term of no training document is worth nothing.
//!
//! | variant | idf of a term in df of D documents |
//! | --- | --- |
//! | Okapi | ln((D - df + 0.5) / (df + 0.5)); where that is negative, epsilon times the mean over all terms |
//! | Lucene | ln((D + 1) / (df + 0.5)) |
//! | ATIRE | ln(D / df) |
//!
//! Fitting needs no pass: frequencies are in the corpus.
//!
//! Reference: S. Robertson et al., Okapi at TREC-3 (1995); C. Kamphuis et al., Which BM25 do you mean?, ECIR 2020; A. Trotman
//! et al., Towards an efficient and effective search engine, OSIR 2012. Formulas are those of gensim's `OkapiBM25Model`,
//! `LuceneBM25Model` and `AtireBM25Model`, fitted with a dictionary (fitted with a corpus, gensim takes the number of
//! distinct terms for the length of a training document).

use crate::corpus::chunk::CsrChunk;
use crate::error::{Error, Result};
use crate::weight::documents::weigh_documents;
use serde::{Deserialize, Serialize};

/// Which of the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Variant {
    /// Robertson et al.
    Okapi,
    /// Apache Lucene 8.
    Lucene,
    /// Trotman et al.
    Atire,
}

impl Variant {
    /// All of them.
    pub const ALL: [Variant; 3] = [Variant::Okapi, Variant::Lucene, Variant::Atire];

    /// The scheme's name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Okapi => "bm25-okapi",
            Variant::Lucene => "bm25-lucene",
            Variant::Atire => "bm25-atire",
        }
    }
}

/// What can be tuned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bm25Parameters {
    /// How much more a term is worth for occurring often; 0: not at all.
    pub k1: f64,
    /// How much the length of the document counts against it, 0 to 1.
    pub b: f64,
    /// Okapi: share of the mean idf that a term of more than half of the documents gets.
    pub epsilon: f64,
}

/// gensim's defaults.
impl Default for Bm25Parameters {
    fn default() -> Self {
        Bm25Parameters { k1: 1.5, b: 0.75, epsilon: 0.25 }
    }
}

impl Bm25Parameters {
    /// # Errors
    /// A usage error that names the parameter that is out of range.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [("k1", self.k1), ("epsilon", self.epsilon)] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::usage(format!("{name} {value} is not a number from 0 on")));
            }
        }
        if !(0.0..=1.0).contains(&self.b) {
            return Err(Error::usage(format!("b {} is not between 0 and 1", self.b)));
        }
        Ok(())
    }
}

/// A fitted BM25 model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bm25Model {
    /// Which formula.
    pub variant: Variant,
    /// Its parameters.
    pub parameters: Bm25Parameters,
    /// Documents of the training corpus, empty ones included.
    pub documents: u64,
    /// Mean length of a training document, in tokens.
    pub mean_length: f64,
    /// Idf of each term (terms); 0 for a term of no training document.
    pub idf: Vec<f64>,
}

impl Bm25Model {
    /// Computes the idfs and the mean length from the statistics of a corpus: its documents, and for each term the
    /// documents that hold it and its occurrences.
    ///
    /// # Errors
    /// Those of [`Bm25Parameters::check`]; no documents; statistics that contradict each other.
    pub fn fit(
        variant: Variant,
        parameters: Bm25Parameters,
        documents: u64,
        document_frequency: &[u64],
        collection_frequency: &[u64],
    ) -> Result<Self> {
        parameters.check()?;
        let frequencies = document_frequency.iter().zip(collection_frequency);
        if documents == 0
            || document_frequency.len() != collection_frequency.len()
            || frequencies.clone().any(|(df, cf)| df > cf || *df > documents)
        {
            return Err(Error::failed("BM25 cannot be fitted: no documents, or damaged statistics"));
        }
        let all = documents as f64;
        let mut idf: Vec<f64> = document_frequency
            .iter()
            .map(|&df| match (df as f64, variant) {
                (0.0, _) => 0.0,
                (df, Variant::Okapi) => (all - df + 0.5).ln() - (df + 0.5).ln(),
                (df, Variant::Lucene) => (all + 1.0).ln() - (df + 0.5).ln(),
                (df, Variant::Atire) => all.ln() - df.ln(),
            })
            .collect();
        if variant == Variant::Okapi {
            let known = document_frequency.iter().filter(|&&df| df > 0).count().max(1);
            let floor = parameters.epsilon * (idf.iter().sum::<f64>() / known as f64);
            idf.iter_mut().filter(|idf| **idf < 0.0).for_each(|idf| *idf = floor);
        }
        let mean_length = collection_frequency.iter().sum::<u64>() as f64 / all;
        Ok(Bm25Model { variant, parameters, documents, mean_length, idf })
    }

    /// Weighs the counts of a chunk (documents x terms).
    ///
    /// # Errors
    /// The chunk belongs to a dictionary of another size.
    pub fn apply(&self, counts: &CsrChunk) -> Result<CsrChunk> {
        let Bm25Parameters { k1, b, .. } = self.parameters;
        let factor = if self.variant == Variant::Lucene { 1.0 } else { k1 + 1.0 };
        weigh_documents(counts, self.idf.len(), |terms, frequencies, weights| {
            let length: f64 = frequencies.iter().map(|&tf| f64::from(tf)).sum();
            // Without any token in the training corpus no term has an idf, and nothing is weighed.
            let relative = if self.mean_length > 0.0 { length / self.mean_length } else { 1.0 };
            let damping = k1 * (1.0 - b + b * relative);
            let weigh = |(&term, &tf): (&u32, &f32)| {
                let tf = f64::from(tf);
                (term, self.idf[term as usize] * (tf * factor / (tf + damping)))
            };
            weights.extend(terms.iter().zip(frequencies).map(weigh));
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weight::fixture::Fixture;

    #[test]
    fn equals_gensim_for_every_variant() {
        let fixture = Fixture::read();
        for variant in Variant::ALL {
            let cases = fixture.check(variant.name(), |case| {
                let parameters = Bm25Parameters { k1: case.k1, b: case.b, epsilon: case.epsilon };
                let Fixture { documents, document_frequency, collection_frequency, .. } = &fixture;
                let model =
                    Bm25Model::fit(variant, parameters, *documents, document_frequency, collection_frequency).unwrap();
                model.apply(&fixture.all()).unwrap()
            });
            assert!(cases >= 3, "{variant:?}");
        }
    }

    #[test]
    fn impossible_fits_are_refused() {
        let fit = |parameters, documents, df: &[u64], cf: &[u64]| {
            Bm25Model::fit(Variant::Okapi, parameters, documents, df, cf).map_err(|error| error.exit_code())
        };
        let usual = Bm25Parameters::default();
        for wrong in [
            Bm25Parameters { k1: -0.1, ..usual },
            Bm25Parameters { k1: f64::NAN, ..usual },
            Bm25Parameters { b: 1.1, ..usual },
            Bm25Parameters { b: f64::NAN, ..usual },
            Bm25Parameters { epsilon: f64::INFINITY, ..usual },
        ] {
            assert_eq!(fit(wrong, 3, &[1], &[1]), Err(2), "{wrong:?}");
        }
        for (documents, df, cf) in [(0, [0], [0]), (3, [4], [4]), (3, [2], [1])] {
            assert_eq!(fit(usual, documents, &df, &cf), Err(1));
        }
        // A corpus of empty documents.
        let empty = fit(usual, 3, &[0], &[0]).unwrap();
        let counts =
            CsrChunk { terms: 1, indptr: vec![0, 1], indices: vec![0], data: vec![2.0], ..CsrChunk::default() };
        assert_eq!(empty.apply(&counts).unwrap().nonzeros(), 0);
    }
}

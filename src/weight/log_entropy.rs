//! Log-entropy weights.
//!
//! Problem: a chunk of counts (documents x terms) becomes a chunk of weights of the same shape.
//! Algorithm: weight(t, d) = ln(1 + tf) g(t) with the global weight g(t) = 1 + sum_d p ln p / ln(1 + D), p = tf / cf: a term
//! spread evenly over all D documents is worth next to nothing, one that keeps to a single document 1. Then, if wanted,
//! division by the document's Euclidean length. A term of no training document is worth nothing.
//!
//! Fitting takes one pass for S(t) = sum_d tf ln tf, for sum_d p ln p = S / cf - ln cf. A chunk's share of S is summed in the
//! order of its documents and the shares on a fixed-point grid ([`wide`]), so that the bits do not depend on who had which
//! chunk. cf is in the corpus.
//! Cost: a logarithm a nonzero in either pass; 16 bytes a term over the network.
//!
//! Reference: S. Dumais, Improving the retrieval of information from external sources, Behavior Research Methods 23 (1991);
//! formulas are those of gensim's `LogEntropyModel`.

use crate::comm::Route;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::MAX_COUNT;
use crate::dispatch::{Dataset, Documents};
use crate::error::{Error, Result};
use crate::linalg::fixed::wide;
use crate::weight::documents::{euclidean, weigh_documents};
use serde::{Deserialize, Serialize};

/// Occurrences of a term up to which its sum is sure to fit the grid: S < cf ln 2^24 < 2^39.
const MOST_OCCURRENCES: u64 = (1 << 39) / 17;

/// S of every term over a corpus, on every rank; two integers a term ([`wide`]). Collective.
pub fn sums(dataset: &Dataset<Documents<CsrChunk>>, terms: usize) -> Result<Vec<i64>> {
    let job = dataset.job();
    let mut sums = vec![0; 2 * terms];
    let mut share = vec![0.0; terms];
    dataset.fold(|_, chunk| {
        job.account.count(|counters| counters.documents += chunk.documents() as u64);
        add_chunk(chunk, &mut share, &mut sums);
        Ok(())
    })?;
    job.wait(job.comm.sum(Route::World, sums))
}

/// Adds the share of a chunk; `share` is zero before and after.
fn add_chunk(chunk: &CsrChunk, share: &mut [f64], sums: &mut [i64]) {
    for (&term, &count) in chunk.indices.iter().zip(&chunk.data) {
        // 1 ln 1 = 0, and most counts are 1.
        if count > 1.0 {
            share[term as usize] += f64::from(count) * f64::from(count).ln();
        }
    }
    for (share, pair) in share.iter_mut().zip(sums.as_chunks_mut::<2>().0) {
        if *share != 0.0 {
            wide::add(pair, *share);
            *share = 0.0;
        }
    }
}

/// A fitted log-entropy model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogEntropyModel {
    /// Documents of the training corpus, empty ones included.
    pub documents: u64,
    /// Weights of a document are divided by their Euclidean length.
    pub normalised: bool,
    /// Global weight of each term (terms); 0 for a term of no training document.
    pub global_weight: Vec<f64>,
}

impl LogEntropyModel {
    /// Computes the global weights from the number of documents, the occurrences of each term and its S as [`sums`] gives
    /// it.
    ///
    /// # Errors
    /// No documents; statistics that do not fit each other; a term that occurs too often for exact sums (3e10 times).
    pub fn fit(documents: u64, collection_frequency: &[u64], sums: &[i64], normalised: bool) -> Result<Self> {
        if documents == 0 || sums.len() != 2 * collection_frequency.len() {
            return Err(Error::failed("log-entropy weights cannot be fitted: no documents, or damaged statistics"));
        }
        if let Some(term) = collection_frequency.iter().position(|&cf| cf > MOST_OCCURRENCES) {
            let what = format!("term {term} occurs more than {MOST_OCCURRENCES} times");
            return Err(Error::failed(format!("{what}: too often for exact sums; build without terms that frequent")));
        }
        let scale = (documents as f64 + 1.0).ln();
        let global = |(&cf, pair): (&u64, &[i64; 2])| match cf {
            0 => 0.0,
            cf => 1.0 + (wide::value(pair) / cf as f64 - (cf as f64).ln()) / scale,
        };
        let global_weight = collection_frequency.iter().zip(sums.as_chunks().0).map(global).collect();
        Ok(LogEntropyModel { documents, normalised, global_weight })
    }

    /// Weighs the counts of a chunk (documents x terms).
    ///
    /// # Errors
    /// The chunk belongs to a dictionary of another size.
    pub fn apply(&self, counts: &CsrChunk) -> Result<CsrChunk> {
        weigh_documents(counts, self.global_weight.len(), |terms, frequencies, weights| {
            let weigh = |(&term, &tf): (&u32, &f32)| (term, f64::from(tf).ln_1p() * self.global_weight[term as usize]);
            weights.extend(terms.iter().zip(frequencies).map(weigh));
            let length = if self.normalised { euclidean(weights) } else { 1.0 };
            if length > 0.0 {
                weights.iter_mut().for_each(|(_, weight)| *weight /= length);
            }
        })
    }
}

// What MOST_OCCURRENCES rests on: ln of the largest count is below 17.
const _: () = assert!(MAX_COUNT <= 1 << 24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weight::fixture::Fixture;

    fn fitted(fixture: &Fixture, normalised: bool) -> LogEntropyModel {
        let terms = fixture.terms.len();
        let (mut sums, mut share) = (vec![0; 2 * terms], vec![0.0; terms]);
        add_chunk(&fixture.training(), &mut share, &mut sums);
        LogEntropyModel::fit(fixture.documents, &fixture.collection_frequency, &sums, normalised).unwrap()
    }

    #[test]
    fn equals_gensim() {
        let fixture = Fixture::read();
        for (name, normalised) in [("log-entropy", true), ("log-entropy-raw", false)] {
            let model = fitted(&fixture, normalised);
            let cases = fixture.check(name, |_| model.apply(&fixture.all()).unwrap());
            assert_eq!(cases, 1, "{name}");
        }
    }

    #[test]
    fn shares_of_chunks_add_up_to_the_same_bits_in_any_order() {
        let fixture = Fixture::read();
        let terms = fixture.terms.len();
        let sums = |documents: &mut dyn Iterator<Item = usize>| {
            let (mut sums, mut share) = (vec![0; 2 * terms], vec![0.0; terms]);
            documents.for_each(|at| add_chunk(&fixture.chunk(&fixture.counts[at..at + 1]), &mut share, &mut sums));
            sums
        };
        let count = fixture.counts.len();
        assert_eq!(sums(&mut (0..count)), sums(&mut (0..count).rev()));
    }

    #[test]
    fn impossible_statistics_are_refused() {
        assert!(LogEntropyModel::fit(0, &[1], &[0, 0], true).is_err());
        assert!(LogEntropyModel::fit(3, &[1], &[0], true).is_err());
        let error = LogEntropyModel::fit(3, &[1, u64::MAX], &[0; 4], true).unwrap_err().to_string();
        assert!(error.contains("term 1 occurs more than"), "{error}");
        // An even spread is worth little, a single document 1.
        let even = LogEntropyModel::fit(1_000_000, &[1_000_000, 5, 0], &[0, 0, 0, 0, 0, 0], true).unwrap();
        assert!(even.global_weight[0].abs() < 1e-6 && even.global_weight[2] == 0.0, "{even:?}");
    }
}

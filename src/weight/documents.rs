//! What all schemes have in common: a chunk of counts goes in document by document, a chunk of weights comes out.

use crate::corpus::chunk::CsrChunk;
use crate::error::{Error, Result};

/// Weights up to this size count as zero, as in gensim's `TfidfModel`.
pub(super) const EPSILON: f64 = 1e-12;

/// Weighs a chunk (documents x terms). `weigh` gets the terms and counts of a document and an empty list for its weights,
/// in the order of the terms; those that are zero are dropped. Arithmetic is the caller's, in f64; weights are rounded to
/// f32 here.
///
/// # Errors
/// The chunk belongs to a dictionary of another size than the model.
pub(super) fn weigh_documents(
    counts: &CsrChunk,
    terms: usize,
    mut weigh: impl FnMut(&[u32], &[f32], &mut Vec<(u32, f64)>),
) -> Result<CsrChunk> {
    if counts.terms as usize != terms {
        return Err(Error::failed(format!(
            "the model knows {terms} terms but the corpus has {}; use the corpus or dictionary it was fitted on",
            counts.terms
        )));
    }
    let mut weighted = CsrChunk {
        first_document: counts.first_document,
        terms: counts.terms,
        indptr: Vec::with_capacity(counts.indptr.len()),
        indices: Vec::with_capacity(counts.nonzeros()),
        data: Vec::with_capacity(counts.nonzeros()),
    };
    weighted.indptr.push(0);
    let mut weights: Vec<(u32, f64)> = Vec::new();
    for row in 0..counts.documents() {
        let (terms, frequencies) = counts.document(row);
        weights.clear();
        weigh(terms, frequencies, &mut weights);
        for &(term, weight) in weights.iter().filter(|(_, weight)| weight.abs() > EPSILON) {
            weighted.indices.push(term);
            weighted.data.push(weight as f32);
        }
        weighted.indptr.push(weighted.indices.len() as u64);
    }
    Ok(weighted)
}

/// The Euclidean length of a document's weights.
pub(super) fn euclidean(weights: &[(u32, f64)]) -> f64 {
    weights.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt()
}

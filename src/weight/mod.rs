//! Weights of terms in documents: a chunk of counts goes in, a chunk of weights comes out.
//!
//! [`smart`] names the tf-idf schemes, [`tfidf`] computes them, [`model`] is what is saved of them; [`log_entropy`] and
//! [`bm25`] are other schemes, saved by [`saved`]. [`scheme`] stands for any of them. Only [`apply`], which weights a whole
//! corpus, and the pass that sums entropies know that there are ranks.

pub mod apply;
pub mod bm25;
mod documents;
#[cfg(test)]
mod fixture;
pub mod log_entropy;
pub mod model;
pub mod saved;
pub mod scheme;
pub mod smart;
pub mod tfidf;

//! Weights of terms in documents: a chunk of counts goes in, a chunk of weights comes out.
//!
//! [`smart`] names the schemes, [`tfidf`] computes them, [`model`] is what is saved. Only [`apply`], which weights a
//! whole corpus, knows that there are ranks.

pub mod apply;
pub mod model;
pub mod smart;
pub mod tfidf;

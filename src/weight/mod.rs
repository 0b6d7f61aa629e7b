//! Weights of terms in documents. Nothing here knows a rank: a chunk of counts goes in, a chunk of weights comes out.

pub mod smart;
pub mod tfidf;

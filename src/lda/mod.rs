//! Latent Dirichlet allocation: topics as distributions over terms, documents as mixtures of topics.
//!
//! [`params`] checks what is asked for, [`train`](train::train) runs the whole: [`minibatch`] says which documents, [`estep`]
//! what a worker makes of its part, [`exchange`] how workers add that up, [`counts`] what becomes of it. [`model`] is what is
//! saved. What a model is for: [`topics`] shows it, [`transform`] infers documents, [`evaluate`] says how good it is, by
//! [`completion`] of documents and [`coherence`] of terms; [`difference`] compares two models.

pub mod coherence;
pub mod completion;
pub mod counts;
pub mod difference;
pub mod estep;
pub mod evaluate;
pub mod exchange;
pub mod minibatch;
pub mod model;
pub mod params;
pub mod topics;
pub mod train;
pub mod transform;

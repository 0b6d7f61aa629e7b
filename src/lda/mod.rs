//! Latent Dirichlet allocation: topics as distributions over terms, documents as mixtures of topics.
//!
//! [`params`] checks what is asked for, [`train`](train::train) runs the whole: [`opening`] says how it begins (with clusters, and `joining` makes topics of them), [`held`] brings the documents, [`minibatch`]
//! says which of them, [`estep`] what a worker makes of its part, [`exchange`] how workers add that up, over a [`lane`] and
//! while other work is done; [`counts`] what becomes of it, [`priors`] what the priors learn; `progress` tells of it,
//! `snapshot` keeps it in a checkpoint, [`memory`] says what it takes. [`model`] is what is saved. What a model is for: [`topics`] shows it, [`standing`] says how its topics stand in a corpus, [`transform`] infers
//! documents, [`evaluate`] says how good it is, by [`completion`] of documents, the variational [`bound`] and [`coherence`]
//! of terms; [`difference`] compares two models.

pub mod bound;
pub mod coherence;
pub mod completion;
pub mod counts;
pub mod difference;
pub mod estep;
pub mod evaluate;
pub mod exchange;
pub mod held;
mod joining;
pub mod lane;
pub mod memory;
pub mod minibatch;
pub mod model;
pub mod opening;
pub mod params;
pub mod priors;
mod progress;
mod snapshot;
pub mod standing;
pub mod texts;
pub mod topics;
pub mod train;
pub mod transform;

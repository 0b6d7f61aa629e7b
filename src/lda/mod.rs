//! Latent Dirichlet allocation: topics as distributions over terms, documents as mixtures of topics.

pub mod coherence;
pub mod completion;
pub mod counts;
pub mod estep;
pub mod evaluate;
pub mod exchange;
pub mod minibatch;
pub mod model;
pub mod params;
pub mod topics;
pub mod train;
pub mod transform;

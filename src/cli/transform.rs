//! `corpuscle transform`: model and corpus -> document vectors.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::Result;
use crate::lsi::transform::transform;

/// Project documents into the space of a model
///
/// The corpus must have the dictionary of the model and, if the model was made from weights, be weighted with the same
/// tf-idf model.
#[derive(Debug, Args)]
pub struct Transform {
    /// LSI model
    model: PathBuf,
    /// Corpus
    corpus: PathBuf,
    /// Vectors to write (documents x topics)
    #[arg(short, long, value_name = "VECTORS")]
    output: PathBuf,
    /// Divide each topic by its singular value, as gensim does with scaled=True
    #[arg(long)]
    scaled: bool,
}

impl Transform {
    /// Runs on every rank.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let topics = transform(job, &self.model, &corpus, self.scaled, target)?;
        Ok(Outcome {
            output: Some(self.output),
            parameters: json!({ "scaled": self.scaled }),
            result: json!({ "documents": corpus.header().documents, "topics": topics }),
            accounted: true,
        })
    }
}

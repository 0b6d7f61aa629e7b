//! `corpuscle transform`: model and corpus -> document vectors.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::common::{Kind, kind_of};
use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lda;
use crate::lsi::transform::transform;

/// Project documents into the space of a model
///
/// The corpus must have the dictionary of the model and, if the model was made from weights, be weighted with the same
/// tf-idf model. Vectors of an LDA model are the shares of the topics in each document.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle transform lsi.h5 tfidf.h5 -o vectors.h5
  corpuscle transform lda.h5 corpus.h5 --minimum-probability 0.01 -o shares.h5")]
pub struct Transform {
    /// LSI or LDA model
    model: PathBuf,
    /// Corpus
    corpus: PathBuf,
    /// Vectors to write (documents x topics)
    #[arg(short, long, value_name = "VECTORS")]
    output: PathBuf,
    /// LSI: divide each topic by its singular value, as gensim does with scaled=True
    #[arg(long)]
    scaled: bool,
    /// LDA: write smaller shares as 0 [default: 0]
    #[arg(long, value_name = "SHARE")]
    minimum_probability: Option<f32>,
}

impl Transform {
    /// Runs on every rank.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let (topics, parameters) = match kind_of(job, &self.model)? {
            Kind::Lsi if self.minimum_probability.is_some() => {
                return Err(Error::usage("--minimum-probability goes with an LDA model"));
            }
            Kind::Lda if self.scaled => return Err(Error::usage("--scaled goes with an LSI model")),
            Kind::Lsi => (transform(job, &self.model, &corpus, self.scaled, target)?, json!({ "scaled": self.scaled })),
            Kind::Lda => {
                let minimum = self.minimum_probability.unwrap_or(0.0);
                if !(0.0..=1.0).contains(&minimum) {
                    return Err(Error::usage(format!("--minimum-probability {minimum}: from 0 to 1")));
                }
                let topics = lda::transform::transform(job, &self.model, &corpus, minimum, target)?;
                (topics, json!({ "minimum_probability": minimum }))
            }
        };
        Ok(Outcome {
            output: Some(self.output),
            parameters,
            result: json!({ "documents": corpus.header().documents, "topics": topics }),
            accounted: true,
        })
    }
}

//! `corpuscle generate`: a synthetic corpus.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::convert::generate::generate;
use crate::corpus::generate::GenerateSpec;
use crate::dispatch::Job;
use crate::error::Result;

/// Make a synthetic corpus of any size
///
/// Terms follow a Zipf distribution, documents are mixtures of topics (LDA), and the label of a document is its dominant
/// topic. The same numbers and seed give the same bytes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle generate --documents 1000000 --terms 100000 --topics 200 -o synthetic.h5")]
pub struct Generate {
    /// The corpus to write
    #[arg(short, long, value_name = "CORPUS")]
    output: PathBuf,
    /// Number of documents
    #[arg(long, default_value_t = 100_000, value_name = "N")]
    documents: u64,
    /// Size of the dictionary
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    terms: u32,
    /// Number of topics
    #[arg(long, default_value_t = 100, value_name = "N")]
    topics: u32,
    /// Tokens of a document on average
    #[arg(long, default_value_t = 200.0, value_name = "TOKENS")]
    mean_length: f64,
}

impl Generate {
    /// Runs on every rank of the job.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let _phase = job.account.enter_phase("generate");
        let Generate { output, documents, terms, topics, mean_length } = self;
        let spec = GenerateSpec { documents, terms, topics, mean_length, seed: common.seed };
        let header = generate(job, &spec, &output)?;
        let result = header.map(|header| header.to_json()).unwrap_or_default();
        Ok(Outcome { output: Some(output), parameters: json!(spec), result, accounted: true })
    }
}

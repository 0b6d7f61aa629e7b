//! `corpuscle split`: one corpus becomes two.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::convert::split::{SplitSpec, split};
use crate::dispatch::Job;
use crate::error::Result;

/// Split a corpus into documents to learn from and documents to test with
///
/// Every label keeps its share in both parts. Documents stay in order.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle split corpus.h5 --test 0.1 --train-out train.h5 --test-out test.h5")]
pub struct Split {
    /// The corpus to split
    corpus: PathBuf,
    /// Share of the documents that goes to the test part, between 0 and 1; of each label alike where there are labels
    #[arg(long, default_value_t = 0.1, value_name = "SHARE")]
    test: f64,
    /// Where the documents to learn from go
    #[arg(long, value_name = "CORPUS")]
    train_out: PathBuf,
    /// Where the documents to test with go
    #[arg(long, value_name = "CORPUS")]
    test_out: PathBuf,
}

impl Split {
    /// Runs on every rank of the job.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let _phase = job.account.enter_phase("split");
        let Split { corpus, test, train_out, test_out } = self;
        let parameters = json!({"corpus": corpus, "test": test, "seed": common.seed, "test_out": test_out});
        let spec = SplitSpec { corpus, test, seed: common.seed, train_out, test_out };
        let headers = split(job, &spec)?;
        let result = headers.map(|[train, test]| json!({"train": train.to_json(), "test": test.to_json()}));
        Ok(Outcome { output: Some(spec.train_out), parameters, result: result.unwrap_or_default(), accounted: true })
    }
}

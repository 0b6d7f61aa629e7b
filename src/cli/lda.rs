//! `corpuscle lda`: corpus -> LDA model.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::Result;
use crate::lda::params::{Alpha, LdaParams};
use crate::lda::train::{self, HeldOut, Watch};

/// lda
#[derive(Debug, Args)]
pub struct Lda {
    corpus: PathBuf,
    #[arg(short, long, default_value_t = 100)]
    k: usize,
    #[arg(short, long)]
    output: PathBuf,
    #[arg(long, default_value_t = 10)]
    passes: usize,
    #[arg(long)]
    minibatch: Option<u64>,
    #[arg(long, default_value_t = 5)]
    burn_in: usize,
    #[arg(long, default_value_t = 0.7)]
    kappa: f64,
    #[arg(long, default_value_t = 1.0)]
    tau0: f64,
    #[arg(long, default_value_t = 0.1)]
    alpha: f64,
    #[arg(long, default_value_t = 0.01)]
    eta: f64,
    #[arg(long)]
    eval: Option<PathBuf>,
    #[arg(long, default_value_t = 1)]
    eval_every: usize,
}

impl Lda {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let params = LdaParams { topics: self.k, passes: self.passes, minibatch: self.minibatch, burn_in: self.burn_in, kappa: self.kappa, tau0: self.tau0, alpha: Alpha::Symmetric(self.alpha), eta: self.eta, seed: common.seed };
        let plan = params.check(corpus.header().documents)?;
        let held = self.eval.as_ref().map(|p| Corpus::open(job, p)).transpose()?;
        let held = held.as_ref().map(|h| HeldOut::open(job, h, &corpus)).transpose()?;
        let (training, counts, _) = train::train(job, &corpus, &plan, None, held.as_ref(), Watch { every: self.eval_every, stop_below: None })?;
        let _ = counts;
        Ok(Outcome { output: None, parameters: json!({}), result: json!({"perplexity": training.perplexity}), accounted: true })
    }
}

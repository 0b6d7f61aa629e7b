//! `corpuscle nmf`: corpus -> NMF model.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::Result;
use crate::nmf::params::NmfParams;
use crate::nmf::train;
use crate::store::provenance::{self, Input};

/// Non-negative matrix factorisation: documents as sums of topics
///
/// Neither topics nor documents have a negative weight. Learns online from minibatches that mix the whole corpus, with the
/// parameters of gensim's Nmf. Takes counts or weights.
///
/// Example: mpirun -n 3 corpuscle nmf tfidf.h5 -k 50 --passes 5 -o nmf.h5
#[derive(Debug, Args)]
pub struct Nmf {
    /// Corpus, of counts or weighted by `corpuscle tfidf`
    corpus: PathBuf,
    /// Number of topics
    #[arg(short, long, value_name = "K", visible_alias = "num-topics", default_value_t = 100)]
    k: usize,
    /// Model to write
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// Documents of a minibatch, about
    #[arg(long, visible_alias = "minibatch", value_name = "DOCUMENTS", default_value_t = 2000)]
    chunksize: u64,
    /// Times the corpus is gone through
    #[arg(long, default_value_t = 1)]
    passes: usize,
    /// Share of each step of the descent that is taken
    #[arg(long, default_value_t = 1.0)]
    kappa: f64,
    /// Have `corpuscle transform` write smaller shares of topics as 0
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    minimum_probability: f64,
    /// Most sweeps over the topics of a term after a minibatch
    #[arg(long, value_name = "N", default_value_t = 200)]
    w_max_iter: usize,
    /// Share of a term's weights that a sweep has to move for another one
    #[arg(long, value_name = "SHARE", default_value_t = 1e-4)]
    w_stop_condition: f64,
    /// Most sweeps over the topics of a document
    #[arg(long, value_name = "N", default_value_t = 50)]
    h_max_iter: usize,
    /// Share of a document's weights that a sweep has to move for another one
    #[arg(long, value_name = "SHARE", default_value_t = 1e-3)]
    h_stop_condition: f64,
    /// Minibatches from one word on the error to the next; 0: none
    #[arg(long, value_name = "N", default_value_t = 10)]
    eval_every: usize,
    /// Show the weights of topics and documents as they are, not brought to a sum of 1
    #[arg(long)]
    no_normalize: bool,
}

impl Nmf {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let params = NmfParams {
            topics: self.k,
            chunksize: self.chunksize,
            passes: self.passes,
            kappa: self.kappa,
            minimum_probability: self.minimum_probability,
            w_max_iter: self.w_max_iter,
            w_stop_condition: self.w_stop_condition,
            h_max_iter: self.h_max_iter,
            h_stop_condition: self.h_stop_condition,
            eval_every: self.eval_every,
            normalize: !self.no_normalize,
            seed: common.seed,
        };
        let plan = params.check(corpus.header().documents)?;
        // How often the error is told decides nothing.
        let parameters = json!({
            "k": self.k, "chunksize": self.chunksize, "passes": self.passes, "kappa": self.kappa,
            "minimum_probability": self.minimum_probability, "w_max_iter": self.w_max_iter,
            "w_stop_condition": self.w_stop_condition, "h_max_iter": self.h_max_iter,
            "h_stop_condition": self.h_stop_condition, "normalize": !self.no_normalize, "seed": common.seed,
        });
        let of = || {
            let input = Input::result(corpus.reader()?.file())?;
            Ok(provenance::of("nmf", parameters.clone(), &[("corpus", input)]))
        };
        job.begin(of)?;
        let trained = train::train(job, &corpus, &plan)?;
        let error = trained.model.relative_error;
        if job.is_dispatcher() {
            log::info!("{} topics; relative error {error:.4} over the corpus", self.k);
        }
        job.account.phase("write", || train::save(job, &trained, &corpus, target, of))?;
        let result = json!({ "topics": self.k, "minibatches": plan.steps(), "relative_error": error });
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }
}

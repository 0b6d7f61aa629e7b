//! `corpuscle lsi`: corpus -> LSI model.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::Result;
use crate::lsi::model::Origin;
use crate::lsi::params::{LsiParams, TOLERANCE};
use crate::lsi::train;

/// Latent semantic indexing: the k leading singular triplets of a corpus
///
/// Example: mpirun -n 3 corpuscle lsi tfidf.h5 -k 200 -o lsi.h5
#[derive(Debug, Args)]
pub struct Lsi {
    /// Corpus, usually weighted by `corpuscle tfidf`
    corpus: PathBuf,
    /// Number of topics
    #[arg(short, long, value_name = "K", default_value_t = 200)]
    k: usize,
    /// Model to write
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// Largest relative residual |A A'u - s²u| / s² to stop at
    #[arg(long, default_value_t = TOLERANCE)]
    tolerance: f64,
    /// Columns of a block: larger ones need fewer rounds, smaller ones less work [default: about k/8]
    #[arg(long)]
    block: Option<usize>,
    /// Make exactly so many rounds, whatever the residuals
    #[arg(long)]
    rounds: Option<usize>,
    /// Columns of the basis at which it is compressed; each takes 4 bytes a term, over all workers
    /// [default: 6 k + 8 blocks]
    #[arg(long)]
    basis: Option<usize>,
}

impl Lsi {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let corpus = job.account.phase("read", || Corpus::open(job, &self.corpus))?;
        let header = corpus.header();
        let params = LsiParams {
            topics: self.k,
            tolerance: self.tolerance,
            block: self.block,
            rounds: self.rounds,
            basis: self.basis,
            seed: common.seed,
        };
        let plan = params.check(header.documents, header.terms)?;
        let (training, model) = train::train(job, &corpus, &plan)?;
        let parameters = json!({
            "k": plan.topics, "tolerance": plan.tolerance, "block": plan.block, "rounds": plan.rounds,
            "basis": plan.capacity, "seed": plan.seed,
        });
        let mut result =
            json!({ "topics": training.topics, "rounds": training.rounds, "largest_residual": training.residual });
        if job.is_dispatcher() {
            if model.topics() < self.k {
                log::warn!("the corpus has {} topics above the noise, not the {} asked for", model.topics(), self.k);
            }
            if training.residual > plan.tolerance && plan.rounds.is_none() && model.topics() == self.k {
                log::warn!("stopped at residual {:.1e}, above --tolerance {:.1e}", training.residual, plan.tolerance);
            }
            result["energy"] = json!(model.energy());
            result["singular_values"] = json!([model.singular_values.first(), model.singular_values.last()]);
            log::info!(
                "{} topics in {} rounds hold {:.1} % of the squared norm; largest residual {:.1e}",
                training.topics,
                training.rounds,
                100.0 * model.energy(),
                training.residual
            );
        }
        // Only the dispatcher surely sees the corpus, and it is the one that writes.
        let origin = if job.is_dispatcher() {
            Origin::of(corpus.reader()?.file(), parameters.clone())?
        } else {
            Origin::default()
        };
        job.account.phase("write", || train::save(job, &model, target, &origin))?;
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }
}

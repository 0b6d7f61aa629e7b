//! `corpuscle lda`: corpus -> LDA model.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{At, Error, Result};
use crate::lda::model::{self, Earlier, History, Trained};
use crate::lda::params::{Alpha, LdaParams};
use crate::lda::train::{self, HeldOut, Watch};
use crate::store::provenance::{self, Input};

/// Latent Dirichlet allocation: topics as distributions over terms
///
/// Trains by SCVB0, stochastic collapsed variational inference, on minibatches that mix the whole corpus.
///
/// Example: mpirun -n 3 corpuscle lda train.h5 -k 100 --eval test.h5 -o lda.h5
#[derive(Debug, Args)]
pub struct Lda {
    /// Corpus of counts
    corpus: PathBuf,
    /// Number of topics [default: 100, or those of the model to be updated]
    #[arg(short, long, value_name = "K")]
    k: Option<usize>,
    /// Model to write
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// Times the corpus is gone through
    #[arg(long, default_value_t = PASSES)]
    passes: usize,
    /// Documents of a minibatch, about [default: a 16th of the corpus, from 64 to 8192]
    #[arg(long, value_name = "DOCUMENTS")]
    minibatch: Option<u64>,
    /// Sweeps over a document before its expected counts are taken
    #[arg(long, default_value_t = BURN_IN, value_name = "SWEEPS")]
    burn_in: usize,
    /// The t-th minibatch, from 0, replaces a share (tau0 + t)^-kappa of what is known
    #[arg(long, default_value_t = KAPPA)]
    kappa: f64,
    /// See --kappa
    #[arg(long, default_value_t = TAU0)]
    tau0: f64,
    /// Prior of the topics' shares in a document: a number for all topics, `asymmetric` as in gensim, `learned`, or a file
    /// with a number a line for each topic [default: 0.1, or that of the model to be updated]
    #[arg(long, value_name = "ALPHA")]
    alpha: Option<String>,
    /// Prior of the terms' weights in a topic [default: 0.01, or that of the model to be updated]
    #[arg(long)]
    eta: Option<f64>,
    /// Go on with this model and the documents of the corpus
    #[arg(long, value_name = "MODEL")]
    update: Option<PathBuf>,
    /// Held-out documents whose perplexity is told while training
    #[arg(long, value_name = "CORPUS")]
    eval: Option<PathBuf>,
    /// Passes from one look at the held-out documents to the next
    #[arg(long, default_value_t = 1, value_name = "PASSES", requires = "eval")]
    eval_every: usize,
    /// Stop when a look finds the perplexity lower by less than this share of the last one
    #[arg(long, value_name = "SHARE", requires = "eval")]
    stop_below: Option<f64>,
}

/// Topics wanted when nothing is said.
const TOPICS: usize = 100;
/// Passes: see the README for what they buy.
const PASSES: usize = 10;
/// Sweeps.
const BURN_IN: usize = 3;
/// Exponent of the rate.
const KAPPA: f64 = 0.6;
/// Offset of the rate.
const TAU0: f64 = 1.0;
/// Prior of shares.
const ALPHA: f64 = 0.1;
/// Prior of terms.
const ETA: f64 = 0.01;

impl Lda {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let earlier = match &self.update {
            Some(path) => Some(job.account.phase("load model", || Earlier::load(job, path, &corpus))?),
            None => None,
        };
        let params = LdaParams {
            topics: self.topics(earlier.as_ref())?,
            passes: self.passes,
            minibatch: self.minibatch,
            burn_in: self.burn_in,
            kappa: self.kappa,
            tau0: self.tau0,
            alpha: self.prior(job, earlier.as_ref())?,
            eta: self.eta.or(earlier.as_ref().map(|earlier| earlier.eta)).unwrap_or(ETA),
            seed: common.seed,
        };
        let plan = params.check(corpus.header().documents)?;
        if self.eval_every == 0 {
            return Err(Error::usage("--eval-every 0: at least 1"));
        }
        if let Some(share) = self.stop_below.filter(|share| !share.is_finite()) {
            return Err(Error::usage(format!("--stop-below {share}: a share, such as 0.001")));
        }
        let watch = Watch { every: self.eval_every, stop_below: self.stop_below };
        let open = |path: &PathBuf| {
            let held_out = Corpus::open(job, path)?;
            let documents = HeldOut::open(job, &held_out, &corpus)?;
            Ok((held_out, documents))
        };
        let held_out = job.account.phase("open", || self.eval.as_ref().map(open).transpose())?;
        if job.is_dispatcher() {
            let (terms, topics) = (u64::from(corpus.header().terms), plan.topics as u64);
            let model = terms * topics.next_multiple_of(16) * 4;
            let documents = 8 * (corpus.header().nonzeros + corpus.header().documents) / job.workers() as u64;
            log::info!(
                "{} minibatches a pass; a worker needs up to {} MiB for topics and {} MiB for documents",
                plan.minibatches,
                (3 * model) >> 20,
                documents >> 20
            );
        }
        let updated = earlier.as_ref().map(|earlier| (earlier.checksum.clone(), earlier.history));
        let before = updated.as_ref().map(|(_, history)| *history).unwrap_or_default();
        let documents = held_out.as_ref().map(|(_, documents)| documents);
        let (training, counts, alpha) =
            train::train(job, &corpus, &plan, before, earlier.and_then(|earlier| earlier.counts), documents, watch)?;
        let of_prior = match plan.alpha.first() {
            _ if plan.learn_alpha => json!("learned"),
            Some(first) if plan.alpha.iter().all(|alpha| alpha == first) => json!(first),
            _ => json!(plan.alpha),
        };
        let parameters = json!({
            "method": "scvb0", "k": plan.topics, "passes": plan.passes, "minibatch": plan.minibatch,
            "burn_in": plan.burn_in, "kappa": plan.kappa, "tau0": plan.tau0,
            "alpha": of_prior, "eta": plan.eta, "seed": plan.seed,
            "updated": updated.as_ref().map(|(checksum, _)| checksum),
            // Looking changes nothing unless it ends the training.
            "eval_every": self.stop_below.map(|_| self.eval_every), "stop_below": self.stop_below,
        });
        let history = History {
            documents: before.documents + corpus.header().documents,
            tokens: before.tokens + training.tokens,
            updates: before.updates + training.updates,
        };
        let of = || {
            let mut inputs = vec![("corpus", Input::result(corpus.reader()?.file())?)];
            // Whether held-out documents stop the training depends on them.
            if let Some((held_out, _)) = held_out.as_ref().filter(|_| self.stop_below.is_some()) {
                inputs.push(("eval", Input::result(held_out.reader()?.file())?));
            }
            Ok(provenance::of("lda", parameters.clone(), &inputs))
        };
        let trained = Trained { counts, alpha, eta: plan.eta, history };
        job.account.phase("write", || model::save(job, &trained, &corpus, target, of))?;
        let result = json!({
            "topics": plan.topics, "passes": training.passes, "minibatches": training.updates,
            "tokens": training.tokens, "perplexity": training.perplexity,
        });
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }

    fn topics(&self, earlier: Option<&Earlier>) -> Result<usize> {
        match (self.k, earlier) {
            (Some(k), Some(earlier)) if k != earlier.topics => {
                Err(Error::usage(format!("-k {k}: the model to be updated has {} topics", earlier.topics)))
            }
            (k, earlier) => Ok(k.or(earlier.map(|earlier| earlier.topics)).unwrap_or(TOPICS)),
        }
    }

    /// The prior asked for. Collective: a file is read on the dispatcher.
    fn prior(&self, job: &Job, earlier: Option<&Earlier>) -> Result<Alpha> {
        let Some(word) = &self.alpha else {
            return Ok(earlier.map_or(Alpha::Symmetric(ALPHA), |earlier| Alpha::Given(earlier.alpha.clone())));
        };
        if let Ok(value) = word.parse() {
            return Ok(Alpha::Symmetric(value));
        }
        match word.as_str() {
            "asymmetric" => Ok(Alpha::Asymmetric),
            "learned" => {
                let topics = self.topics(earlier)?;
                Ok(Alpha::Learned(earlier.map_or_else(|| vec![ALPHA; topics], |earlier| earlier.alpha.clone())))
            }
            file => {
                let message = job.share(|| Ok(bytemuck::cast_slice(&numbers(Path::new(file))?).to_vec()))?;
                Ok(Alpha::Given(bytemuck::pod_collect_to_vec(&message)))
            }
        }
    }
}

/// A number a line.
fn numbers(path: &Path) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        let path = path.display();
        Error::failed(format!(
            "--alpha {path}: neither a number, `asymmetric`, `learned` nor a file that can be read: {cause}"
        ))
    })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| line.trim().parse().at(format!("{}:{}", path.display(), at + 1))).collect()
}

//! `corpuscle lda`: corpus -> LDA model.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{At, Error, Result};
use crate::lda::held::HeldOut;
use crate::lda::memory;
use crate::lda::model::{self, Earlier, History};
use crate::lda::params::{Alpha, Eta, LdaParams, LdaPlan, Method, PASSES, TOPICS};
use crate::lda::train::{self, Start, Watch};
use crate::store::provenance::{self, Input};

/// Latent Dirichlet allocation: topics as distributions over terms
///
/// Trains by stochastic collapsed variational inference (SCVB0) or by variational Bayes, on minibatches that mix the whole
/// corpus.
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
    /// How to train
    #[arg(long, value_enum, default_value_t = Method::Scvb0)]
    method: Method,
    /// Times the corpus is gone through
    #[arg(long, default_value_t = PASSES)]
    passes: usize,
    /// Documents of a minibatch, about [default: a 12th of the corpus, from 64 to 8192; online and batch: 2000]
    #[arg(long, visible_alias = "chunksize", value_name = "DOCUMENTS")]
    minibatch: Option<u64>,
    /// Online: minibatches between two steps of the model [default: 1]
    #[arg(long, value_name = "MINIBATCHES")]
    update_every: Option<usize>,
    /// SCVB0: sweeps over a document before its tokens are drawn [default: 1]
    #[arg(long, value_name = "SWEEPS")]
    burn_in: Option<usize>,
    /// SCVB0: times that a document's tokens are drawn again before its expected counts are taken; 0 draws none, which is the
    /// method as published [default: 4]
    #[arg(long, value_name = "SWEEPS")]
    gibbs_sweeps: Option<usize>,
    /// Online, batch: most iterations of a document [default: 50]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// Online, batch: mean change of a document's parameters at which they are taken as found, in tokens [default: 0.001]
    #[arg(long, value_name = "TOKENS")]
    gamma_threshold: Option<f32>,
    /// SCVB0: the t-th step of the model, from 0, replaces a share (tau0 + t)^-kappa of what is known; online: as in gensim,
    /// t is the passes done and the minibatches seen for the first time [default: 0.6; online: 0.5]
    #[arg(long, visible_alias = "decay")]
    kappa: Option<f64>,
    /// See --kappa [default: 1]
    #[arg(long, visible_alias = "offset")]
    tau0: Option<f64>,
    /// Infer each minibatch with the model of so many steps before, so that workers need not wait for each other on slow
    /// networks; changes the result, in the same way wherever it runs
    #[arg(long, default_value_t = 0, value_name = "STEPS")]
    staleness: usize,
    /// Prior of the topics' shares in a document: a number for all topics, `asymmetric` as in gensim, `learned`, or a file
    /// with a number a line for each topic [default: 0.1; online and batch: 1 / topics; or that of the model to be updated]
    #[arg(long, value_name = "ALPHA")]
    alpha: Option<String>,
    /// Prior of the terms' weights in a topic: a number, `learned` (one number for all terms), or a file with a number a line
    /// for each term [default: 0.01; online and batch: 1 / topics; or that of the model to be updated]
    #[arg(long, value_name = "ETA")]
    eta: Option<String>,
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

impl Lda {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let corpus = job.account.phase("open", || Corpus::open(job, &self.corpus))?;
        let earlier = match &self.update {
            Some(path) => Some(job.account.phase("load model", || Earlier::load(job, path, &corpus))?),
            None => None,
        };
        let (eta, learn_eta) = self.eta(job, earlier.as_ref())?;
        let params = LdaParams {
            method: self.method,
            topics: self.topics(earlier.as_ref())?,
            passes: self.passes,
            minibatch: self.minibatch,
            update_every: self.update_every,
            burn_in: self.burn_in,
            gibbs_sweeps: self.gibbs_sweeps,
            iterations: self.iterations,
            gamma_threshold: self.gamma_threshold,
            kappa: self.kappa,
            tau0: self.tau0,
            staleness: self.staleness,
            alpha: self.alpha(job, earlier.as_ref())?,
            eta,
            learn_eta,
            seed: common.seed,
        };
        let plan = params.check(corpus.header().documents, corpus.header().terms as usize)?;
        if self.eval_every == 0 {
            return Err(Error::usage("--eval-every 0: at least 1"));
        }
        if let Some(share) = self.stop_below.filter(|share| !share.is_finite()) {
            return Err(Error::usage(format!("--stop-below {share}: a share, such as 0.001")));
        }
        let watch = Watch { every: self.eval_every, stop_below: self.stop_below };
        let held_out = self.eval.as_ref().map(|path| Corpus::open(job, path)).transpose()?;
        let before = earlier.as_ref().map(|earlier| earlier.history).unwrap_or_default();
        let job = &self.within_memory(job, &corpus, held_out.as_ref(), &plan, before)?;
        let documents = job
            .account
            .phase("open", || held_out.as_ref().map(|held_out| HeldOut::open(job, held_out, &corpus)).transpose())?;
        let updated = earlier.as_ref().map(|earlier| earlier.checksum.clone());
        let of_prior = match plan.alpha.first() {
            _ if plan.learn_alpha => json!("learned"),
            Some(first) if plan.alpha.iter().all(|alpha| alpha == first) => json!(first),
            _ => json!(plan.alpha),
        };
        let of_eta = match plan.eta.0[..] {
            _ if plan.learn_eta => json!("learned"),
            [value] => json!(value),
            _ => json!(plan.eta.0),
        };
        let scvb0 = plan.method == Method::Scvb0;
        let parameters = json!({
            "method": plan.method.name(), "k": plan.topics, "passes": plan.passes, "minibatch": plan.minibatch,
            "update_every": (plan.method == Method::Online).then_some(plan.update_every),
            "burn_in": scvb0.then_some(plan.burn_in), "gibbs_sweeps": scvb0.then_some(plan.gibbs_sweeps),
            "iterations": (!scvb0).then_some(plan.until.iterations),
            "gamma_threshold": (!scvb0).then_some(plan.until.threshold), "kappa": plan.kappa, "tau0": plan.tau0,
            "staleness": plan.staleness, "alpha": of_prior, "eta": of_eta, "seed": plan.seed,
            "updated": updated,
            // Looking changes nothing unless it ends the training.
            "eval_every": self.stop_below.map(|_| self.eval_every), "stop_below": self.stop_below,
        });
        let of = || {
            let mut inputs = vec![("corpus", Input::result(corpus.reader()?.file())?)];
            // Whether held-out documents stop the training depends on them.
            if let Some(held_out) = held_out.as_ref().filter(|_| self.stop_below.is_some()) {
                inputs.push(("eval", Input::result(held_out.reader()?.file())?));
            }
            Ok(provenance::of("lda", parameters.clone(), &inputs))
        };
        job.begin(of)?;
        let counts = earlier.and_then(|earlier| earlier.counts);
        let start = Start { before, counts, held_out: documents.as_ref(), watch, silent: false };
        let (training, trained) = train::train(job, &corpus, &plan, start)?;
        job.account.phase("write", || model::save(job, &trained, &corpus, target, of))?;
        let result = json!({
            "topics": plan.topics, "passes": training.passes, "minibatches": training.updates,
            "tokens": training.tokens, "perplexity": training.perplexity, "moved": training.moved,
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

    /// The prior of shares asked for. Collective: a file is read on the dispatcher.
    fn alpha(&self, job: &Job, earlier: Option<&Earlier>) -> Result<Alpha> {
        let topics = self.topics(earlier)?;
        let (usual, _) = self.method.priors(topics);
        let Some(word) = &self.alpha else {
            return Ok(earlier.map_or(Alpha::Symmetric(usual), |earlier| Alpha::Given(earlier.alpha.clone())));
        };
        if let Ok(value) = word.parse() {
            return Ok(Alpha::Symmetric(value));
        }
        match word.as_str() {
            "asymmetric" => Ok(Alpha::Asymmetric),
            "learned" => {
                Ok(Alpha::Learned(earlier.map_or_else(|| vec![usual; topics], |earlier| earlier.alpha.clone())))
            }
            file => Ok(Alpha::Given(shared_numbers(job, file, "--alpha", "a number, `asymmetric`, `learned`")?)),
        }
    }

    /// The prior of terms asked for, and whether it is learned. Collective: a file is read on the dispatcher.
    fn eta(&self, job: &Job, earlier: Option<&Earlier>) -> Result<(Eta, bool)> {
        let topics = self.topics(earlier)?;
        let (_, usual) = self.method.priors(topics);
        let before = earlier.map_or(Eta::symmetric(usual), |earlier| earlier.eta.clone());
        let Some(word) = &self.eta else { return Ok((before, false)) };
        if let Ok(value) = word.parse() {
            return Ok((Eta::symmetric(value), false));
        }
        match word.as_str() {
            "learned" => Ok((Eta::symmetric(before.0.iter().sum::<f64>() / before.0.len() as f64), true)),
            file => Ok((Eta(shared_numbers(job, file, "--eta", "a number, `learned`")?), false)),
        }
    }

    /// Says what training takes. Collective.
    fn within_memory<'a>(
        &self,
        job: &Job<'a>,
        corpus: &Corpus,
        held_out: Option<&Corpus>,
        plan: &LdaPlan,
        before: History,
    ) -> Result<Job<'a>> {
        let sizes = corpus.sizes(job)?;
        let held_out = held_out.map(|held_out| held_out.sizes(job)).transpose()?;
        let checkpoints = job.checkpoint.is_some();
        let forecast = || Ok(memory::training(&sizes, plan, held_out.as_ref(), before, checkpoints));
        let job = job.within_memory("give more, use more ranks on more hosts, or lower -k or --minibatch", forecast)?;
        if job.is_dispatcher() {
            let (passes, steps) = (plan.passes, plan.steps());
            log::info!("{passes} passes of {steps} steps over {} minibatches", plan.minibatches);
        }
        Ok(job)
    }
}

/// Numbers from a file, a line each, for all ranks. Collective.
fn shared_numbers(job: &Job, file: &str, option: &str, words: &str) -> Result<Vec<f64>> {
    let message = job.share(|| Ok(bytemuck::cast_slice(&numbers(Path::new(file), option, words)?).to_vec()))?;
    Ok(bytemuck::pod_collect_to_vec(&message))
}

/// A number a line.
fn numbers(path: &Path, option: &str, words: &str) -> Result<Vec<f64>> {
    let text = std::fs::read_to_string(path).map_err(|cause| {
        let path = path.display();
        Error::failed(format!("{option} {path}: neither {words} nor a file that can be read: {cause}"))
    })?;
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| line.trim().parse().at(format!("{}:{}", path.display(), at + 1))).collect()
}

//! `corpuscle lsi`: corpus -> LSI model.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lsi::model::{LsiModel, Origin};
use crate::lsi::one_pass::{self, Earlier};
use crate::lsi::params::{CHUNK_DOCUMENTS, LsiParams, OnePassParams, TOLERANCE};
use crate::lsi::train::{self, Training};
use crate::store::provenance::{self, Input};

/// Latent semantic indexing: the k leading singular triplets of a corpus
///
/// Example: mpirun -n 3 corpuscle lsi tfidf.h5 -k 200 -o lsi.h5
#[derive(Debug, Args)]
pub struct Lsi {
    /// Corpus, usually weighted by `corpuscle tfidf`
    corpus: PathBuf,
    /// Number of topics [default: 200, or those of the model to be updated]
    #[arg(short, long, value_name = "K")]
    k: Option<usize>,
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
    /// Go through the corpus once, merging what is found in chunks of it
    #[arg(long, conflicts_with_all = ["tolerance", "block", "rounds", "basis"])]
    one_pass: bool,
    /// Add the documents to this model, in one pass
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["tolerance", "block", "rounds", "basis"])]
    update: Option<PathBuf>,
    /// With each chunk, let all earlier documents count so much [default: 1, forget nothing]
    #[arg(long, value_name = "FACTOR")]
    decay: Option<f64>,
    /// Documents of a chunk [default: 20000]
    #[arg(long, value_name = "N")]
    chunk_documents: Option<u64>,
    /// After the one pass, read the corpus again for so many Krylov rounds
    #[arg(long, value_name = "ROUNDS", conflicts_with = "update")]
    polish: Option<usize>,
    /// Do not read the corpus again for the residuals
    #[arg(long, conflicts_with = "polish")]
    no_residuals: bool,
}

/// Topics wanted when nothing is said.
const TOPICS: usize = 200;

impl Lsi {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let corpus = job.account.phase("read", || Corpus::open(job, &self.corpus))?;
        let (k, training, model, parameters) = if self.one_pass || self.update.is_some() {
            self.train_once(job, &corpus, common.seed)?
        } else {
            self.iterate(job, &corpus, common.seed)?
        };
        let mut result =
            json!({ "topics": training.topics, "rounds": training.rounds, "largest_residual": training.residual });
        if job.is_dispatcher() {
            if model.topics() < k {
                log::warn!("the corpus has {} topics above the noise, not the {k} asked for", model.topics());
            }
            result["energy"] = json!(model.energy());
            result["singular_values"] = json!([model.singular_values.first(), model.singular_values.last()]);
            let effort = match training.rounds {
                0 => "one pass".to_owned(),
                rounds => format!("{rounds} rounds"),
            };
            let quality = if training.residual.is_nan() {
                "residuals were not computed".to_owned()
            } else {
                format!("largest residual {:.1e}", training.residual)
            };
            let (topics, energy) = (training.topics, 100.0 * model.energy());
            log::info!("{topics} topics in {effort} hold {energy:.1} % of the squared norm; {quality}");
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

    /// Iterates until the residuals are small.
    fn iterate(&self, job: &Job, corpus: &Corpus, seed: u64) -> Result<Trained> {
        let one_pass_only = [
            (self.decay.is_some(), "--decay"),
            (self.chunk_documents.is_some(), "--chunk-documents"),
            (self.polish.is_some(), "--polish"),
            (self.no_residuals, "--no-residuals"),
        ];
        if let Some((_, option)) = one_pass_only.iter().find(|(given, _)| *given) {
            return Err(Error::usage(format!("{option} goes with --one-pass or --update")));
        }
        let params = LsiParams {
            topics: self.k.unwrap_or(TOPICS),
            tolerance: self.tolerance,
            block: self.block,
            rounds: self.rounds,
            basis: self.basis,
            seed,
        };
        let plan = params.check(corpus.header().documents, corpus.header().terms)?;
        let parameters = json!({
            "k": plan.topics, "tolerance": plan.tolerance, "block": plan.block, "rounds": plan.rounds,
            "basis": plan.capacity, "seed": plan.seed,
        });
        job.begin(|| identity(corpus, &parameters))?;
        let (training, model) = train::train(job, corpus, &plan)?;
        let short = training.residual > plan.tolerance && plan.rounds.is_none() && training.topics == plan.topics;
        if short && job.is_dispatcher() {
            log::warn!("stopped at residual {:.1e}, above --tolerance {:.1e}", training.residual, plan.tolerance);
        }
        Ok((plan.topics, training, model, parameters))
    }

    /// Goes through the corpus once.
    fn train_once(&self, job: &Job, corpus: &Corpus, seed: u64) -> Result<Trained> {
        let load = |model: &PathBuf| job.account.phase("load model", || Earlier::load(job, model, corpus));
        let earlier = self.update.as_ref().map(load).transpose()?;
        let params = OnePassParams {
            topics: self.k.or(earlier.as_ref().map(Earlier::topics)).unwrap_or(TOPICS),
            chunk_documents: self.chunk_documents.unwrap_or(CHUNK_DOCUMENTS),
            decay: self.decay.unwrap_or(1.0),
            polish: self.polish.unwrap_or(0),
            residuals: !self.no_residuals,
            seed,
        };
        let documents = corpus.header().documents + earlier.as_ref().map_or(0, Earlier::documents);
        let plan = params.check(documents, corpus.header().terms)?;
        let updated = earlier.as_ref().map(|earlier| earlier.checksum().to_owned());
        let parameters = json!({
            "k": plan.topics, "one_pass": true, "chunk_documents": plan.chunk_documents, "decay": plan.decay,
            "polish": plan.polish, "seed": plan.seed, "updated": updated,
        });
        job.begin(|| {
            let mut identity = identity(corpus, &parameters)?;
            // Not in the file, whose residuals tell it.
            identity["parameters"]["residuals"] = json!(plan.residuals);
            Ok(identity)
        })?;
        let (training, model) = one_pass::train(job, corpus, &plan, earlier)?;
        Ok((plan.topics, training, model, parameters))
    }
}

/// What decides the model. Runs on the dispatcher, which surely sees the corpus.
fn identity(corpus: &Corpus, parameters: &Value) -> Result<Value> {
    let input = Input::result(corpus.reader()?.file())?;
    Ok(provenance::of("lsi", parameters.clone(), &[("corpus", input)]))
}

/// Topics asked for, what training found out, the model, and the parameters as they took effect.
type Trained = (usize, Training, LsiModel, Value);

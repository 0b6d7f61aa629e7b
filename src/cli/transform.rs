//! `corpuscle transform`: model and corpus -> document vectors.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::common::{Data, Kind, Texts, kind_of, open_data};
use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lda::transform::Minimum;
use crate::learn::table::{Choice, Table};
use crate::search::predict::Given;
use crate::store::atomic::{Target, refuse_inputs_as_output};
use crate::{lda, lsi, nmf, pca, projection, search};

/// Take documents, or dense rows, to vectors by a model
///
/// The corpus must have the dictionary of the model and, if the model was made from weights, be weighted with the same
/// tf-idf model. Vectors of an LDA or NMF model are the shares of the topics in each document. A PCA model or random projection
/// that was made for dense rows takes such; an output whose name ends in .npy is then written as numpy does. A pipeline of
/// `corpuscle search` takes rows as `corpuscle predict` does, texts too, and gives what its estimator sees of them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle transform lsi.h5 tfidf.h5 -o vectors.h5
  corpuscle transform lda.h5 corpus.h5 --minimum-probability 0.01 -o shares.h5
  corpuscle transform lda.h5 corpus.h5 --per-word-topics -o words.h5
  corpuscle transform pca.h5 vectors.npy -o components.npy
  corpuscle transform best.h5 new.jsonl --id-field id -o seen.h5")]
pub struct Transform {
    /// LSI, LDA, NMF or PCA model, random projection, or pipeline that `corpuscle search` has fitted
    model: PathBuf,
    /// Corpus; PCA, projection, pipeline: or vectors, a .npy file, a .csv file with a head, an HDF5 file with --dataset;
    /// pipeline: or texts as `corpuscle build` reads them, or an SVMlight file
    data: PathBuf,
    /// Vectors to write (documents x topics, rows x components)
    #[arg(short, long, value_name = "VECTORS")]
    output: PathBuf,
    /// LSI: divide each topic by its singular value, as gensim does with scaled=True
    #[arg(long)]
    scaled: bool,
    /// LDA, NMF: write smaller shares as 0 [default: 0; NMF: that of the model]
    #[arg(long, value_name = "SHARE")]
    minimum_probability: Option<f32>,
    /// LDA: write the topics of each term of each document, too, and how many of its tokens belong to each (phi)
    #[arg(long)]
    per_word_topics: bool,
    /// LDA, --per-word-topics: leave out topics of a smaller phi [default: 0.01]
    #[arg(long, value_name = "PHI")]
    minimum_phi: Option<f32>,
    /// PCA, projection, pipeline: dataset of an HDF5 file of others
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// PCA, projection, pipeline: column of a CSV file, or field of texts, that is kept as the label
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
    #[command(flatten)]
    texts: Texts,
}

impl Transform {
    /// Runs on every rank.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if job.is_dispatcher() {
            refuse_inputs_as_output([self.model.as_path(), self.data.as_path()], &self.output)?;
        }
        let target = job.target(&self.output)?;
        let kind = kind_of(job, &self.model, &Kind::ALL)?;
        let shares = matches!(kind, Kind::Lda | Kind::Nmf);
        for (given, fits, option, with) in [
            (self.minimum_probability.is_some(), shares, "--minimum-probability", "an LDA or NMF model"),
            (self.scaled, kind == Kind::Lsi, "--scaled", "an LSI model"),
            (self.per_word_topics, kind == Kind::Lda, "--per-word-topics", "an LDA model"),
            (self.texts.input_format.is_some(), kind == Kind::Pipeline, "--input-format", "a pipeline"),
            (self.texts.text_field.is_some(), kind == Kind::Pipeline, "--text-field", "a pipeline"),
            (self.texts.id_field.is_some(), kind == Kind::Pipeline, "--id-field", "a pipeline"),
            (self.minimum_phi.is_some(), self.per_word_topics, "--minimum-phi", "--per-word-topics"),
        ] {
            if given && !fits {
                return Err(Error::usage(format!("{option} goes with {with}")));
            }
        }
        if let Some(minimum) = self.minimum_probability.filter(|minimum| !(0.0..=1.0).contains(minimum)) {
            return Err(Error::usage(format!("--minimum-probability {minimum}: from 0 to 1")));
        }
        // A phi is in tokens: it may be above 1.
        if let Some(minimum) = self.minimum_phi.filter(|minimum| !(*minimum >= 0.0 && minimum.is_finite())) {
            return Err(Error::usage(format!("--minimum-phi {minimum}: a number of tokens, such as 0.01")));
        }
        let choice = Choice { dataset: self.dataset.clone(), label_field: self.label_field.clone() };
        if kind == Kind::Pipeline {
            return self.of_pipeline(job, &choice, target);
        }
        let chosen = choice.dataset.is_some() || choice.label_field.is_some();
        let data = match kind {
            Kind::Pca | Kind::Projection => job.account.phase("open", || open_data(job, &self.data, &choice))?,
            _ if chosen => {
                return Err(Error::usage(
                    "--dataset and --label-field go with a PCA model, a projection or a pipeline",
                ));
            }
            _ => Data::Documents(Box::new(job.account.phase("open", || Corpus::open(job, &self.data))?)),
        };
        let (rows, (width, parameters)) = match &data {
            Data::Documents(corpus) => (corpus.header().documents, self.of_documents(job, kind, corpus, target)?),
            Data::Rows(table) => (table.shape().rows as u64, (self.of_rows(job, kind, table, target)?, json!({}))),
        };
        Ok(Outcome {
            output: Some(self.output),
            parameters,
            result: json!({ "documents": rows, "topics": width }),
            accounted: true,
        })
    }

    /// The number of columns of the vectors, and the parameters.
    fn of_documents(&self, job: &Job, kind: Kind, corpus: &Corpus, target: Option<Target>) -> Result<(usize, Value)> {
        let (model, minimum) = (&self.model, self.minimum_probability);
        match kind {
            Kind::Lsi => {
                let topics = lsi::transform::transform(job, model, corpus, self.scaled, target)?;
                Ok((topics, json!({ "scaled": self.scaled })))
            }
            Kind::Lda => {
                let phi = self.minimum_phi.unwrap_or(Minimum::PHI).max(Minimum::SMALLEST_PHI);
                let minimum = Minimum { share: minimum.unwrap_or(0.0), phi: self.per_word_topics.then_some(phi) };
                Ok((lda::transform::transform(job, model, corpus, minimum, target)?, minimum.parameters()))
            }
            Kind::Nmf => {
                let (topics, minimum) = nmf::transform::transform(job, model, corpus, minimum, target)?;
                Ok((topics, json!({ "minimum_probability": minimum })))
            }
            Kind::Pca => Ok((pca::transform::of_documents(job, model, corpus, target)?, json!({}))),
            Kind::Projection => Ok((projection::transform::of_documents(job, model, corpus, target)?, json!({}))),
            Kind::Pipeline => Err(Error::failed("a pipeline takes more than documents; please report it")),
        }
    }

    fn of_pipeline(self, job: &Job, choice: &Choice, target: Option<Target>) -> Result<Outcome> {
        if self.output.extension().is_some_and(|end| end == "npy") {
            return Err(Error::usage(format!("{}: a pipeline writes vectors as HDF5", self.output.display())));
        }
        let texts = self.texts.spec(&self.data, choice);
        let given = Given { path: &self.data, choice, texts: &texts, as_texts: self.texts.are_meant() };
        let transform = || search::transform::transform(job, &self.model, &given, target);
        let (width, rows) = job.account.phase("project", transform)?;
        Ok(Outcome {
            output: Some(self.output),
            parameters: json!({}),
            result: json!({ "documents": rows, "topics": width }),
            accounted: true,
        })
    }

    fn of_rows(&self, job: &Job, kind: Kind, table: &Table, target: Option<Target>) -> Result<usize> {
        match kind {
            Kind::Pca => pca::transform::of_rows(job, &self.model, table, &self.output, target),
            _ => projection::transform::of_rows(job, &self.model, table, &self.output, target),
        }
    }
}

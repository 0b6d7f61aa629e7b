//! `corpuscle transform`: model and corpus -> document vectors.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::common::{Data, Kind, kind_of, open_data};
use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::lda::transform::Minimum;
use crate::learn::table::{Choice, Table};
use crate::store::atomic::{Target, refuse_inputs_as_output};
use crate::{lda, lsi, nmf, pca, projection};

/// Take documents, or dense rows, to vectors by a model
///
/// The corpus must have the dictionary of the model and, if the model was made from weights, be weighted with the same
/// tf-idf model. Vectors of an LDA or NMF model are the shares of the topics in each document. A PCA model or random projection
/// that was made for dense rows takes such; an output whose name ends in .npy is then written as numpy does.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle transform lsi.h5 tfidf.h5 -o vectors.h5
  corpuscle transform lda.h5 corpus.h5 --minimum-probability 0.01 -o shares.h5
  corpuscle transform lda.h5 corpus.h5 --per-word-topics -o words.h5
  corpuscle transform pca.h5 vectors.npy -o components.npy")]
pub struct Transform {
    /// LSI, LDA, NMF or PCA model, or random projection
    model: PathBuf,
    /// Corpus; PCA, projection: or vectors, a .npy file, a .csv file with a head, an HDF5 file with --dataset
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
    /// PCA, projection: dataset of an HDF5 file of others
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// PCA, projection: column of a CSV file that is kept as the label
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
}

impl Transform {
    /// Runs on every rank.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if job.is_dispatcher() {
            refuse_inputs_as_output([self.model.as_path(), self.data.as_path()], &self.output)?;
        }
        let target = job.target(&self.output)?;
        let kind = kind_of(job, &self.model, &[Kind::Lsi, Kind::Lda, Kind::Nmf, Kind::Pca, Kind::Projection])?;
        let shares = matches!(kind, Kind::Lda | Kind::Nmf);
        for (given, fits, option, with) in [
            (self.minimum_probability.is_some(), shares, "--minimum-probability", "an LDA or NMF model"),
            (self.scaled, kind == Kind::Lsi, "--scaled", "an LSI model"),
            (self.per_word_topics, kind == Kind::Lda, "--per-word-topics", "an LDA model"),
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
        let chosen = choice.dataset.is_some() || choice.label_field.is_some();
        let data = match kind {
            Kind::Pca | Kind::Projection => job.account.phase("open", || open_data(job, &self.data, &choice))?,
            _ if chosen => return Err(Error::usage("--dataset and --label-field go with a PCA model or a projection")),
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
        }
    }

    fn of_rows(&self, job: &Job, kind: Kind, table: &Table, target: Option<Target>) -> Result<usize> {
        match kind {
            Kind::Pca => pca::transform::of_rows(job, &self.model, table, &self.output, target),
            _ => projection::transform::of_rows(job, &self.model, table, &self.output, target),
        }
    }
}

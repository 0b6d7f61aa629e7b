//! `corpuscle pca`: dense rows or a corpus -> PCA model.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::common::{Data, open_data};
use super::{Common, Outcome};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::learn::table::{Choice, Table};
use crate::lsi::params::{LsiParams, TOLERANCE};
use crate::pca::covariance::{self, MOST_COLUMNS};
use crate::pca::iteration::{self, Spread};
use crate::pca::model::PcaModel;
use crate::store::atomic::Target;
use crate::store::provenance::{self, Input};

/// Principal component analysis: the directions in which rows vary most
///
/// This is scikit-learn's PCA, signs included. Dense rows are taken by the eigenpairs of their covariances, in double precision; a
/// corpus, which stays sparse, by block Krylov iteration about the mean of its documents. `corpuscle transform` gives the rows
/// along the components.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle pca vectors.npy -k 50 -o pca.h5
  corpuscle pca tfidf.h5 -k 100 --whiten -o pca.h5")]
pub struct Pca {
    /// Vectors of `corpuscle transform`, a .npy file, a .csv file with a head, an HDF5 file with --dataset; or a corpus
    data: PathBuf,
    /// Number of components [default: 200, or all if there are fewer]
    #[arg(short, long, value_name = "K")]
    k: Option<usize>,
    /// Model to write
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// Have `corpuscle transform` divide each component by its standard deviation
    #[arg(long)]
    whiten: bool,
    /// Dataset of an HDF5 file of others
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Column of a CSV file that is a label and no number
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
    /// Corpus: largest relative residual |C u - s²u| / s² to stop at [default: 0.004]
    #[arg(long)]
    tolerance: Option<f64>,
    /// Corpus: columns of a block: larger ones need fewer rounds, smaller ones less work [default: about k/8]
    #[arg(long)]
    block: Option<usize>,
}

/// Components wanted when nothing is said.
const COMPONENTS: usize = 200;

impl Pca {
    /// Runs on every rank.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let choice = Choice { dataset: self.dataset.clone(), label_field: self.label_field.clone() };
        match job.account.phase("open", || open_data(job, &self.data, &choice))? {
            Data::Documents(corpus) => self.of_documents(job, &corpus, common.seed, target),
            Data::Rows(table) => self.of_rows(job, &table, target),
        }
    }

    /// The number of components, of so many rows and columns.
    fn components(&self, path: &Path, rows: u64, columns: u64) -> Result<usize> {
        let most = rows.min(columns) as usize;
        let what = format!("{} has {rows} rows of {columns} columns", path.display());
        if rows < 2 || columns == 0 {
            return Err(Error::failed(format!("{what}: variances need two rows at least")));
        }
        match self.k {
            Some(k) if k == 0 || k > most => Err(Error::usage(format!("-k {k}: from 1 to {most}, since {what}"))),
            k => Ok(k.unwrap_or(COMPONENTS.min(most))),
        }
    }

    fn of_rows(self, job: &Job, table: &Table, target: Option<Target>) -> Result<Outcome> {
        for (given, option) in [(self.tolerance.is_some(), "--tolerance"), (self.block.is_some(), "--block")] {
            if given {
                return Err(Error::usage(format!("{option} goes with a corpus: dense rows are not iterated on")));
            }
        }
        let (rows, columns) = (table.shape().rows, table.shape().columns);
        let k = self.components(table.path(), rows as u64, columns as u64)?;
        if columns > MOST_COLUMNS {
            let path = table.path().display();
            return Err(Error::failed(format!(
                "{path}: {columns} columns are more than the {MOST_COLUMNS} whose covariances can be held; make them fewer \
                 with `corpuscle project`, or `corpuscle import` the rows as a corpus if most numbers are 0"
            )));
        }
        let parameters = json!({ "k": k, "whiten": self.whiten });
        let of = || Ok(provenance::of("pca", parameters.clone(), &[("vectors", table.input()?)]));
        job.begin(of)?;
        let model = covariance::train(job, table, k, self.whiten)?;
        let mut result = json!({});
        // The dispatcher has both.
        if let Some((model, target)) = model.zip(target) {
            result = summary(&model, 0);
            let _phase = job.account.enter_phase("write");
            let provenance = of()?;
            job.account.io(|| model.save(target, &provenance, None))?;
        }
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }

    fn of_documents(self, job: &Job, corpus: &Corpus, seed: u64, target: Option<Target>) -> Result<Outcome> {
        let (documents, terms) = (corpus.header().documents, corpus.header().terms);
        let k = self.components(corpus.path(), documents, u64::from(terms))?;
        let params = LsiParams {
            topics: k,
            tolerance: self.tolerance.unwrap_or(TOLERANCE),
            block: self.block,
            rounds: None,
            basis: None,
            seed,
        };
        let plan = params.check(documents, terms)?;
        let parameters = json!({
            "k": k, "whiten": self.whiten, "tolerance": plan.tolerance, "block": plan.block, "basis": plan.capacity,
            "seed": plan.seed,
        });
        let of = || {
            let input = Input::result(corpus.reader()?.file())?;
            Ok(provenance::of("pca", parameters.clone(), &[("corpus", input)]))
        };
        job.begin(of)?;
        let spread = iteration::train(job, corpus, &plan, self.whiten)?;
        let Spread { model, rounds, .. } = &spread;
        if job.is_dispatcher() && model.width() < k {
            log::warn!("the corpus has {} components above the noise, not the {k} asked for", model.width());
        }
        let result = if job.is_dispatcher() { summary(model, *rounds) } else { json!({}) };
        job.account.phase("write", || iteration::save(job, &spread, corpus, target, of))?;
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }
}

/// What there is to say of a model, also in the log.
fn summary(model: &PcaModel, rounds: usize) -> serde_json::Value {
    let explained: f64 = model.explained_variance_ratio().iter().sum();
    let residual = model.residuals.iter().copied().fold(0.0, f64::max);
    let (k, percent) = (model.width(), 100.0 * explained);
    log::info!("{k} components explain {percent:.2} % of the variance; largest residual {residual:.1e}");
    json!({
        "components": k, "rounds": rounds, "largest_residual": residual, "explained_variance_ratio": explained,
        "noise_variance": model.noise_variance(),
        "explained_variance": [model.explained_variance().first(), model.explained_variance().last()],
    })
}

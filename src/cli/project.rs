//! `corpuscle project`: a random projection for dense rows or a corpus.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::common::{Data, open_data};
use super::{Common, Outcome};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::learn::table::Choice;
use crate::projection::matrix::{Kind, Matrix, least_width};
use crate::projection::model::ProjectionModel;
use crate::store::provenance::{self, Input};
use crate::vectors::model::DENSE;

/// Random projection: fewer columns that keep distances
///
/// Nothing is learned: the matrix is a function of --seed and of the number of columns of the data, and the model says which one it
/// is. `corpuscle transform` multiplies with it. Distances are kept to within a share of about sqrt(8 ln(rows) / K).
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle project tfidf.h5 -k 300 -o projection.h5
  corpuscle project vectors.npy --eps 0.2 --matrix gaussian -o projection.h5
  corpuscle project corpus.h5 -k 200 --density 0.1 -o projection.h5")]
#[command(group(clap::ArgGroup::new("width").required(true).args(["k", "eps"])))]
pub struct Project {
    /// Vectors of `corpuscle transform`, a .npy file, a .csv file with a head, an HDF5 file with --dataset; or a corpus
    data: PathBuf,
    /// Columns of the result
    #[arg(short, long, value_name = "K")]
    k: Option<usize>,
    /// As many columns as keep the distances of the rows of the data to within this share, by the lemma of Johnson and
    /// Lindenstrauss
    #[arg(long, value_name = "SHARE")]
    eps: Option<f64>,
    /// Model to write
    #[arg(short, long, value_name = "MODEL")]
    output: PathBuf,
    /// How entries are drawn
    #[arg(long, value_enum, default_value_t = Kind::Sparse)]
    matrix: Kind,
    /// Sparse: share of the entries that are not 0; 1: signs only, as gensim's RpModel [default: 1 / sqrt(columns of the data)]
    #[arg(long, value_name = "SHARE")]
    density: Option<f64>,
    /// Dataset of an HDF5 file of others
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Column of a CSV file that is a label and no number
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
}

impl Project {
    /// Runs on every rank; the dispatcher does it all but opening the data.
    pub fn run(self, job: &Job, common: &Common) -> Result<Outcome> {
        let target = job.target(&self.output)?;
        let choice = Choice { dataset: self.dataset.clone(), label_field: self.label_field.clone() };
        let data = job.account.phase("open", || open_data(job, &self.data, &choice))?;
        let (rows, columns) = match &data {
            Data::Documents(corpus) => (corpus.header().documents, corpus.header().terms as usize),
            Data::Rows(table) => (table.shape().rows as u64, table.shape().columns),
        };
        let matrix = self.matrix(rows, columns, common.seed)?;
        let Matrix { kind, density, width, seed, .. } = matrix;
        if width >= columns && job.is_dispatcher() {
            log::warn!("{width} columns are not fewer than the {columns} of the data");
        }
        let parameters = json!({ "k": width, "matrix": kind.name(), "density": density, "seed": seed });
        if let Some(target) = target {
            let (role, input, terms, values) = match &data {
                Data::Documents(corpus) => {
                    let (reader, values) = (corpus.reader()?, corpus.header().values.name().to_owned());
                    ("corpus", Input::result(reader.file())?, job.account.io(|| reader.terms())?, values)
                }
                Data::Rows(table) => ("vectors", table.input()?, Vec::new(), DENSE.to_owned()),
            };
            let provenance = provenance::of("project", parameters.clone(), &[(role, input)]);
            let model = ProjectionModel { matrix, terms, values };
            job.account.phase("write", || job.account.io(|| model.save(target, &provenance)))?;
        }
        let result = json!({ "columns": columns, "k": width });
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }

    /// The matrix asked for, for so many rows of so many columns.
    fn matrix(&self, rows: u64, columns: usize, seed: u64) -> Result<Matrix> {
        let path = self.data.display();
        if columns == 0 || rows == 0 {
            return Err(Error::failed(format!("{path}: {rows} rows of {columns} columns: nothing to project")));
        }
        if self.matrix == Kind::Gaussian && self.density.is_some() {
            return Err(Error::usage("--density goes with --matrix sparse"));
        }
        let density = match self.matrix {
            Kind::Gaussian => 1.0,
            Kind::Sparse => self.density.unwrap_or(1.0 / (columns as f64).sqrt()),
        };
        if !(density > 0.0 && density <= 1.0) {
            return Err(Error::usage(format!("--density {density}: above 0 and at most 1")));
        }
        let width = match (self.k, self.eps) {
            (_, Some(eps)) => {
                let width = least_width(rows, eps)?;
                if width > columns {
                    return Err(Error::usage(format!(
                        "--eps {eps}: {rows} rows need {width} columns, more than the {columns} there are; allow more, or \
                         choose with -k"
                    )));
                }
                width
            }
            (Some(k), None) if (1..=1 << 20).contains(&k) => k,
            (k, None) => return Err(Error::usage(format!("-k {}: from 1 to 1048576", k.unwrap_or(0)))),
        };
        Ok(Matrix { kind: self.matrix, density, rows: columns, width, seed })
    }
}

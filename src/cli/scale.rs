//! `corpuscle scale`: dense vectors -> the same with mean 0 and variance 1 in each column.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Dataset, Job};
use crate::error::{Error, Result};
use crate::learn::scaled_file::{Output, Place};
use crate::learn::scaler::{self, StandardScaler};
use crate::learn::table::{Blocks, Choice, Table};
use crate::store::atomic::{refuse_inputs_as_output, same_file};
use crate::store::file::OpenFile;
use crate::store::provenance::{self, Input};

/// Scale each column of dense vectors to mean 0 and variance 1
///
/// This is scikit-learn's StandardScaler. Missing values (NaN) are left out of the statistics and stay missing; a column that does not vary is not divided.
/// Numbers keep their precision. An output whose name ends in .npy is written as numpy does, any other as a vectors file.
///
/// Examples: corpuscle scale vectors.h5 -o scaled.h5 --model-out scaler.h5
///           corpuscle scale new.npy -o new-scaled.npy --model scaler.h5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Scale {
    /// Vectors of `corpuscle transform`, a .npy file, a .csv file with a head, an HDF5 file with --dataset, or else an SVMlight file,
    /// whose zeros are written out
    vectors: PathBuf,
    /// Vectors to write
    #[arg(short, long, value_name = "VECTORS")]
    output: PathBuf,
    /// Dataset of an HDF5 file of others
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// Column of a CSV file that is not scaled but kept as the label
    #[arg(long, value_name = "NAME")]
    label_field: Option<String>,
    /// Leave the mean as it is
    #[arg(long)]
    no_mean: bool,
    /// Leave the variance as it is
    #[arg(long)]
    no_std: bool,
    /// Also write what was learned, for vectors to come
    #[arg(long, value_name = "FILE")]
    model_out: Option<PathBuf>,
    /// Take mean and scale from this file instead of from the vectors
    #[arg(long, value_name = "FILE", conflicts_with_all = ["no_mean", "no_std", "model_out"])]
    model: Option<PathBuf>,
}

impl Scale {
    /// Runs on every rank.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        if job.is_dispatcher() {
            let inputs = [Some(&self.vectors), self.model.as_ref()].into_iter().flatten().map(PathBuf::as_path);
            refuse_inputs_as_output(inputs.clone(), &self.output)?;
            if let Some(model) = &self.model_out {
                refuse_inputs_as_output(inputs, model)?;
                if same_file(model, &self.output) {
                    return Err(Error::usage(format!("{}: --model-out and --output name one file", model.display())));
                }
            }
        }
        let target = job.target(&self.output)?;
        let model_target = self.model_out.as_ref().map(|path| job.target(path)).transpose()?.flatten();
        let choice = Choice { dataset: self.dataset.clone(), label_field: self.label_field.clone() };
        let mut table = job.account.phase("open", || Table::open(job, &self.vectors, &choice))?;
        let mut loaded = None;
        let known = self.model.as_ref().map(|path| {
            let message = job.share(|| {
                let (scaler, reader) = StandardScaler::load(path)?;
                loaded = Some(reader);
                Ok(scaler.to_bytes())
            })?;
            let scaler = StandardScaler::from_bytes(&message)?;
            table.widen(scaler.columns());
            same_columns(path, &scaler, &table).map(|()| scaler)
        });
        let known = known.transpose()?;
        job.begin(|| {
            let mut inputs = vec![("vectors", job.account.io(|| table.input())?)];
            if let Some(path) = &self.model {
                inputs.push(("model", Input::result(&OpenFile::open(path)?)?));
            }
            // The kind of file decides what a result is.
            let parameters = json!({
                "with_mean": !self.no_mean, "with_std": !self.no_std, "dataset": self.dataset,
                "label_field": self.label_field, "extension": self.output.extension().map(|e| e.to_string_lossy()),
            });
            Ok(provenance::of("scale", parameters, &inputs))
        })?;
        let dataset = Dataset::new(job, Blocks::of(&table))?.enduring();
        let scaler = match known {
            Some(scaler) => scaler,
            None => job.account.phase("fit", || scaler::fit(job, &table, &dataset, !self.no_mean, !self.no_std))?,
        };
        let phase = job.account.enter_phase("apply");
        let columns = table.shape().columns;
        let mut output = target.map(|target| Output::create(target, &self.output, table.shape())).transpose()?;
        let place = Place::find(job, output.as_ref())?;
        scaler::apply(job, &dataset, &scaler, place.as_ref(), &mut |rows| {
            output.as_mut().map_or(Ok(()), |output| output.append(&rows, table.shape()))
        })?;
        drop(place);
        drop(phase);
        let parameters = scaler::parameters(&scaler);
        if let Some(output) = output {
            let _phase = job.account.enter_phase("write");
            let provenance = || -> Result<serde_json::Value> {
                let mut inputs = vec![("vectors", job.account.io(|| table.input())?)];
                if let Some(reader) = &loaded {
                    inputs.push(("model", Input::result(reader.file())?));
                }
                Ok(provenance::of("scale", parameters.clone(), &inputs))
            };
            if let Some(target) = model_target {
                let provenance = provenance()?;
                job.account.io(|| scaler.save(target, &provenance))?;
            }
            output.finish(job, &table, provenance)?;
        }
        let (rows, constant) = (table.shape().rows, constant(&scaler));
        if constant > 0 && job.is_dispatcher() {
            log::warn!("{constant} of {columns} columns do not vary: they are not divided");
        }
        let result = json!({ "rows": rows, "columns": columns, "constant_columns": constant });
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }
}

/// Columns that do not vary.
fn constant(scaler: &StandardScaler) -> usize {
    scaler.scale.iter().zip(&scaler.variance).filter(|&(&scale, &variance)| scale == 1.0 && variance != 1.0).count()
}

fn same_columns(path: &Path, scaler: &StandardScaler, table: &Table) -> Result<()> {
    if scaler.columns() != table.shape().columns {
        let (given, known) = (table.shape().columns, scaler.columns());
        let what = format!("has {given} columns, but the scaler {} was made of {known}", path.display());
        return Err(Error::failed(format!("{}: {what}", table.path().display())));
    }
    Ok(())
}

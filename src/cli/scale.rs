//! `corpuscle scale`: dense vectors -> the same with mean 0 and variance 1 in each column.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{Common, Outcome};
use crate::dispatch::{Dataset, Job};
use crate::error::{At, Error, Result};
use crate::learn::scaler::{self, StandardScaler};
use crate::learn::table::{Blocks, Choice, Numbers, Table, as_rows};
use crate::store::atomic::{Target, refuse_inputs_as_output, same_file};
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter, Slabs};
use crate::store::provenance::{self, Input};

/// Scale each column of dense vectors to mean 0 and variance 1, as scikit-learn's StandardScaler does
///
/// Missing values (NaN) are left out of the statistics and stay missing; a column that does not vary is not divided.
/// Numbers keep their precision. An output whose name ends in .npy is written as numpy does, any other as a vectors file.
///
/// Examples: corpuscle scale vectors.h5 -o scaled.h5 --model-out scaler.h5
///           corpuscle scale new.npy -o new-scaled.npy --model scaler.h5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Scale {
    /// Vectors of `corpuscle transform`, a .npy file, a .csv file with a head, or an HDF5 file with --dataset
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
        let table = job.account.phase("open", || Table::open(job, &self.vectors, &choice))?;
        let dataset = Dataset::new(job, Blocks::of(&table))?;
        let mut loaded = None;
        let scaler = match &self.model {
            Some(path) => StandardScaler::from_bytes(&job.share(|| {
                let (scaler, reader) = load(path, &table)?;
                loaded = Some(reader);
                Ok(scaler.to_bytes())
            })?)?,
            None => job.account.phase("fit", || scaler::fit(job, &table, &dataset, !self.no_mean, !self.no_std))?,
        };
        let phase = job.account.enter_phase("apply");
        let columns = table.shape().columns;
        let mut output = target.map(|target| Output::create(target, &self.output, &table)).transpose()?;
        scaler::apply(job, &dataset, &scaler, table.shape().double, &mut |rows| {
            output.as_mut().map_or(Ok(()), |output| output.append(rows, columns))
        })?;
        drop(phase);
        let parameters = scaler::parameters(&scaler);
        if let Some(output) = output {
            let _phase = job.account.enter_phase("write");
            let mut inputs = vec![("vectors", job.account.io(|| table.input())?)];
            if let Some(reader) = &loaded {
                inputs.push(("model", Input::result(reader.file())?));
            }
            let provenance = provenance::of("scale", parameters.clone(), &inputs);
            job.account.io(|| output.finish(&table, &provenance))?;
            if let Some(target) = model_target {
                job.account.io(|| scaler.save(target, &provenance))?;
            }
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

fn load(path: &Path, table: &Table) -> Result<(StandardScaler, ModelReader)> {
    let (scaler, reader) = StandardScaler::load(path)?;
    if scaler.columns() != table.shape().columns {
        let (given, known) = (table.shape().columns, scaler.columns());
        let what = format!("has {given} columns, but the scaler {} was made of {known}", path.display());
        return Err(Error::failed(format!("{}: {what}", table.path().display())));
    }
    Ok((scaler, reader))
}

/// The dispatcher's side: the file being written.
enum Output {
    Npy { target: Target, file: BufWriter<File> },
    Single { rows: Slabs<f32>, file: ModelWriter },
    Double { rows: Slabs<f64>, file: ModelWriter },
}

impl Output {
    fn create(target: Target, name: &Path, table: &Table) -> Result<Output> {
        let shape = table.shape();
        if name.extension().is_some_and(|extension| extension == "npy") {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(target.temporary()).at(target.path())?);
            let kind = if shape.double { "<f8" } else { "<f4" };
            let head = format!(
                "{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}, {}), }}",
                shape.rows, shape.columns
            );
            // The data begins at a multiple of 64 bytes, behind a line feed.
            let length = (head.len() + 11).next_multiple_of(64) - 10;
            file.write_all(b"\x93NUMPY\x01\x00").at(target.path())?;
            file.write_all(&(length as u16).to_le_bytes()).at(target.path())?;
            writeln!(file, "{head:<width$}", width = length - 1).at(target.path())?;
            return Ok(Output::Npy { target, file });
        }
        let mut file = ModelWriter::create(target, Format::Vectors)?;
        Ok(if shape.double {
            Output::Double { rows: file.slabs("vectors", shape.columns)?, file }
        } else {
            Output::Single { rows: file.slabs("vectors", shape.columns)?, file }
        })
    }

    fn append(&mut self, numbers: Numbers, columns: usize) -> Result<()> {
        match (self, &numbers) {
            (Output::Npy { target, file }, Numbers::Single(numbers)) => {
                file.write_all(bytemuck::cast_slice(numbers)).at(target.path())
            }
            (Output::Npy { target, file }, Numbers::Double(numbers)) => {
                file.write_all(bytemuck::cast_slice(numbers)).at(target.path())
            }
            (Output::Single { rows, file }, Numbers::Single(numbers)) => file.push(rows, as_rows(numbers, columns)),
            (Output::Double { rows, file }, Numbers::Double(numbers)) => file.push(rows, as_rows(numbers, columns)),
            _ => Err(Error::failed("scaled rows of another precision than their table")),
        }
    }

    fn finish(self, table: &Table, provenance: &serde_json::Value) -> Result<()> {
        let mut file = match self {
            Output::Npy { target, file } => {
                file.into_inner().map_err(|error| error.into_error()).at(target.path())?;
                return target.commit();
            }
            Output::Single { rows, mut file } => {
                file.finish_slabs(rows)?;
                file
            }
            Output::Double { rows, mut file } => {
                file.finish_slabs(rows)?;
                file
            }
        };
        file.strings("ids", table.ids()?)?;
        if let Some(labels) = table.labels()? {
            file.strings("labels", labels)?;
        }
        file.finish(provenance).map(drop)
    }
}

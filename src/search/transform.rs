//! The vectors that the estimator of a fitted pipeline sees: all rows of a file taken through the steps before it.
//!
//! Cost: that of the steps; 4 bytes a row and column travel to the dispatcher, which writes them as they come.
//!
//! The file: that of [`vectors::documents`](crate::vectors::documents).

use std::path::Path;

use ndarray::ArrayView2;
use serde_json::{Value, json};

use super::model::{FittedPipeline, Stage};
use super::predict::{Given, Names, Passage, pass};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelWriter, Slabs};
use crate::store::provenance;
use crate::vectors::model::ModelInput;

/// Transforms all rows of a file. Collective; `target` is given on the dispatcher. Returns the number of columns and, on the
/// dispatcher, of rows.
///
/// # Errors
/// A pipeline whose steps make no vectors; rows it was not made for; those of reading and writing.
pub fn transform(job: &Job, model: &Path, given: &Given, target: Option<Target>) -> Result<(usize, usize)> {
    let mut way = Transforming { job, path: given.path, target, output: None, width: 0, provenance: Value::Null };
    let Names { ids, labels } = pass(job, model, given, &mut way)?;
    let Transforming { output, provenance, width, .. } = way;
    let rows = ids.len();
    if let Some((vectors, mut file)) = output {
        job.account.phase("write", || {
            job.account.io(|| {
                file.finish_slabs(vectors)?;
                file.strings("ids", ids)?;
                if let Some(labels) = labels {
                    file.strings("labels", labels)?;
                }
                file.finish(&provenance).map(drop)
            })
        })?;
    }
    Ok((width, rows))
}

struct Transforming<'a> {
    job: &'a Job<'a>,
    path: &'a Path,
    target: Option<Target>,
    // The slabs before the file, which must be the last to let go of it.
    output: Option<(Slabs<f32>, ModelWriter)>,
    width: usize,
    provenance: Value,
}

impl Passage for Transforming<'_> {
    fn begin(&mut self, pipeline: &FittedPipeline, model: &ModelInput) -> Result<()> {
        self.width = pipeline.width()?;
        let made = || Ok(model.provenance(json!({}), ("data", provenance::of_input(self.path)?)));
        self.job.begin(made)?;
        if let Some(target) = self.target.take() {
            self.provenance = made()?;
            let mut file = ModelWriter::create(target, Format::Vectors)?;
            self.output = Some((file.slabs("vectors", self.width)?, file));
        }
        Ok(())
    }

    fn run(&self, pipeline: &FittedPipeline, rows: Stage) -> Result<Vec<u8>> {
        let vectors = pipeline.transform(self.job.pool, rows)?;
        let single: Vec<f32> = vectors.iter().map(|&value| value as f32).collect();
        Ok(bytemuck::cast_slice(&single).to_vec())
    }

    fn take(&mut self, answer: Vec<u8>) -> Result<()> {
        let Some((vectors, file)) = &mut self.output else { return Ok(()) };
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&answer);
        let rows = ArrayView2::from_shape((values.len() / self.width, self.width), &values)
            .map_err(|cause| Error::failed(format!("damaged message: vectors do not add up: {cause}")))?;
        file.push(vectors, rows)
    }
}

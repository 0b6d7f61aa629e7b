//! A saved random projection: not its entries, but what they are functions of.
//!
//! Attributes `kind` ("sparse" or "gaussian"), `density` (f64), `rows` (columns of the data), `k`, `seed`, `values` ("rows", or what
//! the corpus held); dataset `terms` (strings), of a corpus.

use std::path::Path;

use serde_json::Value;

use super::matrix::{Kind, Matrix};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::vectors::model::DENSE;

/// A projection and what it is for.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionModel {
    /// The matrix.
    pub matrix: Matrix,
    /// The dictionary, of a corpus.
    pub terms: Vec<String>,
    /// [`DENSE`], or what the corpus held.
    pub values: String,
}

impl ProjectionModel {
    /// Writes the model.
    pub fn save(&self, target: Target, provenance: &Value) -> Result<()> {
        let Matrix { kind, density, rows, width, seed } = self.matrix;
        let mut file = ModelWriter::create(target, Format::Projection)?;
        if self.values != DENSE {
            file.strings("terms", &self.terms)?;
        }
        file.attribute("kind", kind.name())?;
        file.attribute("density", density)?;
        file.attribute("rows", rows as u64)?;
        file.attribute("k", width as u64)?;
        file.attribute("seed", seed)?;
        file.attribute("values", self.values.as_str())?;
        file.finish(provenance).map(drop)
    }

    /// Reads a model.
    pub fn load(path: &Path) -> Result<ProjectionModel> {
        Self::read(&ModelReader::open(path, Format::Projection)?)
    }

    /// Reads a model from its opened file.
    pub fn read(reader: &ModelReader) -> Result<ProjectionModel> {
        let file = reader.file();
        let damaged = || reader.misfit("random projection");
        let values = file.text("values")?;
        let kind = match file.text("kind")?.as_str() {
            "sparse" => Kind::Sparse,
            "gaussian" => Kind::Gaussian,
            _ => return Err(damaged()),
        };
        let model = ProjectionModel {
            matrix: Matrix {
                kind,
                density: file.float("density")?,
                rows: file.unsigned("rows")? as usize,
                width: file.unsigned("k")? as usize,
                seed: file.unsigned("seed")?,
            },
            terms: if values == DENSE { Vec::new() } else { reader.all_strings("terms")? },
            values,
        };
        let Matrix { density, rows, width, .. } = model.matrix;
        let fits = rows > 0 && width > 0 && width <= u32::MAX as usize && density > 0.0 && density <= 1.0;
        if !fits || model.values != DENSE && rows != model.terms.len() {
            return Err(damaged());
        }
        Ok(model)
    }

    /// Gives every rank the dispatcher's matrix. Collective; `load` runs on the dispatcher only.
    pub fn share(job: &Job, load: impl FnOnce() -> Result<ProjectionModel>) -> Result<Matrix> {
        let message = job.share(|| {
            let Matrix { kind, density, rows, width, seed } = load()?.matrix;
            let numbers = [u64::from(kind == Kind::Gaussian), density.to_bits(), rows as u64, width as u64, seed];
            Ok(numbers.map(u64::to_le_bytes).concat())
        })?;
        let numbers: Vec<u64> = bytemuck::pod_collect_to_vec(&message);
        let [gaussian, density, rows, width, seed] = numbers[..] else {
            return Err(Error::failed("damaged message: a random projection"));
        };
        let kind = if gaussian == 1 { Kind::Gaussian } else { Kind::Sparse };
        Ok(Matrix { kind, density: f64::from_bits(density), rows: rows as usize, width: width as usize, seed })
    }
}

//! A saved LSI model.
//!
//! Datasets: `left_vectors` (terms x k, f32), `singular_values` (k, f64), `residuals` (k, f64), `terms` (strings);
//! attributes `documents`, `values` (what the corpus held: "counts" or a weighting's code), `frobenius_squared`;
//! section `weighting`: how the corpus was weighted, if it was by us.

use std::path::Path;

use ndarray::Array2;
use serde_json::Value;

use crate::corpus::container::WEIGHTING;
use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::store::section::Section;

/// The k leading singular triplets of a terms x documents matrix, without the right vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct LsiModel {
    /// Left singular vectors (terms x k), the largest entry of each positive.
    pub left_vectors: Array2<f32>,
    /// Singular values, largest first.
    pub singular_values: Vec<f64>,
    /// ||A A^T u - s^2 u|| / s^2 of each triplet.
    pub residuals: Vec<f64>,
    /// The dictionary.
    pub terms: Vec<String>,
    /// Documents it was made from.
    pub documents: u64,
    /// What the corpus held: "counts" or the code of a weighting.
    pub values: String,
    /// Sum of the squares of the corpus: what the singular values would add up to if there were enough of them.
    pub frobenius_squared: f64,
}

impl LsiModel {
    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.singular_values.len()
    }

    /// Share of the squared norm of the corpus that the topics hold.
    pub fn energy(&self) -> f64 {
        self.singular_values.iter().map(|s| s * s).sum::<f64>() / self.frobenius_squared
    }

    /// Writes the model, with the weighting of the corpus it was made from.
    pub fn save(&self, target: Target, provenance: &Value, weighting: Option<&Section>) -> Result<()> {
        let mut file = ModelWriter::create(target, Format::Lsi)?;
        file.table("left_vectors", self.left_vectors.view())?;
        file.list("singular_values", &self.singular_values)?;
        file.list("residuals", &self.residuals)?;
        file.strings("terms", &self.terms)?;
        file.attribute("documents", self.documents)?;
        file.attribute("values", self.values.as_str())?;
        file.attribute("frobenius_squared", self.frobenius_squared)?;
        if let Some(weighting) = weighting {
            file.section(WEIGHTING)?.copy(weighting)?;
        }
        file.finish(provenance).map(drop)
    }

    /// Reads a model.
    pub fn load(path: &Path) -> Result<LsiModel> {
        Self::read(&ModelReader::open(path, Format::Lsi)?)
    }

    /// Reads a model from its opened file.
    pub fn read(reader: &ModelReader) -> Result<LsiModel> {
        let model = LsiModel {
            left_vectors: reader.table("left_vectors")?,
            singular_values: reader.list("singular_values")?,
            residuals: reader.list("residuals")?,
            terms: reader.all_strings("terms")?,
            documents: reader.file().unsigned("documents")?,
            values: reader.file().text("values")?,
            frobenius_squared: reader.file().float("frobenius_squared")?,
        };
        let (terms, k) = model.left_vectors.dim();
        if terms != model.terms.len() || k != model.singular_values.len() || k != model.residuals.len() {
            return Err(Error::failed(format!(
                "{}: damaged model (its parts do not fit); make it again",
                reader.file().path.display()
            )));
        }
        Ok(model)
    }
}

//! A saved LSI model.
//!
//! Datasets: `left_vectors` (terms x k, f32), `singular_values` (k, f64), `residuals` (k, f64), `terms` (strings);
//! attributes `documents`, `values` (what the corpus held: "counts" or a weighting's code), `frobenius_squared`;
//! section `weighting`: how the corpus was weighted, if it was by us.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use crate::corpus::container::WEIGHTING;
use crate::error::Result;
use crate::store::atomic::Target;
use crate::store::file::{Format, OpenFile};
use crate::store::model::{ModelReader, ModelWriter};
use crate::store::provenance::{self, Input};
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

/// What a model was made from, as its file tells it.
#[derive(Default)]
pub struct Origin {
    /// All steps from raw text on.
    pub provenance: Value,
    /// How the corpus was weighted, if it was by us.
    pub weighting: Option<Section>,
}

impl Origin {
    /// A model made from this corpus with these parameters.
    pub fn of(corpus: &OpenFile, parameters: Value) -> Result<Origin> {
        let provenance = provenance::of("lsi", parameters, &[("corpus", Input::result(corpus)?)]);
        Ok(Origin { provenance, weighting: Section::open(corpus, WEIGHTING)? })
    }
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

    /// Writes the model.
    pub fn save(&self, target: Target, origin: &Origin) -> Result<()> {
        self.save_rows(target, origin, |sink| sink(self.left_vectors.view()))
    }

    /// Writes the model with left vectors that come from elsewhere: `rows` hands them on in slabs, in order.
    pub fn save_rows(
        &self,
        target: Target,
        origin: &Origin,
        rows: impl FnOnce(&mut dyn FnMut(ArrayView2<f32>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let mut file = ModelWriter::create(target, Format::Lsi)?;
        let mut slabs = file.slabs("left_vectors", self.left_vectors.ncols())?;
        rows(&mut |slab| file.push(&mut slabs, slab))?;
        file.finish_slabs(slabs)?;
        file.list("singular_values", &self.singular_values)?;
        file.list("residuals", &self.residuals)?;
        file.strings("terms", &self.terms)?;
        file.attribute("documents", self.documents)?;
        file.attribute("values", self.values.as_str())?;
        file.attribute("frobenius_squared", self.frobenius_squared)?;
        if let Some(weighting) = &origin.weighting {
            file.section(WEIGHTING)?.copy(weighting)?;
        }
        file.finish(&origin.provenance).map(drop)
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
            return Err(reader.misfit("model"));
        }
        Ok(model)
    }
}

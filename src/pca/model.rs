//! A saved PCA model.
//!
//! Datasets: `components` (columns x k, f64; scikit-learn's `components_` is its transpose), `mean` (columns, f64),
//! `explained_variance`, `explained_variance_ratio`, `singular_values`, `residuals` (k, f64), `terms` (strings; of a corpus only);
//! attributes `rows`, `total_variance`, `noise_variance`, `whiten` (0 or 1), `values` ("rows", or what the corpus held); section
//! `weighting`: how the corpus was weighted, if it was by us.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use crate::corpus::container::WEIGHTING;
use crate::error::Result;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::store::section::Section;
use crate::vectors::affine::Affine;
use crate::vectors::model::DENSE;

/// The k leading principal components.
#[derive(Debug, Clone, PartialEq)]
pub struct PcaModel {
    /// Unit vectors (columns x k), the largest entry of each positive.
    pub components: Array2<f64>,
    /// Mean of each column.
    pub mean: Vec<f64>,
    /// Singular values of the centred rows, largest first.
    pub singular_values: Vec<f64>,
    /// |C u - s^2 u| / s^2 of each component, for values of s^2 above rounding.
    pub residuals: Vec<f64>,
    /// Sum of the variances of all columns.
    pub total_variance: f64,
    /// Number of rows.
    pub rows: u64,
    /// Vectors are to be divided by the standard deviation of their component.
    pub whiten: bool,
    /// The dictionary, of a corpus.
    pub terms: Vec<String>,
    /// [`DENSE`], or what the corpus held: "counts" or the code of a weighting.
    pub values: String,
}

impl PcaModel {
    /// Number of components.
    pub fn width(&self) -> usize {
        self.singular_values.len()
    }

    /// Variance along each component.
    pub fn explained_variance(&self) -> Vec<f64> {
        self.singular_values.iter().map(|s| s * s / (self.rows as f64 - 1.0)).collect()
    }

    /// Share of each component in the variance of all columns.
    pub fn explained_variance_ratio(&self) -> Vec<f64> {
        let total = self.total_variance.max(f64::MIN_POSITIVE);
        self.explained_variance().into_iter().map(|variance| variance / total).collect()
    }

    /// Mean variance along the directions that are not among the components (Tipping and Bishop, J. R. Stat. Soc. B 61, 1999);
    /// 0 if there are none.
    pub fn noise_variance(&self) -> f64 {
        let others = self.rows.min(self.mean.len() as u64).saturating_sub(self.width() as u64);
        let left = self.total_variance - self.explained_variance().iter().sum::<f64>();
        if others == 0 { 0.0 } else { left.max(0.0) / others as f64 }
    }

    /// Writes the model.
    pub fn save(&self, target: Target, provenance: &Value, weighting: Option<Section>) -> Result<()> {
        self.save_rows(target, provenance, weighting, |sink| sink(self.components.view()))
    }

    /// Writes the model with components that come from elsewhere: `rows` hands them on in slabs, in order.
    pub fn save_rows(
        &self,
        target: Target,
        provenance: &Value,
        weighting: Option<Section>,
        rows: impl FnOnce(&mut dyn FnMut(ArrayView2<f64>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let mut file = ModelWriter::create(target, Format::Pca)?;
        let mut slabs = file.slabs("components", self.width())?;
        rows(&mut |slab| file.push(&mut slabs, slab))?;
        file.finish_slabs(slabs)?;
        file.list("mean", &self.mean)?;
        file.list("explained_variance", &self.explained_variance())?;
        file.list("explained_variance_ratio", &self.explained_variance_ratio())?;
        file.list("singular_values", &self.singular_values)?;
        file.list("residuals", &self.residuals)?;
        if self.values != DENSE {
            file.strings("terms", &self.terms)?;
        }
        file.attribute("rows", self.rows)?;
        file.attribute("total_variance", self.total_variance)?;
        file.attribute("noise_variance", self.noise_variance())?;
        file.attribute("whiten", u64::from(self.whiten))?;
        file.attribute("values", self.values.as_str())?;
        if let Some(weighting) = &weighting {
            file.section(WEIGHTING)?.copy(weighting)?;
        }
        file.finish(provenance).map(drop)
    }

    /// Reads a model.
    pub fn load(path: &Path) -> Result<PcaModel> {
        Self::read(&ModelReader::open(path, Format::Pca)?)
    }

    /// Reads a model from its opened file.
    pub fn read(reader: &ModelReader) -> Result<PcaModel> {
        let file = reader.file();
        let values = file.text("values")?;
        let model = PcaModel {
            components: reader.table("components")?,
            mean: reader.list("mean")?,
            singular_values: reader.list("singular_values")?,
            residuals: reader.list("residuals")?,
            total_variance: file.float("total_variance")?,
            rows: file.unsigned("rows")?,
            whiten: file.unsigned("whiten")? != 0,
            terms: if values == DENSE { Vec::new() } else { reader.all_strings("terms")? },
            values,
        };
        let (columns, k) = model.components.dim();
        let fits = columns == model.mean.len() && k == model.width() && k == model.residuals.len() && k > 0;
        if !fits || model.rows < 2 || model.values != DENSE && columns != model.terms.len() {
            return Err(reader.misfit("model"));
        }
        Ok(model)
    }

    /// What it does to rows.
    pub fn affine(self) -> Affine {
        let deviation = |variance: &f64| variance.sqrt().max(f64::EPSILON);
        let divisors = if self.whiten { self.explained_variance().iter().map(deviation).collect() } else { Vec::new() };
        Affine { mean: self.mean, matrix: self.components, divisors }
    }
}

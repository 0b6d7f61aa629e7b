//! A saved NMF model.
//!
//! Datasets: `term_topic` (terms x k, f32; columns of length 1; the transpose of scikit-learn's `components_`), `topic_share` (k, f64:
//! share of each topic in the sum of W H over the corpus), `terms` (strings); attributes `documents`, `values` (what the corpus held),
//! `relative_error` (|V - W H| / |V| over the corpus), `normalize` (0 or 1), `minimum_probability`, and how documents are
//! inferred: `h_max_iter`, `h_stop_condition`, `kappa`; section `weighting`: how the corpus was weighted, if it was by us.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use super::descent::Until;
use crate::corpus::container::WEIGHTING;
use crate::error::Result;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::store::section::Section;

/// Topics over a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct NmfModel {
    /// W (terms x k).
    pub term_topic: Array2<f32>,
    /// Share of each topic in the sum of W H over the corpus it was learned from.
    pub topic_share: Vec<f64>,
    /// |V - W H| / |V| over that corpus.
    pub relative_error: f64,
    /// The dictionary.
    pub terms: Vec<String>,
    /// Documents it was learned from.
    pub documents: u64,
    /// What the corpus held: "counts" or the code of a weighting.
    pub values: String,
    /// Weights are brought to a sum of 1 where they are shown.
    pub normalize: bool,
    /// Shares below it are 0, unless something else is said.
    pub minimum_probability: f64,
    /// How documents are inferred.
    pub until: Until,
}

impl NmfModel {
    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.topic_share.len()
    }

    /// Topics by falling share, of equals the first one.
    pub fn by_share(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.topics()).collect();
        order.sort_by(|&a, &b| self.topic_share[b].total_cmp(&self.topic_share[a]));
        order
    }

    /// What the weights of a topic are divided by where they are shown.
    pub fn divisor(&self, topic: usize) -> f64 {
        let sum: f64 = self.term_topic.column(topic).iter().map(|&weight| f64::from(weight)).sum();
        if self.normalize && sum > 0.0 { sum } else { 1.0 }
    }

    /// Writes the model with W from elsewhere: `rows` hands it on in slabs of terms, in order.
    pub fn save_rows(
        &self,
        target: Target,
        provenance: &Value,
        weighting: Option<Section>,
        rows: impl FnOnce(&mut dyn FnMut(ArrayView2<f32>) -> Result<()>) -> Result<()>,
    ) -> Result<()> {
        let mut file = ModelWriter::create(target, Format::Nmf)?;
        let mut slabs = file.slabs("term_topic", self.topics())?;
        rows(&mut |slab| file.push(&mut slabs, slab))?;
        file.finish_slabs(slabs)?;
        file.list("topic_share", &self.topic_share)?;
        file.strings("terms", &self.terms)?;
        file.attribute("documents", self.documents)?;
        file.attribute("values", self.values.as_str())?;
        file.attribute("relative_error", self.relative_error)?;
        file.attribute("normalize", u64::from(self.normalize))?;
        file.attribute("minimum_probability", self.minimum_probability)?;
        file.attribute("h_max_iter", self.until.sweeps as u64)?;
        file.attribute("h_stop_condition", self.until.change)?;
        file.attribute("kappa", self.until.kappa)?;
        if let Some(weighting) = &weighting {
            file.section(WEIGHTING)?.copy(weighting)?;
        }
        file.finish(provenance).map(drop)
    }

    /// Reads a model.
    pub fn load(path: &Path) -> Result<NmfModel> {
        Self::read(&ModelReader::open(path, Format::Nmf)?)
    }

    /// Reads a model from its opened file.
    pub fn read(reader: &ModelReader) -> Result<NmfModel> {
        let file = reader.file();
        let model = NmfModel {
            term_topic: reader.table("term_topic")?,
            topic_share: reader.list("topic_share")?,
            relative_error: file.float("relative_error")?,
            terms: reader.all_strings("terms")?,
            documents: file.unsigned("documents")?,
            values: file.text("values")?,
            normalize: file.unsigned("normalize")? != 0,
            minimum_probability: file.float("minimum_probability")?,
            until: Until {
                sweeps: file.unsigned("h_max_iter")? as usize,
                change: file.float("h_stop_condition")?,
                kappa: file.float("kappa")?,
            },
        };
        let (terms, k) = model.term_topic.dim();
        if terms != model.terms.len() || k != model.topics() || k == 0 {
            return Err(reader.misfit("model"));
        }
        Ok(model)
    }
}

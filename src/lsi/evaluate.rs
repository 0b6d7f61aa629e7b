//! How good a model is on a corpus, computed anew in f64 from what is in the two files.
//!
//! Problem: for each left vector u (terms) with singular value s of a model and the matrix A (terms x documents) of a
//! corpus, the residual ||A A^T u - s^2 u|| / s^2, and the share ||A^T u||^2 / ||A||_F^2 of the corpus' squared norm that
//! the topic captures. On the corpus the model was trained on, a small residual proves that (s, u) is a singular pair, to
//! an error of the order of its square in s; on another corpus only the captured shares say something.
//! Cost: one pass to learn the norm, then one per 64 topics, each 4 nnz 64 flops in f64.

use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Prepared;
use crate::lsi::memory;
use crate::lsi::operator::{Operator, Verified};
use crate::lsi::spread::deal_out;
use crate::lsi::transform;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use ndarray::Array2;
use std::path::Path;

/// What was found out about each topic.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Singular values as the model has them.
    pub singular_values: Vec<f64>,
    /// ||A A^T u - s^2 u|| / s^2.
    pub residuals: Vec<f64>,
    /// ||A^T u||^2 / ||A||_F^2.
    pub energies: Vec<f64>,
}

impl Evaluation {
    /// Share of the squared norm that the first 1, 2, .. topics capture together.
    pub fn cumulative_energies(&self) -> Vec<f64> {
        let add = |sum: &mut f64, &energy: &f64| {
            *sum += energy;
            Some(*sum)
        };
        self.energies.iter().scan(0.0, add).collect()
    }

    /// The largest residual and its topic.
    pub fn worst(&self) -> Option<(usize, f64)> {
        self.residuals.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
    }
}

/// Evaluates a model on a corpus. Collective; all ranks get the same.
///
/// # Errors
/// A corpus over another dictionary or of other values than the model was made from; a singular value of zero; an empty
/// corpus; those of reading.
pub fn evaluate(job: &Job, model: &Path, corpus: &Corpus) -> Result<Evaluation> {
    let phase = job.account.enter_phase("load model");
    let mut loaded = None;
    let values = job.share(|| {
        let found = job.account.io(|| transform::load(&ModelReader::open(model, Format::Lsi)?, corpus))?;
        if let Some(topic) = found.singular_values.iter().position(|&s| s <= 0.0) {
            let path = model.display();
            return Err(Error::failed(format!("{path}: the singular value of topic {topic} is 0: train fewer topics")));
        }
        Ok(bytemuck::cast_slice(&loaded.insert(found).singular_values).to_vec())
    })?;
    let sizes = corpus.sizes(job)?;
    let singular_values: Vec<f64> = bytemuck::pod_collect_to_vec(&values);
    let topics = singular_values.len();
    let job = &job.within_memory("give more, or use more ranks", || Ok(memory::evaluating(&sizes, topics)))?;
    drop(phase);

    let phase = job.account.enter_phase("read");
    let dataset = Dataset::new(job, Documents::of(corpus, Prepared::new))?;
    let operator = Operator::new(&dataset, corpus.header().terms as usize)?;
    drop(phase);
    let phase = job.account.enter_phase("verify");
    let left_vectors = loaded.map_or_else(|| Array2::zeros((0, singular_values.len())), |model| model.left_vectors);
    let vectors = deal_out(job, operator.shares(), left_vectors.view(), singular_values.len())?;
    drop(left_vectors);
    let squares: Vec<f64> = singular_values.iter().map(|s| s * s).collect();
    let Verified { captured, residuals } = operator.verify(vectors.view(), singular_values.len(), Some(&squares))?;
    drop(phase);
    let energies = captured.iter().map(|captured| captured / operator.frobenius_squared()).collect();
    Ok(Evaluation { singular_values, residuals, energies })
}

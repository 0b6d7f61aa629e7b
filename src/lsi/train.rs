//! Training: decompose, verify in f64, fix signs and order, bring the model together.

use ndarray::Array2;

use crate::comm::Route;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Prepared;

use super::krylov::{Decomposition, decompose};
use super::model::LsiModel;
use super::operator::{Operator, concatenate};
use super::params::LsiPlan;

/// What training found out beside the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Training {
    /// Triplets found.
    pub topics: usize,
    /// Krylov rounds.
    pub rounds: usize,
    /// Largest relative residual, verified.
    pub residual: f64,
}

/// Trains a model. Collective; the model is given to the dispatcher.
pub fn train(job: &Job, corpus: &Corpus, plan: &LsiPlan) -> Result<(Training, Option<LsiModel>)> {
    let header = corpus.header();
    let phase = job.account.enter_phase("read");
    let dataset = Dataset::new(job, Documents::of(corpus, Prepared::new))?;
    let operator = Operator::new(&dataset, header.terms)?;
    drop(phase);
    let Decomposition { vectors, topics, rounds, .. } = job.account.phase("krylov", || decompose(&operator, plan))?;
    if topics == 0 {
        return Err(Error::failed("no singular value stands out of the noise: is the corpus empty?"));
    }
    let phase = job.account.enter_phase("verify");
    let verified = verify(&operator, vectors, topics)?;
    drop(phase);
    let _phase = job.account.enter_phase("collect");
    let own: Vec<u8> =
        bytemuck::cast_slice(verified.vectors.as_standard_layout().as_slice().unwrap_or_default()).to_vec();
    let parts = job.wait(job.comm.gather(Route::World, own))?;
    let residual = verified.residuals.iter().copied().fold(0.0, f64::max);
    let training = Training { topics, rounds, residual };
    if !job.is_dispatcher() {
        return Ok((training, None));
    }
    let mut values = vec![0f32; header.terms as usize * topics];
    concatenate(&parts, bytemuck::cast_slice_mut(&mut values))?;
    let left_vectors = Array2::from_shape_vec((header.terms as usize, topics), values)
        .map_err(|cause| Error::failed(format!("left vectors do not add up: {cause}")))?;
    let model = LsiModel {
        left_vectors,
        singular_values: verified.singular_values,
        residuals: verified.residuals,
        terms: corpus.reader()?.terms()?,
        documents: header.documents,
        values: header.values.name().to_owned(),
        frobenius_squared: operator.frobenius_squared(),
    };
    Ok((training, Some(model)))
}

/// Left vectors with what one exact pass says of them.
pub struct Quality {
    /// This worker's rows (rows x k), in the order of the singular values and with canonical signs.
    pub vectors: Array2<f32>,
    /// ||A^T u||, largest first.
    pub singular_values: Vec<f64>,
    /// ||A A^T u - s^2 u|| / s^2.
    pub residuals: Vec<f64>,
}

/// Computes singular values (Rayleigh quotients, whose error is the square of the vectors') and residuals of the given
/// vectors in f64, and puts order and signs into their canonical form. Collective; all ranks get values and residuals.
pub fn verify(operator: &Operator, vectors: Array2<f32>, topics: usize) -> Result<Quality> {
    let job = operator.job();
    let pass = operator.verify(vectors.view(), topics)?;
    let squares = &pass.captured;
    let residuals = pass.residuals(job, &vectors, squares)?;
    let mut order: Vec<usize> = (0..topics).collect();
    order.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]));
    let signs = signs(operator, &vectors, topics)?;
    let ordered = Array2::from_shape_fn((vectors.nrows(), topics), |(row, column)| {
        vectors[[row, order[column]]] * signs[order[column]]
    });
    Ok(Quality {
        vectors: ordered,
        singular_values: order.iter().map(|&i| squares[i].sqrt()).collect(),
        residuals: order.iter().map(|&i| residuals[i]).collect(),
    })
}

/// The sign of each column's entry of largest magnitude, the first of equals.
fn signs(operator: &Operator, vectors: &Array2<f32>, topics: usize) -> Result<Vec<f32>> {
    let job = operator.job();
    let mut largest = vec![0f32; topics];
    for row in vectors.rows() {
        for (largest, value) in largest.iter_mut().zip(row) {
            if value.abs() > largest.abs() {
                *largest = *value;
            }
        }
    }
    // Ranks own ascending rows, so going through them in order keeps the first of equals.
    let mut total = vec![0f32; topics];
    for part in job.wait(job.comm.all_gather(Route::World, bytemuck::cast_slice(&largest).to_vec()))? {
        for (total, value) in total.iter_mut().zip(part.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))) {
            if value.abs() > total.abs() {
                *total = value;
            }
        }
    }
    Ok(total.iter().map(|value| if *value < 0.0 { -1.0 } else { 1.0 }).collect())
}

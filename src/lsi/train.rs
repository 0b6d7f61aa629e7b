//! Training: decompose, verify in f64, fix signs and order, write the model.

use ndarray::{Array2, ArrayView2, s};

use crate::comm::Route;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Prepared;

use super::krylov::{Decomposition, decompose};
use super::memory;
use super::model::{LsiModel, Origin};
use super::operator::{Operator, Verified};
use super::params::LsiPlan;
use super::spread::collect_rows;
use crate::store::atomic::Target;

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

/// What makes do with less memory.
const REMEDY: &str = "give more, use more ranks, or lower -k, --block or --basis";

/// Trains a model. Collective. Each rank gets the model with its own rows of the left vectors (none on a dispatcher that
/// does not work), and the dispatcher alone gets the terms: see [`save`].
pub fn train(job: &Job, corpus: &Corpus, plan: &LsiPlan) -> Result<(Training, LsiModel)> {
    let header = corpus.header();
    let sizes = corpus.sizes(job)?;
    let job = &job.within_memory(REMEDY, || Ok(memory::iterating(&sizes, plan)))?;
    let phase = job.account.enter_phase("read");
    let dataset = Dataset::new(job, Documents::of(corpus, Prepared::new))?;
    let operator = Operator::new(&dataset, header.terms as usize)?;
    drop(phase);
    meanwhile(
        job,
        || corpus.reader()?.terms(),
        |terms| {
            let Decomposition { vectors, topics, rounds, .. } =
                job.account.phase("krylov", || decompose(&operator, plan, None))?;
            if topics == 0 {
                return Err(Error::failed("no singular value stands out of the noise: is the corpus empty?"));
            }
            let _phase = job.account.enter_phase("verify");
            let Quality { vectors, singular_values, residuals } = verify(&operator, vectors, topics)?;
            let residual = residuals.iter().copied().fold(0.0, f64::max);
            let model = LsiModel {
                left_vectors: vectors,
                singular_values,
                residuals,
                terms: job.account.io(terms)?,
                documents: header.documents,
                values: header.values.name().to_owned(),
                frobenius_squared: operator.frobenius_squared(),
            };
            Ok((Training { topics, rounds, residual }, model))
        },
    )
}

/// Does `work`, which may ask for the terms that `read` gets: a dispatcher that does not work reads them while the workers
/// iterate, instead of making them wait for it (0.15 s for 50,000 terms). A rank that is not the dispatcher gets none.
fn meanwhile<T>(
    job: &Job,
    read: impl Fn() -> Result<Vec<String>> + Sync,
    work: impl FnOnce(&dyn Fn() -> Result<Vec<String>>) -> Result<T>,
) -> Result<T> {
    if !job.is_dispatcher() {
        return work(&|| Ok(Vec::new()));
    }
    if job.works() {
        return work(&read);
    }
    std::thread::scope(|scope| {
        let reading = std::thread::Builder::new().name("terms".into()).spawn_scoped(scope, &read);
        let reading = std::cell::Cell::new(reading.ok());
        // Where there is no thread to be had, they are read when they are asked for.
        work(&|| match reading.take() {
            Some(reading) => {
                reading.join().map_err(|_| Error::failed("the thread that reads terms panicked; please report it"))?
            }
            None => read(),
        })
    })
}

/// Writes a model as [`train`] gave it: the rows of the left vectors come to the dispatcher, which has the target, block
/// by block and go straight to the file. Collective.
pub fn save(job: &Job, model: &LsiModel, target: Option<Target>, origin: &Origin) -> Result<()> {
    let collect = |sink: &mut dyn FnMut(ArrayView2<f32>) -> Result<()>| {
        collect_rows(job, model.terms.len(), model.left_vectors.view(), sink)
    };
    match target {
        Some(target) => model.save_rows(target, origin, |sink| collect(&mut |rows| job.account.io(|| sink(rows)))),
        None => collect(&mut |_| Ok(())),
    }
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
    let Verified { captured: squares, residuals } = operator.verify(vectors.view(), topics, None)?;
    let mut order: Vec<usize> = (0..topics).collect();
    order.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]));
    let signs = signs(job, &vectors, topics)?;
    let mut vectors = vectors.slice_move(s![.., ..topics]);
    if !vectors.is_standard_layout() {
        vectors = vectors.as_standard_layout().into_owned();
    }
    job.account.compute(|| {
        let mut copy = vec![0f32; topics];
        for mut row in vectors.rows_mut() {
            let row = row.as_slice_mut().expect("rows in standard layout");
            row.iter_mut().zip(&signs).for_each(|(value, sign)| *value *= sign);
            copy.copy_from_slice(row);
            row.iter_mut().zip(&order).for_each(|(value, &from)| *value = copy[from]);
        }
    });
    Ok(Quality {
        vectors,
        singular_values: order.iter().map(|&i| squares[i].sqrt()).collect(),
        residuals: order.iter().map(|&i| residuals[i]).collect(),
    })
}

/// The sign of each column's entry of largest magnitude, the first of equals.
pub(super) fn signs(job: &Job, vectors: &Array2<f32>, topics: usize) -> Result<Vec<f32>> {
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

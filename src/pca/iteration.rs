//! PCA of a corpus, by block Krylov iteration about the mean of its documents.
//!
//! Algorithm: that of [`krylov`](crate::lsi::krylov) with the operator of [`Operator::about_mean`], which corrects products by a
//! row instead of filling the sparse matrix; values and residuals are computed in f64 at the end, as those of LSI are.
//! Cost: that of LSI of the same k; one more pass for the mean.

use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use super::model::PcaModel;
use crate::corpus::container::WEIGHTING;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Prepared;
use crate::lsi::krylov::{Decomposition, decompose};
use crate::lsi::memory;
use crate::lsi::operator::Operator;
use crate::lsi::params::LsiPlan;
use crate::lsi::spread::collect_rows;
use crate::lsi::train::{Quality, verify};
use crate::store::atomic::Target;
use crate::store::section::Section;

/// A model whose components are spread over the workers.
pub struct Spread {
    /// The model without its components, and its terms on the dispatcher only.
    pub model: PcaModel,
    /// This worker's rows of them (rows x k).
    components: Array2<f32>,
    /// Krylov rounds taken.
    pub rounds: usize,
}

/// Finds the leading components. Collective.
///
/// # Errors
/// A corpus whose documents are all alike; those of reading.
pub fn train(job: &Job, corpus: &Corpus, plan: &LsiPlan, whiten: bool) -> Result<Spread> {
    let header = corpus.header();
    let sizes = corpus.sizes(job)?;
    let forecast = || {
        let mut forecast = memory::iterating(&sizes, plan);
        forecast.worker = forecast.worker.with("mean", 3 * 8 * sizes.terms);
        forecast.dispatcher = forecast.dispatcher.with("mean", 3 * 8 * sizes.terms);
        Ok(forecast)
    };
    let job = &job.within_memory("give more, use more ranks, or lower -k or --block", forecast)?;
    let phase = job.account.enter_phase("read");
    let dataset = Dataset::new(job, Documents::of(corpus, Prepared::new))?;
    let operator = Operator::new(&dataset, header.terms as usize)?.about_mean(header.documents)?;
    drop(phase);
    let mean = operator.mean().to_vec();
    let squares = operator.frobenius_squared() - header.documents as f64 * mean.iter().map(|m| m * m).sum::<f64>();
    let alike = || Error::failed(format!("{}: all documents are alike: nothing varies", corpus.path().display()));
    if squares <= 1e-12 * operator.frobenius_squared() {
        return Err(alike());
    }
    let Decomposition { vectors, topics, rounds, .. } =
        job.account.phase("krylov", || decompose(&operator, plan, None))?;
    if topics == 0 {
        return Err(alike());
    }
    let _phase = job.account.enter_phase("verify");
    let Quality { vectors, singular_values, residuals } = verify(&operator, vectors, topics)?;
    let model = PcaModel {
        components: Array2::zeros((0, topics)),
        mean,
        singular_values,
        residuals,
        total_variance: squares / (header.documents as f64 - 1.0),
        rows: header.documents,
        whiten,
        terms: if job.is_dispatcher() { job.account.io(|| corpus.reader()?.terms())? } else { Vec::new() },
        values: header.values.name().to_owned(),
    };
    Ok(Spread { model, components: vectors, rounds })
}

/// Writes a model; the rows of its components come to the dispatcher, which has the target, and go straight to the file.
/// Collective.
pub fn save(
    job: &Job,
    spread: &Spread,
    corpus: &Corpus,
    target: Option<Target>,
    provenance: impl FnOnce() -> Result<Value>,
) -> Result<()> {
    let collect = |sink: &mut dyn FnMut(ArrayView2<f32>) -> Result<()>| {
        collect_rows(job, spread.model.mean.len(), spread.components.view(), sink)
    };
    let Some(target) = target else { return collect(&mut |_| Ok(())) };
    let weighting = Section::open(corpus.reader()?.file(), WEIGHTING)?;
    spread.model.save_rows(target, &provenance()?, weighting, |sink| {
        collect(&mut |rows| job.account.io(|| sink(rows.mapv(f64::from).view())))
    })
}

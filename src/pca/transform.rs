//! Rows and documents along the principal components: (x - m) U, divided by the standard deviations where the model
//! whitens.
//!
//! Cost: one pass; 2 k flops a number of a dense row or a nonzero of a document. Memory: the components on every rank.

use std::path::Path;

use serde_json::json;

use super::model::PcaModel;
use crate::corpus::kinship::{same_terms, same_values};
use crate::dispatch::memory::Forecast;
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::learn::table::Table;
use crate::linalg::Prepared;
use crate::lsi::memory;
use crate::lsi::projection::Projection;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use crate::store::provenance::Input;
use crate::vectors::affine::Affine;
use crate::vectors::model::{DENSE, ModelInput};
use crate::vectors::{documents, rows};

/// Rows and columns of the components in a file, read on the dispatcher.
fn size(model: &Path) -> Result<(u64, usize)> {
    let shape = ModelReader::open(model, Format::Pca)?.shape("components")?;
    Ok((shape.first().copied().unwrap_or(0) as u64, shape.get(1).copied().unwrap_or(0)))
}

/// Transforms dense rows; `name` says what kind of file is written. Collective; `target` is given on the dispatcher. Returns the
/// number of components.
///
/// # Errors
/// Rows of another length than those the model was made from, a model of a corpus; a missing value.
pub fn of_rows(job: &Job, model: &Path, table: &Table, name: &Path, target: Option<Target>) -> Result<usize> {
    let phase = job.account.enter_phase("load model");
    let forecast = || {
        let (columns, k) = size(model)?;
        let Forecast { dispatcher, worker } = rows::reading(table, job.workers(), 8 * (table.block_rows() * k) as u64);
        let matrix = 8 * columns * k as u64;
        Ok(Forecast { dispatcher: dispatcher.with("model", 3 * matrix), worker: worker.with("model", 2 * matrix) })
    };
    let job = &Job { memory: 0, ..job.within_memory("give more", forecast)? };
    let mut input = ModelInput::default();
    let affine = Affine::share(job, || {
        let reader = input.open(job, model, Format::Pca)?;
        let found = job.account.io(|| PcaModel::read(&reader))?;
        let (given, known) = (table.shape().columns, found.mean.len());
        let (path, model) = (table.path().display(), model.display());
        if found.values != DENSE {
            return Err(Error::failed(format!("{path}: dense rows, but the PCA {model} was made from a corpus")));
        }
        if given != known {
            return Err(Error::failed(format!("{path}: has {given} columns, but the PCA {model} was made of {known}")));
        }
        Ok(found.affine())
    })?;
    drop(phase);
    let provenance = || Ok(input.provenance(json!({}), ("vectors", table.input()?)));
    let k = affine.matrix.ncols();
    let flops = 2 * affine.matrix.len();
    let vectors = |block: &_| {
        let vectors = rows::named(table, affine.rows(job.pool, block))?;
        job.account.count(|counters| counters.dense_flops += (flops * vectors.len() / k) as u64);
        Ok(vectors)
    };
    rows::write(job, table, k, name, target, vectors, &provenance)?;
    Ok(k)
}

/// Transforms the documents of a corpus. Collective; `target` is given on the dispatcher. Returns the number of components.
///
/// # Errors
/// A corpus over another dictionary or of other values than the model was made from.
pub fn of_documents(job: &Job, model: &Path, corpus: &Corpus, target: Option<Target>) -> Result<usize> {
    let phase = job.account.enter_phase("load model");
    let sizes = corpus.sizes(job)?;
    let forecast = || {
        let (columns, k) = size(model)?;
        let Forecast { dispatcher, worker } = memory::projecting(&sizes, k);
        let matrix = 8 * columns * k as u64;
        Ok(Forecast { dispatcher: dispatcher.with("model", 2 * matrix), worker: worker.with("model", 2 * matrix) })
    };
    let job = &Job { memory: 0, ..job.within_memory("give more", forecast)? };
    let mut input = ModelInput::default();
    let affine = Affine::share(job, || {
        let reader = input.open(job, model, Format::Pca)?;
        let found = job.account.io(|| PcaModel::read(&reader))?;
        if found.values == DENSE {
            let path = corpus.path().display();
            return Err(Error::failed(format!(
                "{path}: a corpus, but the PCA {} was made from dense rows",
                model.display()
            )));
        }
        same_terms(model, &found.terms, corpus.path(), &corpus.reader()?.terms()?)?;
        same_values(model, &found.values, corpus.path(), &corpus.header().values)?;
        Ok(found.affine())
    })?;
    let k = affine.matrix.ncols();
    let offset = affine.offset();
    let divisors = (!affine.divisors.is_empty()).then_some(affine.divisors);
    let single = affine.matrix.mapv(|value| value as f32);
    let projection = Projection::new(single.view(), divisors).less(offset);
    drop((phase, single, affine.matrix));
    let provenance = || Ok(input.provenance(json!({}), ("corpus", Input::result(corpus.reader()?.file())?)));
    let vectors = |chunk: &Prepared| {
        job.account.count(|counters| counters.flops += 2 * chunk.nonzeros() as u64 * k as u64);
        projection.documents(job.pool, chunk)
    };
    documents::write(job, corpus, k, target, Prepared::new, vectors, &provenance)?;
    Ok(k)
}

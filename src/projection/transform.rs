//! Rows and documents through a random projection. Every rank makes the matrix itself.
//!
//! Cost: one pass; for a number of a row or a nonzero of a document d k additions (sparse of density d) or 2 k flops
//! (Gaussian). Memory on a rank that works: 8 d k bytes a column of the data (sparse), 4 k (Gaussian, documents) or 8 k (Gaussian, rows).

use std::path::Path;

use rayon::prelude::*;
use serde_json::json;

use super::matrix::{Kind, Matrix, Signs};
use super::model::ProjectionModel;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::kinship::{same_terms, same_values};
use crate::dispatch::memory::{FILES, Forecast, Need};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::learn::table::{Block, Table};
use crate::linalg::Prepared;
use crate::lsi::memory;
use crate::lsi::projection::Projection;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::provenance::Input;
use crate::vectors::affine::{Affine, finite, shifted};
use crate::vectors::model::{DENSE, ModelInput};
use crate::vectors::{documents, rows};

/// Bytes of a sparse matrix in memory.
fn sparse_bytes(matrix: &Matrix) -> u64 {
    (matrix.rows as f64 * (8.0 + 8.0 * 1.1 * matrix.density * matrix.width as f64)) as u64
}

/// Projects dense rows; `name` says what kind of file is written. Collective; `target` is given on the dispatcher. Returns the
/// number of columns of the result.
///
/// # Errors
/// Rows of another length than the projection is for, one for a corpus; a missing value.
pub fn of_rows(job: &Job, model: &Path, table: &Table, name: &Path, target: Option<Target>) -> Result<usize> {
    let mut input = ModelInput::default();
    let matrix = ProjectionModel::share(job, || {
        let reader = input.open(job, model, Format::Projection)?;
        let found = ProjectionModel::read(&reader)?;
        let (given, known) = (table.shape().columns, found.matrix.rows);
        let (path, model) = (table.path().display(), model.display());
        if found.values != DENSE {
            return Err(Error::failed(format!("{path}: dense rows, but the projection {model} is for a corpus")));
        }
        if given != known {
            return Err(Error::failed(format!(
                "{path}: has {given} columns, but the projection {model} is for {known}"
            )));
        }
        Ok(found)
    })?;
    let k = matrix.width;
    let forecast = || {
        let Forecast { dispatcher, worker } = rows::reading(table, job.workers(), 8 * (table.block_rows() * k) as u64);
        let bytes = if matrix.kind == Kind::Sparse { sparse_bytes(&matrix) } else { 8 * (matrix.rows * k) as u64 };
        Ok(Forecast { dispatcher, worker: worker.with("projection", bytes) })
    };
    let job = &Job { memory: 0, ..job.within_memory("give more, or lower -k or --density", forecast)? };
    let provenance = || Ok(input.provenance(json!({}), ("vectors", table.input()?)));
    if matrix.kind == Kind::Sparse {
        let signs = ready(job, || matrix.signs());
        let vectors = |block: &Block| match &signs {
            Some(signs) => rows::named(table, signed_rows(job.pool, signs, block, k)),
            None => Err(Error::failed("rows were projected where nobody works")),
        };
        rows::write(job, table, k, name, target, vectors, &provenance)?;
    } else {
        let dense = ready(job, || matrix.dense());
        let affine = Affine { mean: Vec::new(), matrix: dense.unwrap_or_default(), divisors: Vec::new() };
        let vectors = |block: &Block| {
            job.account.count(|counters| counters.dense_flops += (2 * block.rows() * affine.matrix.len()) as u64);
            rows::named(table, affine.rows(job.pool, block))
        };
        rows::write(job, table, k, name, target, vectors, &provenance)?;
    }
    Ok(k)
}

/// Makes the matrix on ranks that work.
fn ready<T>(job: &Job, make: impl FnOnce() -> T) -> Option<T> {
    job.account.phase("matrix", || job.works().then(|| job.account.compute(make)))
}

fn signed_rows(pool: &rayon::ThreadPool, signs: &Signs, block: &Block, k: usize) -> Result<Vec<f64>> {
    finite(block)?;
    let mut results = vec![0f64; block.rows() * k];
    let work = |(row, result): (usize, &mut [f64])| {
        for (column, value) in shifted(block, row, 1, &[]).into_iter().enumerate().filter(|(_, value)| *value != 0.0) {
            signs.add(column, value, result);
        }
        signs.finish(result);
    };
    pool.install(|| results.par_chunks_mut(k).enumerate().for_each(work));
    Ok(results)
}

/// Projects the documents of a corpus. Collective; `target` is given on the dispatcher. Returns the number of columns.
///
/// # Errors
/// A corpus over another dictionary or of other values than the projection is for.
pub fn of_documents(job: &Job, model: &Path, corpus: &Corpus, target: Option<Target>) -> Result<usize> {
    let sizes = corpus.sizes(job)?;
    let mut input = ModelInput::default();
    let matrix = ProjectionModel::share(job, || {
        let reader = input.open(job, model, Format::Projection)?;
        let found = ProjectionModel::read(&reader)?;
        if found.values == DENSE {
            let (path, model) = (corpus.path().display(), model.display());
            return Err(Error::failed(format!("{path}: a corpus, but the projection {model} is for dense rows")));
        }
        same_terms(model, &found.terms, corpus.path(), &corpus.reader()?.terms()?)?;
        same_values(model, &found.values, corpus.path(), &corpus.header().values)?;
        Ok(found)
    })?;
    let k = matrix.width;
    let forecast = || match matrix.kind {
        Kind::Gaussian => {
            let Forecast { dispatcher, worker } = memory::projecting(&sizes, k);
            Ok(Forecast { dispatcher, worker: worker.with("projection", 8 * (matrix.rows * k) as u64) })
        }
        Kind::Sparse => {
            let result = 4 * sizes.chunk_documents * k as u64;
            let dispatcher = sizes
                .dispatcher()
                .with("dictionaries", 2 * sizes.dictionary())
                .with("results", sizes.results(result))
                .and(Need::fixed(FILES / 2));
            let worker = sizes.worker(sizes.chunk()).with("projection", sparse_bytes(&matrix));
            Ok(Forecast { dispatcher, worker: worker.with("vectors of a chunk", 2 * result) })
        }
    };
    let job = &Job { memory: 0, ..job.within_memory("give more, or lower -k or --density", forecast)? };
    let provenance = || Ok(input.provenance(json!({}), ("corpus", Input::result(corpus.reader()?.file())?)));
    match matrix.kind {
        Kind::Gaussian => {
            let single = ready(job, || matrix.dense().mapv(|value| value as f32));
            let projection = Projection::new(single.unwrap_or_else(|| ndarray::Array2::zeros((0, k))).view(), None);
            let vectors = |chunk: &Prepared| {
                job.account.count(|counters| counters.flops += 2 * chunk.nonzeros() as u64 * k as u64);
                projection.documents(job.pool, chunk)
            };
            documents::write(job, corpus, k, target, Prepared::new, vectors, &provenance)?;
        }
        Kind::Sparse => {
            let signs = ready(job, || matrix.signs());
            let vectors = |chunk: &CsrChunk| match &signs {
                Some(signs) => signed_documents(job, signs, chunk, k),
                None => Vec::new(),
            };
            documents::write(job, corpus, k, target, Ok::<CsrChunk, Error>, vectors, &provenance)?;
        }
    }
    Ok(k)
}

fn signed_documents(job: &Job, signs: &Signs, chunk: &CsrChunk, k: usize) -> Vec<f32> {
    let mut results = vec![0f32; chunk.documents() * k];
    let work = |(row, result): (usize, &mut [f32])| {
        let (terms, values) = chunk.document(row);
        let mut sums = vec![0f64; k];
        for (&term, &value) in terms.iter().zip(values) {
            signs.add(term as usize, f64::from(value), &mut sums);
        }
        signs.finish(&mut sums);
        result.iter_mut().zip(sums).for_each(|(to, sum)| *to = sum as f32);
    };
    job.pool.install(|| results.par_chunks_mut(k).enumerate().for_each(work));
    let additions: usize = chunk.indices.iter().map(|&term| signs.count(term as usize)).sum();
    job.account.count(|counters| counters.flops += additions as u64);
    results
}

//! What a search takes, from the rows, the folds and the largest parameters of the candidates.
//!
//! Every rank holds the rows, twice while they arrive; the dispatcher reads them, which takes them once more, and keeps the
//! scores. A worker has the rows of a fold beside them, training and test rows together as many as there are, once as a step gets
//! them and once as it leaves them; for lsi and lda what they take themselves; and what the estimator needs: L-BFGS keeps ten pairs of
//! coefficients, ridge the products of columns or of rows, neighbours the rows once more.

use super::data::Data;
use super::held::Held;
use super::pipeline::Pipeline;
use super::steps::Step;
use crate::dispatch::memory::{FILES, Forecast, Need, Sizes};
use crate::error::Result;
use crate::lda;
use crate::lda::model::History;
use crate::lda::params::LdaParams;
use crate::learn::estimator::Spec;
use crate::lsi;
use crate::lsi::params::LsiParams;

/// Coefficients that L-BFGS holds, as multiples of one set of them.
const SETS: u64 = 2 * 10 + 8;
/// Bytes of a candidate's parameters as they are written.
const PARAMETERS: u64 = 400;

/// Rows as a step gets them.
#[derive(Clone, Copy)]
struct Matrix {
    rows: u64,
    columns: u64,
    /// Numbers that are stored.
    numbers: u64,
    /// Bytes of one of them, its column included.
    width: u64,
}

impl Matrix {
    fn bytes(&self) -> u64 {
        self.width * self.numbers + 8 * self.rows
    }

    fn dense(rows: u64, columns: u64) -> Matrix {
        Matrix { rows, columns, numbers: rows * columns, width: 8 }
    }

    /// As an estimator takes them: single precision and the column of a document become 12 bytes.
    fn features(self) -> Matrix {
        Matrix { width: if self.numbers == self.rows * self.columns { 8 } else { 12 }, ..self }
    }
}

/// The need of a search over so many folds; `saving`: the best candidate is fitted again, and travels.
pub fn forecast(pipeline: &Pipeline, data: &Data, folds: usize, saving: bool) -> Result<Forecast> {
    let rows = data.len() as u64;
    let mut matrix = match &data.rows {
        Held::Documents { terms, data, .. } => {
            Matrix { rows, columns: (*terms).into(), numbers: data.len() as u64, width: 8 }
        }
        Held::Sparse { columns, values, .. } => {
            Matrix { rows, columns: *columns as u64, numbers: values.len() as u64, width: 12 }
        }
        Held::Dense { columns, .. } => Matrix::dense(rows, *columns as u64),
    };
    let held = matrix.bytes();
    let mut stages = Need::default();
    let mut model = 0;
    for step in pipeline.largest()? {
        let (of_step, next) = stage(&step, matrix, data.classes.len() as u64, &mut model)?;
        stages = stages.or(of_step.keeping(0));
        matrix = next;
    }
    let model = if saving { 4 * model } else { 0 };
    let worker = Need::fixed(FILES)
        .with("the rows", held)
        .or(Need::fixed(FILES).with("the rows as they arrive", held + 2 * crate::dispatch::PIECE as u64))
        .or(Need::fixed(FILES).with("the rows", held).and(stages.or(Need::default().with("the best pipeline", model))));
    let scores = (pipeline.space.len() * folds * pipeline.scorers.len()) as u64;
    let results = (8 + 16 + 8 * u64::from(pipeline.train_score)) * scores + PARAMETERS * pipeline.space.len() as u64;
    let dispatcher = Need::fixed(FILES)
        .with("the rows as they are read", 3 * held)
        .or(Need::fixed(FILES).with("the rows", held).with("results", 2 * results).with("the best pipeline", model));
    Ok(Forecast { dispatcher, worker })
}

/// What a step takes, rows included, and the rows it leaves; adds the bytes of what it learns.
fn stage(step: &Step, rows: Matrix, classes: u64, model: &mut u64) -> Result<(Need, Matrix)> {
    let given = Need::default().with("rows of a fold", rows.bytes());
    let sizes = Sizes {
        documents: rows.rows,
        terms: rows.columns,
        nonzeros: rows.numbers,
        chunk_nonzeros: rows.numbers,
        chunk_documents: rows.rows,
        chunks: 1,
        workers: 1,
        ..Sizes::default()
    };
    Ok(match step {
        Step::Terms { .. } | Step::Tfidf(_) => {
            *model += 24 * rows.columns;
            (given.with("rows a step leaves", rows.bytes()).with("terms", 48 * rows.columns), rows)
        }
        Step::Lsi { k, tolerance, seed } => {
            let params =
                LsiParams { topics: *k, tolerance: *tolerance, block: None, rounds: None, basis: None, seed: *seed };
            let next = Matrix::dense(rows.rows, *k as u64);
            *model += 8 * rows.columns * *k as u64;
            // A k that the rows do not have fails alone.
            let plan = params.check(sizes.documents, rows.columns as u32);
            let own = plan.map_or(Need::default(), |plan| lsi::memory::iterating(&sizes, &plan).worker);
            let beside = sizes.prepared() + 2 * next.bytes();
            (given.and(own).with("rows a step leaves", beside), next)
        }
        Step::Lda(params) => topics(params, &sizes, given, model)?,
        Step::Scale { .. } | Step::Normalise(_) => {
            let features = rows.features();
            *model += 32 * rows.columns;
            // The rows before the cheap steps stay, for other candidates.
            (given.with("rows a step leaves", 2 * features.bytes()), features)
        }
        Step::Estimator(spec) => {
            let features = rows.features();
            let (n, m, c) = (rows.rows, rows.columns + 1, classes.max(1));
            let said = 8 * n * c * 5;
            let coefficients = 8 * m * c;
            *model += coefficients;
            let products = m.min(n);
            let own = match spec {
                Spec::Ridge { .. } | Spec::RidgeClassifier { .. } => {
                    let copy = if n < m { 8 * n * m } else { 0 };
                    8 * 4 * products * products + copy + 4 * coefficients
                }
                Spec::Neighbours { .. } => {
                    *model += features.bytes();
                    2 * features.bytes() + 8 * 3 * 256 * (n + m)
                }
                Spec::Logistic { each: false, .. } => SETS * coefficients,
                // A class at a time.
                Spec::Logistic { .. } | Spec::Svm { .. } => SETS * 8 * m + 3 * coefficients,
                Spec::Bayes { .. } | Spec::NearestCentroid => 6 * coefficients,
            };
            let need = given.with("rows for the estimator", 2 * features.bytes());
            (need.with("predictions", said).with("the estimator", own), features)
        }
    })
}

fn topics(params: &LdaParams, sizes: &Sizes, given: Need, model: &mut u64) -> Result<(Need, Matrix)> {
    let next = Matrix::dense(sizes.documents, params.topics as u64);
    *model += 8 * sizes.terms * params.topics as u64;
    let plan = params.check(sizes.documents, sizes.terms as usize);
    let own = plan
        .map_or(Need::default(), |plan| lda::memory::training(sizes, &plan, None, History::default(), false).worker);
    let shown = 3 * 4 * sizes.terms * params.topics.next_multiple_of(16) as u64;
    Ok((given.and(own).with("topics as they are used", shown).with("rows a step leaves", 2 * next.bytes()), next))
}

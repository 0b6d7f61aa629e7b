//! A fitted pipeline applied to a whole corpus or table: the pipeline is broadcast once, chunks are predicted wherever they
//! lie, the dispatcher gets the answers in order.
//!
//! Cost: one pass; 8 bytes a row and class travel.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::data::{Rows, is_corpus};
use super::model::FittedPipeline;
use crate::corpus::kinship::same_terms;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::learn::estimator::Predicted;
use crate::learn::table::{Blocks, Choice, Table};

/// Predictions for all rows, on the dispatcher.
#[derive(Debug, Default)]
pub struct Predictions {
    /// Name of each class; none of a regression.
    pub classes: Vec<String>,
    /// The id of each row.
    pub ids: Vec<String>,
    /// The label of each row, where the file has them.
    pub labels: Option<Vec<String>>,
    /// The class of each row, by number.
    pub said: Vec<usize>,
    /// The number of each row, of a regression.
    pub values: Vec<f64>,
    /// Classes of the columns below, by number.
    pub columns: Vec<usize>,
    /// Scores, row by row; one a row where there are two classes.
    pub decision: Option<Vec<Vec<f64>>>,
    /// Probabilities, row by row.
    pub probabilities: Option<Vec<Vec<f64>>>,
}

#[derive(Serialize, Deserialize)]
struct Answer {
    columns: Vec<usize>,
    said: Vec<usize>,
    values: Vec<f64>,
    decision: Option<Vec<Vec<f64>>>,
    probabilities: Option<Vec<Vec<f64>>>,
}

impl From<Predicted> for Answer {
    fn from(predicted: Predicted) -> Answer {
        let rows = |table: Array2<f64>| table.rows().into_iter().map(|row| row.to_vec()).collect();
        Answer {
            columns: predicted.classes,
            said: predicted.labels,
            values: predicted.values,
            decision: predicted.decision.map(rows),
            probabilities: predicted.probabilities.map(rows),
        }
    }
}

/// Predicts all rows of a file. Collective; the dispatcher gets the answers.
///
/// # Errors
/// Rows the pipeline was not made for; those of reading.
pub fn predict(job: &Job, model: &Path, path: &Path, choice: &Choice) -> Result<Predictions> {
    let corpus = is_corpus(job, path, choice)?;
    let mut terms = Vec::new();
    let message = job.share(|| {
        let (pipeline, known, _) = job.account.io(|| FittedPipeline::load(model))?;
        terms = known;
        if corpus == terms.is_empty() {
            let (given, wanted) = if corpus { ("a corpus", "vectors") } else { ("vectors", "a corpus") };
            let what = format!("holds {given}, but the pipeline {} was made for {wanted}", model.display());
            return Err(Error::failed(format!("{}: {what}", path.display())));
        }
        Ok(pipeline.encode())
    })?;
    let pipeline = FittedPipeline::decode(&message)?;
    let mut all = Predictions { classes: pipeline.classes.clone(), ..Predictions::default() };
    let run = |rows: Rows| -> Result<Vec<u8>> {
        let answer = Answer::from(pipeline.predict(job.pool, rows)?);
        serde_json::to_vec(&answer).map_err(|cause| Error::failed(cause.to_string()))
    };
    let mut take = |bytes: Vec<u8>| -> Result<()> {
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|cause| Error::failed(format!("damaged answer: {cause}")))?;
        all.columns = answer.columns;
        all.said.extend(answer.said);
        all.values.extend(answer.values);
        for (all, some) in [(&mut all.decision, answer.decision), (&mut all.probabilities, answer.probabilities)] {
            if let Some(some) = some {
                all.get_or_insert_default().extend(some);
            }
        }
        Ok(())
    };
    if corpus {
        let corpus = Corpus::open(job, path)?;
        if job.is_dispatcher() {
            same_terms(model, &terms, path, &corpus.reader()?.terms()?)?;
        }
        let dataset = Dataset::new(job, Documents::of(&corpus, Ok))?;
        dataset.map(|_, chunk| run(Rows::Sparse(chunk.clone())), |_, bytes| take(bytes))?;
        if job.is_dispatcher() {
            let (reader, documents) = (corpus.reader()?, corpus.header().documents);
            all.ids = reader.ids(0, documents)?;
            all.labels = reader.labels(0, documents)?;
        }
    } else {
        let table = Table::open(job, path, choice)?;
        let dataset = Dataset::new(job, Blocks::of(&table))?;
        let rows = |block: &crate::learn::table::Block| {
            let shape = (block.rows(), block.columns);
            Rows::Dense(Array2::from_shape_vec(shape, block.doubles()).expect("whole rows"))
        };
        dataset.map(|_, block| run(rows(block)), |_, bytes| take(bytes))?;
        if job.is_dispatcher() {
            (all.ids, all.labels) = (table.ids()?, table.labels()?);
        }
    }
    Ok(all)
}

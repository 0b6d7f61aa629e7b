//! A fitted pipeline applied to a whole corpus or table, or to texts, which are cut as those of its corpus were: the pipeline is
//! broadcast once, chunks are predicted wherever they lie, the dispatcher gets the answers in order.
//!
//! Cost: one pass; 8 bytes a row and class travel.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::data::is_corpus;
use super::model::{FittedPipeline, Stage};
use crate::build::{Answered, answer};
use crate::corpus::chunk::CsrChunk;
use crate::corpus::kinship::same_terms;
use crate::corpus::text::TextSpec;
use crate::corpus::tokenizer::TokenizerSpec;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::learn::estimator::Predicted;
use crate::learn::features::Features;
use crate::learn::table::{Block, Blocks, Choice, Table};
use crate::store::file::OpenFile;
use crate::store::model::ModelReader;
use crate::store::provenance;
use crate::vectors::model::ModelInput;

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

/// The rows to predict.
#[derive(Debug, Clone)]
pub struct Given<'a> {
    /// A corpus, a table, or texts.
    pub path: &'a Path,
    /// What to take of a table.
    pub choice: &'a Choice,
    /// How to read texts.
    pub texts: &'a TextSpec,
    /// The options say that there are texts.
    pub as_texts: bool,
}

/// How the rows lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Corpus,
    Table,
    Texts,
}

impl Given<'_> {
    /// What the rows are to a pipeline over these terms, or over none. On the dispatcher.
    fn kind(&self, model: &Path, corpus: bool, on_documents: bool) -> Result<Kind> {
        let (path, model) = (self.path.display(), model.display());
        if !on_documents {
            return match (corpus, self.as_texts) {
                (true, _) => {
                    Err(Error::failed(format!("{path}: holds a corpus, but the pipeline {model} was made for vectors")))
                }
                (_, true) => {
                    Err(Error::usage(format!("{path}: texts are given, but the pipeline {model} was made for vectors")))
                }
                _ => Ok(Kind::Table),
            };
        }
        if corpus && self.as_texts {
            let what = "holds a corpus: --text-field, --id-field and --input-format are for texts";
            return Err(Error::usage(format!("{path}: {what}")));
        }
        if corpus {
            return Ok(Kind::Corpus);
        }
        let vectors = self.choice.dataset.is_some() || self.path.extension().is_some_and(|end| end == "npy");
        let held = match OpenFile::open(self.path) {
            Ok(open) => Some(open.format.description().to_owned()),
            Err(_) if vectors => Some("vectors".to_owned()),
            Err(error) if error.to_string().contains("an HDF5 file, but") => return Err(error),
            // Whoever reads texts says what is wrong with them.
            Err(_) => None,
        };
        match held {
            None => Ok(Kind::Texts),
            Some(held) => {
                let what = format!("holds {held}, but the pipeline {model} was made for a corpus or texts");
                Err(Error::failed(format!("{path}: {what}")))
            }
        }
    }
}

/// How the texts of a pipeline's corpus were cut into terms.
///
/// # Errors
/// A corpus that was not made from text, or of weights.
fn tokenizer(model: &ModelReader) -> Result<TokenizerSpec> {
    let (made, path) = (model.file().provenance()?, model.file().path.display());
    if provenance::step(&made, "tfidf").is_some() {
        return Err(Error::failed(format!(
            "{path}: was made for a corpus of weights, which texts have none of; search a corpus of counts with tfidf as a \
             step, or give it a corpus that `corpuscle tfidf --model` has weighted"
        )));
    }
    let spec = provenance::step(&made, "build").map(|build| &build["parameters"]["tokenizer"]);
    spec.and_then(|spec| TokenizerSpec::deserialize(spec).ok()).ok_or_else(|| {
        Error::failed(format!(
            "{path}: its corpus was not made from text by `corpuscle build`, so nothing tells how a text is cut into terms; \
             give it a corpus over the same dictionary"
        ))
    })
}

/// What is done with rows on their way through a fitted pipeline.
pub(super) trait Passage {
    /// Begins, on every rank. Collective.
    fn begin(&mut self, pipeline: &FittedPipeline, model: &ModelInput) -> Result<()>;
    /// An answer on some rows.
    fn run(&self, pipeline: &FittedPipeline, rows: Stage) -> Result<Vec<u8>>;
    /// Takes it; the dispatcher gets the answers in the order of the rows.
    fn take(&mut self, answer: Vec<u8>) -> Result<()>;
}

/// What the file says of its rows, on the dispatcher.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The id of each row.
    pub ids: Vec<String>,
    /// The label of each row, where the file has them.
    pub labels: Option<Vec<String>>,
}

/// Takes all rows of a file through a pipeline. Collective; the dispatcher gets the names.
///
/// # Errors
/// Rows the pipeline was not made for; those of reading and of the passage.
pub(super) fn pass(job: &Job, model: &Path, given: &Given, through: &mut dyn Passage) -> Result<Names> {
    let (path, choice) = (given.path, given.choice);
    let corpus = is_corpus(job, path, choice)?;
    let (mut terms, mut reader, mut input) = (Vec::new(), None, ModelInput::default());
    let message = job.share(|| {
        let (pipeline, known, file) = job.account.io(|| FittedPipeline::load(model))?;
        input = ModelInput::of(&file)?;
        let kind = given.kind(model, corpus, !known.is_empty())?;
        (terms, reader) = (known, Some(file));
        let mut message = pipeline.encode();
        message.push(kind as u8);
        Ok(message)
    })?;
    let (&kind, message) = message.split_last().ok_or_else(|| Error::failed("damaged message: no pipeline"))?;
    let pipeline = FittedPipeline::decode(message)?;
    through.begin(&pipeline, &input)?;
    let through = std::cell::RefCell::new(through);
    let run = |rows: Stage| through.borrow().run(&pipeline, rows);
    let take = |bytes: Vec<u8>| through.borrow_mut().take(bytes);
    let mut all = Names::default();
    if kind == Kind::Texts as u8 {
        let of_model = || {
            let file = reader.take().ok_or_else(|| Error::failed("not the dispatcher"))?;
            Ok((std::mem::take(&mut terms), tokenizer(&file)?))
        };
        // A piece may hold no document.
        let work = |chunk: CsrChunk| if chunk.documents() > 0 { run(Stage::Documents(chunk)) } else { Ok(Vec::new()) };
        answer(job, given.texts, of_model, work, |found| {
            let Answered { answer, documents, ids, labels } = found;
            let first = all.ids.len() as u64;
            all.ids.extend(ids.unwrap_or_else(|| (first..first + documents).map(|row| row.to_string()).collect()));
            if let Some(labels) = labels {
                all.labels.get_or_insert_default().extend(labels);
            }
            if documents > 0 { take(answer) } else { Ok(()) }
        })?;
    } else if kind == Kind::Corpus as u8 {
        let corpus = Corpus::open(job, path)?;
        if job.is_dispatcher() {
            same_terms(model, &terms, path, &corpus.reader()?.terms()?)?;
        }
        let dataset = Dataset::new(job, Documents::of(&corpus, Ok))?;
        let work = |chunk: &CsrChunk| {
            count(job, chunk.documents());
            run(Stage::Documents(chunk.clone()))
        };
        dataset.map(|_, chunk| work(chunk), |_, bytes| take(bytes))?;
        if job.is_dispatcher() {
            let (reader, documents) = (corpus.reader()?, corpus.header().documents);
            all.ids = reader.ids(0, documents)?;
            all.labels = reader.labels(0, documents)?;
        }
    } else {
        let mut table = Table::open(job, path, choice)?;
        table.widen(pipeline.columns().unwrap_or(0));
        let dataset = Dataset::new(job, Blocks::of(&table))?;
        let work = |block: &Block| {
            count(job, block.rows());
            let shape = (block.rows(), block.columns);
            let rows = Array2::from_shape_vec(shape, block.doubles()).expect("whole rows");
            run(Stage::Features(Features::Dense(rows)))
        };
        dataset.map(|_, block| work(block), |_, bytes| take(bytes))?;
        if job.is_dispatcher() {
            (all.ids, all.labels) = (table.ids()?, table.labels()?);
        }
    }
    Ok(all)
}

/// Books rows; whoever reads texts books them there.
fn count(job: &Job, rows: usize) {
    job.account.count(|counters| counters.documents += rows as u64);
}

/// Predicts all rows of a file. Collective; the dispatcher gets the answers.
///
/// # Errors
/// Rows the pipeline was not made for; those of reading.
pub fn predict(job: &Job, model: &Path, given: &Given) -> Result<Predictions> {
    struct Predicting<'a> {
        pool: &'a rayon::ThreadPool,
        all: Predictions,
    }
    impl Passage for Predicting<'_> {
        fn begin(&mut self, pipeline: &FittedPipeline, _: &ModelInput) -> Result<()> {
            self.all.classes = pipeline.classes.clone();
            Ok(())
        }

        fn run(&self, pipeline: &FittedPipeline, rows: Stage) -> Result<Vec<u8>> {
            let answer = Answer::from(pipeline.predict(self.pool, rows)?);
            serde_json::to_vec(&answer).map_err(|cause| Error::failed(cause.to_string()))
        }

        fn take(&mut self, answer: Vec<u8>) -> Result<()> {
            let answer: Answer =
                serde_json::from_slice(&answer).map_err(|cause| Error::failed(format!("damaged answer: {cause}")))?;
            let all = &mut self.all;
            all.columns = answer.columns;
            all.said.extend(answer.said);
            all.values.extend(answer.values);
            for (all, some) in [(&mut all.decision, answer.decision), (&mut all.probabilities, answer.probabilities)] {
                if let Some(some) = some {
                    all.get_or_insert_default().extend(some);
                }
            }
            Ok(())
        }
    }
    let mut predicting = Predicting { pool: job.pool, all: Predictions::default() };
    let Names { ids, labels } = pass(job, model, given, &mut predicting)?;
    Ok(Predictions { ids, labels, ..predicting.all })
}

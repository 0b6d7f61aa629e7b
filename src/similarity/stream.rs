//! Queries one by one, as another program sends them: a JSON object a line in, a JSON object a line out.
//!
//! ```text
//! {"text": "a telescope", "id": 7}             ->  {"query": 7, "neighbours": [{"id": "a-10", "label": "x", "similarity": 0.98}, ...]}
//! {"vector": [0.1, -2, ...]}                   ->  {"query": 1, "neighbours": [...]}       numbered from 0 where they have no id
//! {"text": "asdf"}                             ->  {"query": 2, "error": "the text \"asdf\" has no term that ..."}
//! ```
//!
//! Each query is searched for alone and its answer written before the next line is read: an answer does not depend on
//! the lines around it, and a program may wait for it. The index stays with the workers in between.

use std::io::{BufRead, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ndarray::Array2;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::index::Index;
use super::nearest::Neighbour;
use super::search::{FirstPass, Search, Spread};
use super::text::TextSpace;
use super::unit::normalise;
use crate::dispatch::Job;
use crate::error::{Error, Result, one_line};

/// A line that asks.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    id: Value,
    text: Option<String>,
    vector: Option<Vec<f32>>,
}

/// A line that answers.
#[derive(Serialize)]
struct Answer {
    query: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    neighbours: Option<Vec<Found>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Found {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    similarity: f32,
}

/// How far the input has been answered. It outlives a command that begins anew because a worker was lost: what was read is not
/// there to be read again.
#[derive(Default)]
struct Progress {
    /// Lines read.
    lines: u64,
    /// The last of them, until it is answered.
    open: Option<String>,
}

static PROGRESS: Mutex<Progress> = Mutex::new(Progress { lines: 0, open: None });

fn progress() -> MutexGuard<'static, Progress> {
    PROGRESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Answers all lines of the input, which only the dispatcher reads. Collective; the dispatcher gets how many lines there were.
///
/// # Errors
/// More neighbours than the index can give; input or output that fails. A line that makes no sense is answered by an
/// error and ends nothing.
pub fn answer_lines(
    job: &Job,
    index: &Index,
    top: usize,
    first_pass: FirstPass,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<Option<u64>> {
    let header = index.header();
    let most = header.documents - header.zero_vectors;
    if top as u64 > most {
        return Err(Error::usage(format!(
            "--top {top}: a query of {} can have at most {most} neighbours",
            index.path().display()
        )));
    }
    // There is no telling how many will come: the index is brought to its workers once for all of them.
    let quantised = first_pass != FirstPass::F32;
    let search = Search { queries: 1, wanted: top, own: false, quantised };
    let job =
        &job.within_memory("give more, or ask for fewer with --top", || Ok(search.forecast(job, index, false)))?;
    let space = job.is_dispatcher().then(|| job.account.io(|| TextSpace::read(index.reader()?)));
    let spread = job.account.phase("load", || Spread::new(job, index, quantised))?;
    let _phase = job.account.enter_phase("search");
    loop {
        let mut asked: Option<(Value, Array2<f32>)> = None;
        let message = job.share(|| {
            asked = next(job, index, space.as_ref(), input, output)?;
            Ok(vec![u8::from(asked.is_some())])
        })?;
        if message != [1] {
            return Ok(job.is_dispatcher().then(|| progress().lines));
        }
        let mut lists = Vec::new();
        let read = |_, _| match &asked {
            Some((_, vector)) => Ok(vector.clone()),
            None => Err(Error::failed("only the dispatcher reads queries")),
        };
        spread.search(search, read, |_, found| {
            lists.extend(found);
            Ok(())
        })?;
        if let Some((query, vector)) = asked {
            let list = lists.pop().filter(|_| vector.iter().any(|&value| value != 0.0)).unwrap_or_default();
            let answer = Answer { query, neighbours: Some(named(index, list)?), error: None };
            write(output, &answer)?;
        }
    }
}

/// The next query that can be searched for, as a vector of length 1 or zero (1 x k); those that cannot are answered here. None at the
/// end of the input.
fn next(
    job: &Job,
    index: &Index,
    space: Option<&Result<TextSpace>>,
    input: &mut dyn BufRead,
    output: &mut dyn Write,
) -> Result<Option<(Value, Array2<f32>)>> {
    loop {
        let open = progress().open.clone();
        let line = match open {
            Some(line) => line,
            None => {
                let mut bytes = Vec::new();
                let failed = |cause| Error::failed(format!("standard input: {cause}"));
                if input.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
                    return Ok(None);
                }
                if bytes.trim_ascii().is_empty() {
                    continue;
                }
                let line = String::from_utf8_lossy(&bytes).into_owned();
                let mut progress = progress();
                progress.lines += 1;
                progress.open = Some(line.clone());
                line
            }
        };
        let number = Value::from(progress().lines - 1);
        let (query, vector) = match serde_json::from_str::<Question>(&line) {
            Err(cause) => (number, Err(Error::failed(format!("not a query: {}", one_line(&cause))))),
            Ok(question) => {
                let query = if question.id.is_null() { number } else { question.id.clone() };
                (query, job.account.compute(|| vector(job, index, space, question)))
            }
        };
        match vector {
            Ok(vector) => return Ok(Some((query, vector))),
            Err(error) => write(output, &Answer { query, neighbours: None, error: Some(error.to_string()) })?,
        }
    }
}

/// The vector that a line asks about.
fn vector(job: &Job, index: &Index, space: Option<&Result<TextSpace>>, question: Question) -> Result<Array2<f32>> {
    match (question.text, question.vector) {
        (Some(text), None) => match space {
            Some(Ok(space)) => space.vectors(job.pool, &[text]),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::failed("only the dispatcher reads queries")),
        },
        (None, Some(vector)) => {
            let (columns, given) = (index.header().columns, vector.len());
            let wrong =
                || Error::failed(format!("a vector of {given} numbers, where those of the index have {columns}"));
            let mut vector =
                Array2::from_shape_vec((1, given), vector).ok().filter(|_| given == columns).ok_or_else(wrong)?;
            match normalise(vector.row_mut(0)) {
                true => Ok(vector),
                false => Err(Error::failed("a number of the vector is not finite")),
            }
        }
        _ => Err(Error::failed("not a query: give either \"text\" or \"vector\"")),
    }
}

/// Neighbours under the names of their documents.
fn named(index: &Index, list: Vec<Neighbour>) -> Result<Vec<Found>> {
    let documents: Vec<u64> = list.iter().map(|neighbour| neighbour.document).collect();
    let ids = index.strings("ids", &documents)?;
    let labels = if index.header().labelled { index.strings("labels", &documents)? } else { Vec::new() };
    let mut labels = labels.into_iter();
    let found =
        |(neighbour, id): (Neighbour, String)| Found { id, label: labels.next(), similarity: neighbour.similarity };
    Ok(list.into_iter().zip(ids).map(found).collect())
}

/// Writes an answer; the line it belongs to is done.
fn write(output: &mut dyn Write, answer: &Answer) -> Result<()> {
    let mut line = serde_json::to_vec(answer).map_err(|cause| Error::failed(format!("an answer: {cause}")))?;
    line.push(b'\n');
    output
        .write_all(&line)
        .and_then(|()| output.flush())
        .map_err(|cause| Error::failed(format!("standard output: {cause}")))?;
    progress().open = None;
    Ok(())
}

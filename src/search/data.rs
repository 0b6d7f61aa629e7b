//! The rows of a search, on every rank: sent once, held once a node.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::held::{self, Form, Held, Shape};
use super::splitters::Rows as SplitRows;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::{CorpusReader, Values};
use crate::dispatch::{Job, once_a_node};
use crate::error::{At, Error, Result};
use crate::learn::estimator::Target;
use crate::learn::metrics::Subject;
use crate::learn::table::{Choice, Table};
use crate::store::file::{Format, OpenFile};
use crate::store::provenance::Input;

/// What stands beside the rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beside<'a> {
    /// A label a line.
    pub labels: Option<&'a Path>,
    /// A group a line.
    pub groups: Option<&'a Path>,
    /// The fold each row is tested in, a line each.
    pub folds: Option<&'a Path>,
}

/// All that a search works on.
#[derive(Debug, Clone)]
pub struct Data {
    /// X.
    pub rows: Held,
    /// The values are counts.
    pub counts: bool,
    /// y, unless rows without labels are all that is wanted.
    pub target: Option<Target>,
    /// Name of each class.
    pub classes: Vec<String>,
    /// Group of each row.
    pub groups: Option<Vec<usize>>,
    /// Fold each row is tested in.
    pub folds: Option<Vec<i64>>,
    /// Tokens of each term.
    pub tokens: Vec<usize>,
}

/// All but the rows, as it travels.
#[derive(Serialize, Deserialize)]
struct Head {
    shape: Shape,
    counts: bool,
    codes: Option<Vec<usize>>,
    values: Option<Vec<f64>>,
    classes: Vec<String>,
    groups: Option<Vec<usize>>,
    folds: Option<Vec<i64>>,
    tokens: Vec<usize>,
}

/// What the dispatcher knows of the file beyond the rows.
pub struct Origin {
    /// For the provenance.
    pub input: Input,
    /// The dictionary, of a corpus.
    pub terms: Vec<String>,
}

/// Opens what `path` names: a corpus or dense vectors. The dispatcher decides, for all.
pub fn is_corpus(job: &Job, path: &Path, choice: &Choice) -> Result<bool> {
    let said = job.share(|| {
        let other = choice.dataset.is_some() || choice.label_field.is_some();
        let corpus = !other && OpenFile::open(path).is_ok_and(|open| open.format == Format::Corpus);
        Ok(vec![u8::from(corpus)])
    })?;
    Ok(said == [1])
}

impl Data {
    /// Reads the rows on the dispatcher and gives them to all. Collective. Labels are what the
    /// subject says; topics need none.
    ///
    /// # Errors
    /// Rows without labels, labels that do not fit, those of reading.
    pub fn open(
        job: &Job,
        path: &Path,
        choice: &Choice,
        beside: &Beside,
        subject: Subject,
    ) -> Result<(Data, Option<Origin>)> {
        let corpus = is_corpus(job, path, choice)?;
        let table = if corpus { None } else { Some(Table::open(job, path, choice)?) };
        let mut origin = None;
        let mut body = Vec::new();
        let head = job.share(|| {
            let (head, bytes, found) = job.account.io(|| read(path, table.as_ref(), beside, subject))?;
            origin = Some(found);
            body = bytes;
            serde_json::to_vec(&head).at(path)
        })?;
        let head: Head =
            serde_json::from_slice(&head).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        let rows = head.shape.find(once_a_node(job, || Ok(body))?)?;
        let target = match (head.codes, head.values) {
            (Some(codes), _) => Some(Target::Classes(codes)),
            (None, values) => values.map(Target::Values),
        };
        let Head { counts, classes, groups, folds, tokens, .. } = head;
        Ok((Data { rows, counts, target, classes, groups, folds, tokens }, origin))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.rows()
    }

    /// A search has rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a splitter may look at.
    pub fn to_split(&self) -> SplitRows<'_> {
        let classes = if let Some(Target::Classes(codes)) = &self.target { Some(&codes[..]) } else { None };
        SplitRows { count: self.len(), classes, groups: self.groups.as_deref(), folds: self.folds.as_deref() }
    }
}

/// Reads all documents of a corpus.
pub fn whole(reader: &CorpusReader) -> Result<CsrChunk> {
    let mut all = CsrChunk { terms: reader.header().terms, indptr: vec![0], ..CsrChunk::default() };
    for number in 0..reader.chunks().len() {
        all.append(&reader.read_chunk(number)?);
    }
    Ok(all)
}

fn read(path: &Path, table: Option<&Table>, beside: &Beside, subject: Subject) -> Result<(Head, Vec<u8>, Origin)> {
    let (counts, shape, body, labels, origin);
    let mut tokens = Vec::new();
    let count = match table {
        None => {
            let reader = CorpusReader::open(path)?;
            let header = reader.header();
            labels = reader.labels(0, header.documents)?;
            let terms = reader.terms()?;
            tokens = terms.iter().map(|term| 1 + term.matches(' ').count()).collect();
            counts = header.values == Values::Counts;
            origin = Origin { input: Input::result(reader.file())?, terms };
            (shape, body) = held::documents(&whole(&reader)?);
            header.documents as usize
        }
        Some(table) => {
            labels = table.labels()?;
            counts = false;
            origin = Origin { input: table.input()?, terms: Vec::new() };
            let (rows, columns) = (table.shape().rows, table.shape().columns);
            (shape, body) = match table.sparse() {
                Some(rows) => held::sparse(rows),
                None => {
                    let bytes = bytemuck::cast_slice(&table.rows(0, rows)?.doubles()).to_vec();
                    (Shape { form: Form::Dense, rows, columns, numbers: rows * columns }, bytes)
                }
            };
            rows
        }
    };
    let labels = match beside.labels {
        Some(file) => Some(lines(file, count, "label")?),
        None => labels,
    };
    if labels.is_none() && subject != Subject::Topics {
        let what = "has no labels to learn; give one a line with --labels";
        return Err(Error::usage(format!("{}: {what}", path.display())));
    }
    let (mut codes, mut values, mut classes) = (None, None, Vec::new());
    let labels = labels.unwrap_or_default();
    if subject == Subject::Numbers {
        let parsed = labels.iter().enumerate().map(|(row, label)| {
            label.trim().parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| {
                Error::failed(format!(
                    "{}: the label {label:?} of row {row} is not a number to regress on",
                    path.display()
                ))
            })
        });
        values = Some(parsed.collect::<Result<Vec<f64>>>()?);
    } else if !labels.is_empty() {
        classes = class_names(&labels);
        let places: std::collections::HashMap<&str, usize> =
            classes.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        codes = Some(labels.iter().map(|label| places[label.as_str()]).collect());
    }
    let groups = beside.groups.map(|file| lines(file, count, "group")).transpose()?.map(|names| {
        let known = class_names(&names);
        names.iter().map(|name| known.iter().position(|other| other == name).unwrap_or(0)).collect()
    });
    let folds =
        beside.folds.map(|file| lines(file, count, "fold").and_then(|list| whole_numbers(file, &list))).transpose()?;
    let head = Head { shape, counts, codes, values, classes, groups, folds, tokens };
    Ok((head, body, origin))
}

/// Distinct names in their order: by size where all are numbers.
pub fn class_names(labels: &[String]) -> Vec<String> {
    let number = |name: &String| name.trim().parse::<f64>().ok().filter(|value| value.is_finite());
    let mut names = labels.to_vec();
    names.sort();
    names.dedup();
    if names.iter().all(|name| number(name).is_some()) {
        // Whole numbers that are one number in f64 are told apart.
        let whole = |name: &String| name.trim().parse::<i64>().unwrap_or(0);
        names.sort_by(|a, b| number(a).partial_cmp(&number(b)).expect("finite").then(whole(a).cmp(&whole(b))));
    }
    names
}

fn lines(path: &Path, count: usize, what: &str) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).at(path)?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.len() != count {
        let path = path.display();
        return Err(Error::failed(format!(
            "{path}: {} lines for {count} rows: a {what} for each row is wanted",
            lines.len()
        )));
    }
    Ok(lines)
}

fn whole_numbers(path: &Path, list: &[String]) -> Result<Vec<i64>> {
    let number = |(line, text): (usize, &String)| {
        text.trim()
            .parse()
            .map_err(|_| Error::failed(format!("{}:{}: {text:?} is not a whole number", path.display(), line + 1)))
    };
    list.iter().enumerate().map(number).collect()
}

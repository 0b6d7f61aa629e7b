//! The rows of a search, on every rank: sent once, by one broadcast.

use std::path::Path;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::splitters::Rows as SplitRows;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::{CorpusReader, Values};
use crate::dispatch::Job;
use crate::error::{At, Error, Result};
use crate::learn::estimator::Target;
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

/// Rows as they were in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Documents of counts or weights.
    Sparse(CsrChunk),
    /// Vectors.
    Dense(Array2<f64>),
}

/// All that a search works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// X.
    pub rows: Rows,
    /// The values are counts.
    pub counts: bool,
    /// y.
    pub target: Target,
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
    columns: usize,
    sparse: bool,
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
    /// Reads the rows on the dispatcher and gives them to all. Collective. `numbers`: labels are numbers to regress on.
    ///
    /// # Errors
    /// Rows without labels, labels that do not fit, those of reading.
    pub fn open(
        job: &Job,
        path: &Path,
        choice: &Choice,
        beside: &Beside,
        numbers: bool,
    ) -> Result<(Data, Option<Origin>)> {
        let corpus = is_corpus(job, path, choice)?;
        let table = if corpus { None } else { Some(Table::open(job, path, choice)?) };
        let mut origin = None;
        let mut body = Vec::new();
        let head = job.share(|| {
            let (head, bytes, found) = job.account.io(|| read(path, table.as_ref(), beside, numbers))?;
            origin = Some(found);
            body = bytes;
            serde_json::to_vec(&head).at(path)
        })?;
        let head: Head =
            serde_json::from_slice(&head).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        let body = job.share(|| Ok(body))?;
        let rows = if head.sparse {
            Rows::Sparse(CsrChunk::decode(&body)?)
        } else {
            let values: Vec<f64> = bytemuck::pod_collect_to_vec(&body);
            let shape = (values.len() / head.columns.max(1), head.columns);
            Rows::Dense(Array2::from_shape_vec(shape, values).map_err(|cause| Error::failed(cause.to_string()))?)
        };
        let target = match (head.codes, head.values) {
            (Some(codes), _) => Target::Classes(codes),
            (None, values) => Target::Values(values.unwrap_or_default()),
        };
        let Head { counts, classes, groups, folds, tokens, .. } = head;
        Ok((Data { rows, counts, target, classes, groups, folds, tokens }, origin))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.target {
            Target::Classes(codes) => codes.len(),
            Target::Values(values) => values.len(),
        }
    }

    /// A search has rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What a splitter may look at.
    pub fn to_split(&self) -> SplitRows<'_> {
        let classes = if let Target::Classes(codes) = &self.target { Some(&codes[..]) } else { None };
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

fn read(path: &Path, table: Option<&Table>, beside: &Beside, numbers: bool) -> Result<(Head, Vec<u8>, Origin)> {
    let (sparse, counts, columns, body, labels, origin);
    let mut tokens = Vec::new();
    let count = match table {
        None => {
            let reader = CorpusReader::open(path)?;
            let header = reader.header();
            labels = reader.labels(0, header.documents)?;
            let terms = reader.terms()?;
            tokens = terms.iter().map(|term| 1 + term.matches(' ').count()).collect();
            (sparse, counts, columns) = (true, header.values == Values::Counts, header.terms as usize);
            origin = Origin { input: Input::result(reader.file())?, terms };
            body = whole(&reader)?.encode();
            header.documents as usize
        }
        Some(table) => {
            labels = table.labels()?;
            (sparse, counts, columns) = (false, false, table.shape().columns);
            origin = Origin { input: table.input()?, terms: Vec::new() };
            body = bytemuck::cast_slice(&table.rows(0, table.shape().rows)?.doubles()).to_vec();
            table.shape().rows
        }
    };
    let labels = match beside.labels {
        Some(file) => Some(lines(file, count, "label")?),
        None => labels,
    };
    let labels = labels.ok_or_else(|| {
        Error::usage(format!("{}: has no labels to learn; give one a line with --labels", path.display()))
    })?;
    let (mut codes, mut values, mut classes) = (None, None, Vec::new());
    if numbers {
        let parsed = labels.iter().enumerate().map(|(row, label)| {
            label.trim().parse::<f64>().ok().filter(|value| value.is_finite()).ok_or_else(|| {
                Error::failed(format!(
                    "{}: the label {label:?} of row {row} is not a number to regress on",
                    path.display()
                ))
            })
        });
        values = Some(parsed.collect::<Result<Vec<f64>>>()?);
    } else {
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
    let head = Head { columns, sparse, counts, codes, values, classes, groups, folds, tokens };
    Ok((head, body, origin))
}

/// Distinct names in their order: by size where all are whole numbers.
pub fn class_names(labels: &[String]) -> Vec<String> {
    let mut names = labels.to_vec();
    names.sort();
    names.dedup();
    if names.iter().all(|name| name.parse::<i64>().is_ok()) {
        names.sort_by_key(|name| name.parse::<i64>().unwrap_or(0));
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

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
use crate::learn::features::Sparse;
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

/// Rows as they were in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Rows {
    /// Documents of counts or weights.
    Sparse(CsrChunk),
    /// Vectors.
    Dense(Array2<f64>),
    /// Vectors without their zeros.
    Features(Sparse),
}

/// All that a search works on.
#[derive(Debug, Clone, PartialEq)]
pub struct Data {
    /// X.
    pub rows: Rows,
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
    columns: usize,
    form: Form,
    counts: bool,
    codes: Option<Vec<usize>>,
    values: Option<Vec<f64>>,
    classes: Vec<String>,
    groups: Option<Vec<usize>>,
    folds: Option<Vec<i64>>,
    tokens: Vec<usize>,
}

/// How the rows travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Form {
    Documents,
    Dense,
    Sparse,
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
        let body = job.share(|| Ok(body))?;
        let rows = match head.form {
            Form::Documents => Rows::Sparse(CsrChunk::decode(&body)?),
            Form::Sparse => Rows::Features(decode(&body, head.columns)?),
            Form::Dense => {
                let values: Vec<f64> = bytemuck::pod_collect_to_vec(&body);
                let shape = (values.len() / head.columns.max(1), head.columns);
                Rows::Dense(Array2::from_shape_vec(shape, values).map_err(|cause| Error::failed(cause.to_string()))?)
            }
        };
        let target = match (head.codes, head.values) {
            (Some(codes), _) => Some(Target::Classes(codes)),
            (None, values) => values.map(Target::Values),
        };
        let Head { counts, classes, groups, folds, tokens, .. } = head;
        Ok((Data { rows, counts, target, classes, groups, folds, tokens }, origin))
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        match &self.rows {
            Rows::Sparse(chunk) => chunk.documents(),
            Rows::Dense(rows) => rows.nrows(),
            Rows::Features(rows) => rows.rows(),
        }
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
    let (form, counts, columns, body, labels, origin);
    let mut tokens = Vec::new();
    let count = match table {
        None => {
            let reader = CorpusReader::open(path)?;
            let header = reader.header();
            labels = reader.labels(0, header.documents)?;
            let terms = reader.terms()?;
            tokens = terms.iter().map(|term| 1 + term.matches(' ').count()).collect();
            (form, counts, columns) = (Form::Documents, header.values == Values::Counts, header.terms as usize);
            origin = Origin { input: Input::result(reader.file())?, terms };
            body = whole(&reader)?.encode();
            header.documents as usize
        }
        Some(table) => {
            labels = table.labels()?;
            let rows = table.sparse();
            (form, counts, columns) =
                (if rows.is_some() { Form::Sparse } else { Form::Dense }, false, table.shape().columns);
            origin = Origin { input: table.input()?, terms: Vec::new() };
            body = if let Some(rows) = rows {
                encode(rows)
            } else {
                bytemuck::cast_slice(&table.rows(0, table.shape().rows)?.doubles()).to_vec()
            };
            table.shape().rows
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
    let head = Head { columns, form, counts, codes, values, classes, groups, folds, tokens };
    Ok((head, body, origin))
}

/// As bytes: rows, where each begins, columns, values.
fn encode(rows: &Sparse) -> Vec<u8> {
    let mut bytes = (rows.rows() as u64).to_le_bytes().to_vec();
    bytes.extend(rows.begins.iter().flat_map(|&begin| (begin as u64).to_le_bytes()));
    bytes.extend_from_slice(bytemuck::cast_slice(&rows.values));
    bytes.extend_from_slice(bytemuck::cast_slice(&rows.indices));
    bytes
}

/// Undoes [`encode`].
fn decode(bytes: &[u8], columns: usize) -> Result<Sparse> {
    let damaged = || Error::failed("damaged message: sparse rows");
    let (rows, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    let offsets = (u64::from_le_bytes(*rows) as usize).checked_add(1).and_then(|offsets| offsets.checked_mul(8));
    let (begins, rest) = rest.split_at_checked(offsets.ok_or_else(damaged)?).ok_or_else(damaged)?;
    let begins: Vec<usize> = begins.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
    let (values, indices) = rest.split_at(rest.len() / 12 * 8);
    let indices: Vec<u32> = bytemuck::pod_collect_to_vec(indices);
    let fits = rest.len() == 12 * indices.len()
        && begins.is_sorted()
        && begins.last() == Some(&indices.len())
        && indices.iter().all(|&column| (column as usize) < columns);
    fits.then(|| Sparse { columns, begins, indices, values: bytemuck::pod_collect_to_vec(values) }).ok_or_else(damaged)
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

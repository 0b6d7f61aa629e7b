//! Dense rows from a file of anyone: our vectors, `.npy`, a dataset of an HDF5 file, CSV; and sparse ones, SVMlight, written out.
//!
//! Problem: a matrix (rows x columns, f32 or f64) larger than memory, read by whoever works on which rows.
//! Algorithm: the rows are cut into blocks by their number and width alone, so that what is computed block by block has
//! the same bits whoever does it. A rank that finds the same file at the same path reads its blocks itself; others get
//! them sent. CSV and SVMlight are read by the dispatcher and always sent. Cost: one reading of the file.

use std::fs::File;
use std::io::BufReader;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use ndarray::{ArrayView2, s};
use serde::{Deserialize, Serialize};

use super::features::Sparse;
use super::svmlight::{self, Labelled};
use crate::corpus::chunk::Footprint;
use crate::dispatch::{Job, Parcel, Source};
use crate::error::{At, Error, Result};
use crate::store::file::{AtFile, Format, OpenFile, has_signature};
use crate::store::model::ModelReader;
use crate::store::npy::NpyHeader;
use crate::store::provenance::{self, Input};

/// Bytes a block holds, about.
const BLOCK_BYTES: usize = 4 << 20;
/// Rows of a block come in multiples of this.
pub const ROWS: usize = 256;
/// Most numbers of sparse rows that are written out at a time.
const MOST_NUMBERS: usize = 1 << 25;
/// Places of a file of others that are compared to know it for the same.
const PLACES: u64 = 64;

/// Numbers as they were in the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Numbers {
    /// Single precision.
    Single(Vec<f32>),
    /// Double precision.
    Double(Vec<f64>),
}

/// Consecutive rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Number of the first row.
    pub first: usize,
    /// Numbers in a row.
    pub columns: usize,
    /// The rows (rows x columns).
    pub numbers: Numbers,
}

impl Block {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        let numbers = match &self.numbers {
            Numbers::Single(numbers) => numbers.len(),
            Numbers::Double(numbers) => numbers.len(),
        };
        numbers / self.columns.max(1)
    }

    /// All numbers in double precision.
    pub fn doubles(&self) -> Vec<f64> {
        match &self.numbers {
            Numbers::Single(numbers) => numbers.iter().map(|&x| f64::from(x)).collect(),
            Numbers::Double(numbers) => numbers.clone(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        match &self.numbers {
            Numbers::Single(numbers) => bytemuck::cast_slice(numbers).to_vec(),
            Numbers::Double(numbers) => bytemuck::cast_slice(numbers).to_vec(),
        }
    }
}

impl Footprint for Block {
    fn bytes(&self) -> u64 {
        match &self.numbers {
            Numbers::Single(numbers) => numbers.len() as u64 * 4,
            Numbers::Double(numbers) => numbers.len() as u64 * 8,
        }
    }
}

/// How a file holds its rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Vectors,
    Npy { offset: u64 },
    Hdf5 { dataset: String },
    Csv,
    Svmlight,
}

/// What a table is; all ranks know it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Number of rows.
    pub rows: usize,
    /// Numbers in a row.
    pub columns: usize,
    /// The file holds f64, else f32.
    pub double: bool,
    kind: Kind,
    /// What the file is known by.
    digest: String,
}

impl Shape {
    /// The shape of what is made of the table, with so many numbers in a row.
    pub fn with_columns(&self, columns: usize) -> Shape {
        Shape { columns, ..self.clone() }
    }

    /// Whether the dispatcher holds all rows and sends them.
    pub fn travels_always(&self) -> bool {
        matches!(self.kind, Kind::Csv | Kind::Svmlight)
    }
}

enum Opened {
    Vectors(ModelReader),
    Npy(File),
    Hdf5(hdf5::Dataset),
    Csv { numbers: Vec<f64>, labels: Option<Vec<String>> },
    Svmlight(Labelled),
}

/// A table that a job works on.
pub struct Table {
    path: PathBuf,
    shape: Shape,
    opened: Option<Opened>,
}

/// What to take of a file that holds more than a table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Choice {
    /// Dataset of an HDF5 file of others.
    pub dataset: Option<String>,
    /// Column of a CSV file that holds the labels.
    pub label_field: Option<String>,
}

impl Table {
    /// Opens a file on the dispatcher, and on every worker that sees the same. Collective.
    ///
    /// # Errors
    /// A file that is no matrix of real numbers, or of another kind than its name says.
    pub fn open(job: &Job, path: &Path, choice: &Choice) -> Result<Table> {
        let mut mine = None;
        let message = job.share(|| {
            let (opened, shape) = job.account.io(|| open(path, choice))?;
            // Those of sparse rows may come with a model: see `widen`.
            if shape.columns == 0 && shape.rows > 0 && !matches!(opened, Opened::Svmlight(_)) {
                return Err(Error::failed(format!("{}: {} rows of no columns", path.display(), shape.rows)));
            }
            mine = Some(opened);
            serde_json::to_vec(&(path, shape)).at(path)
        })?;
        let (path, shape): (PathBuf, Shape) =
            serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        if mine.is_none() && job.works() && !job.scatter && !shape.travels_always() {
            mine = job
                .account
                .io(|| open(&path, choice))
                .ok()
                .filter(|(_, seen)| *seen == shape)
                .map(|(opened, _)| opened);
        }
        Ok(Table { path, shape, opened: mine })
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Sparse rows of which there may be more columns than the file names get so many. All ranks say the same.
    pub fn widen(&mut self, columns: usize) {
        if self.shape.kind == Kind::Svmlight {
            self.shape.columns = self.shape.columns.max(columns);
        }
        if let Some(Opened::Svmlight(found)) = &mut self.opened {
            found.rows.columns = self.shape.columns;
        }
    }

    /// The rows without their zeros, where that is how the file has them and more than half of the numbers are zeros. On the
    /// dispatcher.
    pub fn sparse(&self) -> Option<&Sparse> {
        match &self.opened {
            Some(Opened::Svmlight(Labelled { rows, .. })) => {
                (2 * rows.values.len() < rows.rows() * rows.columns).then_some(rows)
            }
            _ => None,
        }
    }

    /// Rows of a block.
    pub fn block_rows(&self) -> usize {
        (BLOCK_BYTES / 8 / self.shape.columns.max(1)).next_multiple_of(ROWS).clamp(ROWS, 65_536)
    }

    /// Rows `first .. first + count`.
    pub fn rows(&self, first: usize, count: usize) -> Result<Block> {
        let Shape { columns, double, .. } = self.shape;
        let opened = self
            .opened
            .as_ref()
            .ok_or_else(|| Error::failed(format!("{}: not visible on this rank", self.path.display())))?;
        let numbers = match opened {
            Opened::Vectors(reader) if double => {
                Numbers::Double(reader.rows::<f64>("vectors", first, count)?.into_raw_vec_and_offset().0)
            }
            Opened::Vectors(reader) => {
                Numbers::Single(reader.rows::<f32>("vectors", first, count)?.into_raw_vec_and_offset().0)
            }
            Opened::Hdf5(dataset) => {
                let rows = s![first..first + count, ..];
                if double {
                    Numbers::Double(
                        dataset.read_slice_2d::<f64, _>(rows).at_file(&self.path)?.into_raw_vec_and_offset().0,
                    )
                } else {
                    Numbers::Single(
                        dataset.read_slice_2d::<f32, _>(rows).at_file(&self.path)?.into_raw_vec_and_offset().0,
                    )
                }
            }
            Opened::Npy(file) => {
                let Kind::Npy { offset } = self.shape.kind else { unreachable!("opened as .npy") };
                let size = if double { 8 } else { 4 };
                let at = offset + (first * columns * size) as u64;
                if double {
                    let mut numbers = vec![0f64; count * columns];
                    file.read_exact_at(bytemuck::cast_slice_mut(&mut numbers), at).at(&self.path)?;
                    Numbers::Double(numbers)
                } else {
                    let mut numbers = vec![0f32; count * columns];
                    file.read_exact_at(bytemuck::cast_slice_mut(&mut numbers), at).at(&self.path)?;
                    Numbers::Single(numbers)
                }
            }
            Opened::Csv { numbers, .. } => {
                Numbers::Double(numbers[first * columns..(first + count) * columns].to_vec())
            }
            Opened::Svmlight(Labelled { rows, .. }) => {
                if count.saturating_mul(columns) > MOST_NUMBERS {
                    let what = format!("{columns} columns are too many for rows to be written out, zeros included");
                    return Err(Error::failed(format!("{}: {what}", self.path.display())));
                }
                let mut numbers = vec![0.0; count * columns];
                for (at, to) in numbers.chunks_exact_mut(columns).enumerate() {
                    let (indices, values) = rows.row(first + at);
                    indices.iter().zip(values).for_each(|(&column, &value)| to[column as usize] = value);
                }
                Numbers::Double(numbers)
            }
        };
        Ok(Block { first, columns, numbers })
    }

    /// The id of each row: those of the file, or the numbers of the rows. On the dispatcher.
    pub fn ids(&self) -> Result<Vec<String>> {
        match &self.opened {
            Some(Opened::Vectors(reader)) => reader.all_strings("ids"),
            _ => Ok((0..self.shape.rows).map(|row| row.to_string()).collect()),
        }
    }

    /// The label of each row, where the file has them. On the dispatcher.
    pub fn labels(&self) -> Result<Option<Vec<String>>> {
        match &self.opened {
            Some(Opened::Vectors(reader)) if reader.has("labels") => reader.all_strings("labels").map(Some),
            Some(Opened::Csv { labels, .. }) => Ok(labels.clone()),
            Some(Opened::Svmlight(Labelled { labels, .. })) => Ok(Some(labels.clone())),
            _ => Ok(None),
        }
    }

    /// The file as an input of something made from it. On the dispatcher.
    pub fn input(&self) -> Result<Input> {
        match &self.opened {
            Some(Opened::Vectors(reader)) => Input::result(reader.file()),
            _ => provenance::of_input(&self.path),
        }
    }
}

fn open(path: &Path, choice: &Choice) -> Result<(Opened, Shape)> {
    let name = path.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let unused = |what: &str| Err(Error::usage(format!("{}: {what}", path.display())));
    if choice.label_field.is_some() && !name.ends_with(".csv") {
        return unused("--label-field is for CSV; give the labels of other files with --labels");
    }
    if name.ends_with(".npy") {
        if choice.dataset.is_some() {
            return unused("--dataset is for HDF5 files");
        }
        return open_npy(path);
    }
    if name.ends_with(".csv") {
        if choice.dataset.is_some() {
            return unused("--dataset is for HDF5 files");
        }
        return open_csv(path, choice);
    }
    if let Some(dataset) = &choice.dataset {
        return open_hdf5(path, dataset);
    }
    if path.is_file() && !has_signature(path)? {
        let found = svmlight::read(path)?;
        let (rows, columns) = (found.rows.rows(), found.rows.columns);
        let digest = sampled(&File::open(path).at(path)?).at(path)?;
        return Ok((Opened::Svmlight(found), Shape { rows, columns, double: true, kind: Kind::Svmlight, digest }));
    }
    match OpenFile::open(path) {
        Ok(open) if open.format == Format::Vectors => {}
        Ok(open) => {
            let held = open.format.description();
            return Err(Error::failed(format!("{}: holds {held} where dense vectors are wanted", path.display())));
        }
        Err(error) if error.to_string().contains("not one written by") => {
            let what = "an HDF5 file of others: name the dataset that holds the rows with --dataset";
            return Err(Error::usage(format!("{}: {what}", path.display())));
        }
        Err(error) => return Err(error),
    }
    let reader = ModelReader::open(path, Format::Vectors)?;
    let [rows, columns] = reader.shape("vectors")?[..] else {
        return Err(Error::failed(format!("{}: damaged vectors (not a matrix); make it again", path.display())));
    };
    // Only reading shows the type of its numbers.
    let double = rows > 0 && reader.rows::<f64>("vectors", 0, 1).is_ok();
    let digest = reader.file().checksum.clone();
    Ok((Opened::Vectors(reader), Shape { rows, columns, double, kind: Kind::Vectors, digest }))
}

fn open_npy(path: &Path) -> Result<(Opened, Shape)> {
    let bad = |what: &str| Error::failed(format!("{}: {what}", path.display()));
    let file = File::open(path).at(path)?;
    let header = NpyHeader::read(&mut BufReader::new(&file)).map_err(|what| bad(&what))?;
    let double = match header.kind.as_str() {
        "<f8" => true,
        "<f4" => false,
        found => {
            return Err(bad(&format!(
                "holds numbers of type '{found}'; save it with .astype(\"float64\") or \"float32\""
            )));
        }
    };
    if header.by_columns {
        return Err(bad("is stored by columns; save numpy.ascontiguousarray(X)"));
    }
    let [rows, columns] = header.shape[..] else {
        let extents = header.shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        return Err(bad(&format!("holds an array of shape ({extents}) where a matrix is wanted")));
    };
    let offset = header.offset;
    let (rows, columns) = (rows as usize, columns as usize);
    let bytes = (rows as u64).checked_mul(columns as u64).and_then(|n| n.checked_mul(if double { 8 } else { 4 }));
    if bytes.and_then(|bytes| bytes.checked_add(offset)) != Some(file.metadata().at(path)?.len()) {
        return Err(bad(&format!("is not as long as {rows} x {columns} numbers are: truncated or damaged")));
    }
    let digest = sampled(&file).at(path)?;
    Ok((Opened::Npy(file), Shape { rows, columns, double, kind: Kind::Npy { offset }, digest }))
}

/// A digest of the length of a file and of pages all over it.
fn sampled(file: &File) -> std::io::Result<String> {
    let length = file.metadata()?.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let mut page = [0u8; 4096];
    for place in 0..=PLACES {
        let at = length.saturating_sub(page.len() as u64) / PLACES * place;
        let read = file.read_at(&mut page, at)?;
        hasher.update(&page[..read]);
    }
    Ok(hasher.finalize().to_hex().to_string())
}

fn open_hdf5(path: &Path, name: &str) -> Result<(Opened, Shape)> {
    hdf5::silence_errors(true);
    let dataset = hdf5::File::open(path).and_then(|file| file.dataset(name)).at_file(path)?;
    let extents = dataset.shape();
    let [rows, columns] = extents[..] else {
        let what = format!("{name} is an array of shape {extents:?} where a matrix is wanted");
        return Err(Error::failed(format!("{}: {what}", path.display())));
    };
    use hdf5::types::{FloatSize, TypeDescriptor};
    let double = match dataset.dtype().and_then(|kind| kind.to_descriptor()).at_file(path)? {
        TypeDescriptor::Float(FloatSize::U8) | TypeDescriptor::Integer(_) | TypeDescriptor::Unsigned(_) => true,
        TypeDescriptor::Float(FloatSize::U4) => false,
        other => return Err(Error::failed(format!("{}: {name} holds {other}, not real numbers", path.display()))),
    };
    let digest = sampled(&File::open(path).at(path)?).at(path)?;
    let kind = Kind::Hdf5 { dataset: name.into() };
    Ok((Opened::Hdf5(dataset), Shape { rows, columns, double, kind, digest }))
}

fn open_csv(path: &Path, choice: &Choice) -> Result<(Opened, Shape)> {
    let mut reader = csv::ReaderBuilder::new().from_path(path).at(path)?;
    let head = reader.headers().at(path)?.clone();
    let label = match &choice.label_field {
        Some(name) => Some(head.iter().position(|field| field == name).ok_or_else(|| {
            let names: Vec<String> = head.iter().map(|field| format!("{field:?}")).collect();
            Error::usage(format!("{}:1: no field {name:?}; there are {}", path.display(), names.join(", ")))
        })?),
        None => None,
    };
    let columns = head.len() - usize::from(label.is_some());
    let (mut numbers, mut labels) = (Vec::new(), label.map(|_| Vec::new()));
    for record in reader.records() {
        let record = record.at(path)?;
        let line = record.position().map_or(0, |position| position.line());
        for (at, field) in record.iter().enumerate() {
            if Some(at) == label {
                labels.get_or_insert_default().push(field.to_owned());
                continue;
            }
            let number = match field.trim() {
                "" => f64::NAN,
                text => text.parse().map_err(|_| {
                    Error::failed(format!(
                        "{}:{line}: {text:?} in field {:?} is not a number",
                        path.display(),
                        &head[at]
                    ))
                })?,
            };
            numbers.push(number);
        }
    }
    let rows = numbers.len().checked_div(columns).unwrap_or(0);
    let digest = sampled(&File::open(path).at(path)?).at(path)?;
    Ok((Opened::Csv { numbers, labels }, Shape { rows, columns, double: true, kind: Kind::Csv, digest }))
}

/// Blocks of a table.
pub struct Blocks<'a> {
    table: &'a Table,
    next: usize,
}

impl<'a> Blocks<'a> {
    /// All of them.
    pub fn of(table: &'a Table) -> Self {
        Blocks { table, next: 0 }
    }

    fn span(&self, number: usize) -> (usize, usize) {
        let rows = self.table.block_rows();
        let first = number * rows;
        (first, rows.min(self.table.shape.rows.saturating_sub(first)))
    }
}

impl Source for Blocks<'_> {
    type Item = Block;
    const KNOWN: bool = true;

    fn next(&mut self) -> Result<Option<Parcel>> {
        let number = self.next;
        let (_, count) = self.span(number);
        self.next += 1;
        let bytes = (count * self.table.shape.columns * if self.table.shape.double { 8 } else { 4 }) as u64;
        Ok((count > 0).then(|| Parcel {
            number: number as u64,
            weight: count as u64,
            memory: bytes,
            ..Parcel::default()
        }))
    }

    fn visible(&self) -> bool {
        self.table.opened.is_some()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        Ok(self.load(parcel)?.encode())
    }

    fn open(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<Block> {
        let (first, count) = self.span(parcel.number as usize);
        let columns = self.table.shape.columns;
        let numbers = if self.table.shape.double {
            Numbers::Double(bytemuck::pod_collect_to_vec(&bytes))
        } else {
            Numbers::Single(bytemuck::pod_collect_to_vec(&bytes))
        };
        let block = Block { first, columns, numbers };
        if block.rows() != count {
            return Err(Error::failed("damaged rows in a message"));
        }
        Ok(block)
    }

    fn load(&self, parcel: &Parcel) -> Result<Block> {
        let (first, count) = self.span(parcel.number as usize);
        self.table.rows(first, count)
    }

    /// Rows of `.npy` are copied as they are.
    fn rereads(&self) -> bool {
        matches!(self.table.shape.kind, Kind::Npy { .. })
    }
}

/// A view of numbers as rows.
pub fn as_rows<T>(numbers: &[T], columns: usize) -> ArrayView2<'_, T> {
    let rows = numbers.len().checked_div(columns).unwrap_or(0);
    ArrayView2::from_shape((rows, columns), numbers).expect("whole rows")
}

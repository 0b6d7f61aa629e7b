//! Datasets that grow: numbers (1-D, or 2-D by rows) and strings, written in blocks of a fixed size.
//!
//! A dataset's bytes must not depend on how many rows each call brought, so rows are collected until a block is full; one
//! block is one HDF5 chunk with its own Fletcher-32 checksum. A dataset smaller than a block is written once, with exactly
//! its own size. For strings HDF5 offers no checksum, neither for the dataset (filters do not apply to them) nor for the
//! global heap they lie in: each block of strings gets one of ours, in the dataset of the same name in the group
//! `checksums`.

use super::heap::Heap;
use super::seal::{self, CHECKSUM, Value};
use hdf5::types::{TypeDescriptor, VarLenUnicode};
use hdf5::{Dataset, Group, H5Type};
use ndarray::{ArrayView1, ArrayView2, s};
use std::path::Path;

/// Elements of a block of numbers.
pub const BLOCK_ELEMENTS: usize = 256 * 1024;

/// Strings of a block of strings.
pub const BLOCK_STRINGS: usize = 4096;

/// Group that holds the checksums of the blocks of strings.
pub const CHECKSUMS: &str = "checksums";

/// Numbers a dataset can hold: f32, f64, u32, u64, i32 and i64.
pub trait Number: H5Type + bytemuck::Pod + Send + Sync {}
impl Number for f32 {}
impl Number for f64 {}
impl Number for u32 {}
impl Number for u64 {}
impl Number for i32 {}
impl Number for i64 {}

/// A numeric dataset being written: rows of one number, or of `columns` numbers.
pub struct NumberColumn<T> {
    group: Group,
    name: String,
    /// Numbers in a row of a 2-D dataset; `None` for a 1-D one.
    columns: Option<usize>,
    dataset: Option<Dataset>,
    /// Rows on their way to the next block.
    pending: Vec<T>,
    rows_written: usize,
    hasher: blake3::Hasher,
}

impl<T: Number> NumberColumn<T> {
    /// A 1-D dataset `name` in `group`.
    pub fn list(group: &Group, name: &str) -> Self {
        Self::new(group, name, None)
    }

    /// A 2-D dataset (rows x columns), to be filled row by row. `columns` is at least 1.
    pub fn table(group: &Group, name: &str, columns: usize) -> Self {
        Self::new(group, name, Some(columns.max(1)))
    }

    fn new(group: &Group, name: &str, columns: Option<usize>) -> Self {
        let name = name.to_string();
        let hasher = blake3::Hasher::new();
        NumberColumn {
            group: group.clone(),
            name,
            columns,
            dataset: None,
            pending: Vec::new(),
            rows_written: 0,
            hasher,
        }
    }

    fn row(&self) -> usize {
        self.columns.unwrap_or(1)
    }

    fn block_rows(&self) -> usize {
        (BLOCK_ELEMENTS / self.row()).max(1)
    }

    /// Appends rows; the length is a multiple of the row's.
    pub fn push(&mut self, mut values: &[T]) -> hdf5::Result<()> {
        if !values.len().is_multiple_of(self.row()) {
            let what = format!("{}: {} numbers are no whole rows of {}", self.name, values.len(), self.row());
            return Err(hdf5::Error::Internal(what));
        }
        let block = self.block_rows() * self.row();
        while !values.is_empty() {
            if self.pending.is_empty() && values.len() >= block {
                // Whole blocks go out from where they are.
                let (whole, rest) = values.split_at(block);
                self.write(whole)?;
                values = rest;
            } else {
                let (part, rest) = values.split_at(values.len().min(block - self.pending.len()));
                self.pending.extend_from_slice(part);
                values = rest;
                if self.pending.len() == block {
                    let full = std::mem::take(&mut self.pending);
                    self.write(&full)?;
                    self.pending = full;
                    self.pending.clear();
                }
            }
        }
        Ok(())
    }

    /// Writes rows at the end of a dataset that can grow.
    fn write(&mut self, values: &[T]) -> hdf5::Result<()> {
        let rows = values.len() / self.row();
        let dataset = match &self.dataset {
            Some(dataset) => dataset.clone(),
            None => {
                let builder = self.group.new_dataset_builder().fletcher32().empty::<T>();
                let dataset = match self.columns {
                    None => builder.shape((0..,)).chunk(self.block_rows()).create(self.name.as_str())?,
                    Some(columns) => {
                        builder.shape((0.., columns)).chunk((self.block_rows(), columns)).create(self.name.as_str())?
                    }
                };
                self.dataset.insert(dataset).clone()
            }
        };
        let (first, end) = (self.rows_written, self.rows_written + rows);
        let (columns, hasher) = (self.columns, &mut self.hasher);
        // All of a corpus or of vectors comes through here: what HDF5 does to a block and its digest go on at the same time.
        let (written, hashed) = std::thread::scope(|scope| {
            let hash = || {
                hasher.update(bytemuck::cast_slice(values));
            };
            let hashed = std::thread::Builder::new().name("digest".into()).spawn_scoped(scope, hash).is_ok();
            let written = match columns {
                None => dataset.resize(end).and_then(|()| dataset.write_slice(ArrayView1::from(values), first..end)),
                Some(columns) => dataset
                    .resize((end, columns))
                    .and_then(|()| dataset.write_slice(view(values, rows, columns)?, s![first..end, ..])),
            };
            (written, hashed)
        });
        if !hashed {
            // There was no thread to be had.
            self.hasher.update(bytemuck::cast_slice(values));
        }
        written?;
        self.rows_written = end;
        Ok(())
    }

    /// Writes what is pending and the content checksum; returns the dataset for further attributes.
    pub fn finish(mut self) -> hdf5::Result<Dataset> {
        let pending = std::mem::take(&mut self.pending);
        let dataset = if self.dataset.is_none() {
            let rows = pending.len() / self.row();
            let builder = self.group.new_dataset_builder().fletcher32();
            self.hasher.update(bytemuck::cast_slice(&pending));
            match self.columns {
                None => builder.with_data(pending.as_slice()).chunk(rows.max(1)).create(self.name.as_str())?,
                Some(columns) => builder
                    .with_data(view(&pending, rows, columns)?)
                    .chunk((rows.max(1), columns))
                    .create(self.name.as_str())?,
            }
        } else {
            if !pending.is_empty() {
                self.write(&pending)?;
            }
            self.dataset.take().ok_or("a dataset vanished")?
        };
        seal::write_attribute(&dataset, CHECKSUM, &Value::Text(self.hasher.finalize().to_hex().to_string()))?;
        Ok(dataset)
    }
}

fn view<T>(values: &[T], rows: usize, columns: usize) -> hdf5::Result<ArrayView2<'_, T>> {
    ArrayView2::from_shape((rows, columns), values).map_err(|e| hdf5::Error::Internal(e.to_string()))
}

/// A dataset of UTF-8 strings being written, AnnData's "string-array".
pub struct StringColumn {
    group: Group,
    checksums: Group,
    name: String,
    dataset: Option<Dataset>,
    pending: Vec<VarLenUnicode>,
    written: usize,
    hasher: blake3::Hasher,
    block_hasher: blake3::Hasher,
    block_checksums: Vec<u64>,
}

impl StringColumn {
    /// A dataset `name` in `group`; `checksums` is the file's group of that name.
    pub fn new(group: &Group, checksums: &Group, name: &str) -> Self {
        StringColumn {
            group: group.clone(),
            checksums: checksums.clone(),
            name: name.to_string(),
            dataset: None,
            pending: Vec::new(),
            written: 0,
            hasher: blake3::Hasher::new(),
            block_hasher: blake3::Hasher::new(),
            block_checksums: Vec::new(),
        }
    }

    /// Appends one string. Error: it holds a NUL character, at which HDF5 would cut it off.
    pub fn push(&mut self, text: &str) -> hdf5::Result<()> {
        let stored: VarLenUnicode = text.parse().map_err(|_| {
            hdf5::Error::Internal(format!("{text:?} in {} holds a NUL character; remove it from the input", self.name))
        })?;
        hash_string(&mut self.hasher, text.as_bytes());
        hash_string(&mut self.block_hasher, text.as_bytes());
        self.pending.push(stored);
        if self.pending.len() == BLOCK_STRINGS {
            self.write_block()?;
        }
        Ok(())
    }

    fn close_block(&mut self) {
        self.block_checksums.push(short(&self.block_hasher));
        self.block_hasher.reset();
    }

    fn write_block(&mut self) -> hdf5::Result<()> {
        let dataset = match &self.dataset {
            Some(dataset) => dataset.clone(),
            None => {
                let builder = self.group.new_dataset_builder().empty::<VarLenUnicode>();
                self.dataset.insert(builder.shape((0..,)).chunk(BLOCK_STRINGS).create(self.name.as_str())?).clone()
            }
        };
        let end = self.written + self.pending.len();
        dataset.resize(end)?;
        dataset.write_slice(ArrayView1::from(&self.pending), self.written..end)?;
        self.written = end;
        self.pending.clear();
        self.close_block();
        Ok(())
    }

    /// Writes what is pending and the checksums; returns the dataset for further attributes.
    pub fn finish(mut self) -> hdf5::Result<Dataset> {
        let dataset = if self.dataset.is_none() {
            if !self.pending.is_empty() {
                self.close_block();
            }
            let builder = self.group.new_dataset_builder();
            builder.with_data(&self.pending).chunk(self.pending.len().max(1)).create(self.name.as_str())?
        } else {
            if !self.pending.is_empty() {
                self.write_block()?;
            }
            self.dataset.take().ok_or("a dataset vanished")?
        };
        seal::write_attribute(&dataset, CHECKSUM, &Value::Text(self.hasher.finalize().to_hex().to_string()))?;
        seal::write_encoding(&dataset, "string-array", "0.2.0")?;
        let mut blocks = NumberColumn::list(&self.checksums, &self.name);
        blocks.push(&self.block_checksums)?;
        blocks.finish()?;
        Ok(dataset)
    }
}

/// Length first, so that no two lists of strings hash alike.
fn hash_string(hasher: &mut blake3::Hasher, bytes: &[u8]) {
    hasher.update(&(bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

/// The first 64 bits of a hash: plenty against damage.
fn short(hasher: &blake3::Hasher) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// Rows of a dataset, known to be stored in the file: a damaged or forged shape must not make a reader allocate more
/// than there is.
pub fn rows(dataset: &Dataset) -> hdf5::Result<usize> {
    let shape = dataset.shape();
    let bytes = shape.iter().try_fold(dataset.dtype()?.size(), |product, &dim| product.checked_mul(dim));
    if bytes.is_none_or(|bytes| dataset.storage_size() < bytes as u64) {
        return Err(hdf5::Error::Internal(format!("{} is not stored completely", dataset.name())));
    }
    Ok(shape.first().copied().unwrap_or(0))
}

/// Reads `count` numbers of a 1-D dataset from `first` on; each block touched proves its Fletcher-32 checksum.
pub fn read_numbers<T: Number>(dataset: &Dataset, first: usize, count: usize) -> hdf5::Result<Vec<T>> {
    let reader = dataset.as_reader().no_convert();
    let values: ndarray::Array1<T> = reader.read_slice_1d(first..first + count)?;
    Ok(values.into_raw_vec_and_offset().0)
}

/// Reads a whole numeric dataset (rows x columns in order of storage) and compares it with its content checksum.
pub fn read_all<T: Number>(dataset: &Dataset) -> hdf5::Result<Vec<T>> {
    rows(dataset)?;
    let values: Vec<T> = if dataset.size() == 0 { Vec::new() } else { dataset.as_reader().no_convert().read_raw()? };
    let actual = blake3::hash(bytemuck::cast_slice(&values)).to_hex();
    if seal::of_dataset(dataset)? != actual.as_str() {
        return Err(hdf5::Error::Internal(format!("{} does not match its checksum", dataset.name())));
    }
    Ok(values)
}

/// Compares a numeric dataset of any size (1-D, or rows x columns) with its content checksum, in blocks.
pub fn verify<T: Number>(dataset: &Dataset) -> hdf5::Result<()> {
    let rows = rows(dataset)?;
    let reader = dataset.as_reader().no_convert();
    let columns = dataset.shape().get(1).copied();
    let step = (BLOCK_ELEMENTS / columns.unwrap_or(1).max(1)).max(1);
    let mut hasher = blake3::Hasher::new();
    for first in (0..rows).step_by(step) {
        let end = rows.min(first + step);
        let block: Vec<T> = match columns {
            None => reader.read_slice_1d::<T, _>(first..end)?.into_raw_vec_and_offset().0,
            Some(_) => reader.read_slice_2d::<T, _>(ndarray::s![first..end, ..])?.into_raw_vec_and_offset().0,
        };
        hasher.update(bytemuck::cast_slice(&block));
    }
    if seal::of_dataset(dataset)? != hasher.finalize().to_hex().as_str() {
        return Err(hdf5::Error::Internal(format!("{} does not match its checksum", dataset.name())));
    }
    Ok(())
}

/// A dataset of strings being read, block by block, each against its checksum.
pub struct StringReader {
    name: String,
    heap: Heap,
    /// Where the references of each HDF5 chunk lie in the file.
    addresses: Vec<u64>,
    len: usize,
    block_checksums: Vec<u64>,
}

impl StringReader {
    /// Opens the strings `name` of the file at `path`.
    pub fn open(root: &Group, path: &Path, name: &str) -> hdf5::Result<Self> {
        let dataset = root.dataset(name)?;
        let len = rows(&dataset)?;
        let blocks = len.div_ceil(BLOCK_STRINGS);
        let block_checksums = read_all(&root.group(CHECKSUMS)?.dataset(name)?)?;
        // One block is one HDF5 chunk.
        let addresses: Vec<u64> =
            (0..blocks).map_while(|block| dataset.chunk_info(block)).map(|chunk| chunk.addr).collect();
        let is_text = dataset.dtype()?.to_descriptor()? == TypeDescriptor::VarLenUnicode;
        if !is_text || dataset.ndim() != 1 || block_checksums.len() != blocks || addresses.len() != blocks {
            return Err(hdf5::Error::Internal(format!("{name} does not match its checksums")));
        }
        let heap = Heap::open(path).map_err(|e| hdf5::Error::Internal(e.to_string()))?;
        Ok(StringReader { name: name.to_string(), heap, addresses, len, block_checksums })
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads `count` strings from `first` on; both are within [`StringReader::len`].
    pub fn read(&self, first: usize, count: usize) -> hdf5::Result<Vec<String>> {
        let end = first.checked_add(count).filter(|&end| end <= self.len).ok_or("strings beyond the end")?;
        let mut texts = Vec::with_capacity(count);
        if count == 0 {
            return Ok(texts);
        }
        for block in first / BLOCK_STRINGS..end.div_ceil(BLOCK_STRINGS) {
            let start = block * BLOCK_STRINGS;
            let stop = (start + BLOCK_STRINGS).min(self.len);
            let damaged = || hdf5::Error::Internal(format!("the strings in {} are damaged", self.name));
            let stored = self.heap.strings(self.addresses[block], stop - start).map_err(|_| damaged())?;
            let mut hasher = blake3::Hasher::new();
            stored.iter().for_each(|text| hash_string(&mut hasher, text));
            if short(&hasher) != self.block_checksums[block] {
                return Err(damaged());
            }
            for text in stored.into_iter().take(end - start).skip(first.saturating_sub(start)) {
                texts.push(String::from_utf8(text).map_err(|_| damaged())?);
            }
        }
        Ok(texts)
    }
}

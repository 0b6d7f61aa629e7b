//! Small dense files: models and document vectors. Datasets by name; large tables may be written in slabs of rows.

use super::atomic::Target;
use super::column::{self, Number, NumberColumn, StringColumn, StringReader};
use super::file::{AtFile, Format, OpenFile, ResultFile};
use super::seal::{self, Value};
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// Writes a model or vectors file.
pub struct ModelWriter {
    format: Format,
    file: ResultFile,
}

/// A 2-D dataset of a file being written, filled by slabs of rows in order.
pub struct Slabs<T>(NumberColumn<T>);

impl ModelWriter {
    /// Starts a file of this format.
    pub fn create(target: Target, format: Format) -> Result<Self> {
        Ok(ModelWriter { format, file: ResultFile::create(target)? })
    }

    /// Adds a 1-D dataset.
    pub fn list<T: Number>(&mut self, name: &str, values: &[T]) -> Result<()> {
        let mut column = NumberColumn::list(self.file.root(), name);
        column.push(values).and_then(|()| column.finish()).at_file(self.file.path()).map(|_| ())
    }

    /// Adds a 2-D dataset (rows x columns).
    pub fn table<T: Number>(&mut self, name: &str, values: ArrayView2<T>) -> Result<()> {
        let mut slabs = self.slabs(name, values.ncols())?;
        self.push(&mut slabs, values)?;
        self.finish_slabs(slabs)
    }

    /// Starts a 2-D dataset with `columns` columns whose rows arrive in slabs.
    pub fn slabs<T: Number>(&mut self, name: &str, columns: usize) -> Result<Slabs<T>> {
        if columns == 0 {
            return Err(Error::failed(format!("{}: {name} would have no columns", self.file.path().display())));
        }
        Ok(Slabs(NumberColumn::table(self.file.root(), name, columns)))
    }

    /// Appends rows to a dataset started with [`ModelWriter::slabs`].
    pub fn push<T: Number>(&mut self, slabs: &mut Slabs<T>, rows: ArrayView2<T>) -> Result<()> {
        let standard = rows.as_standard_layout();
        let values = standard.as_slice().ok_or_else(|| Error::failed("rows in standard layout are one slice"))?;
        slabs.0.push(values).at_file(self.file.path())
    }

    /// Completes a dataset started with [`ModelWriter::slabs`].
    pub fn finish_slabs<T: Number>(&mut self, slabs: Slabs<T>) -> Result<()> {
        slabs.0.finish().at_file(self.file.path()).map(|_| ())
    }

    /// Adds a dataset of strings; they may come from a reader piece by piece.
    pub fn strings<S: AsRef<str>>(&mut self, name: &str, texts: impl IntoIterator<Item = S>) -> Result<()> {
        let mut column = StringColumn::new(self.file.root(), self.file.checksums(), name);
        for text in texts {
            column.push(text.as_ref()).at_file(self.file.path())?;
        }
        column.finish().at_file(self.file.path()).map(|_| ())
    }

    /// Adds a root attribute: text, a whole or a real number.
    pub fn attribute(&mut self, name: &str, value: impl Into<Value>) -> Result<()> {
        seal::write_attribute(self.file.root(), name, &value.into()).at_file(self.file.path())
    }

    /// Seals the file and puts it in its place; returns its checksum.
    pub fn finish(self, provenance: &serde_json::Value) -> Result<String> {
        self.file.finish(self.format, provenance)
    }
}

/// Reads a model or vectors file; every dataset is compared with its checksum when it is read.
pub struct ModelReader {
    open: OpenFile,
}

impl ModelReader {
    /// Opens a file that must hold `format`.
    pub fn open(path: impl AsRef<Path>, format: Format) -> Result<Self> {
        Ok(ModelReader { open: OpenFile::expect(path, format)? })
    }

    /// Attributes, provenance and checksum.
    pub fn file(&self) -> &OpenFile {
        &self.open
    }

    /// Whether there is a dataset of this name.
    pub fn has(&self, name: &str) -> bool {
        self.open.file.link_exists(name)
    }

    /// Shape of a dataset.
    pub fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.open.file.dataset(name).at_file(&self.open.path)?.shape())
    }

    /// A 1-D dataset.
    pub fn list<T: Number>(&self, name: &str) -> Result<Vec<T>> {
        let dataset = self.dataset(name, 1)?;
        column::read_all(&dataset).at_file(&self.open.path)
    }

    /// A 2-D dataset (rows x columns).
    pub fn table<T: Number>(&self, name: &str) -> Result<Array2<T>> {
        let dataset = self.dataset(name, 2)?;
        let shape = dataset.shape();
        let values = column::read_all(&dataset).at_file(&self.open.path)?;
        Array2::from_shape_vec((shape[0], shape[1]), values).map_err(|e| Error::failed(e.to_string()))
    }

    /// Rows `first .. first + count` of a 2-D dataset, proved by the checksums of the HDF5 chunks they lie in.
    pub fn rows<T: Number>(&self, name: &str, first: usize, count: usize) -> Result<Array2<T>> {
        let dataset = self.dataset(name, 2)?;
        let rows = column::rows(&dataset).at_file(&self.open.path)?;
        if first.checked_add(count).is_none_or(|end| end > rows) {
            let path = self.open.path.display();
            return Err(Error::failed(format!("{path}: {name} has {rows} rows, not {count} from {first} on")));
        }
        let selection = ndarray::s![first..first + count, ..];
        dataset.as_reader().no_convert().read_slice_2d(selection).at_file(&self.open.path)
    }

    /// A dataset of strings, to be read whole or in part.
    pub fn strings(&self, name: &str) -> Result<StringReader> {
        StringReader::open(&self.open.file, &self.open.path, name).at_file(&self.open.path)
    }

    /// All strings of a dataset.
    pub fn all_strings(&self, name: &str) -> Result<Vec<String>> {
        let strings = self.strings(name)?;
        strings.read(0, strings.len()).at_file(&self.open.path)
    }

    fn dataset(&self, name: &str, ndim: usize) -> Result<hdf5::Dataset> {
        let dataset = self.open.file.dataset(name).at_file(&self.open.path)?;
        if dataset.ndim() != ndim {
            let path = self.open.path.display();
            return Err(Error::failed(format!("{path}: {name} has {} dimensions, not {ndim}", dataset.ndim())));
        }
        Ok(dataset)
    }
}

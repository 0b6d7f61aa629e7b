//! Small dense files: models and document vectors. Datasets by name; large tables may be written in slabs of rows.

use super::atomic::Target;
use super::column::{self, Number, NumberColumn, StringColumn, StringReader};
use super::file::{AtFile, Format, OpenFile, ResultFile};
use super::seal::{self, Value};
use super::section::{Section, SectionWriter};
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayView2};
use std::path::Path;

/// Writes a model or vectors file.
pub struct ModelWriter {
    format: Format,
    file: ResultFile,
}

/// A 2-D dataset of a file being written, filled by slabs of rows in order.
pub struct Slabs<T> {
    column: NumberColumn<T>,
    columns: usize,
}

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
        Ok(Slabs { column: NumberColumn::table(self.file.root(), name, columns), columns })
    }

    /// Starts a 1-D dataset that arrives in pieces: slabs of one column.
    pub fn pieces<T: Number>(&mut self, name: &str) -> Slabs<T> {
        Slabs { column: NumberColumn::list(self.file.root(), name), columns: 1 }
    }

    /// Appends rows to a dataset started with [`ModelWriter::slabs`].
    pub fn push<T: Number>(&mut self, slabs: &mut Slabs<T>, rows: ArrayView2<T>) -> Result<()> {
        if rows.ncols() != slabs.columns {
            let (path, given) = (self.file.path().display(), rows.ncols());
            return Err(Error::failed(format!("{path}: rows of {given} numbers for {} columns", slabs.columns)));
        }
        let standard = rows.as_standard_layout();
        let values = standard.as_slice().ok_or_else(|| Error::failed("rows in standard layout are one slice"))?;
        slabs.column.push(values).at_file(self.file.path())
    }

    /// Completes a dataset started with [`ModelWriter::slabs`].
    pub fn finish_slabs<T: Number>(&mut self, slabs: Slabs<T>) -> Result<()> {
        slabs.column.finish().at_file(self.file.path()).map(|_| ())
    }

    /// Adds a dataset of strings; they may come from a reader piece by piece.
    pub fn strings<S: AsRef<str>>(&mut self, name: &str, texts: impl IntoIterator<Item = S>) -> Result<()> {
        let mut column = StringColumn::new(self.file.root(), self.file.checksums(), name);
        for text in texts {
            column.push(text.as_ref()).at_file(self.file.path())?;
        }
        column.finish().at_file(self.file.path()).map(|_| ())
    }

    /// Starts a section; it has to be dropped before the file is finished.
    pub fn section(&mut self, name: &str) -> Result<SectionWriter> {
        SectionWriter::create(&self.file, name)
    }

    /// The root as a section.
    pub fn root(&mut self) -> SectionWriter {
        SectionWriter::root(&self.file)
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

    /// What is said of a file whose parts do not fit each other; `what` it is.
    pub fn misfit(&self, what: &str) -> Error {
        let path = self.open.path.display();
        Error::failed(format!("{path}: damaged {what} (its parts do not fit); make it again"))
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

    /// As [`rows`](Self::rows), of numbers in single or double precision; the latter are rounded.
    pub fn single_rows(&self, name: &str, first: usize, count: usize) -> Result<Array2<f32>> {
        let kind = self.dataset(name, 2)?.dtype().at_file(&self.open.path)?;
        if kind.size() == size_of::<f64>() {
            return Ok(self.rows::<f64>(name, first, count)?.mapv(|value| value as f32));
        }
        self.rows(name, first, count)
    }

    /// A dataset of strings, to be read whole or in part.
    pub fn strings(&self, name: &str) -> Result<StringReader> {
        StringReader::open(&self.open.file, &self.open.path, name).at_file(&self.open.path)
    }

    /// A section, if there is one of this name.
    pub fn section(&self, name: &str) -> Result<Option<Section>> {
        Section::open(&self.open, name)
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

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use serde_json::json;
    use std::fs;

    fn table(rows: usize) -> Array2<f32> {
        Array2::from_shape_fn((rows, 3), |(row, column)| row as f32 + column as f32 / 4.0)
    }

    fn write(path: &Path, rows: usize, slab: usize) -> Result<String> {
        let mut writer = ModelWriter::create(Target::create(path)?, Format::Vectors)?;
        writer.attribute("k", 3u64)?;
        writer.attribute("tolerance", 0.1)?;
        writer.attribute("kind", "test")?;
        writer.list("residuals", &[0.5, 0.25, f64::MIN_POSITIVE])?;
        writer.list::<u64>("nothing", &[])?;
        writer.strings("ids", (0..rows).map(|row| format!("id-{row}")))?;
        let mut slabs = writer.slabs("vectors", 3)?;
        for rows in table(rows).axis_chunks_iter(ndarray::Axis(0), slab) {
            writer.push(&mut slabs, rows)?;
        }
        writer.finish_slabs(slabs)?;
        writer.finish(&json!({"command": "test", "k": 3}))
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vectors.h5");
        // More than one block: 262,144 / 3 rows fit in one.
        let rows = 100_000;
        let checksum = write(&path, rows, 1000).unwrap();
        let reader = ModelReader::open(&path, Format::Vectors).unwrap();
        assert_eq!(reader.file().checksum, checksum);
        assert_eq!(reader.file().unsigned("k").unwrap(), 3);
        assert_eq!(reader.file().float("tolerance").unwrap(), 0.1);
        assert_eq!(reader.file().text("kind").unwrap(), "test");
        assert!(reader.file().text("k").is_err() && reader.file().text("other").is_err());
        assert_eq!(reader.file().provenance().unwrap(), json!({"command": "test", "k": 3}));
        assert_eq!(reader.list::<f64>("residuals").unwrap(), [0.5, 0.25, f64::MIN_POSITIVE]);
        assert_eq!(reader.list::<u64>("nothing").unwrap(), Vec::<u64>::new());
        assert_eq!(reader.shape("vectors").unwrap(), [rows, 3]);
        assert_eq!(reader.table::<f32>("vectors").unwrap(), table(rows));
        let part = reader.rows::<f32>("vectors", 87_000, 1000).unwrap();
        assert_eq!(part, table(rows).slice(ndarray::s![87_000..88_000, ..]));
        assert_eq!(reader.all_strings("ids").unwrap()[99_999], "id-99999");
        assert!(reader.has("ids") && !reader.has("labels"));
        // Asked for what is not there or of another type.
        assert!(reader.table::<f64>("vectors").is_err());
        assert!(reader.list::<f32>("vectors").is_err());
        assert!(reader.rows::<f32>("vectors", rows, 1).is_err());
        assert!(reader.list::<f64>("missing").unwrap_err().to_string().starts_with(&path.display().to_string()));
        let wrong = ModelReader::open(&path, Format::Lsi).err().unwrap().to_string();
        assert!(wrong.contains("holds document vectors where an LSI model is wanted"), "{wrong}");
    }

    #[test]
    fn bytes_do_not_depend_on_the_slabs() {
        let folder = tempfile::tempdir().unwrap();
        let files = [1, 999, 200_000].map(|slab| {
            let path = folder.path().join(slab.to_string());
            write(&path, 100_000, slab).unwrap();
            fs::read(path).unwrap()
        });
        assert!(files[0] == files[1] && files[1] == files[2]);
    }

    #[test]
    fn files_that_are_not_ours_are_refused_in_one_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let refusal = || {
            let text = ModelReader::open(&path, Format::Vectors).err().unwrap().to_string();
            assert!(text.starts_with(&path.display().to_string()) && !text.contains('\n'), "{text}");
            text
        };
        assert!(refusal().contains("No such file"));
        fs::write(&path, "").unwrap();
        assert!(refusal().contains("not an HDF5 file"));
        fs::write(&path, "some text, longer than a signature").unwrap();
        assert!(refusal().contains("not an HDF5 file"));
        fs::write(&path, b"\x89HDF\r\n\x1a\nand no more").unwrap();
        assert!(refusal().contains("damaged, truncated"));
        fs::remove_file(&path).unwrap();
        hdf5::File::create(&path).unwrap().new_dataset::<f32>().shape(3).create("x").unwrap();
        assert!(refusal().contains("not one written by"));

        write(&path, 10, 10).unwrap();
        let file = hdf5::File::open_rw(&path).unwrap();
        file.attr("format_version").unwrap().write_scalar(&2u64).unwrap();
        file.close().unwrap();
        assert!(refusal().contains("format version 2 is newer"));

        write(&path, 10, 10).unwrap();
        let file = hdf5::File::open_rw(&path).unwrap();
        file.new_dataset::<f32>().shape(3).create("added").unwrap();
        file.close().unwrap();
        assert!(refusal().contains("changed after it was written"));

        write(&path, 10, 10).unwrap();
        let file = hdf5::File::open_rw(&path).unwrap();
        file.dataset("residuals").unwrap().write_raw(&[0.5, 0.25, 0.125]).unwrap();
        file.close().unwrap();
        let reader = ModelReader::open(&path, Format::Vectors).unwrap();
        assert!(reader.list::<f64>("residuals").unwrap_err().to_string().contains("does not match its checksum"));
    }

    #[test]
    fn impossible_content_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::create(folder.path().join("file")).unwrap();
        let mut writer = ModelWriter::create(target, Format::Lsi).unwrap();
        assert!(writer.slabs::<f32>("none", 0).is_err());
        assert!(writer.attribute("long", "x".repeat(65).as_str()).is_err());
        assert!(writer.strings("nul", ["a\0b"]).unwrap_err().to_string().contains("NUL"));
        let mut slabs = writer.slabs::<f32>("narrow", 4).unwrap();
        assert!(writer.push(&mut slabs, table(3).view()).is_err());
        drop((slabs, writer));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

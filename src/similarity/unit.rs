//! Vectors from a file, brought to length 1.

use std::path::Path;

use ndarray::{Array2, ArrayViewMut1};

use crate::error::{At, Error, Result};
use crate::store::column::{BLOCK_STRINGS, StringReader};
use crate::store::file::{Format, OpenFile};
use crate::store::model::ModelReader;

/// A vectors file, as `corpuscle transform` writes it, or an index, whose vectors have length 1 already.
pub struct UnitVectors {
    reader: ModelReader,
    documents: usize,
    columns: usize,
    /// They are kept to the bit.
    ready: bool,
}

impl UnitVectors {
    /// Opens a file.
    ///
    /// # Errors
    /// Not a vectors file, one without any vector, one whose parts do not fit.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(path, ModelReader::open(path, Format::Vectors)?, false)
    }

    /// Opens a file of vectors or an index.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub fn open_part(path: &Path) -> Result<Self> {
        match OpenFile::open(path)?.format {
            Format::Index => Self::of(path, ModelReader::open(path, Format::Index)?, true),
            _ => Self::open(path),
        }
    }

    fn of(path: &Path, reader: ModelReader, ready: bool) -> Result<Self> {
        let damaged = |what: String| Error::failed(format!("{}: {what}; make it again", path.display()));
        let [documents, columns] = reader.shape("vectors")?[..] else {
            return Err(damaged("damaged vectors (not a matrix)".into()));
        };
        if documents == 0 || columns == 0 {
            return Err(damaged(format!(
                "holds {documents} vectors of {columns} numbers: there is nothing to compare"
            )));
        }
        for name in ["ids", "labels"] {
            if (name == "ids" || reader.has(name)) && reader.strings(name)?.len() != documents {
                return Err(damaged(format!("damaged vectors (not as many {name} as vectors)")));
            }
        }
        Ok(UnitVectors { reader, documents, columns, ready })
    }

    /// Number of vectors.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Numbers in a vector.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The index, if it is one.
    pub fn index(&self) -> Option<&ModelReader> {
        self.ready.then_some(&self.reader)
    }

    /// The file.
    pub fn file(&self) -> &OpenFile {
        self.reader.file()
    }

    /// Whether each vector has a label.
    pub fn labelled(&self) -> bool {
        self.reader.has("labels")
    }

    /// Vectors `first .. first + count` (count x columns), each divided by its length; zeros stay zeros.
    ///
    /// # Errors
    /// A vector with an entry that is not a finite number; those of reading.
    pub fn rows(&self, first: usize, count: usize) -> Result<Array2<f32>> {
        let mut rows: Array2<f32> = self.reader.single_rows("vectors", first, count)?;
        if self.ready {
            return Ok(rows);
        }
        if let Some(bad) = rows.rows_mut().into_iter().position(|row| !normalise(row)) {
            let (path, number) = (self.file().path.display(), first + bad);
            let id = self.reader.strings("ids")?.read(number, 1).at(&self.file().path)?;
            return Err(Error::failed(format!(
                "{path}: vector {number} (id {:?}) has an entry that is not a finite number; make the vectors again \
                 without it",
                id[0]
            )));
        }
        Ok(rows)
    }

    /// Ids or labels of all vectors, block by block.
    pub fn strings(&self, name: &str) -> Result<impl Iterator<Item = Result<Vec<String>>>> {
        let (strings, path) = (self.reader.strings(name)?, self.file().path.clone());
        let blocks = (0..self.documents).step_by(BLOCK_STRINGS);
        Ok(blocks.map(move |first| read(&strings, first, &path)))
    }
}

fn read(strings: &StringReader, first: usize, path: &Path) -> Result<Vec<String>> {
    strings.read(first, BLOCK_STRINGS.min(strings.len() - first)).at(path)
}

/// Divides a vector by its length, computed in double precision, unless it is zero. False when an entry is not finite.
pub fn normalise(mut vector: ArrayViewMut1<f32>) -> bool {
    let squared: f64 = vector.iter().map(|&value| f64::from(value) * f64::from(value)).sum();
    if squared > 0.0 {
        let length = squared.sqrt();
        vector.mapv_inplace(|value| (f64::from(value) / length) as f32);
    }
    squared.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn lengths_are_one_for_all_magnitudes() {
        for scale in [1e-45f32, 1e-30, 1.0, 1e30, 1e38] {
            let mut vector = array![3.0 * scale, 0.0, -3.0 * scale];
            assert!(normalise(vector.view_mut()));
            let half = 0.5f32.sqrt();
            assert!((&vector - &array![half, 0.0, -half]).iter().all(|x| x.abs() < 1e-7), "{scale}: {vector}");
        }
        let mut zero = array![0.0, -0.0];
        assert!(normalise(zero.view_mut()) && zero == array![0.0, 0.0]);
        for odd in [f32::NAN, f32::INFINITY] {
            assert!(!normalise(array![1.0, odd].view_mut()));
        }
    }
}

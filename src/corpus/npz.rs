//! Sparse matrices as `scipy.sparse.save_npz` writes them: a zip archive of NumPy arrays, read an array a stream.
//!
//! `format` (csr, csc or coo), `shape`, `data`, and where the numbers stand: `indices` and `indptr`, or `row` and `col`. A
//! csr matrix whose rows are documents, and a csc matrix whose columns are (`--rows terms`, gensim's `corpus2csc`), list
//! the entries document by document; others are sorted on their way ([`crate::corpus::assemble`]).
//!
//! Cost: each array is decompressed once. Memory: a block of entries.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use zip::ZipArchive;
use zip::read::ZipFile;

use crate::corpus::matrix_market::{Entry, Field, Header, Rows};
use crate::error::{At, Error, Result};
use crate::store::npy::{NpyHeader, NumberKind};

/// Entries handed on together.
const BLOCK: usize = 1 << 16;

/// How the places of the numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Row by row.
    Csr,
    /// Column by column.
    Csc,
    /// Each by itself.
    Coo,
}

/// A file, looked at.
#[derive(Debug, Clone)]
pub struct Npz {
    path: PathBuf,
    layout: Layout,
    /// Rows and columns.
    shape: [u64; 2],
    /// As that of a MatrixMarket file.
    pub header: Header,
}

type Archive = ZipArchive<BufReader<File>>;

/// One of the arrays, opened: its numbers follow.
struct Array<'a> {
    path: &'a Path,
    name: &'static str,
    kind: NumberKind,
    header: NpyHeader,
    stream: BufReader<ZipFile<'a, BufReader<File>>>,
}

impl Npz {
    /// Looks at a file whose rows are these.
    ///
    /// # Errors
    /// What is no such archive; matrices of other formats; arrays of other types than whole and floating-point numbers;
    /// sizes that cannot be a corpus, or do not agree.
    pub fn open(path: &Path, rows: Rows) -> Result<Npz> {
        let mut archive = open(path)?;
        let format = format_of(path, &mut archive)?;
        let layout = match format.as_str() {
            "csr" => Layout::Csr,
            "csc" => Layout::Csc,
            "coo" => Layout::Coo,
            other => return Err(refusal(path, format!("is a {other:?} matrix; save it with .tocsr()"))),
        };
        let mut extents = Array::open(path, &mut archive, "shape")?;
        if extents.header.elements() != Some(2) {
            return Err(refusal(path, "is no matrix: its shape is not two numbers"));
        }
        let shape = extents.whole_block(2)?;
        let [Ok(height), Ok(width)] = [u64::try_from(shape[0]), u64::try_from(shape[1])] else {
            return Err(refusal(path, "has a negative shape"));
        };
        drop(extents);
        if height == 0 || width == 0 {
            return Err(refusal(path, format!("has shape ({height}, {width}): there is nothing in it")));
        }
        let data = Array::open(path, &mut archive, "data")?;
        let entries = data.length()?;
        let field = if matches!(data.kind, NumberKind::Whole { .. }) { Field::Integer } else { Field::Real };
        let header = Header::of(field, rows, [height, width], entries).map_err(|what| refusal(path, what))?;
        drop(data);
        let matrix = Npz { path: path.to_path_buf(), layout, shape: [height, width], header };
        matrix.check_lengths(&mut archive)?;
        Ok(matrix)
    }

    fn check_lengths(&self, archive: &mut Archive) -> Result<()> {
        let entries = self.header.entries;
        let wanted = match self.layout {
            Layout::Coo => vec![("row", entries), ("col", entries)],
            Layout::Csr => vec![("indices", entries), ("indptr", self.shape[0] + 1)],
            Layout::Csc => vec![("indices", entries), ("indptr", self.shape[1] + 1)],
        };
        for (name, length) in wanted {
            let found = Array::open(&self.path, archive, name)?.length()?;
            if found != length {
                return Err(refusal(&self.path, format!("{name} holds {found} numbers where {length} are wanted")));
            }
        }
        Ok(())
    }

    /// Whether all values are counts: whole and not negative.
    pub fn counts(&self) -> Result<bool> {
        let mut archive = open(&self.path)?;
        let mut data = Array::open(&self.path, &mut archive, "data")?;
        let mut left = self.header.entries;
        while left > 0 {
            let count = left.min(BLOCK as u64) as usize;
            if data.block(count)?.iter().any(|value| value.fract() != 0.0 || *value < 0.0) {
                return Ok(false);
            }
            left -= count as u64;
        }
        Ok(true)
    }

    /// Gives `each` all entries in the order of the file, some at a time, numbered from 1. It stops the reading by
    /// returning false.
    ///
    /// # Errors
    /// Places outside of the shape, numbers that are not finite, arrays that end early, what `each` refuses.
    pub fn entries(&self, each: &mut dyn FnMut(&[Entry]) -> Result<bool>) -> Result<()> {
        let mut archives = [open(&self.path)?, open(&self.path)?, open(&self.path)?];
        let [first, second, third] = &mut archives;
        let (places, minor) = match self.layout {
            Layout::Coo => ("row", "col"),
            Layout::Csr | Layout::Csc => ("indptr", "indices"),
        };
        let mut majors = Majors {
            array: Array::open(&self.path, first, places)?,
            each: self.layout == Layout::Coo,
            left: self.shape[usize::from(self.layout == Layout::Csc)],
            entries: self.header.entries,
            begun: false,
            major: -1,
            end: 0,
            ends: Vec::new().into_iter(),
        };
        let mut minors = Array::open(&self.path, second, minor)?;
        let mut data = Array::open(&self.path, third, "data")?;
        // Rows are the major ones unless the columns are; documents are rows unless the terms are.
        let crossed = (self.layout == Layout::Csc) != (self.header.rows == Rows::Terms);
        let (mut done, mut block) = (0, Vec::new());
        while done < self.header.entries {
            let count = (self.header.entries - done).min(BLOCK as u64) as usize;
            let (major, minor, values) = (majors.block(done, count)?, minors.whole_block(count)?, data.block(count)?);
            block.clear();
            for (((major, minor), value), number) in major.into_iter().zip(minor).zip(values).zip(done + 1..) {
                let bad = |what: String| refusal(&self.path, format!("entry {number}: {what}"));
                let (document, term) = if crossed { (minor, major) } else { (major, minor) };
                let place = |place: i64, extent: u32, what: &str| {
                    u32::try_from(place)
                        .ok()
                        .filter(|&place| place < extent)
                        .ok_or_else(|| bad(format!("{what} {place} is outside of the {extent} there are")))
                };
                let document = place(document, self.header.documents, "document")?;
                let term = place(term, self.header.terms, "term")?;
                let value = value as f32;
                if !value.is_finite() {
                    return Err(bad("the value is not a finite number".to_owned()));
                }
                block.push(Entry { document, term, value, line: u32::try_from(number).unwrap_or(u32::MAX) });
            }
            if !each(&block)? {
                return Ok(());
            }
            done += count as u64;
        }
        majors.finish()
    }
}

/// The row or column that each entry is of, in a matrix that lists it by rows or columns.
struct Majors<'a> {
    array: Array<'a>,
    /// The array says it for each entry, not where each begins.
    each: bool,
    /// Ends that are not read yet.
    left: u64,
    entries: u64,
    /// The first offset, which is 0, has been read.
    begun: bool,
    /// The present one.
    major: i64,
    /// Where it ends.
    end: u64,
    ends: std::vec::IntoIter<i64>,
}

impl Majors<'_> {
    /// Of `count` entries from `first` on.
    fn block(&mut self, first: u64, count: usize) -> Result<Vec<i64>> {
        if self.each {
            return self.array.whole_block(count);
        }
        let mut majors = Vec::with_capacity(count);
        for entry in first..first + count as u64 {
            while self.end <= entry {
                self.next()?;
            }
            majors.push(self.major);
        }
        Ok(majors)
    }

    /// Goes on to the next row or column.
    fn next(&mut self) -> Result<()> {
        let broken = |path| refusal(path, "indptr does not ascend from 0 to the number of entries");
        if !self.begun {
            self.begun = true;
            if self.array.whole_block(1)? != [0] {
                return Err(broken(self.array.path));
            }
        }
        if self.ends.len() == 0 {
            let count = self.left.min(BLOCK as u64) as usize;
            self.left -= count as u64;
            self.ends = self.array.whole_block(count)?.into_iter();
        }
        let end = self.ends.next().and_then(|end| u64::try_from(end).ok());
        self.end = end.filter(|&end| end >= self.end && end <= self.entries).ok_or_else(|| broken(self.array.path))?;
        self.major += 1;
        Ok(())
    }

    /// What comes after the last entry has none.
    fn finish(mut self) -> Result<()> {
        while !self.each && (self.left > 0 || self.ends.len() > 0) {
            self.next()?;
        }
        Ok(())
    }
}

impl<'a> Array<'a> {
    fn open(path: &'a Path, archive: &'a mut Archive, name: &'static str) -> Result<Array<'a>> {
        let (header, stream) = array(path, archive, name)?;
        let kind = NumberKind::of(&header.kind).ok_or_else(|| {
            refusal(
                path,
                format!("{name} holds numbers of type {:?}; convert it with .astype(\"float64\")", header.kind),
            )
        })?;
        Ok(Array { path, name, kind, header, stream })
    }

    /// Its length; it must have one extent.
    fn length(&self) -> Result<u64> {
        match self.header.shape[..] {
            [length] => Ok(length),
            _ => Err(refusal(self.path, format!("{} is no list of numbers", self.name))),
        }
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; count * self.kind.width()];
        let damage = |cause| refusal(self.path, format!("{} ends early or is damaged ({cause})", self.name));
        self.stream.read_exact(&mut bytes).map_err(damage)?;
        Ok(bytes)
    }

    /// The next numbers.
    fn block(&mut self, count: usize) -> Result<Vec<f64>> {
        let kind = self.kind;
        Ok(self.bytes(count)?.chunks_exact(kind.width()).map(|bytes| kind.number(bytes)).collect())
    }

    /// The next numbers, which must be whole.
    fn whole_block(&mut self, count: usize) -> Result<Vec<i64>> {
        let (kind, path, name) = (self.kind, self.path, self.name);
        let whole = |bytes| {
            kind.whole(bytes).ok_or_else(|| refusal(path, format!("{name} holds something else than whole numbers")))
        };
        self.bytes(count)?.chunks_exact(kind.width()).map(whole).collect()
    }
}

fn refusal(path: &Path, what: impl std::fmt::Display) -> Error {
    Error::failed(format!("{}: {what}", path.display()))
}

fn open(path: &Path) -> Result<Archive> {
    let file = BufReader::new(File::open(path).at(path)?);
    ZipArchive::new(file)
        .map_err(|cause| refusal(path, format!("is no file of scipy.sparse.save_npz, or a truncated one ({cause})")))
}

/// The header of an array of the archive, and a stream of what follows it.
fn array<'a>(
    path: &Path,
    archive: &'a mut Archive,
    name: &str,
) -> Result<(NpyHeader, BufReader<ZipFile<'a, BufReader<File>>>)> {
    let member = archive.by_name(&format!("{name}.npy")).map_err(|cause| {
        refusal(path, format!("{name}: {cause}; a sparse matrix of scipy.sparse.save_npz is wanted"))
    })?;
    let mut stream = BufReader::with_capacity(1 << 16, member);
    let header = NpyHeader::read(&mut stream).map_err(|what| refusal(path, format!("{name}: {what}")))?;
    Ok((header, stream))
}

/// What `format` says: bytes, or text of four bytes a character from before scipy 1.0.
fn format_of(path: &Path, archive: &mut Archive) -> Result<String> {
    let (header, mut stream) = array(path, archive, "format")?;
    let mut bytes = Vec::new();
    (&mut stream).take(64).read_to_end(&mut bytes).map_err(|cause| refusal(path, format!("format: {cause}")))?;
    if header.elements() != Some(1) {
        return Err(refusal(path, "format is not one word"));
    }
    bytes.retain(|&byte| byte != 0);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    /// An archive of arrays: name, type, shape, bytes.
    fn archive(arrays: &[(&str, &str, &[u64], Vec<u8>)]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut zip = ZipWriter::new(file.reopen().unwrap());
        for (name, kind, shape, bytes) in arrays {
            zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            zip.write_all(&[NpyHeader::bytes(kind, shape), bytes.clone()].concat()).unwrap();
        }
        zip.finish().unwrap();
        file
    }

    fn ints(numbers: &[i32]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn longs(numbers: &[i64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn doubles(numbers: &[f64]) -> Vec<u8> {
        numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// 3 x 4: (0, 1) = 2, (0, 3) = 1, (2, 0) = 0.5.
    fn compressed(layout: &str, indices: &[i32], indptr: &[i64], data: &[f64]) -> tempfile::NamedTempFile {
        archive(&[
            ("indices", "<i4", &[indices.len() as u64], ints(indices)),
            ("indptr", "<i8", &[indptr.len() as u64], longs(indptr)),
            ("format", "|S3", &[], layout.as_bytes().to_vec()),
            ("shape", "<i8", &[2], longs(&[3, 4])),
            ("data", "<f8", &[data.len() as u64], doubles(data)),
        ])
    }

    fn read(file: &tempfile::NamedTempFile, rows: Rows) -> Result<Vec<(u32, u32, f32)>> {
        let matrix = Npz::open(file.path(), rows)?;
        let mut found = Vec::new();
        matrix.entries(&mut |entries| {
            found.extend(entries.iter().map(|entry| (entry.document, entry.term, entry.value)));
            Ok(true)
        })?;
        Ok(found)
    }

    #[test]
    fn every_layout_gives_the_entries() {
        let expected = [(0, 1, 2.0), (0, 3, 1.0), (2, 0, 0.5)];
        let csr = compressed("csr", &[1, 3, 0], &[0, 2, 2, 3], &[2.0, 1.0, 0.5]);
        assert_eq!(read(&csr, Rows::Documents).unwrap(), expected);
        let turned = expected.map(|(row, column, value)| (column, row, value));
        assert_eq!(read(&csr, Rows::Terms).unwrap(), turned);
        let csc = compressed("csc", &[2, 0, 0], &[0, 1, 2, 2, 3], &[0.5, 2.0, 1.0]);
        assert_eq!(read(&csc, Rows::Documents).unwrap(), [(2, 0, 0.5), (0, 1, 2.0), (0, 3, 1.0)]);
        let coo = archive(&[
            ("row", "<i4", &[3], ints(&[2, 0, 0])),
            ("col", "<i4", &[3], ints(&[0, 1, 3])),
            ("format", "<U3", &[], b"c\0\0\0o\0\0\0o\0\0\0".to_vec()),
            ("shape", "<i8", &[2], longs(&[3, 4])),
            ("data", "<i8", &[3], longs(&[5, 2, 1])),
        ]);
        assert_eq!(read(&coo, Rows::Documents).unwrap(), [(2, 0, 5.0), (0, 1, 2.0), (0, 3, 1.0)]);
        assert!(Npz::open(coo.path(), Rows::Documents).unwrap().counts().unwrap());
        assert!(!Npz::open(csr.path(), Rows::Documents).unwrap().counts().unwrap());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let said = |file: &tempfile::NamedTempFile| read(file, Rows::Documents).unwrap_err().to_string();
        for (indices, indptr, data, what) in [
            (&[1, 4, 0][..], &[0, 2, 2, 3][..], &[1.0; 3][..], "entry 2: term 4 is outside of the 4"),
            (&[1, -1, 0], &[0, 2, 2, 3], &[1.0; 3], "entry 2: term -1"),
            (&[1, 3, 0], &[0, 2, 1, 3], &[1.0; 3], "indptr does not ascend"),
            (&[1, 3, 0], &[1, 2, 2, 3], &[1.0; 3], "indptr does not ascend"),
            (&[1, 3, 0], &[0, 2, 2, 4], &[1.0; 3], "indptr does not ascend"),
            (&[1, 3, 0], &[0, 2, 2, 2], &[1.0; 3], "indptr does not ascend"),
            (&[1, 3, 0], &[0, 2, 3], &[1.0; 3], "indptr holds 3 numbers where 4 are wanted"),
            (&[1, 3], &[0, 2, 2, 3], &[1.0; 3], "indices holds 2 numbers where 3 are wanted"),
            (&[1, 3, 0], &[0, 2, 2, 3], &[1.0, f64::NAN, 1.0], "entry 2: the value is not a finite number"),
            (&[1, 3, 0], &[0, 2, 2, 3], &[1.0, 1e300, 1.0], "entry 2: the value is not a finite number"),
        ] {
            let message = said(&compressed("csr", indices, indptr, data));
            assert!(message.contains(what), "{message}");
        }
        assert!(said(&compressed("bsr", &[], &[0], &[])).contains("is a \"bsr\" matrix; save it with .tocsr()"));
        let file = compressed("csr", &[1, 3, 0], &[0, 2, 2, 3], &[2.0, 1.0, 0.5]);
        let bytes = std::fs::read(file.path()).unwrap();
        for cut in (0..bytes.len()).step_by(7) {
            std::fs::write(file.path(), &bytes[..cut]).unwrap();
            assert!(read(&file, Rows::Documents).is_err(), "cut at {cut}");
        }
        // Announced longer than it is: nothing is allocated for what is not there.
        let long = archive(&[
            ("indices", "<i4", &[1 << 40], ints(&[0])),
            ("indptr", "<i8", &[4], longs(&[0, 0, 0, 1 << 40])),
            ("format", "|S3", &[], b"csr".to_vec()),
            ("shape", "<i8", &[2], longs(&[3, 1 << 30])),
            ("data", "<f8", &[1 << 31], doubles(&[1.0])),
        ]);
        assert!(said(&long).contains("numbers where"));
    }
}

//! Reading a corpus by chunks.

use super::{CorpusHeader, Values};
use crate::corpus::chunk::{ChunkSpan, CsrChunk, boundaries};
use crate::error::{Error, Result};
use crate::store::column::{self, StringReader};
use crate::store::file::{AtFile, Format, OpenFile, cause};
use crate::store::seal::{self, Value};
use hdf5::Dataset;
use std::path::Path;

/// Reads a corpus by chunks.
pub struct CorpusReader {
    open: OpenFile,
    header: CorpusHeader,
    data: Dataset,
    indices: Dataset,
    /// Where each document begins; documents + 1 entries.
    indptr: Vec<u64>,
    chunks: Vec<ChunkSpan>,
    terms: StringReader,
    ids: StringReader,
    labels: Option<StringReader>,
}

impl CorpusReader {
    /// Opens a corpus: proves its seal and that its parts fit each other. Holds 8 bytes a document.
    ///
    /// Errors: those of [`OpenFile::open`]; not a corpus; parts that do not fit.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let open = OpenFile::expect(path, Format::Corpus)?;
        let values = match open.text("values")?.as_str() {
            "counts" => Values::Counts,
            code => Values::Weights(code.to_string()),
        };
        let path = open.path.clone();
        let damaged = |what: &str| {
            Error::failed(format!("{}: damaged corpus ({what}); make it again or restore a copy", path.display()))
        };
        let broken = |e: hdf5::Error| damaged(&cause(&e));
        let root = &open.file;
        let matrix = root.group("X").map_err(broken)?;
        let shape = match seal::read_attribute(&matrix, "shape").map_err(broken)? {
            Some(Value::Shape(shape)) => shape,
            _ => return Err(damaged("X has no shape")),
        };
        let [documents, terms] = shape[..] else { return Err(damaged("the shape of X is not two numbers")) };
        let (Ok(documents), Ok(terms)) = (usize::try_from(documents), i32::try_from(terms)) else {
            return Err(damaged("the shape of X is out of range"));
        };
        let dataset = |name: &str| matrix.dataset(name).map_err(broken);
        let (data, indices, indptr) = (dataset("data")?, dataset("indices")?, dataset("indptr")?);
        let rows = |dataset: &Dataset| column::rows(dataset).map_err(broken);
        if rows(&indptr)? != documents.saturating_add(1) || rows(&data)? != rows(&indices)? {
            return Err(damaged("the parts of X do not fit each other"));
        }
        // Negative offsets become huge and are caught with the descending ones.
        let indptr: Vec<u64> = bytemuck::cast_vec(column::read_all::<i64>(&indptr).map_err(broken)?);
        let nonzeros = rows(&indices)? as u64;
        if indptr[0] != 0 || indptr[documents] != nonzeros || indptr.windows(2).any(|w| w[0] > w[1]) {
            return Err(damaged("the offsets of X do not span its entries"));
        }
        let strings = |name: &str, count: usize| {
            let strings = StringReader::open(root, &open.path, name).map_err(broken)?;
            if strings.len() != count {
                return Err(damaged(&format!("{} {name}, not {count}", strings.len())));
            }
            Ok(strings)
        };
        let labels = if root.link_exists("labels") { Some(strings("labels", documents)?) } else { None };
        let header = CorpusHeader {
            documents: documents as u64,
            terms: terms.max(0) as u32,
            nonzeros,
            values,
            labelled: labels.is_some(),
            checksum: open.checksum.clone(),
        };
        Ok(CorpusReader {
            terms: strings("terms", terms.max(0) as usize)?,
            ids: strings("ids", documents)?,
            labels,
            chunks: boundaries(&indptr),
            open,
            header,
            data,
            indices,
            indptr,
        })
    }

    /// What the corpus is.
    pub fn header(&self) -> &CorpusHeader {
        &self.header
    }

    /// The file the corpus lies in.
    pub fn path(&self) -> &Path {
        &self.open.path
    }

    /// The corpus in chunks, fixed by the corpus alone.
    pub fn chunks(&self) -> &[ChunkSpan] {
        &self.chunks
    }

    /// Reads chunk `number` of [`CorpusReader::chunks`].
    pub fn read_chunk(&self, number: usize) -> Result<CsrChunk> {
        let span = *self.chunks.get(number).ok_or_else(|| {
            let (path, count) = (self.open.path.display(), self.chunks.len());
            Error::failed(format!("{path}: there is no chunk {number}, only {count}"))
        })?;
        self.read_span(span)
    }

    /// Reads documents `first .. first + count`, at most [`CorpusHeader::documents`].
    pub fn read_documents(&self, first: u64, count: u64) -> Result<CsrChunk> {
        let end = self.range(first, count)?.end;
        let (begin, stop) = (self.indptr[first as usize], self.indptr[end]);
        self.read_span(ChunkSpan {
            first_document: first,
            documents: count,
            first_nonzero: begin,
            nonzeros: stop - begin,
        })
    }

    fn read_span(&self, span: ChunkSpan) -> Result<CsrChunk> {
        let (first, count) = (span.first_nonzero as usize, span.nonzeros as usize);
        let read = || -> hdf5::Result<CsrChunk> {
            let rows = span.first_document as usize..=(span.first_document + span.documents) as usize;
            // Negative terms become huge and `check` refuses them.
            let indices: Vec<i32> = column::read_numbers(&self.indices, first, count)?;
            let data = match self.header.values {
                Values::Counts => {
                    let counts: Vec<u32> = column::read_numbers(&self.data, first, count)?;
                    counts.into_iter().map(|count| count as f32).collect()
                }
                Values::Weights(_) => column::read_numbers(&self.data, first, count)?,
            };
            Ok(CsrChunk {
                first_document: span.first_document,
                terms: self.header.terms,
                indptr: self.indptr[rows].iter().map(|offset| offset - span.first_nonzero).collect(),
                indices: bytemuck::cast_vec(indices),
                data,
            })
        };
        let damaged =
            |what: String| Error::failed(format!("{}: {what}; make the corpus again", self.open.path.display()));
        let chunk = read().map_err(|e| damaged(format!("cannot be read ({})", cause(&e))))?;
        chunk.check().map_err(|e| damaged(e.to_string()))?;
        Ok(chunk)
    }

    /// The dictionary: the term of each column.
    pub fn terms(&self) -> Result<Vec<String>> {
        self.terms.read(0, self.terms.len()).at_file(&self.open.path)
    }

    /// In how many documents each term occurs.
    pub fn document_frequency(&self) -> Result<Vec<u64>> {
        self.frequencies("document_frequency")
    }

    /// How often each term occurs; only where the values are counts.
    pub fn collection_frequency(&self) -> Result<Vec<u64>> {
        self.frequencies("collection_frequency")
    }

    fn frequencies(&self, name: &str) -> Result<Vec<u64>> {
        let read = || column::read_all::<u64>(&self.open.file.dataset(name)?);
        let list = read().at_file(&self.open.path)?;
        if list.len() != self.header.terms as usize {
            let (path, terms) = (self.open.path.display(), self.header.terms);
            return Err(Error::failed(format!("{path}: {} entries of {name} for {terms} terms", list.len())));
        }
        Ok(list)
    }

    /// Names of documents `first .. first + count`.
    pub fn ids(&self, first: u64, count: u64) -> Result<Vec<String>> {
        let range = self.range(first, count)?;
        self.ids.read(range.start, range.len()).at_file(&self.open.path)
    }

    /// Labels of documents `first .. first + count`; `None` in a corpus without.
    pub fn labels(&self, first: u64, count: u64) -> Result<Option<Vec<String>>> {
        let range = self.range(first, count)?;
        let read = |labels: &StringReader| labels.read(range.start, range.len()).at_file(&self.open.path);
        self.labels.as_ref().map(read).transpose()
    }

    fn range(&self, first: u64, count: u64) -> Result<std::ops::Range<usize>> {
        match first.checked_add(count) {
            Some(end) if end <= self.header.documents => Ok(first as usize..end as usize),
            _ => Err(Error::failed(format!(
                "{}: has {} documents, not {count} from {first} on",
                self.open.path.display(),
                self.header.documents
            ))),
        }
    }

    /// The file, for what all files have.
    pub fn file(&self) -> &OpenFile {
        &self.open
    }

    /// Nonzeros of each document, in order.
    pub fn document_lengths(&self) -> impl Iterator<Item = u64> {
        self.indptr.windows(2).map(|ends| ends[1] - ends[0])
    }

    /// Reads everything, compares it with the checksums and checks every chunk.
    pub fn verify(&self) -> Result<()> {
        self.open.verify()?;
        (0..self.chunks.len()).try_for_each(|number| self.read_chunk(number).map(drop))
    }
}

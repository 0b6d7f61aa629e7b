//! The corpus container: an HDF5 file that holds documents by rows, their dictionary, names and labels.
//!
//! ```text
//! X                       group, AnnData's csr_matrix (documents x terms)
//!   data                  u32 counts or f32 weights, by document, ascending term
//!   indices               i32 term of each nonzero
//!   indptr                i64 where each document begins; documents + 1
//! terms                   strings: the dictionary
//! ids                     strings: a name for each document
//! labels                  strings: a class for each document; may be absent
//! document_frequency      u64: documents that hold the term
//! collection_frequency    u64: occurrences of the term, only where values are counts
//! ```
//!
//! Root attribute `values` is "counts" or the code of a weighting, such as "nfc". scipy takes i32 and i64 indices without
//! a copy, so these are on disk; in memory terms are u32.

use crate::corpus::chunk::{ChunkSpan, CsrChunk, boundaries};
use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::column::{self, NumberColumn, StringColumn, StringReader};
use crate::store::file::{AtFile, Format, OpenFile, ResultFile, cause};
use crate::store::seal::{self, Value};
use hdf5::{Dataset, Group};
use std::collections::HashSet;
use std::path::Path;

/// The largest count: whole numbers up to here are exact in f32.
pub const MAX_COUNT: u32 = 1 << 24;

/// What the values of a corpus are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// How often the term occurs in the document.
    Counts,
    /// Weights of the scheme with this code, such as "nfc".
    Weights(String),
}

impl Values {
    /// The root attribute `values`.
    pub fn name(&self) -> &str {
        match self {
            Values::Counts => "counts",
            Values::Weights(code) => code,
        }
    }
}

/// What a corpus is, without its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusHeader {
    /// Rows of the matrix.
    pub documents: u64,
    /// Columns of the matrix: the size of the dictionary.
    pub terms: u32,
    /// Stored entries.
    pub nonzeros: u64,
    /// What the entries are.
    pub values: Values,
    /// Whether each document has a label.
    pub labelled: bool,
    /// Checksum of everything in the file.
    pub checksum: String,
}

/// Values as they lie on disk.
enum Data {
    Counts(NumberColumn<u32>),
    Weights(NumberColumn<f32>),
}

/// Datasets that grow with the documents.
struct Columns {
    matrix: Group,
    data: Data,
    indices: NumberColumn<i32>,
    indptr: NumberColumn<i64>,
    ids: StringColumn,
    labels: Option<StringColumn>,
}

/// Writes a corpus, document after document, in bounded memory.
pub struct CorpusWriter {
    // Before `file`, which must be the last to let go of the HDF5 file.
    columns: Columns,
    file: ResultFile,
    values: Values,
    terms: u32,
    documents: u64,
    nonzeros: u64,
    document_frequency: Vec<u64>,
    collection_frequency: Vec<u64>,
}

impl CorpusWriter {
    /// Starts a corpus over this dictionary.
    ///
    /// Errors: no term, too many terms, the same term twice, the file cannot be created.
    pub fn create(target: Target, terms: &[String], values: Values, labelled: bool) -> Result<Self> {
        let path = target.path().to_path_buf();
        let refuse = |what: String| Err(Error::failed(format!("{}: {what}", path.display())));
        let count = match i32::try_from(terms.len()) {
            Ok(0) => return refuse("a corpus without any term is not written; loosen the dictionary's filters".into()),
            Ok(count) => count as u32,
            Err(_) => return refuse(format!("{} terms are more than 2^31 - 1", terms.len())),
        };
        let mut seen = HashSet::with_capacity(terms.len());
        if let Some(twice) = terms.iter().find(|&term| !seen.insert(term)) {
            return refuse(format!("the dictionary holds {twice:?} twice"));
        }
        let file = ResultFile::create(target)?;
        let columns = Self::columns(&file, terms, &values, labelled).at_file(&path)?;
        let zeros = vec![0; terms.len()];
        let collection_frequency = if values == Values::Counts { zeros.clone() } else { Vec::new() };
        Ok(CorpusWriter {
            columns,
            file,
            values,
            terms: count,
            documents: 0,
            nonzeros: 0,
            document_frequency: zeros,
            collection_frequency,
        })
    }

    fn columns(file: &ResultFile, terms: &[String], values: &Values, labelled: bool) -> hdf5::Result<Columns> {
        let (root, checksums) = (file.root(), file.checksums());
        let mut dictionary = StringColumn::new(root, checksums, "terms");
        terms.iter().try_for_each(|term| dictionary.push(term))?;
        dictionary.finish()?;
        let matrix = file.group("X")?;
        let mut indptr = NumberColumn::list(&matrix, "indptr");
        indptr.push(&[0])?;
        Ok(Columns {
            data: match values {
                Values::Counts => Data::Counts(NumberColumn::list(&matrix, "data")),
                Values::Weights(_) => Data::Weights(NumberColumn::list(&matrix, "data")),
            },
            indices: NumberColumn::list(&matrix, "indices"),
            indptr,
            ids: StringColumn::new(root, checksums, "ids"),
            labels: labelled.then(|| StringColumn::new(root, checksums, "labels")),
            matrix,
        })
    }

    /// Documents appended so far: the number of the next one.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// Appends the next documents with an id each, and a label each where the corpus is labelled.
    ///
    /// Errors: documents out of order, a chunk that is damaged or of another dictionary, counts that are not whole
    /// numbers from 1 to 2^24, a full disk.
    pub fn append(&mut self, chunk: &CsrChunk, ids: &[String], labels: Option<&[String]>) -> Result<()> {
        self.check(chunk, ids, labels)?;
        // Document by document, so that the order of blocks in the file does not depend on the size of `chunk`.
        for row in 0..chunk.documents() {
            let (terms, values) = chunk.document(row);
            let label = labels.map(|labels| labels[row].as_str());
            if let Err(e) = self.push_document(terms, values, &ids[row], label) {
                return Err(Error::failed(format!("{}: {}", self.file.path().display(), cause(&e))));
            }
        }
        Ok(())
    }

    fn check(&self, chunk: &CsrChunk, ids: &[String], labels: Option<&[String]>) -> Result<()> {
        let refuse = |what: String| Err(Error::failed(format!("{}: {what}", self.file.path().display())));
        chunk.check()?;
        if chunk.first_document != self.documents || chunk.terms != self.terms {
            return refuse(format!(
                "documents from {} on over {} terms do not continue a corpus of {} documents over {} terms",
                chunk.first_document, chunk.terms, self.documents, self.terms
            ));
        }
        let labelled = self.columns.labels.is_some();
        if ids.len() != chunk.documents()
            || labels.is_some() != labelled
            || labels.is_some_and(|labels| labels.len() != ids.len())
        {
            return refuse(format!("{} ids or labels for {} documents", ids.len(), chunk.documents()));
        }
        if self.values == Values::Counts
            && let Some(at) =
                chunk.data.iter().position(|&v| v.fract() != 0.0 || !(1.0..=MAX_COUNT as f32).contains(&v))
        {
            let row = chunk.indptr.partition_point(|&begin| begin <= at as u64) as u64 - 1;
            return refuse(format!(
                "{} in document {} is no count (a whole number from 1 to {MAX_COUNT})",
                chunk.data[at],
                chunk.first_document + row
            ));
        }
        Ok(())
    }

    fn push_document(&mut self, terms: &[u32], values: &[f32], id: &str, label: Option<&str>) -> hdf5::Result<()> {
        // Below 2^31: `terms` was checked against the dictionary.
        let indices: Vec<i32> = terms.iter().map(|&term| term as i32).collect();
        self.columns.indices.push(&indices)?;
        match &mut self.columns.data {
            Data::Counts(column) => {
                let counts: Vec<u32> = values.iter().map(|&count| count as u32).collect();
                column.push(&counts)?;
                for (&term, &count) in terms.iter().zip(&counts) {
                    self.collection_frequency[term as usize] += u64::from(count);
                }
            }
            Data::Weights(column) => column.push(values)?,
        }
        for &term in terms {
            self.document_frequency[term as usize] += 1;
        }
        self.documents += 1;
        self.nonzeros += terms.len() as u64;
        self.columns.indptr.push(&[self.nonzeros as i64])?;
        self.columns.ids.push(id)?;
        if let (Some(column), Some(label)) = (&mut self.columns.labels, label) {
            column.push(label)?;
        }
        Ok(())
    }

    /// Completes the file and puts it in its place. `provenance` tells how the corpus was made and holds nothing that
    /// varies between runs.
    pub fn finish(self, provenance: &serde_json::Value) -> Result<CorpusHeader> {
        let path = self.file.path().to_path_buf();
        if self.documents == 0 {
            return Err(Error::failed(format!("{}: a corpus without any document is not written", path.display())));
        }
        let labelled = self.columns.labels.is_some();
        let CorpusWriter { columns, file, values, terms, documents, nonzeros, .. } = self;
        let write = || -> hdf5::Result<()> {
            match columns.data {
                Data::Counts(column) => column.finish()?,
                Data::Weights(column) => column.finish()?,
            };
            columns.indices.finish()?;
            columns.indptr.finish()?;
            columns.ids.finish()?;
            columns.labels.map(StringColumn::finish).transpose()?;
            seal::write_encoding(&columns.matrix, "csr_matrix", "0.1.0")?;
            let shape = Value::Shape(vec![documents as i64, i64::from(terms)]);
            seal::write_attribute(&columns.matrix, "shape", &shape)?;
            write_list(file.root(), "document_frequency", &self.document_frequency)?;
            if values == Values::Counts {
                write_list(file.root(), "collection_frequency", &self.collection_frequency)?;
            }
            seal::write_attribute(file.root(), "values", &Value::from(values.name()))
        };
        write().at_file(&path)?;
        let checksum = file.finish(Format::Corpus, provenance)?;
        Ok(CorpusHeader { documents, terms, nonzeros, values, labelled, checksum })
    }
}

fn write_list(root: &Group, name: &str, values: &[u64]) -> hdf5::Result<()> {
    let mut column = NumberColumn::list(root, name);
    column.push(values)?;
    column.finish().map(|_| ())
}

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

    /// Parameters and versions the corpus was made with.
    pub fn provenance(&self) -> Result<serde_json::Value> {
        self.open.provenance()
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

    /// Reads everything and compares it with the checksums: for `info --verify`.
    pub fn verify(&self) -> Result<()> {
        let read = || -> hdf5::Result<()> {
            match self.header.values {
                Values::Counts => column::verify::<u32>(&self.data)?,
                Values::Weights(_) => column::verify::<f32>(&self.data)?,
            }
            column::verify::<i32>(&self.indices)
        };
        read().at_file(&self.open.path)?;
        self.terms()?;
        self.document_frequency()?;
        if self.header.values == Values::Counts {
            self.collection_frequency()?;
        }
        for first in (0..self.header.documents).step_by(column::BLOCK_STRINGS) {
            let count = (self.header.documents - first).min(column::BLOCK_STRINGS as u64);
            self.ids(first, count)?;
            self.labels(first, count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::fs;
    use std::path::PathBuf;

    /// A corpus whose entries follow from the document's number; some documents are empty.
    fn chunk(first: u64, documents: u64, terms: u32, weights: bool) -> CsrChunk {
        let mut chunk = CsrChunk { first_document: first, terms, indptr: vec![0], ..CsrChunk::default() };
        for document in first..first + documents {
            for step in 0..document % 7 {
                chunk.indices.push(((document + step * step * 3) % u64::from(terms)) as u32);
            }
            let begin = *chunk.indptr.last().unwrap() as usize;
            let mut row = chunk.indices.split_off(begin);
            row.sort_unstable();
            row.dedup();
            chunk.data.extend(row.iter().map(|&t| if weights { 0.25 + t as f32 } else { (t % 5 + 1) as f32 }));
            chunk.indices.extend(row);
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk
    }

    fn names(prefix: &str, first: u64, count: u64) -> Vec<String> {
        (first..first + count).map(|n| format!("{prefix}-{n}-é")).collect()
    }

    fn write(path: &Path, documents: u64, step: u64, values: Values, labelled: bool) -> Result<CorpusHeader> {
        let terms = names("term", 0, 50);
        let weights = values != Values::Counts;
        let mut writer = CorpusWriter::create(Target::create(path)?, &terms, values, labelled)?;
        for first in (0..documents).step_by(step as usize) {
            let count = step.min(documents - first);
            let labels =
                labelled.then(|| (first..first + count).map(|n| format!("label-{}", n % 3)).collect::<Vec<_>>());
            writer.append(&chunk(first, count, 50, weights), &names("id", first, count), labels.as_deref())?;
        }
        writer.finish(&json!({"command": "test"}))
    }

    fn only_file(folder: &Path) -> PathBuf {
        let mut entries = fs::read_dir(folder).unwrap();
        let path = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none(), "something was left behind");
        path
    }

    #[test]
    fn what_is_written_is_read() {
        for (values, labelled) in [(Values::Counts, true), (Values::Weights("nfc".into()), false)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("corpus.h5");
            let header = write(&path, 9000, 1234, values.clone(), labelled).unwrap();
            assert_eq!(only_file(folder.path()), path);
            let reader = CorpusReader::open(&path).unwrap();
            assert_eq!(reader.header(), &header);
            assert_eq!(reader.provenance().unwrap(), json!({"command": "test"}));
            assert_eq!(reader.terms().unwrap(), names("term", 0, 50));
            assert_eq!(reader.ids(4000, 200).unwrap(), names("id", 4000, 200));
            assert_eq!(reader.ids(9000, 0).unwrap(), Vec::<String>::new());
            assert_eq!(reader.labels(5, 1).unwrap(), labelled.then(|| vec!["label-2".to_string()]));

            let whole = chunk(0, 9000, 50, values != Values::Counts);
            let mut document_frequency = vec![0; 50];
            let mut collection_frequency = vec![0; 50];
            for (&term, &value) in whole.indices.iter().zip(&whole.data) {
                document_frequency[term as usize] += 1;
                collection_frequency[term as usize] += value as u64;
            }
            assert_eq!(reader.document_frequency().unwrap(), document_frequency);
            match values {
                Values::Counts => assert_eq!(reader.collection_frequency().unwrap(), collection_frequency),
                Values::Weights(_) => assert!(reader.collection_frequency().is_err()),
            }
            let parts: Vec<_> = (0..reader.chunks().len()).map(|n| reader.read_chunk(n).unwrap()).collect();
            assert_eq!(parts.iter().map(CsrChunk::documents).sum::<usize>(), 9000);
            assert_eq!(parts.iter().flat_map(|c| c.indices.clone()).collect::<Vec<_>>(), whole.indices);
            assert_eq!(parts.iter().flat_map(|c| c.data.clone()).collect::<Vec<_>>(), whole.data);
            assert_eq!(reader.read_documents(777, 50).unwrap(), chunk(777, 50, 50, values != Values::Counts));
            assert!(reader.read_chunk(parts.len()).is_err());
            assert!(reader.read_documents(8999, 2).is_err());
            assert!(reader.ids(u64::MAX, 2).is_err());
            reader.verify().unwrap();
        }
    }

    #[test]
    fn bytes_do_not_depend_on_how_the_documents_arrive() {
        let folder = tempfile::tempdir().unwrap();
        // More than one block of strings and of numbers (9,000 and 275,000 entries).
        let documents = 100_000;
        let files = [1, 4096, 33_333, documents].map(|step| {
            let path = folder.path().join(format!("by-{step}"));
            write(&path, documents, step, Values::Counts, true).unwrap();
            fs::read(path).unwrap()
        });
        assert!(files.iter().all(|bytes| *bytes == files[0]));
        assert!(CorpusReader::open(folder.path().join("by-1")).unwrap().chunks().len() > 1);
    }

    #[test]
    fn documents_that_do_not_fit_are_refused_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.h5");
        let start = || {
            let target = Target::create(&path).unwrap();
            CorpusWriter::create(target, &names("term", 0, 50), Values::Counts, false).unwrap()
        };
        let ids = names("id", 0, 3);
        let good = chunk(3, 3, 50, false);
        assert!(start().append(&good, &ids, None).unwrap_err().to_string().contains("do not continue"));
        let good = CsrChunk { first_document: 0, ..good };
        start().append(&good, &ids, None).unwrap();
        assert!(start().append(&good, &ids[..2], None).is_err());
        assert!(start().append(&good, &ids, Some(&ids)).is_err());
        assert!(start().append(&CsrChunk { terms: 51, ..good.clone() }, &ids, None).is_err());
        for bad in [0.0, -1.0, 0.5, 16_777_218.0] {
            let mut chunk = good.clone();
            chunk.data[4] = bad;
            let error = start().append(&chunk, &ids, None).unwrap_err().to_string();
            assert!(error.contains("in document 1 is no count"), "{error}");
        }
        let nul = start().append(&good, &["a".into(), "b\0c".into(), "d".into()], None).unwrap_err();
        assert!(nul.to_string().contains("NUL"), "{nul}");
        assert!(start().finish(&json!({})).unwrap_err().to_string().contains("without any document"));
        let twice = ["a".to_string(), "a".to_string()];
        let target = || Target::create(&path).unwrap();
        assert!(CorpusWriter::create(target(), &twice, Values::Counts, false).is_err());
        assert!(CorpusWriter::create(target(), &[], Values::Counts, false).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    type Everything = (CorpusHeader, Vec<CsrChunk>, Vec<Vec<String>>, Vec<u64>);

    /// Everything a reader can be asked, or the first refusal.
    fn read_everything(path: &Path) -> Result<Everything> {
        let reader = CorpusReader::open(path)?;
        let documents = reader.header().documents;
        let chunks = (0..reader.chunks().len()).map(|n| reader.read_chunk(n)).collect::<Result<_>>()?;
        let labels = reader.labels(0, documents)?.unwrap_or_default();
        let strings = vec![reader.terms()?, reader.ids(0, documents)?, labels];
        let mut frequencies = reader.document_frequency()?;
        frequencies.extend(reader.collection_frequency()?);
        reader.provenance()?;
        Ok((reader.header().clone(), chunks, strings, frequencies))
    }

    #[test]
    fn damage_anywhere_is_noticed_or_harmless() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("corpus.h5");
        write(&path, 40, 40, Values::Counts, true).unwrap();
        let whole = read_everything(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        let damaged = folder.path().join("damaged.h5");
        let mut noticed = 0;
        let step = 7;
        for at in (0..bytes.len()).step_by(step) {
            let mut copy = bytes.clone();
            copy[at] ^= 1 << (at % 8);
            fs::write(&damaged, &copy).unwrap();
            match read_everything(&damaged) {
                // Some bytes of an HDF5 file carry nothing.
                Ok(read) => assert!(read == whole, "a flipped bit at {at} changed what was read, unnoticed"),
                Err(e) => {
                    let text = e.to_string();
                    assert!(text.starts_with(&damaged.display().to_string()) && !text.contains('\n'), "{text}");
                    noticed += 1;
                }
            }
        }
        assert!(noticed * step > bytes.len() / 4, "only {noticed} noticed of {} bytes", bytes.len());
        for length in (0..bytes.len()).step_by(501) {
            fs::write(&damaged, &bytes[..length]).unwrap();
            assert!(read_everything(&damaged).is_err(), "truncated to {length}");
        }
    }
}

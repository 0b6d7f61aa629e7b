//! Writing a corpus, document after document.

use super::{CorpusHeader, MAX_COUNT, Values};
use crate::corpus::assemble::Run;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::sent_rows::{self, SentRows};
use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::column::{BLOCK_ELEMENTS, BLOCK_STRINGS, NumberColumn, StringColumn};
use crate::store::file::{AtFile, Format, ResultFile, cause};
use crate::store::flush::Flusher;
use crate::store::seal::{self, Value};
use crate::store::section::SectionWriter;
use hdf5::Group;
use std::collections::HashSet;
use std::ops::Range;

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
    /// By term: documents that hold it and, where values are counts, its occurrences.
    frequencies: Vec<[u64; 2]>,
    /// They have still to be counted.
    counting: bool,
}

/// Documents on their way into the columns.
struct Rows<'a> {
    /// Where each begins; documents + 1 entries, the first 0.
    offsets: &'a [u64],
    terms: &'a [u32],
    values: RowValues<'a>,
    /// An identifier for each, or their numbers.
    ids: Option<&'a [String]>,
    labels: Option<&'a [String]>,
}

#[derive(Clone, Copy)]
enum RowValues<'a> {
    Counts(&'a [u32]),
    Weights(&'a [f32]),
}

impl Rows<'_> {
    fn documents(&self) -> usize {
        self.offsets.len() - 1
    }
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
        Ok(CorpusWriter {
            columns,
            file,
            values,
            terms: count,
            documents: 0,
            nonzeros: 0,
            frequencies: vec![[0; 2]; terms.len()],
            counting: true,
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

    /// Brings to disk what is being written.
    pub fn flusher(&self) -> Flusher {
        self.file.flusher()
    }

    /// Documents appended so far: the number of the next one.
    pub fn documents(&self) -> u64 {
        self.documents
    }

    /// The frequencies of a corpus of counts, where they are known beforehand: they need not be counted then.
    pub fn know_frequencies(&mut self, document_frequency: Vec<u64>, collection_frequency: Vec<u64>) {
        debug_assert_eq!([document_frequency.len(), collection_frequency.len()], [self.terms as usize; 2]);
        let both = document_frequency.into_iter().zip(collection_frequency);
        self.frequencies = both.map(|(by_document, in_all)| [by_document, in_all]).collect();
        self.counting = false;
    }

    /// Appends the next documents with an id each, and a label each where the corpus is labelled.
    ///
    /// Errors: documents out of order, a chunk that is damaged or of another dictionary, counts that are not whole
    /// numbers from 1 to 2^24, a full disk.
    pub fn append(&mut self, chunk: &CsrChunk, ids: &[String], labels: Option<&[String]>) -> Result<()> {
        chunk.check()?;
        let counts = match self.values {
            Values::Counts => Some(self.counts_of(chunk)?),
            Values::Weights(_) => None,
        };
        let values = counts.as_deref().map_or(RowValues::Weights(&chunk.data), RowValues::Counts);
        let rows = Rows { offsets: &chunk.indptr, terms: &chunk.indices, values, ids: Some(ids), labels };
        self.append_rows(chunk.first_document, chunk.terms, &rows)
    }

    /// Appends the next documents, named by their numbers where they have no ids, as they were sent by a worker.
    ///
    /// Errors: documents out of order, terms that are not in the dictionary, weights for a corpus of counts, a full disk.
    pub fn append_sent(&mut self, rows: &SentRows, ids: Option<&[String]>, labels: Option<&[String]>) -> Result<()> {
        let (offsets, all) = (rows.offsets(), 0..rows.nonzeros());
        self.append_part(rows, rows.first_document, &offsets, all, ids, labels)
    }

    /// Appends the next documents with an id each, and a label each where the corpus is labelled, as they lie in a piece of a
    /// matrix.
    ///
    /// Errors: those of [`append_sent`](Self::append_sent).
    pub fn append_run(&mut self, run: &Run, ids: &[String], labels: Option<&[String]>) -> Result<()> {
        self.append_part(run.rows.rows(), run.first_document, &run.offsets, run.span(), Some(ids), labels)
    }

    fn append_part(
        &mut self,
        sent: &SentRows,
        first_document: u64,
        offsets: &[u64],
        span: Range<usize>,
        ids: Option<&[String]>,
        labels: Option<&[String]>,
    ) -> Result<()> {
        if sent.terms > self.terms && sent.nonzeros() > 0 {
            let (most, known) = (sent.terms, self.terms);
            return self.refuse(format!("documents over {most} terms do not go into a corpus over {known}"));
        }
        let (terms, values) = (sent.indices(), sent.values());
        let converted: Vec<f32>;
        let values = match (&values, &self.values) {
            (sent_rows::Values::Counts(counts), Values::Counts) => RowValues::Counts(&counts[span.clone()]),
            (sent_rows::Values::Weights(weights), Values::Weights(_)) => RowValues::Weights(&weights[span.clone()]),
            // Weights may be whole numbers here and there.
            (sent_rows::Values::Counts(counts), Values::Weights(_)) => {
                converted = counts[span.clone()].iter().map(|&count| count as f32).collect();
                RowValues::Weights(&converted)
            }
            (sent_rows::Values::Weights(_), Values::Counts) => {
                return self.refuse("weights do not go into a corpus of counts".into());
            }
        };
        let rows = Rows { offsets, terms: &terms[span], values, ids, labels };
        self.append_rows(first_document, self.terms, &rows)
    }

    fn refuse<T>(&self, what: String) -> Result<T> {
        Err(Error::failed(format!("{}: {what}", self.file.path().display())))
    }

    /// The values of a chunk as counts.
    fn counts_of(&self, chunk: &CsrChunk) -> Result<Vec<u32>> {
        if let Some(at) =
            chunk.data.iter().position(|&v| !(1..=MAX_COUNT).contains(&(v as u32)) || v as u32 as f32 != v)
        {
            let row = chunk.indptr.partition_point(|&begin| begin <= at as u64) as u64 - 1;
            return self.refuse(format!(
                "{} in document {} is no count (a whole number from 1 to {MAX_COUNT})",
                chunk.data[at],
                chunk.first_document + row
            ));
        }
        Ok(chunk.data.iter().map(|&count| count as i32 as u32).collect())
    }

    fn append_rows(&mut self, first_document: u64, terms: u32, rows: &Rows) -> Result<()> {
        if first_document != self.documents || terms != self.terms {
            return self.refuse(format!(
                "documents from {first_document} on over {terms} terms do not continue a corpus of {} documents over {} terms",
                self.documents, self.terms
            ));
        }
        let documents = rows.documents();
        if rows.labels.is_some() != self.columns.labels.is_some()
            || [rows.ids, rows.labels].into_iter().flatten().any(|names| names.len() != documents)
        {
            return self.refuse(format!("not an id and a label for each of {documents} documents"));
        }
        let mut row = 0;
        while row < documents {
            let end = self.next_block(rows.offsets, row);
            if let Err(e) = self.push_documents(rows, row..end) {
                return self.refuse(cause(&e));
            }
            row = end;
        }
        Ok(())
    }

    /// The documents from `row` on up to and including the first that completes a block of some column. Blocks go to the
    /// file when they are full, so their order in it then does not depend on how the documents were cut into chunks.
    fn next_block(&self, offsets: &[u64], row: usize) -> usize {
        let block = BLOCK_ELEMENTS as u64;
        let nonzeros = offsets[row] + block - self.nonzeros % block;
        let by_nonzeros = offsets.partition_point(|&end| end < nonzeros);
        let by_strings = row + BLOCK_STRINGS - (self.documents % BLOCK_STRINGS as u64) as usize;
        // One offset more than documents.
        let by_offsets = row + (block - (self.documents + 1) % block) as usize;
        by_nonzeros.min(by_strings).min(by_offsets).min(offsets.len() - 1)
    }

    /// Appends documents of which the last alone may complete a block.
    fn push_documents(&mut self, all: &Rows, rows: Range<usize>) -> hdf5::Result<()> {
        let first = all.offsets[rows.start];
        let span = first as usize..all.offsets[rows.end] as usize;
        let terms = &all.terms[span.clone()];
        // Below 2^31: `terms` was checked against the dictionary.
        self.columns.indices.push(bytemuck::cast_slice(terms))?;
        match (&mut self.columns.data, all.values) {
            (Data::Counts(column), RowValues::Counts(counts)) => {
                let counts = &counts[span];
                column.push(counts)?;
                if self.counting {
                    for (&term, &count) in terms.iter().zip(counts) {
                        let [by_document, in_all] = &mut self.frequencies[term as usize];
                        *by_document += 1;
                        *in_all += u64::from(count);
                    }
                }
            }
            (Data::Weights(column), RowValues::Weights(weights)) => {
                column.push(&weights[span])?;
                terms.iter().for_each(|&term| self.frequencies[term as usize][0] += 1);
            }
            _ => return Err(hdf5::Error::Internal("counts and weights do not go into one corpus".into())),
        }
        let end = |end: &u64| (self.nonzeros + end - first) as i64;
        let offsets: Vec<i64> = all.offsets[rows.start + 1..=rows.end].iter().map(end).collect();
        self.columns.indptr.push(&offsets)?;
        match all.ids {
            Some(ids) => ids[rows.clone()].iter().try_for_each(|id| self.columns.ids.push(id))?,
            None => {
                let mut number = itoa::Buffer::new();
                let mut numbers = (self.documents..).take(rows.len());
                numbers.try_for_each(|document| self.columns.ids.push(number.format(document)))?;
            }
        }
        self.documents += rows.len() as u64;
        self.nonzeros += terms.len() as u64;
        if let (Some(column), Some(labels)) = (&mut self.columns.labels, all.labels) {
            labels[rows].iter().try_for_each(|label| column.push(label))?;
        }
        Ok(())
    }

    /// Starts a section of the file; it has to be dropped before the corpus is finished.
    pub fn section(&mut self, name: &str) -> Result<SectionWriter> {
        SectionWriter::create(&self.file, name)
    }

    /// Completes the file and puts it in its place. `provenance` tells how the corpus was made and holds nothing that
    /// varies between runs.
    pub fn finish(self, provenance: &serde_json::Value) -> Result<CorpusHeader> {
        let path = self.file.path().to_path_buf();
        if self.documents == 0 {
            return Err(Error::failed(format!("{}: a corpus without any document is not written", path.display())));
        }
        if !self.counting && self.frequencies.iter().map(|[by_document, _]| by_document).sum::<u64>() != self.nonzeros {
            return self.refuse("the nonzeros are not those that were counted; please report it".into());
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
            let list = |which: usize| self.frequencies.iter().map(|both| both[which]).collect::<Vec<u64>>();
            write_list(file.root(), "document_frequency", &list(0))?;
            if values == Values::Counts {
                write_list(file.root(), "collection_frequency", &list(1))?;
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

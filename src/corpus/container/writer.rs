//! Writing a corpus, document after document.

use super::{CorpusHeader, MAX_COUNT, Values};
use crate::corpus::chunk::CsrChunk;
use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::column::{BLOCK_ELEMENTS, BLOCK_STRINGS, NumberColumn, StringColumn};
use crate::store::file::{AtFile, Format, ResultFile, cause};
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
        let mut row = 0;
        while row < chunk.documents() {
            let end = self.next_block(chunk, row);
            let written = self.push_documents(chunk, row..end, &ids[row..end], labels.map(|labels| &labels[row..end]));
            if let Err(e) = written {
                return Err(Error::failed(format!("{}: {}", self.file.path().display(), cause(&e))));
            }
            row = end;
        }
        Ok(())
    }

    /// The documents from `row` on up to and including the first that completes a block of some column. Blocks go to the
    /// file when they are full, so their order in it then does not depend on how the documents were cut into chunks.
    fn next_block(&self, chunk: &CsrChunk, row: usize) -> usize {
        let block = BLOCK_ELEMENTS as u64;
        let nonzeros = chunk.indptr[row] + block - self.nonzeros % block;
        let by_nonzeros = chunk.indptr.partition_point(|&end| end < nonzeros);
        let by_strings = row + BLOCK_STRINGS - (self.documents % BLOCK_STRINGS as u64) as usize;
        // One offset more than documents.
        let by_offsets = row + (block - (self.documents + 1) % block) as usize;
        by_nonzeros.min(by_strings).min(by_offsets).min(chunk.documents())
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
                chunk.data.iter().position(|&v| !(1..=MAX_COUNT).contains(&(v as u32)) || v as u32 as f32 != v)
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

    /// Appends documents of which the last alone may complete a block.
    fn push_documents(
        &mut self,
        chunk: &CsrChunk,
        rows: Range<usize>,
        ids: &[String],
        labels: Option<&[String]>,
    ) -> hdf5::Result<()> {
        let first = chunk.indptr[rows.start];
        let span = first as usize..chunk.indptr[rows.end] as usize;
        let (terms, values) = (&chunk.indices[span.clone()], &chunk.data[span]);
        // Below 2^31: `terms` was checked against the dictionary.
        self.columns.indices.push(bytemuck::cast_slice(terms))?;
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
        let offsets: Vec<i64> =
            chunk.indptr[rows.start + 1..=rows.end].iter().map(|end| (self.nonzeros + end - first) as i64).collect();
        self.columns.indptr.push(&offsets)?;
        self.documents += rows.len() as u64;
        self.nonzeros += terms.len() as u64;
        ids.iter().try_for_each(|id| self.columns.ids.push(id))?;
        if let (Some(column), Some(labels)) = (&mut self.columns.labels, labels) {
            labels.iter().try_for_each(|label| column.push(label))?;
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

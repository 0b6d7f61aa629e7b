//! Writing a corpus, document after document.

use super::{CorpusHeader, MAX_COUNT, Values};
use crate::corpus::chunk::CsrChunk;
use crate::error::{Error, Result};
use crate::store::atomic::Target;
use crate::store::column::{NumberColumn, StringColumn};
use crate::store::file::{AtFile, Format, ResultFile, cause};
use crate::store::seal::{self, Value};
use hdf5::Group;
use std::collections::HashSet;

/// Values as they lie on disk.
enum Data {
    Counts(NumberColumn<u32>),
    Weights(NumberColumn<f32>),
}

/// Values of a document as they go to disk.
enum Stretch<'a> {
    Counts(&'a [u32]),
    Weights(&'a [f32]),
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
        // Below 2^31: `check` has compared them with the dictionary.
        let indices: &[i32] = bytemuck::cast_slice(&chunk.indices);
        let counts: Vec<u32> = match self.values {
            Values::Counts => chunk.data.iter().map(|&count| count as u32).collect(),
            Values::Weights(_) => Vec::new(),
        };
        // Document by document, so that the order of blocks in the file does not depend on the size of `chunk`.
        for row in 0..chunk.documents() {
            let span = chunk.indptr[row] as usize..chunk.indptr[row + 1] as usize;
            let values = match self.values {
                Values::Counts => Stretch::Counts(&counts[span.clone()]),
                Values::Weights(_) => Stretch::Weights(&chunk.data[span.clone()]),
            };
            let label = labels.map(|labels| labels[row].as_str());
            if let Err(e) = self.push_document(&indices[span], values, &ids[row], label) {
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
                chunk.data.iter().position(|&v| v as u32 as f32 != v || !(1.0..=MAX_COUNT as f32).contains(&v))
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

    fn push_document(&mut self, terms: &[i32], values: Stretch, id: &str, label: Option<&str>) -> hdf5::Result<()> {
        self.columns.indices.push(terms)?;
        match (&mut self.columns.data, values) {
            (Data::Counts(column), Stretch::Counts(counts)) => {
                column.push(counts)?;
                for (&term, &count) in terms.iter().zip(counts) {
                    self.collection_frequency[term as usize] += u64::from(count);
                }
            }
            (Data::Weights(column), Stretch::Weights(weights)) => column.push(weights)?,
            _ => unreachable!("both follow from the values of the corpus"),
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

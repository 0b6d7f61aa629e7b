//! The index: document vectors of length 1, and what turns a text into another one.
//!
//! Datasets: `vectors` (documents x k, f32), `ids` and, where the documents have them, `labels` (strings); attribute
//! `zero_vectors`: how many documents have no direction and are never a neighbour; their rows are zeros.
//!
//! An index that answers texts also holds `tokenizer` (a string: JSON of the tokenizer's parameters), `terms` (strings: the
//! dictionary), the section `weighting` unless the model was made from counts, `left_vectors` (terms x k, f32) and, where
//! vectors are divided by them, `singular_values` (k, f64).

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::text::{Origin, Steps, copy_steps};
use super::unit::UnitVectors;
use crate::dispatch::Job;
use crate::dispatch::memory::{FILES, Forecast, Need};
use crate::error::{At, Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::column::{BLOCK_STRINGS, StringReader};
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};
use crate::store::provenance::{self, Input};

/// Vectors read at a time while an index is made.
const VECTORS_AT_A_TIME: usize = 8192;

/// What an index is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Number of documents.
    pub documents: u64,
    /// Numbers in a vector.
    pub columns: usize,
    /// Documents that are never a neighbour.
    pub zero_vectors: u64,
    /// Whether each document has a label.
    pub labelled: bool,
    /// Checksum of everything in the file.
    pub checksum: String,
}

/// Makes an index of the vectors in some files, one after the other: vectors, or indexes, whose documents are taken over to
/// the bit. With a model it answers texts; so it does where one of the indexes does. Runs on the dispatcher: the work is
/// reading and writing.
///
/// # Errors
/// Vectors that are not finite; parts of another size or another model than the first, or of which some only have labels; a
/// model that the vectors were not made with, or that texts cannot be brought to; those of reading and writing.
pub fn make(job: &Job, parts: &[PathBuf], model: Option<&Path>, target: Target) -> Result<Header> {
    let parts = job.account.io(|| parts.iter().map(|path| UnitVectors::open_part(path)).collect::<Result<Vec<_>>>())?;
    let Parts { origin, columns, documents, labelled, text } = Parts::check(&parts, model.is_some())?;
    let from = parts.iter().find(|part| part.index().is_none());
    let steps = match (model, from) {
        (None, _) => None,
        (Some(model), Some(vectors)) => Some(job.account.io(|| Steps::find(vectors.file(), model))?),
        (Some(_), None) => {
            return Err(Error::usage("--model is for vectors; indexes that answer texts hold theirs: leave it out"));
        }
    };
    let progress = job.progress.task("index", Unit::Documents, Some(documents as u64));
    let mut file = ModelWriter::create(target, Format::Index)?;
    let mut table = file.slabs("vectors", columns)?;
    let mut zero_vectors = 0;
    for part in &parts {
        for first in (0..part.documents()).step_by(VECTORS_AT_A_TIME) {
            let count = VECTORS_AT_A_TIME.min(part.documents() - first);
            let rows = job.account.io(|| part.rows(first, count))?;
            zero_vectors += rows.rows().into_iter().filter(|row| row.iter().all(|&value| value == 0.0)).count() as u64;
            job.account.io(|| file.push(&mut table, rows.view()))?;
            job.account.count(|counters| counters.documents += count as u64);
            progress.advance(count as u64, count as u64);
        }
    }
    file.finish_slabs(table)?;
    for name in ["ids"].into_iter().chain(labelled.then_some("labels")) {
        copy_strings(&parts, &mut file, name)?;
    }
    file.attribute("zero_vectors", zero_vectors)?;
    // The model is told among the inputs of the vectors.
    let roles: Vec<String> =
        (1..=parts.len()).map(|at| if at == 1 { "vectors".into() } else { format!("vectors {at}") }).collect();
    let inputs = roles.iter().zip(&parts).map(|(role, part)| Ok((role.as_str(), Input::result(part.file())?)));
    let inputs = inputs.collect::<Result<Vec<_>>>()?;
    match (&steps, text) {
        (Some(steps), _) => steps.write(&mut file)?,
        (None, Some(index)) => copy_steps(index, &mut file)?,
        (None, None) => {}
    }
    let parameters = json!({ "text": steps.is_some() || text.is_some(), "origin": origin });
    let checksum = job.account.io(|| file.finish(&provenance::of("index", parameters, &inputs)))?;
    Ok(Header { documents: documents as u64, columns, zero_vectors, labelled, checksum })
}

/// What the parts of an index have in common.
struct Parts<'p> {
    origin: Origin,
    columns: usize,
    documents: usize,
    labelled: bool,
    /// The first that answers texts.
    text: Option<&'p ModelReader>,
}

impl<'p> Parts<'p> {
    fn check(parts: &'p [UnitVectors], model: bool) -> Result<Parts<'p>> {
        let [first, others @ ..] = parts else { return Err(Error::failed("an index of no vectors")) };
        let text = parts.iter().filter_map(UnitVectors::index).find(|index| index.has("tokenizer"));
        let origin = Origin::of(first.file(), first.index().is_some())?;
        let (columns, labelled) = (first.columns(), first.labelled());
        for other in others {
            let path = &other.file().path;
            let refuse = |what: String| Err(Error::failed(format!("{}: {what}", path.display())));
            if other.columns() != columns {
                return refuse(format!("vectors of {} numbers, where those before it have {columns}", other.columns()));
            }
            if other.labelled() != labelled {
                let which = if labelled {
                    "has no labels, and those before it have"
                } else {
                    "has labels, and those before it have none"
                };
                return refuse(which.to_owned());
            }
            origin.check(&Origin::of(other.file(), other.index().is_some())?, path, model || text.is_some())?;
        }
        let documents = parts.iter().map(UnitVectors::documents).sum();
        Ok(Parts { origin, columns, documents, labelled, text })
    }
}

/// What making an index of these parts takes on the dispatcher, which does it alone.
///
/// # Errors
/// Those of opening the files.
pub fn forecast(parts: &[PathBuf], model: Option<&Path>) -> Result<Forecast> {
    let bytes = |shape: Vec<usize>| shape.iter().product::<usize>() * 4 + shape.first().unwrap_or(&0) * 192;
    let mut steps =
        model.map(|model| ModelReader::open(model, Format::Lsi)?.shape("left_vectors")).transpose()?.map_or(0, bytes);
    let mut columns = 0;
    for part in parts {
        let part = UnitVectors::open_part(part)?;
        columns = columns.max(part.columns());
        if let Some(index) = part.index().filter(|index| index.has("tokenizer")) {
            steps = steps.max(bytes(index.shape("left_vectors")?));
        }
    }
    let dispatcher = Need::fixed(FILES)
        .with("vectors at hand", 3 * 4 * (columns * VECTORS_AT_A_TIME) as u64)
        .with("model and its weights", steps as u64);
    Ok(Forecast { dispatcher, worker: Need::default() })
}

/// Copies a string per document.
pub(super) fn copy_strings(parts: &[UnitVectors], file: &mut ModelWriter, name: &str) -> Result<()> {
    let parts = parts.iter().map(|part| part.strings(name)).collect::<Result<Vec<_>>>()?;
    let mut failed = Ok(());
    let blocks = parts.into_iter().flatten().map_while(|block| block.map_err(|error| failed = Err(error)).ok());
    file.strings(name, blocks.flatten())?;
    failed
}

/// An index that a job works on: what it is, and the file where this rank sees it.
pub struct Index {
    path: PathBuf,
    header: Header,
    reader: Option<ModelReader>,
}

impl Index {
    /// Opens an index on the dispatcher, and on every worker that finds a file with the same content at the same path.
    /// Collective.
    pub fn open(job: &Job, path: &Path) -> Result<Index> {
        let mut reader = None;
        let message = job.share(|| {
            let (opened, header) = job.account.io(|| read(path))?;
            reader = Some(opened);
            serde_json::to_vec(&(path, header)).at(path)
        })?;
        let (path, header): (PathBuf, Header) =
            serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        if reader.is_none() && job.works() && !job.scatter {
            // A worker that sees no such file, or another one of that name, gets its rows sent.
            reader = job.account.io(|| read(&path)).ok().filter(|(_, seen)| *seen == header).map(|(reader, _)| reader);
        }
        Ok(Index { path, header, reader })
    }

    /// What the index is.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file; there is always one on the dispatcher.
    pub fn reader(&self) -> Result<&ModelReader> {
        self.reader.as_ref().ok_or_else(|| Error::failed(format!("{}: not visible on this rank", self.path.display())))
    }

    /// True where this rank sees the file.
    pub fn visible(&self) -> bool {
        self.reader.is_some()
    }

    /// Ids or labels of some documents, given by their numbers: in the order of the numbers.
    pub fn strings(&self, name: &str, documents: &[u64]) -> Result<Vec<String>> {
        let strings = self.reader()?.strings(name)?;
        let mut order: Vec<usize> = (0..documents.len()).collect();
        order.sort_by_key(|&at| documents[at]);
        let mut found = vec![String::new(); documents.len()];
        // Strings are read by blocks: each block that holds one of them is read once.
        for same_block in order.chunk_by(|&a, &b| block_of(documents[a]) == block_of(documents[b])) {
            let first = block_of(documents[same_block[0]]) * BLOCK_STRINGS;
            let block = self.block(&strings, first)?;
            for &at in same_block {
                let text = block.get(documents[at] as usize - first);
                found[at] = text.ok_or_else(|| self.damaged("a document without a name"))?.clone();
            }
        }
        Ok(found)
    }

    fn block(&self, strings: &StringReader, first: usize) -> Result<Vec<String>> {
        let count = BLOCK_STRINGS.min(strings.len().saturating_sub(first));
        strings.read(first, count).at(&self.path)
    }

    fn damaged(&self, what: &str) -> Error {
        Error::failed(format!("{}: damaged index ({what}); make it again", self.path.display()))
    }
}

fn block_of(document: u64) -> usize {
    document as usize / BLOCK_STRINGS
}

/// Opens an index and reads what it is.
fn read(path: &Path) -> Result<(ModelReader, Header)> {
    let reader = ModelReader::open(path, Format::Index)?;
    let damaged = |what: &str| Error::failed(format!("{}: damaged index ({what}); make it again", path.display()));
    let [documents, columns] = reader.shape("vectors")?[..] else {
        return Err(damaged("its vectors are no matrix"));
    };
    let zero_vectors = reader.file().unsigned("zero_vectors")?;
    let labelled = reader.has("labels");
    let strings = ["ids", "labels"].into_iter().take(1 + usize::from(labelled));
    for name in strings {
        if reader.strings(name)?.len() != documents {
            return Err(damaged("not a name for each document"));
        }
    }
    if documents == 0 || columns == 0 || zero_vectors > documents as u64 {
        return Err(damaged("its parts do not fit each other"));
    }
    let checksum = reader.file().checksum.clone();
    Ok((reader, Header { documents: documents as u64, columns, zero_vectors, labelled, checksum }))
}

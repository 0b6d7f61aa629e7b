//! A vector for each document of a corpus: chunks are worked on wherever they lie, and the dispatcher writes the vectors in
//! the order of the documents.
//!
//! Cost: one pass; 4 k bytes a document travel to the dispatcher.
//!
//! The file: `vectors` (documents x k, f32), `ids` and, where the corpus has them, `labels` (strings); where it is asked for, what
//! [`terms`](super::terms) describes.

use ndarray::ArrayView2;
use serde_json::Value;

use super::terms::{Columns, TermTopics};
use crate::corpus::chunk::{CsrChunk, Footprint};
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::column::BLOCK_STRINGS;
use crate::store::file::Format;
use crate::store::model::{ModelWriter, Slabs};

/// Writes a vector of `width` numbers for each document. `prepare` makes a chunk ready, `vectors` gives those of its documents
/// (documents x width); `provenance` is asked for on the dispatcher, which has the target. Collective.
pub fn write<I: Footprint + Send>(
    job: &Job,
    corpus: &Corpus,
    width: usize,
    target: Option<Target>,
    prepare: fn(CsrChunk) -> Result<I>,
    vectors: impl Fn(&I) -> Vec<f32>,
    provenance: &dyn Fn() -> Result<Value>,
) -> Result<()> {
    write_both(
        job,
        corpus,
        Shape { width, terms: false },
        target,
        prepare,
        |chunk| (vectors(chunk), Vec::new()),
        provenance,
    )
}

/// What is written of each document.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Numbers of its vector.
    pub width: usize,
    /// Whether its terms have topics.
    pub terms: bool,
}

/// As [`write`], with the topics of the documents' terms, in parts of any number of documents, where the shape says so.
pub fn write_both<I: Footprint + Send>(
    job: &Job,
    corpus: &Corpus,
    shape: Shape,
    target: Option<Target>,
    prepare: fn(CsrChunk) -> Result<I>,
    make: impl Fn(&I) -> (Vec<f32>, Vec<TermTopics>),
    provenance: &dyn Fn() -> Result<Value>,
) -> Result<()> {
    let width = shape.width;
    job.begin(provenance)?;
    let mut output = target.map(|target| Output::create(target, shape)).transpose()?;
    let phase = job.account.enter_phase("project");
    let dataset = Dataset::new(job, Documents::of(corpus, prepare))?.enduring();
    let progress = job.progress.task("transform", Unit::Documents, Some(corpus.header().documents));
    dataset.map(
        |_, chunk| {
            let (vectors, terms) = make(chunk);
            let documents = vectors.len() / width;
            job.account.count(|counters| counters.documents += documents as u64);
            let mut bytes: Vec<u8> = bytemuck::cast_slice(&vectors).to_vec();
            if shape.terms {
                drop(vectors);
                TermTopics::write(&terms, &mut bytes);
                // Where they begin.
                bytes.extend_from_slice(&(documents as u64).to_le_bytes());
            }
            Ok(bytes)
        },
        |_, bytes| {
            // Results come to the dispatcher only, which has an output.
            let Some(output) = &mut output else { return Ok(()) };
            let documents = output.append(&bytes)?;
            progress.advance(documents, documents);
            Ok(())
        },
    )?;
    drop((phase, progress));
    if let Some(output) = output {
        let provenance = provenance()?;
        job.account.phase("write", || job.account.io(|| output.finish(corpus, &provenance)))?;
    }
    Ok(())
}

/// The dispatcher's side: the file being written.
struct Output {
    width: usize,
    // Before `file`, which must be the last to let go of the HDF5 file.
    vectors: Slabs<f32>,
    terms: Option<Columns>,
    file: ModelWriter,
}

impl Output {
    /// Begins a file.
    fn create(target: Target, Shape { width, terms }: Shape) -> Result<Output> {
        let mut file = ModelWriter::create(target, Format::Vectors)?;
        let vectors = file.slabs("vectors", width)?;
        Ok(Output { width, vectors, terms: terms.then(|| Columns::create(&mut file)).transpose()?, file })
    }

    /// What was made of the next documents; returns how many there are.
    fn append(&mut self, mut bytes: &[u8]) -> Result<u64> {
        if let Some(columns) = &mut self.terms {
            let (rest, documents) = bytes.split_last_chunk::<8>().ok_or_else(damaged)?;
            let length = (u64::from_le_bytes(*documents) as usize).checked_mul(4 * self.width);
            let (vectors, terms) = length.and_then(|end| rest.split_at_checked(end)).ok_or_else(damaged)?;
            columns.append(&TermTopics::read(terms)?)?;
            bytes = vectors;
        }
        let vectors: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
        let documents = vectors.len() / self.width;
        let rows = ArrayView2::from_shape((documents, self.width), &vectors)
            .map_err(|cause| Error::failed(format!("document vectors do not add up: {cause}")))?;
        self.file.push(&mut self.vectors, rows)?;
        Ok(documents as u64)
    }

    /// Adds what the corpus says of its documents.
    fn finish(self, corpus: &Corpus, provenance: &Value) -> Result<()> {
        let Output { vectors, terms, mut file, .. } = self;
        file.finish_slabs(vectors)?;
        terms.map_or(Ok(()), Columns::finish)?;
        let reader = corpus.reader()?;
        let documents = corpus.header().documents;
        copy_strings(&mut file, "ids", documents, |first, count| reader.ids(first, count))?;
        if corpus.header().labelled {
            let labels = |first, count| Ok(reader.labels(first, count)?.unwrap_or_default());
            copy_strings(&mut file, "labels", documents, labels)?;
        }
        file.finish(provenance).map(drop)
    }
}

/// What is said of results that do not fit each other.
pub(super) fn damaged() -> Error {
    Error::failed("damaged message: vectors of documents")
}

/// Copies a string per document, block by block.
fn copy_strings(
    file: &mut ModelWriter,
    name: &str,
    documents: u64,
    read: impl Fn(u64, u64) -> Result<Vec<String>>,
) -> Result<()> {
    let block = BLOCK_STRINGS as u64;
    let mut failed = Ok(());
    let blocks = (0..documents)
        .step_by(BLOCK_STRINGS)
        .map_while(|first| read(first, block.min(documents - first)).map_err(|error| failed = Err(error)).ok());
    file.strings(name, blocks.flatten())?;
    failed
}

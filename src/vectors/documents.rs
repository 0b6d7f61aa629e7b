//! A vector for each document of a corpus: chunks are worked on wherever they lie, and the dispatcher writes the vectors in
//! the order of the documents.
//!
//! Cost: one pass; 4 k bytes a document travel to the dispatcher.
//!
//! The file: `vectors` (documents x k, f32), `ids` and, where the corpus has them, `labels` (strings).

use ndarray::ArrayView2;
use serde_json::Value;

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
pub fn write<I: Footprint>(
    job: &Job,
    corpus: &Corpus,
    width: usize,
    target: Option<Target>,
    prepare: fn(CsrChunk) -> Result<I>,
    vectors: impl Fn(&I) -> Vec<f32>,
    provenance: &dyn Fn() -> Result<Value>,
) -> Result<()> {
    job.begin(provenance)?;
    let mut output = target.map(|target| Output::create(target, width)).transpose()?;
    let phase = job.account.enter_phase("project");
    let dataset = Dataset::new(job, Documents::of(corpus, prepare))?.enduring();
    let progress = job.progress.task("transform", Unit::Documents, Some(corpus.header().documents));
    dataset.map(
        |_, chunk| {
            let vectors = vectors(chunk);
            job.account.count(|counters| counters.documents += (vectors.len() / width) as u64);
            Ok(bytemuck::cast_slice(&vectors).to_vec())
        },
        |_, vectors| {
            let vectors: Vec<f32> = bytemuck::pod_collect_to_vec(&vectors);
            let documents = (vectors.len() / width) as u64;
            // Results come to the dispatcher only, which has an output.
            output.as_mut().map_or(Ok(()), |output| output.append(&vectors))?;
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
    file: ModelWriter,
}

impl Output {
    /// Begins a file of vectors of so many numbers.
    fn create(target: Target, width: usize) -> Result<Output> {
        let mut file = ModelWriter::create(target, Format::Vectors)?;
        Ok(Output { width, vectors: file.slabs("vectors", width)?, file })
    }

    /// The vectors of the next documents.
    fn append(&mut self, vectors: &[f32]) -> Result<()> {
        let rows = ArrayView2::from_shape((vectors.len() / self.width, self.width), vectors)
            .map_err(|cause| Error::failed(format!("document vectors do not add up: {cause}")))?;
        self.file.push(&mut self.vectors, rows)
    }

    /// Adds what the corpus says of its documents.
    fn finish(self, corpus: &Corpus, provenance: &Value) -> Result<()> {
        let Output { vectors, mut file, .. } = self;
        file.finish_slabs(vectors)?;
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

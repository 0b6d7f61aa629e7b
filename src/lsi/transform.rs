//! Projecting a whole corpus: the model is broadcast once, chunks are projected wherever they lie, and the dispatcher
//! writes the vectors in the order of the documents.
//!
//! Cost: one pass; 4 k bytes a document travel to the dispatcher. Memory: the left vectors on every worker, twice while
//! they are unpacked.
//!
//! The file: `vectors` (documents x k, f32), `ids` and, where the corpus has them, `labels` (strings).

use crate::corpus::kinship::{same_terms, same_values};
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Prepared;
use crate::lsi::memory;
use crate::lsi::model::LsiModel;
use crate::lsi::projection::Projection;
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::column::BLOCK_STRINGS;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter, Slabs};
use crate::store::provenance::{self, Input};
use ndarray::ArrayView2;
use serde_json::json;
use std::path::Path;

/// Projects a corpus into the space of a model. Collective; `target` is given on the dispatcher. Returns the number of
/// topics.
///
/// # Errors
/// A corpus over another dictionary or of other values than the model was made from; a singular value of zero where
/// vectors are to be scaled; those of reading and writing.
pub fn transform(job: &Job, model: &Path, corpus: &Corpus, scaled: bool, target: Option<Target>) -> Result<usize> {
    let phase = job.account.enter_phase("load model");
    let sizes = corpus.sizes(job)?;
    let topics = || Ok(ModelReader::open(model, Format::Lsi)?.shape("left_vectors")?.get(1).copied().unwrap_or(0));
    // Chunks are needed once: none is kept.
    let job = &Job { memory: 0, ..job.within_memory("give more", || Ok(memory::projecting(&sizes, topics()?)))? };
    let mut input = None;
    let message = job.share(|| {
        let reader = job.account.io(|| ModelReader::open(model, Format::Lsi))?;
        input = Some(Input::result(reader.file())?);
        let loaded = job.account.io(|| load(&reader, corpus))?;
        Projection::message(&loaded, scaled).map_err(|cause| Error::failed(format!("{}: {cause}", model.display())))
    })?;
    let projection = Projection::from_message(&message)?;
    drop((phase, message));

    job.begin(|| {
        let mut inputs = vec![("corpus", Input::result(corpus.reader()?.file())?)];
        inputs.extend(input.clone().map(|model| ("model", model)));
        Ok(provenance::of("transform", json!({ "scaled": scaled }), &inputs))
    })?;
    let topics = projection.topics();
    let mut output = target.map(|target| Output::create(target, topics)).transpose()?;
    let phase = job.account.enter_phase("project");
    let dataset = Dataset::new(job, Documents::of(corpus, Prepared::new))?.enduring();
    let progress = job.progress.task("transform", Unit::Documents, Some(corpus.header().documents));
    dataset.map(
        |_, chunk| {
            job.account.count(|counters| {
                counters.documents += chunk.documents() as u64;
                counters.flops += 2 * chunk.nonzeros() as u64 * topics as u64;
            });
            Ok(bytemuck::cast_slice(&projection.documents(job.pool, chunk)).to_vec())
        },
        |_, vectors| {
            let vectors: Vec<f32> = bytemuck::pod_collect_to_vec(&vectors);
            let documents = (vectors.len() / topics) as u64;
            // Results come to the dispatcher only, which has an output.
            output.as_mut().map_or(Ok(()), |output| output.append(&vectors))?;
            progress.advance(documents, documents);
            Ok(())
        },
    )?;
    if job.works() {
        job.account.count(|counters| counters.products += topics as u64);
    }
    drop((phase, progress));
    if let Some(output) = output {
        let mut inputs = vec![("corpus", Input::result(corpus.reader()?.file())?)];
        inputs.extend(input.map(|model| ("model", model)));
        let provenance = provenance::of("transform", json!({ "scaled": scaled }), &inputs);
        job.account.phase("write", || job.account.io(|| output.finish(corpus, &provenance)))?;
    }
    Ok(topics)
}

/// Reads a model that the corpus must be kin to.
pub(super) fn load(reader: &ModelReader, corpus: &Corpus) -> Result<LsiModel> {
    let model = LsiModel::read(reader)?;
    let path = &reader.file().path;
    same_terms(path, &model.terms, corpus.path(), &corpus.reader()?.terms()?)?;
    same_values(path, &model.values, corpus.path(), &corpus.header().values)?;
    Ok(model)
}

/// The dispatcher's side: the file being written.
pub(crate) struct Output {
    topics: usize,
    // Before `file`, which must be the last to let go of the HDF5 file.
    vectors: Slabs<f32>,
    file: ModelWriter,
}

impl Output {
    /// Begins a file of vectors of so many topics.
    pub(crate) fn create(target: Target, topics: usize) -> Result<Output> {
        let mut file = ModelWriter::create(target, Format::Vectors)?;
        Ok(Output { topics, vectors: file.slabs("vectors", topics)?, file })
    }

    /// The vectors of the next documents.
    pub(crate) fn append(&mut self, vectors: &[f32]) -> Result<()> {
        let rows = ArrayView2::from_shape((vectors.len() / self.topics, self.topics), vectors)
            .map_err(|cause| Error::failed(format!("document vectors do not add up: {cause}")))?;
        self.file.push(&mut self.vectors, rows)
    }

    /// Adds what the corpus says of its documents.
    pub(crate) fn finish(self, corpus: &Corpus, provenance: &serde_json::Value) -> Result<()> {
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

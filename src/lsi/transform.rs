//! Projecting a whole corpus: the model is broadcast once, and [`documents`] does the rest.
//!
//! Cost: one pass; 4 k bytes a document travel to the dispatcher. Memory: the left vectors on every worker, twice while
//! they are unpacked.

use crate::corpus::kinship::{same_terms, same_values};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::linalg::Prepared;
use crate::lsi::memory;
use crate::lsi::model::LsiModel;
use crate::lsi::projection::Projection;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::ModelReader;
use crate::store::provenance::Input;
use crate::vectors::documents;
use crate::vectors::model::ModelInput;
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
    let mut input = ModelInput::default();
    let message = job.share(|| {
        let reader = input.open(job, model, Format::Lsi)?;
        let loaded = job.account.io(|| load(&reader, corpus))?;
        Projection::message(&loaded, scaled).map_err(|cause| Error::failed(format!("{}: {cause}", model.display())))
    })?;
    let projection = Projection::from_message(&message)?;
    drop((phase, message));

    let provenance =
        || Ok(input.provenance(json!({ "scaled": scaled }), ("corpus", Input::result(corpus.reader()?.file())?)));
    let topics = projection.topics();
    let vectors = |chunk: &Prepared| {
        job.account.count(|counters| counters.flops += 2 * chunk.nonzeros() as u64 * topics as u64);
        projection.documents(job.pool, chunk)
    };
    documents::write(job, corpus, topics, target, Prepared::new, vectors, &provenance)?;
    if job.works() {
        job.account.count(|counters| counters.products += topics as u64);
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

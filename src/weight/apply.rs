//! Weighting a whole corpus: the model is fitted or loaded by the dispatcher, applied by everybody.
//!
//! Problem: a corpus of counts (documents x terms) becomes a corpus of weights with the same documents and terms.
//! Algorithm: document and collection frequencies are in the corpus, so fitting needs no pass, but for log-entropy, which
//! takes one; the model is broadcast, chunks are weighted wherever they lie and written by the dispatcher in their order.
//! Cost: one pass, or two; 8 bytes a nonzero travel to the dispatcher, as many to workers that do not see the file.

use crate::corpus::container::{BackgroundWriter, CorpusHeader, CorpusWriter, Values, WEIGHTING};
use crate::corpus::kinship::same_terms;
use crate::corpus::sent_rows::SentRows;
use crate::dispatch::memory::{FILES, Forecast, Need, Sizes};
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::provenance::{self, Input};
use crate::weight::bm25::Bm25Model;
use crate::weight::log_entropy::{self, LogEntropyModel};
use crate::weight::model::characters_for;
use crate::weight::saved::{self, SavedModel};
use crate::weight::scheme::{Scheme, WeightModel};
use crate::weight::tfidf::{TfidfModel, TrainingStatistics};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where the weights come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Weights {
    /// From the corpus itself, by this scheme.
    Fit(Scheme),
    /// From the file of a model that was fitted before.
    Load(PathBuf),
}

/// Files to write.
#[derive(Debug)]
pub struct Targets {
    /// The weighted corpus.
    pub corpus: Target,
    /// The model, if it is wanted.
    pub model: Option<Target>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighted {
    /// Parameters as they took effect.
    pub parameters: Value,
    /// The weighted corpus, on the dispatcher.
    pub header: Option<CorpusHeader>,
}

/// The dispatcher's side: the model and where it comes from.
struct Origin {
    saved: SavedModel,
    /// The model's file, if it was loaded.
    loaded: Option<Input>,
}

/// Weights a corpus. Collective; `targets` are given on the dispatcher.
///
/// # Errors
/// A corpus that is weighted already; a model over another dictionary; those of fitting; those of reading and
/// writing.
pub fn weigh(job: &Job, corpus: &Corpus, weights: &Weights, targets: Option<Targets>) -> Result<Weighted> {
    let header = corpus.header();
    let phase = job.account.enter_phase("fit");
    let twice = matches!(weights, Weights::Fit(Scheme::LogEntropy { .. }));
    let sizes = corpus.sizes(job)?;
    let job = &job.within_memory("give more", || Ok(forecast(&sizes, twice)))?;
    // What is gone through once is not kept.
    let job = &Job { memory: if twice { job.memory } else { 0 }, ..*job };
    let dataset = Dataset::new(job, Documents::of(corpus, Ok))?.enduring();
    if job.is_dispatcher() {
        refuse_weights(corpus)?;
    }
    let sums = if twice { log_entropy::sums(&dataset, header.terms as usize)? } else { Vec::new() };
    let mut origin = None;
    let message = job.share(|| {
        let found = Origin::find(corpus, weights, &sums)?;
        Ok(origin.insert(found).saved.model.to_bytes())
    })?;
    let model = WeightModel::from_bytes(&message)?;
    drop((phase, message));
    let mut parameters = model.parameters();
    parameters["weights"] = model.fingerprint().into();

    job.begin(|| {
        let mut inputs = vec![("corpus", Input::result(corpus.reader()?.file())?)];
        inputs.extend(origin.as_ref().and_then(|origin| origin.loaded.clone()).map(|model| ("model", model)));
        Ok(provenance::of("tfidf", parameters.clone(), &inputs))
    })?;
    let mut output = match (targets, origin) {
        (Some(targets), Some(origin)) => Some(Output::create(corpus, targets, origin)?),
        _ => None,
    };
    let phase = job.account.enter_phase("weigh");
    let progress = job.progress.task("tfidf", Unit::Documents, Some(header.documents));
    dataset.map(
        |_, counts| {
            job.account.count(|counters| counters.documents += counts.documents() as u64);
            let mut message = Vec::new();
            SentRows::encode((&model.apply(counts)?).into(), false, &mut message);
            Ok(message)
        },
        |_, message| {
            let (weights, _) = SentRows::decode(message, 0)?;
            let documents = weights.documents() as u64;
            // Results come to the dispatcher only, which has an output.
            output.as_mut().map_or(Ok(()), |output| output.append(corpus, weights))?;
            progress.advance(documents, documents);
            Ok(())
        },
    )?;
    drop((phase, progress));
    let finish = |output: Output| job.account.phase("write", || job.account.io(|| output.finish(corpus, &parameters)));
    let header = output.map(finish).transpose()?;
    Ok(Weighted { parameters, header })
}

/// What weighting takes: the dictionary and frequencies on the dispatcher, a model on each rank, and a few copies of the
/// chunk that is weighted. With two passes, chunks are worth keeping.
fn forecast(sizes: &Sizes, twice: bool) -> Forecast {
    const FREQUENCIES: u64 = 64;
    let (chunk, model) = (sizes.chunk(), 24 * sizes.terms);
    let sums = if twice { 40 * sizes.terms } else { 0 };
    let dispatcher = sizes
        .dispatcher()
        .with("dictionary and frequencies", 2 * sizes.dictionary() + FREQUENCIES * sizes.terms)
        // Some are on their way to the file.
        .with("results", sizes.results(chunk) + 2 * chunk + sizes.names());
    let worker = sizes.worker(5 * chunk).with("weights of the terms", 2 * model + sums);
    let keeps = if twice { sizes.all_chunks() } else { 0 };
    Forecast { dispatcher: dispatcher.and(Need::fixed(FILES)), worker: worker.keeping(keeps) }
}

/// Only counts can be weighted.
fn refuse_weights(corpus: &Corpus) -> Result<()> {
    match &corpus.header().values {
        Values::Counts => Ok(()),
        Values::Weights(code) => Err(Error::failed(format!(
            "{}: is weighted already ({code}); give the corpus of counts it was made from",
            corpus.path().display()
        ))),
    }
}

impl Origin {
    /// `sums` are those of [`log_entropy::sums`], where they are needed.
    fn find(corpus: &Corpus, weights: &Weights, sums: &[i64]) -> Result<Origin> {
        let terms = corpus.reader()?.terms()?;
        match weights {
            Weights::Fit(scheme) => Origin::fit(corpus, terms, *scheme, sums),
            Weights::Load(model) => Origin::load(model, corpus.path(), &terms),
        }
    }

    fn fit(corpus: &Corpus, terms: Vec<String>, scheme: Scheme, sums: &[i64]) -> Result<Origin> {
        let (reader, documents) = (corpus.reader()?, corpus.header().documents);
        let (document_frequency, collection_frequency) = (reader.document_frequency()?, reader.collection_frequency()?);
        let model = match scheme {
            Scheme::Tfidf { code, pivoting } => {
                let statistics = TrainingStatistics {
                    documents,
                    document_frequency,
                    collection_frequency: Some(collection_frequency),
                    term_characters: characters_for(code, &terms),
                };
                WeightModel::Tfidf(TfidfModel::fit(code, statistics, pivoting)?)
            }
            Scheme::LogEntropy { normalised } => {
                WeightModel::LogEntropy(LogEntropyModel::fit(documents, &collection_frequency, sums, normalised)?)
            }
            Scheme::Bm25 { variant, parameters } => WeightModel::Bm25(Bm25Model::fit(
                variant,
                parameters,
                documents,
                &document_frequency,
                &collection_frequency,
            )?),
        };
        Ok(Origin { saved: SavedModel { terms, model }, loaded: None })
    }

    fn load(path: &Path, corpus: &Path, terms: &[String]) -> Result<Origin> {
        let (saved, input) = SavedModel::load(path)?;
        same_terms(path, &saved.terms, corpus, terms)?;
        Ok(Origin { saved, loaded: Some(input) })
    }
}

/// The dispatcher's side: the files being written.
struct Output {
    origin: Origin,
    corpus: BackgroundWriter,
    model: Option<Target>,
}

impl Output {
    fn create(corpus: &Corpus, targets: Targets, origin: Origin) -> Result<Output> {
        let values = Values::Weights(origin.saved.model.code());
        let (terms, labelled) = (origin.saved.terms.clone(), corpus.header().labelled);
        let create = move || CorpusWriter::create(targets.corpus, &terms, values, labelled);
        Ok(Output { origin, corpus: BackgroundWriter::start(create)?, model: targets.model })
    }

    fn append(&mut self, from: &Corpus, weights: SentRows) -> Result<()> {
        let (first, count) = (weights.first_document, weights.documents() as u64);
        let (ids, labels) = (from.reader()?.ids(first, count)?, from.reader()?.labels(first, count)?);
        self.corpus.append_sent(weights, Some(ids), labels)
    }

    fn finish(self, from: &Corpus, parameters: &Value) -> Result<CorpusHeader> {
        let Origin { saved, loaded } = self.origin;
        let mut inputs = vec![("corpus", Input::result(from.reader()?.file())?)];
        inputs.extend(loaded.map(|model| ("model", model)));
        let provenance = provenance::of("tfidf", parameters.clone(), &inputs);
        let mut corpus = self.corpus.finish()?;
        saved::write(&saved.model, &mut corpus.section(WEIGHTING)?)?;
        if let Some(target) = self.model {
            saved.save(target, &provenance)?;
        }
        corpus.finish(&provenance)
    }
}

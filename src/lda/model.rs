//! A saved LDA model.
//!
//! Datasets: `topic_word` (topics x terms, f32, rows sum to 1), `alpha` (topics, f64), `eta` (1 or terms, f64), `topic_tokens` (topics,
//! f64: tokens of each topic), `terms` (strings); attributes `documents`, `tokens` (what it was trained on, all updates
//! together), `updates` (minibatches). What `--update` continues from follows: a term's tokens in a topic are its weight x
//! (tokens of the topic + the sum of all eta) - eta.

use std::path::Path;

use ndarray::{Array2, ArrayView2};
use serde_json::Value;

use super::completion::Topics;
use super::counts::Counts;
use super::params::Eta;
use crate::comm::Tag;
use crate::corpus::kinship::{same_terms, same_values};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::linalg::Aligned;
use crate::linalg::kernels::LANES;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelReader, ModelWriter};

/// Topics over a dictionary.
#[derive(Debug, Clone, PartialEq)]
pub struct LdaModel {
    /// Weights of terms (topics x terms); rows sum to 1.
    pub topic_word: Array2<f32>,
    /// Prior of the documents' shares.
    pub alpha: Vec<f64>,
    /// Prior of the topics' terms.
    pub eta: Eta,
    /// Tokens of each topic, in the corpora it was trained on.
    pub topic_tokens: Vec<f64>,
    /// The dictionary.
    pub terms: Vec<String>,
    /// What there is to know of its training.
    pub history: History,
}

/// How much a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct History {
    /// Documents.
    pub documents: u64,
    /// Tokens.
    pub tokens: u64,
    /// Minibatches.
    pub updates: u64,
}

/// One topic of the state of training: its tokens, then the weights of all terms. Their sum in f64 divides them, so that it
/// is 1 but for rounding.
fn topic(counts: &Counts, topic: usize, eta: &Eta) -> (f64, Vec<f32>) {
    let terms = counts.terms();
    let sum: f64 = (0..terms).map(|term| counts.count(term, topic) + eta.of(term)).sum();
    let weights = (0..terms).map(|term| ((counts.count(term, topic) + eta.of(term)) / sum) as f32).collect();
    ((sum - eta.sum(terms)).max(0.0), weights)
}

/// What training leaves on a rank.
pub struct Trained {
    /// The state, on ranks that work.
    pub counts: Option<Counts>,
    /// Prior of the documents' shares, on ranks that work.
    pub alpha: Vec<f64>,
    /// Prior of the topics' terms, on ranks that work.
    pub eta: Eta,
    /// What it was trained on.
    pub history: History,
}

/// Writes the model that the workers have trained; topic after topic goes to the dispatcher, who has the target, and
/// straight to the file. Collective.
pub fn save(
    job: &Job,
    trained: &Trained,
    corpus: &Corpus,
    target: Option<Target>,
    provenance: impl FnOnce() -> Result<Value>,
) -> Result<()> {
    let Trained { counts, alpha, eta, history } = trained;
    let counts = counts.as_ref();
    let first = if job.distributed() { 1 } else { 0 };
    if job.distributed() && job.comm.rank() == first {
        let counts = counts.ok_or_else(|| Error::failed("a worker without a model"))?;
        let topics = counts.totals().len();
        job.wait(job.comm.send(0, Tag::Rows, bytemuck::cast_slice(alpha).to_vec()))?;
        job.wait(job.comm.send(0, Tag::Rows, bytemuck::cast_slice(&eta.0).to_vec()))?;
        for number in 0..topics {
            let (tokens, weights) = job.account.compute(|| topic(counts, number, eta));
            let message = [&tokens.to_le_bytes(), bytemuck::cast_slice::<f32, u8>(&weights)].concat();
            job.wait(job.comm.send(0, Tag::Rows, message))?;
        }
    }
    let Some(target) = target else { return Ok(()) };
    let receive = || Ok(bytemuck::pod_collect_to_vec(&job.wait(job.comm.receive(first, Tag::Rows))?));
    let alpha: Vec<f64> = if job.distributed() { receive()? } else { alpha.clone() };
    let eta = if job.distributed() { Eta(receive()?) } else { eta.clone() };
    let terms = job.account.io(|| corpus.reader()?.terms())?;
    let mut file = ModelWriter::create(target, Format::Lda)?;
    let mut slabs = file.slabs("topic_word", terms.len())?;
    let mut topic_tokens = Vec::new();
    for number in 0..alpha.len() {
        let (tokens, weights) = if job.distributed() {
            let message = job.wait(job.comm.receive(first, Tag::Rows))?;
            let (head, rest) =
                message.split_first_chunk::<8>().ok_or_else(|| Error::failed("damaged message: a topic"))?;
            (f64::from_le_bytes(*head), bytemuck::pod_collect_to_vec::<u8, f32>(rest))
        } else {
            let counts = counts.ok_or_else(|| Error::failed("a worker without a model"))?;
            job.account.compute(|| topic(counts, number, &eta))
        };
        let row = ArrayView2::from_shape((1, weights.len()), &weights)
            .map_err(|cause| Error::failed(format!("damaged message: a topic: {cause}")))?;
        job.account.io(|| file.push(&mut slabs, row))?;
        topic_tokens.push(tokens);
    }
    file.finish_slabs(slabs)?;
    file.list("alpha", &alpha)?;
    file.list("eta", &eta.0)?;
    file.list("topic_tokens", &topic_tokens)?;
    file.strings("terms", &terms)?;
    file.attribute("documents", history.documents)?;
    file.attribute("tokens", history.tokens)?;
    file.attribute("updates", history.updates)?;
    file.attribute("values", "counts")?;
    file.finish(&provenance()?).map(drop)
}

impl LdaModel {
    /// What training has left on a rank that works.
    ///
    /// # Errors
    /// A rank that does not work has no model.
    pub fn of(trained: Trained, terms: Vec<String>) -> Result<LdaModel> {
        let Trained { counts, alpha, eta, history } = trained;
        let counts = counts.ok_or_else(|| Error::failed("a worker without a model"))?;
        let mut topic_word = Array2::zeros((alpha.len(), counts.terms()));
        let mut topic_tokens = Vec::with_capacity(alpha.len());
        for (number, mut row) in topic_word.rows_mut().into_iter().enumerate() {
            let (tokens, weights) = topic(&counts, number, &eta);
            row.assign(&ndarray::ArrayView1::from(&weights));
            topic_tokens.push(tokens);
        }
        Ok(LdaModel { topic_word, alpha, eta, topic_tokens, terms, history })
    }

    /// Number of topics.
    pub fn topics(&self) -> usize {
        self.alpha.len()
    }

    /// Share of each topic in the tokens it was trained on.
    pub fn shares(&self) -> Vec<f64> {
        let all: f64 = self.topic_tokens.iter().sum();
        self.topic_tokens.iter().map(|tokens| tokens / all.max(f64::MIN_POSITIVE)).collect()
    }

    /// Reads a model.
    pub fn load(path: &Path) -> Result<LdaModel> {
        Self::read(&ModelReader::open(path, Format::Lda)?)
    }

    /// Reads a model from its opened file.
    pub fn read(reader: &ModelReader) -> Result<LdaModel> {
        let file = reader.file();
        let model = LdaModel {
            topic_word: reader.table("topic_word")?,
            alpha: reader.list("alpha")?,
            eta: Eta(reader.list("eta")?),
            topic_tokens: reader.list("topic_tokens")?,
            terms: reader.all_strings("terms")?,
            history: History {
                documents: file.unsigned("documents")?,
                tokens: file.unsigned("tokens")?,
                updates: file.unsigned("updates")?,
            },
        };
        let (topics, terms) = model.topic_word.dim();
        let fits = terms == model.terms.len() && topics == model.alpha.len() && topics == model.topic_tokens.len();
        let eta = model.eta.0.len();
        if !fits || topics == 0 || eta != 1 && eta != terms {
            return Err(reader.misfit("model"));
        }
        Ok(model)
    }

    /// Reads a model that the corpus must be kin to.
    pub fn read_for(reader: &ModelReader, corpus: &Corpus) -> Result<LdaModel> {
        let model = Self::read(reader)?;
        let path = &reader.file().path;
        same_terms(path, &model.terms, corpus.path(), &corpus.reader()?.terms()?)?;
        same_values(path, "counts", corpus.path(), &corpus.header().values)?;
        Ok(model)
    }

    /// The state that training can go on from.
    fn counts(&self) -> Counts {
        let (topics, terms) = self.topic_word.dim();
        let prior = self.eta.sum(terms);
        let all: Vec<f64> = self.topic_tokens.iter().map(|tokens| tokens + prior).collect();
        Counts::of(terms, topics, |term, topic| {
            let weight = f64::from(self.topic_word[[topic, term]]);
            (weight * all[topic] - self.eta.of(term)).max(0.0) as f32
        })
    }
}

/// A model as the kernels want it, on every rank.
pub struct Shared {
    /// Number of topics.
    pub topics: usize,
    /// Prior of the documents' shares, as the model has it.
    pub alpha: Vec<f64>,
    /// The same, padded to the width with zeros.
    pub prior: Vec<f32>,
    /// Prior of the topics' terms.
    pub eta: Eta,
    /// Tokens of each topic.
    pub topic_tokens: Vec<f64>,
    /// Terms x width.
    pub phi: Aligned<f32>,
}

impl Shared {
    /// A model that is here.
    pub fn of(model: &LdaModel) -> Shared {
        let (topics, terms) = model.topic_word.dim();
        let width = topics.next_multiple_of(LANES);
        let mut phi = Aligned::zeros(terms * width);
        for (row, weights) in phi.chunks_exact_mut(width).zip(model.topic_word.columns()) {
            row.iter_mut().zip(weights).for_each(|(to, &weight)| *to = weight);
        }
        let (alpha, eta, topic_tokens) = (model.alpha.clone(), model.eta.clone(), model.topic_tokens.clone());
        Shared { topics, prior: padded(&alpha), alpha, eta, topic_tokens, phi }
    }

    /// As they are used.
    pub fn topics(&self) -> Topics<'_> {
        Topics { phi: &self.phi, prior: &self.prior, topics: self.topics }
    }

    /// As a message: topics, numbers of eta; alpha, tokens, eta; and the weights by term without padding.
    fn message(model: &LdaModel) -> Vec<u8> {
        let mut message = [model.topics() as u64, model.eta.0.len() as u64].map(u64::to_le_bytes).concat();
        for numbers in [&model.alpha, &model.topic_tokens, &model.eta.0] {
            message.extend_from_slice(bytemuck::cast_slice(numbers));
        }
        for term in model.topic_word.columns() {
            message.extend(term.iter().flat_map(|weight| weight.to_le_bytes()));
        }
        message
    }

    /// Gives every rank the dispatcher's model. Collective.
    pub fn share(job: &Job, load: impl FnOnce() -> Result<LdaModel>) -> Result<Shared> {
        let message = job.share(|| Ok(Self::message(&load()?)))?;
        let damaged = || Error::failed("damaged message: a model");
        let (head, rest) = message.split_first_chunk::<16>().ok_or_else(damaged)?;
        let [topics, etas] = bytemuck::pod_read_unaligned::<[u64; 2]>(head).map(|number| number as usize);
        let (alpha, rest) = rest.split_at_checked(8 * topics).ok_or_else(damaged)?;
        let (topic_tokens, rest) = rest.split_at_checked(8 * topics).ok_or_else(damaged)?;
        let (eta, rest) = rest.split_at_checked(8 * etas).ok_or_else(damaged)?;
        let (topic_tokens, eta) = (bytemuck::pod_collect_to_vec(topic_tokens), Eta(bytemuck::pod_collect_to_vec(eta)));
        let width = topics.next_multiple_of(LANES);
        let alpha: Vec<f64> = bytemuck::pod_collect_to_vec(alpha);
        let prior = padded(&alpha);
        let mut phi = Aligned::zeros(rest.len() / 4 / topics * width);
        for (row, from) in phi.chunks_exact_mut(width).zip(rest.chunks_exact(4 * topics)) {
            row[..topics].iter_mut().zip(from.as_chunks().0).for_each(|(to, from)| *to = f32::from_le_bytes(*from));
        }
        Ok(Shared { topics, alpha, prior, eta, topic_tokens, phi })
    }
}

/// The prior in single precision, with zeros behind it up to the width.
fn padded(alpha: &[f64]) -> Vec<f32> {
    let mut prior = vec![0f32; alpha.len().next_multiple_of(LANES)];
    prior.iter_mut().zip(alpha).for_each(|(prior, &alpha)| *prior = alpha as f32);
    prior
}

/// A model to be continued.
pub struct Earlier {
    /// Where its training stopped.
    pub history: History,
    /// Its topics.
    pub topics: usize,
    /// Its priors.
    pub alpha: Vec<f64>,
    /// Its prior of terms.
    pub eta: Eta,
    /// Its checksum.
    pub checksum: String,
    /// The state, on ranks that work.
    pub counts: Option<Counts>,
}

impl Earlier {
    /// Reads a model over the dictionary of a corpus. Collective.
    pub fn load(job: &Job, path: &Path, corpus: &Corpus) -> Result<Earlier> {
        let mut checksum = String::new();
        let message = job.share(|| {
            let reader = job.account.io(|| ModelReader::open(path, Format::Lda))?;
            let model = job.account.io(|| LdaModel::read_for(&reader, corpus))?;
            checksum.clone_from(&reader.file().checksum);
            let History { documents, tokens, updates } = model.history;
            let mut message = [model.topics() as u64, documents, tokens, updates, model.eta.0.len() as u64]
                .map(u64::to_le_bytes)
                .concat();
            message.extend_from_slice(bytemuck::cast_slice(&model.eta.0));
            message.extend_from_slice(bytemuck::cast_slice(&model.alpha));
            message.extend_from_slice(bytemuck::cast_slice(&model.topic_tokens));
            message.extend(model.topic_word.iter().flat_map(|weight| weight.to_le_bytes()));
            Ok(message)
        })?;
        let damaged = || Error::failed("damaged message: a model");
        let (head, rest) = message.split_at_checked(40).ok_or_else(damaged)?;
        let head: Vec<u64> = bytemuck::pod_collect_to_vec(head);
        let topics = head[0] as usize;
        let (eta, rest) = rest.split_at_checked(8 * head[4] as usize).ok_or_else(damaged)?;
        let (alpha, rest) = rest.split_at_checked(8 * topics).ok_or_else(damaged)?;
        let (topic_tokens, rest) = rest.split_at_checked(8 * topics).ok_or_else(damaged)?;
        let weights: Vec<f32> = bytemuck::pod_collect_to_vec(rest);
        let terms = weights.len() / topics;
        let model = LdaModel {
            topic_word: Array2::from_shape_vec((topics, terms), weights).map_err(|_| damaged())?,
            alpha: bytemuck::pod_collect_to_vec(alpha),
            eta: Eta(bytemuck::pod_collect_to_vec(eta)),
            topic_tokens: bytemuck::pod_collect_to_vec(topic_tokens),
            terms: Vec::new(),
            history: History { documents: head[1], tokens: head[2], updates: head[3] },
        };
        let counts = job.works().then(|| job.account.compute(|| model.counts()));
        Ok(Earlier { history: model.history, topics, alpha: model.alpha, eta: model.eta, checksum, counts })
    }
}

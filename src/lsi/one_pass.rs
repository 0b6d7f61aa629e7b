//! Training in one pass: for documents that are seen once, and for adding documents to a model.
//!
//! Algorithm: the corpus is cut into chunks of a fixed number of documents. A worker decomposes a chunk alone, by a few
//! rounds of block Krylov iteration, to twice the wanted width; its left vectors are then spread by rows over all workers,
//! and all together merge them ([`partial`](super::partial)) in a binary tree over the chunks' numbers. As many chunks are
//! under way as there are workers. The width stays doubled until the end: what a merge drops is lost for good.
//! Cost: one pass over the corpus, 4 terms w bytes a chunk between the workers for a width w.
//! Memory: a worker holds a chunk, its basis, and 4 terms w log2(chunks) / workers bytes of waiting partials.

mod snapshot;

use std::collections::VecDeque;
use std::path::Path;

use ndarray::Array2;

use crate::comm::{Local, Route, Started, Tag};
use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::CorpusHeader;
use crate::dispatch::{Corpus, Dataset, Documents, Job, Parcel, Source};
use crate::error::{Error, Result};
use crate::linalg::Prepared;
use crate::linalg::rows::RowShares;
use crate::report::progress::{Progress, Unit};
use crate::store::file::Format;
use crate::store::model::ModelReader;

use super::chunks::Single;
use super::krylov::decompose;
use super::memory;
use super::model::LsiModel;
use super::operator::{Operator, sum_in_order};
use super::panel::Panel;
use super::params::{LsiParams, LsiPlan, OnePassPlan, TOLERANCE};
use super::partial::{Partial, Tree, merge};
use super::spread::deal_out;
use snapshot::Keeper;

use super::train::{Quality, Training, signs, verify};
use super::transform;

/// Rounds in which a chunk is decomposed.
const ROUNDS: usize = 6;

/// A model to be continued, its vectors spread over the workers.
pub struct Earlier {
    partial: Partial,
    documents: u64,
    frobenius_squared: f64,
    checksum: String,
}

impl Earlier {
    /// Reads a model over the dictionary and of the values of a corpus. Collective.
    pub fn load(job: &Job, model: &Path, corpus: &Corpus) -> Result<Earlier> {
        let (mut vectors, mut checksum) = (None, String::new());
        let message = job.share(|| {
            let reader = job.account.io(|| ModelReader::open(model, Format::Lsi))?;
            let model = job.account.io(|| transform::load(&reader, corpus))?;
            checksum.clone_from(&reader.file().checksum);
            let mut message = [model.documents, model.frobenius_squared.to_bits()].map(u64::to_le_bytes).concat();
            message.extend(model.singular_values.iter().flat_map(|value| value.to_le_bytes()));
            vectors = Some(model.left_vectors);
            Ok(message)
        })?;
        let numbers: Vec<[u8; 8]> = message.as_chunks().0.to_vec();
        let [documents, frobenius_squared, singular_values @ ..] = &numbers[..] else {
            return Err(Error::failed("damaged message: no model"));
        };
        let singular_values: Vec<f64> = singular_values.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect();
        let shares = RowShares::new(corpus.header().terms as usize, job.workers());
        let vectors = vectors.unwrap_or_else(|| Array2::zeros((0, singular_values.len())));
        let own = deal_out(job, &shares, vectors.view(), singular_values.len())?;
        Ok(Earlier {
            partial: Partial { vectors: Panel::of(own.view()), singular_values, chunks: 0 },
            documents: u64::from_le_bytes(*documents),
            frobenius_squared: f64::from_le_bytes(*frobenius_squared),
            checksum,
        })
    }

    /// Topics of the model.
    pub fn topics(&self) -> usize {
        self.partial.singular_values.len()
    }

    /// Checksum of its file; known on the dispatcher.
    pub fn checksum(&self) -> &str {
        &self.checksum
    }

    /// Documents it was made from.
    pub fn documents(&self) -> u64 {
        self.documents
    }
}

/// Trains a model in one pass, beginning with an earlier one where there is one. Collective. Each rank gets the model
/// with its own rows, as from [`train`](super::train::train).
///
/// The residuals need a second pass. Where it is not wanted, or the documents of the earlier model would be needed for
/// it, they are NaN, and the singular values are those of the merges.
pub fn train(job: &Job, corpus: &Corpus, plan: &OnePassPlan, earlier: Option<Earlier>) -> Result<(Training, LsiModel)> {
    let header = corpus.header();
    let updating = earlier.is_some();
    let sizes = corpus.sizes(job)?;
    let topics = earlier.as_ref().map_or(0, Earlier::topics);
    let forecast =
        || Ok(memory::one_pass(&sizes, plan, largest_chunk(corpus, plan)?, &plan_alone(plan, header)?, topics));
    let job = &job.within_memory("give more, use more ranks, or lower -k or --chunk-documents", forecast)?;
    let documents = header.documents + earlier.as_ref().map_or(0, |earlier| earlier.documents);
    let phase = job.account.enter_phase("one pass");
    let (mut total, frobenius_squared) = stream(job, corpus, plan, earlier)?;
    drop(phase);

    let mut rounds = 0;
    let Quality { vectors, singular_values, residuals } = if updating || !(plan.residuals || plan.polish > 0) {
        let topics = plan.topics.min(total.singular_values.len());
        let mut vectors = total.leading(topics);
        let signs = signs(job, &vectors, topics)?;
        vectors.rows_mut().into_iter().for_each(|mut row| row.iter_mut().zip(&signs).for_each(|(v, sign)| *v *= sign));
        total.singular_values.truncate(topics);
        Quality { vectors, singular_values: total.singular_values, residuals: vec![f64::NAN; topics] }
    } else {
        let phase = job.account.enter_phase("read again");
        let dataset = Dataset::new(job, Documents::of(corpus, Prepared::new))?;
        let operator = Operator::new(&dataset, header.terms as usize)?;
        drop(phase);
        let mut topics = plan.topics.min(total.singular_values.len());
        let vectors = if plan.polish > 0 {
            let _phase = job.account.enter_phase("polish");
            let block = total.singular_values.len();
            let krylov = LsiPlan {
                topics,
                tolerance: TOLERANCE,
                block,
                rounds: Some(plan.polish),
                capacity: (plan.polish + 1) * block,
                seed: plan.seed,
            };
            let polished = decompose(&operator, &krylov, job.works().then_some(total.vectors))?;
            (rounds, topics) = (polished.rounds, polished.topics);
            polished.vectors
        } else {
            total.leading(topics)
        };
        let _phase = job.account.enter_phase("verify");
        verify(&operator, vectors, topics)?
    };
    let residual = residuals.iter().copied().fold(f64::NAN, f64::max);
    let topics = singular_values.len();
    let model = LsiModel {
        left_vectors: vectors,
        singular_values,
        residuals,
        terms: if job.is_dispatcher() { job.account.io(|| corpus.reader()?.terms())? } else { Vec::new() },
        documents,
        values: header.values.name().to_owned(),
        frobenius_squared,
    };
    Ok((Training { topics, rounds, residual }, model))
}

/// The pass itself: all triplets that were kept, and the squared norm of all documents, weighted as they faded. The
/// dispatcher learns the singular values. Collective.
fn stream(job: &Job, corpus: &Corpus, plan: &OnePassPlan, earlier: Option<Earlier>) -> Result<(Partial, f64)> {
    let header = corpus.header();
    let chunks = header.documents.div_ceil(plan.chunk_documents);
    let workers = job.workers() as u64;
    let shares = RowShares::new(header.terms as usize, job.workers());
    let progress = job.is_dispatcher().then(|| job.progress.task("lsi", Unit::Documents, Some(header.documents)));
    let mut tree = Tree::new(plan.width, plan.decay);
    let mut norms = Vec::new();
    let faded = |number: u64| plan.decay.powi((chunks - 1 - number) as i32);
    // No chunk is needed twice.
    let job = &Job { memory: 0, ..*job };
    let mut keeper = Keeper::open(job, &shares, &mut tree, &mut norms)?;
    let mut first = keeper.as_ref().map_or(0, Keeper::chunks);
    while first < chunks {
        let wave =
            Wave { corpus, documents: plan.chunk_documents, first, end: chunks.min(first + workers), next: first };
        let end = wave.end;
        let dataset = Dataset::new(job, wave)?;
        let mut own = Vec::new();
        dataset.fold(|at, chunk: &Prepared| {
            let number = first + at;
            norms.push([number, (chunk.frobenius_squared() * faded(number).powi(2)).to_bits()]);
            own.push((number, alone(job, chunk, plan)?));
            job.account.count(|counters| counters.documents += chunk.documents() as u64);
            Ok(())
        })?;
        if job.works() {
            exchange(job, &shares, own, first..end)?.into_iter().try_for_each(|partial| tree.push(job, partial))?;
        }
        if let Some(progress) = &progress {
            let done = |chunks: u64| header.documents.min(chunks * plan.chunk_documents);
            progress.advance(done(end) - done(first), done(end) - done(first));
        }
        first = end;
        if let Some(keeper) = &mut keeper {
            keeper.after_wave(job, &shares, end, &tree, &norms)?;
        }
    }
    let mut frobenius_squared = sum_in_order(job, &norms)?;
    let mut total = if job.works() { tree.finish(job)? } else { None };
    if let Some(earlier) = earlier {
        frobenius_squared += earlier.frobenius_squared * plan.decay.powi(chunks as i32).powi(2);
        if let Some(new) = total.take() {
            total = Some(merge(job, earlier.partial, new, plan.width, plan.decay)?);
        }
    }
    let own: Vec<u8> = total.iter().flat_map(|total| &total.singular_values).flat_map(|s| s.to_le_bytes()).collect();
    let said = job.wait(job.comm.gather(Route::World, own))?;
    let total = match (total, said.last()) {
        (Some(total), _) => total,
        (None, Some(said)) => {
            let singular_values: Vec<f64> = bytemuck::pod_collect_to_vec(said);
            let vectors = Panel::zeros(0, singular_values.len());
            Partial { vectors, singular_values, chunks: chunks as u32 }
        }
        (None, None) => return Err(Error::failed("a worker without a decomposition")),
    };
    if total.singular_values.is_empty() {
        return Err(Error::failed("the corpus is empty: every document has no terms or no weight"));
    }
    Ok((total, frobenius_squared))
}

/// Nonzeros of the largest chunk.
fn largest_chunk(corpus: &Corpus, plan: &OnePassPlan) -> Result<u64> {
    let (mut largest, mut this) = (0, 0);
    for (document, nonzeros) in corpus.reader()?.document_lengths().enumerate() {
        this = if (document as u64).is_multiple_of(plan.chunk_documents) { nonzeros } else { this + nonzeros };
        largest = this.max(largest);
    }
    Ok(largest)
}

/// How the largest chunk is decomposed.
fn plan_alone(plan: &OnePassPlan, header: &CorpusHeader) -> Result<LsiPlan> {
    params_alone(plan, header.documents.min(plan.chunk_documents), header.terms)
}

/// How a chunk is decomposed by one rank.
fn params_alone(plan: &OnePassPlan, documents: u64, terms: u32) -> Result<LsiPlan> {
    let params = LsiParams {
        topics: plan.width.min(documents as usize).min(terms as usize),
        tolerance: TOLERANCE,
        block: Some(plan.block),
        rounds: Some(ROUNDS),
        basis: None,
        seed: plan.seed,
    };
    params.check(documents, terms)
}

/// Left vectors (rows x width) and singular values.
type Found = (Array2<f32>, Vec<f64>);

/// Left vectors (terms x at most `width`) and singular values of a chunk, found by this rank alone.
fn alone(job: &Job, chunk: &Prepared, plan: &OnePassPlan) -> Result<Found> {
    let terms = chunk.terms();
    if chunk.frobenius_squared() == 0.0 {
        return Ok((Array2::zeros((terms, 0)), Vec::new()));
    }
    let comm = Local::new();
    let job = Job { comm: &comm, progress: Progress::Quiet, checkpoint: None, ..*job };
    let chunk = Single { job: &job, chunk };
    let operator = Operator::new(&chunk, terms)?;
    let documents = chunk.chunk.documents();
    let found = decompose(&operator, &params_alone(plan, documents as u64, terms as u32)?, None)?;
    Ok((found.vectors, found.singular_values))
}

/// Spreads the rows of the partials that were made in a wave over all workers: each gets its rows of all of them, in the
/// order of their numbers. Collective over the workers.
fn exchange(
    job: &Job,
    shares: &RowShares,
    own: Vec<(u64, Found)>,
    numbers: std::ops::Range<u64>,
) -> Result<Vec<Partial>> {
    let comm = job.comm;
    let members = Route::Workers.members(comm.size());
    let me = comm.rank() - members.start;
    let mine: Vec<u8> = own.iter().flat_map(|(number, _)| number.to_le_bytes()).collect();
    let mut owners = vec![None; (numbers.end - numbers.start) as usize];
    for (member, theirs) in job.wait(comm.all_gather(Route::Workers, mine))?.iter().enumerate() {
        for number in theirs.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)) {
            *number
                .checked_sub(numbers.start)
                .and_then(|at| owners.get_mut(at as usize))
                .ok_or_else(|| Error::failed("a chunk that nobody was given"))? = Some(member);
        }
    }
    let part = |vectors: &Array2<f32>, member: usize| vectors.slice(ndarray::s![shares.of(member), ..]).to_owned();
    let mut own: VecDeque<_> = own.into();
    own.make_contiguous().sort_by_key(|(number, _)| *number);
    let mut sends = Vec::new();
    for (_, (vectors, values)) in &own {
        for member in (0..members.len()).filter(|&member| member != me) {
            let mut message = (values.len() as u64).to_le_bytes().to_vec();
            message.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            message.extend_from_slice(bytemuck::cast_slice(part(vectors, member).as_slice().unwrap_or_default()));
            sends.push(Started::new(comm.send(members.start + member, Tag::Rows, message)));
        }
    }
    let mut partials = Vec::new();
    for owner in owners {
        let owner = owner.ok_or_else(|| Error::failed("a chunk was lost"))?;
        let (vectors, singular_values) = if owner == me {
            let (_, (vectors, values)) = own.pop_front().ok_or_else(|| Error::failed("a chunk was lost"))?;
            (part(&vectors, me), values)
        } else {
            unpack(&job.wait(comm.receive(members.start + owner, Tag::Rows))?, shares.of(me).len())?
        };
        partials.push(Partial { vectors: Panel::of(vectors.view()), singular_values, chunks: 1 });
    }
    sends.into_iter().try_for_each(|send| job.finish(send))?;
    Ok(partials)
}

/// Reads a message of [`exchange`]: rows (rows x width) and singular values.
fn unpack(message: &[u8], rows: usize) -> Result<Found> {
    let damaged = || Error::failed("damaged message: no partial decomposition");
    let (width, rest) = message.split_first_chunk::<8>().ok_or_else(damaged)?;
    let width = usize::try_from(u64::from_le_bytes(*width)).map_err(|_| damaged())?;
    let (values, vectors) = rest.split_at_checked(width.checked_mul(8).ok_or_else(damaged)?).ok_or_else(damaged)?;
    let vectors =
        Array2::from_shape_vec((rows, width), bytemuck::pod_collect_to_vec(vectors)).map_err(|_| damaged())?;
    Ok((vectors, bytemuck::pod_collect_to_vec(values)))
}

/// Some consecutive chunks of a fixed number of documents.
struct Wave<'a> {
    corpus: &'a Corpus,
    /// Documents of a chunk; the last may have fewer.
    documents: u64,
    first: u64,
    end: u64,
    next: u64,
}

impl Wave<'_> {
    fn read(&self, number: u64) -> Result<CsrChunk> {
        let first = (self.first + number) * self.documents;
        let count = self.documents.min(self.corpus.header().documents - first);
        self.corpus.reader()?.read_documents(first, count)
    }
}

impl Source for Wave<'_> {
    type Item = Prepared;
    const KNOWN: bool = true;

    fn next(&mut self) -> Result<Option<Parcel>> {
        if self.next == self.end {
            return Ok(None);
        }
        self.next += 1;
        Ok(Some(Parcel { number: self.next - 1 - self.first, weight: 1, ..Parcel::default() }))
    }

    fn visible(&self) -> bool {
        self.corpus.reader().is_ok()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        Ok(Wave::read(self, parcel.number)?.encode())
    }

    fn open(&self, _: &Parcel, bytes: Vec<u8>) -> Result<Prepared> {
        Prepared::new(CsrChunk::decode(&bytes)?)
    }

    fn load(&self, parcel: &Parcel) -> Result<Prepared> {
        Prepared::new(Wave::read(self, parcel.number)?)
    }
}

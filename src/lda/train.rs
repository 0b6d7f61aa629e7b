//! Training by SCVB0, stochastic collapsed variational inference.
//!
//! Problem: documents x terms counts, spread over workers by chunks -> counts of terms in topics.
//! Algorithm, for each minibatch of each pass (minibatches are defined on the corpus: see [`minibatch`](super::minibatch)):
//!   1. the workers tell each other the terms of their parts, while they are still at the minibatch before;
//!   2. each infers its documents and the expected counts of its terms ([`estep`](super::estep));
//!   3. the expected counts are summed exactly ([`exchange`](super::exchange));
//!   4. each takes them into its copy of the state ([`counts`](super::counts)): the work is small and the same everywhere.
//!
//! Cost of a pass: (burn-in + 1) 8 K flops a nonzero; two exchanges a minibatch, see there.
//! Memory of a worker: the documents of its chunks, 8 bytes a nonzero, and for each minibatch as long as it lasts 20 bytes a
//! nonzero; the state, 4 K bytes a term, and at most as much again each for the terms of a minibatch and their counts.
//! Reference: Foulds, Boyles, DuBois, Smyth, Welling, KDD 2013.

use std::cell::RefCell;
use std::collections::VecDeque;

use super::completion::{self, Score, Topics};
use super::counts::Counts;
use super::estep::Estep;
use super::exchange;
use super::minibatch::{Batch, Held, Scratch, deal};
use super::model::History;
use super::params::{LARGEST_PRIOR, LdaPlan, SMALLEST_PRIOR};
use crate::comm::{Route, Started, Tag};
use crate::corpus::container::Values;
use crate::corpus::kinship::same_terms;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{Error, Result};
use crate::linalg::Aligned;
use crate::linalg::kernels::LANES;
use crate::report::progress::Unit;

/// What training found out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Training {
    /// Tokens of the corpus.
    pub tokens: u64,
    /// Passes made.
    pub passes: usize,
    /// Minibatches worked on.
    pub updates: u64,
    /// Perplexity of the held-out documents at the end, where there are any.
    pub perplexity: Option<f64>,
}

/// Held-out documents to judge the model by while it is trained.
pub struct HeldOut {
    chunks: Vec<Held>,
    tokens: u64,
}

/// Brings the documents of a corpus to the workers, who hold on to them. Collective. Returns the chunks of this rank and
/// the tokens of all.
pub fn hold(job: &Job, corpus: &Corpus) -> Result<(Vec<Held>, u64)> {
    if let Values::Weights(code) = &corpus.header().values {
        let path = corpus.path().display();
        return Err(Error::failed(format!(
            "{path}: holds {code} weights, and LDA is a model of counts; use the corpus they were made from"
        )));
    }
    let bytes = 8 * (corpus.header().nonzeros + corpus.header().documents) / job.workers() as u64;
    if bytes > job.memory {
        let path = corpus.path().display();
        let (needed, given) = (bytes.div_ceil(1 << 20), job.memory >> 20);
        return Err(Error::failed(format!(
            "{path}: each worker has to hold {needed} MiB of documents and may hold {given}: give more --memory, or more ranks on more hosts"
        )));
    }
    let dataset = Dataset::new(job, Documents::of(corpus, |chunk| Ok(Held(std::rc::Rc::new(chunk)))))?;
    let chunks = RefCell::new(Vec::new());
    dataset.fold(|_, held| {
        chunks.borrow_mut().push(held.clone());
        Ok(())
    })?;
    let mut chunks = chunks.into_inner();
    chunks.sort_by_key(|held: &Held| held.0.first_document);
    let tokens: f64 = chunks.iter().flat_map(|held| &held.0.data).map(|&count| f64::from(count)).sum();
    let tokens = job.wait(job.comm.sum(Route::World, vec![tokens as i64]))?[0] as u64;
    Ok((chunks, tokens))
}

impl HeldOut {
    /// Brings held-out documents to the workers. Collective.
    pub fn open(job: &Job, held_out: &Corpus, corpus: &Corpus) -> Result<HeldOut> {
        job.share(|| {
            same_terms(corpus.path(), &corpus.reader()?.terms()?, held_out.path(), &held_out.reader()?.terms()?)?;
            Ok(Vec::new())
        })?;
        let (chunks, tokens) = hold(job, held_out)?;
        Ok(HeldOut { chunks, tokens })
    }
}

/// A worker's word to the dispatcher after a minibatch.
struct Word {
    documents: u64,
    perplexity: f64,
    last: bool,
}

impl Word {
    fn encode(&self) -> Vec<u8> {
        [self.documents, self.perplexity.to_bits(), u64::from(self.last)].map(u64::to_le_bytes).concat()
    }

    fn decode(bytes: &[u8]) -> Result<Word> {
        match bytes.as_chunks::<8>() {
            ([documents, perplexity, last], []) => Ok(Word {
                documents: u64::from_le_bytes(*documents),
                perplexity: f64::from_bits(u64::from_le_bytes(*perplexity)),
                last: u64::from_le_bytes(*last) != 0,
            }),
            _ => Err(Error::failed("damaged message: word of a worker")),
        }
    }
}

/// When to look at the held-out documents, and when to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watch {
    /// Passes between two looks.
    pub every: usize,
    /// Stop when a look finds the perplexity lower by less than this share.
    pub stop_below: Option<f64>,
}

/// Trains, from a random state or going on from one. Collective. Workers get the state and the prior of the documents,
/// a dispatcher that does not work gets neither.
pub fn train(
    job: &Job,
    corpus: &Corpus,
    plan: &LdaPlan,
    before: History,
    start: Option<Counts>,
    held_out: Option<&HeldOut>,
    watch: Watch,
) -> Result<(Training, Option<Counts>, Vec<f64>)> {
    let phase = job.account.enter_phase("read");
    let (chunks, tokens) = hold(job, corpus)?;
    drop(phase);
    if tokens == 0 {
        let path = corpus.path().display();
        return Err(Error::failed(format!("{path}: no document has a term: there is nothing to learn")));
    }
    let _phase = job.account.enter_phase("train");
    if job.works() {
        let mut worker = Worker::new(job, corpus, plan, &chunks, before, tokens, start);
        let training = worker.run(held_out, watch)?;
        Ok((Training { tokens, ..training }, Some(worker.counts), worker.alpha))
    } else {
        let training = follow(job, corpus, plan)?;
        Ok((Training { tokens, ..training }, None, Vec::new()))
    }
}

/// The dispatcher's part: it tells how far the first of the workers is.
fn follow(job: &Job, corpus: &Corpus, plan: &LdaPlan) -> Result<Training> {
    let teller = Teller::new(job, corpus, plan);
    let mut training = Training::default();
    loop {
        let word = Word::decode(&job.wait(job.comm.receive(1, Tag::Progress))?)?;
        teller.tell(&mut training, &word);
        if word.last {
            return Ok(training);
        }
    }
}

/// Shows progress and keeps account of it.
struct Teller {
    task: crate::report::progress::Task,
    minibatches: u64,
}

impl Teller {
    fn new(job: &Job, corpus: &Corpus, plan: &LdaPlan) -> Teller {
        let documents = corpus.header().documents * plan.passes as u64;
        let task = job.progress.task("lda", Unit::Documents, Some(documents));
        Teller { task, minibatches: plan.minibatches as u64 }
    }

    fn tell(&self, training: &mut Training, word: &Word) {
        training.updates += 1;
        training.passes = training.updates.div_ceil(self.minibatches) as usize;
        self.task.advance(word.documents, word.documents);
        if !word.perplexity.is_nan() {
            training.perplexity = Some(word.perplexity);
            log::info!("pass {}: perplexity {:.1}", training.passes, word.perplexity);
        }
    }
}

struct Worker<'a, 'c> {
    job: &'a Job<'c>,
    plan: &'a LdaPlan,
    chunks: &'a [Held],
    /// Documents of the corpus.
    documents: u64,
    /// Tokens that the state stands for.
    tokens: u64,
    counts: Counts,
    alpha: Vec<f64>,
    /// Minibatches of earlier training.
    earlier: u64,
    estep: Estep,
    scratch: Scratch,
    phi: Aligned<f32>,
    teller: Option<Teller>,
    words: VecDeque<Started<'a, ()>>,
}

impl<'a, 'c> Worker<'a, 'c> {
    fn new(
        job: &'a Job<'c>,
        corpus: &Corpus,
        plan: &'a LdaPlan,
        chunks: &'a [Held],
        before: History,
        tokens: u64,
        start: Option<Counts>,
    ) -> Self {
        let terms = corpus.header().terms as usize;
        let tokens = before.tokens + tokens;
        let random = || Counts::random(terms, plan.topics, tokens as f64, plan.seed, job.pool);
        let counts = start.unwrap_or_else(random);
        Worker {
            job,
            plan,
            chunks,
            documents: corpus.header().documents,
            tokens,
            alpha: plan.alpha.clone(),
            earlier: before.updates,
            estep: Estep::new(counts.width(), plan.burn_in, plan.seed),
            scratch: Scratch::new(terms),
            phi: Aligned::zeros(0),
            teller: job.is_dispatcher().then(|| Teller::new(job, corpus, plan)),
            counts,
            words: VecDeque::new(),
        }
    }

    fn prior(&self) -> Vec<f32> {
        let mut prior = vec![0f32; self.alpha.len().next_multiple_of(LANES)];
        prior.iter_mut().zip(&self.alpha).for_each(|(prior, &alpha)| *prior = alpha as f32);
        prior
    }

    fn run(&mut self, held_out: Option<&HeldOut>, watch: Watch) -> Result<Training> {
        let (plan, job) = (self.plan, self.job);
        let width = self.counts.width();
        let terms = self.counts.terms();
        let mut training = Training::default();
        let all = plan.passes * plan.minibatches;
        let mut dealt = Vec::new();
        let mut prepare = |worker: &mut Self, step: usize| {
            let (pass, at) = (step / plan.minibatches, step % plan.minibatches);
            if at == 0 {
                dealt = deal(worker.chunks, plan.minibatches, plan.seed, pass as u64);
            }
            let places = std::mem::take(&mut dealt[at]);
            Batch::new(worker.chunks, places, plan.seed, pass as u64, &mut worker.scratch)
        };
        let mut next = job.account.compute(|| prepare(self, 0));
        let mut announced = Started::new(exchange::announce(job.comm, &next.terms, &next.tokens));
        let mut last_perplexity = f64::INFINITY;
        for step in 0..all {
            let parts = job.finish(announced)?;
            let layout = job.account.compute(|| exchange::together(&parts, terms, width))?;
            let batch = next;
            next = if step + 1 < all { job.account.compute(|| prepare(self, step + 1)) } else { Batch::default() };
            announced = Started::new(exchange::announce(job.comm, &next.terms, &next.tokens));
            let prior = self.prior();
            let own = job.account.compute(|| {
                self.counts.weights(&batch.terms, plan.eta, job.pool, &mut self.phi);
                self.estep.documents(&batch, &self.phi, &prior, plan.topics, job.pool);
                announced.test();
                self.estep.terms(&batch, &self.phi, &layout, width, job.pool)
            });
            let own = self.with_statistics(own, &batch, &prior);
            // One collective at a time on a route.
            let parts = job.finish(announced)?;
            announced = Started::new(Box::pin(async move { Ok(parts) }));
            let sums = exchange::sum(job, own)?;
            let (words, statistics) = sums.words().split_at(layout.words);
            let rate = plan.rate(self.earlier + step as u64);
            if layout.tokens > 0 {
                let grow = self.tokens as f64 / layout.tokens as f64;
                job.account.compute(|| self.counts.absorb(&layout, words, rate, grow, job.pool));
                // In the first minibatches topics are still all alike, which says nothing of the documents.
                if 2 * step >= plan.minibatches {
                    self.learn(statistics, rate);
                }
            }
            job.account.count(|counters| {
                counters.documents += batch.documents() as u64;
                counters.flops += (8 * (plan.burn_in + 1) * batch.nonzeros() * width) as u64;
                counters.rounds += 1;
            });
            let pass_done = (step + 1).is_multiple_of(plan.minibatches);
            let share = |step: usize| self.documents * step as u64 / plan.minibatches as u64;
            let mut word =
                Word { documents: share(step + 1) - share(step), perplexity: f64::NAN, last: step + 1 == all };
            if pass_done {
                job.account.count(|counters| counters.passes += 1);
                let pass = (step + 1) / plan.minibatches;
                if let Some(held_out) = held_out.filter(|_| pass.is_multiple_of(watch.every) || word.last) {
                    word.perplexity = self.look(held_out)?;
                    let gain = 1.0 - word.perplexity / last_perplexity;
                    last_perplexity = word.perplexity;
                    word.last |= watch.stop_below.is_some_and(|least| gain < least);
                }
            }
            self.say(&mut training, &word)?;
            if word.last {
                break;
            }
        }
        self.words.drain(..).try_for_each(|word| job.finish(word))?;
        Ok(training)
    }

    /// Puts what alpha is learned from behind the expected counts: for each topic the sum of psi(N + alpha) - psi(alpha)
    /// over the documents, and the same of their lengths.
    fn with_statistics(&self, mut words: Vec<i64>, batch: &Batch, prior: &[f32]) -> Vec<i64> {
        if self.plan.learn_alpha {
            let job = self.job;
            let sums =
                job.account.compute(|| self.estep.statistics(batch, &self.phi, prior, self.alpha.len(), job.pool));
            words.extend(sums);
        }
        words
    }

    /// A step of Minka's fixed point, "Estimating a Dirichlet distribution" (2000), equation 55, on the documents of one
    /// minibatch: alpha[k] x sum(psi(N[k] + alpha[k]) - psi(alpha[k])) / sum(psi(n + sum alpha) - psi(sum alpha)).
    fn learn(&mut self, statistics: &[i64], rate: f64) {
        let Some((&all, topics)) = statistics.split_last().filter(|(all, _)| **all > 0) else { return };
        let rate = rate.sqrt();
        for (alpha, &sum) in self.alpha.iter_mut().zip(topics) {
            let next = *alpha * sum as f64 / all as f64;
            *alpha = ((1.0 - rate) * *alpha + rate * next).clamp(SMALLEST_PRIOR, LARGEST_PRIOR);
        }
    }

    /// Perplexity of the held-out documents. Collective over the workers.
    fn look(&mut self, held_out: &HeldOut) -> Result<f64> {
        let job = self.job;
        let grid = completion::grid(held_out.tokens)?;
        let prior = self.prior();
        let score = job.account.compute(|| {
            let terms: Vec<u32> = (0..self.counts.terms() as u32).collect();
            self.counts.weights(&terms, self.plan.eta, job.pool, &mut self.phi);
            let topics = Topics { phi: &self.phi, prior: &prior, topics: self.plan.topics };
            held_out.chunks.iter().fold(Score::default(), |sum, held| {
                let score = completion::score(&topics, &held.0, grid, self.plan.seed, job.pool);
                Score { log_likelihood: sum.log_likelihood + score.log_likelihood, tokens: sum.tokens + score.tokens }
            })
        });
        let sums = job.wait(job.comm.sum(Route::Workers, vec![score.log_likelihood, score.tokens as i64]))?;
        let score = Score { log_likelihood: sums[0], tokens: sums[1] as u64 };
        Ok(completion::perplexity(score, grid).unwrap_or(f64::NAN))
    }

    /// Tells the dispatcher; the first of the workers does.
    fn say(&mut self, training: &mut Training, word: &Word) -> Result<()> {
        match &self.teller {
            Some(teller) => teller.tell(training, word),
            None if self.job.comm.rank() == 1 => {
                let send = Started::new(self.job.comm.send(0, Tag::Progress, word.encode()));
                self.words.push_back(send);
                while self.words.front_mut().is_some_and(Started::test) {
                    if let Some(sent) = self.words.pop_front() {
                        self.job.finish(sent)?;
                    }
                }
            }
            None => {}
        }
        Ok(())
    }
}

//! Training: SCVB0, stochastic collapsed variational inference, or variational Bayes, online and in batches.
//!
//! Problem: documents x terms counts, spread over workers by chunks -> counts of terms in topics.
//! Algorithm: SCVB0 begins with clusters of documents (see [`opening`](super::opening)). Then, for each step of each pass, where
//! a step has one minibatch or several, which are defined on the corpus (see [`minibatch`](super::minibatch)):
//!   1. the workers tell each other the terms of their parts, while they are still at the step before;
//!   2. each infers its documents and the expected counts of its terms ([`estep`](super::estep));
//!   3. the expected counts are summed exactly ([`exchange`](super::exchange)), with `--staleness` while the next steps are
//!      worked on;
//!   4. each takes them into its copy of the state ([`counts`](super::counts)): the work is small and the same everywhere.
//!
//! Cost of a pass: flops of the inference, see there; two exchanges a step.
//! Memory of a worker: see [`memory`](super::memory).
//! References: Foulds, Boyles, DuBois, Smyth, Welling, KDD 2013; Hoffman, Blei, Bach, NIPS 2010.

use std::collections::VecDeque;

use super::completion::Topics;
use super::counts::Counts;
use super::estep::Estep;
use super::exchange::{self, Grain, Layout};
use super::held::{HeldOut, hold};
use super::lane::{Lane, Reply};
use super::minibatch::{Batch, Held, Place, Scratch, deal, tally};
use super::model::{History, Trained};
use super::opening;
use super::params::{Eta, LdaPlan, Method};
use super::priors;
use super::progress::{Line, Training, Word};
use super::snapshot::{Keeper, Reached};
use crate::dispatch::{Corpus, Job};
use crate::error::{Error, Result};
use crate::linalg::Aligned;
use crate::linalg::kernels::LANES;

/// When to look at the held-out documents, and when to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watch {
    /// Passes between two looks.
    pub every: usize,
    /// Stop when a look finds the perplexity lower by less than this share.
    pub stop_below: Option<f64>,
}

/// Where training begins.
pub struct Start<'a> {
    /// Earlier training.
    pub before: History,
    /// The state it has left, on ranks that work.
    pub counts: Option<Counts>,
    /// Held-out documents to look at.
    pub held_out: Option<&'a HeldOut>,
    /// When.
    pub watch: Watch,
    /// Nothing is told of the passes.
    pub silent: bool,
}

/// Documents to learn from, spread over the workers.
pub struct Documents<'a> {
    /// Those of this rank, in their order.
    pub chunks: &'a [Held],
    /// Documents of all ranks.
    pub count: u64,
    /// Terms of the dictionary.
    pub terms: usize,
    /// Tokens of all ranks; there are some.
    pub tokens: u64,
}

/// Trains, from a random state or going on from one. Collective. Workers get the state and the priors, a dispatcher that
/// does not work gets neither.
///
/// # Errors
/// No document has a term; `Stopped` at a checkpoint.
pub fn train(job: &Job, corpus: &Corpus, plan: &LdaPlan, start: Start) -> Result<(Training, Trained)> {
    let phase = job.account.enter_phase("read");
    let (chunks, tokens) = hold(job, corpus)?;
    drop(phase);
    if tokens == 0 {
        let path = corpus.path().display();
        return Err(Error::failed(format!("{path}: no document has a term: there is nothing to learn")));
    }
    let _phase = job.account.enter_phase("train");
    let (count, terms) = (corpus.header().documents, corpus.header().terms as usize);
    train_on(job, &Documents { chunks: &chunks, count, terms, tokens }, plan, start)
}

/// [`train`] on documents that the workers hold already. Collective.
///
/// # Errors
/// `Stopped` at a checkpoint.
pub fn train_on(job: &Job, documents: &Documents, plan: &LdaPlan, start: Start) -> Result<(Training, Trained)> {
    let (mut keeper, reached) = Keeper::open(job, documents.terms, plan)?;
    let (before, tokens) = (start.before, documents.tokens);
    let done = reached.as_ref().map_or(0, |reached| reached.state.step as u64);
    // What is taken up from a checkpoint has begun already.
    let clusters = opening::clusters(plan, documents.terms, before).filter(|_| reached.is_none());
    if let Some(clusters) = clusters.filter(|_| job.is_dispatcher() && !start.silent) {
        log::info!("beginning with {clusters} clusters of documents for {} topics", plan.topics);
    }
    let mut line = Line::new(job, documents.count, plan, done, start.silent);
    let (counts, alpha, eta) = if job.works() {
        let mut start = start;
        if let Some(clusters) = clusters {
            start.counts = Some(opening::begin(job, documents, plan, clusters)?);
        }
        let mut worker = Worker::new(job, documents, plan, start, reached);
        worker.run(&mut line, keeper.as_mut())?;
        (Some(worker.counts), worker.alpha, worker.eta)
    } else {
        // It tells how far the first of the workers is, and keeps what that one has.
        while !line.hear()?.last {
            if let Some(keeper) = &mut keeper {
                keeper.after_step(job, None)?;
            }
        }
        (None, Vec::new(), Eta(Vec::new()))
    };
    let training = Training { tokens, ..line.training };
    let history = History {
        documents: before.documents + documents.count,
        tokens: before.tokens + tokens,
        updates: before.updates + training.updates,
    };
    Ok((training, Trained { counts, alpha, eta, history }))
}

/// A worker's part of a step.
struct Part {
    /// Documents of each minibatch.
    minibatches: VecDeque<Vec<Place>>,
    /// The first of them, if it is the only one.
    ready: Option<Batch>,
    /// Terms of all of them, ascending, and their tokens.
    terms: Vec<u32>,
    tokens: Vec<u64>,
}

/// A step whose sums have not been taken in.
pub(super) struct Open {
    /// Its number.
    pub step: usize,
    /// Where its expected counts lie.
    pub layout: Layout,
}

pub(super) struct Worker<'a> {
    job: &'a Job<'a>,
    plan: &'a LdaPlan,
    chunks: &'a [Held],
    held_out: Option<&'a HeldOut>,
    watch: Watch,
    /// Documents of the corpus.
    documents: u64,
    /// Tokens that the state stands for.
    tokens: u64,
    /// Steps that are taken to have been made before the first.
    lead: usize,
    /// Earlier training.
    before: History,
    pub(super) counts: Counts,
    pub(super) alpha: Vec<f64>,
    pub(super) eta: Eta,
    /// Perplexity at the last look.
    pub(super) last_perplexity: f64,
    /// The next step.
    pub(super) step: usize,
    estep: Estep,
    scratch: Scratch,
    phi: Aligned<f32>,
    dealt: Vec<Vec<Place>>,
    pub(super) lane: Lane<'a>,
    /// Steps on the lane, the oldest first.
    pub(super) open: VecDeque<Open>,
    /// What the topics of some terms were when the pass began.
    sample: Vec<f32>,
}

/// Terms whose topics tell how much has moved in a pass.
const SAMPLE: usize = 4096;

impl<'a> Worker<'a> {
    fn new(
        job: &'a Job<'a>,
        documents: &Documents<'a>,
        plan: &'a LdaPlan,
        start: Start<'a>,
        reached: Option<Reached>,
    ) -> Self {
        let &Documents { chunks, count, terms, tokens } = documents;
        let Start { before, counts, held_out, watch, silent: _ } = start;
        let tokens = before.tokens + tokens;
        let random = || match plan.method {
            Method::Scvb0 => Counts::uniform(terms, plan.topics, tokens as f64, plan.seed, job.pool),
            Method::Online | Method::Batch => Counts::even(terms, plan.topics, plan.seed, job.pool),
        };
        let mut worker = Worker {
            job,
            plan,
            chunks,
            held_out,
            watch,
            documents: count,
            tokens,
            lead: opening::lead(plan, terms, before),
            before,
            alpha: plan.alpha.clone(),
            eta: plan.eta.clone(),
            last_perplexity: f64::INFINITY,
            step: 0,
            estep: Estep::new(plan, count),
            scratch: Scratch::new(terms),
            phi: Aligned::zeros(0),
            dealt: Vec::new(),
            lane: Lane::default(),
            open: VecDeque::new(),
            sample: Vec::new(),
            counts: match reached {
                Some(_) => Counts::zeros(0, plan.topics),
                None => counts.unwrap_or_else(random),
            },
        };
        if let Some(reached) = reached {
            worker.go_on(reached);
        }
        worker
    }

    fn prior(&self) -> Vec<f32> {
        let mut prior = vec![0f32; self.alpha.len().next_multiple_of(LANES)];
        prior.iter_mut().zip(&self.alpha).for_each(|(prior, &alpha)| *prior = alpha as f32);
        prior
    }

    /// The part of a step; steps are prepared in their order.
    fn prepare(&mut self, step: usize) -> Part {
        let plan = self.plan;
        let (pass, at) = (step / plan.steps(), step % plan.steps());
        if at == 0 || self.dealt.is_empty() {
            self.dealt = deal(self.chunks, plan.minibatches, plan.seed, pass as u64);
        }
        let all = at * plan.update_every..plan.minibatches.min((at + 1) * plan.update_every);
        let mut minibatches: VecDeque<Vec<Place>> = self.dealt[all].iter_mut().map(std::mem::take).collect();
        if minibatches.len() == 1 {
            let places = minibatches.pop_front().unwrap_or_default();
            let batch = Batch::new(self.chunks, places, plan.seed, pass as u64, &mut self.scratch);
            let (terms, tokens) = (batch.terms.clone(), batch.tokens.clone());
            return Part { minibatches, ready: Some(batch), terms, tokens };
        }
        let (terms, tokens) = tally(self.chunks, minibatches.iter().flatten(), self.counts.terms());
        Part { minibatches, ready: None, terms, tokens }
    }

    /// Puts the terms of a part on the lane, if there is such a step.
    fn announce(&mut self, step: usize, parts: &mut VecDeque<Part>) {
        let (job, plan) = (self.job, self.plan);
        if step < plan.passes * plan.steps() {
            let part = job.account.compute(|| self.prepare(step));
            let terms = exchange::announce(job.comm, &part.terms, &part.tokens);
            self.lane.push(Box::pin(async move { Ok(Reply::Terms(terms.await?)) }));
            parts.push_back(part);
        }
    }

    fn run(&mut self, line: &mut Line, mut keeper: Option<&mut Keeper>) -> Result<()> {
        let (plan, job) = (self.plan, self.job);
        let (width, terms) = (self.counts.width(), self.counts.terms());
        let all = plan.passes * plan.steps();
        let grain = if plan.method == Method::Scvb0 { Grain::Coarse } else { Grain::Fine };
        let mut parts = VecDeque::new();
        for step in self.step..=self.step + plan.staleness {
            self.announce(step, &mut parts);
        }
        for step in self.step..all {
            let (at, pass) = (step % plan.steps(), step / plan.steps());
            if at == 0 {
                self.sample = self.counts.sample(SAMPLE);
            }
            let announced = self.lane.terms(job)?;
            let layout = job.account.compute(|| exchange::together(&announced, terms, width, grain))?;
            let part = parts.pop_front().ok_or_else(|| Error::failed("a step without documents; please report it"))?;
            self.announce(step + 1 + plan.staleness, &mut parts);
            let words = job.account.compute(|| self.infer(part, pass, &layout));
            let sums = exchange::sum(job.comm, words);
            self.lane.push(Box::pin(async move { Ok(Reply::Sums(sums.await?)) }));
            self.open.push_back(Open { step, layout });
            self.step = step + 1;
            let last = self.step == all;
            let behind = if last { 0 } else { plan.staleness };
            while self.open.len() > behind {
                self.take_in()?;
            }
            if at + 1 == plan.steps() && plan.learn_eta {
                job.account.compute(|| self.learn_eta());
            }
            let word = self.after_step(step)?;
            line.say(&word)?;
            if word.last {
                // What is still on its way is taken in: the state is the same as that of the last step.
                while !self.open.is_empty() {
                    self.take_in()?;
                }
                self.lane.settle(job)?;
                break;
            }
            if let Some(keeper) = &mut keeper {
                self.lane.settle(job)?;
                keeper.after_step(job, Some(self))?;
            }
        }
        line.close()
    }

    /// Infers a part; the words of the layout, and behind them what alpha is learned from.
    fn infer(&mut self, part: Part, pass: usize, layout: &Layout) -> Vec<i64> {
        let (plan, pool) = (self.plan, self.job.pool);
        let prior = self.prior();
        let mut words = vec![0i64; layout.words + if plan.learn_alpha { plan.topics + 1 } else { 0 }];
        let batches = part.ready.into_iter().map(Err).chain(part.minibatches.into_iter().map(Ok));
        for batch in batches {
            let batch = match batch {
                Err(ready) => ready,
                Ok(places) => Batch::new(self.chunks, places, plan.seed, pass as u64, &mut self.scratch),
            };
            match plan.method {
                Method::Scvb0 => self.counts.weights(&batch.terms, &self.eta, pool, &mut self.phi),
                Method::Online | Method::Batch => {
                    self.counts.variational_weights(&batch.terms, &self.eta, pool, &mut self.phi);
                }
            }
            let lane = &mut self.lane;
            self.estep.documents(&batch, &self.phi, &prior, pool, || lane.test());
            let (expected, statistics) = words.split_at_mut(layout.words);
            self.estep.terms(&batch, &self.phi, layout, expected, pool);
            self.lane.test();
            if plan.learn_alpha {
                let sums = self.estep.statistics(&batch, &self.phi, &prior, pool);
                statistics.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
            }
            self.job.account.count(|counters| {
                counters.documents += batch.documents() as u64;
                counters.flops += self.estep.flops(&batch);
            });
        }
        words
    }

    /// Takes the sums of the oldest open step into the state.
    fn take_in(&mut self) -> Result<()> {
        let (plan, job) = (self.plan, self.job);
        let Some(Open { step, layout }) = self.open.pop_front() else { return Ok(()) };
        let damaged = || Error::failed("damaged message: sums of a step");
        let sums = self.lane.sums(job)?.ok_or_else(damaged)?;
        let (words, statistics) = sums.words().split_at_checked(layout.words).ok_or_else(damaged)?;
        let rate = plan.rate(step + self.lead, self.before);
        if layout.tokens > 0 {
            let grow = self.tokens as f64 / layout.tokens as f64;
            job.account.compute(|| self.counts.absorb(&layout, words, rate, grow, job.pool));
            // In the first minibatches topics are still all alike, which says nothing of the documents.
            if 2 * step >= plan.steps() && plan.learn_alpha {
                self.learn_alpha(statistics, rate);
            }
        }
        job.account.count(|counters| counters.rounds += 1);
        Ok(())
    }

    fn learn_alpha(&mut self, statistics: &[i64], rate: f64) {
        if self.plan.method == Method::Scvb0 {
            return priors::fixed_point(&mut self.alpha, statistics, rate.sqrt());
        }
        let Some((&documents, logs)) = statistics.split_last().filter(|(documents, _)| **documents > 0) else { return };
        let documents = documents as f64;
        let mean: Vec<f64> = logs.iter().map(|&sum| self.estep.of_grid(sum) / documents).collect();
        priors::newton(&mut self.alpha, &mean, documents, rate);
    }

    fn learn_eta(&mut self) {
        let terms = self.counts.terms();
        let eta = self.eta.of(0);
        let occurrences = self.counts.occurrences(eta, self.job.pool);
        self.eta = Eta::symmetric(priors::eta(eta, occurrences, self.counts.totals(), terms));
    }

    /// What there is to say after a step. Collective over the workers.
    fn after_step(&mut self, step: usize) -> Result<Word> {
        let plan = self.plan;
        let steps = plan.steps() as u64;
        let share = |step: u64| self.documents * step / steps;
        let done = (step as u64) % steps + 1;
        let mut word = Word {
            documents: share(done) - share(done - 1),
            perplexity: f64::NAN,
            moved: f64::NAN,
            pass_done: done == steps,
            last: self.step == plan.passes * plan.steps(),
        };
        if word.pass_done {
            self.job.account.count(|counters| counters.passes += 1);
            word.moved = self.counts.moved_since(&self.sample, SAMPLE);
            let pass = self.step / plan.steps();
            let due = pass.is_multiple_of(self.watch.every) || word.last;
            if let Some(held_out) = self.held_out.filter(|_| due) {
                word.perplexity = self.look(held_out)?;
                let gain = 1.0 - word.perplexity / self.last_perplexity;
                self.last_perplexity = word.perplexity;
                word.last |= self.watch.stop_below.is_some_and(|least| gain < least);
            }
        }
        Ok(word)
    }

    /// Perplexity of the held-out documents. Collective over the workers.
    fn look(&mut self, held_out: &HeldOut) -> Result<f64> {
        let job = self.job;
        self.lane.settle(job)?;
        let prior = self.prior();
        job.account.compute(|| {
            let terms: Vec<u32> = (0..self.counts.terms() as u32).collect();
            self.counts.weights(&terms, &self.eta, job.pool, &mut self.phi);
        });
        let topics = Topics { phi: &self.phi, prior: &prior, topics: self.plan.topics };
        held_out.perplexity(job, &topics, self.plan.seed)
    }
}

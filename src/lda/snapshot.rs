//! The state of training in a checkpoint, and back.
//!
//! All workers have the same state; the first of them sends it to the dispatcher, in records of up to 64 MiB: the counts by
//! term without padding, the sums of steps that are not taken in yet (`--staleness`), and at last the small rest. Each
//! checkpoint replaces the one before.
//! Cost: 4 bytes a term and topic to the dispatcher and the disk for a checkpoint.

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::exchange::{Grain, Layout};
use super::params::{Eta, LdaPlan, Method};
use super::train::{Open, Worker};
use crate::comm::Tag;
use crate::dispatch::{Job, Stage};
use crate::error::{Error, Result};

/// Kinds of records.
const STATE: u32 = 0;
const COUNTS: u32 = 1;
const OPEN: u32 = 2;

/// Numbers of a record of counts.
const NUMBERS: usize = 1 << 24;

/// The small part of the state. Floats are kept as their bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// The next step.
    pub step: usize,
    scale: u64,
    totals: Vec<u64>,
    alpha: Vec<u64>,
    eta: Vec<u64>,
    last_perplexity: u64,
}

/// Where an earlier run had come to.
pub(super) struct Reached {
    pub state: State,
    /// Counts by term, on ranks that work.
    rows: Vec<f32>,
    /// Steps that are not taken in, with their sums.
    open: Vec<(Open, Vec<i64>)>,
}

/// Saves the state after steps.
pub(super) struct Keeper<'a> {
    stage: Stage<'a>,
    /// What a checkpoint takes, but for steps under way.
    bytes: u64,
}

fn damaged() -> Error {
    Error::failed("the checkpoint does not fit the job; remove its folder to start from the beginning")
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn floats(bits: &[u64]) -> Vec<f64> {
    bits.iter().map(|&bits| f64::from_bits(bits)).collect()
}

impl<'a> Keeper<'a> {
    /// Enters the stage, if checkpoints are made, and finds out where an earlier run had come to. Collective.
    pub fn open(job: &Job<'a>, terms: usize, plan: &LdaPlan) -> Result<(Option<Self>, Option<Reached>)> {
        let Some(stage) = Stage::enter(job) else { return Ok((None, None)) };
        let bytes = (size_of::<f32>() * terms * plan.topics) as u64;
        let records = if job.is_dispatcher() {
            let all = stage.records();
            let last = all.iter().rposition(|record| record.kind == STATE);
            last.map_or_else(Vec::new, |last| all[..=last].to_vec())
        } else {
            Vec::new()
        };
        let message = job.share(|| Ok(records.iter().map(|record| record.kind as u8).collect()))?;
        let (mut state, mut rows, mut open) = (None, Vec::new(), Vec::new());
        for (at, kind) in message.into_iter().enumerate() {
            let bytes = job.share(|| stage.read(&records[at]))?;
            match u32::from(kind) {
                COUNTS if job.works() => rows.extend(bytemuck::pod_collect_to_vec::<u8, f32>(&bytes)),
                COUNTS => {}
                OPEN => open.push(decode_open(&bytes, plan)?),
                _ => state = Some(serde_json::from_slice::<State>(&bytes).map_err(|_| damaged())?),
            }
        }
        let Some(state) = state else { return Ok((Some(Keeper { stage, bytes }), None)) };
        let fits = state.totals.len() == plan.topics && state.alpha.len() == plan.topics && !state.eta.is_empty();
        if !fits || state.step > plan.passes * plan.steps() || job.works() && rows.len() != terms * plan.topics {
            return Err(damaged());
        }
        log::info!("lda: going on after step {} of {}", state.step, plan.passes * plan.steps());
        Ok((Some(Keeper { stage, bytes }), Some(Reached { state, rows, open })))
    }

    /// Makes a checkpoint after a step if the dispatcher wants one. Collective; workers give themselves, with nothing under
    /// way on their lanes.
    pub fn after_step(&mut self, job: &Job, worker: Option<&Worker>) -> Result<()> {
        self.stage.save_if_due(job, self.bytes, || {
            if job.is_dispatcher() {
                self.stage.restart()?;
            }
            match worker {
                // Alone.
                Some(worker) if job.is_dispatcher() => {
                    worker.records(&mut |kind, bytes| self.stage.append(kind, bytes))?;
                }
                Some(worker) if job.comm.rank() == 1 => worker.records(&mut |kind, mut bytes| {
                    bytes.extend(kind.to_le_bytes());
                    job.wait(job.comm.send(0, Tag::Rows, bytes))
                })?,
                Some(_) => {}
                None => loop {
                    let mut bytes = job.wait(job.comm.receive(1, Tag::Rows))?;
                    let kind =
                        *bytes.last_chunk::<4>().ok_or_else(|| Error::failed("damaged message: a checkpoint"))?;
                    bytes.truncate(bytes.len() - 4);
                    let kind = u32::from_le_bytes(kind);
                    self.stage.append(kind, bytes)?;
                    if kind == STATE {
                        break;
                    }
                },
            }
            Ok(())
        })
    }
}

/// An open step: its number (u64), of how many terms (u64), the terms (u32 each) and their tokens (u64 each), the words.
fn encode_open(open: &Open, sums: &[i64]) -> Vec<u8> {
    let mut bytes = [open.step as u64, open.layout.rows.len() as u64].map(u64::to_le_bytes).concat();
    bytes.extend(open.layout.rows.iter().flat_map(|row| row.term.to_le_bytes()));
    bytes.extend(open.layout.rows.iter().flat_map(|row| row.tokens.to_le_bytes()));
    bytes.extend_from_slice(bytemuck::cast_slice(sums));
    bytes
}

fn decode_open(bytes: &[u8], plan: &LdaPlan) -> Result<(Open, Vec<i64>)> {
    let (step, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    let (count, rest) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
    let count = usize::try_from(u64::from_le_bytes(*count)).map_err(|_| damaged())?;
    let (terms, rest) = count.checked_mul(4).and_then(|bytes| rest.split_at_checked(bytes)).ok_or_else(damaged)?;
    let (tokens, rest) = count.checked_mul(8).and_then(|bytes| rest.split_at_checked(bytes)).ok_or_else(damaged)?;
    let terms = terms.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
    let tokens = tokens.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
    let grain = if plan.method == Method::Scvb0 { Grain::Coarse } else { Grain::Fine };
    let width = plan.topics.next_multiple_of(crate::linalg::kernels::LANES);
    let layout = Layout::new(terms.zip(tokens), width, grain);
    Ok((Open { step: u64::from_le_bytes(*step) as usize, layout }, bytemuck::pod_collect_to_vec(rest)))
}

impl Worker<'_> {
    /// The state, record by record.
    fn records(&self, sink: &mut dyn FnMut(u32, Vec<u8>) -> Result<()>) -> Result<()> {
        self.counts.rows(NUMBERS, &mut |rows| sink(COUNTS, bytemuck::cast_slice(rows).to_vec()))?;
        for (open, sums) in self.open.iter().zip(self.lane.waiting_sums()) {
            sink(OPEN, encode_open(open, sums))?;
        }
        let state = State {
            step: self.step,
            scale: self.counts.scale().to_bits(),
            totals: bits(self.counts.totals()),
            alpha: bits(&self.alpha),
            eta: bits(&self.eta.0),
            last_perplexity: self.last_perplexity.to_bits(),
        };
        sink(STATE, serde_json::to_vec(&state).map_err(|cause| Error::failed(format!("a checkpoint: {cause}")))?)
    }

    /// Takes up the state of an earlier run.
    pub(super) fn go_on(&mut self, reached: Reached) {
        let State { step, scale, totals, alpha, eta, last_perplexity } = reached.state;
        self.counts = Counts::restored(&reached.rows, f64::from_bits(scale), floats(&totals));
        self.step = step;
        self.alpha = floats(&alpha);
        self.eta = Eta(floats(&eta));
        self.last_perplexity = f64::from_bits(last_perplexity);
        for (open, sums) in reached.open {
            self.open.push_back(open);
            self.lane.put_back(sums);
        }
    }
}

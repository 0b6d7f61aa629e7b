//! The state of training in a checkpoint, and back: W and B as tall matrices, and the small rest. Each checkpoint replaces the
//! one before.
//! Cost: 8 bytes a term and topic to the dispatcher and the disk.

use ndarray::{Array2, Axis, s};
use serde::{Deserialize, Serialize};

use super::params::NmfPlan;
use super::train::Worker;
use crate::dispatch::{Job, Stage};
use crate::error::{Error, Result};
use crate::linalg::rows::RowShares;
use crate::lsi::snapshot::{Left, STATE, columns_at_a_time, damaged, from_first, save_columns};

/// The small part of the state. Floats are kept as their bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    step: usize,
    a: Vec<u64>,
}

/// Where an earlier run had come to; rows are those of this rank.
pub(super) struct Reached {
    /// The next step.
    pub step: usize,
    /// H H^T (k x k).
    pub a: Vec<f64>,
    /// Rows x k.
    pub w: Array2<f32>,
    /// Rows x k.
    pub b: Array2<f32>,
}

/// Saves the state after steps.
pub(super) struct Keeper<'a> {
    stage: Stage<'a>,
    bytes: u64,
    topics: usize,
}

impl<'a> Keeper<'a> {
    /// Enters the stage, if checkpoints are made, and finds out where an earlier run had come to. Collective.
    pub fn open(job: &Job<'a>, shares: &RowShares, plan: &NmfPlan) -> Result<(Option<Self>, Option<Reached>)> {
        let Some(stage) = Stage::enter(job) else { return Ok((None, None)) };
        let topics = plan.params.topics;
        let keeper = Keeper { stage, bytes: 8 * (shares.rows() * topics) as u64, topics };
        let Some(left) = Left::find(job, stage)? else { return Ok((Some(keeper), None)) };
        let State { step, a } = serde_json::from_slice(&left.state).map_err(|_| damaged())?;
        if left.columns() != 2 * topics || a.len() != topics * topics || step > plan.steps() {
            return Err(damaged());
        }
        let mut columns: Option<Array2<f32>> = None;
        left.deal_out(job, shares, |more| {
            match &mut columns {
                Some(columns) => columns.append(Axis(1), more).map_err(|_| damaged())?,
                None => columns = Some(more.to_owned()),
            }
            Ok(())
        })?;
        let columns = columns.ok_or_else(damaged)?;
        let part = |range: std::ops::Range<usize>| columns.slice(s![.., range]).as_standard_layout().into_owned();
        let (w, b) = (part(0..topics), part(topics..2 * topics));
        log::info!("nmf: going on after minibatch {step} of {}", plan.steps());
        Ok((Some(keeper), Some(Reached { step, a: a.into_iter().map(f64::from_bits).collect(), w, b })))
    }

    /// Makes a checkpoint after a step if the dispatcher wants one. Collective.
    pub fn after_step(&mut self, job: &Job, terms: usize, worker: Option<&Worker>) -> Result<()> {
        self.stage.save_if_due(job, self.bytes, || {
            if job.is_dispatcher() {
                self.stage.restart()?;
            }
            let own = match worker {
                Some(worker) => {
                    let a = worker.a.iter().map(|value| value.to_bits()).collect();
                    let state = serde_json::to_vec(&State { step: worker.step, a });
                    state.map_err(|cause| Error::failed(format!("a checkpoint: {cause}")))?
                }
                None => Vec::new(),
            };
            let state = from_first(job, own)?;
            let k = self.topics;
            for matrix in [0, 1] {
                for begin in (0..k).step_by(columns_at_a_time(terms)) {
                    let columns = begin..k.min(begin + columns_at_a_time(terms));
                    let own = match worker {
                        Some(worker) => {
                            let panel = if matrix == 0 { &worker.w } else { &worker.b };
                            worker.rows(panel).slice(s![.., columns]).to_owned()
                        }
                        None => Array2::zeros((0, columns.len())),
                    };
                    save_columns(job, &self.stage, terms, own.view())?;
                }
            }
            if job.is_dispatcher() {
                self.stage.append(STATE, state)?;
            }
            Ok(())
        })
    }
}

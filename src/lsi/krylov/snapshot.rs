//! The state of the iteration in a checkpoint, and back.
//!
//! Columns of the basis never change until it is compressed, and the block of one round is the end of the basis in the
//! next. So a checkpoint adds the columns that are new since the last one, block included, and the small state by which all
//! later decisions are made. After a compression a new journal begins.
//! Cost: 4 terms b bytes a round to the dispatcher and the disk for blocks of b columns, 8 c^2 bytes a checkpoint for a basis
//! of c columns.

use ndarray::{Array2, ArrayView2, s};
use serde::{Deserialize, Serialize};

use super::{Schedule, Worker};
use crate::dispatch::{Job, Stage};
use crate::error::{Error, Result};
use crate::linalg::kernels::LANES;
use crate::lsi::operator::Operator;
use crate::lsi::panel::{Basis, Panel};
use crate::lsi::params::LsiPlan;
use crate::lsi::snapshot::{Left, STATE, columns_at_a_time, damaged, from_first, save_columns};

/// The small part of the state but for H. Floats are kept as their bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
    /// Columns of the basis, and of the block behind them.
    columns: usize,
    used: usize,
    rounds: usize,
    products: usize,
    fresh: u64,
    recent: usize,
    restarts: u64,
    longest: u64,
    next_check: usize,
    last_check: Option<(usize, u64)>,
}

/// Saves the state after rounds.
pub(super) struct Keeper<'a> {
    stage: Stage<'a>,
    /// Columns in the journal.
    columns: usize,
    /// Compressions before the journal began.
    restarts: u64,
    /// Bytes of the columns that a round adds, and of those that are not in the journal: about.
    round_bytes: u64,
    bytes: u64,
}

/// Where an earlier run had come to: the state on a worker, and the rounds made.
pub(super) type Reached = (Option<Worker>, usize);

impl<'a> Keeper<'a> {
    /// Enters the stage, if checkpoints are made, and finds out where an earlier run had come to. Collective.
    pub fn open(job: &Job<'a>, operator: &Operator, plan: &LsiPlan) -> Result<(Option<Self>, Option<Reached>)> {
        let Some(stage) = Stage::enter(job) else { return Ok((None, None)) };
        let round_bytes = 4 * (operator.shares().rows() * plan.block) as u64;
        // The block at hand is saved with the columns before it.
        let mut keeper = Keeper { stage, columns: 0, restarts: 0, round_bytes, bytes: round_bytes };
        let Some(left) = Left::find(job, stage)? else { return Ok((Some(keeper), None)) };
        let (state, h) = decode(&left.state)?;
        let width = plan.block.next_multiple_of(LANES);
        let fits = state.columns <= plan.capacity && state.used <= plan.block && state.recent <= state.columns;
        if !fits || left.columns() != state.columns + state.used || h.len() != state.columns * state.columns {
            return Err(damaged());
        }
        let rows = operator.rows().len();
        let (mut basis, mut block) = (Basis::new(rows), Panel::zeros(rows, width));
        left.deal_out(job, operator.shares(), |columns| {
            let begin = keeper.columns;
            let old = columns.ncols().min(state.columns.saturating_sub(begin));
            basis.append(&Panel::of(columns.slice(s![.., ..old])), old);
            for column in old..columns.ncols() {
                block.set_column(begin + column - state.columns, columns.column(column).into_iter().copied());
            }
            keeper.columns += columns.ncols();
            Ok(())
        })?;
        keeper.restarts = state.restarts;
        let mut worker = Worker {
            basis,
            block,
            used: state.used,
            h: Array2::zeros((plan.capacity + width, plan.capacity + width)),
            // Found anew by the next check, before anybody asks for it.
            ritz: None,
            rounds: state.rounds,
            products: state.products,
            fresh: state.fresh,
            recent: state.recent,
            restarts: state.restarts,
            longest: f64::from_bits(state.longest),
            check: Schedule {
                next: state.next_check,
                seen: state.last_check.map(|(columns, residual)| (columns, f64::from_bits(residual))),
            },
        };
        let h = ArrayView2::from_shape((state.columns, state.columns), &h).map_err(|_| damaged())?;
        worker.h.slice_mut(s![..state.columns, ..state.columns]).assign(&h);
        log::info!("lsi: going on after round {}", state.rounds);
        Ok((Some(keeper), Some((job.works().then_some(worker), state.rounds))))
    }

    /// Makes a checkpoint after a round if the dispatcher wants one. Collective.
    pub fn after_round(&mut self, operator: &Operator, worker: Option<&Worker>) -> Result<()> {
        let job = operator.job();
        self.bytes += self.round_bytes;
        self.stage.save_if_due(job, self.bytes, || {
            let message = from_first(job, worker.map(Worker::state).transpose()?.unwrap_or_default())?;
            let (state, _) = decode(&message)?;
            if state.restarts != self.restarts {
                (self.restarts, self.columns) = (state.restarts, 0);
                if job.is_dispatcher() {
                    self.stage.restart()?;
                }
            }
            let (terms, end) = (operator.shares().rows(), state.columns + state.used);
            while self.columns < end {
                let columns = self.columns..end.min(self.columns + columns_at_a_time(terms));
                self.columns = columns.end;
                let own = match worker {
                    Some(worker) => worker.columns(columns),
                    None => Array2::zeros((0, columns.len())),
                };
                save_columns(job, &self.stage, terms, own.view())?;
            }
            self.bytes = 0;
            if job.is_dispatcher() {
                self.stage.append(STATE, message)?;
            }
            Ok(())
        })
    }
}

impl Worker {
    /// What later decisions rest on, but for the columns: length of the JSON (u64), JSON, H (columns x columns, f64).
    fn state(&self) -> Result<Vec<u8>> {
        // All fields by name: a new one has to find its place here.
        let Worker { basis, block: _, used, h, ritz: _, rounds, products, fresh, recent, restarts, longest, check } =
            self;
        let Schedule { next, seen } = check;
        let columns = basis.columns();
        let state = State {
            columns,
            used: *used,
            rounds: *rounds,
            products: *products,
            fresh: *fresh,
            recent: *recent,
            restarts: *restarts,
            longest: longest.to_bits(),
            next_check: *next,
            last_check: seen.map(|(columns, residual)| (columns, residual.to_bits())),
        };
        let json = serde_json::to_vec(&state).map_err(|cause| Error::failed(format!("a checkpoint: {cause}")))?;
        let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
        bytes.extend(json);
        bytes.extend(h.slice(s![..columns, ..columns]).iter().flat_map(|value| value.to_le_bytes()));
        Ok(bytes)
    }

    /// Rows here of some columns of the basis and the block behind it.
    fn columns(&self, columns: std::ops::Range<usize>) -> Array2<f32> {
        let old = self.basis.columns();
        let mut result = Array2::zeros((self.block.rows, columns.len()));
        let within = columns.start.min(old)..columns.end.min(old);
        let inside = within.len();
        self.basis.copy_columns(within, result.slice_mut(s![.., ..inside]));
        for (mut to, column) in result.columns_mut().into_iter().zip(columns).skip(inside) {
            to.iter_mut().zip(self.block.column(column - old)).for_each(|(to, value)| *to = value);
        }
        result
    }
}

/// Undoes [`Worker::state`].
fn decode(bytes: &[u8]) -> Result<(State, Vec<f64>)> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let (json, h) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let state: State = serde_json::from_slice(json).map_err(|_| damaged())?;
    let (h, rest) = h.as_chunks();
    let sensible =
        state.columns.checked_add(state.used).is_some() && state.columns.checked_mul(state.columns) == Some(h.len());
    if !rest.is_empty() || !sensible {
        return Err(damaged());
    }
    Ok((state, h.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()))
}

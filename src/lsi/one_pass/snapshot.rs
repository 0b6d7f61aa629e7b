//! The merge tree of one pass in a checkpoint, and back.
//!
//! After a wave the tree holds partial decompositions of runs of chunks, the same ones however many workers a wave has: a
//! checkpoint is all of them, the norms of the chunks, and the number of the next chunk. Each one begins a new journal.
//! Cost: 4 terms w bytes a waiting partial of width w, log2(chunks) of them at most.

use ndarray::{Array2, ArrayView2, Axis, s};
use serde::{Deserialize, Serialize};

use crate::comm::Route;
use crate::dispatch::{Job, Stage};
use crate::error::{Error, Result};
use crate::linalg::rows::RowShares;
use crate::lsi::panel::Panel;
use crate::lsi::partial::{Partial, Tree};
use crate::lsi::snapshot::{Left, STATE, columns_at_a_time, damaged, from_first, save_columns};

/// What a checkpoint holds beside vectors. Floats are kept as their bits.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Chunks gone through.
    chunks: u64,
    /// Number and squared norm of each.
    norms: Vec<[u64; 2]>,
    /// Height, chunks and singular values of each subtree.
    pending: Vec<(u32, u32, Vec<u64>)>,
}

/// Saves the tree after waves.
pub(super) struct Keeper<'a> {
    stage: Stage<'a>,
    chunks: u64,
}

impl<'a> Keeper<'a> {
    /// Enters the stage, if checkpoints are made, and fills the tree with what an earlier run has left. Collective.
    pub fn open(
        job: &Job<'a>,
        shares: &RowShares,
        tree: &mut Tree,
        norms: &mut Vec<[u64; 2]>,
    ) -> Result<Option<Keeper<'a>>> {
        let Some(stage) = Stage::enter(job) else { return Ok(None) };
        let Some(left) = Left::find(job, stage)? else { return Ok(Some(Keeper { stage, chunks: 0 })) };
        let state: State = serde_json::from_slice(&left.state).map_err(|_| damaged())?;
        if left.columns() != state.pending.iter().map(|(_, _, values)| values.len()).sum::<usize>() {
            return Err(damaged());
        }
        let mut columns = Vec::new();
        left.deal_out(job, shares, |own| {
            columns.extend(own.columns().into_iter().map(|column| column.to_owned()));
            Ok(())
        })?;
        let mut columns = columns.into_iter();
        for (height, chunks, values) in state.pending {
            let rows = if job.works() { shares_of(job, shares).len() } else { 0 };
            let mut vectors = Array2::zeros((rows, values.len()));
            vectors.axis_iter_mut(Axis(1)).zip(columns.by_ref()).for_each(|(mut to, column)| to.assign(&column));
            let singular_values = values.into_iter().map(f64::from_bits).collect();
            if job.works() {
                tree.pending.push((height, Partial { vectors: Panel::of(vectors.view()), singular_values, chunks }));
            }
        }
        // Whoever has them adds them up: once.
        if job.comm.rank() == Route::Workers.members(job.comm.size()).start {
            norms.extend(state.norms);
        }
        log::info!("lsi: going on after chunk {}", state.chunks);
        Ok(Some(Keeper { stage, chunks: state.chunks }))
    }

    /// Chunks that need not be gone through again.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Makes a checkpoint after a wave if the dispatcher wants one. Collective.
    pub fn after_wave(
        &mut self,
        job: &Job,
        shares: &RowShares,
        chunks: u64,
        tree: &Tree,
        norms: &[[u64; 2]],
    ) -> Result<()> {
        // The tree is a binary counter of chunks.
        let bytes = 4 * (shares.rows() * tree.width) as u64 * u64::from(chunks.count_ones());
        self.stage.save_if_due(job, bytes, || {
            let parts = job.wait(job.comm.gather(Route::World, bytemuck::cast_slice(norms).to_vec()))?;
            let mut norms: Vec<[u64; 2]> =
                parts.iter().flat_map(|part| bytemuck::pod_collect_to_vec::<u8, _>(part)).collect();
            norms.sort_unstable();
            let subtree = |(height, partial): &(u32, Partial)| {
                (*height, partial.chunks, partial.singular_values.iter().map(|value| value.to_bits()).collect())
            };
            let mut state = State { chunks, norms, pending: tree.pending.iter().map(subtree).collect() };
            // The dispatcher has no tree of its own: it gets the heights and values from a worker.
            let pending = from_first(job, encode(&state.pending)?)?;
            state.pending = serde_json::from_slice(&pending).map_err(|_| damaged())?;
            if job.is_dispatcher() {
                self.stage.restart()?;
            }
            for (at, (_, _, values)) in state.pending.iter().enumerate() {
                let partial = tree.pending.get(at).map(|(_, partial)| partial.leading(values.len()));
                let own = partial.unwrap_or_else(|| Array2::zeros((0, values.len())));
                save_in_pieces(job, &self.stage, shares.rows(), own.view())?;
            }
            if job.is_dispatcher() {
                self.stage.append(STATE, encode(&state)?)?;
            }
            Ok(())
        })
    }
}

/// Rows of this worker.
fn shares_of(job: &Job, shares: &RowShares) -> std::ops::Range<usize> {
    shares.of(job.comm.rank() - Route::Workers.members(job.comm.size()).start)
}

fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|cause| Error::failed(format!("a checkpoint: {cause}")))
}

fn save_in_pieces(job: &Job, stage: &Stage, rows: usize, own: ArrayView2<f32>) -> Result<()> {
    let step = columns_at_a_time(rows);
    for first in (0..own.ncols()).step_by(step) {
        let end = own.ncols().min(first + step);
        save_columns(job, stage, rows, own.slice(s![.., first..end]))?;
    }
    Ok(())
}

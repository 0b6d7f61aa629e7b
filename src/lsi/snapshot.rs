//! Tall matrices (terms x columns) as records of a checkpoint, and back to any number of workers.
//!
//! Rows come to the dispatcher block by block as they do when a model is written, and are dealt out again by the rows
//! each worker has now. A record holds as many columns as take about 64 MB, row by row in blocks of rows: its number of
//! columns (u64), then f32 as they lie in memory, so that every bit comes back.

use ndarray::{Array2, ArrayView2};

use crate::comm::Route;
use crate::dispatch::{Job, Stage};
use crate::error::{Error, Result};
use crate::linalg::rows::RowShares;

use super::spread::{collect_rows, deal_out};

/// Kind of the records that hold what a stage decides by; what it needs of columns stands before it.
pub(crate) const STATE: u32 = 0;
/// Kind of the records that hold columns.
pub(crate) const COLUMNS: u32 = 1;

/// Numbers of a record, unless one column has more.
const NUMBERS: usize = 1 << 24;

/// Columns of a record of so many rows.
pub(crate) fn columns_at_a_time(rows: usize) -> usize {
    (NUMBERS / rows.max(1)).clamp(1, 64)
}

/// Adds columns to the journal: `own` are the rows of this rank. Collective.
pub(crate) fn save_columns(job: &Job, stage: &Stage, rows: usize, own: ArrayView2<f32>) -> Result<()> {
    let mut bytes = (own.ncols() as u64).to_le_bytes().to_vec();
    collect_rows(job, rows, own, &mut |block| {
        let block = block.as_standard_layout();
        bytes.extend_from_slice(bytemuck::cast_slice(block.as_slice().unwrap_or_default()));
        Ok(())
    })?;
    if job.is_dispatcher() { stage.append(COLUMNS, bytes) } else { Ok(()) }
}

/// What all workers have the same: the dispatcher gets that of the first, the others keep their own. Collective.
pub(crate) fn from_first(job: &Job, own: Vec<u8>) -> Result<Vec<u8>> {
    let first = job.comm.rank() == Route::Workers.members(job.comm.size()).start;
    let said = job.wait(job.comm.gather(Route::World, if first { own.clone() } else { Vec::new() }))?;
    Ok(said.into_iter().find(|said| !said.is_empty()).unwrap_or(own))
}

/// What an earlier run has left of a stage: the latest state, on every rank, and columns still to be dealt out.
pub(crate) struct Left<'a> {
    stage: Stage<'a>,
    records: Vec<crate::dispatch::Record>,
    /// The state.
    pub state: Vec<u8>,
    /// Columns of each record.
    counts: Vec<usize>,
}

impl<'a> Left<'a> {
    /// Finds the latest state, if there is one. Collective.
    pub fn find(job: &Job, stage: Stage<'a>) -> Result<Option<Left<'a>>> {
        let mut records = Vec::new();
        let message = job.share(|| {
            let all = stage.records();
            let Some(last) = all.iter().rposition(|record| record.kind == STATE) else { return Ok(Vec::new()) };
            records = all[..last].iter().filter(|record| record.kind == COLUMNS).copied().collect();
            let mut message = (records.len() as u64).to_le_bytes().to_vec();
            for record in &records {
                message.extend_from_slice(stage.read(record)?.get(..8).ok_or_else(damaged)?);
            }
            message.extend(stage.read(&all[last])?);
            Ok(message)
        })?;
        if message.is_empty() {
            return Ok(None);
        }
        let (count, rest) = message.split_first_chunk::<8>().ok_or_else(damaged)?;
        let bytes = usize::try_from(u64::from_le_bytes(*count)).ok().and_then(|count| count.checked_mul(8));
        let (counts, state) = rest.split_at_checked(bytes.ok_or_else(damaged)?).ok_or_else(damaged)?;
        let counts = counts.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes) as usize).collect();
        Ok(Some(Left { stage, records, state: state.to_vec(), counts }))
    }

    /// Columns in all.
    pub fn columns(&self) -> usize {
        self.counts.iter().fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// Gives `take` this rank's rows of the columns, record by record. Collective.
    pub fn deal_out(
        &self,
        job: &Job,
        shares: &RowShares,
        mut take: impl FnMut(ArrayView2<f32>) -> Result<()>,
    ) -> Result<()> {
        for (at, &count) in self.counts.iter().enumerate() {
            let matrix = match self.records.get(at) {
                Some(record) => {
                    let bytes = self.stage.read(record)?;
                    let values: Vec<f32> = bytemuck::pod_collect_to_vec(bytes.get(8..).ok_or_else(damaged)?);
                    Array2::from_shape_vec((shares.rows(), count), values).map_err(|_| damaged())?
                }
                None => Array2::zeros((0, count)),
            };
            take(deal_out(job, shares, matrix.view(), count)?.view())?;
        }
        Ok(())
    }
}

/// What is said of a checkpoint that was proved and makes no sense all the same.
pub(crate) fn damaged() -> Error {
    Error::failed("the checkpoint does not fit the job; remove its folder to start from the beginning")
}

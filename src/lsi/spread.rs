//! Tall matrices whose rows are spread over the workers, on their way from and to the dispatcher.
//!
//! To be written they travel in fixed blocks of rows, the next on its way while one is written: no rank ever holds all of
//! them, and the dispatcher is done shortly after the last has arrived.

use std::collections::VecDeque;

use ndarray::{Array2, ArrayView2, Axis, s};

use crate::comm::{Route, Started, Tag};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::linalg::Aligned;
use crate::linalg::rows::{self, RowShares};

/// Blocks a worker has on their way at a time.
const AHEAD: usize = 2;

/// Gives each worker its rows of the dispatcher's matrix (rows x columns), as `shares` deals them out; those who do not
/// work get none. Collective; only the dispatcher's `matrix` counts, the others pass one without rows.
pub fn deal_out(job: &Job, shares: &RowShares, matrix: ArrayView2<f32>, columns: usize) -> Result<Array2<f32>> {
    let workers = Route::Workers.members(job.comm.size());
    let rows = |rank: usize| if workers.contains(&rank) { shares.of(rank - workers.start) } else { 0..0 };
    let part = |rank: usize| matrix.slice(s![rows(rank), ..]).iter().flat_map(|value| value.to_le_bytes()).collect();
    let parts = if job.is_dispatcher() { (0..job.comm.size()).map(part).collect() } else { Vec::new() };
    let own: Vec<f32> = bytemuck::pod_collect_to_vec(&job.wait(job.comm.scatter(Route::World, parts))?);
    Array2::from_shape_vec((rows(job.comm.rank()).len(), columns), own)
        .map_err(|cause| Error::failed(format!("rows of a matrix do not add up: {cause}")))
}

/// Gives the dispatcher's `sink` all rows (rows x columns), block by block in their order. `own` are those of this rank, as
/// [`RowShares`] deals them out. Collective; only the dispatcher's `rows` and `sink` count.
pub fn collect_rows(
    job: &Job,
    rows: usize,
    own: ArrayView2<f32>,
    sink: &mut dyn FnMut(ArrayView2<f32>) -> Result<()>,
) -> Result<()> {
    if !job.distributed() {
        return own.axis_chunks_iter(Axis(0), rows::BLOCK).try_for_each(sink);
    }
    let comm = job.comm;
    if !job.is_dispatcher() {
        let mut sends: VecDeque<Started<'_, ()>> = VecDeque::new();
        for block in own.axis_chunks_iter(Axis(0), rows::BLOCK) {
            if sends.len() == AHEAD
                && let Some(send) = sends.pop_front()
            {
                job.finish(send)?;
            }
            let block = block.as_standard_layout();
            let bytes: &[u8] = bytemuck::cast_slice(block.as_slice().unwrap_or_default());
            sends.push_back(Started::new(comm.send(0, Tag::Rows, bytes.to_vec())));
        }
        return sends.into_iter().try_for_each(|send| job.finish(send));
    }
    let (shares, columns) = (RowShares::new(rows, job.workers()), own.ncols());
    let members = Route::Workers.members(comm.size());
    let mut blocks = members
        .clone()
        .flat_map(|rank| rows::blocks(shares.of(rank - members.start).len()).map(move |block| (rank, block.len())));
    let receive = |(rank, length)| (length, Started::new(comm.receive(rank, Tag::Rows)));
    let mut next = blocks.next().map(receive);
    while let Some((length, block)) = next {
        let bytes = job.finish(block)?;
        next = blocks.next().map(receive);
        let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes);
        let block = ArrayView2::from_shape((length, columns), &values)
            .map_err(|cause| Error::failed(format!("damaged message: rows of a matrix do not add up: {cause}")))?;
        sink(block)?;
    }
    Ok(())
}

/// Brings the rows (rows x width) of all workers together, in order. Collective over the workers.
pub fn gather_rows(
    job: &Job,
    shares: &RowShares,
    own: &mut Aligned<f32>,
    all: &mut Aligned<f32>,
    width: usize,
) -> Result<()> {
    let counts = counts(shares, width);
    exchanged(job, size_of_val(&own[..]) * (counts.len() - 1));
    let buffers = (std::mem::take(own), std::mem::take(all));
    (*own, *all) = job.wait(job.comm.all_gather_stretches(Route::Workers, buffers.0, buffers.1, counts))?;
    Ok(())
}

/// Adds up the sums (rows x width) of all workers; each keeps its rows. Collective over the workers.
pub fn sum_rows(job: &Job, shares: &RowShares, sums: &mut Vec<i64>, width: usize) -> Result<()> {
    let all = size_of_val(&sums[..]);
    *sums = job.wait(job.comm.sum_scatter(Route::Workers, std::mem::take(sums), counts(shares, width)))?;
    exchanged(job, all - size_of_val(&sums[..]));
    Ok(())
}

/// Books bytes that were handed to other workers.
fn exchanged(job: &Job, bytes: usize) {
    job.account.count(|counters| counters.exchanged_bytes += bytes as u64);
}

/// How many numbers each worker has of a matrix of this width that is spread by rows.
fn counts(shares: &RowShares, width: usize) -> Vec<usize> {
    shares.counts().into_iter().map(|rows| rows * width).collect()
}

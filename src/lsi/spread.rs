//! Tall matrices whose rows are spread over the workers, on their way to the dispatcher.
//!
//! They travel in fixed blocks of rows, the next on its way while one is written: no rank ever holds all of them, and the
//! dispatcher is done shortly after the last has arrived.

use std::collections::VecDeque;

use ndarray::{ArrayView2, Axis};

use crate::comm::{Route, Started, Tag};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::linalg::rows::{self, RowShares};

/// Blocks a worker has on their way at a time.
const AHEAD: usize = 2;

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

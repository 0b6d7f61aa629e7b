//! What becomes of a job that has lost workers.
//!
//! Whatever was under way ends with [`Error::Lost`](crate::error::Error::Lost), which every step passes on to the place
//! that can make it good. At the latest that is the command as a whole: since its bytes do not depend on the ranks it
//! is simply run again by those that live.

use crate::comm::{Comm, Route, wait};
use crate::error::Result;

/// Says who was lost since the `known` first losses, and that the job goes on.
pub fn tell_losses(comm: &dyn Comm, known: &mut usize) {
    let lost = comm.lost();
    let workers = Route::Workers.members(comm.size()).len();
    for (before, loss) in lost.iter().enumerate().skip(*known) {
        let left = match workers + lost.len() - 1 - before {
            _ if comm.size() == 1 => "the dispatcher alone".to_owned(),
            1 => "1 worker".to_owned(),
            left => format!("{left} workers"),
        };
        let host = comm.host_of(loss.rank);
        log::warn!("worker {} on {host} was lost ({}); going on with {left}", loss.rank, loss.cause.words());
    }
    *known = lost.len();
}

/// Answers the order to mend a pass on a rank that has left it already: the dispatcher then starts over.
pub fn refuse_to_mend(comm: &dyn Comm) -> Result<()> {
    wait(comm.gather(Route::World, Vec::new())).map(drop)
}

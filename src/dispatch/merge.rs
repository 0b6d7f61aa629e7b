//! Sums of what is no vector: partials with a merge of their own, brought together in a binomial tree.

use super::Job;
use crate::comm::{Route, Tag};
use crate::error::Result;

/// A partial result that can be joined with another. Joining must be associative and commutative, so that the total
/// has the same bits for any number of workers.
pub trait Mergeable: Sized {
    /// Joins another partial into this one.
    fn merge(&mut self, other: Self) -> Result<()>;
    /// As bytes, to travel.
    fn encode(&self) -> Vec<u8>;
    /// Undoes [`encode`](Self::encode); refuses damaged bytes.
    fn decode(bytes: &[u8]) -> Result<Self>;
}

/// Joins the partials of all workers: ceil(log2 workers) rounds and one message to the dispatcher, which gets the
/// total. The others keep nothing. Collective.
pub fn merge<M: Mergeable>(job: &Job, mine: M) -> Result<Option<M>> {
    if !job.distributed() {
        return Ok(Some(mine));
    }
    let members = Route::Workers.members(job.comm.size());
    let first = members.start;
    if job.is_dispatcher() {
        return Ok(Some(M::decode(&job.wait(job.comm.receive(first, Tag::Merge))?)?));
    }
    let member = job.comm.rank() - first;
    let mut total = mine;
    let mut step = 1;
    while step < members.len() {
        if member & step != 0 {
            job.wait(job.comm.send(first + member - step, Tag::Merge, total.encode()))?;
            return Ok(None);
        }
        if member + step < members.len() {
            let other = M::decode(&job.wait(job.comm.receive(first + member + step, Tag::Merge))?)?;
            job.account.compute(|| total.merge(other))?;
        }
        step *= 2;
    }
    job.wait(job.comm.send(0, Tag::Merge, total.encode()))?;
    Ok(None)
}

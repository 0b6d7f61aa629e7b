//! Reading ahead: while a chunk is worked on, the next one that this rank reads itself is read by another thread.
//!
//! A pass over a corpus that is larger than the memory of all ranks, and the first pass over any, waits for the file system and
//! makes every chunk ready before it can be multiplied with. Where a core is free ([`Job::reads_ahead`](super::Job::reads_ahead))
//! that costs nothing then but room for one more chunk. It is taken from the memory in which chunks are kept: with none to
//! spare, a chunk is read when its turn comes. Chunks come in the same order and are the same: no byte of a result knows of it.

use std::thread::{Builder, ScopedJoinHandle, scope};

use super::dataset::{Dataset, Source};
use super::message::{Assignment, Delivery};
use crate::error::{Error, Result};

impl<S: Source> Dataset<'_, '_, S> {
    /// Gives `work` the chunk of each assignment, with its number and whether it is newly kept.
    pub(super) fn each_of(
        &self,
        assignments: Vec<Assignment>,
        mut work: impl FnMut(u64, &S::Item, bool) -> Result<()>,
    ) -> Result<()> {
        let source = self.source.borrow();
        let reader = source.reader();
        scope(|scope| {
            let mut coming: Option<ScopedJoinHandle<'_, Result<S::Item>>> = None;
            let mut assignments = assignments.into_iter().peekable();
            while let Some(assignment) = assignments.next() {
                let parcel = &assignment.parcel;
                let number = parcel.number;
                let (item, newly) = match coming.take() {
                    // A panic has been told by the hook.
                    Some(thread) => {
                        let item = self.job.account.io(|| thread.join().map_err(|_| Error::Aborted))??;
                        self.admit(parcel, item)
                    }
                    None => self.obtain(assignment)?,
                };
                if let (Some(read), Some(next)) = (&reader, assignments.peek())
                    && matches!(next.delivery, Delivery::Read)
                    && self.may_read_ahead(&next.parcel)
                {
                    let parcel = next.parcel.clone();
                    // Where there is no thread to be had, it is read when its turn comes.
                    coming = Builder::new().name("read".into()).spawn_scoped(scope, move || read(&parcel)).ok();
                }
                work(number, &item, newly)?;
            }
            Ok(())
        })
    }
}

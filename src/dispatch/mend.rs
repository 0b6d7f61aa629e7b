//! What becomes of a job that has lost workers.
//!
//! Whatever was under way ends with [`Error::Lost`], which every step passes on to the place that can make it good. A pass
//! over the corpus may be such a place ([`fold`](super::Dataset::fold), [`map`](super::Dataset::map)). At the latest it is
//! [`endure`]: since the bytes of a result do not depend on the ranks, the command is run again by those that live.

use crate::comm::{Comm, Order, Route, wait};
use crate::error::{Error, Result};

/// Runs a program on every rank until it is done, whoever dies meanwhile. `run` comes to the outcome; `report` is what
/// all do together afterwards, with their own outcome or, on workers that did not come to one before the dispatcher did,
/// without: a loss does not undo what is done. Collective.
pub fn endure<T>(
    comm: &dyn Comm,
    mut run: impl FnMut() -> Result<T>,
    mut report: impl FnMut(Option<&T>) -> Result<()>,
) -> Result<()> {
    if comm.rank() != 0 {
        return follow(comm, run, report);
    }
    let outcome = loop {
        match run() {
            Err(Error::Lost) => comm.regroup(Order::Again)?,
            outcome => break outcome?,
        }
    };
    loop {
        match report(Some(&outcome)) {
            Err(Error::Lost) => comm.regroup(Order::Report)?,
            done => break done?,
        }
    }
    comm.regroup(Order::Leave)
}

/// A worker runs the program, and whatever the dispatcher wants next.
fn follow<T>(
    comm: &dyn Comm,
    mut run: impl FnMut() -> Result<T>,
    mut report: impl FnMut(Option<&T>) -> Result<()>,
) -> Result<()> {
    let mut order = Order::Again;
    loop {
        let step = match order {
            Order::Again => run().and_then(|outcome| report(Some(&outcome))),
            Order::Report => report(None),
            Order::Mend => refuse_to_mend(comm),
            Order::Leave => return Ok(()),
        };
        if !matches!(step, Ok(()) | Err(Error::Lost)) {
            return step;
        }
        order = comm.next_order()?;
    }
}

/// Dispatcher: the living go on where they are. They are numbered anew, and what each of them says to [`rejoin`] comes
/// back, in the order of ranks. Ends with [`Error::Lost`] when one of them is elsewhere, or none is left.
pub(super) fn mend(comm: &dyn Comm) -> Result<Vec<Vec<u8>>> {
    loop {
        comm.regroup(Order::Mend)?;
        if comm.size() == 1 {
            // A dispatcher that has become the worker, too, has prepared for something else.
            return Err(Error::Lost);
        }
        match wait(comm.gather(Route::World, Vec::new())) {
            Ok(said) if said[1..].iter().any(Vec::is_empty) => return Err(Error::Lost),
            Err(Error::Lost) => {}
            said => return said,
        }
    }
}

/// Worker: goes on where it is after a loss, if that is what the dispatcher wants, and says something, not nothing.
pub(super) fn rejoin(comm: &dyn Comm, say: &[u8]) -> Result<()> {
    while comm.peek_order()? == Order::Mend {
        comm.next_order()?;
        match wait(comm.gather(Route::World, say.to_vec())) {
            Err(Error::Lost) => {}
            said => return said.map(drop),
        }
    }
    Err(Error::Lost)
}

/// Answers the order to go on on a rank that is elsewhere: the dispatcher then starts over.
fn refuse_to_mend(comm: &dyn Comm) -> Result<()> {
    wait(comm.gather(Route::World, Vec::new())).map(drop)
}

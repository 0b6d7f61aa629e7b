//! What every distributed step needs to know about the job it runs in.

use std::cell::Cell;
use std::time::Instant;

use crate::comm::{self, Comm, Pending, Route};
use crate::error::Result;

/// The running job, as one rank sees it.
pub struct Job<'a> {
    /// The ranks.
    pub comm: &'a dyn Comm,
    /// Threads of this rank.
    pub pool: &'a rayon::ThreadPool,
    /// Bytes of the corpus this rank may keep in memory between passes.
    pub memory: u64,
    /// Send the corpus to the workers even where they could read the file themselves.
    pub scatter: bool,
    /// What this rank has done so far.
    pub meter: Meter,
}

/// Running counts of the work of one rank, for the accounting table.
#[derive(Debug, Default)]
pub struct Meter {
    /// Seconds spent computing.
    pub compute: Cell<f64>,
    /// Seconds spent reading and writing files.
    pub io: Cell<f64>,
    /// Times the corpus was gone through.
    pub passes: Cell<u64>,
    /// Scatter rounds.
    pub rounds: Cell<u64>,
    /// Chunks worked on.
    pub chunks: Cell<u64>,
    /// Products of the matrix or its transpose with one vector (each counts).
    pub products: Cell<u64>,
    /// Floating-point operations of the sparse products.
    pub flops: Cell<u64>,
}

impl Meter {
    /// Runs a step and books its time as computing.
    pub fn computing<T>(&self, step: impl FnOnce() -> T) -> T {
        book(&self.compute, step)
    }

    /// Runs a step and books its time as reading or writing files.
    pub fn reading<T>(&self, step: impl FnOnce() -> T) -> T {
        book(&self.io, step)
    }
}

fn book<T>(seconds: &Cell<f64>, step: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = step();
    seconds.set(seconds.get() + begin.elapsed().as_secs_f64());
    result
}

/// Adds to one of the counts.
pub(crate) fn count(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl Job<'_> {
    /// True on the rank that dispatches, prints and writes.
    pub fn is_dispatcher(&self) -> bool {
        self.comm.rank() == 0
    }

    /// True on the ranks that compute: all but the dispatcher, unless it is alone.
    pub fn works(&self) -> bool {
        Route::Workers.members(self.comm.size()).contains(&self.comm.rank())
    }

    /// Number of ranks that compute.
    pub fn workers(&self) -> usize {
        Route::Workers.members(self.comm.size()).len()
    }

    /// True when the dispatcher has workers to dispatch to.
    pub fn distributed(&self) -> bool {
        self.comm.size() > 1
    }

    /// Waits for an operation.
    pub fn wait<T>(&self, pending: Pending<'_, T>) -> Result<T> {
        comm::wait(self.comm.traffic(), pending)
    }

    /// Gives every rank what the dispatcher has: `make` runs there only.
    pub fn share(&self, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let data = if self.is_dispatcher() { make()? } else { Vec::new() };
        self.wait(self.comm.broadcast(Route::World, data))
    }
}

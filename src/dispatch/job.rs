//! What every distributed step needs to know about the job it runs in.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::checkpoint::Checkpoint;
use super::fold::round_bytes;
use crate::comm::{Comm, Pending, Route, Started};
use crate::error::{At, Result};
use crate::report::account::Account;
use crate::report::progress::Progress;
use crate::store::atomic::{Target, remember_orphan, remove_with_unfinished};

/// The running job, as one rank sees it.
pub struct Job<'a> {
    /// The ranks.
    pub comm: &'a dyn Comm,
    /// Threads of this rank.
    pub pool: &'a rayon::ThreadPool,
    /// Bytes this rank may take beside what the program itself takes: see [`memory`](super::memory). After
    /// [`within_memory`](Job::within_memory), bytes of the corpus that it may keep between passes.
    pub memory: u64,
    /// Bytes of chunks that a worker gets in one round of a pass: see [`round_bytes`](super::round_bytes).
    pub round_bytes: u64,
    /// The memory was given by the user: what cannot be done within it is refused.
    pub strict: bool,
    /// Send the corpus to the workers even where they could read the file themselves.
    pub scatter: bool,
    /// A core is free to read the next chunk while this rank works on one.
    pub reads_ahead: bool,
    /// What this rank has done so far.
    pub account: &'a Account,
    /// What people see of it while it runs.
    pub progress: Progress,
    /// Where it saves what it has worked out, if it does.
    pub checkpoint: Option<&'a Checkpoint>,
}

impl<'a> Job<'a> {
    /// A job that says nothing, makes no checkpoints and may take 1 GiB: for programs that are not the command line.
    pub fn quiet(comm: &'a dyn Comm, pool: &'a rayon::ThreadPool, account: &'a Account) -> Job<'a> {
        let memory = 1 << 30;
        let round_bytes = round_bytes(memory, comm.size().saturating_sub(1) as u64);
        Job {
            comm,
            pool,
            memory,
            round_bytes,
            strict: false,
            scatter: false,
            reads_ahead: true,
            account,
            progress: Progress::Quiet,
            checkpoint: None,
        }
    }
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

    /// Makes sure on the dispatcher that a file can be written; the others learn which temporary file to remove should
    /// they be the ones to fail, for a launcher that ends the job does not give the dispatcher the time. Collective.
    pub fn target(&self, path: &Path) -> Result<Option<Target>> {
        let mut target = None;
        let temporary = self.share(|| {
            let created = target.insert(self.create_target(path)?);
            Ok(std::path::absolute(created.temporary()).at(path)?.into_os_string().into_vec())
        })?;
        if !self.is_dispatcher() {
            let temporary = PathBuf::from(OsString::from_vec(temporary));
            if self.comm.survives() {
                // The job goes on when this worker is told to end: then the file is not its to remove.
                remember_orphan(temporary);
            } else {
                remove_with_unfinished(temporary);
            }
        }
        Ok(target)
    }

    /// Makes sure on the dispatcher that a file can be written. The next run removes what a killed one leaves of it.
    pub fn create_target(&self, path: &Path) -> Result<Target> {
        Target::create_noted(path, |temporary| match self.checkpoint {
            Some(checkpoint) => checkpoint.note_unfinished(&std::path::absolute(temporary).at(path)?),
            None => Ok(()),
        })
    }

    /// Tells the checkpoints, if any are made, what decides the result of the job: `identity` runs on the dispatcher only.
    /// What comes after it can be gone on with.
    pub fn begin(&self, identity: impl FnOnce() -> Result<Value>) -> Result<()> {
        self.checkpoint.map_or(Ok(()), |checkpoint| checkpoint.begin(self, identity))
    }

    /// Starts an operation and waits for it.
    pub fn wait<T>(&self, pending: Pending<'_, T>) -> Result<T> {
        self.finish(Started::new(pending))
    }

    /// Waits for an operation that was started earlier.
    pub fn finish<T>(&self, started: Started<'_, T>) -> Result<T> {
        self.account.waiting(|| started.finish())
    }

    /// Gives every rank what the dispatcher has: `make` runs there only.
    pub fn share(&self, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
        let data = if self.is_dispatcher() { make()? } else { Vec::new() };
        self.wait(self.comm.broadcast(Route::World, data))
    }
}

//! What the operator multiplies with: chunks of documents, wherever they come from.

use crate::dispatch::{Dataset, Job, Source};
use crate::error::Result;
use crate::linalg::Prepared;

/// Documents in chunks, gone through together by the ranks of a job.
pub trait Chunks {
    /// The job whose ranks go through them.
    fn job(&self) -> &Job<'_>;
    /// Goes once through all of them: `absorb` sees each, with its number, on exactly one worker. Collective.
    fn each(&self, absorb: &mut dyn FnMut(u64, &Prepared) -> Result<()>) -> Result<()>;
}

impl<S: Source<Item = Prepared>> Chunks for Dataset<'_, '_, S> {
    fn job(&self) -> &Job<'_> {
        Dataset::job(self)
    }

    fn each(&self, absorb: &mut dyn FnMut(u64, &Prepared) -> Result<()>) -> Result<()> {
        self.fold(absorb)
    }
}

/// A single chunk, in memory.
pub struct Single<'a> {
    /// A job of one rank.
    pub job: &'a Job<'a>,
    /// Its documents.
    pub chunk: &'a Prepared,
}

impl Chunks for Single<'_> {
    fn job(&self) -> &Job<'_> {
        self.job
    }

    fn each(&self, absorb: &mut dyn FnMut(u64, &Prepared) -> Result<()>) -> Result<()> {
        self.job.account.compute(|| absorb(0, self.chunk))
    }
}

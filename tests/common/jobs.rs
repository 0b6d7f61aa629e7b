//! Jobs whose ranks are threads of the test.

use corpuscle::comm::{Comm, Threads};
use corpuscle::dispatch::Job;
use corpuscle::error::Result;
use corpuscle::report::account::Account;
use corpuscle::report::progress::Progress;

/// Runs `program` on so many ranks of so many threads and returns their results in the order of ranks.
pub fn job<T: Send>(
    ranks: usize,
    threads: usize,
    scatter: bool,
    program: impl Fn(&Job) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    Threads::run(ranks, |comm| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let account = Account::open(comm.rank());
        let progress = Progress::Quiet;
        let (checkpoint, strict) = (None, false);
        let (memory, round_bytes) = (1 << 30, 8 << 20);
        program(&Job {
            comm,
            pool: &pool,
            memory,
            round_bytes,
            strict,
            scatter,
            account: &account,
            progress,
            checkpoint,
        })
    })
}

//! Jobs whose ranks are threads of the test.

use corpuscle::comm::{Comm, Threads};
use corpuscle::dispatch::Job;
use corpuscle::error::Result;
use corpuscle::report::account::Account;

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
        program(&Job { scatter, ..Job::quiet(comm, &pool, &account) })
    })
}

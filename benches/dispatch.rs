//! Empty tasks through a farm, as MPI ranks: rank 0 prints seconds. Started by `dispatch_overhead.py`.

use std::time::Instant;

use corpuscle::comm::{self, Route};
use corpuscle::dispatch::{Job, farm};
use corpuscle::report::account::Account;

/// Farms of so many tasks that are not counted: memory and connections are there afterwards.
const WARM_UP: usize = 1000;

fn main() {
    // `cargo bench` gives options of its own harness.
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse().ok());
    let (tasks, repeats) = (numbers.next().unwrap_or(100_000), numbers.next().unwrap_or(5));
    let comm = comm::start().expect("ranks that find each other");
    comm::abort_on_panic(&*comm);
    let account = Account::open(comm.rank());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let job = Job::quiet(&*comm, &pool, &account);
    for (repeat, count) in std::iter::once(WARM_UP).chain(std::iter::repeat_n(tasks, repeats)).enumerate() {
        let list = if job.is_dispatcher() {
            (0..count as u64).map(|number| (1.0, number.to_le_bytes().to_vec())).collect()
        } else {
            Vec::new()
        };
        job.wait(job.comm.broadcast(Route::World, Vec::new())).expect("everybody is here");
        let begun = Instant::now();
        let answers = farm(&job, list, |task| Ok(task.to_vec())).expect("answers");
        let seconds = begun.elapsed().as_secs_f64();
        assert!(answers.iter().zip(0u64..).all(|(answer, number)| answer[..] == number.to_le_bytes()));
        if job.is_dispatcher() && repeat > 0 {
            println!("{seconds}");
        }
    }
    comm.leave(0);
}

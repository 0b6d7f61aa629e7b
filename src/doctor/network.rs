//! How fast messages are, sent as the program sends them: started, tested, slept on in between.

use std::time::{Duration, Instant};

use crate::comm::{Route, Tag};
use crate::dispatch::Job;
use crate::error::Result;

use super::{Figure, Unit};

/// Sizes of the messages that go to and fro, in bytes, and their names.
const SIZES: [(usize, &str); 3] = [(8, "8 B"), (64 << 10, "64 KiB"), (8 << 20, "8 MiB")];
/// Longest that all hosts together may take for one size, after the least number of rounds.
const BUDGET: Duration = Duration::from_millis(500);
/// Least and most rounds of a size.
const ROUNDS: (usize, usize) = (3, 200);
/// Numbers of the exact sum: 8 MiB.
const SUMMED: usize = 1 << 20;

/// Name of the figure that advice is drawn from.
pub const LATENCY: &str = "latency, 8 B";

/// Messages between rank 0 and one worker of each host: half the time of a round trip, and for the largest the bytes a
/// second too. Collective; on the dispatcher the figures of each of `peers`, elsewhere nothing.
pub fn messages(job: &Job, peers: &[usize]) -> Result<Vec<Vec<Figure>>> {
    let mut figures = vec![Vec::new(); peers.len()];
    for (peer, figures) in peers.iter().zip(&mut figures) {
        for (bytes, name) in SIZES {
            if job.is_dispatcher() {
                let seconds = to_and_fro(job, *peer, bytes, BUDGET / peers.len() as u32)? / 2.0;
                figures.push(Figure::new(&format!("latency, {name}"), seconds, Unit::Seconds));
                if bytes == SIZES[SIZES.len() - 1].0 {
                    figures.push(Figure::new(&format!("bandwidth, {name}"), bytes as f64 / seconds, Unit::Bytes));
                }
            } else if job.comm.rank() == *peer {
                echo(job)?;
            }
        }
    }
    // Nobody works on while messages are being timed.
    job.wait(job.comm.all_gather(Route::World, Vec::new()))?;
    Ok(if job.is_dispatcher() { figures } else { Vec::new() })
}

/// Median seconds of a round trip.
fn to_and_fro(job: &Job, peer: usize, bytes: usize, budget: Duration) -> Result<f64> {
    let mut message = vec![1u8; bytes];
    let (begin, mut taken) = (Instant::now(), Vec::new());
    while taken.len() <= ROUNDS.0 || (taken.len() < ROUNDS.1 && begin.elapsed() < budget) {
        let start = Instant::now();
        job.wait(job.comm.send(peer, Tag::Measure, message))?;
        message = job.wait(job.comm.receive(peer, Tag::Measure))?;
        taken.push(start.elapsed().as_secs_f64());
    }
    // An empty message is the last.
    job.wait(job.comm.send(peer, Tag::Measure, Vec::new()))?;
    // The first finds connections closed and buffers cold.
    taken.remove(0);
    taken.sort_by(f64::total_cmp);
    Ok(taken[taken.len() / 2])
}

fn echo(job: &Job) -> Result<()> {
    loop {
        let message = job.wait(job.comm.receive(0, Tag::Measure))?;
        if message.is_empty() {
            return Ok(());
        }
        job.wait(job.comm.send(0, Tag::Measure, message))?;
    }
}

/// Seconds of an exact sum of 8 MiB over the workers, the best of three, as this worker saw it. Collective; none on a
/// dispatcher that does not work, and where there are no two workers.
pub fn exact_sum(job: &Job) -> Result<Option<f64>> {
    let mut best = None;
    if job.works() && job.workers() > 1 {
        for _ in 0..3 {
            job.wait(job.comm.all_gather(Route::Workers, Vec::new()))?;
            let values = vec![1i64; SUMMED];
            let start = Instant::now();
            job.wait(job.comm.sum(Route::Workers, values))?;
            best = Some(best.unwrap_or(f64::INFINITY).min(start.elapsed().as_secs_f64()));
        }
    }
    Ok(best)
}

//! A thousand jobs with bad luck: whoever dies, stops or dawdles, and whenever, those that are left come to the same bytes,
//! and they come to an end.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use corpuscle::comm::{Comm, Faulty, Plan, Route, Threads};
use corpuscle::corpus::chunk::Footprint;
use corpuscle::dispatch::{Dataset, Job, Mergeable, Parcel, Source, endure, farm, merge};
use corpuscle::error::{Error, Result};
use corpuscle::random::Stream;
use corpuscle::report::account::Account;

/// Plans a run of the tests goes through.
const PLANS: u64 = 1_100;
/// Polls within which a rank that is to die does: about as many as a job makes.
const POLLS: u64 = 150;
/// Longest that one job may take; a hundred times what it does.
const WATCHDOG: Duration = Duration::from_secs(60);
const CHUNKS: u64 = 13;

/// Numbers made from a seed, as chunks that some ranks see and others get sent, known beforehand or not.
struct Numbers<const KNOWN: bool> {
    seed: u64,
    visible: bool,
    next: u64,
}

struct Chunk(Vec<u64>);

impl Footprint for Chunk {
    fn bytes(&self) -> u64 {
        self.0.len() as u64 * 8
    }
}

fn chunk(seed: u64, number: u64) -> Vec<u64> {
    let mut stream = Stream::new(seed, "chunk", number);
    (0..5 + number % 7).map(|_| stream.below(1000)).collect()
}

impl<const K: bool> Source for Numbers<K> {
    type Item = Chunk;
    const KNOWN: bool = K;

    fn next(&mut self) -> Result<Option<Parcel>> {
        let number = self.next;
        self.next += 1;
        Ok((number < CHUNKS).then(|| Parcel {
            number,
            weight: 5 + number % 7,
            memory: 100,
            // A stream's chunks exist nowhere but in it.
            body: (!K).then(|| bytemuck::cast_slice(&chunk(self.seed, number)).to_vec()),
            ..Parcel::default()
        }))
    }

    fn visible(&self) -> bool {
        self.visible
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        Ok(bytemuck::cast_slice(&chunk(self.seed, parcel.number)).to_vec())
    }

    fn open(&self, _: &Parcel, bytes: Vec<u8>) -> Result<Chunk> {
        Ok(Chunk(bytemuck::pod_collect_to_vec(&bytes)))
    }
}

/// A set, joined by union.
#[derive(Debug, PartialEq)]
struct Set(std::collections::BTreeSet<u64>);

impl Mergeable for Set {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.0.extend(other.0);
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        Ok(Set(bytes.chunks_exact(8).map(|n| u64::from_le_bytes(n.try_into().expect("eight"))).collect()))
    }
}

/// Everything the patterns offer, one after the other, over one source; what the dispatcher has in the end.
fn program<const K: bool>(job: &Job, seed: u64, enduring: bool) -> Result<Vec<u8>> {
    let visible =
        Stream::new(seed, "visible", job.comm.members()[job.comm.rank()] as u64).below(2) == 0 || job.is_dispatcher();
    let dataset = Dataset::new(job, Numbers::<K> { seed, visible, next: 0 })?;
    let dataset = if enduring { dataset.enduring() } else { dataset };
    let mut result = Vec::new();
    let (mut sums, mut seen) = (vec![0i64; 3], Set(Default::default()));
    dataset.fold(|number, chunk: &Chunk| {
        sums[0] += chunk.0.iter().sum::<u64>() as i64;
        sums[1] += chunk.0.len() as i64 * number as i64;
        sums[2] += 1;
        seen.0.extend(chunk.0.iter().map(|value| value * 100 + number));
        Ok(())
    })?;
    for total in job.wait(job.comm.sum(Route::World, sums))? {
        result.extend(total.to_le_bytes());
    }
    if let Some(all) = merge(job, seen)? {
        result.extend(all.encode());
    }
    let mut order = 0;
    dataset.map(
        |number, chunk| Ok(chunk.0.iter().flat_map(|value| (value ^ number).to_le_bytes()).collect()),
        |number, bytes| {
            assert_eq!(number, order, "in the order of the corpus");
            order += 1;
            result.extend(bytes);
            Ok(())
        },
    )?;
    let tasks = (0..9u64).map(|task| (task as f64, task.to_le_bytes().to_vec())).collect();
    for answer in farm(job, tasks, |task| Ok(task.iter().rev().copied().collect()))? {
        result.extend(answer);
    }
    Ok(result)
}

/// The job of one plan: what its dispatcher has in the end, and how many ranks were lost on the way.
fn job(ranks: usize, plan: &Plan, known: bool, enduring: bool) -> (Vec<u8>, usize) {
    let results = Threads::run(ranks, |threads| {
        let comm = Faulty::new(threads, plan);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        let pool = pool.expect("no thread is started");
        let account = Account::open(comm.rank());
        let mut result = Vec::new();
        let run = || {
            let job = Job { memory: 300, ..Job::quiet(&comm, &pool, &account) };
            if known { program::<true>(&job, 7, enduring) } else { program::<false>(&job, 7, enduring) }
        };
        endure(&comm, run, |outcome: Option<&Vec<u8>>| {
            if let Some(outcome) = outcome {
                result.clone_from(outcome);
            }
            // As at the end of a command: the accounts.
            corpuscle::comm::wait(comm.gather(Route::World, vec![1])).map(drop)
        })?;
        Ok(result)
    });
    let (mut dispatcher, mut lost) = (None, 0);
    for (rank, result) in results.into_iter().enumerate() {
        match result {
            Ok(result) if rank == 0 => dispatcher = Some(result),
            Ok(_) => {}
            Err(Error::Lost) => {
                assert!(plan.fates[rank].is_some(), "rank {rank} died against the plan");
                lost += 1;
            }
            Err(error) => panic!("rank {rank}: {error}"),
        }
    }
    (dispatcher.expect("the dispatcher lives"), lost)
}

#[test]
fn a_thousand_plans_end_with_the_same_bytes() {
    let (tell, hear) = mpsc::channel();
    let calm = Plan::of(0, 1, POLLS);
    let (expected, _) = job(1, &calm, true, false);
    assert!(expected.len() > 500);
    let (mut planned_deaths, mut died) = (0, 0);
    for seed in 0..PLANS {
        let ranks = 2 + (seed % 4) as usize;
        let plan = Plan::of(seed, ranks, POLLS);
        planned_deaths += plan.fates.iter().flatten().count();
        let (tell, expected, planned) = (tell.clone(), expected.clone(), plan.clone());
        std::thread::spawn(move || {
            let (bytes, lost) = job(ranks, &planned, seed % 8 < 4, seed % 3 > 0);
            let _nobody_listens_after_the_watchdog = tell.send((bytes == expected, lost));
        });
        match hear.recv_timeout(WATCHDOG) {
            Ok((same, lost)) => {
                assert!(same, "plan {seed}, {plan:?}: other bytes");
                died += lost;
            }
            Err(end) => panic!("plan {seed}, {plan:?}: {end}"),
        }
    }
    assert!(died * 3 > planned_deaths && died > 300, "{died} of {planned_deaths} deaths came in time");
}

#[test]
fn plans_are_those_of_their_seed() {
    assert_eq!(Plan::of(3, 5, 100), Plan::of(3, 5, 100));
    assert!((0..50).any(|seed| Plan::of(seed, 4, 100).fates.iter().flatten().count() == 3), "all workers may go");
    assert!((0..50).all(|seed| Plan::of(seed, 4, 100).fates[0].is_none()));
}

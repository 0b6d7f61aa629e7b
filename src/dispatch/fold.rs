//! fold: a sum over the corpus.
//!
//! Chunks go out by scatter rounds on a lane of their own. A worker asks for round r + 1 before it works on round r
//! (double buffering), and the dispatcher sends it before it collects the reports of round r, so a slow network is
//! hidden behind the work. Chunks that a worker keeps, or can read itself, travel as numbers only; when that holds for
//! all, the whole pass is one round. Cost of a pass: rounds x 2 collectives, plus the bytes of the chunks sent.
//!
//! When workers die in a pass over an [enduring](Dataset::enduring) dataset, the others say which chunks they have absorbed
//! and go on with the rest; what the dead had absorbed went with them and is done anew.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};
use std::time::Instant;

use super::dataset::{Dataset, Parcel, Source};
use super::mend::{mend, rejoin};
use super::message::{Assignment, Delivery, Report, Share};
use super::table::Entry;
use crate::comm::{Route, Started};
use crate::error::{Error, Result};

/// Fewest and most bytes of chunks sent to one worker in one round (at least one chunk).
const ROUND_BYTES: (u64, u64) = (8 << 20, 32 << 20);
/// The share of a rank's memory that rounds under way may take.
const UNDER_WAY: u64 = 16;
/// Most chunks of a stream a worker gets in one round when it is faster than the others.
const MOST: f64 = 4.0;

/// Bytes of chunks sent to one of so many workers in one round, by ranks of so much memory. A pass that sends all its
/// chunks waits for each round as long as a message takes there and back: on slow networks large rounds are few.
pub fn round_bytes(memory: u64, workers: u64) -> u64 {
    // The dispatcher holds three rounds: read, encoded and under way.
    (memory / UNDER_WAY / (3 * workers.max(1))).clamp(ROUND_BYTES.0, ROUND_BYTES.1)
}

impl<S: Source> Dataset<'_, '_, S> {
    /// Goes once through the corpus: `absorb` sees each chunk on exactly one worker, together with its number. The
    /// partials are the caller's: they are left untouched here until it has summed them up. Collective.
    pub fn fold(&self, mut absorb: impl FnMut(u64, &S::Item) -> Result<()>) -> Result<()> {
        self.job.account.count(|counters| counters.passes += 1);
        self.align();
        if !self.job.distributed() {
            self.fold_here(&mut absorb)
        } else if self.job.is_dispatcher() {
            self.dispatch()
        } else {
            self.work(&mut absorb)
        }
    }

    fn fold_here(&self, absorb: &mut dyn FnMut(u64, &S::Item) -> Result<()>) -> Result<()> {
        let account = self.job.account;
        if S::KNOWN {
            self.list()?;
            let parcels: Vec<Parcel> = self.table.borrow().entries.iter().map(|entry| entry.parcel.clone()).collect();
            let here = |parcel| Assignment { parcel, delivery: Delivery::Read };
            return self.each_of(parcels.into_iter().map(here).collect(), |number, item, _| {
                account.compute_chunk(number, || absorb(number, item))
            });
        }
        for at in 0.. {
            let Some(parcel) = self.parcel(at, 0)? else { break };
            let number = parcel.number;
            let item = self.obtain_here(parcel)?;
            account.compute_chunk(number, || absorb(number, &item))?;
        }
        Ok(())
    }

    fn dispatch(&self) -> Result<()> {
        if S::KNOWN {
            let first = !self.listed.get();
            self.list()?;
            if !first {
                self.table.borrow_mut().plan(false);
            }
        }
        let mut queues = Queues::new(self, &HashSet::new(), !self.listed.get());
        loop {
            match self.rounds(&mut queues) {
                Err(Error::Lost) if self.enduring => queues = self.mend(queues.streaming)?,
                done => break done?,
            }
        }
        self.listed.set(true);
        Ok(())
    }

    /// After a loss: what the living have not absorbed in this pass is still to be done.
    fn mend(&self, streaming: bool) -> Result<Queues> {
        let said = mend(self.job.comm)?;
        self.align();
        let mut done = HashSet::new();
        for numbers in &said[1..] {
            done.extend(Report::decode(&numbers[1..])?.kept);
        }
        let table = self.table.borrow();
        // What came by in a stream does not come again.
        let passed = |(at, entry): (usize, &Entry)| entry.passing && !done.contains(&(at as u64));
        if table.entries.iter().enumerate().any(passed) {
            return Err(Error::Lost);
        }
        Ok(Queues::new(self, &done, streaming))
    }

    /// Hands out what the queues hold.
    fn rounds(&self, queues: &mut Queues) -> Result<()> {
        let workers = self.job.workers();
        let mut rounds = 0;
        let mut reports_due: Option<Vec<u64>> = None;
        loop {
            let mut shares: Vec<Share> = (0..workers).map(|_| Share::default()).collect();
            let last = queues.fill(self, &mut shares)?;
            let given: Vec<u64> =
                shares.iter().map(|share| share.assignments.iter().map(|a| a.parcel.weight).sum()).collect();
            let mut parts = vec![Vec::new()];
            parts.extend(shares.into_iter().map(|share| Share { last, ..share }.encode()));
            self.job.wait(self.job.comm.scatter(Route::Feed, parts))?;
            rounds += 1;
            if let Some(given) = reports_due.replace(given) {
                self.collect(&given)?;
            }
            if last {
                break;
            }
        }
        if let Some(given) = reports_due {
            self.collect(&given)?;
        }
        self.job.account.count(|counters| counters.rounds += rounds);
        Ok(())
    }

    /// Collects the reports of a round: speeds are learnt and kept chunks noted.
    fn collect(&self, given: &[u64]) -> Result<()> {
        let parts = self.job.wait(self.job.comm.gather(Route::World, Vec::new()))?;
        let mut table = self.table.borrow_mut();
        for (worker, part) in parts.iter().skip(1).enumerate() {
            let report = Report::decode(part)?;
            table.learn(worker, given[worker], report.seconds);
            for number in report.kept {
                if let Some(entry) = table.entries.get_mut(number as usize) {
                    entry.kept = true;
                }
            }
        }
        Ok(())
    }

    fn work(&self, absorb: &mut dyn FnMut(u64, &S::Item) -> Result<()>) -> Result<()> {
        let absorbed = RefCell::new(Vec::new());
        let mut note = |number: u64, item: &S::Item| {
            absorb(number, item)?;
            absorbed.borrow_mut().push(number);
            Ok(())
        };
        while let Err(error) = self.work_on_rounds(&mut note) {
            if error != Error::Lost || !self.enduring {
                return Err(error);
            }
            let mut say = vec![1];
            say.extend(Report { seconds: 0.0, kept: absorbed.borrow().clone() }.encode());
            rejoin(self.job.comm, &say)?;
        }
        Ok(())
    }

    fn work_on_rounds(&self, absorb: &mut dyn FnMut(u64, &S::Item) -> Result<()>) -> Result<()> {
        let (comm, account) = (self.job.comm, self.job.account);
        let mut rounds = 0;
        let mut next = Some(Started::new(comm.scatter(Route::Feed, Vec::new())));
        let mut said: Option<Started<'_, Vec<Vec<u8>>>> = None;
        while let Some(share) = next.take() {
            let share = Share::decode(&self.job.finish(share)?)?;
            if !share.last {
                next = Some(Started::new(comm.scatter(Route::Feed, Vec::new())));
            }
            rounds += 1;
            let (mut seconds, mut kept) = (0.0, Vec::new());
            // Every chunk of a stream has to be opened: that is work like any other. Those of a known source may
            // be kept here and not there, and how fast a worker is does not depend on it.
            let mut begin = Instant::now();
            self.each_of(share.assignments, |number, item, newly| {
                if newly {
                    kept.push(number);
                }
                // MPI moves messages only while somebody calls it.
                next.as_mut().map(Started::test);
                if S::KNOWN {
                    begin = Instant::now();
                }
                account.compute_chunk(number, || absorb(number, item))?;
                seconds += begin.elapsed().as_secs_f64();
                next.as_mut().map(Started::test);
                begin = Instant::now();
                Ok(())
            })?;
            if let Some(earlier) = said.take() {
                self.job.finish(earlier)?;
            }
            said = Some(Started::new(comm.gather(Route::World, Report { seconds, kept }.encode())));
        }
        if let Some(last) = said {
            self.job.finish(last)?;
        }
        account.count(|counters| counters.rounds += rounds);
        Ok(())
    }
}

/// What is still to be handed out in a pass.
struct Queues {
    /// Numbers of chunks in the table, for each worker.
    listed: Vec<VecDeque<usize>>,
    /// The source is a stream, and goes on behind what is in the table.
    streaming: bool,
}

impl Queues {
    /// All chunks in the table but those that are done.
    fn new<S: Source>(dataset: &Dataset<'_, '_, S>, done: &HashSet<u64>, streaming: bool) -> Queues {
        let mut listed = vec![VecDeque::new(); dataset.job.workers()];
        for (at, entry) in dataset.table.borrow().entries.iter().enumerate() {
            if !done.contains(&(at as u64)) {
                listed[entry.owner].push_back(at);
            }
        }
        Queues { listed, streaming }
    }

    /// Fills the shares of the next round; true when it is the last.
    fn fill<S: Source>(&mut self, dataset: &Dataset<'_, '_, S>, shares: &mut [Share]) -> Result<bool> {
        for (worker, (queue, share)) in self.listed.iter_mut().zip(shares.iter_mut()).enumerate() {
            let mut sent = 0;
            while let Some(&at) = queue.front() {
                let (parcel, kept) = {
                    let entry = &dataset.table.borrow().entries[at];
                    (entry.parcel.clone(), entry.kept)
                };
                let travels = !kept && !dataset.sees.borrow()[worker];
                if travels && sent > 0 && sent + parcel.memory > dataset.job.round_bytes {
                    break;
                }
                let assignment = dataset.deliver(worker, parcel, kept)?;
                if let Delivery::Sent(bytes) = &assignment.delivery {
                    sent += bytes.len() as u64;
                }
                share.assignments.push(assignment);
                queue.pop_front();
            }
        }
        if !self.listed.iter().all(VecDeque::is_empty) {
            return Ok(false);
        }
        if self.streaming {
            self.streaming = !stream(dataset, shares)?;
        }
        Ok(!self.streaming)
    }
}

/// Adds what comes next in a stream to the shares of a round; true when it has ended.
fn stream<S: Source>(dataset: &Dataset<'_, '_, S>, shares: &mut [Share]) -> Result<bool> {
    let fastest = (0..shares.len()).map(|worker| dataset.table.borrow().speed(worker)).fold(0.0, f64::max);
    // The slowest gets one chunk a round; a worker twice as fast gets two.
    let slowest = (0..shares.len()).map(|worker| dataset.table.borrow().speed(worker)).fold(fastest, f64::min);
    for (worker, share) in shares.iter_mut().enumerate() {
        let speed = dataset.table.borrow().speed(worker);
        for _ in 0..(speed / slowest).round().clamp(1.0, MOST) as usize {
            let parcel = dataset.job.account.io(|| dataset.source.borrow_mut().next())?;
            let Some(parcel) = parcel else { return Ok(true) };
            dataset.table.borrow_mut().push(parcel.clone(), worker);
            share.assignments.push(dataset.deliver(worker, parcel, false)?);
        }
    }
    Ok(false)
}

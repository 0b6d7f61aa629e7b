//! fold: a sum over the corpus.
//!
//! Chunks go out by scatter rounds on a lane of their own. A worker asks for round r + 1 before it works on round r
//! (double buffering), and the dispatcher sends it before it collects the reports of round r, so a slow network is
//! hidden behind the work. Chunks that a worker keeps, or can read itself, travel as numbers only; when that holds for
//! all, the whole pass is one round. Cost of a pass: rounds x 2 collectives, plus the bytes of the chunks sent.

use std::time::Instant;

use super::dataset::{Dataset, Source};
use super::message::{Delivery, Report, Share};
use crate::comm::{Route, Started};
use crate::error::Result;

/// Bytes of chunks sent to one worker in one round (at least one chunk).
pub(super) const ROUND_BYTES: u64 = 8 << 20;
/// Most chunks of a stream a worker gets in one round when it is faster than the others.
const MOST: f64 = 4.0;

impl<S: Source> Dataset<'_, '_, S> {
    /// Goes once through the corpus: `absorb` sees each chunk on exactly one worker, together with its number. The
    /// partials are the caller's: they are left untouched here until it has summed them up. Collective.
    pub fn fold(&self, mut absorb: impl FnMut(u64, &S::Item) -> Result<()>) -> Result<()> {
        self.job.account.count(|counters| counters.passes += 1);
        if !self.job.distributed() {
            self.fold_here(&mut absorb)
        } else if self.job.is_dispatcher() {
            self.dispatch()
        } else {
            self.work(&mut absorb)
        }
    }

    fn fold_here(&self, absorb: &mut dyn FnMut(u64, &S::Item) -> Result<()>) -> Result<()> {
        if S::KNOWN {
            self.list()?;
        }
        for at in 0.. {
            let Some(parcel) = self.parcel(at, 0)? else { break };
            let number = parcel.number;
            let item = self.obtain_here(parcel)?;
            self.job.account.compute(|| absorb(number, &item))?;
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
        let listed = self.listed.get();
        let workers = self.job.workers();
        let mut queues = Queues::new(self, listed);
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
        self.listed.set(true);
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
            for assignment in share.assignments {
                let number = assignment.parcel.number;
                let mut begin = Instant::now();
                let (item, newly) = self.obtain(assignment)?;
                if newly {
                    kept.push(number);
                }
                // MPI moves messages only while somebody calls it.
                next.as_mut().map(Started::test);
                // Every chunk of a stream has to be opened: that is work like any other. Those of a known source may
                // be kept here and not there, and how fast a worker is does not depend on it.
                if S::KNOWN {
                    begin = Instant::now();
                }
                account.compute(|| absorb(number, &item))?;
                seconds += begin.elapsed().as_secs_f64();
                next.as_mut().map(Started::test);
            }
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
enum Queues {
    /// The table is known: a queue of chunk numbers for each worker.
    Listed(Vec<std::collections::VecDeque<usize>>),
    /// The source is a stream.
    Stream,
}

impl Queues {
    fn new<S: Source>(dataset: &Dataset<'_, '_, S>, listed: bool) -> Queues {
        if !listed {
            return Queues::Stream;
        }
        let mut queues = vec![std::collections::VecDeque::new(); dataset.job.workers()];
        for (at, entry) in dataset.table.borrow().entries.iter().enumerate() {
            queues[entry.owner].push_back(at);
        }
        Queues::Listed(queues)
    }

    /// Fills the shares of the next round; true when it is the last.
    fn fill<S: Source>(&mut self, dataset: &Dataset<'_, '_, S>, shares: &mut [Share]) -> Result<bool> {
        match self {
            Queues::Listed(queues) => {
                for (worker, (queue, share)) in queues.iter_mut().zip(shares).enumerate() {
                    let mut sent = 0;
                    while let Some(&at) = queue.front() {
                        let (parcel, kept) = {
                            let entry = &dataset.table.borrow().entries[at];
                            (entry.parcel.clone(), entry.kept)
                        };
                        let travels = !kept && !dataset.sees[worker];
                        if travels && sent > 0 && sent + parcel.memory > ROUND_BYTES {
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
                Ok(queues.iter().all(std::collections::VecDeque::is_empty))
            }
            Queues::Stream => {
                let fastest = (0..shares.len()).map(|worker| dataset.table.borrow().speed(worker)).fold(0.0, f64::max);
                // The slowest gets one chunk a round; a worker twice as fast gets two.
                let slowest =
                    (0..shares.len()).map(|worker| dataset.table.borrow().speed(worker)).fold(fastest, f64::min);
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
        }
    }
}

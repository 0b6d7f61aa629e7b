//! A farm over the chunks of a corpus whose results are wanted in the order of the corpus: converting, projecting.
//!
//! Chunks go to the worker that keeps them, others to whoever is free. Results wait at the dispatcher until all
//! earlier ones have come; the hand-out stays within a window ahead of the first missing one, so that no more than a
//! few results per worker ever wait.
//!
//! Where checkpoints are made, results go to the journal before the sink gets them, as many of them as may be had for what
//! checkpoints may cost: the sink writes them a second time. A later run takes the results of these chunks from the
//! journal and works the others out, so that its sink comes to the same state.

use std::collections::{BTreeMap, VecDeque};

use super::checkpoint::Worked;
use super::dataset::{Dataset, Source};
use super::farm::{AHEAD, Tasks, hand_out, serve};
use super::message::Assignment;
use crate::error::{Error, Result};

/// Results per worker that may wait for an earlier one.
const WINDOW: usize = 4;
/// Bytes of results that may wait: beyond it only the first missing one is received, the others stay with their workers.
const WAITING_BYTES: u64 = 16 << 20;

/// Bytes of results of so many each that may be at the dispatcher of so many workers: those that wait, and for each
/// worker one that was asked for while there was room.
pub(super) fn waiting(workers: u64, bytes: u64) -> u64 {
    if workers == 1 { bytes } else { ((WINDOW + AHEAD) as u64 * workers * bytes).min(WAITING_BYTES + bytes) }
}

impl<S: Source> Dataset<'_, '_, S> {
    /// Applies `convert` to every chunk on some worker and hands the results to `sink` on the dispatcher, in order.
    /// The chunks of a stream are taken from it as workers ask for them. Collective.
    pub fn map(
        &self,
        mut convert: impl FnMut(u64, &S::Item) -> Result<Vec<u8>>,
        mut sink: impl FnMut(u64, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let account = self.job.account;
        account.count(|counters| counters.passes += 1);
        self.align();
        if self.job.is_dispatcher() && S::KNOWN {
            self.list()?;
        }
        Worked::go_on(self.job, |kept| self.map_but(kept, &mut convert, &mut sink))
    }

    /// [`map`](Self::map), for which the dispatcher has some results already.
    fn map_but(
        &self,
        kept: &Worked,
        convert: &mut impl FnMut(u64, &S::Item) -> Result<Vec<u8>>,
        sink: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let account = self.job.account;
        if !self.job.distributed() {
            for at in 0.. {
                let Some(parcel) = self.parcel(at, 0)? else { return kept.fits(at) };
                let number = parcel.number;
                if let Some(result) = account.io(|| kept.result(at))? {
                    account.io(|| sink(number, result))?;
                    continue;
                }
                let item = self.obtain_here(parcel)?;
                let result = account.compute_chunk(number, || convert(number, &item))?;
                drop(item);
                account.io(|| {
                    kept.keep(at, &result)?;
                    sink(number, result)?;
                    kept.commit_if_due()
                })?;
            }
        }
        if self.job.is_dispatcher() {
            let mut tasks = InOrder {
                dataset: self,
                kept,
                sink,
                stopped: false,
                waiting: BTreeMap::new(),
                waiting_bytes: 0,
                largest: 0,
                coming: 0,
                given: vec![VecDeque::new(); self.job.workers()],
                queues: vec![VecDeque::new(); self.job.workers()],
                free: VecDeque::new(),
                bodies: BTreeMap::new(),
                emitted: 0,
            };
            for (at, entry) in self.table.borrow().entries.iter().enumerate() {
                if kept.record(at).is_none() {
                    if entry.kept { tasks.queues[entry.owner].push_back(at) } else { tasks.free.push_back(at) }
                }
            }
            // Those at the beginning that nobody will answer.
            tasks.emit()?;
            hand_out(self.job, &mut tasks, self.enduring)?;
            if tasks.stopped {
                return Err(Error::Stopped);
            }
            return kept.fits(tasks.emitted);
        }
        serve(self.job, |task| {
            let assignment = Assignment::decode(task)?;
            let number = assignment.parcel.number;
            let (item, _) = self.obtain(assignment)?;
            account.compute_chunk(number, || convert(number, &item))
        })
    }
}

struct InOrder<'a, 'j, 'c, S: Source> {
    dataset: &'a Dataset<'j, 'c, S>,
    kept: &'a Worked<'a>,
    sink: &'a mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
    waiting: BTreeMap<usize, Vec<u8>>,
    /// Bytes of these.
    waiting_bytes: u64,
    /// Bytes of the largest result so far.
    largest: u64,
    /// Results that were asked for and are not there.
    coming: u64,
    given: Vec<VecDeque<usize>>,
    /// Chunks a worker keeps.
    queues: Vec<VecDeque<usize>>,
    /// Chunks nobody keeps, in their order.
    free: VecDeque<usize>,
    /// Bytes of chunks of a stream that have not been answered.
    bodies: BTreeMap<usize, Vec<u8>>,
    emitted: usize,
    /// The sink wants no more: answers that are still due go by unused.
    stopped: bool,
}

impl<S: Source> InOrder<'_, '_, '_, S> {
    /// Gives the sink what is next in order, as far as it is there.
    fn emit(&mut self) -> Result<()> {
        let account = self.dataset.job.account;
        while !self.stopped && self.emitted < self.dataset.table.borrow().entries.len() {
            let at = self.emitted;
            let new = self.waiting.remove(&at);
            let is_new = new.is_some();
            let result = match new {
                Some(result) => {
                    self.waiting_bytes -= result.len() as u64;
                    result
                }
                None => match account.io(|| self.kept.result(at))? {
                    Some(result) => result,
                    None => break,
                },
            };
            let number = self.dataset.table.borrow().entries[at].parcel.number;
            let taken = account.io(|| {
                if !is_new {
                    return (self.sink)(number, result);
                }
                self.kept.keep(at, &result)?;
                (self.sink)(number, result)?;
                self.kept.commit_if_due()
            });
            match taken {
                Err(Error::Stopped) => self.stopped = true,
                taken => taken?,
            }
            self.emitted += usize::from(!self.stopped);
        }
        Ok(())
    }
}

impl<S: Source> Tasks for InOrder<'_, '_, '_, S> {
    fn next(&mut self, worker: usize) -> Result<Option<Vec<u8>>> {
        let (at, own, free, mut parcel) = loop {
            if self.stopped {
                return Ok(None);
            }
            let window = self.emitted + (WINDOW + AHEAD) * self.given.len();
            let own = self.queues[worker].front().copied();
            let free = self.free.front().copied();
            let at = match (own, free) {
                (Some(own), Some(free)) => own.min(free),
                (Some(at), None) | (None, Some(at)) => at,
                (None, None) if self.dataset.listed.get() => return Ok(None),
                (None, None) => self.dataset.table.borrow().entries.len(),
            };
            if at >= window {
                return Ok(None);
            }
            let Some(parcel) = self.dataset.parcel(at, worker)? else { return Ok(None) };
            if self.kept.record(at).is_none() {
                break (at, own, free, parcel);
            }
            // Of a stream: it was taken from there and need not be worked on.
            self.emit()?;
        };
        match &parcel.body {
            Some(body) if self.dataset.enduring => drop(self.bodies.insert(at, body.clone())),
            Some(_) => {}
            None => parcel.body = self.bodies.get(&at).cloned(),
        }
        if own == Some(at) {
            self.queues[worker].pop_front();
        } else if free == Some(at) {
            self.free.pop_front();
        }
        self.given[worker].push_back(at);
        let kept = own == Some(at);
        Ok(Some(self.dataset.deliver(worker, parcel, kept)?.encode()))
    }

    fn accepts(&mut self, worker: usize) -> bool {
        // What a dead worker has left comes behind later chunks of the worker that gets it; and while nobody has room for a
        // task, nobody gets it.
        let has_first = |given: &VecDeque<usize>| given.contains(&self.emitted);
        let first_missing = has_first(&self.given[worker]) || !self.given.iter().any(has_first);
        // How large they are shows with the first.
        let accepted = self.stopped
            || first_missing
            || self.largest > 0 && self.waiting_bytes + (self.coming + 1) * self.largest <= WAITING_BYTES;
        self.coming += u64::from(accepted);
        accepted
    }

    fn answer(&mut self, worker: usize, answer: Vec<u8>) -> Result<()> {
        let at = self.given[worker].pop_front().ok_or_else(|| Error::failed("an answer without a task"))?;
        self.bodies.remove(&at);
        self.coming -= 1;
        if self.stopped {
            return Ok(());
        }
        self.largest = self.largest.max(answer.len() as u64);
        self.waiting_bytes += answer.len() as u64;
        self.waiting.insert(at, answer);
        self.emit()
    }

    fn lost(&mut self, worker: usize, asked: bool) {
        self.coming -= u64::from(asked);
        let (given, own) = (std::mem::take(&mut self.given[worker]), std::mem::take(&mut self.queues[worker]));
        self.free.extend(given.into_iter().chain(own));
        self.free.make_contiguous().sort_unstable();
    }

    fn finished(&self) -> bool {
        if self.stopped {
            return self.given.iter().all(VecDeque::is_empty);
        }
        self.dataset.listed.get() && self.emitted == self.dataset.table.borrow().entries.len()
    }
}

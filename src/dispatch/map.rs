//! A farm over the chunks of a corpus whose results are wanted in the order of the corpus: converting, projecting.
//!
//! Chunks go to the worker that keeps them, others to whoever is free. Results wait at the dispatcher until all
//! earlier ones have come; the hand-out stays within a window ahead of the first missing one, so that no more than a
//! few results per worker ever wait.
//!
//! Where checkpoints are made, results go to the journal before the sink gets them. A later run gives the sink those of the
//! journal first, so that it comes to the same state, and goes on with the chunk after them.

use std::collections::{BTreeMap, VecDeque};

use super::checkpoint::Stage;
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
/// Kind of the records of a map: the result of a chunk.
const RESULT: u32 = 0;

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
        let Some(stage) = Stage::enter(self.job) else {
            return self.map_from(0, &mut convert, &mut sink);
        };
        let done = if self.job.is_dispatcher() { self.replay(&stage, &mut sink)? } else { 0 };
        let mut kept = |number, result: Vec<u8>| {
            stage.append(RESULT, result.clone())?;
            sink(number, result)?;
            stage.commit_if_due()
        };
        let ended = self.map_from(done, &mut convert, &mut kept);
        stage.agree(self.job, ended)
    }

    /// Dispatcher: gives the sink the results of an earlier run; how many there were.
    fn replay(&self, stage: &Stage, sink: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>) -> Result<usize> {
        let account = self.job.account;
        let records = stage.records();
        for (at, record) in records.iter().enumerate() {
            let parcel =
                self.parcel(at, 0)?.ok_or_else(|| Error::failed("a checkpoint of more chunks than there are"))?;
            account.io(|| sink(parcel.number, stage.read(record)?))?;
        }
        Ok(records.len())
    }

    /// [`map`](Self::map) from the chunk `done` on. The dispatcher alone hears of a sink that wants to stop.
    fn map_from(
        &self,
        done: usize,
        convert: &mut impl FnMut(u64, &S::Item) -> Result<Vec<u8>>,
        sink: &mut dyn FnMut(u64, Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let account = self.job.account;
        if !self.job.distributed() {
            for at in done.. {
                let Some(parcel) = self.parcel(at, 0)? else { break };
                let number = parcel.number;
                let item = self.obtain_here(parcel)?;
                let result = account.compute_chunk(number, || convert(number, &item))?;
                drop(item);
                account.io(|| sink(number, result))?;
            }
            return Ok(());
        }
        if self.job.is_dispatcher() {
            let mut tasks = InOrder {
                dataset: self,
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
                emitted: done,
            };
            for (at, entry) in self.table.borrow().entries.iter().enumerate().skip(done) {
                if entry.kept { tasks.queues[entry.owner].push_back(at) } else { tasks.free.push_back(at) }
            }
            hand_out(self.job, &mut tasks, self.enduring)?;
            return if tasks.stopped { Err(Error::Stopped) } else { Ok(()) };
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

impl<S: Source> Tasks for InOrder<'_, '_, '_, S> {
    fn next(&mut self, worker: usize) -> Result<Option<Vec<u8>>> {
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
        let Some(mut parcel) = self.dataset.parcel(at, worker)? else { return Ok(None) };
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
        while let Some(result) = self.waiting.remove(&self.emitted) {
            self.waiting_bytes -= result.len() as u64;
            let number = self.dataset.table.borrow().entries[self.emitted].parcel.number;
            match self.dataset.job.account.io(|| (self.sink)(number, result)) {
                Err(Error::Stopped) => {
                    self.stopped = true;
                    return Ok(());
                }
                taken => taken?,
            }
            self.emitted += 1;
        }
        Ok(())
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

//! Checkpoints as a running job sees them: stages that can be gone on with, and when to save or to stop.
//!
//! A job that is to be resumed says once what decides its result ([`Checkpoint::begin`]). It then goes through stages, the
//! same ones in the same order in every run, each of which adds records to the journal and finds those of an earlier run.
//! The dispatcher alone reads and writes ([`crate::store::checkpoint`]) and alone decides, by its clock and by the signals
//! it gets; the others are told at the end of a round ([`Stage::decide`]). When a checkpoint is made changes no result.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::job::Job;
use crate::comm::Route;
use crate::error::{Error, Result};
use crate::linalg::{Simd, back_end};
use crate::store::checkpoint::{Folder, Record, Saved, forget_unfinished, note_unfinished};

/// Set by a signal: the job is to save what it has and stop.
static STOP: AtomicBool = AtomicBool::new(false);

/// What checkpoints may cost: the next one is not made before the job has run this many times as long as all of them take,
/// with what the next is likely to.
const COST_RATIO: u32 = 50;

/// What a job may lose all the same: a state so large that saving it always costs more is saved after this long without.
const LONGEST: Duration = Duration::from_secs(600);

/// From now on the job stops at its next checkpoint.
pub fn ask_to_stop() {
    STOP.store(true, Ordering::Relaxed);
}

/// Where and how often.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointSpec {
    /// The folder.
    pub folder: PathBuf,
    /// Go on from what is there.
    pub resume: bool,
    /// Shortest time between two checkpoints; zero makes one after every round, whatever it costs.
    pub every: Duration,
}

/// The checkpoints of a job on one rank.
pub struct Checkpoint {
    spec: CheckpointSpec,
    /// The job has said what it is.
    begun: Cell<bool>,
    /// Stages entered so far.
    stages: Cell<u32>,
    /// The names of hidden files that outputs are written to stand in the folder.
    noted: Cell<bool>,
    /// On the dispatcher, once begun.
    open: RefCell<Option<Open>>,
}

struct Open {
    folder: Folder,
    saved: Option<Saved>,
    /// When the last checkpoint was made, or the job began.
    last: Instant,
    /// When the job began.
    begun: Instant,
    /// Checkpoints made, and what making them has cost beside writing.
    made: u32,
    made_in: Duration,
}

impl Open {
    /// Whether a checkpoint with so many bytes more would leave the cost of all of them within its share.
    fn affords(&self, bytes: u64) -> bool {
        let next = self.folder.likely_cost(bytes) + self.made_in / self.made.max(1);
        self.begun.elapsed() >= COST_RATIO * (self.folder.cost() + self.made_in + next)
    }
}

/// What is to be done at the end of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// Go on.
    Nothing,
    /// Make a checkpoint.
    Save,
    /// Make a checkpoint and leave.
    Stop,
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        // A job that was refused before it began leaves no folder.
        if self.noted.get() && !self.begun.get() {
            forget_unfinished(&self.spec.folder);
        }
    }
}

impl Checkpoint {
    /// Checkpoints of a job that has not begun.
    pub fn new(spec: CheckpointSpec) -> Self {
        Checkpoint {
            spec,
            begun: Cell::default(),
            stages: Cell::default(),
            noted: Cell::default(),
            open: RefCell::default(),
        }
    }

    /// Opens the folder on the dispatcher. `identity` is what decides the result of the job: command, version, parameters as they take
    /// effect, checksums of the inputs.
    pub fn begin(&self, job: &Job, identity: impl FnOnce() -> Result<Value>) -> Result<()> {
        self.begun.set(true);
        if !job.is_dispatcher() {
            return Ok(());
        }
        let mut identity = identity()?;
        // Those who round otherwise would give a result that no run left alone gives.
        let kernels = if Simd::detect() == Simd::Portable { "portable" } else { "fused" };
        identity["arithmetic"] = json!({ "kernels": kernels, "dense": back_end().name });
        let (folder, saved) = job.account.io(|| Folder::open(&self.spec.folder, self.spec.resume, &identity))?;
        let place = self.spec.folder.display();
        match (&saved, self.spec.resume) {
            (Some(_), _) => log::info!("{place}: going on from the checkpoint"),
            (None, true) => log::info!("{place}: no checkpoint there: starting from the beginning"),
            (None, false) => {}
        }
        *self.open.borrow_mut() =
            Some(Open { folder, saved, last: Instant::now(), begun: Instant::now(), made: 0, made_in: Duration::ZERO });
        Ok(())
    }

    /// Notes a hidden file that an output is going to be written to, in the folder, which is made if it is not there.
    pub(super) fn note_unfinished(&self, temporary: &Path) -> Result<()> {
        self.noted.set(true);
        note_unfinished(&self.spec.folder, temporary)
    }

    /// Waits until what was saved is on disk: for a job that stops.
    pub fn close(&self) -> Result<()> {
        self.open.take().map_or(Ok(()), |open| open.folder.close())
    }

    /// The job is done: nothing is left to go on from.
    pub fn finish(&self) -> Result<()> {
        self.open.take().map_or(Ok(()), |open| open.folder.finish())
    }

    /// Dispatcher: what is to be done now, when a checkpoint adds so many bytes to what was added before. `insist`: whatever
    /// it costs.
    fn due(&self, bytes: u64, insist: bool) -> Decision {
        if STOP.load(Ordering::Relaxed) {
            return Decision::Stop;
        }
        let due = self.open.borrow().as_ref().is_some_and(|open| {
            let since = open.last.elapsed();
            let worth = insist || open.affords(bytes) || since >= LONGEST;
            self.spec.every.is_zero() || since >= self.spec.every && worth
        });
        if due { Decision::Save } else { Decision::Nothing }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Open) -> Result<T>) -> Result<T> {
        let mut open = self.open.borrow_mut();
        work(open.as_mut().ok_or_else(|| Error::failed("checkpoints are made by the dispatcher; please report it"))?)
    }
}

/// A step of a job that can be gone on with.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    checkpoint: &'a Checkpoint,
    number: u32,
}

impl<'a> Stage<'a> {
    /// The next stage of the job; none where no checkpoints are made. All ranks enter the same stages in the same order.
    pub fn enter(job: &Job<'a>) -> Option<Stage<'a>> {
        let checkpoint = job.checkpoint.filter(|checkpoint| checkpoint.begun.get())?;
        let number = checkpoint.stages.replace(checkpoint.stages.get() + 1);
        Some(Stage { checkpoint, number })
    }

    /// Dispatcher: the records of this stage that an earlier run has left, in order.
    pub fn records(&self) -> Vec<Record> {
        let open = self.checkpoint.open.borrow();
        let records = open.as_ref().and_then(|open| open.saved.as_ref()).map(Saved::records).unwrap_or_default();
        records.iter().filter(|record| record.stage == self.number).copied().collect()
    }

    /// Dispatcher: the bytes of a record.
    pub fn read(&self, record: &Record) -> Result<Vec<u8>> {
        self.checkpoint.with(|open| match &open.saved {
            Some(saved) => saved.read(record),
            None => Err(Error::failed("there is no checkpoint to read; please report it")),
        })
    }

    /// Dispatcher: adds a record.
    pub fn append(&self, kind: u32, bytes: Vec<u8>) -> Result<()> {
        self.checkpoint.with(|open| open.folder.append(self.number, kind, bytes))
    }

    /// Dispatcher: what was added to this stage so far is no longer needed.
    pub fn restart(&self) -> Result<()> {
        self.checkpoint.with(|open| open.folder.restart(self.number))
    }

    /// Makes a checkpoint of so many bytes after a round if the dispatcher wants one: `save` adds what it is made of.
    /// Collective, but for the bytes, which are the dispatcher's. [`Error::Stopped`] when the job is to stop.
    pub fn save_if_due(&self, job: &Job, bytes: u64, save: impl FnOnce() -> Result<()>) -> Result<()> {
        let decision = self.decide(job, bytes)?;
        if decision == Decision::Nothing {
            return Ok(());
        }
        let begun = Instant::now();
        let _phase = job.account.enter_phase("checkpoint");
        save()?;
        if job.is_dispatcher() {
            self.commit(begun)?;
        }
        if decision == Decision::Stop { Err(Error::Stopped) } else { Ok(()) }
    }

    /// Dispatcher: makes everything added so far a checkpoint; `begun` is when the making began.
    fn commit(&self, begun: Instant) -> Result<()> {
        self.checkpoint.with(|open| {
            open.folder.commit()?;
            open.last = Instant::now();
            open.made += 1;
            open.made_in += begun.elapsed();
            Ok(())
        })
    }

    /// Dispatcher: whether a result of so many bytes, which could be worked out again, is worth a record. One that fits into
    /// what checkpoints may cost is; any is to a job that was interrupted before, which has to come to its end in pieces, and
    /// to one that saves without regard to cost.
    pub fn is_worth(&self, bytes: usize) -> bool {
        let open = self.checkpoint.open.borrow();
        let affords = open.as_ref().is_some_and(|open| open.affords(bytes as u64));
        affords || self.insists()
    }

    fn insists(&self) -> bool {
        self.checkpoint.spec.every.is_zero()
            || self.checkpoint.open.borrow().as_ref().is_some_and(|open| open.saved.is_some())
    }

    /// Dispatcher, where what has to be saved was added already: makes a checkpoint if it is time; [`Error::Stopped`] when
    /// the job is to stop.
    pub fn commit_if_due(&self) -> Result<()> {
        let decision = self.checkpoint.due(0, self.insists());
        if decision != Decision::Nothing {
            self.commit(Instant::now())?;
        }
        if decision == Decision::Stop { Err(Error::Stopped) } else { Ok(()) }
    }

    /// What the dispatcher wants all ranks to do now; a checkpoint would be of so many bytes.
    fn decide(&self, job: &Job, bytes: u64) -> Result<Decision> {
        let message = job.share(|| Ok(vec![self.checkpoint.due(bytes, false) as u8]))?;
        match message[..] {
            [code] if code == Decision::Nothing as u8 => Ok(Decision::Nothing),
            [code] if code == Decision::Save as u8 => Ok(Decision::Save),
            [code] if code == Decision::Stop as u8 => Ok(Decision::Stop),
            _ => Err(Error::failed("damaged message on a checkpoint")),
        }
    }

    /// Ends a step in which the dispatcher alone may have stopped: all ranks stop if it has. Collective.
    pub fn agree<T>(&self, job: &Job, ended: Result<T>) -> Result<T> {
        let result = match ended {
            Err(Error::Stopped) => None,
            ended => Some(ended?),
        };
        let stopped = job.wait(job.comm.broadcast(Route::World, vec![u8::from(result.is_none())]))?;
        result.filter(|_| stopped != [1]).ok_or(Error::Stopped)
    }
}

/// Results of chunks or tasks in the journal. A record's kind is the position of its chunk or task.
pub(super) struct Worked<'a> {
    /// None where no checkpoints are made, and on workers.
    stage: Option<Stage<'a>>,
    /// What an earlier run has left.
    records: BTreeMap<u32, Record>,
}

impl<'a> Worked<'a> {
    /// Finds what an earlier run has left in a stage.
    fn find(stage: Option<Stage<'a>>) -> Self {
        let records = stage.iter().flat_map(Stage::records).map(|record| (record.kind, record)).collect();
        Worked { stage, records }
    }

    /// Enters a stage for `work`, which goes on from what an earlier run has left of it. Collective: when the dispatcher
    /// stops, which alone hears that it is to, all do.
    pub(super) fn go_on<T>(job: &Job<'a>, work: impl FnOnce(&Worked) -> Result<T>) -> Result<T> {
        let Some(stage) = Stage::enter(job) else { return work(&Worked::find(None)) };
        stage.agree(job, work(&Worked::find(job.is_dispatcher().then_some(stage))))
    }

    /// What an earlier run has left of it.
    pub(super) fn record(&self, at: usize) -> Option<&Record> {
        self.records.get(&u32::try_from(at).ok()?)
    }

    /// The result, if it is there.
    pub(super) fn result(&self, at: usize) -> Result<Option<Vec<u8>>> {
        let Some((stage, record)) = self.stage.as_ref().zip(self.record(at)) else { return Ok(None) };
        stage.read(record).map(Some)
    }

    /// Adds a result, if it is worth it.
    pub(super) fn keep(&self, at: usize, result: &[u8]) -> Result<()> {
        match (&self.stage, u32::try_from(at)) {
            (Some(stage), Ok(kind)) if stage.is_worth(result.len()) => stage.append(kind, result.to_vec()),
            _ => Ok(()),
        }
    }

    /// Makes a checkpoint if it is time; [`Error::Stopped`] when the job is to stop.
    pub(super) fn commit_if_due(&self) -> Result<()> {
        self.stage.as_ref().map_or(Ok(()), Stage::commit_if_due)
    }

    /// Refuses records behind the last.
    pub(super) fn fits(&self, chunks: usize) -> Result<()> {
        match self.records.keys().next_back() {
            Some(&last) if last as usize >= chunks => Err(Error::failed("a checkpoint of more results than there are")),
            _ => Ok(()),
        }
    }
}

/// What `compute` gives the dispatcher, as bytes, computed once and kept for later runs. Collective.
pub fn once(job: &Job, compute: impl FnOnce() -> Result<Option<Vec<u8>>>) -> Result<Option<Vec<u8>>> {
    let Some(stage) = Stage::enter(job) else { return compute() };
    let record = if job.is_dispatcher() { stage.records().first().copied() } else { None };
    if job.share(|| Ok(vec![u8::from(record.is_some())]))? == [1] {
        return record.map(|record| stage.read(&record)).transpose();
    }
    let value = compute()?;
    let ended = match &value {
        Some(bytes) if stage.is_worth(bytes.len()) => {
            stage.append(0, bytes.clone()).and_then(|()| stage.commit_if_due())
        }
        Some(_) => stage.commit_if_due(),
        None => Ok(()),
    };
    stage.agree(job, ended)?;
    Ok(value)
}

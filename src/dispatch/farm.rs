//! farm: independent tasks over shared data.
//!
//! The data is broadcast once. Tasks are handed out longest first, each worker holding one message of them in work and one in
//! reserve, so that the time of a message is hidden behind a task. Short tasks travel many in a message, for what a message costs,
//! some hundred microseconds with the sleep of a dispatcher that does not burn a core, would else be most of their time; how many
//! follows from the seconds that the last ones took, and never so many that others would be left without. Results come back keyed by
//! task, so how they travelled changes nothing. Where checkpoints are
//! made, they go to the journal, as many of them as may be had for what checkpoints may cost; a later run finds them there.

use std::collections::VecDeque;
use std::time::Instant;

use super::checkpoint::Worked;
use super::job::Job;
use super::mend::{mend, rejoin};
use crate::comm::{Comm, Idle, Started, Tag};
use crate::error::{Error, Result};

/// Seconds of work that go into one message where tasks are shorter than that.
const MESSAGE_SECONDS: f64 = 2e-3;
/// Most tasks of a message.
const MESSAGE_TASKS: usize = 1024;

/// Messages of tasks a worker holds at a time: one in work, one on its way.
pub(super) const AHEAD: usize = 2;

/// Dispatcher side of handing out: who gets what next, and what to do with an answer.
pub(super) trait Tasks {
    /// The next task for this worker, or none at present.
    fn next(&mut self, worker: usize) -> Result<Option<Vec<u8>>>;
    /// Whether there is room for the next answer of this worker; it is asked for then.
    fn accepts(&mut self, _worker: usize) -> bool {
        true
    }
    /// An answer of this worker; answers of one worker come in the order of its tasks.
    fn answer(&mut self, worker: usize, answer: Vec<u8>) -> Result<()>;
    /// This worker has died: what it was given and has not answered is to be given to others. `asked`: an answer of it had
    /// been asked for.
    fn lost(&mut self, worker: usize, asked: bool);
    /// Everything has been answered.
    fn finished(&self) -> bool;
}

/// What the dispatcher has under way with one worker.
#[derive(Default)]
struct Dealings<'a> {
    sends: VecDeque<Started<'a, ()>>,
    answer: Option<Started<'a, Vec<u8>>>,
    /// There was room for the next answer.
    asked: bool,
    /// Tasks without an answer.
    open: usize,
    dead: bool,
}

/// Hands out tasks until all are answered. Runs on the dispatcher, while the workers [`serve`]. The tasks of a worker that
/// dies are given to others, who do not notice; they are numbered anew at the end. With `mends` unset a loss ends it.
pub(super) fn hand_out(job: &Job, tasks: &mut dyn Tasks, mends: bool) -> Result<()> {
    let comm: &dyn Comm = job.comm;
    let mut workers: Vec<Dealings<'_>> = (0..job.workers()).map(|_| Dealings::default()).collect();
    let mut idle = Idle::default();
    while !tasks.finished() {
        let mut moved = false;
        for (worker, dealings) in workers.iter_mut().enumerate().filter(|(_, dealings)| !dealings.dead) {
            // Who has nothing to do dies unheard otherwise.
            let dealt = if comm.is_lost(worker + 1) { Err(Error::Lost) } else { deal(job, worker, dealings, tasks) };
            match dealt {
                Ok(progress) => moved |= progress,
                // One that lives has gone back to wait for an order: it died for everybody before this began.
                Err(Error::Lost) if mends && comm.is_lost(worker + 1) => {
                    let asked = dealings.asked;
                    *dealings = Dealings { dead: true, ..Dealings::default() };
                    tasks.lost(worker, asked);
                    moved = true;
                }
                Err(error) => return Err(error),
            }
        }
        if workers.iter().all(|worker| worker.dead) {
            return Err(Error::Lost);
        }
        if moved { idle.reset() } else { job.account.waiting(|| idle.sleep()) }
    }
    if mends && (1..=workers.len()).any(|worker| comm.is_lost(worker)) {
        // The order ends the work of those that live, too.
        return mend(comm).map(drop);
    }
    let ends: Vec<_> = (1..=workers.len()).map(|worker| Started::new(comm.send(worker, Tag::Task, vec![0]))).collect();
    for send in workers.into_iter().flat_map(|worker| worker.sends).chain(ends) {
        job.finish(send)?;
    }
    Ok(())
}

/// Does with one worker what can be done at once; true if that was something.
fn deal<'a>(job: &Job<'a>, worker: usize, dealings: &mut Dealings<'a>, tasks: &mut dyn Tasks) -> Result<bool> {
    let comm = job.comm;
    let mut moved = false;
    while dealings.open < AHEAD {
        let Some(task) = tasks.next(worker)? else { break };
        // A leading 1 tells a task from the end of all tasks.
        let mut message = Vec::with_capacity(task.len() + 1);
        message.push(1);
        message.extend_from_slice(&task);
        dealings.sends.push_back(Started::new(comm.send(worker + 1, Tag::Task, message)));
        dealings.open += 1;
        moved = true;
    }
    if dealings.open > 0 && (dealings.asked || tasks.accepts(worker)) {
        dealings.asked = true;
        let answer = dealings.answer.get_or_insert_with(|| Started::new(comm.receive(worker + 1, Tag::Answer)));
        if answer.test() {
            let answer = dealings.answer.take().map_or(Err(Error::Aborted), |answer| job.finish(answer))?;
            dealings.asked = false;
            tasks.answer(worker, answer)?;
            dealings.open -= 1;
            moved = true;
        }
    }
    while dealings.sends.front_mut().is_some_and(Started::test) {
        if let Some(send) = dealings.sends.pop_front() {
            job.finish(send)?;
        }
    }
    Ok(moved)
}

/// Works on tasks until there are no more. Runs on the workers.
pub(super) fn serve(job: &Job, run: impl FnMut(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    match work(job, run) {
        // The dispatcher has all answers, and goes on without those that died on the way.
        Err(Error::Lost) => rejoin(job.comm, &[1]),
        done => done,
    }
}

fn work(job: &Job, mut run: impl FnMut(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    let comm = job.comm;
    let mut answers: VecDeque<Started<'_, ()>> = VecDeque::new();
    let mut next = Started::new(comm.receive(0, Tag::Task));
    loop {
        let message = job.finish(next)?;
        let Some((1, task)) = message.split_first() else { break };
        next = Started::new(comm.receive(0, Tag::Task));
        let answer = run(task)?;
        next.test();
        answers.push_back(Started::new(comm.send(0, Tag::Answer, answer)));
        while answers.len() > AHEAD {
            if let Some(answer) = answers.pop_front() {
                job.finish(answer)?;
            }
        }
    }
    answers.into_iter().try_for_each(|answer| job.finish(answer))
}

/// Runs independent tasks, each a byte string with its expected cost, and returns their results in the order of the
/// tasks on the dispatcher (none elsewhere). Collective; only the dispatcher's `tasks` count. Workers that die on the way
/// cost their unfinished tasks only; ranks may be numbered anew afterwards.
pub fn farm(
    job: &Job,
    tasks: Vec<(f64, Vec<u8>)>,
    mut run: impl FnMut(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<Vec<u8>>> {
    Worked::go_on(job, |kept| farm_but(job, tasks, kept, &mut run))
}

/// [`farm`], of which the dispatcher has some results already.
fn farm_but(
    job: &Job,
    tasks: Vec<(f64, Vec<u8>)>,
    kept: &Worked,
    run: &mut impl FnMut(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<Vec<u8>>> {
    if job.distributed() && !job.is_dispatcher() {
        serve(job, |message| {
            let begun = Instant::now();
            let results: Vec<Vec<u8>> =
                unpack(message)?.into_iter().map(|task| job.account.compute(|| run(task))).collect::<Result<_>>()?;
            let mut answer = begun.elapsed().as_secs_f64().to_le_bytes().to_vec();
            pack(&mut answer, results.iter().map(Vec::as_slice));
            Ok(answer)
        })?;
        return Ok(Vec::new());
    }
    kept.fits(tasks.len())?;
    if !job.distributed() {
        let result = |(at, (_, task)): (usize, &(f64, Vec<u8>))| {
            if let Some(result) = job.account.io(|| kept.result(at))? {
                return Ok(result);
            }
            let result = job.account.compute(|| run(task))?;
            job.account.io(|| kept.keep(at, &result).and_then(|()| kept.commit_if_due()))?;
            Ok(result)
        };
        return tasks.iter().enumerate().map(result).collect();
    }
    let results: Vec<Option<Vec<u8>>> = (0..tasks.len()).map(|at| kept.result(at)).collect::<Result<_>>()?;
    let mut order: Vec<usize> = (0..tasks.len()).filter(|&at| results[at].is_none()).collect();
    order.sort_by(|&a, &b| tasks[b].0.total_cmp(&tasks[a].0));
    let mut list = LongestFirst {
        job,
        kept,
        results,
        tasks,
        open: order.len(),
        order: order.into(),
        given: vec![VecDeque::new(); job.workers()],
        seconds: None,
        stopped: false,
    };
    hand_out(job, &mut list, true)?;
    if list.stopped { Err(Error::Stopped) } else { Ok(list.results.into_iter().flatten().collect()) }
}

/// Puts byte strings into a message, each behind its length.
fn pack<'a>(message: &mut Vec<u8>, parts: impl Iterator<Item = &'a [u8]>) {
    for part in parts {
        message.extend_from_slice(&(part.len() as u64).to_le_bytes());
        message.extend_from_slice(part);
    }
}

/// Undoes [`pack`].
fn unpack(mut message: &[u8]) -> Result<Vec<&[u8]>> {
    let damaged = || Error::failed("damaged message of tasks");
    let mut parts = Vec::new();
    while !message.is_empty() {
        let (length, rest) = message.split_first_chunk::<8>().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (part, rest) = rest.split_at_checked(length).ok_or_else(damaged)?;
        parts.push(part);
        message = rest;
    }
    Ok(parts)
}

struct LongestFirst<'a> {
    job: &'a Job<'a>,
    kept: &'a Worked<'a>,
    tasks: Vec<(f64, Vec<u8>)>,
    order: VecDeque<usize>,
    /// Of each worker the messages it has, as tasks by number.
    given: Vec<VecDeque<Vec<usize>>>,
    /// Seconds that a task of the last message took.
    seconds: Option<f64>,
    results: Vec<Option<Vec<u8>>>,
    open: usize,
    /// No more is handed out: answers that are still due go by unused.
    stopped: bool,
}

impl LongestFirst<'_> {
    /// How many tasks the next message has: enough of them to be worth it, and at most half a share of what is left.
    fn together(&self) -> usize {
        let left = self.order.len();
        let share = left / (2 * AHEAD * self.given.len());
        let wanted = self.seconds.map_or(1, |seconds| (MESSAGE_SECONDS / seconds.max(1e-9)) as usize);
        wanted.min(MESSAGE_TASKS).min(share).max(1).min(left)
    }
}

impl Tasks for LongestFirst<'_> {
    fn next(&mut self, worker: usize) -> Result<Option<Vec<u8>>> {
        if self.stopped {
            return Ok(None);
        }
        let batch: Vec<usize> = self.order.drain(..self.together()).collect();
        if batch.is_empty() {
            return Ok(None);
        }
        let mut message = Vec::new();
        pack(&mut message, batch.iter().map(|&at| self.tasks[at].1.as_slice()));
        self.given[worker].push_back(batch);
        Ok(Some(message))
    }

    fn answer(&mut self, worker: usize, answer: Vec<u8>) -> Result<()> {
        let batch = self.given[worker].pop_front().ok_or_else(|| Error::failed("an answer without a task"))?;
        if self.stopped {
            return Ok(());
        }
        let damaged = || Error::failed("damaged answer to tasks");
        let (seconds, results) = answer.split_first_chunk::<8>().ok_or_else(damaged)?;
        let results = unpack(results)?;
        if results.len() != batch.len() {
            return Err(damaged());
        }
        self.seconds = Some(f64::from_le_bytes(*seconds) / batch.len() as f64);
        for (&at, result) in batch.iter().zip(results) {
            self.job.account.io(|| self.kept.keep(at, result))?;
            self.results[at] = Some(result.to_vec());
            self.tasks[at].1 = Vec::new();
            self.open -= 1;
        }
        match self.job.account.io(|| self.kept.commit_if_due()) {
            Err(Error::Stopped) => self.stopped = true,
            kept => kept?,
        }
        Ok(())
    }

    fn lost(&mut self, worker: usize, _: bool) {
        while let Some(batch) = self.given[worker].pop_back() {
            batch.into_iter().rev().for_each(|at| self.order.push_front(at));
        }
    }

    fn finished(&self) -> bool {
        if self.stopped { self.given.iter().all(VecDeque::is_empty) } else { self.open == 0 }
    }
}

//! farm: independent tasks over shared data.
//!
//! The data is broadcast once. Tasks are handed out longest first, each worker holding one in work and one in
//! reserve, so that the time of a message is hidden behind a task. Results come back keyed by task.

use std::collections::VecDeque;

use super::Job;
use crate::comm::{Comm, Idle, Started, Tag};
use crate::error::{Error, Result};

/// Tasks a worker holds at a time: one in work, one on its way.
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
    /// Everything has been answered.
    fn finished(&self) -> bool;
}

/// Hands out tasks until all are answered. Runs on the dispatcher, while the workers [`serve`].
pub(super) fn hand_out(job: &Job, tasks: &mut dyn Tasks) -> Result<()> {
    let comm: &dyn Comm = job.comm;
    let workers = job.workers();
    let mut sends: Vec<VecDeque<Started<'_, ()>>> = (0..workers).map(|_| VecDeque::new()).collect();
    let mut answers: Vec<Option<Started<'_, Vec<u8>>>> = (0..workers).map(|_| None).collect();
    let mut open = vec![0usize; workers];
    let mut idle = Idle::default();
    while !tasks.finished() {
        let mut moved = false;
        for worker in 0..workers {
            while open[worker] < AHEAD {
                let Some(task) = tasks.next(worker)? else { break };
                // A leading 1 tells a task from the end of all tasks.
                let mut message = Vec::with_capacity(task.len() + 1);
                message.push(1);
                message.extend_from_slice(&task);
                sends[worker].push_back(Started::new(comm.send(worker + 1, Tag::Task, message)));
                open[worker] += 1;
                moved = true;
            }
            if open[worker] > 0 && (answers[worker].is_some() || tasks.accepts(worker)) {
                let answer = answers[worker].get_or_insert_with(|| Started::new(comm.receive(worker + 1, Tag::Answer)));
                if answer.test() {
                    let answer = answers[worker].take().map_or(Err(Error::Aborted), |answer| job.finish(answer))?;
                    tasks.answer(worker, answer)?;
                    open[worker] -= 1;
                    moved = true;
                }
            }
            while sends[worker].front_mut().is_some_and(Started::test) {
                if let Some(send) = sends[worker].pop_front() {
                    job.finish(send)?;
                }
            }
        }
        if moved { idle.reset() } else { job.account.waiting(|| idle.sleep()) }
    }
    let ends: Vec<_> = (0..workers).map(|worker| Started::new(comm.send(worker + 1, Tag::Task, vec![0]))).collect();
    for send in sends.into_iter().flatten().chain(ends) {
        job.finish(send)?;
    }
    Ok(())
}

/// Works on tasks until there are no more. Runs on the workers.
pub(super) fn serve(job: &Job, mut run: impl FnMut(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
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
/// tasks on the dispatcher (none elsewhere). Collective; only the dispatcher's `tasks` count.
pub fn farm(
    job: &Job,
    tasks: Vec<(f64, Vec<u8>)>,
    mut run: impl FnMut(&[u8]) -> Result<Vec<u8>>,
) -> Result<Vec<Vec<u8>>> {
    if !job.distributed() {
        return tasks.iter().map(|(_, task)| job.account.compute(|| run(task))).collect();
    }
    if !job.is_dispatcher() {
        serve(job, |task| job.account.compute(|| run(task)))?;
        return Ok(Vec::new());
    }
    let mut order: Vec<usize> = (0..tasks.len()).collect();
    order.sort_by(|&a, &b| tasks[b].0.total_cmp(&tasks[a].0));
    let mut list = LongestFirst {
        results: tasks.iter().map(|_| None).collect(),
        tasks,
        order: order.into(),
        given: vec![VecDeque::new(); job.workers()],
        open: 0,
    };
    list.open = list.tasks.len();
    hand_out(job, &mut list)?;
    Ok(list.results.into_iter().flatten().collect())
}

struct LongestFirst {
    tasks: Vec<(f64, Vec<u8>)>,
    order: VecDeque<usize>,
    given: Vec<VecDeque<usize>>,
    results: Vec<Option<Vec<u8>>>,
    open: usize,
}

impl Tasks for LongestFirst {
    fn next(&mut self, worker: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.order.pop_front().map(|at| {
            self.given[worker].push_back(at);
            std::mem::take(&mut self.tasks[at].1)
        }))
    }

    fn answer(&mut self, worker: usize, answer: Vec<u8>) -> Result<()> {
        let at = self.given[worker].pop_front().ok_or_else(|| Error::failed("an answer without a task"))?;
        self.results[at] = Some(answer);
        self.open -= 1;
        Ok(())
    }

    fn finished(&self) -> bool {
        self.open == 0
    }
}

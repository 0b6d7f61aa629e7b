//! Collectives of the workers one after the other, under way while other work is done.
//!
//! A route takes one collective at a time, in the same order everywhere. What is to be exchanged is therefore put into a
//! queue; the one in front is moved on whenever somebody has a moment, and results wait until they are asked for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::exchange::Sums;
use crate::comm::{Pending, Started};
use crate::dispatch::Job;
use crate::error::Result;

/// How long a collective is looked at without sleeping.
const BUSY: Duration = Duration::from_millis(20);

/// What came of a collective.
pub enum Reply {
    /// The terms of a step and their tokens, from each worker.
    Terms(Vec<Vec<u8>>),
    /// Sums of words.
    Sums(Sums),
}

/// Collectives in their order.
#[derive(Default)]
pub struct Lane<'a> {
    running: Option<Started<'a, Reply>>,
    waiting: VecDeque<Pending<'a, Reply>>,
    terms: VecDeque<Vec<Vec<u8>>>,
    sums: VecDeque<Sums>,
}

impl<'a> Lane<'a> {
    /// Puts a collective at the end, and starts it if it is alone.
    pub fn push(&mut self, pending: Pending<'a, Reply>) {
        self.waiting.push_back(pending);
        if self.running.is_none() {
            self.start();
        }
    }

    fn start(&mut self) {
        self.running = self.waiting.pop_front().map(Started::new);
    }

    /// Moves the collective in front on, without waiting.
    pub fn test(&mut self) {
        if let Some(running) = &mut self.running {
            running.test();
        }
    }

    /// Waits for the collective in front.
    fn step(&mut self, job: &Job) -> Result<bool> {
        let Some(mut running) = self.running.take() else { return Ok(false) };
        // Megabytes go through shared memory in small pieces, of which each look moves some on: sleeping between looks would
        // take longer than the copying. Whoever else wants the core gets it.
        job.account.waiting(|| {
            let begun = Instant::now();
            while !running.test() && begun.elapsed() < BUSY {
                std::thread::yield_now();
            }
        });
        match job.finish(running)? {
            Reply::Terms(terms) => self.terms.push_back(terms),
            Reply::Sums(sums) => self.sums.push_back(sums),
        }
        self.start();
        Ok(true)
    }

    /// The next terms; empty if none were asked for.
    pub fn terms(&mut self, job: &Job) -> Result<Vec<Vec<u8>>> {
        while self.terms.is_empty() && self.step(job)? {}
        Ok(self.terms.pop_front().unwrap_or_default())
    }

    /// The next sums; none if they were not asked for.
    pub fn sums(&mut self, job: &Job) -> Result<Option<Sums>> {
        while self.sums.is_empty() && self.step(job)? {}
        Ok(self.sums.pop_front())
    }

    /// Waits for all of them, so that the route is free for others.
    pub fn settle(&mut self, job: &Job) -> Result<()> {
        while self.step(job)? {}
        Ok(())
    }

    /// Sums that wait to be asked for.
    pub fn waiting_sums(&self) -> impl Iterator<Item = &[i64]> {
        self.sums.iter().map(Sums::words)
    }

    /// Puts sums there that an earlier run has got.
    pub fn put_back(&mut self, sums: Vec<i64>) {
        self.sums.push_back(Sums::Words(sums));
    }
}

//! Ranks as threads whose luck is bad, by a seeded plan: they die, stop and dawdle, and what they are sent comes late.
//!
//! A plan is a function of its seed. Time is counted in polls of a rank's own operations, so that a death can come between
//! any two steps of any collective. Collectives are those of `tree`, over the messages of this communicator, so that
//! faults strike inside them too. Messages of one sender and tag keep their order, as MPI promises; all others may
//! overtake each other, which delays of random length make them do.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use super::{Comm, Loss, Order, Pending, Route, Tag, Threads, Traffic, tree};
use crate::error::Result;
use crate::random::Stream;

/// How a rank ends before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It dies at this poll.
    Dies(u64),
    /// It stops at this poll, is thought dead after a while, and never comes back.
    Stops(u64),
}

/// What happens to the ranks of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    seed: u64,
    /// Of each rank, if it does not live to the end.
    pub fates: Vec<Option<Fate>>,
    /// Share of the messages that come late.
    late: f64,
    /// Most polls that such a message is late.
    delay: u64,
}

impl Plan {
    /// The plan of this seed for a job of so many ranks, whose workers end, if they do, within so many polls. The
    /// dispatcher lives.
    pub fn of(seed: u64, ranks: usize, polls: u64) -> Plan {
        let mut chance = Stream::new(seed, "plan of faults", 0);
        let deadly = [0.0, 0.3, 0.6, 1.0][chance.below(4) as usize];
        let fate = |rank: usize| {
            let (at, strikes, stops) = (chance.below(polls) + 1, chance.uniform() < deadly, chance.below(4) == 0);
            (rank > 0 && strikes).then_some(if stops { Fate::Stops(at) } else { Fate::Dies(at) })
        };
        let fates = (0..ranks).map(fate).collect();
        Plan { seed, fates, late: chance.uniform() * 0.5, delay: 1 + chance.below(6) }
    }
}

/// One rank of a job with bad luck.
pub struct Faulty<'t> {
    threads: &'t Threads,
    plan: &'t Plan,
    me: usize,
    polls: Cell<u64>,
    chance: RefCell<Stream>,
}

impl<'t> Faulty<'t> {
    /// A rank, right after the start of its job, to which the plan happens.
    pub fn new(threads: &'t Threads, plan: &'t Plan) -> Self {
        let me = threads.rank();
        let chance = RefCell::new(Stream::new(plan.seed, "delays", me as u64));
        Faulty { threads, plan, me, polls: Cell::new(0), chance }
    }

    /// Time passes.
    fn tick(&self) {
        self.polls.set(self.polls.get() + 1);
        match self.plan.fates[self.me] {
            Some(Fate::Dies(at)) if at <= self.polls.get() => self.threads.die(),
            Some(Fate::Stops(at)) if at <= self.polls.get() => {
                std::thread::sleep(Duration::from_millis(2));
                self.threads.give_up();
                self.threads.die()
            }
            _ => {}
        }
    }

    /// The operation, under the plan: its result may come late.
    fn under_plan<'a, T: 'a>(&'a self, mut operation: Pending<'a, T>) -> Pending<'a, T> {
        let mut chance = self.chance.borrow_mut();
        let mut late = if chance.uniform() < self.plan.late { chance.below(self.plan.delay) + 1 } else { 0 };
        drop(chance);
        let mut result = None;
        Box::pin(poll_fn(move |context| {
            self.tick();
            if result.is_none() {
                match operation.as_mut().poll(context) {
                    Poll::Ready(ready) => result = Some(ready),
                    Poll::Pending => return Poll::Pending,
                }
            }
            if late > 0 {
                late -= 1;
                return Poll::Pending;
            }
            result.take().map_or(Poll::Pending, Poll::Ready)
        }))
    }
}

impl Comm for Faulty<'_> {
    fn rank(&self) -> usize {
        self.threads.rank()
    }

    fn size(&self) -> usize {
        self.threads.size()
    }

    fn host(&self) -> &str {
        self.threads.host()
    }

    fn implementation(&self) -> &str {
        "ranks as threads, with faults"
    }

    fn traffic(&self) -> &Traffic {
        self.threads.traffic()
    }

    fn survives(&self) -> bool {
        true
    }

    fn members(&self) -> Vec<usize> {
        self.threads.members()
    }

    fn lost(&self) -> Vec<Loss> {
        self.threads.lost()
    }

    fn is_lost(&self, rank: usize) -> bool {
        self.threads.is_lost(rank)
    }

    fn generation(&self) -> usize {
        self.threads.generation()
    }

    fn regroup(&self, order: Order) -> Result<()> {
        self.threads.regroup(order)
    }

    fn next_order(&self) -> Result<Order> {
        self.tick();
        self.threads.next_order()
    }

    fn peek_order(&self) -> Result<Order> {
        self.tick();
        self.threads.peek_order()
    }

    fn send(&self, to: usize, tag: Tag, data: Vec<u8>) -> Pending<'_, ()> {
        self.under_plan(self.threads.send(to, tag, data))
    }

    fn receive(&self, from: usize, tag: Tag) -> Pending<'_, Vec<u8>> {
        self.under_plan(self.threads.receive(from, tag))
    }

    fn broadcast(&self, route: Route, data: Vec<u8>) -> Pending<'_, Vec<u8>> {
        tree::broadcast(self, route, data)
    }

    fn scatter(&self, route: Route, parts: Vec<Vec<u8>>) -> Pending<'_, Vec<u8>> {
        tree::scatter(self, route, parts)
    }

    fn gather(&self, route: Route, part: Vec<u8>) -> Pending<'_, Vec<Vec<u8>>> {
        tree::gather(self, route, part)
    }

    fn sum(&self, route: Route, values: Vec<i64>) -> Pending<'_, Vec<i64>> {
        tree::sum(self, route, values)
    }

    fn sum_scatter(&self, route: Route, values: Vec<i64>, counts: Vec<usize>) -> Pending<'_, Vec<i64>> {
        tree::sum_scatter(self, route, values, counts)
    }

    fn abort(&self, code: i32) -> ! {
        self.threads.abort(code)
    }
}

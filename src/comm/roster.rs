//! Who is alive, and what the dispatcher has told everybody to do about it.
//!
//! The dispatcher notices deaths and keeps the one list of them, in the order it noticed; a prefix of that list says
//! exactly who takes part, so that "after two losses" means the same on every rank. The list only grows. Beside it runs
//! a list of orders: what the living are to do next, and after how many losses. Both lists reach every rank in the
//! same order ([`super::liveness`] between processes, memory between threads).
//!
//! [`Crew`] is the view of one rank: it *adopts* losses only together with an order, never by itself. Until then an
//! operation that needs somebody who is dead, or everybody, ends with [`Error::Lost`], and the rank goes back to a
//! place where it can wait for the order. Every order begins a new *generation*; messages carry its number, so that
//! what was sent before a loss never meets a receive after it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use super::Pending;
use crate::error::{Error, Result};

/// How a death was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its connection was closed: the process is gone.
    Gone,
    /// It gave no sign of life for too long: stopped, or cut off.
    Silent,
    /// What it sent on its connection made no sense.
    Garbled,
}

impl Cause {
    #[cfg(feature = "mpi")]
    pub(super) const ALL: [Cause; 3] = [Cause::Gone, Cause::Silent, Cause::Garbled];

    /// In words, as the end of a sentence about a worker.
    pub fn words(self) -> &'static str {
        match self {
            Cause::Gone => "its process is gone",
            Cause::Silent => "it gave no sign of life within --worker-timeout",
            Cause::Garbled => "its messages made no sense",
        }
    }
}

/// A worker that takes no part any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Its number when the job started.
    pub rank: usize,
    /// How that was noticed.
    pub cause: Cause,
}

/// What the dispatcher wants the living to do after a loss, or at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Run the command again from its beginning.
    Again,
    /// Hand in the accounts again: the command itself is done.
    Report,
    /// Go on where you are, in the pass over the corpus that was interrupted.
    Mend,
    /// Everything is done.
    Leave,
}

impl Order {
    #[cfg(feature = "mpi")]
    pub(super) const ALL: [Order; 4] = [Order::Again, Order::Report, Order::Mend, Order::Leave];
}

#[derive(Default)]
struct Lists {
    lost: Vec<Loss>,
    /// Orders, each with the number of losses it takes into account.
    orders: Vec<(Order, usize)>,
}

/// The two lists, as far as they have reached this rank. Shared with the thread that keeps the connection.
pub(super) struct Roster {
    lists: Mutex<Lists>,
    changed: Condvar,
    losses: AtomicUsize,
    orders: AtomicUsize,
    dead: Vec<AtomicBool>,
    /// Dispatcher: one more than the generation in which a worker was last waiting for an order.
    waiting: Vec<AtomicUsize>,
}

impl Roster {
    /// Everybody is alive.
    pub(super) fn new(size: usize) -> Roster {
        Roster {
            lists: Mutex::default(),
            changed: Condvar::new(),
            losses: AtomicUsize::new(0),
            orders: AtomicUsize::new(0),
            dead: (0..size).map(|_| AtomicBool::new(false)).collect(),
            waiting: (0..size).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a loss; false when it was known, or is of a rank that there never was or that dispatches.
    pub(super) fn lose(&self, loss: Loss) -> bool {
        if loss.rank == 0 || loss.rank >= self.dead.len() || self.dead[loss.rank].swap(true, Ordering::AcqRel) {
            return false;
        }
        let mut lists = self.lists();
        lists.lost.push(loss);
        self.losses.store(lists.lost.len(), Ordering::Release);
        self.changed.notify_all();
        true
    }

    /// Adds an order.
    pub(super) fn order(&self, order: Order, losses: usize) {
        let mut lists = self.lists();
        lists.orders.push((order, losses));
        self.orders.store(lists.orders.len(), Ordering::Release);
        self.changed.notify_all();
    }

    /// A worker waits for the order after those of a generation: it takes no part in anything else before.
    pub(super) fn waits(&self, rank: usize, generation: usize) {
        if let Some(waiting) = self.waiting.get(rank) {
            waiting.store(generation.saturating_add(1), Ordering::Release);
        }
    }

    fn is_waiting(&self, rank: usize, generation: usize) -> bool {
        self.waiting[rank].load(Ordering::Acquire) > generation
    }

    pub(super) fn is_dead(&self, rank: usize) -> bool {
        self.dead[rank].load(Ordering::Acquire)
    }

    fn losses(&self) -> usize {
        self.losses.load(Ordering::Acquire)
    }

    fn orders(&self) -> usize {
        self.orders.load(Ordering::Acquire)
    }
}

/// The job as one rank takes part in it: which of those that were started count now.
pub(super) struct Crew {
    me: usize,
    pub(super) roster: Arc<Roster>,
    losses: Cell<usize>,
    generation: Cell<usize>,
    /// Numbers at the start of those that take part, in order.
    members: RefCell<Vec<usize>>,
    rank: Cell<usize>,
}

impl Crew {
    /// Rank `me` of a job that has just started with `size` ranks.
    pub(super) fn new(me: usize, size: usize, roster: Arc<Roster>) -> Crew {
        Crew {
            me,
            roster,
            losses: Cell::new(0),
            generation: Cell::new(0),
            members: RefCell::new((0..size).collect()),
            rank: Cell::new(me),
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.rank.get()
    }

    pub(super) fn size(&self) -> usize {
        self.members.borrow().len()
    }

    /// The number at the start of a present rank.
    pub(super) fn at_start(&self, rank: usize) -> usize {
        self.members.borrow()[rank]
    }

    pub(super) fn members(&self) -> Vec<usize> {
        self.members.borrow().clone()
    }

    /// How many orders this rank has followed.
    pub(super) fn generation(&self) -> usize {
        self.generation.get()
    }

    /// The losses this rank has adopted.
    pub(super) fn lost(&self) -> Vec<Loss> {
        self.roster.lists().lost[..self.losses.get()].to_vec()
    }

    /// The dispatcher gives an order after all losses so far, to be handed on to the others with their number.
    pub(super) fn regroup(&self, order: Order, losses: usize) {
        self.roster.order(order, losses);
        self.adopt(losses);
    }

    /// The losses known so far.
    pub(super) fn known_losses(&self) -> usize {
        self.roster.losses()
    }

    /// Waits for the next order. Fails when this rank is thought dead.
    pub(super) fn peek_order(&self, cut: impl Fn() -> bool) -> Result<Order> {
        self.await_order(cut).map(|(order, _)| order)
    }

    /// Waits for the next order and takes the losses it speaks of into account.
    pub(super) fn next_order(&self, cut: impl Fn() -> bool) -> Result<Order> {
        let (order, losses) = self.await_order(cut)?;
        self.adopt(losses);
        Ok(order)
    }

    fn await_order(&self, cut: impl Fn() -> bool) -> Result<(Order, usize)> {
        let mut lists = self.roster.lists();
        loop {
            if self.roster.is_dead(self.me) || cut() {
                return Err(Error::Aborted);
            }
            match lists.orders.get(self.generation.get()).copied() {
                Some((order, losses)) if lists.lost.len() >= losses => return Ok((order, losses)),
                _ => {}
            }
            let pause = std::time::Duration::from_millis(50);
            lists = self.roster.changed.wait_timeout(lists, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn adopt(&self, losses: usize) {
        let lists = self.roster.lists();
        let lost = &lists.lost[..losses];
        let mut members = self.members.borrow_mut();
        members.retain(|rank| lost.iter().all(|loss| loss.rank != *rank));
        self.rank.set(members.iter().position(|&rank| rank == self.me).unwrap_or(0));
        self.losses.set(losses);
        self.generation.set(self.generation.get() + 1);
    }

    /// An operation that needs everybody: it ends with [`Error::Lost`] as soon as somebody has died.
    pub(super) fn together<'a, T: 'a>(&'a self, operation: Pending<'a, T>) -> Pending<'a, T> {
        self.unless(move || self.roster.losses() > self.losses.get(), operation)
    }

    /// An operation between this rank and one other, given by its number at the start, that goes on whoever else dies.
    pub(super) fn between<'a, T: 'a>(&'a self, other: usize, operation: Pending<'a, T>) -> Pending<'a, T> {
        let generation = self.generation.get();
        // A worker that went back because somebody has died will not answer.
        let gone = move || self.roster.is_dead(other) || self.roster.is_waiting(other, generation);
        self.unless(gone, operation)
    }

    fn unless<'a, T: 'a>(&'a self, cut: impl Fn() -> bool + 'a, mut operation: Pending<'a, T>) -> Pending<'a, T> {
        // What begins in one generation does not go on in the next.
        let generation = self.generation.get();
        Box::pin(poll_fn(move |context| {
            if self.roster.orders() > generation || cut() {
                return Poll::Ready(Err(Error::Lost));
            }
            operation.as_mut().poll(context)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::Started;

    fn crew(me: usize) -> Crew {
        Crew::new(me, 4, Arc::new(Roster::new(4)))
    }

    fn never<'a>() -> Pending<'a, ()> {
        Box::pin(std::future::pending())
    }

    #[test]
    fn losses_count_when_an_order_says_so() {
        let crew = crew(3);
        assert!(crew.roster.lose(Loss { rank: 1, cause: Cause::Gone }));
        assert!(!crew.roster.lose(Loss { rank: 1, cause: Cause::Silent }), "known");
        assert!(!crew.roster.lose(Loss { rank: 0, cause: Cause::Gone }), "the dispatcher is no worker");
        assert!(!crew.roster.lose(Loss { rank: 4, cause: Cause::Gone }), "never was");
        assert_eq!((crew.rank(), crew.size()), (3, 4));
        crew.roster.lose(Loss { rank: 2, cause: Cause::Silent });
        crew.roster.order(Order::Again, 1);
        assert_eq!(crew.next_order(|| false), Ok(Order::Again));
        assert_eq!((crew.rank(), crew.size(), crew.at_start(1), crew.generation()), (2, 3, 2, 1));
        crew.roster.order(Order::Mend, 2);
        assert_eq!(crew.next_order(|| false), Ok(Order::Mend));
        assert_eq!((crew.rank(), crew.size(), crew.members()), (1, 2, vec![0, 3]));
    }

    #[test]
    fn the_dead_are_not_waited_for() {
        let crew = crew(0);
        let (mut all, mut with_1, mut with_2) = (
            Started::new(crew.together(never())),
            Started::new(crew.between(1, never())),
            Started::new(crew.between(2, never())),
        );
        assert!(!all.test() && !with_1.test() && !with_2.test());
        crew.roster.lose(Loss { rank: 2, cause: Cause::Gone });
        assert!(all.test() && !with_1.test() && with_2.test());
        assert_eq!(all.finish(), Err(Error::Lost));
        crew.regroup(Order::Again, 1);
        assert!(with_1.test(), "of an earlier generation");
        assert!(!Started::new(crew.together(never())).test());
    }

    #[test]
    fn who_is_thought_dead_gets_no_order() {
        let crew = crew(2);
        crew.roster.lose(Loss { rank: 2, cause: Cause::Silent });
        assert_eq!(crew.next_order(|| false), Err(Error::Aborted));
    }
}

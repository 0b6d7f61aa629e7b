//! N ranks as threads of one process: the communicator of the test suite. Its collectives are those of `tree`, so
//! testing with it tests the trees that take over when native collectives cannot be used.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::roster::{Cause, Crew, Loss, Order, Roster};
use super::wait::pause;
use super::{Comm, Pending, Route, Tag, Traffic, tree};
use crate::error::{Error, Result};

/// Messages under way to one rank, by sender, generation and tag.
type Mailbox = Mutex<HashMap<(usize, usize, Tag), VecDeque<Vec<u8>>>>;

struct Hub {
    boxes: Vec<Mailbox>,
    rosters: Vec<Arc<Roster>>,
    /// Held while losses and orders are told, so that all hear of both in the same order.
    telling: Mutex<()>,
    aborted: AtomicBool,
}

impl Hub {
    /// What the dispatcher's watch does between processes: the loss is told to all.
    fn lose(&self, rank: usize, cause: Cause) {
        if rank == 0 {
            self.aborted.store(true, Ordering::Release);
        }
        let _telling = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        for roster in &self.rosters {
            roster.lose(Loss { rank, cause });
        }
    }
}

/// What unwinds the thread of a rank that dies.
struct Killed;

/// One rank of a job whose ranks are threads.
pub struct Threads {
    crew: Crew,
    hub: Arc<Hub>,
    traffic: Traffic,
}

impl Threads {
    /// Runs `program` on `size` ranks and returns their results in the order of ranks. An error or panic of one rank
    /// ends the others with [`Error::Aborted`]; one that [dies](Threads::die) leaves [`Error::Lost`], and the others are
    /// told.
    pub fn run<T: Send>(size: usize, program: impl Fn(&Threads) -> Result<T> + Sync) -> Vec<Result<T>> {
        let boxes = (0..size).map(|_| Mailbox::default()).collect();
        let rosters = (0..size).map(|_| Arc::new(Roster::new(size))).collect();
        let hub = Arc::new(Hub { boxes, rosters, telling: Mutex::default(), aborted: AtomicBool::new(false) });
        std::thread::scope(|scope| {
            let ranks: Vec<_> = (0..size)
                .map(|rank| {
                    let (hub, program) = (hub.clone(), &program);
                    scope.spawn(move || {
                        let _raise = RaiseOnPanic(&hub);
                        let crew = Crew::new(rank, size, hub.rosters[rank].clone());
                        let threads = Threads { crew, hub: hub.clone(), traffic: Traffic::default() };
                        let run = std::panic::AssertUnwindSafe(|| program(&threads));
                        let result = match std::panic::catch_unwind(run) {
                            Ok(result) => result,
                            Err(payload) if (*payload).is::<Killed>() => {
                                hub.lose(rank, Cause::Gone);
                                return Err(Error::Lost);
                            }
                            Err(payload) => std::panic::resume_unwind(payload),
                        };
                        if result.is_err() && !hub.rosters[0].is_dead(rank) {
                            hub.aborted.store(true, Ordering::Release);
                        }
                        result
                    })
                })
                .collect();
            let join = |rank: std::thread::ScopedJoinHandle<'_, Result<T>>| rank.join().unwrap_or_else(panicked);
            ranks.into_iter().map(join).collect()
        })
    }

    /// Ends this rank on the spot, as SIGKILL ends a process: it says nothing to anybody.
    pub fn die(&self) -> ! {
        std::panic::resume_unwind(Box::new(Killed))
    }

    /// What the watch does about a rank that has been silent for too long: all others are told that it is dead.
    pub fn give_up(&self) {
        self.hub.lose(self.crew.at_start(self.crew.rank()), Cause::Silent);
    }
}

/// What is left of a rank that panicked: the words of the panic, where there are any.
fn panicked<T>(payload: Box<dyn Any + Send>) -> Result<T> {
    let words = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    Err(Error::failed(words.map_or("a rank panicked".to_owned(), |words| format!("a rank panicked: {words}"))))
}

/// Tells the other ranks when a panic unwinds this one.
struct RaiseOnPanic<'a>(&'a Hub);

impl Drop for RaiseOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.aborted.store(true, Ordering::Release);
        }
    }
}

impl Comm for Threads {
    fn rank(&self) -> usize {
        self.crew.rank()
    }

    fn size(&self) -> usize {
        self.crew.size()
    }

    fn host(&self) -> &str {
        "thread"
    }

    fn implementation(&self) -> &str {
        "ranks as threads"
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn survives(&self) -> bool {
        true
    }

    fn members(&self) -> Vec<usize> {
        self.crew.members()
    }

    fn lost(&self) -> Vec<Loss> {
        self.crew.lost()
    }

    fn is_lost(&self, rank: usize) -> bool {
        self.crew.roster.is_dead(self.crew.at_start(rank))
    }

    fn generation(&self) -> usize {
        self.crew.generation()
    }

    fn regroup(&self, order: Order) -> Result<()> {
        let _telling = self.hub.telling.lock().unwrap_or_else(PoisonError::into_inner);
        let losses = self.crew.known_losses();
        for roster in &self.hub.rosters[1..] {
            roster.order(order, losses);
        }
        self.crew.regroup(order, losses);
        Ok(())
    }

    fn peek_order(&self) -> Result<Order> {
        self.hub.rosters[0].waits(self.crew.at_start(self.rank()), self.crew.generation());
        self.crew.peek_order(|| self.hub.aborted.load(Ordering::Acquire))
    }

    fn next_order(&self) -> Result<Order> {
        self.peek_order()?;
        self.crew.next_order(|| self.hub.aborted.load(Ordering::Acquire))
    }

    fn send(&self, to: usize, tag: Tag, data: Vec<u8>) -> Pending<'_, ()> {
        let (from, to) = (self.crew.at_start(self.rank()), self.crew.at_start(to));
        let generation = self.crew.generation();
        let operation = Box::pin(async move {
            self.traffic.message_sent(data.len());
            let mut mailbox = self.hub.boxes[to].lock().unwrap_or_else(PoisonError::into_inner);
            mailbox.entry((from, generation, tag)).or_default().push_back(data);
            Ok(())
        });
        if tag.is_between_two() { self.crew.between(to, operation) } else { self.crew.together(operation) }
    }

    fn receive(&self, from: usize, tag: Tag) -> Pending<'_, Vec<u8>> {
        let (me, from) = (self.crew.at_start(self.rank()), self.crew.at_start(from));
        let generation = self.crew.generation();
        let operation = Box::pin(async move {
            loop {
                let waiting = {
                    let mut mailbox = self.hub.boxes[me].lock().unwrap_or_else(PoisonError::into_inner);
                    mailbox.get_mut(&(from, generation, tag)).and_then(VecDeque::pop_front)
                };
                if let Some(data) = waiting {
                    self.traffic.message_received(data.len());
                    return Ok(data);
                }
                if self.hub.aborted.load(Ordering::Acquire) {
                    return Err(Error::Aborted);
                }
                pause().await;
            }
        });
        if tag.is_between_two() { self.crew.between(from, operation) } else { self.crew.together(operation) }
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

    fn abort(&self, _: i32) -> ! {
        self.hub.aborted.store(true, Ordering::Release);
        std::panic::panic_any("rank aborted the job")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::wait;

    fn each<T: Send>(size: usize, program: impl Fn(&Threads) -> Result<T> + Sync) -> Vec<T> {
        Threads::run(size, program).into_iter().map(|result| result.expect("rank failed")).collect()
    }

    #[test]
    fn lanes_do_not_disturb_each_other() {
        each(3, |comm| {
            let feed = super::super::Started::new(comm.scatter(Route::Feed, vec![vec![1], vec![2], vec![3]]));
            assert_eq!(wait(comm.sum(Route::World, vec![1]))?, vec![3]);
            assert_eq!(feed.finish()?, vec![comm.rank() as u8 + 1]);
            Ok(())
        });
    }

    #[test]
    fn one_failing_rank_ends_all() {
        let results = Threads::run(4, |comm| {
            if comm.rank() == 2 {
                return Err(Error::failed("disk full"));
            }
            wait(comm.sum(Route::World, vec![1]))
        });
        assert!(results.iter().all(Result::is_err));
        assert_eq!(results[2], Err(Error::failed("disk full")));
    }

    #[test]
    fn packed_parts_survive_and_damage_is_noticed() {
        let parts = vec![vec![], vec![1, 2, 3], vec![0; 100]];
        let packed = tree::pack(&parts);
        assert_eq!(tree::unpack(&packed), Ok(parts));
        for cut in 0..packed.len() {
            assert!(tree::unpack(&packed[..cut]).is_err(), "cut at {cut}");
        }
        assert!(tree::unpack(&u64::MAX.to_le_bytes()).is_err());
    }
}

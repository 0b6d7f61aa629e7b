//! N ranks as threads of one process: the communicator of the test suite. Its collectives are those of `tree`, so
//! testing with it tests the trees that take over when native collectives cannot be used.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::wait::pause;
use super::{Comm, Pending, Route, Tag, Traffic, tree};
use crate::error::{Error, Result};

/// Messages under way to one rank, by sender and tag.
type Mailbox = Mutex<HashMap<(usize, Tag), VecDeque<Vec<u8>>>>;

struct Hub {
    boxes: Vec<Mailbox>,
    aborted: AtomicBool,
}

/// One rank of a job whose ranks are threads.
pub struct Threads {
    rank: usize,
    hub: Arc<Hub>,
    traffic: Traffic,
}

impl Threads {
    /// Runs `program` on `size` ranks and returns their results in the order of ranks. An error or panic of one rank
    /// ends the others with [`Error::Aborted`].
    pub fn run<T: Send>(size: usize, program: impl Fn(&Threads) -> Result<T> + Sync) -> Vec<Result<T>> {
        let boxes = (0..size).map(|_| Mailbox::default()).collect();
        let hub = Arc::new(Hub { boxes, aborted: AtomicBool::new(false) });
        std::thread::scope(|scope| {
            let ranks: Vec<_> = (0..size)
                .map(|rank| {
                    let (hub, program) = (hub.clone(), &program);
                    scope.spawn(move || {
                        let _raise = RaiseOnPanic(&hub);
                        let result = program(&Threads { rank, hub: hub.clone(), traffic: Traffic::default() });
                        if result.is_err() {
                            hub.aborted.store(true, Ordering::Release);
                        }
                        result
                    })
                })
                .collect();
            ranks
                .into_iter()
                .map(|rank| rank.join().unwrap_or_else(|_| Err(Error::failed("a rank panicked"))))
                .collect()
        })
    }
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
        self.rank
    }

    fn size(&self) -> usize {
        self.hub.boxes.len()
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

    fn send(&self, to: usize, tag: Tag, data: Vec<u8>) -> Pending<'_, ()> {
        Box::pin(async move {
            self.traffic.message_sent(data.len());
            let mut mailbox = self.hub.boxes[to].lock().unwrap_or_else(PoisonError::into_inner);
            mailbox.entry((self.rank, tag)).or_default().push_back(data);
            Ok(())
        })
    }

    fn receive(&self, from: usize, tag: Tag) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            loop {
                let waiting = {
                    let mut mailbox = self.hub.boxes[self.rank].lock().unwrap_or_else(PoisonError::into_inner);
                    mailbox.get_mut(&(from, tag)).and_then(VecDeque::pop_front)
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
        })
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

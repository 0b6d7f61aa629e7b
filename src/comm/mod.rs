//! The only rooms that know MPI.
//!
//! Everything above sees one trait, [`Comm`]: N ranks that exchange byte strings and exact integer sums. Nothing here
//! blocks: every operation is a future that is *started*, *tested* and *slept on* by the one primitive in [`wait`].
//! Blocking MPI calls spin at 100 % of a core and hang for ever once a peer has died; tests with short sleeps do
//! neither, so the same primitive serves waiting and failures: once a rank is known to be dead ([`roster`]), operations
//! that need it end with [`Error::Lost`](crate::error::Error::Lost), and the living regroup.
//!
//! Four implementations: [`Local`] (one rank), [`Threads`] (N ranks as threads of one process, for tests), [`Faulty`]
//! (the same with seeded bad luck) and `Mpi` (feature `mpi`). Reductions are over `i64` only: integer addition is associative, so every tree, order and
//! assignment gives the same bits.

mod about;
mod faulty;
mod launch;
#[cfg(feature = "mpi")]
mod liveness;
mod local;
#[cfg(feature = "mpi")]
mod mpi;
mod node_memory;
mod process;
mod roster;
mod threads;
mod traffic;
mod tree;
mod wait;

use std::future::Future;
use std::pin::Pin;

use crate::error::Result;
use crate::linalg::Aligned;

pub use about::{Survival, launcher, linked_mpi, survival};
pub use faulty::{Fate, Faulty, Plan};
pub use launch::{Launch, Settings, abort_on_panic, end_job, end_launch, outlive_workers, start, start_with};
#[cfg(feature = "mpi")]
#[doc(hidden)]
pub use liveness::hear_any_words;
pub use local::Local;
pub use node_memory::{NodeMemory, NodeWriter, WORDS, node};
pub use roster::{Cause, Loss, Order};
pub use threads::Threads;
pub use traffic::{Traffic, TrafficCount};
pub use wait::{Idle, Started, wait};

/// An operation under way. It begins at its first poll: see [`Started`].
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + 'a>>;

/// Which ranks take part in a collective, and on which lane. Collectives of one lane must be called in the same
/// order by all its ranks, and one at a time; different lanes do not disturb each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// All ranks; the root is rank 0.
    World,
    /// All ranks, a lane of its own for chunks that go out while results of earlier ones come back; root rank 0.
    Feed,
    /// The ranks that work: all but rank 0, or rank 0 alone when there is no other. The root is the lowest of them.
    Workers,
}

impl Route {
    /// The ranks of this route in a job of `size` ranks, lowest (the root) first.
    pub fn members(self, size: usize) -> std::ops::Range<usize> {
        match self {
            Route::World | Route::Feed => 0..size,
            Route::Workers if size == 1 => 0..1,
            Route::Workers => 1..size,
        }
    }
}

/// What a point-to-point message is about; messages of one tag between two ranks arrive in the order sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Tag {
    /// A task for a worker.
    Task = 1,
    /// The answer to a task.
    Answer = 2,
    /// What goes to and fro to be timed.
    Measure = 3,
    /// A partial sum on its way up a tree of ranks.
    Merge = 4,
    /// Rows of a tall matrix on their way to the dispatcher.
    Rows = 5,
    /// Collectives carried by point-to-point messages, one tag a lane.
    World = 6,
    /// As `World`, for the feed lane.
    Feed = 7,
    /// As `World`, for the workers' lane.
    Workers = 8,
    /// A worker's word on its progress.
    Progress = 9,
}

impl Tag {
    /// True for the messages of a farm, which concern the dispatcher and one worker: they go on when another worker has
    /// died. All others belong to a step that all take part in.
    pub(crate) fn is_between_two(self) -> bool {
        matches!(self, Tag::Task | Tag::Answer)
    }
}

impl From<Route> for Tag {
    fn from(route: Route) -> Tag {
        match route {
            Route::World => Tag::World,
            Route::Feed => Tag::Feed,
            Route::Workers => Tag::Workers,
        }
    }
}

/// N ranks and what they can do together. One value per rank, used by one thread.
///
/// All calls return at once with an operation to be started and waited for. Byte strings may be of any length, also
/// beyond 2^31; their lengths need not be known to the receiver.
pub trait Comm {
    /// This rank, 0..size.
    fn rank(&self) -> usize;
    /// Number of ranks.
    fn size(&self) -> usize;
    /// Name of the machine this rank runs on.
    fn host(&self) -> &str;
    /// In words, what carries the messages ("Open MPI v4.1.4 ...", "serial").
    fn implementation(&self) -> &str;
    /// The level of thread support MPI gave, in MPI's words; none without MPI.
    fn thread_level(&self) -> Option<&str> {
        None
    }
    /// What this rank has sent and received so far.
    fn traffic(&self) -> &Traffic;

    /// The job goes on when a worker dies.
    fn survives(&self) -> bool {
        false
    }
    /// The present ranks by their numbers at the start: the same as their numbers until somebody has died.
    fn members(&self) -> Vec<usize> {
        (0..self.size()).collect()
    }
    /// Those that died and that this rank goes on without.
    fn lost(&self) -> Vec<Loss> {
        Vec::new()
    }
    /// Counts the orders after which ranks may have other numbers than before: what a rank knows by such numbers holds
    /// within one generation.
    fn generation(&self) -> usize {
        0
    }
    /// A present rank is known to have died, and takes part in nothing more.
    fn is_lost(&self, rank: usize) -> bool {
        let _nobody_dies = rank;
        false
    }
    /// Dispatcher: goes on without those that have died so far, and tells the living what to do next. From then on ranks
    /// are numbered anew and all operations under way are over, everywhere.
    fn regroup(&self, order: Order) -> Result<()> {
        let _nobody_to_tell = order;
        Ok(())
    }
    /// Worker: waits for the dispatcher's next order. A rank calls this after any operation has ended with
    /// [`Error::Lost`](crate::error::Error::Lost), and when it has nothing more to do.
    fn next_order(&self) -> Result<Order> {
        Ok(Order::Leave)
    }
    /// Worker: waits for the next order without following it.
    fn peek_order(&self) -> Result<Order> {
        Ok(Order::Leave)
    }
    /// Says good-bye after [`Order::Leave`], on all ranks: returns when the process may end as usual, and ends it where
    /// that is not safe any more. `code` is the process's exit code either way.
    fn leave(&self, _code: i32) {}

    /// Sends bytes to another rank.
    fn send(&self, to: usize, tag: Tag, data: Vec<u8>) -> Pending<'_, ()>;
    /// Receives the next message of that rank and tag.
    fn receive(&self, from: usize, tag: Tag) -> Pending<'_, Vec<u8>>;

    /// Gives every member the root's bytes; what the others pass is ignored.
    fn broadcast(&self, route: Route, data: Vec<u8>) -> Pending<'_, Vec<u8>>;
    /// Gives member i the i-th of the root's parts; what the others pass is ignored.
    fn scatter(&self, route: Route, parts: Vec<Vec<u8>>) -> Pending<'_, Vec<u8>>;
    /// Collects one part from each member at the root, in the order of members; the others get none.
    fn gather(&self, route: Route, part: Vec<u8>) -> Pending<'_, Vec<Vec<u8>>>;
    /// Collects one part from each member at every member.
    fn all_gather(&self, route: Route, part: Vec<u8>) -> Pending<'_, Vec<Vec<u8>>> {
        Box::pin(async move {
            let parts = self.gather(route, part).await?;
            tree::unpack(&self.broadcast(route, tree::pack(&parts)).await?)
        })
    }
    /// Collects the stretches of one vector at every member: `all` becomes the `own` of each member, one after the other,
    /// where `counts` are the stretches' lengths. Both buffers come back, so that they can be used again.
    fn all_gather_stretches(
        &self,
        route: Route,
        own: Aligned<f32>,
        all: Aligned<f32>,
        counts: Vec<usize>,
    ) -> Pending<'_, (Aligned<f32>, Aligned<f32>)> {
        tree::all_gather_stretches(self, route, own, all, counts)
    }
    /// Elementwise sum over the members, at every member. All pass the same number of values.
    fn sum(&self, route: Route, values: Vec<i64>) -> Pending<'_, Vec<i64>>;
    /// Elementwise sum over the members, of which member i gets the i-th stretch; `counts` are the stretches' lengths.
    fn sum_scatter(&self, route: Route, values: Vec<i64>, counts: Vec<usize>) -> Pending<'_, Vec<i64>>;

    /// Ends the whole job at once, on every rank, with this exit code.
    fn abort(&self, code: i32) -> !;
}

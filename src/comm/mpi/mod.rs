//! Ranks as MPI processes, through the raw functions of rsmpi.
//!
//! Only non-blocking operations, tested from [`wait`](super::wait): see there. The safe wrappers of rsmpi end the
//! process when a request outlives its scope and return rubbish under MPI_ERRORS_RETURN, so `request` works on
//! `mpi::ffi`. All MPI calls come from the thread that initialised MPI (MPI_THREAD_FUNNELED).

mod collectives;
mod request;

use ::mpi::environment::Universe;
use ::mpi::traits::{AsRaw, Communicator};

use self::collectives::Lane;
use super::{Comm, Pending, Route, Tag, Traffic, tree};
use crate::error::{Error, Result};
use crate::linalg::Aligned;

/// Ends the MPI job this process is in, if it is in one.
pub(super) fn abort(code: i32) {
    request::abort(code);
}

/// The MPI library and its version, in its words. May be called before MPI is initialised.
pub(super) fn library() -> String {
    let library = ::mpi::environment::library_version().unwrap_or_else(|_| "MPI".to_owned());
    let first = library.split([',', '\n', '\0']).next().unwrap_or("MPI");
    first.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// This process as a rank of an MPI job.
pub struct Mpi {
    /// Held for its drop, which finalises MPI after everything else here is gone.
    _universe: Universe,
    rank: usize,
    size: usize,
    host: String,
    implementation: String,
    threading: ::mpi::Threading,
    traffic: Traffic,
    /// Point-to-point messages.
    letters: request::Communicator,
    world: Lane,
    feed: Lane,
    /// None on a dispatcher that does not work.
    workers: Option<Lane>,
}

impl Mpi {
    /// Initialises MPI.
    pub fn start() -> Result<Box<Mpi>> {
        let (universe, threading) = ::mpi::initialize_with_threading(::mpi::Threading::Funneled)
            .ok_or_else(|| Error::failed("MPI was initialised before"))?;
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        let raw = world.as_raw();
        let works = Route::Workers.members(size).contains(&rank);
        let (letters, all, feed) =
            (request::Communicator::duplicate(raw)?, Lane::duplicate(raw)?, Lane::duplicate(raw)?);
        let workers = request::Communicator::split(raw, works)?.map(Lane::over);
        Ok(Box::new(Mpi {
            rank,
            size,
            host: ::mpi::environment::processor_name().unwrap_or_else(|_| super::launch::host_name()),
            implementation: library(),
            threading,
            traffic: Traffic::default(),
            letters,
            world: all,
            feed,
            workers,
            _universe: universe,
        }))
    }

    fn lane(&self, route: Route) -> Result<&Lane> {
        match route {
            Route::World => Ok(&self.world),
            Route::Feed => Ok(&self.feed),
            Route::Workers => self.workers.as_ref().ok_or_else(|| Error::failed("the dispatcher is no worker")),
        }
    }
}

impl Comm for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn implementation(&self) -> &str {
        &self.implementation
    }

    fn thread_level(&self) -> Option<&str> {
        Some(match self.threading {
            ::mpi::Threading::Single => "MPI_THREAD_SINGLE",
            ::mpi::Threading::Funneled => "MPI_THREAD_FUNNELED",
            ::mpi::Threading::Serialized => "MPI_THREAD_SERIALIZED",
            ::mpi::Threading::Multiple => "MPI_THREAD_MULTIPLE",
        })
    }

    fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    fn send(&self, to: usize, tag: Tag, data: Vec<u8>) -> Pending<'_, ()> {
        Box::pin(async move {
            self.traffic.message_sent(data.len());
            self.letters.send(to, tag as i32, data).await
        })
    }

    fn receive(&self, from: usize, tag: Tag) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            let data = self.letters.receive(from, tag as i32).await?;
            self.traffic.message_received(data.len());
            Ok(data)
        })
    }

    fn broadcast(&self, route: Route, data: Vec<u8>) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            let lane = self.lane(route)?;
            let data = lane.broadcast(data).await?;
            let sent = if lane.member() == 0 { data.len() } else { 0 };
            self.traffic.collective(sent, data.len() - sent);
            Ok(data)
        })
    }

    fn scatter(&self, route: Route, parts: Vec<Vec<u8>>) -> Pending<'_, Vec<u8>> {
        Box::pin(async move {
            let lane = self.lane(route)?;
            let sent = if lane.member() == 0 { parts.iter().skip(1).map(Vec::len).sum() } else { 0 };
            let part = lane.scatter(parts).await?;
            self.traffic.collective(sent, if lane.member() == 0 { 0 } else { part.len() });
            Ok(part)
        })
    }

    fn gather(&self, route: Route, part: Vec<u8>) -> Pending<'_, Vec<Vec<u8>>> {
        Box::pin(async move {
            let lane = self.lane(route)?;
            let sent = if lane.member() == 0 { 0 } else { part.len() };
            let parts = lane.gather(part).await?;
            self.traffic.collective(sent, parts.iter().skip(1).map(Vec::len).sum());
            Ok(parts)
        })
    }

    fn all_gather_stretches(
        &self,
        route: Route,
        own: Aligned<f32>,
        all: Aligned<f32>,
        counts: Vec<usize>,
    ) -> Pending<'_, (Aligned<f32>, Aligned<f32>)> {
        // Offsets are i32 in MPI: beyond them the same exchange goes as bytes.
        if i32::try_from(all.len()).is_err() {
            return tree::all_gather_stretches(self, route, own, all, counts);
        }
        Box::pin(async move {
            let lane = self.lane(route)?;
            let (own, all) = lane.all_gather_stretches(own, all, &counts).await?;
            let bytes = |values: usize| values * size_of::<f32>();
            self.traffic.collective(bytes(own.len()) * (counts.len() - 1), bytes(all.len() - own.len()));
            Ok((own, all))
        })
    }

    fn sum(&self, route: Route, values: Vec<i64>) -> Pending<'_, Vec<i64>> {
        Box::pin(async move {
            let bytes = values.len() * 8;
            let total = self.lane(route)?.sum(values).await?;
            self.traffic.collective(bytes, bytes);
            Ok(total)
        })
    }

    fn sum_scatter(&self, route: Route, values: Vec<i64>, counts: Vec<usize>) -> Pending<'_, Vec<i64>> {
        // Offsets are i32 in MPI: beyond them the same exchange goes as messages.
        if i32::try_from(values.len()).is_err() {
            return tree::sum_scatter(self, route, values, counts);
        }
        Box::pin(async move {
            let lane = self.lane(route)?;
            let total = values.len();
            let own = lane.sum_scatter(values, &counts).await?;
            self.traffic.collective((total - own.len()) * 8, own.len() * 8 * (counts.len() - 1));
            Ok(own)
        })
    }

    fn abort(&self, code: i32) -> ! {
        abort(code);
        std::process::exit(code)
    }
}

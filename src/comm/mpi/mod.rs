//! Ranks as MPI processes, through the raw functions of rsmpi.
//!
//! Only non-blocking operations, tested from [`wait`](super::wait): see there. The safe wrappers of rsmpi end the
//! process when a request outlives its scope and return rubbish under MPI_ERRORS_RETURN, so `request` works on
//! `mpi::ffi`. All MPI calls come from the thread that initialised MPI (MPI_THREAD_FUNNELED).

mod collectives;
mod link;
mod request;
mod sums;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::mpi::environment::Universe;
use ::mpi::traits::{AsRaw, Communicator};

use self::collectives::Lane;
use self::link::Link;
use self::sums::way_to_sum;
use super::liveness::Token;
use super::roster::{Crew, Loss, Order, Roster};
use super::wait::pause;
use super::{Comm, Pending, Route, Settings, Survival, Tag, Traffic, process, survival, tree, wait};
use crate::error::{Error, Result};
use crate::linalg::Aligned;

pub(super) use self::link::{abort, outlive_workers};

/// Tags of one generation.
const TAGS: usize = 16;
/// Generations that fit into the tags every MPI offers (32767).
const GENERATIONS: usize = 2047;
/// How long a dispatcher that is done waits for its workers to leave.
const LEAVING: Duration = Duration::from_secs(3);
/// How long the word of a loss may take to arrive after MPI has failed because of it.
const DOUBT: Duration = Duration::from_secs(3);

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
    crew: Crew,
    host: String,
    implementation: String,
    threading: ::mpi::Threading,
    traffic: Traffic,
    /// Point-to-point messages.
    letters: request::Communicator,
    /// Native collectives, for the time before the first loss: a communicator that holds the dead hangs.
    world: Lane,
    feed: Lane,
    /// None on a dispatcher that does not work.
    workers: Option<Lane>,
    /// The connection that tells who is alive; none when there is one rank.
    link: Option<&'static Link>,
}

impl Drop for Mpi {
    fn drop(&mut self) {
        super::process::keep_libraries();
    }
}

impl Mpi {
    /// Initialises MPI; `check` may refuse a number of ranks. Then connects all workers with the dispatcher.
    pub fn start(settings: &Settings, check: impl FnOnce(usize) -> Result<()>) -> Result<Box<Mpi>> {
        let (universe, threading) = ::mpi::initialize_with_threading(::mpi::Threading::Funneled)
            .ok_or_else(|| Error::failed("MPI was initialised before"))?;
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        check(size)?;
        let raw = world.as_raw();
        let works = Route::Workers.members(size).contains(&rank);
        let (letters, all, feed) =
            (request::Communicator::duplicate(raw)?, Lane::duplicate(raw)?, Lane::duplicate(raw)?);
        let workers = request::Communicator::split(raw, works)?.map(Lane::over);
        let mut mpi = Box::new(Mpi {
            crew: Crew::new(rank, size, Arc::new(Roster::new(size))),
            host: ::mpi::environment::processor_name().unwrap_or_else(|_| super::launch::host_name()),
            implementation: library(),
            threading,
            traffic: Traffic::default(),
            letters,
            world: all,
            feed,
            workers,
            link: None,
            _universe: universe,
        });
        if size > 1 {
            if let Err(error) = mpi.connect(settings) {
                // Finalising MPI would wait for those that are not there.
                std::mem::forget(mpi);
                return Err(error);
            }
            // What is counted is the command's.
            mpi.traffic = Traffic::default();
        }
        Ok(mpi)
    }

    /// Sets up the connections that tell who is alive. The dispatcher says over MPI where and with which token.
    fn connect(&mut self, settings: &Settings) -> Result<()> {
        let broken = |cause: std::io::Error| {
            Error::failed(format!("the connection between dispatcher and workers cannot be set up: {cause}"))
        };
        let place = (self.host.clone(), super::liveness::address::own());
        let place = serde_json::to_vec(&place).unwrap_or_default();
        let places = wait(self.gather(Route::World, place))?;
        let survives = matches!(survival(&self.implementation), Survival::With { given: true, .. });
        let roster = self.crew.roster.clone();
        if self.rank() == 0 {
            let place = |bytes: &Vec<u8>| serde_json::from_slice(bytes).unwrap_or_default();
            let places: Vec<(String, Vec<std::net::IpAddr>)> = places.iter().map(place).collect();
            let here: Vec<bool> = places.iter().map(|(host, _)| *host == self.host).collect();
            let others: Vec<_> =
                places.iter().zip(&here).filter(|(_, here)| !**here).map(|((_, ips), _)| ips.clone()).collect();
            let address = settings.address.or_else(|| super::liveness::address::choose(&places[0].1, &others));
            let address = address.ok_or_else(|| {
                Error::failed(
                    "no way from the workers' hosts to the dispatcher's is known; name one with --dispatcher-address",
                )
            })?;
            let token = super::liveness::token().map_err(broken)?;
            let hosts: Vec<String> = places.into_iter().map(|(host, _)| host).collect();
            let (watch, at) = link::watch(address, token, settings, roster, here, hosts, survives).map_err(broken)?;
            let invitation = serde_json::to_vec(&(at, token, survives)).unwrap_or_default();
            let link = Link::install(watch, survives, others.is_empty());
            self.link = Some(link);
            wait(self.broadcast(Route::World, invitation))?;
            link.gather_workers(settings)
        } else {
            let invitation = wait(self.broadcast(Route::World, Vec::new()))?;
            let (at, token, survives): (std::net::SocketAddr, Token, bool) = serde_json::from_slice(&invitation)
                .map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
            let tie = link::tie(at, token, settings, self.rank(), roster, survives).map_err(|cause| {
                Error::failed(format!(
                    "the dispatcher cannot be reached at {at}: {cause}; name its address with --dispatcher-address"
                ))
            })?;
            self.link = Some(Link::install(tie, survives, true));
            Ok(())
        }
    }

    fn lane(&self, route: Route) -> Result<&Lane> {
        match route {
            Route::World => Ok(&self.world),
            Route::Feed => Ok(&self.feed),
            Route::Workers => self.workers.as_ref().ok_or_else(|| Error::failed("the dispatcher is no worker")),
        }
    }

    /// True while MPI's own collectives may be used.
    fn is_whole(&self) -> bool {
        self.crew.generation() == 0
    }

    fn tag(&self, tag: Tag) -> i32 {
        (self.crew.generation().min(GENERATIONS - 1) * TAGS) as i32 + tag as i32
    }

    /// Guards an operation of all ranks.
    fn together<'a, T: 'a>(&'a self, operation: Pending<'a, T>) -> Pending<'a, T> {
        self.crew.together(self.doubted(operation))
    }

    /// Guards an operation with another rank, by its number at the start.
    fn with<'a, T: 'a>(&'a self, other: usize, tag: Tag, operation: Pending<'a, T>) -> Pending<'a, T> {
        let operation = self.doubted(operation);
        if tag.is_between_two() { self.crew.between(other, operation) } else { self.crew.together(operation) }
    }
}

impl Mpi {
    /// The operation, whose failure is not believed at once: an MPI that notices deaths itself (ULFM) may be quicker to
    /// fail than the word of a loss is to arrive. The guard around it then ends it as a loss.
    fn doubted<'a, T: 'a>(&'a self, operation: Pending<'a, T>) -> Pending<'a, T> {
        if !self.survives() {
            return operation;
        }
        Box::pin(async move {
            let result = operation.await;
            if matches!(result, Err(Error::Failed(_))) {
                let begin = Instant::now();
                while begin.elapsed() < DOUBT {
                    pause().await;
                }
            }
            result
        })
    }
}

impl Comm for Mpi {
    fn rank(&self) -> usize {
        self.crew.rank()
    }

    fn size(&self) -> usize {
        self.crew.size()
    }

    fn host(&self) -> &str {
        &self.host
    }

    fn implementation(&self) -> &str {
        &self.implementation
    }

    fn survives(&self) -> bool {
        self.link.is_some_and(|link| link.survives())
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
        if self.crew.generation() + 1 >= GENERATIONS {
            return Err(Error::failed(format!("{GENERATIONS} interruptions are too many")));
        }
        if let Some(link) = self.link {
            link.order(&self.crew, order);
        }
        Ok(())
    }

    fn peek_order(&self) -> Result<Order> {
        let Some(link) = self.link else { return Ok(Order::Leave) };
        link.waits(self.crew.generation());
        self.crew.peek_order(|| false)
    }

    fn next_order(&self) -> Result<Order> {
        self.peek_order()?;
        if self.link.is_some() { self.crew.next_order(|| false) } else { Ok(Order::Leave) }
    }

    fn leave(&self, code: i32) {
        let Some(link) = self.link else { return };
        process::ends_with(code);
        link.all_is_done();
        if self.crew.known_losses() == 0 {
            // MPI is finalised as usual. Should somebody die on the way, the link ends this process.
            return;
        }
        if self.rank() == 0 {
            link.wait_for_leavers(LEAVING);
            if !link.one_host() {
                // The one thing that ended such jobs over several hosts. All results are complete.
                use std::io::Write;
                let _ = std::io::stdout().flush();
                request::abort(code);
            }
        }
        process::leave(code)
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
        let (to, number) = (self.crew.at_start(to), self.tag(tag));
        let operation = Box::pin(async move {
            self.traffic.message_sent(data.len());
            self.letters.send(to, number, data).await
        });
        self.with(to, tag, operation)
    }

    fn receive(&self, from: usize, tag: Tag) -> Pending<'_, Vec<u8>> {
        let (from, number) = (self.crew.at_start(from), self.tag(tag));
        let operation = Box::pin(async move {
            let data = self.letters.receive(from, number).await?;
            self.traffic.message_received(data.len());
            Ok(data)
        });
        self.with(from, tag, operation)
    }

    fn broadcast(&self, route: Route, data: Vec<u8>) -> Pending<'_, Vec<u8>> {
        if !self.is_whole() {
            return tree::broadcast(self, route, data);
        }
        self.together(Box::pin(async move {
            let lane = self.lane(route)?;
            let data = lane.broadcast(data).await?;
            let sent = if lane.member() == 0 { data.len() } else { 0 };
            self.traffic.collective(sent, data.len() - sent);
            Ok(data)
        }))
    }

    fn scatter(&self, route: Route, parts: Vec<Vec<u8>>) -> Pending<'_, Vec<u8>> {
        if !self.is_whole() {
            return tree::scatter(self, route, parts);
        }
        self.together(Box::pin(async move {
            let lane = self.lane(route)?;
            let sent = if lane.member() == 0 { parts.iter().skip(1).map(Vec::len).sum() } else { 0 };
            let part = lane.scatter(parts).await?;
            self.traffic.collective(sent, if lane.member() == 0 { 0 } else { part.len() });
            Ok(part)
        }))
    }

    fn gather(&self, route: Route, part: Vec<u8>) -> Pending<'_, Vec<Vec<u8>>> {
        if !self.is_whole() {
            return tree::gather(self, route, part);
        }
        self.together(Box::pin(async move {
            let lane = self.lane(route)?;
            let sent = if lane.member() == 0 { 0 } else { part.len() };
            let parts = lane.gather(part).await?;
            self.traffic.collective(sent, parts.iter().skip(1).map(Vec::len).sum());
            Ok(parts)
        }))
    }

    fn all_gather_stretches(
        &self,
        route: Route,
        own: Aligned<f32>,
        all: Aligned<f32>,
        counts: Vec<usize>,
    ) -> Pending<'_, (Aligned<f32>, Aligned<f32>)> {
        // Offsets are i32 in MPI: beyond them the same exchange goes as bytes.
        if !self.is_whole() || i32::try_from(all.len()).is_err() {
            return tree::all_gather_stretches(self, route, own, all, counts);
        }
        self.together(Box::pin(async move {
            let lane = self.lane(route)?;
            let (own, all) = lane.all_gather_stretches(own, all, &counts).await?;
            let bytes = |values: usize| values * size_of::<f32>();
            self.traffic.collective(bytes(own.len()) * (counts.len() - 1), bytes(all.len() - own.len()));
            Ok((own, all))
        }))
    }

    fn sum(&self, route: Route, values: Vec<i64>) -> Pending<'_, Vec<i64>> {
        if !self.is_whole() {
            return tree::sum(self, route, values);
        }
        self.together(Box::pin(async move {
            let bytes = values.len() * 8;
            let lane = self.lane(route)?;
            let total = lane.sum(values).await?;
            let traffic = way_to_sum(lane.members(), bytes).traffic(lane.members(), bytes);
            self.traffic.collective(traffic, traffic);
            Ok(total)
        }))
    }

    fn sum_scatter(&self, route: Route, values: Vec<i64>, counts: Vec<usize>) -> Pending<'_, Vec<i64>> {
        // Offsets are i32 in MPI: beyond them the same exchange goes as messages.
        if !self.is_whole() || i32::try_from(values.len()).is_err() {
            return tree::sum_scatter(self, route, values, counts);
        }
        self.together(Box::pin(async move {
            let lane = self.lane(route)?;
            let total = values.len();
            let own = lane.sum_scatter(values, &counts).await?;
            self.traffic.collective((total - own.len()) * 8, own.len() * 8 * (counts.len() - 1));
            Ok(own)
        }))
    }

    fn abort(&self, code: i32) -> ! {
        abort(code);
        process::leave(code)
    }
}

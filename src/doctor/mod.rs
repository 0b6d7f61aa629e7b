//! `doctor`: which MPI, BLAS, HDF5, cores and folders a run has, how fast they are, and what is wrong with them.
//!
//! Every rank looks at its host and measures; the dispatcher gathers, and draws conclusions in [`advice`] from what was
//! gathered alone. Messages are timed with nobody working, work with nobody sending.

mod advice;
mod folder;
mod host;
mod network;
mod speed;
mod table;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::comm::{self, Route, Survival};
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::linalg::{BackEnd, back_end};

pub use advice::Advice;
use folder::Folder;
use host::HostView;

/// Where results would be written, what to leave out, and what only the command line knows.
#[derive(Debug)]
pub struct Options<'a> {
    /// The folder of the results.
    pub work: &'a Path,
    /// Measure nothing.
    pub quick: bool,
    /// Where the number of threads came from.
    pub threads_from: String,
}

/// What a measured number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Unit {
    /// Floating-point operations a second.
    Flops,
    /// Bytes a second.
    Bytes,
    Seconds,
}

/// A measured number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Figure {
    name: String,
    value: f64,
    unit: Unit,
}

impl Figure {
    fn new(name: &str, value: f64, unit: Unit) -> Figure {
        Figure { name: name.to_owned(), value, unit }
    }
}

/// The figure of that name, if it was measured.
fn figure(figures: &[Figure], name: &str) -> Option<f64> {
    figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
}

/// What one rank found out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Rank {
    rank: usize,
    host: String,
    /// It computes: all do but a dispatcher with workers.
    works: bool,
    threads: usize,
    threads_from: String,
    /// Bytes of the corpus it may keep.
    memory_bytes: u64,
    /// Version of the program.
    version: String,
    view: HostView,
    /// Of the first worker of each host.
    one_thread: Vec<Figure>,
    all_threads: Vec<Figure>,
    /// Seconds of an exact sum over the workers.
    sum_seconds: Option<f64>,
}

/// All that was found out.
#[derive(Debug)]
pub struct Report {
    mpi_library: Option<String>,
    thread_level: Option<String>,
    launcher: Option<&'static str>,
    survival: Survival,
    /// Tasks of the Slurm job around a program that was started alone.
    slurm_tasks: Option<usize>,
    blas: BackEnd,
    hdf5: String,
    locking: Locking,
    folder: Folder,
    ranks: Vec<Rank>,
    /// Ranks that exchanged messages with rank 0, and how fast.
    messages: Vec<(usize, Vec<Figure>)>,
    quick: bool,
}

/// What HDF5 does about two programs that open one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locking {
    /// Files are locked.
    On,
    /// They are where the file system can.
    WherePossible,
    /// They are not.
    Off,
}

impl Locking {
    /// As the environment has it; HDF5 locks unless told otherwise.
    fn from_environment(setting: Option<&str>) -> Locking {
        match setting {
            Some("FALSE" | "0") => Locking::Off,
            Some("BEST_EFFORT") => Locking::WherePossible,
            _ => Locking::On,
        }
    }
}

/// Looks at everything. Collective; the report is the dispatcher's.
pub fn examine(job: &Job, options: &Options) -> Result<Option<Report>> {
    let folder = Folder::look(job, options.work, !options.quick)?;
    let hosts = job.wait(job.comm.all_gather(Route::World, job.comm.host().as_bytes().to_vec()))?;
    // The first worker of each host.
    let workers = Route::Workers.members(job.comm.size());
    let first = |rank: &usize| !hosts[workers.start..*rank].contains(&hosts[*rank]);
    let peers: Vec<usize> = workers.clone().filter(first).collect();
    let mut rank = Rank {
        rank: job.comm.rank(),
        host: job.comm.host().to_owned(),
        works: job.works(),
        threads: job.pool.current_num_threads(),
        threads_from: options.threads_from.clone(),
        memory_bytes: job.memory,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        view: HostView::look(),
        one_thread: Vec::new(),
        all_threads: Vec::new(),
        sum_seconds: None,
    };
    let mut messages = Vec::new();
    if !options.quick {
        if job.distributed() {
            let figures = network::messages(job, &peers)?;
            messages = peers.iter().copied().zip(figures).collect();
        }
        rank.sum_seconds = network::exact_sum(job)?;
        rank.one_thread = speed::one_thread(job, peers.contains(&job.comm.rank()))?;
        rank.all_threads = speed::all_threads(job)?;
    }
    let own = serde_json::to_vec(&rank).map_err(|cause| Error::failed(format!("doctor: {cause}")))?;
    let parts = job.wait(job.comm.gather(Route::World, own))?;
    if !job.is_dispatcher() {
        return Ok(None);
    }
    let damaged =
        |cause| Error::failed(format!("damaged message of a rank ({cause}); do all ranks run the same corpuscle?"));
    let ranks =
        parts.iter().map(|part| serde_json::from_slice(part).map_err(damaged)).collect::<Result<Vec<Rank>>>()?;
    let mpi_library = comm::linked_mpi();
    let survival = mpi_library.as_deref().map_or(Survival::Unknown, comm::survival);
    let variable = |name: &str| std::env::var(name).ok();
    let (major, minor, patch) = hdf5::library_version();
    Ok(Some(Report {
        mpi_library,
        thread_level: job.comm.thread_level().map(str::to_owned),
        launcher: comm::launcher(),
        survival,
        slurm_tasks: variable("SLURM_NTASKS").and_then(|tasks| tasks.parse().ok()),
        blas: back_end(),
        hdf5: format!("{major}.{minor}.{patch}"),
        locking: Locking::from_environment(variable("HDF5_USE_FILE_LOCKING").as_deref()),
        folder,
        ranks,
        messages,
        quick: options.quick,
    }))
}

impl Report {
    /// Names of the hosts, in the order of their first ranks.
    fn hosts(&self) -> Vec<&str> {
        let mut hosts: Vec<&str> = Vec::new();
        for rank in &self.ranks {
            if !hosts.contains(&rank.host.as_str()) {
                hosts.push(&rank.host);
            }
        }
        hosts
    }

    /// The ranks of a host that compute.
    fn workers_on(&self, host: &str) -> impl Iterator<Item = &Rank> {
        self.ranks.iter().filter(move |rank| rank.works && rank.host == host)
    }
}

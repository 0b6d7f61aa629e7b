//! How the program was started: alone, or as one of N ranks by an MPI launcher, and whether both sides agree on N.
//!
//! The wrong launcher for the MPI a binary was built with silently starts N jobs of one rank, each of which would
//! compute everything and write the same file. The launchers say in the environment how many ranks they started;
//! a job whose MPI sees another number is refused.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Comm, Local, process};
use crate::error::{Error, Result};

/// Variables by which launchers tell a rank how many there are: Open MPI, MPICH and Intel MPI, srun steps, PALS.
const SIZES: [&str; 4] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "PALS_SIZE"];
/// Variables by which launchers tell a rank its number.
const RANKS: [&str; 5] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID", "PALS_RANKID"];

/// What the environment says about the launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Launch {
    /// Ranks the launcher started, if there was one.
    pub ranks: Option<usize>,
    /// This rank, 0 without a launcher.
    pub rank: usize,
}

impl Launch {
    /// Reads the environment.
    pub fn from_environment() -> Launch {
        Launch::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Launch {
        let number = |name: &&str| variable(name).and_then(|value| value.trim().parse().ok());
        let ranks = SIZES.iter().find_map(number);
        // A batch script itself has SLURM_PROCID=0 and no step: it was not launched as a rank.
        let rank = if ranks.is_some() { RANKS.iter().find_map(number).unwrap_or(0) } else { 0 };
        Launch { ranks, rank }
    }
}

/// How patient a job is with its ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// A worker that gives no sign of life for so long is thought dead.
    pub worker_timeout: Duration,
    /// A job in which not all ranks have met after so long is ended.
    pub start_timeout: Duration,
    /// Address that workers reach the dispatcher at; found out when not given.
    pub address: Option<IpAddr>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { worker_timeout: Duration::from_secs(30), start_timeout: Duration::from_secs(120), address: None }
    }
}

/// By this variable Open MPI is told which of its layers carries the messages.
const MESSAGING: &str = "OMPI_MCA_pml";
/// The layer that goes through shared memory within a host.
const SHARED_MEMORY: &str = "ob1";

/// Whether Open MPI has all ranks on one host and nobody has chosen how messages travel. It takes the same layer by itself then,
/// but only after it has opened every driver of a network it was built with, which makes up half of the start (0.2 s of 0.4).
fn needs_no_network(variable: impl Fn(&str) -> Option<String>) -> bool {
    let ranks = variable("OMPI_COMM_WORLD_SIZE");
    ranks.is_some() && ranks == variable("OMPI_COMM_WORLD_LOCAL_SIZE") && variable(MESSAGING).is_none()
}

/// Joins the job this process was started in. Without a launcher there is one rank and no MPI is initialised.
pub fn start() -> Result<Box<dyn Comm>> {
    start_with(&Settings::default())
}

/// As [`start`], with other settings than the default ones.
pub fn start_with(settings: &Settings) -> Result<Box<dyn Comm>> {
    process::sharpen_sleep();
    process::keep_freed_memory();
    if needs_no_network(|name| std::env::var(name).ok()) {
        process::set_variable(MESSAGING, SHARED_MEMORY);
    }
    let Launch { ranks, rank } = Launch::from_environment();
    let Some(ranks) = ranks else { return Ok(Box::new(Local::new())) };
    // A rank that dies while MPI starts leaves the others in it for ever.
    let started = Arc::new(AtomicBool::new(false));
    let (watched, patience) = (started.clone(), settings.start_timeout);
    let watch = move || {
        std::thread::sleep(patience + Duration::from_millis(20 * rank.min(100) as u64));
        if !watched.load(Ordering::Acquire) {
            if rank == 0 {
                crate::report::logging::say(&format!(
                    "corpuscle: error: the {ranks} ranks have not met within {} s (--start-timeout): one has died or hangs; start again",
                    patience.as_secs_f64()
                ));
            }
            end_launch();
            process::leave(1);
        }
    };
    std::thread::Builder::new()
        .name("start".into())
        .spawn(watch)
        .map_err(|cause| Error::failed(format!("cannot start a thread: {cause}")))?;
    #[cfg(feature = "mpi")]
    let comm: Box<dyn Comm> = super::mpi::Mpi::start(settings, |size| check_size(ranks, size, &super::mpi::library()))?;
    #[cfg(not(feature = "mpi"))]
    let comm: Box<dyn Comm> = Box::new(Local::new());
    #[cfg(not(feature = "mpi"))]
    check_size(ranks, comm.size(), comm.implementation())?;
    started.store(true, Ordering::Release);
    Ok(comm)
}

fn check_size(launched: usize, size: usize, implementation: &str) -> Result<()> {
    if size != launched {
        return Err(Error::failed(format!(
            "the launcher started {launched} ranks but {implementation} sees {size}: start with the launcher of the MPI this program was built with",
        )));
    }
    Ok(())
}

/// Makes a launcher that lets jobs outlive their ranks return a status that is not 0; others do by themselves when a rank
/// returns one. True when there is such a launcher.
pub fn end_launch() -> bool {
    let survives = super::linked_mpi()
        .is_some_and(|library| matches!(super::survival(&library), super::Survival::With { given: true, .. }));
    Launch::from_environment().ranks.is_some() && survives && process::end_launcher()
}

/// Makes a panic of any thread end the whole job at once: unwinding one rank into MPI_Finalize would leave the others
/// waiting for it for ever.
pub fn abort_on_panic(comm: &dyn Comm) {
    let place = if comm.size() == 1 { String::new() } else { format!(" (rank {} on {})", comm.rank(), comm.host()) };
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let cause = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("unknown cause");
        let at = panic.location().map(|at| format!(" at {}:{}", at.file(), at.line())).unwrap_or_default();
        crate::report::logging::say(&format!("corpuscle: internal error: {cause}{at}{place}; please report it"));
        crate::store::atomic::remove_unfinished();
        #[cfg(feature = "mpi")]
        {
            crate::report::logging::let_launcher_read();
            super::mpi::abort(1);
        }
        std::process::exit(1);
    }));
}

/// Ends the whole job at once with this exit code; may be called by any thread.
pub fn end_job(code: i32) -> ! {
    #[cfg(feature = "mpi")]
    {
        crate::report::logging::let_launcher_read();
        super::mpi::abort(code);
    }
    process::leave(code);
}

/// Dispatcher, after MPI was finalised: waits a moment until the workers' processes are gone, so that a word of this one is the last.
///
/// Hydra (MPICH 4.0) takes a finalised process for one that has ended with 0 unless it is told more by one of the job after the process
/// has ended: of three ranks that end with 75 at once all were reported with 0 in one run of ten.
pub fn outlive_workers() {
    #[cfg(feature = "mpi")]
    super::mpi::outlive_workers();
}

/// Name of this machine.
pub(super) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .unwrap_or_else(|_| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Launch {
        Launch::from_variables(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn launchers_are_recognised() {
        assert_eq!(launch(&[]), Launch { ranks: None, rank: 0 });
        assert_eq!(
            launch(&[("OMPI_COMM_WORLD_SIZE", "3"), ("OMPI_COMM_WORLD_RANK", "2")]),
            Launch { ranks: Some(3), rank: 2 }
        );
        assert_eq!(launch(&[("PMI_SIZE", "4"), ("PMI_RANK", "1")]), Launch { ranks: Some(4), rank: 1 });
        assert_eq!(launch(&[("SLURM_STEP_NUM_TASKS", "8"), ("SLURM_PROCID", "7")]), Launch { ranks: Some(8), rank: 7 });
    }

    #[test]
    fn a_batch_script_is_no_rank() {
        assert_eq!(launch(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0")]), Launch { ranks: None, rank: 0 });
    }

    #[test]
    fn networks_are_left_out_on_one_host_only_and_never_against_a_choice() {
        let told = |list: &[(&str, &str)]| {
            let list = list.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>();
            needs_no_network(|name| list.iter().find(|entry| entry.0 == name).map(|entry| entry.1.clone()))
        };
        let (all, here) = ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE");
        assert!(told(&[(all, "3"), (here, "3")]));
        assert!(!told(&[(all, "3"), (here, "2")]));
        assert!(!told(&[(all, "3"), (here, "3"), (MESSAGING, "ucx")]));
        assert!(!told(&[("PMI_SIZE", "3")]) && !told(&[]));
    }
}

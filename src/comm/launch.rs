//! How the program was started: alone, or as one of N ranks by an MPI launcher, and whether both sides agree on N.
//!
//! The wrong launcher for the MPI a binary was built with silently starts N jobs of one rank, each of which would
//! compute everything and write the same file. The launchers say in the environment how many ranks they started;
//! a job whose MPI sees another number is refused.

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

/// Joins the job this process was started in. Without a launcher there is one rank and no MPI is initialised.
pub fn start() -> Result<Box<dyn Comm>> {
    process::sharpen_sleep();
    process::keep_freed_memory();
    let Launch { ranks, .. } = Launch::from_environment();
    let Some(ranks) = ranks else { return Ok(Box::new(Local::new())) };
    #[cfg(feature = "mpi")]
    let comm: Box<dyn Comm> = {
        process::spare_looking_for_networks();
        super::mpi::Mpi::start()?
    };
    #[cfg(not(feature = "mpi"))]
    let comm: Box<dyn Comm> = Box::new(Local::new());
    if comm.size() != ranks {
        return Err(Error::failed(format!(
            "the launcher started {ranks} ranks but {} sees {}: start with the launcher of the MPI this program was built with",
            comm.implementation(),
            comm.size()
        )));
    }
    Ok(comm)
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
}

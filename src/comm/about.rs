//! What the MPI at hand is, who started this run, and what becomes of it when a rank dies.
//!
//! Which MPI survives a death, and how it has to be started for that, was found by killing workers under each of them:
//! Open MPI 4 goes on under `--enable-recovery`, Open MPI 5 under `--with-ft ulfm`, MPICH under nothing.

/// What becomes of the other ranks when one dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survival {
    /// The launcher ends them all, whatever its options.
    Never,
    /// They live on if the launcher was given this option, which it was or was not.
    With {
        /// The option of the launcher.
        option: &'static str,
        /// This run was started with it.
        given: bool,
    },
    /// Nobody has tried this MPI.
    Unknown,
}

/// The MPI library this program was linked with, with its version; none in a build without MPI. It need not have been
/// initialised.
pub fn linked_mpi() -> Option<String> {
    #[cfg(feature = "mpi")]
    return Some(super::mpi::library());
    #[cfg(not(feature = "mpi"))]
    None
}

/// The launcher that started this run, as far as the environment tells.
pub fn launcher() -> Option<&'static str> {
    launcher_of(|name| std::env::var(name).ok())
}

/// What becomes of this run when a rank dies, under an MPI library of this name.
pub fn survival(library: &str) -> Survival {
    survival_of(library, |name| std::env::var(name).ok())
}

fn launcher_of(variable: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let is = |name: &str| variable(name).is_some();
    // mpirun and mpiexec inside a Slurm job start their daemons with srun, whose step then has a task a host: only a step
    // with as many tasks as the job has ranks was launched by srun itself.
    let step = |size: &str| is(size) && variable("SLURM_STEP_NUM_TASKS") == variable(size);
    if variable("PMIX_NAMESPACE").is_some_and(|name| name.starts_with("slurm.pmix")) || step("PMI_SIZE") {
        Some("srun")
    } else if is("OMPI_COMM_WORLD_SIZE") {
        Some("mpirun of Open MPI")
    } else if is("PMI_SIZE") {
        Some("mpiexec of MPICH or a relative")
    } else if is("PALS_SIZE") {
        Some("mpiexec of PALS")
    } else {
        is("SLURM_STEP_NUM_TASKS").then_some("srun")
    }
}

fn survival_of(library: &str, variable: impl Fn(&str) -> Option<String>) -> Survival {
    let set = |name: &&str| variable(name).is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false" | "no"));
    let with = |option, variables: &[&str]| Survival::With { option, given: variables.iter().any(&set) };
    if library.starts_with("Open MPI v4") {
        with("--enable-recovery", &["OMPI_MCA_orte_enable_recovery"])
    } else if library.starts_with("Open MPI v5") {
        let variables = ["OMPI_MCA_mpi_ft_enable", "PRTE_MCA_prte_enable_ft", "OMPI_MCA_prte_enable_ft"];
        with("--with-ft ulfm", &variables)
    } else if library.contains("MPICH") {
        Survival::Never
    } else {
        Survival::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + use<'a> {
        |name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
    }

    #[test]
    fn launchers_are_told_apart() {
        assert_eq!(launcher_of(of(&[])), None);
        assert_eq!(launcher_of(of(&[("OMPI_COMM_WORLD_SIZE", "3")])), Some("mpirun of Open MPI"));
        let batch = [("OMPI_COMM_WORLD_SIZE", "3"), ("SLURM_STEP_NUM_TASKS", "1")];
        assert_eq!(launcher_of(of(&batch)), Some("mpirun of Open MPI"));
        assert_eq!(launcher_of(of(&[("PMI_SIZE", "4")])), Some("mpiexec of MPICH or a relative"));
        assert_eq!(launcher_of(of(&[("PMI_SIZE", "4"), ("SLURM_STEP_NUM_TASKS", "4")])), Some("srun"));
        let pmix = [("PMIX_NAMESPACE", "slurm.pmix.7.0"), ("SLURM_STEP_NUM_TASKS", "4")];
        assert_eq!(launcher_of(of(&pmix)), Some("srun"));
        assert_eq!(launcher_of(of(&[("SLURM_NTASKS", "4"), ("SLURM_PROCID", "0")])), None);
    }

    #[test]
    fn what_survives_depends_on_the_library_and_on_how_it_was_started() {
        let recovery = |given| Survival::With { option: "--enable-recovery", given };
        assert_eq!(survival_of("Open MPI v4.1.4", of(&[])), recovery(false));
        assert_eq!(survival_of("Open MPI v4.1.4", of(&[("OMPI_MCA_orte_enable_recovery", "1")])), recovery(true));
        assert_eq!(survival_of("Open MPI v4.1.4", of(&[("OMPI_MCA_orte_enable_recovery", "0")])), recovery(false));
        let ulfm = |given| Survival::With { option: "--with-ft ulfm", given };
        assert_eq!(survival_of("Open MPI v5.0.11", of(&[("OMPI_MCA_mpi_ft_enable", "1")])), ulfm(true));
        assert_eq!(survival_of("Open MPI v5.0.11", of(&[("OMPI_MCA_orte_enable_recovery", "1")])), ulfm(false));
        assert_eq!(survival_of("MPICH Version: 4.0.2", of(&[])), Survival::Never);
        assert_eq!(survival_of("Another MPI 1.0", of(&[])), Survival::Unknown);
    }
}

//! Settings of the process that only the C library and the environment offer.
//!
//! Safety argument for the `unsafe` blocks: `prctl` with PR_SET_TIMERSLACK and `mallopt` take numbers by value and touch no
//! memory of ours; setting a variable races with threads that read the environment. All are called before the first thread
//! is started. `_exit` ends the process and runs none of its code. `dl_iterate_phdr` hands its callback a record that is valid
//! during the call, with a name that is a C string or null, and the vector that it was given; the loader is not called from there.
//! `dlopen` of a library that is loaded already runs none of its code and counts one more user of it.

use std::io::Write;
#[cfg(feature = "mpi")]
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, Signal, getppid, kill_process};

/// Lets short sleeps be short: the kernel may otherwise add 50 microseconds to each.
pub(super) fn sharpen_sleep() {
    // SAFETY: see the head of the file.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1000u64, 0, 0, 0);
    }
}

/// Keeps freed memory for the next round instead of handing it back to the kernel: every round needs the same large
/// buffers, and pages that come back must be cleared and mapped anew (a tenth of the time of an LSI run).
pub(super) fn keep_freed_memory() {
    // SAFETY: see the head of the file.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
    }
}

/// Keeps all libraries that are loaded now until the process has ended.
///
/// While MPI is finalised Open MPI unloads its components and those of PMIx, whose progress thread may still be within one of them: about
/// one launch in some thousands then ended with signal 11 after its work was done and written.
#[cfg(all(feature = "mpi", target_os = "linux"))]
pub(super) fn keep_libraries() {
    use std::ffi::{CStr, CString, c_int, c_void};

    unsafe extern "C" fn note(library: *mut libc::dl_phdr_info, _: usize, names: *mut c_void) -> c_int {
        // SAFETY: see the head of the file.
        unsafe {
            let name = (*library).dlpi_name;
            if !name.is_null() && *name != 0 {
                (*names.cast::<Vec<CString>>()).push(CStr::from_ptr(name).to_owned());
            }
        }
        0
    }

    let mut names: Vec<CString> = Vec::new();
    // SAFETY: see the head of the file.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut names).cast()) };
    for name in names {
        // SAFETY: see the head of the file.
        unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
    }
}

/// Other systems are not known to need it.
#[cfg(all(feature = "mpi", not(target_os = "linux")))]
pub(super) fn keep_libraries() {}

/// What this process is going to end with.
#[cfg(feature = "mpi")]
static EXIT_CODE: AtomicI32 = AtomicI32::new(0);

/// From now on all work is done, and this is the exit code, should MPI not let itself be finalised.
#[cfg(feature = "mpi")]
pub(super) fn ends_with(code: i32) {
    EXIT_CODE.store(code, Ordering::Release);
}

/// The exit code of a process that has nothing more to do.
#[cfg(feature = "mpi")]
pub(super) fn exit_code() -> i32 {
    EXIT_CODE.load(Ordering::Acquire)
}

/// Ends this process on the spot: MPI is not finalised, which would wait for the dead, and no other exit handler runs.
pub(super) fn leave(code: i32) -> ! {
    // Nobody is left to hear of a standard output that is closed.
    let _ = std::io::stdout().flush();
    // SAFETY: see the head of the file.
    unsafe { libc::_exit(code) }
}

/// Programs that may stand between a launcher and a rank: a shell with a script, a profiler.
const BETWEEN: usize = 8;

/// Makes the MPI launcher that started this process, or the script that did, end the job with a status that is not 0; false
/// when there is none on this host.
///
/// A launcher that lets a job outlive its workers takes no rank's exit status for a failure, nor MPI_Abort for an end:
/// mpirun of Open MPI 4 under `--enable-recovery` returns 0 whatever its ranks return, and waits for all of them. The one
/// thing it obeys is a signal. On other hosts than mpirun's own the ranks are children of a daemon, whose end ends the job.
pub(super) fn end_launcher() -> bool {
    let mut parent = getppid();
    for _ in 0..=BETWEEN {
        let Some(process) = parent else { return false };
        let number = process.as_raw_nonzero();
        let program = std::fs::read_link(format!("/proc/{number}/exe")).unwrap_or_default();
        let signal = match program.file_name().and_then(|name| name.to_str()).unwrap_or_default() {
            "orterun" | "prterun" | "mpirun" | "mpiexec" | "prte" => Signal::TERM,
            "orted" | "prted" => Signal::KILL,
            _ => {
                parent =
                    std::fs::read_to_string(format!("/proc/{number}/status")).ok().and_then(|text| parent_of(&text));
                continue;
            }
        };
        return kill_process(process, signal).is_ok();
    }
    false
}

/// The parent that the status page of a process names.
fn parent_of(status: &str) -> Option<Pid> {
    let number = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    number.trim().parse().ok().and_then(Pid::from_raw)
}

/// Sets a variable for the libraries of this process.
pub(super) fn set_variable(name: &str, value: &str) {
    // SAFETY: see the head of the file.
    unsafe { std::env::set_var(name, value) }
}

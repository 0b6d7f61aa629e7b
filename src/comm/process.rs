//! Settings of the process that only the C library and the environment offer.
//!
//! Safety argument for the `unsafe` blocks: `prctl` with PR_SET_TIMERSLACK and `mallopt` take numbers by value and touch no
//! memory of ours; changing the environment is safe while no other thread can read it. All are called before the first
//! thread is started.

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

/// Tells Open MPI, when all its ranks are on this host, that shared memory is all there is to use: looking for network
/// hardware takes half the time of its start, a fifth of a second. What the user or a launcher has set stays.
#[cfg(feature = "mpi")]
pub(super) fn spare_looking_for_networks() {
    let variable = |name| std::env::var_os(name);
    let ranks = variable("OMPI_COMM_WORLD_SIZE");
    if ranks.is_some() && ranks == variable("OMPI_COMM_WORLD_LOCAL_SIZE") && variable("OMPI_MCA_pml").is_none() {
        // SAFETY: see the head of the file.
        unsafe { std::env::set_var("OMPI_MCA_pml", "ob1") };
    }
}

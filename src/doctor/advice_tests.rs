use super::super::folder::Folder;
use super::super::host::HostView;
use super::super::{Figure, Unit};
use super::*;
use crate::comm::Survival;
use crate::linalg::BackEnd;

fn rank(rank: usize, host: &str, works: bool) -> Rank {
    Rank {
        rank,
        host: host.to_owned(),
        works,
        threads: 1,
        threads_from: "--threads".to_owned(),
        memory_bytes: 1 << 30,
        version: "1.0".to_owned(),
        view: HostView {
            processor: "a CPU".to_owned(),
            kernels: "avx512".to_owned(),
            best_kernels: "avx512".to_owned(),
            cpus: vec![0, 1],
            cpu_limit: None,
            memory_bytes: Some(16 << 30),
            available_bytes: Some(8 << 30),
            memory_limit_bytes: None,
            slow_start_after_idle: Some(false),
            tcp_window_bytes: Some(32 << 20),
        },
        one_thread: Vec::new(),
        all_threads: Vec::new(),
        sum_seconds: None,
    }
}

/// A dispatcher and two workers on a host of two cores, with nothing to complain about.
fn healthy() -> Report {
    Report {
        mpi_library: Some("Open MPI v4.1.4".to_owned()),
        thread_level: None,
        launcher: Some("mpirun of Open MPI"),
        survival: Survival::With { option: "--enable-recovery", given: false },
        slurm_tasks: None,
        blas: BackEnd { name: "a BLAS".to_owned(), reproducibility: String::new() },
        hdf5: "1.10.8".to_owned(),
        locking: Locking::On,
        folder: Folder {
            path: "/work".into(),
            file_system: Some("ext4".to_owned()),
            free_bytes: Some(1 << 40),
            locks: Some(true),
            seen_by: vec![true; 3],
            ..Folder::default()
        },
        ranks: (0..3).map(|number| rank(number, "node", number > 0)).collect(),
        messages: Vec::new(),
        quick: false,
    }
}

/// The one thing said about a report.
#[track_caller]
fn only(report: &Report, words: &[&str]) -> Advice {
    let mut said = advice(report);
    assert_eq!(said.len(), 1, "{said:?}");
    let one = said.remove(0);
    words.iter().for_each(|word| assert!(one.text.contains(word), "{word:?} is missing in: {}", one.text));
    one
}

#[test]
fn where_all_is_well_nothing_is_said() {
    assert_eq!(advice(&healthy()), []);
}

#[test]
fn cores_that_are_too_few_or_idle_are_noticed() {
    let mut report = healthy();
    report.ranks.iter_mut().for_each(|rank| rank.view.cpus = vec![3]);
    only(&report, &["2 busy ranks", "one core", "CPU 3", "--bind-to none"]);
    // The sleeping dispatcher needs no core of its own.
    report.ranks[1].works = false;
    assert_eq!(advice(&report), []);

    let mut report = healthy();
    (report.ranks[1].threads, report.ranks[1].view.cpus) = (2, vec![0]);
    (report.ranks[2].host, report.folder.seen_by) = ("other".to_owned(), vec![true; 3]);
    report.ranks[2].threads = 2;
    only(&report, &["Rank 1 on node", "2 threads (--threads)", "CPU 0", "slot:PE=2", "--threads 1"]);

    let mut report = healthy();
    report.ranks.iter_mut().for_each(|rank| rank.view.cpu_limit = Some(0.5));
    only(&report, &["2 busy threads share 0.5 cores"]);

    let mut report = healthy();
    report.ranks.iter_mut().for_each(|rank| rank.view.cpus = (0..16).collect());
    only(&report, &["2 busy threads could use 16 cores (CPU 0-15)"]);
}

#[test]
fn memory_is_held_against_the_limit_and_what_is_free() {
    let mut report = healthy();
    report.ranks.iter_mut().for_each(|rank| rank.memory_bytes = 4 << 30);
    only(&report, &["may fill 12.0 GiB", "only 8.0 GiB are free"]);
    report.ranks.iter_mut().for_each(|rank| rank.view.memory_limit_bytes = Some(2 << 30));
    only(&report, &["control group allows 2.0 GiB", "--memory"]);
}

#[test]
fn slow_kernels_and_back_ends_are_noticed() {
    let mut report = healthy();
    report.ranks.iter_mut().for_each(|rank| rank.view.kernels = "portable".to_owned());
    only(&report, &["portable", "avx512", "CORPUSCLE_SIMD"]);
    report.ranks.iter_mut().for_each(|rank| rank.view.best_kernels = "portable".to_owned());
    assert_eq!(advice(&report), []);
    (report.ranks[1].view.kernels, report.ranks[1].view.best_kernels) = ("avx2".to_owned(), "avx2".to_owned());
    only(&report, &["last digits", "CORPUSCLE_SIMD=portable"]);

    let mut report = healthy();
    let flops = |name: &str, value: f64| Figure::new(name, value, Unit::Flops);
    report.ranks[1].one_thread = vec![flops(speed::SQUARE, 1e11), flops(speed::SQUARE_IN_RUST, 1.2e11)];
    assert_eq!(advice(&report), []);
    report.ranks[1].one_thread = vec![flops(speed::SQUARE, 1e11), flops(speed::SQUARE_IN_RUST, 2e11)];
    only(&report, &["100 GF/s by a BLAS", "200 by faer", "--features mpi,faer"]);

    let mut report = healthy();
    report.ranks[1].one_thread = vec![flops(speed::SPARSE[0].0, 2e10)];
    report.ranks[1].all_threads = vec![flops(speed::SPARSE[0].0, 9e9)];
    report.ranks[2].all_threads = vec![flops(speed::SPARSE[0].0, 9e9)];
    only(&report, &["2 threads together are only 0.9 times"]);
}

#[test]
fn folders_that_do_not_serve_are_noticed() {
    let mut report = healthy();
    report.folder.trouble = Some("does not exist: create it".to_owned());
    assert!(only(&report, &["/work: does not exist"]).fatal);
    type Spoil = fn(&mut Report);
    let cases: [(Spoil, &str); 5] = [
        (|report| report.folder.seen_by = vec![true, true, false], "rank 2 cannot see"),
        (|report| report.folder.file_system = Some("tmpfs".to_owned()), "lies in memory"),
        (|report| report.folder.free_bytes = Some(1 << 20), "has only 0.0 GiB left"),
        (|report| report.folder.locks = Some(false), "cannot be locked"),
        (|report| report.locking = Locking::Off, "HDF5_USE_FILE_LOCKING"),
    ];
    for (spoil, words) in cases {
        let mut report = healthy();
        spoil(&mut report);
        assert!(!only(&report, &[words]).fatal);
    }
}

#[test]
fn launches_that_will_not_do_are_noticed() {
    let mut report = healthy();
    report.ranks.truncate(1);
    (report.ranks[0].works, report.ranks[0].threads) = (true, 2);
    (report.launcher, report.slurm_tasks) = (None, Some(8));
    only(&report, &["8 tasks", "srun"]);
    let mut report = healthy();
    report.ranks[2].version = "0.9".to_owned();
    assert!(only(&report, &["Rank 2 on node runs corpuscle 0.9"]).fatal);
}

#[test]
fn slow_networks_pay_for_larger_blocks() {
    let mut report = healthy();
    let with = |report: &mut Report, seconds| {
        report.messages = vec![(1, vec![Figure::new(network::LATENCY, seconds, Unit::Seconds)])];
        report.ranks[1].all_threads = vec![Figure::new(speed::SPARSE[0].0, 3e10, Unit::Flops)];
    };
    with(&mut report, 5e-5);
    assert_eq!(advice(&report), []);
    with(&mut report, 1e-2);
    only(&report, &["takes 10.0 ms", "--block 80", "--staleness 1 hides the 20 ms"]);
    report.ranks[2].view.slow_start_after_idle = Some(true);
    assert_eq!(advice(&report).len(), 2);
    let text = &advice(&report)[1].text;
    assert!(text.contains("node: TCP") && text.contains("tcp_slow_start_after_idle=0"), "{text}");
    report.ranks[2].view.slow_start_after_idle = Some(false);
    report.ranks[0].view.tcp_window_bytes = Some(4 << 20);
    let text = only(&report, &["A message to rank 1"; 0]).text;
    assert!(text.contains("--block"), "210 MB/s will do: {text}");
    with(&mut report, 5e-2);
    let text = &advice(&report)[1].text;
    assert!(text.contains("no more than 42 MB/s") && text.contains("tcp_wmem=\"4096 65536 134217728\""), "{text}");
    // Nobody notices on a fast network.
    with(&mut report, 5e-5);
    assert_eq!(advice(&report), []);

    // The model's own figures: with b columns, 640 + 6 b products and as many / b rounds.
    let (latency, flops, workers) = (4e-3, 2e10, 3);
    let seconds = |block: usize| {
        let products = 640.0 + 6.0 * block as f64;
        products * 4e7 / flops + products / block as f64 * latency * messages_a_round(workers) as f64
    };
    let best = (32..=112).step_by(16).min_by(|a, b| seconds(*a).total_cmp(&seconds(*b))).expect("blocks");
    let advised = block_for(latency, flops, workers);
    assert!(advised.abs_diff(best) <= 16, "advised {advised}, best {best}");
}

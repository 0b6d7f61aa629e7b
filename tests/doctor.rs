//! `doctor`: what it lists, and what it says about set-ups that were spoiled on purpose. Nothing is measured here.

mod common;

use common::{PROGRAM, Run, alone, alone_with, has_mpi, ranks, run, text};
use serde_json::Value;
use std::process::Command;

/// The rows printed as JSON.
fn rows(run: &Run) -> Vec<Value> {
    serde_json::from_str(&run.stdout).unwrap_or_else(|cause| panic!("{cause}: {}", run.stdout))
}

/// The value of an item in a section; of the first place that has it.
fn value<'a>(rows: &'a [Value], section: &str, item: &str) -> &'a Value {
    let row = rows.iter().find(|row| row["section"] == section && row["item"] == item);
    &row.unwrap_or_else(|| panic!("no {item} in {section}"))["value"]
}

fn advice(rows: &[Value]) -> Vec<&str> {
    let said = rows.iter().filter(|row| row["section"] == "advice");
    said.map(|row| row["value"].as_str().expect("a sentence")).collect()
}

#[test]
fn a_program_alone_says_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["doctor", "--quick", "--threads", "1", "--memory", "1M", "--work", text(folder.path())];
    let json = alone(arguments.iter().chain(&["--format", "json"])).ok();
    let rows = rows(&json);
    assert_eq!(value(&rows, "MPI", "ranks"), 1);
    let back_end = match (cfg!(feature = "mkl"), cfg!(feature = "openblas")) {
        (true, _) => "Intel MKL",
        (_, true) => "OpenBLAS",
        _ => "faer",
    };
    assert!(value(&rows, "linear algebra", "dense products").as_str().unwrap().starts_with(back_end));
    assert!(value(&rows, "files", "HDF5").as_str().unwrap().starts_with("1."));
    assert_eq!(value(&rows, "files", "ranks that see the same files"), "1 of 1");
    assert!(value(&rows, "files", "free space").as_f64().unwrap() > 0.0);
    assert_eq!(
        (value(&rows, "ranks", "threads").as_u64(), value(&rows, "ranks", "memory").as_f64()),
        (Some(1), Some(1048576.0))
    );
    assert_eq!(value(&rows, "ranks", "threads from"), "--threads");
    assert!(!rows.iter().any(|row| row["section"] == "speed"), "quick measures nothing");
    assert!(common::names(folder.path()).is_empty(), "nothing is left behind");

    let table = alone(arguments).ok().stdout;
    for head in ["MPI", "linear algebra", "files", "rank ", "hosts "] {
        assert!(table.lines().any(|line| line.starts_with(head)), "{head:?} in\n{table}");
    }
    let csv = alone(arguments.iter().chain(&["--format", "csv"])).ok().stdout;
    assert_eq!(csv.lines().next(), Some("section,where,item,value,unit"));
}

#[test]
fn every_rank_is_listed_and_sees_the_folder() {
    if !has_mpi() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = ranks(3, ["doctor", "--quick", "--work", text(folder.path()), "--threads", "1", "--format", "json"]).ok();
    let rows = rows(&run);
    assert_eq!(value(&rows, "MPI", "ranks"), 3);
    assert!(value(&rows, "MPI", "thread level").as_str().unwrap().starts_with("MPI_THREAD_"));
    assert!(value(&rows, "MPI", "launcher").as_str().unwrap().contains("mpi"));
    let listed: Vec<_> = rows.iter().filter(|row| row["section"] == "ranks" && row["item"] == "works").collect();
    let roles: Vec<_> = listed.iter().map(|row| row["value"].as_str().unwrap()).collect();
    assert_eq!(roles, ["dispatches", "yes", "yes"]);
    for (number, row) in listed.iter().enumerate() {
        assert!(row["where"].as_str().unwrap().starts_with(&format!("{number}@")), "{row}");
    }
    assert_eq!(value(&rows, "files", "ranks that see the same files"), "3 of 3");
    assert!(common::names(folder.path()).is_empty(), "nothing is left behind");
}

#[test]
fn folders_without_a_place_for_results_are_fatal() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    // Nobody may write to /proc, root included.
    for (work, words) in [(text(&missing), "does not exist"), ("/proc", "no file can be written there")] {
        for count in if has_mpi() { vec![1, 3] } else { vec![1] } {
            let run = ranks(count, ["doctor", "--quick", "--work", work, "--format", "json"]);
            assert_eq!(run.code, Some(1), "{}", run.stderr);
            assert_eq!(run.messages().len(), 1, "{}", run.stderr);
            assert!(run.messages()[0].contains(words), "{}", run.stderr);
            let rows = rows(&run);
            let fatal = rows.iter().find(|row| row["item"] == "impossible").expect("said in the report too");
            assert!(fatal["value"].as_str().unwrap().contains(words), "{fatal}");
        }
    }
}

#[test]
fn ranks_that_share_a_core_are_told() {
    if !has_mpi() || Command::new("taskset").args(["-c", "0", "true"]).status().is_err() {
        return;
    }
    let bound = |count: usize| {
        let mut command = Command::new("taskset");
        let launcher =
            std::env::var("CORPUSCLE_MPIRUN").unwrap_or_else(|_| "mpirun --oversubscribe --bind-to none".to_owned());
        command.args(["-c", "0"]).args(launcher.split_whitespace()).args(["-n", &count.to_string(), PROGRAM]);
        command.args(["doctor", "--quick", "--threads", "1", "--memory", "1M", "--format", "json"]);
        for name in ["OMPI_ALLOW_RUN_AS_ROOT", "PRTE_ALLOW_RUN_AS_ROOT"] {
            command.env(name, "1").env(format!("{name}_CONFIRM"), "1");
        }
        run(&mut command).ok()
    };
    let run = bound(3);
    let rows_of_three = rows(&run);
    assert!(
        advice(&rows_of_three)
            .iter()
            .any(|text| text.contains("2 busy ranks with 2 threads in all share one core (CPU 0)")),
        "{}",
        run.stdout
    );
    // One worker on one core is as it should be.
    let run = bound(2);
    assert!(!advice(&rows(&run)).iter().any(|text| text.contains("share one core")), "{}", run.stdout);
}

#[test]
fn threads_beyond_what_a_rank_may_use_and_slower_kernels_are_told() {
    let arguments = ["doctor", "--quick", "--threads", "1000", "--format", "json"];
    let told = alone_with(&[("CORPUSCLE_SIMD", "portable"), ("HDF5_USE_FILE_LOCKING", "FALSE")], arguments).ok();
    let rows = rows(&told);
    let said = advice(&rows).join("\n");
    assert!(said.contains("has 1000 threads (--threads) but may only run on CPU"), "{said}");
    assert!(said.contains("HDF5_USE_FILE_LOCKING turns file locking off"), "{said}");
    if cfg!(target_arch = "x86_64") && value(&rows, "hosts", "instruction set") != "portable" {
        assert!(said.contains("unset CORPUSCLE_SIMD"), "{said}");
    }
    let table = alone_with(&[("OMP_NUM_THREADS", "3")], ["doctor", "--quick"]).ok().stdout;
    assert!(table.contains("OMP_NUM_THREADS"), "{table}");
}

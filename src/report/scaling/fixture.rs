//! Run files made up for the tests of this folder.

use crate::report::account::{Counters, OTHER, Phase, RankAccount};
use crate::report::run_file::Run;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// A run of `workers` workers and a dispatcher: a tenth of its time reading, a fifth of the rest waiting, 4 passes over
/// `documents`.
pub fn write(folder: &Path, name: &str, workers: usize, seconds: f64, documents: u64, parameters: &Value) -> PathBuf {
    let account = |rank: usize| {
        let phase = |name: &str, part: f64, waiting: f64| Phase {
            name: name.into(),
            seconds: part * seconds,
            cpu_seconds: part * seconds,
            compute_seconds: part * seconds * (1.0 - waiting),
            waiting_seconds: part * seconds * waiting,
            io_seconds: 0.0,
        };
        RankAccount {
            rank,
            host: "node0".into(),
            started_unix_seconds: 1.7e9,
            peak_memory_bytes: Some(1 << 20),
            predicted_memory_bytes: None,
            counters: Counters {
                passes: 4,
                rounds: 3,
                documents: if rank > 0 { 4 * documents / workers as u64 } else { 0 },
                bytes_sent: 1000 * workers as u64,
                ..Counters::default()
            },
            phases: vec![phase("read", 0.125, 0.0), phase("krylov", 0.75, 0.25), phase(OTHER, 0.125, 0.0)],
        }
    };
    let ranks: Vec<RankAccount> = (0..=workers).map(account).collect();
    let arguments = ["corpuscle".to_owned(), "lsi".into(), "<tfidf> & more.h5".into()];
    Run { command: "lsi", arguments: &arguments, parameters: parameters.clone(), result: Value::Null, ranks: &ranks }
        .write_beside(&folder.join(name))
        .expect("a run file")
}

//! `<output>.run.json`: what a run did and cost, beside the result it made.
//!
//! Results hold nothing that varies between runs; times, hosts and rank counts are for this file.

use crate::error::{At, Result};
use crate::report::account::RankAccount;
use crate::report::totals::Totals;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// What ran, for [`Run::json`].
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The subcommand.
    pub command: &'a str,
    /// The command line as given.
    pub arguments: &'a [String],
    /// All parameters as they took effect, defaults included.
    pub parameters: Value,
    /// What the command has to say about its result, such as residuals.
    pub result: Value,
    /// The accounts of all ranks in order.
    pub ranks: &'a [RankAccount],
}

impl Run<'_> {
    /// The run as one JSON object. Sizes are in bytes, times in seconds.
    pub fn json(&self) -> Value {
        json!({
            "corpuscle": env!("CARGO_PKG_VERSION"),
            "command": self.command,
            "arguments": self.arguments,
            "parameters": self.parameters,
            "result": self.result,
            "totals": Totals::of(self.ranks),
            "ranks": self.ranks,
        })
    }

    /// Writes the object beside `output`, whole or not at all, and returns where.
    ///
    /// # Errors
    /// Fails when the folder or the disk does not take it; nothing is left behind then.
    pub fn write_beside(&self, output: &Path) -> Result<PathBuf> {
        let target = beside(output, ".run.json");
        let unfinished = beside(output, &format!(".run.json.{}.tmp", std::process::id()));
        let written = write(&unfinished, &self.json()).and_then(|()| fs::rename(&unfinished, &target));
        if written.is_err() {
            // The first error is the one to tell; a file that was never made cannot be removed.
            let _ = fs::remove_file(&unfinished);
        }
        written.at(&target)?;
        Ok(target)
    }
}

fn write(path: &Path, value: &Value) -> std::io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(&serde_json::to_vec_pretty(value)?)?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn beside(output: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(output);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::totals::fixture;

    #[test]
    fn it_is_written_whole_and_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let ranks = fixture::run(3);
        let run = Run {
            command: "lsi",
            arguments: &["-k".into(), "2".into()],
            parameters: json!({"k": 2}),
            result: json!({"residuals": [1e-5, 2e-5]}),
            ranks: &ranks,
        };
        let path = run.write_beside(&folder.path().join("model.h5")).unwrap();
        assert_eq!(path, folder.path().join("model.h5.run.json"));
        let read: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(read["parameters"]["k"], 2);
        assert_eq!(read["result"]["residuals"][1], 2e-5);
        assert_eq!(read["totals"]["counters"]["documents"], 3000);
        assert_eq!(read["totals"]["phases"][1]["mean"]["name"], "lsi");
        assert_eq!(read["ranks"][2]["phases"][1]["compute_seconds"], 10.0);
        assert_eq!(read["ranks"][2]["host"], "node00");
        run.write_beside(&folder.path().join("model.h5")).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing but the file itself is left");
    }

    #[test]
    fn an_impossible_place_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let run = Run { command: "lsi", arguments: &[], parameters: Value::Null, result: Value::Null, ranks: &[] };
        let error = run.write_beside(&folder.path().join("none/model.h5")).unwrap_err().to_string();
        assert!(error.contains("model.h5.run.json: "), "{error}");
        // A folder where the file should go: the temporary file must not stay.
        fs::create_dir(folder.path().join("taken.run.json")).unwrap();
        assert!(run.write_beside(&folder.path().join("taken")).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

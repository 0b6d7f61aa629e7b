//! A run as its `<output>.run.json` tells it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::{At, Error, Result};
use crate::report::account::RankAccount;
use crate::report::totals::{Totals, working};

/// Largest run file that is read: a thousand ranks make about 2 MB.
const LARGEST: u64 = 1 << 28;

/// One run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The file it was read from.
    pub file: PathBuf,
    /// Version of corpuscle.
    pub version: String,
    /// The subcommand.
    pub command: String,
    /// The command line.
    pub arguments: Vec<String>,
    /// All parameters as they took effect, those inside others by dotted names.
    pub parameters: Map<String, Value>,
    /// The accounts of its ranks, in order.
    pub ranks: Vec<RankAccount>,
    /// All ranks as one, worked out anew from `ranks`.
    pub totals: Totals,
}

/// What of the file is read.
#[derive(Deserialize)]
struct Record {
    corpuscle: String,
    command: String,
    arguments: Vec<String>,
    parameters: Value,
    ranks: Vec<RankAccount>,
}

impl Run {
    /// Reads a run file.
    ///
    /// # Errors
    /// Fails on anything that is not one, with the reason.
    pub fn read(path: &Path) -> Result<Run> {
        let size = fs::metadata(path).at(path)?.len();
        if size > LARGEST {
            return Err(Error::failed(format!("{}: {size} bytes are no account of a run", path.display())));
        }
        let text = fs::read(path).at(path)?;
        let wrong = |why: &dyn std::fmt::Display| {
            Error::failed(format!(
                "{}: not the account of a run ({why}); give the .run.json beside a result",
                path.display()
            ))
        };
        let record: Record = serde_json::from_slice(&text).map_err(|cause| wrong(&cause))?;
        if record.ranks.is_empty() {
            return Err(wrong(&"it has no ranks"));
        }
        let numbers = record.ranks.iter().flat_map(|rank| &rank.phases).flat_map(|phase| {
            [phase.seconds, phase.cpu_seconds, phase.compute_seconds, phase.waiting_seconds, phase.io_seconds]
        });
        if numbers.into_iter().any(|seconds| !seconds.is_finite()) {
            return Err(wrong(&"a time is not a number"));
        }
        let mut parameters = Map::new();
        flatten("", record.parameters, &mut parameters);
        Ok(Run {
            file: path.to_owned(),
            version: record.corpuscle,
            command: record.command,
            arguments: record.arguments,
            parameters,
            totals: Totals::of(&record.ranks),
            ranks: record.ranks,
        })
    }

    /// Ranks that worked on documents.
    pub fn workers(&self) -> usize {
        working(&self.ranks).len()
    }

    /// Machines it ran on.
    pub fn hosts(&self) -> usize {
        self.ranks.iter().map(|rank| &rank.host).collect::<BTreeSet<_>>().len()
    }

    /// Documents that went by in one pass over the corpus; none where passes were not counted.
    pub fn documents(&self) -> Option<f64> {
        let counters = self.totals.counters;
        (counters.passes > 0).then(|| counters.documents as f64 / counters.passes as f64)
    }
}

/// Objects inside objects become dotted names; everything else stays as it is.
fn flatten(prefix: &str, value: Value, into: &mut Map<String, Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
                flatten(&name, value, into);
            }
        }
        Value::Object(_) => {}
        value if prefix.is_empty() => {
            into.insert("parameters".into(), value);
        }
        value => {
            into.insert(prefix.into(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scaling::fixture;
    use serde_json::json;

    #[test]
    fn a_run_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = fixture::write(
            folder.path(),
            "a",
            2,
            10.0,
            1000,
            &json!({"k": 5, "tokenizer": {"lowercase": true, "words": []}}),
        );
        let run = Run::read(&path).unwrap();
        assert_eq!((run.command.as_str(), run.workers(), run.hosts()), ("lsi", 2, 1));
        assert_eq!(run.documents(), Some(1000.0));
        assert_eq!(run.parameters["tokenizer.lowercase"], true);
        assert_eq!(run.parameters["tokenizer.words"], json!([]));
        assert_eq!(run.totals.seconds, 10.0);
    }

    #[test]
    fn other_files_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        for (text, reason) in [
            ("", "EOF"),
            ("{\"command\": \"lsi\"}", "missing field"),
            ("\u{89}HDF", "expected value"),
            (r#"{"corpuscle":"1","command":"lsi","arguments":[],"parameters":{},"ranks":[]}"#, "no ranks"),
        ] {
            fs::write(&path, text).unwrap();
            let message = Run::read(&path).unwrap_err().to_string();
            assert!(message.contains("a.json: not the account of a run") && message.contains(reason), "{message}");
        }
        let message = Run::read(&folder.path().join("none")).unwrap_err().to_string();
        assert!(message.contains("none: No such file"), "{message}");
    }
}

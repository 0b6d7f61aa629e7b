//! Traces as JSON in the Trace Event Format: `{"traceEvents": [...]}` with times in microseconds.
//!
//! A rank is a process of the format: thread 1 has its phases and, inside them, what it did; thread 2 its messages. Bytes
//! moved and memory are counters. The format is described in "Trace Event Format" (Google, 2016); Perfetto and
//! chrome://tracing read it.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};

use super::exchanges::Exchange;
use super::recorder::{Recorder, What};
use crate::error::{At, Error, Result};
use crate::report::account::Activity;
use crate::store::atomic::Target;

/// What the first bytes of a trace are.
const HEAD: &str = "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"corpuscle\":";

/// Thread of phases and activities, and thread of messages.
const WORK: u32 = 1;
const MESSAGES: u32 = 2;

/// Who the recorded rank is, and how its clock relates to the trace.
#[derive(Debug, Clone, Copy)]
pub struct Rank<'a> {
    /// Its number when the job started.
    pub rank: usize,
    /// Name of its machine.
    pub host: &'a str,
    /// How long after the beginning of the trace its recording began, in seconds.
    pub begun: f64,
}

/// The events of one rank, each followed by a comma. Empty where nothing was recorded.
pub fn events(rank: Rank, recorder: &Recorder, exchanges: &[Exchange], now: Instant) -> String {
    let Rank { rank: pid, host, begun } = rank;
    let spans = recorder.spans(now);
    let mut out = String::with_capacity(100 * (spans.len() + 2 * exchanges.len()) + 1000);
    let micros = |nanoseconds: u64| begun * 1e6 + nanoseconds as f64 / 1e3;
    let who = if pid == 0 { "dispatcher".to_owned() } else { format!("worker {pid}") };
    let named = |out: &mut String, what: &str, tid: u32, arguments: &Value| {
        let _ = writeln!(out, "{{\"ph\":\"M\",\"pid\":{pid},\"tid\":{tid},\"name\":\"{what}\",\"args\":{arguments}}},");
    };
    named(&mut out, "process_name", 0, &json!({ "name": format!("{who} on {host}") }));
    named(&mut out, "process_sort_index", 0, &json!({ "sort_index": pid }));
    named(&mut out, "thread_name", WORK, &json!({ "name": "work" }));
    named(&mut out, "thread_name", MESSAGES, &json!({ "name": "messages" }));
    if let (shortest, left_out @ 1..) = recorder.left_out() {
        named(
            &mut out,
            "process_labels",
            0,
            &json!({ "labels": format!("{left_out} spans below {} us left out", shortest / 1000) }),
        );
    }
    let names: Vec<String> = recorder.names().iter().map(|name| Value::from(name.as_str()).to_string()).collect();
    for span in spans {
        let (ts, dur) = (micros(span.begun), span.lasted as f64 / 1e3);
        let _ = write!(out, "{{\"ph\":\"X\",\"pid\":{pid},\"tid\":{WORK},\"ts\":{ts:.3},\"dur\":{dur:.3},");
        let _ = match span.what {
            What::Phase(number) => writeln!(out, "\"cat\":\"phase\",\"name\":{}}},", names[number as usize]),
            What::Chunk(chunk) => {
                writeln!(out, "\"cat\":\"compute\",\"name\":\"chunk {chunk}\",\"args\":{{\"chunk\":{chunk}}}}},")
            }
            What::Activity(activity) => {
                let (category, name) = match activity {
                    Activity::Compute => ("compute", "compute"),
                    Activity::Waiting => ("waiting", "waiting"),
                    Activity::Io => ("io", "read or write"),
                };
                writeln!(out, "\"cat\":\"{category}\",\"name\":\"{name}\"}},")
            }
        };
    }
    let (mut sent, mut received) = (0, 0);
    for exchange in exchanges {
        let after = exchange.at.saturating_duration_since(recorder.origin());
        let ts = micros(after.as_nanos() as u64);
        sent += exchange.sent;
        received += exchange.received;
        let _ = writeln!(
            out,
            "{{\"ph\":\"i\",\"s\":\"t\",\"pid\":{pid},\"tid\":{MESSAGES},\"ts\":{ts:.3},\"cat\":\"message\",\"name\":\"message\",\
             \"args\":{{\"sent\":{},\"received\":{},\"count\":{}}}}},",
            exchange.sent, exchange.received, exchange.count
        );
        let _ = writeln!(
            out,
            "{{\"ph\":\"C\",\"pid\":{pid},\"ts\":{ts:.3},\"name\":\"bytes moved\",\"args\":{{\"sent\":{sent},\"received\":{received}}}}},"
        );
    }
    for &(at, bytes) in recorder.memory() {
        let ts = micros(at);
        let _ = writeln!(
            out,
            "{{\"ph\":\"C\",\"pid\":{pid},\"ts\":{ts:.3},\"name\":\"memory\",\"args\":{{\"bytes\":{bytes}}}}},"
        );
    }
    out
}

/// A worker was lost, so long after the beginning of the trace.
pub fn loss(worker: usize, seconds: f64) -> String {
    format!(
        "{{\"ph\":\"i\",\"s\":\"g\",\"pid\":0,\"tid\":{WORK},\"ts\":{:.3},\"cat\":\"loss\",\"name\":\"worker {worker} lost\",\
         \"args\":{{\"worker\":{worker}}}}},\n",
        seconds * 1e6
    )
}

/// Makes sure that a trace can be written there. What stands there and is no trace is not replaced: it may be an input.
///
/// # Errors
/// Fails where nothing can be written, or something else is.
pub fn target(path: &Path) -> Result<Target> {
    if path.exists() && !is_trace(path) {
        return Err(Error::usage(format!(
            "--trace {}: there is a file that is no trace; name another, or remove it",
            path.display()
        )));
    }
    Target::create(path)
}

/// Whether a file begins like a trace.
pub fn is_trace(path: &Path) -> bool {
    use std::io::Read;
    let mut head = vec![0; HEAD.len()];
    fs::File::open(path).and_then(|mut file| file.read_exact(&mut head)).is_ok_and(|()| head == HEAD.as_bytes())
}

/// Writes the events of all ranks, as [`events`] and [`loss`] made them.
///
/// # Errors
/// Fails when the disk does not take them; nothing is left behind then.
pub fn write(target: Target, about: &Value, parts: &[impl AsRef<[u8]>]) -> Result<()> {
    let path = target.temporary().to_owned();
    let mut file = BufWriter::new(fs::File::create(&path).at(&path)?);
    let mut put = || {
        writeln!(file, "{HEAD}{},\"about\":{about}}},\"traceEvents\":[", Value::from(env!("CARGO_PKG_VERSION")))?;
        for part in parts {
            file.write_all(part.as_ref())?;
        }
        // Each event ends with a comma; this one closes the list.
        file.write_all(b"{\"ph\":\"M\",\"pid\":0,\"name\":\"trace_end\",\"args\":{}}\n]}\n")?;
        file.flush()
    };
    put().at(&path)?;
    target.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_trace_is_json_that_says_who_did_what_when() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut recorder = Recorder::begin(start, 100);
        recorder.enter_phase("say \"hi\"", at(1));
        recorder.enter(What::Chunk(3), at(2));
        recorder.leave(at(4));
        recorder.enter(What::Activity(Activity::Waiting), at(4));
        recorder.leave(at(5));
        recorder.leave(at(6));
        let exchanges = [
            Exchange { at: at(2), sent: 10, received: 0, count: 1 },
            Exchange { at: at(3), sent: 5, received: 7, count: 2 },
        ];
        let who = Rank { rank: 1, host: "node\"1", begun: 0.5 };
        let part = events(who, &recorder, &exchanges, at(7));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.json");
        write(target(&path).unwrap(), &json!({"command": "lsi"}), &[part, loss(2, 1.5)]).unwrap();
        assert!(is_trace(&path));
        let trace: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(trace["otherData"]["about"]["command"], "lsi");
        let events = trace["traceEvents"].as_array().unwrap();
        let of = |ph: &str| events.iter().filter(|event| event["ph"] == ph).collect::<Vec<_>>();
        let spans = of("X");
        assert_eq!(spans.len(), 3);
        assert_eq!((&spans[0]["name"], &spans[0]["ts"]), (&json!("chunk 3"), &json!(502_000.0)));
        assert_eq!((&spans[1]["cat"], &spans[1]["dur"]), (&json!("waiting"), &json!(1000.0)));
        assert_eq!((&spans[2]["name"], &spans[2]["dur"]), (&json!("say \"hi\""), &json!(5000.0)));
        let moved: Vec<_> = of("C").into_iter().filter(|event| event["name"] == "bytes moved").collect();
        assert_eq!(moved[1]["args"], json!({"sent": 15, "received": 7}));
        assert_eq!(of("i").last().unwrap()["name"], "worker 2 lost");
        assert!(of("M").iter().any(|event| event["args"]["name"] == "worker 1 on node\"1"));
        // Again is fine; another file is not touched.
        drop(target(&path).unwrap());
        fs::write(folder.path().join("corpus.h5"), "precious").unwrap();
        assert!(target(&folder.path().join("corpus.h5")).unwrap_err().to_string().contains("no trace"));
    }
}

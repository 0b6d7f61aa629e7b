//! What a run says as JSON: `--progress json`, one object a line on standard error.
//!
//! | `event` | other fields |
//! | --- | --- |
//! | `start` | `command`, `version`, `ranks`, `implementation` |
//! | `progress` | `task`, `unit`, `done`, `total` or null, `documents`, `seconds` since the task began, `documents_per_second`, `seconds_left` or null, `bytes_sent` by all ranks, `workers`: lists of ranks by state (`working`, `waiting`, `io`, `other`, `dead`) |
//! | `log` | `level`, `rank`, `message` |
//! | `message` | `message`: what is said beside the log |
//! | `error` | `message` |
//! | `end` | `command`, `output` or null, `totals` as in the run file |
//!
//! All have `time`, in seconds since 1970. Lines that do not begin with `{` are the launcher's.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde_json::{Value, json};

static ON: AtomicBool = AtomicBool::new(false);

/// From now on everything this process says on standard error is an event.
pub fn begin() {
    ON.store(true, Ordering::Relaxed);
}

/// Whether it is.
pub fn on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Says an event; `fields` is an object.
pub fn say(event: &str, fields: Value) {
    // In one piece, and nobody is left to hear of a standard error that is closed.
    let _ = std::io::stderr().write_all(line(event, fields).as_bytes());
}

/// The event as a line.
pub fn line(event: &str, fields: Value) -> String {
    let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut object = json!({ "event": event, "time": (time * 1e3).round() / 1e3 });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, fields) {
        object.extend(fields);
    }
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_of_json() {
        let line = line("log", json!({ "message": "two\nlines" }));
        assert_eq!(line.matches('\n').count(), 1);
        let read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&read["event"], &read["message"]), (&json!("log"), &json!("two\nlines")));
        assert!(read["time"].as_f64().unwrap() > 1.7e9);
    }
}

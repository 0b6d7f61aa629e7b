//! Log lines on standard error, by `-q` and `-v`.

use crate::report::events;
use crate::report::progress::above_bars;
use env_logger::{Builder, Target};
use log::LevelFilter;
use serde_json::json;
use std::io::{self, Write};

/// What is logged: errors with `-q`, what a user wants to know by default, more with `-v` and all with `-vv`.
pub fn level(quiet: bool, verbose: u8) -> LevelFilter {
    match (quiet, verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Info,
        (false, 1) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    }
}

/// Starts logging on one of `ranks` ranks. Below debug only rank 0 tells more than errors, since the others would say
/// the same. A process that logs already, as one with a thread per rank does, goes on as it is.
pub fn init(quiet: bool, verbose: u8, rank: usize, ranks: usize) {
    let stderr = Target::Pipe(Box::new(AboveBars));
    let _already_logging = builder(level(quiet, verbose), rank, ranks).target(stderr).try_init();
}

fn builder(level: LevelFilter, rank: usize, ranks: usize) -> Builder {
    let ours = if rank == 0 || level >= LevelFilter::Debug { level } else { LevelFilter::Error };
    let mut builder = Builder::new();
    builder.filter_level(ours.min(LevelFilter::Warn)).filter_module(env!("CARGO_CRATE_NAME"), ours);
    // It warns of lines through one point and bars of no height, which plots have.
    builder.filter_module("usvg", LevelFilter::Error);
    builder.format(move |out, record| {
        let (time, level) = (out.timestamp_seconds(), record.level());
        if events::on() {
            let (level, message) = (level.as_str(), record.args().to_string());
            let line = events::line("log", json!({ "level": level, "rank": rank, "message": message }));
            return out.write_all(line.as_bytes());
        }
        if ranks > 1 {
            writeln!(out, "{time} {level:5} rank {rank}: {}", record.args())
        } else {
            writeln!(out, "{time} {level:5} {}", record.args())
        }
    });
    builder
}

/// Standard error, with the progress bars out of the way.
struct AboveBars;

impl Write for AboveBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        above_bars(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes one line to standard error in one piece: what comes in pieces, launchers of several ranks mix with other lines.
pub fn say(line: &str) {
    if events::on() {
        let line = line.trim_start_matches("corpuscle: ");
        let error = ["error: ", "internal error: "].iter().any(|head| line.starts_with(head));
        let message = line.strip_prefix("error: ").unwrap_or(line);
        return events::say(if error { "error" } else { "message" }, json!({ "message": message }));
    }
    // Nobody is left to hear of a standard error that is closed.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Gives the launcher the time to pass on what this rank has said last: MPICH's forgets what it has not read when a job is
/// aborted.
pub fn let_launcher_read() {
    std::thread::sleep(std::time::Duration::from_millis(300));
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::{Level, Log, Record};
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What of one message at every level, ours and a library's, is printed, without the time.
    fn printed(level: LevelFilter, rank: usize, ranks: usize) -> Vec<String> {
        let sink = Sink::default();
        let logger = builder(level, rank, ranks).target(Target::Pipe(Box::new(sink.clone()))).build();
        for target in ["corpuscle::lsi", "library"] {
            for level in Level::iter() {
                let message = format_args!("{level} of {target}").to_string();
                logger.log(&Record::builder().target(target).level(level).args(format_args!("{message}")).build());
            }
        }
        let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn rank_0_tells_what_was_asked_for() {
        let lines = printed(level(false, 0), 0, 3);
        assert_eq!(lines[..3].last().unwrap(), "INFO  rank 0: INFO of corpuscle::lsi");
        assert_eq!(lines[3..], ["ERROR rank 0: ERROR of library", "WARN  rank 0: WARN of library"]);
        assert_eq!(printed(level(false, 0), 0, 1)[0], "ERROR ERROR of corpuscle::lsi");
        assert_eq!(printed(level(true, 2), 0, 1).len(), 2);
        assert_eq!(printed(level(false, 2), 0, 1).len(), 5 + 2);
    }

    #[test]
    fn workers_only_tell_errors_until_debugging() {
        let lines = printed(level(false, 0), 2, 3);
        assert_eq!(lines, ["ERROR rank 2: ERROR of corpuscle::lsi", "ERROR rank 2: ERROR of library"]);
        assert_eq!(printed(level(false, 1), 2, 3).len(), 4 + 2);
    }
}

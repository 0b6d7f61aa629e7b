//! How far a task is, in words and as fields of an event.

use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, HumanDuration};
use serde_json::{Value, json};

use super::Unit;
use crate::report::layout::single_line;
use crate::report::pulse::{self, Heard, State as Doing};

/// What the ranks do and have sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ranks {
    workers: Vec<Heard>,
    bytes_sent: u64,
}

impl Ranks {
    /// As the dispatcher knows them.
    pub(super) fn now() -> Ranks {
        let workers = pulse::workers();
        let bytes_sent = pulse::now().bytes_sent + workers.iter().map(|heard| heard.pulse.bytes_sent).sum::<u64>();
        Ranks { workers, bytes_sent }
    }

    fn count(&self, state: Doing) -> usize {
        self.workers.iter().filter(|heard| heard.pulse.state == state).count()
    }

    fn of(&self, state: Doing) -> Vec<usize> {
        self.workers.iter().filter(|heard| heard.pulse.state == state).map(|heard| heard.rank).collect()
    }

    /// For instance `2 workers: 1 working, 1 waiting; 1.20 MiB sent`; nothing where a rank is alone.
    fn text(&self) -> String {
        if self.workers.is_empty() {
            return String::new();
        }
        let states = [
            (Doing::Working, "working"),
            (Doing::Waiting, "waiting"),
            (Doing::Io, "reading or writing"),
            (Doing::Other, "between steps"),
            (Doing::Dead, "dead"),
        ];
        let parts: Vec<String> = states
            .iter()
            .map(|&(state, name)| (self.count(state), name))
            .filter(|(count, _)| *count > 0)
            .map(|(count, name)| format!("{count} {name}"))
            .collect();
        format!("; workers: {}; {} sent", parts.join(", "), BinaryBytes(self.bytes_sent))
    }
}

/// How far a task is.
#[derive(Debug)]
pub(super) struct State {
    pub(super) unit: Unit,
    pub(super) name: String,
    pub(super) total: Option<u64>,
    pub(super) begun: Instant,
    pub(super) done: u64,
    pub(super) documents: u64,
}

impl State {
    pub(super) fn begin(name: &str, unit: Unit, total: Option<u64>, now: Instant) -> State {
        State { unit, name: single_line(name), total, begun: now, done: 0, documents: 0 }
    }

    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.begun)
    }

    /// Time until the end at the pace so far, where there is an end and a pace.
    fn left(&self, now: Instant) -> Option<Duration> {
        let left = self.total?.checked_sub(self.done).filter(|&left| left > 0 && self.done > 0)?;
        let seconds = self.elapsed(now).as_secs_f64() * left as f64 / self.done as f64;
        Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }

    /// For instance `lsi round 7: 12/24 chunks, 51,000 documents/s, 20 seconds left`.
    pub(super) fn text(&self, now: Instant, ranks: &Ranks) -> String {
        let State { unit, name, total, done, documents, .. } = self;
        let mut text = match total {
            Some(total) => format!("{name}: {}/{}{}", unit.show(*done), unit.show(*total), unit.name()),
            None => format!("{name}: {}{}", unit.show(*done), unit.name()),
        };
        let elapsed = self.elapsed(now);
        if !elapsed.is_zero() && *done > 0 {
            let per_second = |amount: u64| (amount as f64 / elapsed.as_secs_f64()) as u64;
            if *documents > 0 {
                text += &format!(", {} documents/s", HumanCount(per_second(*documents)));
            } else {
                text += &format!(", {}{}/s", unit.show(per_second(*done)), unit.name());
            }
            if let Some(left) = self.left(now) {
                text += &format!(", {} left", HumanDuration(left));
            }
        }
        text + &ranks.text()
    }

    /// The fields of an event.
    pub(super) fn fields(&self, now: Instant, ranks: &Ranks) -> Value {
        let seconds = self.elapsed(now).as_secs_f64();
        let documents_per_second = if seconds > 0.0 { (self.documents as f64 / seconds).round() } else { 0.0 };
        json!({
            "task": self.name,
            "unit": self.unit.word(),
            "done": self.done,
            "total": self.total,
            "documents": self.documents,
            "seconds": (seconds * 1e3).round() / 1e3,
            "documents_per_second": documents_per_second,
            "seconds_left": self.left(now).map(|left| left.as_secs_f64().round()),
            "bytes_sent": ranks.bytes_sent,
            "workers": {
                "working": ranks.of(Doing::Working),
                "waiting": ranks.of(Doing::Waiting),
                "io": ranks.of(Doing::Io),
                "other": ranks.of(Doing::Other),
                "dead": ranks.of(Doing::Dead),
            },
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::report::pulse::Pulse;

    pub fn alone() -> Ranks {
        Ranks { workers: Vec::new(), bytes_sent: 0 }
    }

    fn three() -> Ranks {
        let heard = |rank, state| Heard { rank, pulse: Pulse { state, bytes_sent: 1 << 20 }, lost: None };
        let workers = vec![heard(1, Doing::Working), heard(2, Doing::Dead), heard(3, Doing::Waiting)];
        Ranks { workers, bytes_sent: 3 << 20 }
    }

    #[test]
    fn words_say_how_fast_how_long_and_who_works() {
        let start = Instant::now();
        let mut state = State::begin("lsi round 1\n", Unit::Chunks, Some(24), start);
        assert_eq!(state.text(start, &alone()), "lsi round 1 : 0/24 chunks");
        (state.done, state.documents) = (5, 510_000);
        let now = start + Duration::from_secs(10);
        assert_eq!(state.text(now, &alone()), "lsi round 1 : 5/24 chunks, 51,000 documents/s, 38 seconds left");
        assert!(state.text(now, &three()).ends_with("; workers: 1 working, 1 waiting, 1 dead; 3.00 MiB sent"));
    }

    #[test]
    fn streams_and_bytes_need_no_total() {
        let start = Instant::now();
        let mut state = State::begin("build", Unit::Documents, None, start);
        (state.done, state.documents) = (120_000, 120_000);
        let text = state.text(start + Duration::from_secs(10), &alone());
        assert_eq!(text, "build: 120,000 documents, 12,000 documents/s");
        let mut state = State::begin("build", Unit::Bytes, Some(64 << 20), start);
        state.done = 16 << 20;
        let text = state.text(start + Duration::from_secs(16), &alone());
        assert_eq!(text, "build: 16.00 MiB/64.00 MiB, 1.00 MiB/s, 48 seconds left");
    }

    #[test]
    fn fields_say_the_same_in_numbers() {
        let start = Instant::now();
        let mut state = State::begin("lsi", Unit::Chunks, Some(24), start);
        (state.done, state.documents) = (6, 600);
        let fields = state.fields(start + Duration::from_secs(10), &three());
        assert_eq!((&fields["done"], &fields["total"], &fields["seconds_left"]), (&json!(6), &json!(24), &json!(30.0)));
        assert_eq!((&fields["unit"], &fields["documents_per_second"]), (&json!("chunks"), &json!(60.0)));
        assert_eq!(fields["workers"], json!({"working": [1], "waiting": [3], "io": [], "other": [], "dead": [2]}));
    }
}

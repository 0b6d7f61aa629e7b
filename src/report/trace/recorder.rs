//! The spans of one rank, while it runs.

use std::time::{Duration, Instant};

use crate::report::account::Activity;

/// Shortest time between two looks at the memory of the process.
const MEMORY_EVERY: Duration = Duration::from_millis(100);

/// What a span of time was spent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A phase, by its number in [`Recorder::names`].
    Phase(u32),
    /// An activity.
    Activity(Activity),
    /// Computing on the chunk of this number.
    Chunk(u64),
}

/// A stretch of time. Spans nest: one that begins inside another ends inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// What for.
    pub what: What,
    /// Nanoseconds from the beginning of the recording.
    pub begun: u64,
    /// How many it lasted.
    pub lasted: u64,
}

/// Notes spans as they end. Of too many it keeps the longest half, as often as it takes, so that long runs keep the whole
/// of their time line.
#[derive(Debug)]
pub struct Recorder {
    origin: Instant,
    limit: usize,
    names: Vec<String>,
    open: Vec<(What, Instant)>,
    spans: Vec<Span>,
    /// Shorter spans than this are left out, in nanoseconds.
    shortest: u64,
    left_out: u64,
    memory: Vec<(u64, u64)>,
    next_memory: Instant,
}

impl Recorder {
    /// Begins to record; `limit` spans are kept.
    pub fn begin(origin: Instant, limit: usize) -> Self {
        Recorder {
            origin,
            limit: limit.max(2),
            names: Vec::new(),
            open: Vec::new(),
            spans: Vec::new(),
            shortest: 0,
            left_out: 0,
            memory: Vec::new(),
            next_memory: origin,
        }
    }

    /// When it began.
    pub fn origin(&self) -> Instant {
        self.origin
    }

    /// Names of phases by number.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The shortest span that is kept, in nanoseconds, and how many shorter ones were left out.
    pub fn left_out(&self) -> (u64, u64) {
        (self.shortest, self.left_out)
    }

    /// Resident memory of the process now and then: nanoseconds, bytes.
    pub fn memory(&self) -> &[(u64, u64)] {
        &self.memory
    }

    /// All spans, those that have not ended up to `now`.
    pub fn spans(&self, now: Instant) -> Vec<Span> {
        let open = self.open.iter().map(|&(what, begun)| self.span(what, begun, now));
        self.spans.iter().copied().chain(open).collect()
    }

    /// A phase begins.
    pub fn enter_phase(&mut self, name: &str, now: Instant) {
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        self.open.push((What::Phase(number as u32), now));
    }

    /// Something else begins.
    pub fn enter(&mut self, what: What, now: Instant) {
        self.open.push((what, now));
    }

    /// What began last ends.
    pub fn leave(&mut self, now: Instant) {
        let Some((what, begun)) = self.open.pop() else { return };
        let span = self.span(what, begun, now);
        if span.lasted < self.shortest && !matches!(what, What::Phase(_)) {
            self.left_out += 1;
        } else {
            self.spans.push(span);
        }
        if self.spans.len() > self.limit {
            self.thin_out();
        }
        if now >= self.next_memory {
            self.note_memory(now);
        }
    }

    fn span(&self, what: What, begun: Instant, ended: Instant) -> Span {
        let lasted = nanoseconds(ended.saturating_duration_since(begun));
        Span { what, begun: nanoseconds(begun.saturating_duration_since(self.origin)), lasted }
    }

    fn thin_out(&mut self) {
        let before = self.spans.len();
        let mut lengths: Vec<u64> = self.spans.iter().map(|span| span.lasted).collect();
        let (_, &mut median, _) = lengths.select_nth_unstable(before / 2);
        self.shortest = median.saturating_add(1);
        self.spans.retain(|span| span.lasted > median);
        self.left_out += (before - self.spans.len()) as u64;
    }

    fn note_memory(&mut self, now: Instant) {
        self.next_memory = now + MEMORY_EVERY;
        if self.memory.len() == self.limit {
            let mut at = 0;
            self.memory.retain(|_| {
                at += 1;
                at % 2 == 0
            });
        }
        if let Some(bytes) = resident_bytes() {
            self.memory.push((nanoseconds(now.saturating_duration_since(self.origin)), bytes));
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Resident memory of this process, in bytes; none where there is no Linux `/proc`.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_nest_and_open_ones_last_until_now() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut recorder = Recorder::begin(start, 100);
        recorder.enter_phase("read", at(1));
        recorder.enter(What::Chunk(7), at(2));
        recorder.leave(at(5));
        let spans: Vec<_> = recorder.spans(at(9)).iter().map(|s| (s.what, s.begun / 1000, s.lasted / 1000)).collect();
        assert_eq!(spans, [(What::Chunk(7), 2000, 3000), (What::Phase(0), 1000, 8000)]);
        assert_eq!(recorder.names(), ["read"]);
        assert!(recorder.memory()[0].1 > 1 << 16);
    }

    #[test]
    fn of_too_many_spans_the_longest_stay() {
        let start = Instant::now();
        let at = |us| start + Duration::from_micros(us);
        let mut recorder = Recorder::begin(start, 100);
        for number in 0..10_000u64 {
            // Every hundredth lasts 50 us, the others 1 to 10.
            let lasts = if number % 100 == 0 { 50 } else { 1 + number % 10 };
            recorder.enter(What::Chunk(number), at(100 * number));
            recorder.leave(at(100 * number + lasts));
        }
        let spans = recorder.spans(at(1_000_000));
        assert!(spans.len() <= 100 && !spans.is_empty());
        assert_eq!(recorder.left_out().1 as usize, 10_000 - spans.len());
        assert!(spans.iter().all(|span| span.lasted >= recorder.left_out().0));
    }
}

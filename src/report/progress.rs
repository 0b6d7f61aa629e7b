//! How far the work is, on standard error of rank 0: a live bar on a terminal, a line now and then in a log file.
//!
//! Telling a task that it has advanced costs an addition and a look at the clock; text is only made when it is due.

use crate::report::layout::single_line;
use indicatif::{BinaryBytes, HumanCount, HumanDuration, MultiProgress, ProgressBar, ProgressStyle};
use std::cell::{Cell, RefCell};
use std::io::{IsTerminal, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How often a log file gets a line.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often a bar is drawn anew.
const BAR_EVERY: Duration = Duration::from_millis(100);

/// All bars of the process. Whatever else goes to standard error has to make them step aside: [`above_bars`].
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// Runs `write`, which writes to standard error, while no bar is on the screen.
pub fn above_bars<T>(write: impl FnOnce() -> T) -> T {
    BARS.suspend(write)
}

/// What a task consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Documents.
    Documents,
    /// Chunks of the corpus.
    Chunks,
    /// Bytes of input.
    Bytes,
    /// Independent tasks.
    Tasks,
}

impl Unit {
    fn show(self, amount: u64) -> String {
        match self {
            Unit::Bytes => BinaryBytes(amount).to_string(),
            _ => HumanCount(amount).to_string(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Documents => " documents",
            Unit::Chunks => " chunks",
            Unit::Bytes => "",
            Unit::Tasks => " tasks",
        }
    }
}

/// Whether and how progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not at all: other ranks than 0, and `--quiet`.
    Quiet,
    /// A line every ten seconds.
    Lines,
    /// A bar that moves.
    Bar,
}

impl Progress {
    /// What suits this rank and its standard error.
    pub fn of_rank(rank: usize, quiet: bool) -> Self {
        let moves = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        match (rank, quiet) {
            (0, false) if moves => Progress::Bar,
            (0, false) => Progress::Lines,
            _ => Progress::Quiet,
        }
    }

    /// Begins a task of `total` units; a stream does not know how many there are.
    pub fn task(self, name: &str, unit: Unit, total: Option<u64>) -> Task {
        let screen = match self {
            Progress::Quiet => Screen::None,
            Progress::Lines => Screen::Lines(Box::new(std::io::stderr())),
            Progress::Bar => Screen::Bar(BARS.add(ProgressBar::no_length())),
        };
        Task::begin(screen, name, unit, total, Instant::now())
    }
}

enum Screen {
    None,
    Lines(Box<dyn Write>),
    Bar(ProgressBar),
}

/// Work whose progress is shown until it is dropped.
pub struct Task {
    screen: RefCell<Screen>,
    unit: Unit,
    stage: RefCell<Stage>,
    done: Cell<u64>,
    documents: Cell<u64>,
    /// When something is to be shown next; never for a task that shows nothing.
    due: Cell<Option<Instant>>,
    shown: Cell<bool>,
}

/// A part of a task with its own name and total, such as a round.
struct Stage {
    name: String,
    total: Option<u64>,
    begun: Instant,
}

impl Task {
    fn begin(screen: Screen, name: &str, unit: Unit, total: Option<u64>, now: Instant) -> Self {
        let due = match &screen {
            Screen::None => None,
            Screen::Lines(_) => Some(now + LINE_EVERY),
            Screen::Bar(_) => Some(now),
        };
        let stage = Stage { name: single_line(name), total, begun: now };
        let task = Task {
            screen: RefCell::new(screen),
            unit,
            stage: RefCell::new(stage),
            done: Cell::new(0),
            documents: Cell::new(0),
            due: Cell::new(due),
            shown: Cell::new(false),
        };
        task.shape();
        task
    }

    /// Counts `units` and the documents they held; where documents are the unit, both are the same.
    pub fn advance(&self, units: u64, documents: u64) {
        self.advance_at(units, documents, Instant::now());
    }

    /// Goes on to a stage, such as the next round, that counts from 0 again.
    pub fn stage(&self, name: &str, total: Option<u64>) {
        self.stage_at(name, total, Instant::now());
    }

    fn stage_at(&self, name: &str, total: Option<u64>, now: Instant) {
        *self.stage.borrow_mut() = Stage { name: single_line(name), total, begun: now };
        self.done.set(0);
        self.documents.set(0);
        self.shape();
    }

    fn advance_at(&self, units: u64, documents: u64, now: Instant) {
        self.done.set(self.done.get() + units);
        self.documents.set(self.documents.get() + documents);
        if self.due.get().is_some_and(|due| due <= now) {
            self.show(now);
        }
    }

    /// A bar with an end or without, as the stage has one or not.
    fn shape(&self) {
        if let Screen::Bar(bar) = &*self.screen.borrow() {
            let total = self.stage.borrow().total;
            let template = if total.is_some() { "{msg} [{wide_bar}]" } else { "{spinner} {msg}" };
            // A template that indicatif does not understand would leave its own default, which is as good.
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            match total {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
        }
    }

    fn show(&self, now: Instant) {
        let text = self.text(now);
        match &mut *self.screen.borrow_mut() {
            Screen::None => {}
            Screen::Lines(log) => {
                // Work does not stop because nobody listens to its progress.
                let _ = writeln!(log, "{text}").and_then(|()| log.flush());
                self.due.set(Some(now + LINE_EVERY));
            }
            Screen::Bar(bar) => {
                bar.set_message(text);
                bar.set_position(self.done.get());
                self.due.set(Some(now + BAR_EVERY));
            }
        }
        self.shown.set(true);
    }

    /// For instance `lsi round 7: 12/24 chunks, 51,000 documents/s, 20 seconds left`.
    fn text(&self, now: Instant) -> String {
        let Stage { name, total, begun } = &*self.stage.borrow();
        let (done, documents, unit) = (self.done.get(), self.documents.get(), self.unit);
        let elapsed = now.saturating_duration_since(*begun);
        let mut text = match total {
            Some(total) => format!("{name}: {}/{}{}", unit.show(done), unit.show(*total), unit.name()),
            None => format!("{name}: {}{}", unit.show(done), unit.name()),
        };
        if elapsed.is_zero() || done == 0 {
            return text;
        }
        let per_second = |amount: u64| (amount as f64 / elapsed.as_secs_f64()) as u64;
        if documents > 0 {
            text += &format!(", {} documents/s", HumanCount(per_second(documents)));
        } else {
            text += &format!(", {}{}/s", unit.show(per_second(done)), unit.name());
        }
        if let Some(left) = total.and_then(|total| total.checked_sub(done)).filter(|&left| left > 0) {
            let left = Duration::try_from_secs_f64(elapsed.as_secs_f64() * left as f64 / done as f64);
            text += &format!(", {} left", HumanDuration(left.unwrap_or(Duration::MAX)));
        }
        text
    }

    fn finish_at(&self, now: Instant) {
        if let Screen::Bar(bar) = &*self.screen.borrow() {
            bar.finish_and_clear();
            return;
        }
        // Long work ends with a line; short work has said nothing and goes on so.
        if self.shown.get() {
            self.show(now);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.finish_at(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    #[derive(Clone, Default)]
    struct Log(Rc<RefCell<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.borrow().clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    fn task(log: &Log, unit: Unit, total: Option<u64>, now: Instant) -> Task {
        Task::begin(Screen::Lines(Box::new(log.clone())), "lsi round 1", unit, total, now)
    }

    #[test]
    fn a_line_every_ten_seconds_says_how_fast_and_how_long() {
        let (log, start) = (Log::default(), Instant::now());
        let second = |s: u64| start + Duration::from_secs(s);
        let task = task(&log, Unit::Chunks, Some(24), start);
        for s in 1..=25 {
            task.advance_at(u64::from(s % 2 == 0), 51_000, second(s));
        }
        assert_eq!(
            log.lines(),
            [
                "lsi round 1: 5/24 chunks, 51,000 documents/s, 38 seconds left",
                "lsi round 1: 10/24 chunks, 51,000 documents/s, 28 seconds left"
            ]
        );
        task.stage_at("lsi round 2\n", Some(2), second(26));
        task.advance_at(1, 100, second(30));
        task.advance_at(1, 100, second(31));
        task.finish_at(second(31));
        assert_eq!(
            log.lines()[2..],
            ["lsi round 2 : 1/2 chunks, 25 documents/s, 4 seconds left", "lsi round 2 : 2/2 chunks, 40 documents/s"]
        );
    }

    #[test]
    fn streams_and_bytes_need_no_total() {
        let (log, start) = (Log::default(), Instant::now());
        let documents = task(&log, Unit::Documents, None, start);
        documents.advance_at(120_000, 120_000, start + Duration::from_secs(10));
        let bytes = task(&log, Unit::Bytes, Some(64 << 20), start);
        bytes.advance_at(16 << 20, 0, start + Duration::from_secs(16));
        let lines = log.lines();
        assert_eq!(lines[0], "lsi round 1: 120,000 documents, 12,000 documents/s");
        assert_eq!(lines[1], "lsi round 1: 16.00 MiB/64.00 MiB, 1.00 MiB/s, 48 seconds left");
    }

    #[test]
    fn short_and_quiet_work_says_nothing() {
        let (log, start) = (Log::default(), Instant::now());
        let short = task(&log, Unit::Tasks, Some(3), start);
        short.advance_at(3, 0, start + Duration::from_secs(9));
        short.finish_at(start + Duration::from_secs(9));
        assert!(log.lines().is_empty());
        assert_eq!(Progress::of_rank(1, false), Progress::Quiet);
        assert_eq!(Progress::of_rank(0, true), Progress::Quiet);
        let quiet = Progress::Quiet.task("work", Unit::Tasks, None);
        quiet.advance_at(1, 0, start + Duration::from_secs(3600));
        assert!(!quiet.shown.get());
    }

    #[test]
    fn telling_costs_less_than_a_microsecond() {
        let task = Progress::Lines.task("work", Unit::Documents, None);
        let calls = 200_000;
        let begun = Instant::now();
        (0..calls).for_each(|_| task.advance(1, 1));
        // Ten times the promise: the machine may be busy and the build unoptimised.
        assert!(begun.elapsed() < calls * Duration::from_micros(10), "{:?}", begun.elapsed() / calls);
        assert_eq!(task.done.get(), u64::from(calls));
    }

    #[test]
    fn a_bar_follows_its_task() {
        let bar = ProgressBar::hidden();
        let start = Instant::now();
        let task = Task::begin(Screen::Bar(bar.clone()), "lsi", Unit::Chunks, Some(4), start);
        task.advance_at(3, 30, start + Duration::from_secs(1));
        assert_eq!((bar.position(), bar.length()), (3, Some(4)));
        assert_eq!(bar.message(), "lsi: 3/4 chunks, 30 documents/s, 0 seconds left");
        task.stage("stream", None);
        assert_eq!(bar.length(), None);
        drop(task);
        assert!(bar.is_finished());
    }
}

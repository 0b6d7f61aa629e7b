//! How far the work is, on standard error of rank 0: a live bar on a terminal, a line now and then in a log file, or events
//! for programs.
//!
//! Telling a task that it has advanced costs two additions under a lock that nobody else wants; a thread beside makes text
//! when it is due, also while the rank waits for others.

mod state;

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::{BinaryBytes, HumanCount, MultiProgress, ProgressBar, ProgressStyle};

use self::state::{Ranks, State};
use crate::report::events;
use crate::report::layout::single_line;

/// How often a log file gets a line.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often there is an event.
const EVENT_EVERY: Duration = Duration::from_secs(1);
/// How often a bar is drawn anew.
const BAR_EVERY: Duration = Duration::from_millis(200);

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

    /// As it follows a number in words.
    fn name(self) -> &'static str {
        match self {
            Unit::Documents => " documents",
            Unit::Chunks => " chunks",
            Unit::Bytes => "",
            Unit::Tasks => " tasks",
        }
    }

    fn word(self) -> &'static str {
        if self == Unit::Bytes { "bytes" } else { self.name().trim_start() }
    }
}

/// How progress is to be shown, if it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Style {
    /// A bar on a terminal, lines elsewhere
    #[default]
    Auto,
    /// A bar that moves
    Bar,
    /// A line every ten seconds
    Lines,
    /// Everything on standard error as JSON, an object a line; progress every second
    Json,
    /// Not at all
    None,
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
    /// An event every second.
    Events,
}

impl Progress {
    /// What suits this rank and its standard error.
    pub fn of_rank(rank: usize, quiet: bool, style: Style) -> Self {
        let moves = || std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        if rank > 0 || quiet {
            return Progress::Quiet;
        }
        match style {
            Style::Auto if moves() => Progress::Bar,
            Style::Auto | Style::Lines => Progress::Lines,
            Style::Bar => Progress::Bar,
            Style::Json => Progress::Events,
            Style::None => Progress::Quiet,
        }
    }

    /// Begins a task of `total` units; a stream does not know how many there are.
    pub fn task(self, name: &str, unit: Unit, total: Option<u64>) -> Task {
        let (screen, every) = match self {
            Progress::Quiet => return Task { shared: None, ticker: None },
            Progress::Lines => (Screen::Lines(Box::new(std::io::stderr())), LINE_EVERY),
            Progress::Bar => (Screen::Bar(BARS.add(ProgressBar::no_length())), BAR_EVERY),
            Progress::Events => (Screen::Events, EVENT_EVERY),
        };
        Task::begin(screen, every, State::begin(name, unit, total, Instant::now()))
    }
}

enum Screen {
    Lines(Box<dyn Write + Send>),
    Bar(ProgressBar),
    Events,
}

/// Work whose progress is shown until it is dropped.
pub struct Task {
    shared: Option<Arc<Shared>>,
    ticker: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    view: Mutex<View>,
    /// Wakes the ticker when the task is over.
    over: (Mutex<bool>, Condvar),
}

struct View {
    screen: Screen,
    shown: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Task {
    fn begin(screen: Screen, every: Duration, state: State) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            view: Mutex::new(View { screen, shown: false }),
            over: (Mutex::new(false), Condvar::new()),
        });
        shared.shape();
        let seen = Arc::clone(&shared);
        // Without a thread more than is allowed, the task is shown when it ends only.
        let ticker = std::thread::Builder::new().name("progress".into()).spawn(move || seen.tick(every)).ok();
        Task { shared: Some(shared), ticker }
    }

    /// Counts `units` and the documents they held; where documents are the unit, both are the same.
    pub fn advance(&self, units: u64, documents: u64) {
        if let Some(shared) = &self.shared {
            let mut state = lock(&shared.state);
            state.done += units;
            state.documents += documents;
        }
    }

    /// Goes on to a stage, such as the next pass, that counts from 0 again.
    pub fn stage(&self, name: &str, total: Option<u64>) {
        if let Some(shared) = &self.shared {
            {
                let mut state = lock(&shared.state);
                *state = State::begin(name, state.unit, total, Instant::now());
            }
            shared.shape();
        }
    }

    /// Says what it is at, and counts on.
    pub fn rename(&self, name: &str) {
        if let Some(shared) = &self.shared {
            lock(&shared.state).name = single_line(name);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let Some(shared) = &self.shared else { return };
        *lock(&shared.over.0) = true;
        shared.over.1.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // It has nothing to tell but that it is gone.
            let _ = ticker.join();
        }
        shared.finish(Instant::now());
    }
}

impl Shared {
    /// The ticker: shows the state every so often until the task is over.
    fn tick(&self, every: Duration) {
        let (over, changed) = &self.over;
        let mut guard = lock(over);
        while !*guard {
            let due = Instant::now() + every;
            while !*guard && Instant::now() < due {
                let left = due.saturating_duration_since(Instant::now());
                guard =
                    changed.wait_timeout(guard, left).map_or_else(|poison| poison.into_inner().0, |(guard, _)| guard);
            }
            if !*guard {
                drop(guard);
                self.show(Instant::now());
                guard = lock(over);
            }
        }
    }

    /// A bar with an end or without, as the stage has one or not.
    fn shape(&self) {
        let total = lock(&self.state).total;
        if let Screen::Bar(bar) = &lock(&self.view).screen {
            let template = if total.is_some() { "[{bar:24}] {wide_msg}" } else { "{spinner} {wide_msg}" };
            // A template that indicatif does not understand would leave its own default, which is as good.
            bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
            match total {
                Some(total) => bar.set_length(total),
                None => bar.unset_length(),
            }
        }
    }

    fn show(&self, now: Instant) {
        let ranks = Ranks::now();
        let state = lock(&self.state);
        let (text, fields, done) = (state.text(now, &ranks), state.fields(now, &ranks), state.done);
        drop(state);
        let mut view = lock(&self.view);
        match &mut view.screen {
            // Work does not stop because nobody listens to its progress.
            Screen::Lines(log) => drop(log.write_all(format!("{text}\n").as_bytes()).and_then(|()| log.flush())),
            Screen::Bar(bar) => {
                bar.set_message(text);
                bar.set_position(done);
                bar.tick();
            }
            Screen::Events => events::say("progress", fields),
        }
        view.shown = true;
    }

    fn finish(&self, now: Instant) {
        let mut view = lock(&self.view);
        if let Screen::Bar(bar) = &mut view.screen {
            bar.finish_and_clear();
            return;
        }
        // Long work ends with a line; short work has said nothing and goes on so. Programs want to know in any case.
        let last = view.shown || matches!(view.screen, Screen::Events);
        drop(view);
        if last {
            self.show(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            lock(&self.0).write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(lock(&self.0).clone()).unwrap().lines().map(str::to_owned).collect()
        }
    }

    fn task(log: &Log, every: Duration) -> Task {
        let state = State::begin("lsi", Unit::Chunks, Some(24), Instant::now());
        Task::begin(Screen::Lines(Box::new(log.clone())), every, state)
    }

    #[test]
    fn lines_come_by_themselves_and_at_the_end() {
        let log = Log::default();
        let task = task(&log, Duration::from_millis(5));
        task.advance(5, 500);
        while log.lines().len() < 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        task.rename("lsi round 2");
        task.advance(1, 100);
        drop(task);
        let lines = log.lines();
        assert!(lines[0].starts_with("lsi: ") && lines.iter().all(|line| line.contains("/24 chunks")), "{lines:?}");
        assert!(lines.last().unwrap().starts_with("lsi round 2: 6/24 chunks, "), "{lines:?}");
    }

    #[test]
    fn short_and_quiet_work_says_nothing() {
        let log = Log::default();
        let short = task(&log, LINE_EVERY);
        short.advance(3, 0);
        drop(short);
        assert!(log.lines().is_empty());
        assert_eq!(Progress::of_rank(1, false, Style::Json), Progress::Quiet);
        assert_eq!(Progress::of_rank(0, true, Style::Json), Progress::Quiet);
        assert_eq!(Progress::of_rank(0, false, Style::Json), Progress::Events);
        assert_eq!(Progress::of_rank(0, false, Style::None), Progress::Quiet);
        let quiet = Progress::Quiet.task("work", Unit::Tasks, None);
        quiet.advance(1, 0);
        assert!(quiet.shared.is_none());
    }

    #[test]
    fn a_bar_follows_its_task() {
        let bar = ProgressBar::hidden();
        let state = State::begin("lsi", Unit::Chunks, Some(4), Instant::now());
        let task = Task::begin(Screen::Bar(bar.clone()), Duration::from_secs(3600), state);
        task.advance(3, 30);
        task.shared.as_ref().unwrap().show(Instant::now());
        assert_eq!((bar.position(), bar.length()), (3, Some(4)));
        assert!(bar.message().starts_with("lsi: 3/4 chunks, "), "{}", bar.message());
        task.stage("stream", None);
        assert_eq!(bar.length(), None);
        drop(task);
        assert!(bar.is_finished());
    }
}

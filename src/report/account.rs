//! What one rank did and where its time went.
//!
//! An [`Account`] is opened when a rank starts and shared by reference; a clock is always running on exactly one phase
//! and at most one activity, so that nested phases and activities never count a second twice and the phases add up to
//! the total. [`Account::record`] gives the figures as plain data to send to rank 0.
//! Cost: two clock readings per phase or activity, well under a microsecond. CPU time and peak memory are those of the
//! process: ranks that are threads of one process all report the same sums.

use crate::error::{Error, Result};
use crate::report::pulse;
use crate::report::trace::recorder::{Recorder, What};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant, SystemTime};

/// The phase that time outside all named phases belongs to.
pub const OTHER: &str = "other";

/// What a rank may be busy with inside a phase; what is none of these is the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Working on documents or matrices.
    Compute,
    /// Waiting for another rank.
    Waiting,
    /// Reading or writing files.
    Io,
}

/// What a rank counted. Over all ranks `passes`, `products`, `rounds` and `projected_again` are the largest of any rank, since
/// all ranks of a round take part in it; the others are sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Times the whole corpus went by.
    pub passes: u64,
    /// Matrix-vector products with the corpus matrix: a block of b vectors counts b.
    pub products: u64,
    /// Exchanges between the dispatcher and all workers.
    pub rounds: u64,
    /// Documents worked on, again in each pass.
    pub documents: u64,
    /// Floating-point operations of the kernels: of products with the corpus, and whatever else a command counts as its work.
    pub flops: u64,
    /// Floating-point operations of products of tall dense matrices: orthogonalisation and what comes of it.
    #[serde(default)]
    pub dense_flops: u64,
    /// Columns of a basis that blocks were orthogonalised against once more than usual.
    #[serde(default)]
    pub projected_again: u64,
    /// Payload of vectors, and of sums over them, that workers handed to each other, in bytes; part of `bytes_sent`.
    #[serde(default)]
    pub exchanged_bytes: u64,
    /// Payload sent to other ranks, in bytes.
    pub bytes_sent: u64,
    /// Payload received from other ranks, in bytes.
    pub bytes_received: u64,
    /// Point-to-point messages sent.
    pub messages: u64,
    /// Collective operations taken part in.
    pub collectives: u64,
}

/// Time of one phase, without that of the phases inside it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Phase {
    /// Name, unique in an account.
    pub name: String,
    /// Wall seconds.
    pub seconds: f64,
    /// CPU seconds of the whole process, all its threads.
    pub cpu_seconds: f64,
    /// Wall seconds of computing.
    pub compute_seconds: f64,
    /// Wall seconds of waiting for other ranks.
    pub waiting_seconds: f64,
    /// Wall seconds of reading and writing.
    pub io_seconds: f64,
}

impl Phase {
    /// Wall seconds that are neither compute nor waiting nor I/O.
    pub fn rest_seconds(&self) -> f64 {
        self.seconds - self.compute_seconds - self.waiting_seconds - self.io_seconds
    }

    fn activity(&mut self, activity: Activity) -> &mut f64 {
        match activity {
            Activity::Compute => &mut self.compute_seconds,
            Activity::Waiting => &mut self.waiting_seconds,
            Activity::Io => &mut self.io_seconds,
        }
    }

    /// Adds the times of `other`.
    pub fn add(&mut self, other: &Phase) {
        self.seconds += other.seconds;
        self.cpu_seconds += other.cpu_seconds;
        self.compute_seconds += other.compute_seconds;
        self.waiting_seconds += other.waiting_seconds;
        self.io_seconds += other.io_seconds;
    }
}

/// The figures of one rank, as plain data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RankAccount {
    /// Number of the rank; 0 is the dispatcher.
    pub rank: usize,
    /// Name of its node.
    pub host: String,
    /// When it started, in seconds since 1970.
    pub started_unix_seconds: f64,
    /// Largest resident memory of the process so far, in bytes; unknown where the system does not tell.
    pub peak_memory_bytes: Option<u64>,
    /// What that was predicted to be at most before the work began, in bytes; none where nothing was predicted.
    #[serde(default)]
    pub predicted_memory_bytes: Option<u64>,
    /// What it counted.
    pub counters: Counters,
    /// Its phases in order of first appearance; what lay outside of them comes last, as [`OTHER`].
    pub phases: Vec<Phase>,
}

impl RankAccount {
    /// All phases as one.
    pub fn total(&self) -> Phase {
        let mut total = Phase { name: "total".into(), ..Phase::default() };
        self.phases.iter().for_each(|phase| total.add(phase));
        total
    }

    /// The figures as a message.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data with string keys always serialises")
    }

    /// Reads a message made by [`RankAccount::to_bytes`].
    ///
    /// # Errors
    /// Fails on anything else, such as the message of another version of the program.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|cause| {
            Error::failed(format!("damaged accounting message ({cause}); do all ranks run the same corpuscle?"))
        })
    }
}

/// The clock and the counters of a rank, shared by reference within its one thread.
#[derive(Debug)]
pub struct Account {
    rank: usize,
    host: String,
    started_unix_seconds: f64,
    counters: Cell<Counters>,
    predicted_memory_bytes: Cell<Option<u64>>,
    memory_at_start: u64,
    clock: RefCell<Clock>,
    recorder: Option<RefCell<Recorder>>,
}

impl Account {
    /// Starts the clock of a rank.
    pub fn open(rank: usize) -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Account {
            rank,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            started_unix_seconds: since_1970.as_secs_f64(),
            counters: Cell::default(),
            predicted_memory_bytes: Cell::default(),
            memory_at_start: peak_memory_bytes().unwrap_or(0),
            clock: RefCell::new(Clock::start(Moment::now())),
            recorder: None,
        }
    }

    /// Keeps a time line too, of up to so many spans.
    #[must_use]
    pub fn recording(self, spans: usize) -> Self {
        let origin = self.clock.borrow().wall;
        Account { recorder: Some(RefCell::new(Recorder::begin(origin, spans))), ..self }
    }

    /// The time line, if one is kept.
    pub fn recorder(&self) -> Option<std::cell::Ref<'_, Recorder>> {
        self.recorder.as_ref().map(RefCell::borrow)
    }

    /// When this rank started, in seconds since 1970 by the clock of its machine.
    pub fn started_unix_seconds(&self) -> f64 {
        self.started_unix_seconds
    }

    fn trace(&self, note: impl FnOnce(&mut Recorder)) {
        if let Some(recorder) = &self.recorder {
            note(&mut recorder.borrow_mut());
        }
    }

    fn start_activity(&self, activity: Activity, what: What) -> ActivityGuard<'_> {
        let now = Instant::now();
        self.clock.borrow_mut().enter_activity(activity, now);
        pulse::set_state(Some(activity).into());
        self.trace(|recorder| recorder.enter(what, now));
        ActivityGuard(self)
    }

    /// Runs `work` as the phase `name`, stopping the phase around it meanwhile. A name that comes again adds up.
    pub fn phase<T>(&self, name: &str, work: impl FnOnce() -> T) -> T {
        let _inside = self.enter_phase(name);
        work()
    }

    /// The phase `name` as long as the guard lives, for code that a closure does not fit.
    #[must_use = "the phase ends when the guard is dropped"]
    pub fn enter_phase(&self, name: &str) -> PhaseGuard<'_> {
        let now = Moment::now();
        self.clock.borrow_mut().enter_phase(name, now);
        self.trace(|recorder| recorder.enter_phase(name, now.wall));
        PhaseGuard(self)
    }

    /// Runs `work` as an activity of the current phase, stopping the activity around it meanwhile.
    pub fn during<T>(&self, activity: Activity, work: impl FnOnce() -> T) -> T {
        let _inside = self.enter(activity);
        work()
    }

    /// Runs `work` as computing.
    pub fn compute<T>(&self, work: impl FnOnce() -> T) -> T {
        self.during(Activity::Compute, work)
    }

    /// Runs `work` as waiting for another rank.
    pub fn waiting<T>(&self, work: impl FnOnce() -> T) -> T {
        self.during(Activity::Waiting, work)
    }

    /// Runs `work` as reading or writing.
    pub fn io<T>(&self, work: impl FnOnce() -> T) -> T {
        self.during(Activity::Io, work)
    }

    /// The activity as long as the guard lives.
    #[must_use = "the activity ends when the guard is dropped"]
    pub fn enter(&self, activity: Activity) -> ActivityGuard<'_> {
        self.start_activity(activity, What::Activity(activity))
    }

    /// Runs `work` as computing on the chunk of this number.
    pub fn compute_chunk<T>(&self, number: u64, work: impl FnOnce() -> T) -> T {
        let _inside = self.start_activity(Activity::Compute, What::Chunk(number));
        work()
    }

    /// Books time that somebody else measured within the current phase, and takes it off the activity around.
    pub fn add(&self, activity: Activity, time: Duration) {
        self.clock.borrow_mut().add(activity, time, Instant::now());
    }

    /// Changes the counters: `account.count(|c| c.rounds += 1)`.
    pub fn count(&self, change: impl FnOnce(&mut Counters)) {
        let mut counters = self.counters.get();
        change(&mut counters);
        self.counters.set(counters);
    }

    /// Notes what the peak of memory is going to be at most; of several predictions the largest counts.
    pub fn predict_memory(&self, bytes: u64) {
        self.predicted_memory_bytes.set(self.predicted_memory_bytes.get().max(Some(bytes)));
    }

    /// Largest resident memory of the process when the account was opened, in bytes: that of the program itself.
    pub fn memory_at_start(&self) -> u64 {
        self.memory_at_start
    }

    /// The counters so far.
    pub fn counters(&self) -> Counters {
        self.counters.get()
    }

    /// The figures so far, open phases included.
    pub fn record(&self) -> RankAccount {
        let mut clock = self.clock.borrow_mut();
        clock.charge_all(Moment::now());
        let mut phases = clock.phases.clone();
        phases.rotate_left(1);
        RankAccount {
            rank: self.rank,
            host: self.host.clone(),
            started_unix_seconds: self.started_unix_seconds,
            peak_memory_bytes: peak_memory_bytes(),
            predicted_memory_bytes: self.predicted_memory_bytes.get(),
            counters: self.counters.get(),
            phases,
        }
    }
}

/// Ends its phase when dropped.
#[derive(Debug)]
pub struct PhaseGuard<'a>(&'a Account);

impl Drop for PhaseGuard<'_> {
    fn drop(&mut self) {
        let now = Moment::now();
        self.0.clock.borrow_mut().leave_phase(now);
        self.0.trace(|recorder| recorder.leave(now.wall));
    }
}

/// Ends its activity when dropped.
#[derive(Debug)]
pub struct ActivityGuard<'a>(&'a Account);

impl Drop for ActivityGuard<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let around = {
            let mut clock = self.0.clock.borrow_mut();
            clock.leave_activity(now);
            clock.open_activities.last().copied()
        };
        pulse::set_state(around.into());
        self.0.trace(|recorder| recorder.leave(now));
    }
}

/// A reading of both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    wall: Instant,
    /// CPU time of the process.
    cpu: Duration,
}

impl Moment {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        Moment { wall: Instant::now(), cpu: Duration::new(cpu.tv_sec as u64, cpu.tv_nsec as u32) }
    }
}

/// Charges the time since the last change to the innermost phase and activity. Times come in as arguments: tests own the
/// clock.
#[derive(Debug)]
struct Clock {
    /// The first is [`OTHER`].
    phases: Vec<Phase>,
    /// Numbers of the phases entered and not left, outermost first; begins with that of [`OTHER`].
    open_phases: Vec<usize>,
    open_activities: Vec<Activity>,
    /// Wall time is charged up to here.
    wall: Instant,
    /// CPU time, a costlier reading, is charged up to here.
    cpu: Duration,
}

impl Clock {
    fn start(now: Moment) -> Self {
        Clock {
            phases: vec![Phase { name: OTHER.into(), ..Phase::default() }],
            open_phases: vec![0],
            open_activities: Vec::new(),
            wall: now.wall,
            cpu: now.cpu,
        }
    }

    fn current(&mut self) -> &mut Phase {
        let innermost = self.open_phases.last().copied().unwrap_or(0);
        &mut self.phases[innermost]
    }

    fn charge(&mut self, now: Instant) {
        let seconds = now.saturating_duration_since(self.wall).as_secs_f64();
        self.wall = now;
        let activity = self.open_activities.last().copied();
        let phase = self.current();
        phase.seconds += seconds;
        if let Some(activity) = activity {
            *phase.activity(activity) += seconds;
        }
    }

    fn charge_all(&mut self, now: Moment) {
        self.charge(now.wall);
        let cpu_seconds = now.cpu.saturating_sub(self.cpu).as_secs_f64();
        self.cpu = now.cpu;
        self.current().cpu_seconds += cpu_seconds;
    }

    fn enter_phase(&mut self, name: &str, now: Moment) {
        self.charge_all(now);
        let phase = self.phases.iter().position(|phase| phase.name == name).unwrap_or(self.phases.len());
        if phase == self.phases.len() {
            self.phases.push(Phase { name: name.into(), ..Phase::default() });
        }
        self.open_phases.push(phase);
    }

    fn leave_phase(&mut self, now: Moment) {
        self.charge_all(now);
        self.open_phases.pop();
    }

    fn enter_activity(&mut self, activity: Activity, now: Instant) {
        self.charge(now);
        self.open_activities.push(activity);
    }

    fn leave_activity(&mut self, now: Instant) {
        self.charge(now);
        self.open_activities.pop();
    }

    fn add(&mut self, activity: Activity, time: Duration, now: Instant) {
        self.charge(now);
        let around = self.open_activities.last().copied();
        let phase = self.current();
        *phase.activity(activity) += time.as_secs_f64();
        if let Some(around) = around {
            *phase.activity(around) -= time.as_secs_f64();
        }
    }
}

/// Largest resident set of this process (`VmHWM`), in bytes; none where there is no Linux `/proc`.
pub fn peak_memory_bytes() -> Option<u64> {
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn high_water_mark(status: &str) -> Option<u64> {
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix("kB")?;
    kibibytes.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock of the test's own: wall and CPU milliseconds since its start.
    fn at(start: Moment) -> impl Fn(u64, u64) -> Moment {
        move |wall, cpu| Moment {
            wall: start.wall + Duration::from_millis(wall),
            cpu: start.cpu + Duration::from_millis(cpu),
        }
    }

    fn milliseconds(phase: &Phase) -> [u64; 6] {
        [
            phase.seconds,
            phase.cpu_seconds,
            phase.compute_seconds,
            phase.waiting_seconds,
            phase.io_seconds,
            phase.rest_seconds(),
        ]
        .map(|seconds| (seconds * 1e3).round() as u64)
    }

    #[test]
    fn nested_phases_and_activities_count_every_millisecond_once() {
        let start = Moment::now();
        let at = at(start);
        let mut clock = Clock::start(start);
        clock.enter_phase("outer", at(10, 5));
        clock.enter_activity(Activity::Compute, at(20, 0).wall);
        clock.enter_activity(Activity::Io, at(50, 0).wall);
        clock.enter_phase("inner", at(60, 40)); // still in I/O
        clock.leave_phase(at(160, 45));
        clock.leave_activity(at(190, 0).wall);
        clock.add(Activity::Waiting, Duration::from_millis(8), at(200, 0).wall);
        clock.leave_activity(at(230, 0).wall);
        clock.leave_phase(at(300, 100));
        clock.enter_phase("inner", at(310, 100));
        clock.leave_phase(at(350, 140));
        clock.charge_all(at(351, 140));
        //                                                    wall CPU compute waiting I/O rest
        assert_eq!(milliseconds(&clock.phases[0]), [10 + 10 + 1, 5, 0, 0, 0, 21], "other");
        assert_eq!(milliseconds(&clock.phases[1]), [190, 35 + 55, 30 + 40 - 8, 8, 10 + 30, 80], "outer");
        assert_eq!(milliseconds(&clock.phases[2]), [100 + 40, 5 + 40, 0, 0, 100, 40], "inner");
        assert_eq!(clock.phases.len(), 3);
    }

    #[test]
    fn an_account_adds_up_and_survives_the_wire() {
        let account = Account::open(3);
        account.phase("read", || account.io(|| std::thread::sleep(Duration::from_millis(20))));
        assert_eq!(account.phase("work", || 7), 7);
        let failed: Result<()> = account.phase("work", || account.compute(|| Err(Error::failed("no"))));
        assert!(failed.is_err());
        account.count(|c| c.documents += 5);
        account.count(|c| c.documents += 7);
        let record = account.record();
        let names: Vec<&str> = record.phases.iter().map(|phase| phase.name.as_str()).collect();
        assert_eq!(names, ["read", "work", OTHER]);
        assert_eq!((record.rank, record.counters.documents), (3, 12));
        assert!(record.phases[0].io_seconds >= 0.02 && record.phases[0].rest_seconds() < record.phases[0].io_seconds);
        assert!(record.total().seconds >= 0.02 && record.total().seconds <= account.record().total().seconds);
        assert!(!record.host.is_empty());
        let copy = RankAccount::from_bytes(&record.to_bytes()).unwrap();
        assert_eq!((&copy.host, copy.counters, copy.phases.len()), (&record.host, record.counters, 3));
        assert!((copy.total().seconds - record.total().seconds).abs() < 1e-9);
        assert!(RankAccount::from_bytes(b"{}").unwrap_err().to_string().contains("same corpuscle"));
    }

    #[test]
    fn cpu_time_is_that_of_the_process() {
        let account = Account::open(0);
        account.phase("spin", || {
            let begun = Moment::now().cpu;
            while Moment::now().cpu - begun < Duration::from_millis(30) {}
        });
        assert!(account.record().phases[0].cpu_seconds >= 0.03);
    }

    #[test]
    fn the_peak_is_read_from_the_status_page() {
        assert_eq!(high_water_mark("Name:\tx\nVmPeak:\t 99 kB\nVmHWM:\t   1234 kB\n"), Some(1234 * 1024));
        assert_eq!(high_water_mark("Name:\tx\n"), None);
        assert_eq!(high_water_mark("VmHWM: many kB\n"), None);
        #[cfg(target_os = "linux")]
        {
            let before = peak_memory_bytes().unwrap();
            let ballast = vec![1u8; before as usize + (64 << 20)];
            assert!(peak_memory_bytes().unwrap() >= ballast.len() as u64);
        }
    }
}

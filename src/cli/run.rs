//! From a parsed command line to an exit code: joins the job, runs the command on every rank, accounts for it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Command, Common, Outcome, signals};
use crate::comm::{self, Comm, Route};
use crate::dispatch::{Checkpoint, CheckpointSpec, Job, endure, round_bytes};
use crate::error::{Error, Result};
use crate::report::account::{Account, RankAccount};
use crate::report::progress::{Progress, Style};
use crate::report::run_file::Run;
use crate::report::totals::Totals;
use crate::report::{events, logging, pulse, table, trace};
use crate::store::atomic::Target;

/// Share of the free memory of a host that its ranks may take by default.
const MEMORY_SHARE: f64 = 0.6;

/// Runs a command on this rank; `parse` gives it anew for each run, should one be interrupted by a loss.
pub(super) fn run(common: Common, command: Command, parse: impl Fn() -> Result<Command>) -> ExitCode {
    if common.progress == Style::Json {
        events::begin();
    }
    let settings = comm::Settings {
        worker_timeout: common.worker_timeout,
        start_timeout: common.start_timeout,
        address: common.dispatcher_address,
    };
    let comm = match comm::start_with(&settings) {
        Ok(comm) => comm,
        Err(error) => {
            logging::say(&format!("corpuscle: error: {error}"));
            comm::end_launch();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    comm::abort_on_panic(&*comm);
    logging::init(common.quiet, common.verbose, comm.rank(), comm.size());
    match common.checkpoint {
        Some(_) => signals::stop_when_told_to_end(comm.rank()),
        None => signals::clean_up_when_told_to_end(),
    }
    crate::linalg::make_blas_reproducible();
    match on_rank(&*comm, &common, command, parse) {
        Ok(()) => {
            comm.leave(0);
            ExitCode::SUCCESS
        }
        Err(Error::Stopped) => stopped(comm),
        Err(error) => fail(&*comm, &error),
    }
}

/// Ends a job that has been asked to stop: all ranks have come here together, so that MPI can end as it does after any other run.
fn stopped(comm: Box<dyn Comm>) -> ExitCode {
    let (code, rank) = (Error::Stopped.exit_code(), comm.rank());
    let say = |words: &str| {
        if rank == 0 {
            logging::say(words);
        }
    };
    say("corpuscle: stopped at a checkpoint");
    let how_to_go_on = "corpuscle: the same command with --resume goes on";
    if comm.survives() {
        // This launcher would take the status for a success, and somebody may have died on the way.
        say(how_to_go_on);
        if rank > 0 {
            std::thread::sleep(PATIENCE);
        }
        comm::end_job(code);
    }
    comm.leave(code);
    drop(comm);
    if rank == 0 {
        comm::outlive_workers();
    }
    say(how_to_go_on);
    ExitCode::from(code as u8)
}

/// What a rank waits, times its number, before it says what is wrong: a mistake that all ranks or several workers find
/// is said by the first of them, which then ends the job.
const TURN: Duration = Duration::from_millis(500);
/// The longest wait of a rank.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// Says what went wrong, once, and ends all ranks.
fn fail(comm: &dyn Comm, error: &Error) -> ExitCode {
    std::thread::sleep(PATIENCE.min(TURN * comm.rank() as u32));
    if *error != Error::Aborted {
        if comm.size() == 1 {
            logging::say(&format!("corpuscle: error: {error}"));
        } else {
            logging::say(&format!("corpuscle: error: {error} (rank {} on {})", comm.rank(), comm.host()));
        }
    }
    crate::store::atomic::remove_unfinished();
    if comm.size() > 1 || comm.survives() {
        logging::let_launcher_read();
        comm.abort(error.exit_code());
    }
    ExitCode::from(error.exit_code() as u8)
}

fn on_rank(comm: &dyn Comm, common: &Common, command: Command, parse: impl Fn() -> Result<Command>) -> Result<()> {
    let name = command.name();
    let mut checkpoints = common.checkpoints(name, command.resumable())?;
    let account = Account::open(comm.rank());
    let (account, mut trace) = match &common.trace {
        Some(path) => {
            let limit = trace::events_of_a_rank(comm.size());
            comm.traffic().record(limit);
            let target = (comm.rank() == 0).then(|| trace::chrome::target(path)).transpose()?;
            (account.recording(limit), target)
        }
        None => (account, None),
    };
    let level = if comm.size() > 1 { log::Level::Info } else { log::Level::Debug };
    log::log!(level, "{}", who(comm));
    if events::on() && comm.rank() == 0 && !common.quiet {
        let version = env!("CARGO_PKG_VERSION");
        let implementation = comm.implementation();
        events::say(
            "start",
            json!({ "command": name, "version": version, "ranks": comm.size(), "implementation": implementation }),
        );
    }
    let (mut command, mut checkpoint) = (Some(command), None);
    let run = || {
        let command = command.take().map_or_else(&parse, Ok)?;
        // The folder is let go of before it is opened again.
        drop(checkpoint.take());
        checkpoint = checkpoints.clone().map(Checkpoint::new);
        // Should the command have to be run again, it goes on from what is there.
        checkpoints = checkpoints.take().map(|spec| CheckpointSpec { resume: true, ..spec });
        once(comm, common, command, &account, checkpoint.as_ref())
    };
    endure(comm, run, |outcome| {
        if common.trace.is_some() {
            write_trace(comm, &account, name, &mut trace)?;
        }
        report(comm, &account, common, name, outcome)
    })?;
    checkpoint.map_or(Ok(()), |checkpoint| checkpoint.finish())
}

/// The first line of the log: how many ranks there are, and what becomes of them when one dies.
fn who(comm: &dyn Comm) -> String {
    let what = match comm.size() {
        1 => return format!("one rank ({})", comm.implementation()),
        _ if comm.survives() => "the job outlives its workers",
        _ => "a worker that dies ends the job",
    };
    format!("{} ranks over {}: {what}", comm.size(), comm.implementation())
}

/// Runs the command once, with the ranks there are.
fn once(
    comm: &dyn Comm,
    common: &Common,
    command: Command,
    account: &Account,
    checkpoint: Option<&Checkpoint>,
) -> Result<Outcome> {
    let progress = Progress::of_rank(comm.rank(), common.quiet, common.progress);
    let neighbours = neighbours(comm)?;
    let threads = threads(common, comm, &neighbours);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|cause| Error::failed(format!("cannot start {threads} threads: {cause}")))?;
    let memory =
        common.memory.unwrap_or_else(|| (free_memory() as f64 * MEMORY_SHARE) as u64 / neighbours.ranks as u64);
    log::debug!("{threads} threads and {} MiB a rank", memory >> 20);
    let (strict, scatter) = (common.memory.is_some(), common.scatter);
    let round_bytes = round_bytes(memory, comm.size().saturating_sub(1) as u64);
    let reads_ahead = has_free_core(threads, &neighbours);
    let pool = &pool;
    let job = Job { comm, pool, memory, round_bytes, strict, scatter, reads_ahead, account, progress, checkpoint };
    let outcome = command.run(&job, common);
    if outcome == Err(Error::Stopped)
        && let Some(checkpoint) = checkpoint
    {
        // Stopping is in vain if what was saved is not on disk.
        checkpoint.close()?;
    }
    outcome
}

/// Brings the accounts of all ranks together, prints the table and writes `<output>.run.json`.
/// A rank that has not come to its outcome takes part, too.
fn report(comm: &dyn Comm, account: &Account, common: &Common, command: &str, outcome: Option<&Outcome>) -> Result<()> {
    if outcome.is_some_and(|outcome| !outcome.accounted) {
        return Ok(());
    }
    let traffic = comm.traffic().count();
    let mut record = account.record();
    record.counters.bytes_sent += traffic.bytes_sent;
    record.counters.bytes_received += traffic.bytes_received;
    record.counters.messages += traffic.messages;
    record.counters.collectives += traffic.collectives;
    let parts = account.waiting(|| comm::wait(comm.gather(Route::World, record.to_bytes())))?;
    if let (0, Some(outcome)) = (comm.rank(), outcome) {
        let ranks = parts.iter().map(|part| RankAccount::from_bytes(part)).collect::<Result<Vec<_>>>()?;
        if let Some(output) = &outcome.output {
            let arguments: Vec<String> = std::env::args().collect();
            Run {
                command,
                arguments: &arguments,
                parameters: outcome.parameters.clone(),
                result: outcome.result.clone(),
                ranks: &ranks,
            }
            .write_beside(output)?;
        }
        if events::on() && !common.quiet {
            let totals = json!(Totals::of(&ranks));
            events::say("end", json!({ "command": command, "output": outcome.output, "totals": totals }));
        } else if !common.quiet {
            table::print(command, &ranks);
        }
    }
    Ok(())
}

/// Brings the timelines of all ranks together and writes them, once. Where ranks run on several machines, their clocks are
/// taken to agree.
fn write_trace(comm: &dyn Comm, account: &Account, command: &str, target: &mut Option<Target>) -> Result<()> {
    let Some(recorder) = account.recorder() else { return Ok(()) };
    let started = account.started_unix_seconds();
    let begins = comm::wait(comm.all_gather(Route::World, started.to_le_bytes().to_vec()))?;
    let begins = begins.iter().filter_map(|bytes| Some(f64::from_le_bytes(bytes.as_slice().try_into().ok()?)));
    let begun = started - begins.fold(started, f64::min);
    // Numbers at the start: they do not change when somebody dies.
    let rank = comm.members()[comm.rank()];
    let who = trace::chrome::Rank { rank, host: comm.host(), begun };
    let events = trace::chrome::events(who, &recorder, &comm.traffic().exchanges(), Instant::now());
    let mut parts = comm::wait(comm.gather(Route::World, events.into_bytes()))?;
    let Some(target) = target.take() else { return Ok(()) };
    for worker in pulse::workers() {
        if let Some(lost) = worker.lost {
            let after = lost.saturating_duration_since(recorder.origin()).as_secs_f64();
            parts.push(trace::chrome::loss(worker.rank, begun + after).into_bytes());
        }
    }
    let arguments: Vec<String> = std::env::args().collect();
    trace::chrome::write(target, &json!({ "command": command, "arguments": arguments }), &parts)
}

/// Ranks on this rank's host, and how many of them work.
struct Neighbours {
    ranks: usize,
    workers: usize,
}

fn neighbours(comm: &dyn Comm) -> Result<Neighbours> {
    let hosts = comm::wait(comm.all_gather(Route::World, comm.host().as_bytes().to_vec()))?;
    let here = |rank: &usize| hosts[*rank] == comm.host().as_bytes();
    let workers = Route::Workers.members(comm.size()).filter(here).count();
    Ok(Neighbours { ranks: (0..comm.size()).filter(here).count(), workers })
}

/// Threads that the environment asks for, and the variable that does.
fn threads_of_environment() -> Option<(usize, &'static str)> {
    let number = |name: &'static str| {
        let value = std::env::var(name).ok().and_then(|value| value.parse::<usize>().ok());
        value.filter(|&n| n > 0).map(|n| (n, name))
    };
    number("SLURM_CPUS_PER_TASK").or_else(|| number("OMP_NUM_THREADS"))
}

/// Where the number of threads comes from, in words.
pub(super) fn threads_from(common: &Common) -> &'static str {
    match common.threads {
        Some(_) => "--threads",
        None => threads_of_environment().map_or("cores / workers", |(_, name)| name),
    }
}

fn threads(common: &Common, comm: &dyn Comm, neighbours: &Neighbours) -> usize {
    if let Some(threads) = common.threads {
        return usize::from(threads);
    }
    if let Some((threads, _)) = threads_of_environment() {
        return threads;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // A launcher that binds its ranks leaves each only its own cores to see; one that does not shows all of the host.
    if comm.size() == 1 { cores } else { (cores / neighbours.workers.max(1)).max(1) }
}

/// Whether a thread that reads does not take the core of one that computes. Several threads of a rank give way to one more without
/// much ado; ranks of one thread that fill a host do not: two that do gained nothing and lost a tenth.
fn has_free_core(threads: usize, neighbours: &Neighbours) -> bool {
    threads > 1 || std::thread::available_parallelism().is_ok_and(|cores| cores.get() > neighbours.workers)
}

/// Bytes the host could give to programs now.
fn free_memory() -> u64 {
    let fallback = 1 << 30;
    let Ok(text) = std::fs::read_to_string("/proc/meminfo") else { return fallback };
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(fallback, |kib| kib << 10)
}

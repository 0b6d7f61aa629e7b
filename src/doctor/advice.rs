//! What is wrong or slow, each with its remedy, drawn from a report alone.

use std::collections::BTreeSet;

use super::folder::Place;
use super::host::list_of_cpus;
use super::{Locking, Rank, Report, figure, network, speed};

/// A sentence on what is wrong and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// No run can succeed like this.
    pub fatal: bool,
    /// What is wrong, and the remedy.
    pub text: String,
}

/// Below this share of what `faer` does, the linked back end does not suit the processor.
const FAR_BELOW: f64 = 0.6;
/// Round trips longer than twice this pay for larger blocks.
const SLOW_MESSAGE: f64 = 1e-3;
/// A connection that cannot carry so many bytes a second holds up the blocks of a round; one that carries the second
/// number does not.
const SLOW_STREAM: f64 = 2e8;
const FAST_STREAM: f64 = 1e9;
/// Free space under which results of any size are at risk.
const LITTLE_SPACE: u64 = 1 << 30;

/// Everything there is to say; empty when all is well.
pub fn advice(report: &Report) -> Vec<Advice> {
    let mut found = Found(Vec::new());
    found.launch(report);
    found.processors(report);
    found.memory(report);
    found.kernels(report);
    found.folder(report);
    found.network(report);
    found.0
}

struct Found(Vec<Advice>);

impl Found {
    fn say(&mut self, text: String) {
        self.0.push(Advice { fatal: false, text });
    }

    fn launch(&mut self, report: &Report) {
        if let (1, None, Some(tasks @ 2..)) = (report.ranks.len(), report.launcher, report.slurm_tasks) {
            self.say(format!(
                "This Slurm job has {tasks} tasks but corpuscle was started alone: start it with srun, or with the \
                 mpirun of the MPI it was built with."
            ));
        }
        let first = &report.ranks[0];
        if let Some(other) = report.ranks.iter().find(|rank| rank.version != first.version) {
            self.0.push(Advice {
                fatal: true,
                text: format!(
                    "Rank {} on {} runs corpuscle {}, rank 0 runs {}: install the same version everywhere.",
                    other.rank, other.host, other.version, first.version
                ),
            });
        }
    }

    fn processors(&mut self, report: &Report) {
        for host in report.hosts() {
            let mut cpus = BTreeSet::new();
            let mut limit = f64::INFINITY;
            let (mut threads, mut workers) = (0, 0);
            let mut bound: Option<&Rank> = None;
            for worker in report.workers_on(host) {
                cpus.extend(worker.view.cpus.iter().copied());
                limit = limit.min(worker.view.cpu_limit.unwrap_or(f64::INFINITY));
                threads += worker.threads;
                workers += 1;
                if worker.threads > worker.view.cpus.len() {
                    bound = bound.or(Some(worker));
                }
            }
            let list = list_of_cpus(&cpus.iter().copied().collect::<Vec<_>>());
            if let Some(worker) = bound {
                self.say(format!(
                    "Rank {} on {host} has {} threads ({}) but may only run on CPU {}: give it more CPUs (mpirun \
                     --bind-to none or --map-by slot:PE={}, srun --cpus-per-task={}) or pass --threads {}.",
                    worker.rank,
                    worker.threads,
                    worker.threads_from,
                    list_of_cpus(&worker.view.cpus),
                    worker.threads,
                    worker.threads,
                    worker.view.cpus.len()
                ));
            }
            if threads > cpus.len() && workers > 1 {
                self.say(format!(
                    "{host}: {workers} busy ranks with {threads} threads in all share {} (CPU {list}): start fewer, \
                     lower --threads, or let them use more cores (mpirun --bind-to none).",
                    cores(cpus.len())
                ));
            } else if threads as f64 > limit.ceil() {
                self.say(format!(
                    "{host}: {threads} busy threads share {limit:.1} cores, the limit of the control group: lower \
                     --threads or ask for more cores."
                ));
            }
            let usable = limit.min(cpus.len() as f64);
            if workers > 0 && usable >= 2.0 && (threads as f64) < usable / 2.0 {
                self.say(format!(
                    "{host}: {threads} busy threads could use {usable:.0} cores (CPU {list}): start more ranks or pass \
                     a larger --threads."
                ));
            }
        }
    }

    fn memory(&mut self, report: &Report) {
        for host in report.hosts() {
            let ranks: Vec<&Rank> = report.ranks.iter().filter(|rank| rank.host == host).collect();
            let wanted: u64 = ranks.iter().map(|rank| rank.memory_bytes).sum();
            let least = |of: fn(&Rank) -> Option<u64>| ranks.iter().filter_map(|rank| of(rank)).min();
            let limit = least(|rank| rank.view.memory_limit_bytes);
            let available = least(|rank| rank.view.available_bytes);
            let remedy = "lower --memory or ask for more";
            match (limit, available) {
                (Some(limit), _) if wanted > limit => self.say(format!(
                    "{host}: its ranks may fill {} but the control group allows {} (--memory is per rank): {remedy}.",
                    gibibytes(wanted),
                    gibibytes(limit)
                )),
                (_, Some(available)) if wanted > available => self.say(format!(
                    "{host}: its ranks may fill {} but only {} are free (--memory is per rank): {remedy}.",
                    gibibytes(wanted),
                    gibibytes(available)
                )),
                _ => {}
            }
        }
    }

    fn kernels(&mut self, report: &Report) {
        let workers = || report.ranks.iter().filter(|rank| rank.works);
        if let Some(worker) = workers().find(|worker| worker.view.kernels != worker.view.best_kernels) {
            self.say(format!(
                "Rank {} on {} uses the {} kernels, but its processor could run the {} ones: unset CORPUSCLE_SIMD.",
                worker.rank, worker.host, worker.view.kernels, worker.view.best_kernels
            ));
        }
        let portable = workers().filter(|worker| worker.view.kernels == "portable").count();
        if portable > 0 && portable < workers().count() {
            self.say(
                "Some workers use the portable kernels and others do not: results differ in the last digits with who \
                 does what. For the same bits on all, set CORPUSCLE_SIMD=portable everywhere, or leave those hosts out."
                    .to_owned(),
            );
        }
        for worker in workers() {
            let of = |name| figure(&worker.one_thread, name);
            if let (Some(linked), Some(rust)) = (of(speed::SQUARE), of(speed::SQUARE_IN_RUST))
                && linked < FAR_BELOW * rust
            {
                self.say(format!(
                    "{}: dense products run at {:.0} GF/s by {}, at {:.0} by faer: build with --no-default-features \
                     --features mpi,faer.",
                    worker.host,
                    linked * 1e-9,
                    report.blas.name,
                    rust * 1e-9
                ));
                break;
            }
        }
        for host in report.hosts() {
            let name = speed::SPARSE[0].0;
            let alone = report.workers_on(host).find_map(|worker| figure(&worker.one_thread, name));
            let together: f64 = report.workers_on(host).filter_map(|worker| figure(&worker.all_threads, name)).sum();
            let threads: usize = report.workers_on(host).map(|worker| worker.threads).sum();
            if let Some(alone) = alone
                && threads > 1
                && together < 0.5 * alone * threads as f64
            {
                self.say(format!(
                    "{host}: {threads} threads together are only {:.1} times as fast as one alone: other programs use \
                     the cores, or they share one, or memory cannot feed them; fewer threads may be as fast.",
                    together / alone
                ));
            }
        }
    }

    fn folder(&mut self, report: &Report) {
        let folder = &report.folder;
        let name = folder.path.display();
        if let Some(trouble) = &folder.trouble {
            self.0.push(Advice { fatal: true, text: format!("{name}: {trouble}.") });
            return;
        }
        let blind: Vec<String> = report
            .ranks
            .iter()
            .filter(|rank| rank.works && !folder.seen_by.get(rank.rank).copied().unwrap_or(false))
            .map(|rank| rank.rank.to_string())
            .collect();
        if !blind.is_empty() {
            self.say(format!(
                "{name} is not shared: rank {} cannot see what rank 0 writes there. Corpora in it will be sent over the \
                 network; put them on a file system that all hosts mount.",
                blind.join(", ")
            ));
        }
        if folder.place() == Place::Memory {
            self.say(format!(
                "{name} lies in memory ({}): results there take memory from the run and are lost at a restart; choose \
                 another with --work and -o.",
                folder.file_system.as_deref().unwrap_or("unknown")
            ));
        }
        if folder.locks == Some(false) && report.locking == Locking::On {
            // HDF5 wants locks unless told otherwise.
            self.say(format!(
                "Files cannot be locked in {name}: HDF5 may refuse to open them. Set HDF5_USE_FILE_LOCKING=BEST_EFFORT."
            ));
        }
        if let Some(free) = folder.free_bytes.filter(|&free| free < LITTLE_SPACE) {
            self.say(format!("{name} has only {} left: free some, or write elsewhere.", gibibytes(free)));
        }
        if report.locking == Locking::Off {
            self.say(
                "HDF5_USE_FILE_LOCKING turns file locking off: a file that another program is still writing is not \
                 noticed. Unset it if the file system has locks."
                    .to_owned(),
            );
        }
    }

    fn network(&mut self, report: &Report) {
        let latency = |figures: &Vec<super::Figure>| figure(figures, network::LATENCY);
        let slowest = report
            .messages
            .iter()
            .filter_map(|(rank, figures)| Some((latency(figures)?, *rank)))
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((seconds, rank)) = slowest.filter(|(seconds, _)| *seconds > SLOW_MESSAGE) else { return };
        let workers = report.ranks.iter().filter(|rank| rank.works);
        let rates = workers.clone().filter_map(|rank| figure(&rank.all_threads, speed::SPARSE[0].0));
        let rate = rates.fold(f64::INFINITY, f64::min);
        let block = block_for(seconds, rate, workers.count());
        self.say(format!(
            "A message to rank {rank} on {} takes {:.1} ms: for lsi -k {TOPICS}, --block {block} is about best. (A round \
             costs its work and {} messages one after the other; reckoned with {:.0e} nonzeros a worker.) For lda, \
             --staleness 1 hides the {:.0} ms that a step waits, and a larger --minibatch makes fewer steps.",
            report.ranks[rank].host,
            seconds * 1e3,
            messages_a_round(report.ranks.len() - 1),
            NONZEROS,
            MESSAGES_A_STEP * seconds * 1e3
        ));
        let slow = |host: &&str| {
            report.ranks.iter().any(|rank| rank.host == **host && rank.view.slow_start_after_idle == Some(true))
        };
        let hosts: Vec<&str> = report.hosts().into_iter().filter(slow).collect();
        if !hosts.is_empty() {
            self.say(format!(
                "{}: TCP connections begin anew slowly after every pause, and the blocks of each round then take several \
                 times as long on a network like this: sysctl -w net.ipv4.tcp_slow_start_after_idle=0.",
                hosts.join(", ")
            ));
        }
        // What is under way fills the time a message takes there and back.
        let narrow = |rank: &&Rank| {
            rank.view.tcp_window_bytes.is_some_and(|window| (window as f64) < SLOW_STREAM * 2.0 * seconds)
        };
        let windows =
            report.ranks.iter().filter(narrow).filter_map(|rank| Some((rank.view.tcp_window_bytes?, &rank.host)));
        if let Some((window, host)) = windows.min() {
            let wanted = ((FAST_STREAM * 2.0 * seconds) as u64).next_power_of_two();
            self.say(format!(
                "{host}: a TCP connection may have {:.0} MiB under way, so it carries no more than {:.0} MB/s over this \
                 distance: sysctl -w net.ipv4.tcp_rmem=\"4096 131072 {wanted}\" net.ipv4.tcp_wmem=\"4096 65536 {wanted}\".",
                window as f64 / (1u64 << 20) as f64,
                window as f64 / (2.0 * seconds) / 1e6
            ));
        }
    }
}

/// Topics and nonzeros of a worker that the advice on blocks is reckoned for.
const TOPICS: usize = 200;
const NONZEROS: f64 = 1e7;

/// Messages that a step of LDA waits for one after the other, where they go out whole: an exchange of stretches, and one of
/// their sums.
const MESSAGES_A_STEP: f64 = 2.0;

/// Messages that a round of LSI waits for one after the other, where they go out whole (jobscripts/job.sh sees to that): the
/// word to the dispatcher and its answer, during which the vectors are exchanged, then the products, then three sums, of
/// which the large one takes two steps from four workers on.
fn messages_a_round(workers: usize) -> usize {
    6 + usize::from(workers > 3)
}

/// Columns of a block that make LSI shortest, given the seconds of a message and the flops a second of a worker.
///
/// Model: time = products x work + rounds x latency x messages, with rounds = products / b. k = 200 on Simple Wikipedia
/// took 832, 912 and 1,024 products for b = 32, 48 and 64, which is 3.2 k + 6 b; the sum is least at
/// b^2 = 3.2 k latency messages / (6 work). Kept between the default and k/2, in whole registers.
fn block_for(latency: f64, flops: f64, workers: usize) -> usize {
    let work = 4.0 * NONZEROS / flops;
    let best = (3.2 * TOPICS as f64 * latency * messages_a_round(workers) as f64 / (6.0 * work)).sqrt();
    (best.clamp(TOPICS as f64 / 8.0, TOPICS as f64 / 2.0) as usize).next_multiple_of(16)
}

fn cores(count: usize) -> String {
    if count == 1 { "one core".to_owned() } else { format!("{count} cores") }
}

fn gibibytes(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64)
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;

//! The connection that tells who is alive, as this process has it, and how the process ends when it says so.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use super::request;
use crate::comm::liveness::Token;
use crate::comm::liveness::tie::{End, Tie};
use crate::comm::liveness::watch::{Left, Reactions, Watch};
use crate::comm::roster::{Crew, Loss, Order, Roster};
use crate::comm::{Settings, process};
use crate::error::{Error, Result};
use crate::report::logging;

/// What the other ranks leave to the one that says that the dispatcher was lost.
const HEARD: Duration = Duration::from_secs(1);
/// Where a launcher ends the job when a rank dies, this rank gives it the time to: then nobody need say anything.
const LAUNCHER: Duration = Duration::from_millis(500);
/// How long a process that has nothing more to do may take to finalise MPI once another one has gone.
const FINALISING: Duration = Duration::from_secs(1);

/// How long the dispatcher waits for the ends of the workers' processes; shorter than what it has to finalise MPI.
const OUTLIVING: Duration = Duration::from_millis(500);

/// How long a rank that has failed may take to say why and to end the job.
const FAILING: Duration = Duration::from_secs(3);

/// There is one for the whole process: panics of any thread have to find it.
static LINK: OnceLock<Link> = OnceLock::new();

/// What ends a dispatcher that takes too long to finalise MPI has begun.
static LATE: Once = Once::new();

/// This process's end of the connections.
pub(super) struct Link {
    end: OneEnd,
    survives: bool,
    one_host: bool,
}

/// Which end it is.
pub(super) enum OneEnd {
    /// The dispatcher's, with the names of the ranks' hosts.
    Watch(Watch, Arc<Vec<String>>),
    /// A worker's.
    Tie(Tie),
}

/// Ends the MPI job this process is in, if it is in one. Returns when that did not end the process.
pub(in crate::comm) fn abort(code: i32) {
    if let Some(link) = LINK.get() {
        match &link.end {
            OneEnd::Watch(watch, _) => watch.failing(),
            OneEnd::Tie(tie) => tie.failing(),
        }
    }
    // A launcher that lets the job live on does so after an abort, too.
    if !crate::comm::end_launch() {
        request::abort(code);
    }
}

/// Dispatcher, after MPI was finalised: waits a moment until the workers' processes are gone, were there any.
pub(in crate::comm) fn outlive_workers() {
    if let Some(link) = LINK.get() {
        link.wait_for_leavers(OUTLIVING);
        // The connections are closed a little before the launcher can know.
        std::thread::sleep(OUTLIVING / 5);
    }
}

/// Begins to watch the workers; `here` and `hosts` are by rank.
pub(super) fn watch(
    address: IpAddr,
    token: Token,
    settings: &Settings,
    roster: Arc<Roster>,
    here: Vec<bool>,
    hosts: Vec<String>,
    survives: bool,
) -> std::io::Result<(OneEnd, SocketAddr)> {
    let hosts = Arc::new(hosts);
    let known = hosts.clone();
    let on_loss = move |loss: Loss, left: Left| {
        let Left::Workers(left) = left else {
            // Beside the thread that watches, which has the others to notice.
            LATE.call_once(|| {
                std::thread::spawn(|| {
                    std::thread::sleep(FINALISING);
                    process::leave(process::exit_code());
                });
            });
            return;
        };
        let Loss { rank, cause } = loss;
        let (host, words) = (&known[rank], cause.words());
        if survives {
            let left = match left {
                0 => "the dispatcher alone".to_owned(),
                1 => "1 worker".to_owned(),
                left => format!("{left} workers"),
            };
            log::warn!("worker {rank} on {host} was lost ({words}); going on with {left}");
            return;
        }
        std::thread::sleep(LAUNCHER);
        logging::say(&format!(
            "corpuscle: error: worker {rank} on {host} was lost ({words}), and this job cannot go on without it"
        ));
        crate::store::atomic::remove_unfinished();
        logging::let_launcher_read();
        abort(1);
        process::leave(1);
    };
    let on_failure = || {
        // Whoever fails ends the job. Should that not reach this rank, it leaves by itself.
        std::thread::spawn(|| {
            std::thread::sleep(FAILING);
            crate::store::atomic::remove_unfinished();
            process::leave(1);
        });
    };
    let reactions = Reactions { loss: Box::new(on_loss), failure: Box::new(on_failure) };
    let (watch, at) = Watch::begin(address, token, settings.worker_timeout, roster, survives, here, reactions)?;
    Ok((OneEnd::Watch(watch, hosts), at))
}

/// Connects a worker with the dispatcher.
pub(super) fn tie(
    at: SocketAddr,
    token: Token,
    settings: &Settings,
    rank: usize,
    roster: Arc<Roster>,
    survives: bool,
) -> std::io::Result<OneEnd> {
    let known = roster.clone();
    let on_end = move |end: End| {
        match end {
            End::Left => {
                std::thread::sleep(FINALISING);
                process::leave(process::exit_code());
            }
            // Whoever failed ends the job. Should that not reach this rank, it leaves by itself.
            End::Failed => std::thread::sleep(FAILING),
            // Its work is others' now: it disturbs nobody, not even by a word.
            End::Given => process::leave(1),
            End::Silence => {
                logging::say(&format!("corpuscle: error: no sign of life from the dispatcher (rank {rank} leaves)"));
            }
            End::Dispatcher => {
                if !survives {
                    std::thread::sleep(LAUNCHER);
                }
                // The first of those that live says it and ends the launcher once that was heard. The others do so later, should
                // the first have died meanwhile.
                if (1..rank).all(|other| known.is_dead(other)) {
                    logging::say("corpuscle: error: the dispatcher was lost, and the job ends with it");
                    logging::let_launcher_read();
                } else {
                    std::thread::sleep(HEARD);
                }
                crate::store::atomic::remove_unfinished();
                crate::store::atomic::remove_orphans();
                if !crate::comm::end_launch() {
                    request::abort(1);
                }
            }
        }
        process::leave(1)
    };
    Ok(OneEnd::Tie(Tie::begin(at, token, settings.worker_timeout, rank, roster, on_end)?))
}

impl Link {
    /// Makes it the link of this process.
    pub(super) fn install(end: OneEnd, survives: bool, one_host: bool) -> &'static Link {
        LINK.get_or_init(|| Link { end, survives, one_host })
    }

    pub(super) fn survives(&self) -> bool {
        self.survives
    }

    /// On the dispatcher: all ranks run on its host.
    pub(super) fn one_host(&self) -> bool {
        self.one_host
    }

    /// Dispatcher: waits until all workers have connected.
    pub(super) fn gather_workers(&self, settings: &Settings) -> Result<()> {
        let OneEnd::Watch(watch, hosts) = &self.end else { return Ok(()) };
        // A little sooner than the job is ended without knowing why.
        if watch.all_have_come(settings.start_timeout.mul_f64(0.9)) {
            return Ok(());
        }
        let missing: Vec<String> = watch.missing().iter().map(|&rank| format!("{rank} on {}", hosts[rank])).collect();
        Err(Error::failed(format!("workers have not come: {}", missing.join(", "))))
    }

    /// Worker: tells the dispatcher that it waits for an order.
    pub(super) fn waits(&self, generation: usize) {
        if let OneEnd::Tie(tie) = &self.end {
            tie.waits(generation);
        }
    }

    /// Dispatcher: gives an order.
    pub(super) fn order(&self, crew: &Crew, order: Order) {
        if let OneEnd::Watch(watch, _) = &self.end {
            watch.order(crew, order);
        }
    }

    /// Dispatcher: a worker that goes from now on is no loss.
    pub(super) fn all_is_done(&self) {
        if let OneEnd::Watch(watch, _) = &self.end {
            watch.all_is_done();
        }
    }

    /// Dispatcher: waits a moment until the workers have gone.
    pub(super) fn wait_for_leavers(&self, patience: Duration) {
        if let OneEnd::Watch(watch, _) = &self.end {
            watch.all_have_left(patience);
        }
    }
}

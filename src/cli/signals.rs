//! What happens when the program is told to end: by Ctrl-C, by a batch system, or by its MPI because another rank failed.

use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

/// From now on unfinished files are removed when the process is told to end; it then ends as it would have anyway.
///
/// When a worker fails, this is how the dispatcher, which writes, hears of it.
pub(super) fn clean_up_when_told_to_end() {
    let watch = |mut signals: Signals| {
        for signal in signals.forever() {
            crate::store::atomic::remove_unfinished();
            // Refused for unknown signals only.
            let _ = emulate_default_handler(signal);
        }
    };
    spawn(&[SIGINT, SIGTERM], watch);
}

/// How long a job that was asked to stop may take to come to the end of a round. Then it ends with what was saved before:
/// whoever sends such a signal is going to end it soon.
const GRACE: Duration = Duration::from_secs(60);

/// From now on SIGTERM and SIGUSR1, however often they come, make the job stop at its next checkpoint; Ctrl-C ends it at
/// once. The dispatcher decides: the launcher may have sent the signal to all ranks or to some, at different times.
pub(super) fn stop_when_told_to_end(rank: usize) {
    let watch = move |mut signals: Signals| {
        let mut asked = false;
        for signal in signals.forever() {
            if signal == SIGINT {
                crate::store::atomic::remove_unfinished();
                // Refused for unknown signals only.
                let _ = emulate_default_handler(signal);
            }
            if rank == 0 && !std::mem::replace(&mut asked, true) {
                crate::report::logging::say("corpuscle: asked to stop: at the end of this round");
                crate::dispatch::ask_to_stop();
                let end = || {
                    std::thread::sleep(GRACE);
                    let seconds = GRACE.as_secs();
                    crate::report::logging::say(&format!(
                        "corpuscle: no end of a round within {seconds} s: stopped; --resume goes on from the last checkpoint"
                    ));
                    crate::store::atomic::remove_unfinished();
                    crate::comm::end_job(crate::error::STOPPED);
                };
                if let Err(cause) = std::thread::Builder::new().name("grace".into()).spawn(end) {
                    log::warn!("the end of a round is waited for however long it takes: {cause}");
                }
            }
        }
    };
    spawn(&[SIGINT, SIGTERM, SIGUSR1], watch);
}

fn spawn(signals: &[i32], watch: impl FnOnce(Signals) + Send + 'static) {
    let watched = Signals::new(signals)
        .and_then(|signals| std::thread::Builder::new().name("signals".into()).spawn(move || watch(signals)));
    if let Err(cause) = watched {
        log::warn!("an interrupted run may leave a hidden .tmp file beside its output: {cause}");
    }
}

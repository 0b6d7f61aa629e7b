//! What happens when the program is told to end: by Ctrl-C, by a batch system, or by its MPI because another rank failed.

use signal_hook::consts::{SIGINT, SIGTERM};
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
    let watched = Signals::new([SIGINT, SIGTERM])
        .and_then(|signals| std::thread::Builder::new().name("signals".into()).spawn(move || watch(signals)));
    if let Err(cause) = watched {
        log::warn!("an interrupted run may leave a hidden .tmp file beside its output: {cause}");
    }
}

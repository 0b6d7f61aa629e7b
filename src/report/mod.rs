//! What a run says about itself: accounting, progress, logs, and the tables that commands print.
//!
//! Standard output carries results ([`output`]); everything else goes to standard error.

pub mod account;
pub mod events;
pub mod html;
pub mod logging;
pub mod output;
pub mod png;
pub mod progress;
pub mod pulse;
pub mod run_file;
pub mod scaling;
pub mod svg;
pub mod table;
pub mod totals;
pub mod trace;

pub(crate) mod layout;

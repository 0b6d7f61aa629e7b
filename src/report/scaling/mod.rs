//! What runs cost, read from their `<output>.run.json`: as a table of everything, and as a page of plots.
//!
//! [`runs`] reads the files, [`table`] lists them, [`series`] finds out which runs differ in their number of workers
//! only, [`plot`] draws those, [`page`] puts it all on a page. Nothing here knows a subcommand: phases, counters and
//! parameters are whatever the files hold.

pub mod page;
pub mod runs;
pub mod series;
pub mod table;

mod plot;

#[cfg(test)]
pub(crate) mod fixture;

//! Timelines: what every rank did when, as a file for Perfetto, chrome://tracing and `corpuscle report`.
//!
//! [`recorder`] notes the spans of one rank as its [`Account`](crate::report::account::Account) enters and leaves phases
//! and activities, [`exchanges`] what it sent and received, [`chrome`] writes them, and what was exchanged, in the Trace Event Format. Each rank turns its own into
//! text, in parallel; the dispatcher puts the texts one behind the other.
//!
//! Cost: 24 bytes and two looks at the clock, which the account takes anyway, for each span and each message. Their number
//! is bounded ([`EVENTS`]), so that a run of days leaves a file that opens.

pub mod chrome;
pub mod exchanges;
pub mod recorder;
pub mod timeline;

/// Spans that a trace may hold over all ranks, and messages as many.
const EVENTS: usize = 2_000_000;
/// Of one rank never fewer and never more than this many.
const EVENTS_OF_A_RANK: (usize, usize) = (2_000, 200_000);

/// How many spans, and how many messages, each of so many ranks may note.
pub fn events_of_a_rank(ranks: usize) -> usize {
    (EVENTS / ranks.max(1)).clamp(EVENTS_OF_A_RANK.0, EVENTS_OF_A_RANK.1)
}

//! Counts of what a rank exchanged, for the accounting table.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use crate::report::pulse;
use crate::report::trace::exchanges::{Exchange, Exchanges};

/// Running counts of one rank. Cells, because every operation counts through a shared reference.
#[derive(Debug, Default)]
pub struct Traffic {
    count: Cell<TrafficCount>,
    exchanges: RefCell<Option<Exchanges>>,
}

/// Messages, collectives and bytes of one rank so far. A collective counts the bytes this rank put in and took out,
/// whatever tree carried them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TrafficCount {
    /// Point-to-point messages sent or received.
    pub messages: u64,
    /// Collectives taken part in, with more than one member.
    pub collectives: u64,
    /// Bytes handed to other ranks.
    pub bytes_sent: u64,
    /// Bytes taken from other ranks.
    pub bytes_received: u64,
}

impl Traffic {
    /// The counts so far.
    pub fn count(&self) -> TrafficCount {
        self.count.get()
    }

    /// Notes every exchange from now on, up to so many.
    pub fn record(&self, limit: usize) {
        *self.exchanges.borrow_mut() = Some(Exchanges::new(limit));
    }

    /// The exchanges that were noted.
    pub fn exchanges(&self) -> Vec<Exchange> {
        self.exchanges.borrow().as_ref().map_or_else(Vec::new, |exchanges| exchanges.all().to_vec())
    }

    pub(super) fn message_sent(&self, bytes: usize) {
        self.update(|count| {
            count.messages += 1;
            count.bytes_sent += bytes as u64;
        });
    }

    pub(super) fn message_received(&self, bytes: usize) {
        self.update(|count| {
            count.messages += 1;
            count.bytes_received += bytes as u64;
        });
    }

    #[cfg_attr(not(feature = "mpi"), allow(dead_code))]
    pub(super) fn collective(&self, sent: usize, received: usize) {
        self.update(|count| {
            count.collectives += 1;
            count.bytes_sent += sent as u64;
            count.bytes_received += received as u64;
        });
    }

    fn update(&self, change: impl FnOnce(&mut TrafficCount)) {
        let before = self.count.get();
        let mut count = before;
        change(&mut count);
        self.count.set(count);
        pulse::set_bytes_sent(count.bytes_sent);
        if let Some(exchanges) = &mut *self.exchanges.borrow_mut() {
            let sent = count.bytes_sent - before.bytes_sent;
            exchanges.note(Instant::now(), sent, count.bytes_received - before.bytes_received);
        }
    }
}

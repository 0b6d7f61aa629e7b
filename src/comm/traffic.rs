//! Counts of what a rank exchanged, for the accounting table.

use std::cell::Cell;

/// Running counts of one rank. Cells, because every operation counts through a shared reference.
#[derive(Debug, Default)]
pub struct Traffic(Cell<TrafficCount>);

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
        self.0.get()
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
        let mut count = self.0.get();
        change(&mut count);
        self.0.set(count);
    }
}

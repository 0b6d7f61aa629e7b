//! The messages of one rank, as they are counted.

use std::time::Instant;

/// Something sent or received, or several such things of about the same time as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// When it was counted.
    pub at: Instant,
    /// Bytes handed to other ranks.
    pub sent: u64,
    /// Bytes taken from other ranks.
    pub received: u64,
    /// Messages and collectives it stands for.
    pub count: u32,
}

/// The exchanges so far. When there are too many, neighbours in time are put together.
#[derive(Debug)]
pub struct Exchanges {
    limit: usize,
    all: Vec<Exchange>,
    /// How many are put together as they come.
    together: u32,
}

impl Exchanges {
    /// Keeps up to `limit`.
    pub fn new(limit: usize) -> Self {
        Exchanges { limit: limit.max(2), all: Vec::new(), together: 1 }
    }

    /// Notes one.
    pub fn note(&mut self, at: Instant, sent: u64, received: u64) {
        match self.all.last_mut() {
            Some(last) if last.count < self.together => join(last, &Exchange { at, sent, received, count: 1 }),
            _ => self.all.push(Exchange { at, sent, received, count: 1 }),
        }
        if self.all.len() > self.limit {
            self.together *= 2;
            let pairs = self.all.chunks(2).map(|pair| {
                let mut joined = pair[0];
                pair[1..].iter().for_each(|other| join(&mut joined, other));
                joined
            });
            self.all = pairs.collect();
        }
    }

    /// In the order of time.
    pub fn all(&self) -> &[Exchange] {
        &self.all
    }
}

fn join(one: &mut Exchange, other: &Exchange) {
    one.sent += other.sent;
    one.received += other.received;
    one.count += other.count;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn no_byte_is_forgotten_however_many_there_are() {
        let start = Instant::now();
        let mut exchanges = Exchanges::new(10);
        for number in 0..1000 {
            exchanges.note(start + Duration::from_millis(number), number, 1);
        }
        assert!(exchanges.all().len() <= 10);
        assert_eq!(exchanges.all().iter().map(|e| e.sent).sum::<u64>(), 999 * 500);
        assert_eq!(exchanges.all().iter().map(|e| e.count).sum::<u32>(), 1000);
        assert!(exchanges.all().is_sorted_by_key(|e| e.at));
    }
}

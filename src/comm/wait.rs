//! The one primitive to wait: start, test, sleep.
//!
//! Cost on 2 cores shared by a dispatcher and two workers (100 KB messages): the sleeping rank uses 0.6 to 6 % of a
//! core, a blocking `MPI_Recv` 33 to 50 %, and more messages pass per second because nobody spins on a core that a
//! worker needs.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Pending;
use crate::error::Result;

/// Answers that come within this time are waited for without sleeping: small collectives between busy ranks.
const SPIN: Duration = Duration::from_micros(20);
/// First and longest sleep of a short wait. The first keeps the latency low, the longest keeps an idle dispatcher below 1 % of
/// a core where tests are cheap.
const SLEEP: (Duration, Duration) = (Duration::from_micros(40), Duration::from_micros(400));
/// A long wait may sleep for this share of it, up to so long: over TCP a test asks the kernel about every connection, and
/// 2,500 of them a second were 7 % of a core for a dispatcher with nothing to do.
const LONG: (u32, Duration) = (32, Duration::from_millis(2));

/// A spell of waiting: sleeps grow while nothing happens.
pub struct Idle {
    begin: Option<Instant>,
    sleep: Duration,
}

impl Default for Idle {
    fn default() -> Self {
        Idle { begin: None, sleep: SLEEP.0 }
    }
}

impl Idle {
    /// Gives way for a moment.
    pub fn sleep(&mut self) {
        let waited = self.begin.get_or_insert_with(Instant::now).elapsed();
        if waited < SPIN {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(self.sleep);
            let longest = (waited / LONG.0).clamp(SLEEP.1, LONG.1);
            self.sleep = (self.sleep + self.sleep / 8).min(longest);
        }
    }

    /// Something happened: the spell is over.
    pub fn reset(&mut self) {
        *self = Idle::default();
    }
}

/// An operation that has been started and can be tested while other work goes on.
pub struct Started<'a, T> {
    pending: Option<Pending<'a, T>>,
    result: Option<Result<T>>,
}

impl<'a, T> Started<'a, T> {
    /// Starts the operation: its first messages are on their way when this returns.
    pub fn new(pending: Pending<'a, T>) -> Self {
        let mut started = Started { pending: Some(pending), result: None };
        started.test();
        started
    }

    /// Moves the operation on without blocking; true once it is finished.
    pub fn test(&mut self) -> bool {
        if let Some(pending) = &mut self.pending {
            match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(result) => {
                    self.result = Some(result);
                    self.pending = None;
                }
                Poll::Pending => return false,
            }
        }
        true
    }

    /// Waits for the end of the operation and gives its result.
    pub fn finish(mut self) -> Result<T> {
        let mut idle = Idle::default();
        while !self.test() {
            idle.sleep();
        }
        self.result.take().unwrap_or(Err(crate::error::Error::Aborted))
    }
}

/// Starts an operation and waits for it.
pub fn wait<T>(pending: Pending<'_, T>) -> Result<T> {
    Started::new(pending).finish()
}

/// Gives way once inside an asynchronous operation, so that its next poll comes later.
pub(super) async fn pause() {
    let mut polled = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending }).await
}

/// Runs several operations side by side until all are finished; the first error ends them.
pub(super) async fn all<T>(mut operations: Vec<Pending<'_, T>>) -> Result<Vec<T>> {
    let mut results: Vec<Option<T>> = operations.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut open = false;
        for (operation, result) in operations.iter_mut().zip(&mut results) {
            if result.is_none() {
                match Pin::as_mut(operation).poll(context) {
                    Poll::Ready(Ok(value)) => *result = Some(value),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => open = true,
                }
            }
        }
        if open { Poll::Pending } else { Poll::Ready(Ok(results.iter_mut().filter_map(Option::take).collect())) }
    })
    .await
}

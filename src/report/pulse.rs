//! What the ranks are doing at this moment, for who watches a run.
//!
//! A worker keeps its state in two atomics; the thread that tells the dispatcher that it is alive says them too
//! (`comm/liveness`), so that the view of all workers costs no message of its own. The dispatcher keeps what it heard last.
//! Of the process: ranks that are threads of one process share one state.

use serde::Serialize;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::report::account::Activity;

/// What a rank does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing that has a name: packing messages, starting.
    #[default]
    Other,
    /// Computing.
    Working,
    /// Waiting for another rank.
    Waiting,
    /// Reading or writing.
    Io,
    /// It takes no part any more.
    Dead,
}

impl State {
    const ALIVE: [State; 4] = [State::Other, State::Working, State::Waiting, State::Io];

    /// As a number that travels.
    pub fn code(self) -> u8 {
        Self::ALIVE.iter().position(|state| *state == self).unwrap_or(0) as u8
    }

    /// The state of a living rank; none for a number that means nothing.
    pub fn of_code(code: u8) -> Option<State> {
        Self::ALIVE.get(usize::from(code)).copied()
    }
}

impl From<Option<Activity>> for State {
    fn from(activity: Option<Activity>) -> State {
        match activity {
            None => State::Other,
            Some(Activity::Compute) => State::Working,
            Some(Activity::Waiting) => State::Waiting,
            Some(Activity::Io) => State::Io,
        }
    }
}

/// A rank at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulse {
    /// What it does.
    pub state: State,
    /// Payload it has sent to other ranks so far, in bytes.
    pub bytes_sent: u64,
}

static STATE: AtomicU8 = AtomicU8::new(0);
static BYTES_SENT: AtomicU64 = AtomicU64::new(0);

/// Notes what this process does from now on.
pub fn set_state(state: State) {
    STATE.store(state.code(), Ordering::Relaxed);
}

/// Notes how much this process has sent so far.
pub fn set_bytes_sent(bytes: u64) {
    BYTES_SENT.store(bytes, Ordering::Relaxed);
}

/// This process now.
pub fn now() -> Pulse {
    let state = State::of_code(STATE.load(Ordering::Relaxed)).unwrap_or_default();
    Pulse { state, bytes_sent: BYTES_SENT.load(Ordering::Relaxed) }
}

/// What the dispatcher knows of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Its number when the job started.
    pub rank: usize,
    /// What it said last.
    pub pulse: Pulse,
    /// When it was lost, if it was.
    pub lost: Option<Instant>,
}

static HEARD: Mutex<Vec<Heard>> = Mutex::new(Vec::new());

fn list() -> MutexGuard<'static, Vec<Heard>> {
    HEARD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn change(rank: usize, change: impl FnOnce(&mut Heard)) {
    let mut all = list();
    let place = all.binary_search_by_key(&rank, |heard| heard.rank).unwrap_or_else(|place| {
        all.insert(place, Heard { rank, pulse: Pulse::default(), lost: None });
        place
    });
    change(&mut all[place]);
}

/// Dispatcher: a worker gave a sign of life.
pub fn heard(rank: usize, pulse: Pulse) {
    change(rank, |heard| heard.pulse = pulse);
}

/// Dispatcher: a worker was lost.
pub fn lost(rank: usize) {
    change(rank, |heard| {
        heard.pulse.state = State::Dead;
        heard.lost.get_or_insert_with(Instant::now);
    });
}

/// All workers that were heard of, in the order of their ranks.
pub fn workers() -> Vec<Heard> {
    list().clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_travel_as_numbers() {
        for state in State::ALIVE {
            assert_eq!(State::of_code(state.code()), Some(state));
        }
        assert_eq!(State::of_code(4), None, "the dead say nothing");
        assert_eq!(State::from(Some(Activity::Compute)), State::Working);
    }
}

//! A worker's end of its connection: hears of losses and orders, and ends the process when the dispatcher is gone.

use std::io::{Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Heard, Hello, Token, Word, beat, hear, prepare, this_process, words};
use crate::comm::roster::{Order, Roster};
use crate::report::pulse;

/// Why a worker's connection has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::comm) enum End {
    /// The dispatcher's process is gone, or makes no sense.
    Dispatcher,
    /// The dispatcher gives no sign of life: it is stopped, or its host or this one is cut off.
    Silence,
    /// The dispatcher thinks this rank dead.
    Given,
    /// Another rank has failed and said why.
    Failed,
    /// The dispatcher has left after the job was done.
    Left,
}

/// A worker's end.
pub(in crate::comm) struct Tie(Arc<Shared>);

struct Shared {
    line: Mutex<TcpStream>,
}

impl Tie {
    /// Connects to the dispatcher, presents the token and keeps the connection, in a thread of its own. `on_end` is
    /// called there once the connection has ended, and the thread ends with it.
    pub(in crate::comm) fn begin(
        address: SocketAddr,
        token: Token,
        timeout: Duration,
        rank: usize,
        roster: Arc<Roster>,
        on_end: impl FnOnce(End) + Send + 'static,
    ) -> Result<Tie> {
        let mut stream = TcpStream::connect_timeout(&address, timeout.max(Duration::from_secs(10)))?;
        prepare(&stream)?;
        let (process, began) = this_process();
        stream.write_all(&Hello { token, rank: rank as u64, process, began }.encode())?;
        let shared = Arc::new(Shared { line: Mutex::new(stream.try_clone()?) });
        let tie = Tie(shared.clone());
        std::thread::Builder::new()
            .name("tie".into())
            .spawn(move || on_end(keep(&stream, &shared, timeout, rank, &roster)))?;
        Ok(tie)
    }

    /// Tells the dispatcher that this rank waits for the order after those of a generation.
    pub(in crate::comm) fn waits(&self, generation: usize) {
        self.0.say(Word::Waiting(generation as u64));
    }

    /// Tells the dispatcher that this rank ends the job because it has failed.
    pub(in crate::comm) fn failing(&self) {
        self.0.say(Word::Failing);
    }
}

impl Shared {
    fn say(&self, word: Word) {
        // A dispatcher that cannot be told is gone, which is noticed by reading.
        let _ = self.line.lock().unwrap_or_else(PoisonError::into_inner).write_all(&word.encode());
    }
}

fn keep(stream: &TcpStream, shared: &Shared, timeout: Duration, rank: usize, roster: &Roster) -> End {
    let mut bytes = Vec::new();
    let (mut heard, mut next_beat) = (Instant::now(), Instant::now());
    // From the order to leave on, a dispatcher that is gone has left.
    let mut leaving = false;
    loop {
        let left = next_beat.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        if poll(&mut [PollFd::new(stream, PollFlags::IN)], Some(&left)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let before = bytes.len();
        let end = hear(stream, &mut bytes, 4096);
        if bytes.len() > before {
            heard = Instant::now();
        }
        for word in words(&mut bytes) {
            match word {
                Some(Word::Alive(_)) => {}
                Some(Word::Failing) => return End::Failed,
                Some(Word::Lost(loss)) => {
                    if loss.rank == rank {
                        return End::Given;
                    }
                    roster.lose(loss);
                }
                Some(Word::Order(order, losses)) => match usize::try_from(losses) {
                    Ok(losses) => {
                        leaving |= order == Order::Leave;
                        roster.order(order, losses);
                    }
                    Err(_) => return End::Dispatcher,
                },
                Some(Word::Waiting(_)) | None => return End::Dispatcher,
            }
        }
        let silent = heard.elapsed() > timeout;
        match end {
            Heard::End if leaving => return End::Left,
            Heard::End => return End::Dispatcher,
            Heard::Bytes if silent => return if leaving { End::Left } else { End::Silence },
            Heard::Bytes => {}
        }
        if next_beat <= Instant::now() {
            shared.say(Word::Alive(pulse::now()));
            next_beat = Instant::now() + beat(timeout);
        }
    }
}

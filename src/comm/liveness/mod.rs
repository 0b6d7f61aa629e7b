//! The connection that tells who is alive: one from each worker to the dispatcher, beside MPI.
//!
//! MPI does not tell of a death (Open MPI 4 raises no error, receives from the dead just never end), the kernel does: it
//! closes the sockets of a process that ends, however it ends. A process that is stopped, or whose host is cut off, keeps
//! its sockets and is noticed by its silence: both ends say a word now and then and expect one within a time-out. Nothing
//! of this depends on what the main thread is doing; a worker deep in a computation goes on beating.
//!
//! * [`watch`]: the dispatcher's end, a thread that sleeps in `poll` over all connections.
//! * [`tie`]: a worker's end, a thread that sleeps in `poll` over one.
//! * [`address`]: which address of the dispatcher the workers are told.
//!
//! Security. It is the only socket of our own. The dispatcher listens on the one address that the workers are told, and
//! only until all have come. A connection counts once it has presented a random token that was handed out over MPI; one
//! that does not within [`GREETING`] is closed, and no more than [`STRANGERS`] may be waiting. All records have a fixed
//! length, and what makes no sense ends the connection. No length is ever read from it and nothing in it is executed.

pub(super) mod address;
pub(super) mod tie;
pub(super) mod watch;

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use super::roster::{Cause, Loss, Order};
use crate::report::pulse::{Pulse, State};

/// Time that a stranger has to present the token.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// Connections that may be waiting to present it.
pub(super) const STRANGERS: usize = 256;
/// Longest time between two words.
const BEAT: Duration = Duration::from_secs(1);

/// What a worker has to present: who knows it was told so over MPI.
pub(super) type Token = [u8; 32];

/// A token that nobody can guess.
pub(super) fn token() -> std::io::Result<Token> {
    let mut token = Token::default();
    std::fs::File::open("/dev/urandom")?.read_exact(&mut token)?;
    Ok(token)
}

/// Time between two words, for a time-out: several may be late before anybody is thought dead.
fn beat(timeout: Duration) -> Duration {
    BEAT.min(timeout / 5)
}

/// Sets up a connection: words are short and must not wait for each other, and no thread ever blocks on one.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)
}

/// A worker introduces itself: the token, its rank, its process and when that began (numbers of processes come again).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) token: Token,
    pub(super) rank: u64,
    pub(super) process: u64,
    pub(super) began: u64,
}

impl Hello {
    const BYTES: usize = 56;

    fn encode(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..32].copy_from_slice(&self.token);
        for (at, number) in [self.rank, self.process, self.began].into_iter().enumerate() {
            bytes[32 + at * 8..][..8].copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8; Self::BYTES]) -> Hello {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
        let token = bytes[..32].try_into().unwrap_or_default();
        Hello { token, rank: number(32), process: number(40), began: number(48) }
    }
}

/// What the two ends say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// I am alive, and this is what I do.
    Alive(Pulse),
    /// I have failed and am about to end the job: no need to say anything about it.
    Failing,
    /// To the dispatcher: I wait for the order after those of this generation.
    Waiting(u64),
    /// To workers: this rank is lost.
    Lost(Loss),
    /// To workers: what to do next, after so many losses.
    Order(Order, u64),
}

impl Word {
    const BYTES: usize = 16;

    /// Kind, detail, and a number.
    fn encode(self) -> [u8; Self::BYTES] {
        let place = |at: Option<usize>| at.unwrap_or_default() as u8;
        let (kind, detail, number) = match self {
            Word::Alive(Pulse { state, bytes_sent }) => (1, state.code(), bytes_sent),
            Word::Failing => (2, 0, 0),
            Word::Waiting(generation) => (5, 0, generation),
            Word::Lost(loss) => (3, place(Cause::ALL.iter().position(|c| *c == loss.cause)), loss.rank as u64),
            Word::Order(order, losses) => (4, place(Order::ALL.iter().position(|o| *o == order)), losses),
        };
        let mut bytes = [0; Self::BYTES];
        (bytes[0], bytes[1]) = (kind, detail);
        bytes[8..].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; Self::BYTES]) -> Option<Word> {
        let number = u64::from_le_bytes(bytes[8..].try_into().unwrap_or_default());
        let detail = usize::from(bytes[1]);
        if bytes[2..8] != [0; 6] {
            return None;
        }
        match bytes[0] {
            1 => Some(Word::Alive(Pulse { state: State::of_code(bytes[1])?, bytes_sent: number })),
            2 => Some(Word::Failing),
            3 => Some(Word::Lost(Loss { rank: usize::try_from(number).ok()?, cause: *Cause::ALL.get(detail)? })),
            4 => Some(Word::Order(*Order::ALL.get(detail)?, number)),
            5 => Some(Word::Waiting(number)),
            _ => None,
        }
    }
}

/// What was read from a connection at one go.
enum Heard {
    /// This much more is there, perhaps nothing.
    Bytes,
    /// The other end is gone.
    End,
}

/// Adds what has arrived to `bytes`, of which no more than `most` are wanted at a time.
fn hear(mut stream: &TcpStream, bytes: &mut Vec<u8>, most: usize) -> Heard {
    let mut buffer = [0u8; 4096];
    while bytes.len() < most {
        let room = (most - bytes.len()).min(buffer.len());
        match stream.read(&mut buffer[..room]) {
            Ok(0) => return Heard::End,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(cause) if cause.kind() == std::io::ErrorKind::WouldBlock => return Heard::Bytes,
            Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Heard::End,
        }
    }
    Heard::Bytes
}

/// Takes the whole words off the front of `bytes`; none for one that makes no sense.
fn words(bytes: &mut Vec<u8>) -> Vec<Option<Word>> {
    let (whole, rest) = bytes.as_chunks::<{ Word::BYTES }>();
    let (words, rest) = (whole.iter().map(Word::decode).collect(), rest.to_vec());
    *bytes = rest;
    words
}

/// Takes bytes for what arrives on a connection: what is understood says the same when it is written again. For fuzzing.
#[doc(hidden)]
pub fn hear_any_words(bytes: &[u8]) {
    let mut rest = bytes.to_vec();
    for (word, written) in words(&mut rest).into_iter().zip(bytes.as_chunks::<{ Word::BYTES }>().0) {
        assert!(word.is_none_or(|word| Word::decode(&word.encode()) == Some(word)), "{written:?}");
    }
    assert!(rest.len() < Word::BYTES && bytes.ends_with(&rest));
    if let Some(hello) = bytes.first_chunk::<{ Hello::BYTES }>() {
        assert_eq!(Hello::decode(hello).encode(), *hello);
    }
}

/// This process: its number and when it began, in the kernel's ticks.
fn this_process() -> (u64, u64) {
    let process = u64::from(std::process::id());
    (process, began(process).unwrap_or(0))
}

/// When a process of this machine began.
fn began(process: u64) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name, in parentheses, may hold anything; field 22 is the twentieth behind it.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_and_nonsense_is_noticed() {
        let mut all =
            vec![Word::Alive(Pulse { state: State::Waiting, bytes_sent: 1 << 40 }), Word::Failing, Word::Waiting(7)];
        all.extend(Cause::ALL.map(|cause| Word::Lost(Loss { rank: 70_000, cause })));
        all.extend(Order::ALL.map(|order| Word::Order(order, 3)));
        let mut bytes: Vec<u8> = all.iter().flat_map(|word| word.encode()).collect();
        bytes.push(9);
        assert_eq!(words(&mut bytes), all.into_iter().map(Some).collect::<Vec<_>>());
        assert_eq!(bytes, [9], "the rest waits for more");
        for (at, value) in [(0, 0), (0, 6), (0, 255), (1, 3), (4, 1)] {
            let mut bytes = Word::Lost(Loss { rank: 1, cause: Cause::Gone }).encode();
            bytes[at] = value;
            assert_eq!(Word::decode(&bytes), None, "byte {at} = {value}");
        }
        let hello = Hello { token: [7; 32], rank: 3, process: 1 << 22, began: u64::MAX };
        assert_eq!(Hello::decode(&hello.encode()), hello);
    }

    #[test]
    fn this_process_began_once() {
        let (process, began_here) = this_process();
        assert!(began_here > 0);
        assert_eq!(began(process), Some(began_here));
        assert_ne!(token().unwrap(), token().unwrap());
    }
}

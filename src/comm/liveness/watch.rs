//! The dispatcher's end of the connections: notices deaths and tells the living.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use super::{GREETING, Heard, Hello, STRANGERS, Token, Word, beat, began, hear, prepare, words};
use crate::comm::roster::{Cause, Crew, Loss, Order, Roster};
use crate::report::pulse::{self, Pulse};

/// What is left after a worker has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::comm) enum Left {
    /// So many workers that have to do without it.
    Workers(usize),
    /// Nothing to be done.
    Nothing,
}

/// What the watch does about what it sees, in its own thread.
pub(in crate::comm) struct Reactions {
    /// After a loss, and after a worker has left when everything was done: end the job where it cannot go on, and where it
    /// is done do not wait for MPI, which may wait for the dead.
    pub(in crate::comm) loss: Box<dyn Fn(Loss, Left) + Send + Sync>,
    /// When a worker has said that it is about to end the job.
    pub(in crate::comm) failure: Box<dyn Fn() + Send + Sync>,
}

/// The dispatcher's end.
pub(in crate::comm) struct Watch(Arc<Shared>);

struct Shared {
    roster: Arc<Roster>,
    token: Token,
    timeout: Duration,
    /// What words go out on, by rank at the start. Held while losses and orders are told, so that everybody hears of
    /// both in the same order.
    lines: Mutex<Vec<Option<TcpStream>>>,
    /// Workers that have come, and workers whose connection is there still.
    joined: AtomicUsize,
    present: AtomicUsize,
    /// The job is about to end, one way or the other: connections that close mean nothing any more.
    ending: AtomicBool,
    /// It ends because everything is done.
    done: AtomicBool,
    /// The job can go on after a loss: then the living are told.
    survives: bool,
    reactions: Reactions,
    /// Which workers run on this host: these can be killed if they are only stopped.
    here: Vec<bool>,
}

impl Watch {
    /// Listens for the workers of a roster at one address and watches them from then on, in a thread of its own.
    pub(in crate::comm) fn begin(
        address: IpAddr,
        token: Token,
        timeout: Duration,
        roster: Arc<Roster>,
        survives: bool,
        here: Vec<bool>,
        reactions: Reactions,
    ) -> std::io::Result<(Watch, SocketAddr)> {
        let listener = TcpListener::bind((address, 0))?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        let shared = Arc::new(Shared {
            roster,
            token,
            timeout,
            lines: Mutex::new(here.iter().map(|_| None).collect()),
            joined: AtomicUsize::new(0),
            present: AtomicUsize::new(0),
            ending: AtomicBool::new(false),
            done: AtomicBool::new(false),
            survives,
            reactions,
            here,
        });
        let thread = Thread {
            shared: shared.clone(),
            listener: Some(listener),
            strangers: Vec::new(),
            workers: Vec::new(),
            next_beat: Instant::now(),
        };
        std::thread::Builder::new().name("watch".into()).spawn(move || thread.run())?;
        Ok((Watch(shared), at))
    }

    /// Waits until all workers have come; false when that takes too long.
    pub(in crate::comm) fn all_have_come(&self, patience: Duration) -> bool {
        let begin = Instant::now();
        while self.0.joined.load(Ordering::Acquire) + 1 < self.0.here.len() {
            if begin.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Ranks that have not come yet.
    pub(in crate::comm) fn missing(&self) -> Vec<usize> {
        let lines = self.0.lines();
        (1..lines.len()).filter(|&rank| lines[rank].is_none() && !self.0.roster.is_dead(rank)).collect()
    }

    /// Gives an order to all that live.
    pub(in crate::comm) fn order(&self, crew: &Crew, order: Order) {
        let lines = self.0.lines();
        if order == Order::Leave {
            self.all_is_done();
        }
        let losses = crew.known_losses();
        tell(&lines, Word::Order(order, losses as u64));
        crew.regroup(order, losses);
    }

    /// From now on a worker that goes is no loss.
    pub(in crate::comm) fn all_is_done(&self) {
        self.0.ending.store(true, Ordering::Release);
        self.0.done.store(true, Ordering::Release);
    }

    /// Waits until the workers have closed their connections.
    pub(in crate::comm) fn all_have_left(&self, patience: Duration) -> bool {
        let begin = Instant::now();
        while self.0.present.load(Ordering::Acquire) > 0 {
            if begin.elapsed() > patience {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Tells everybody that this rank ends the job because it has failed.
    pub(in crate::comm) fn failing(&self) {
        self.0.ending.store(true, Ordering::Release);
        tell(&self.0.lines(), Word::Failing);
    }
}

fn tell(lines: &[Option<TcpStream>], word: Word) {
    for mut line in lines.iter().flatten() {
        // Whoever cannot be told is dead or stopped, and will be noticed.
        let _ = line.write_all(&word.encode());
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Vec<Option<TcpStream>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that has not presented the token.
struct Stranger {
    stream: TcpStream,
    bytes: Vec<u8>,
    since: Instant,
}

/// A worker's connection.
struct Worker {
    stream: TcpStream,
    bytes: Vec<u8>,
    hello: Hello,
    heard: Instant,
}

struct Thread {
    shared: Arc<Shared>,
    listener: Option<TcpListener>,
    strangers: Vec<Stranger>,
    workers: Vec<Worker>,
    next_beat: Instant,
}

impl Thread {
    fn run(mut self) {
        loop {
            self.sleep();
            if let Some(listener) = &self.listener {
                accept(listener, &mut self.strangers);
            }
            self.greet();
            self.listen();
            if self.next_beat <= Instant::now() {
                tell(&self.shared.lines(), Word::Alive(Pulse::default()));
                self.next_beat = Instant::now() + beat(self.shared.timeout);
            }
        }
    }

    /// Until something arrives or a word is due.
    fn sleep(&self) {
        let mut sockets: Vec<PollFd<'_>> = Vec::with_capacity(1 + self.strangers.len() + self.workers.len());
        sockets.extend(self.listener.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        sockets.extend(self.strangers.iter().map(|stranger| PollFd::new(&stranger.stream, PollFlags::IN)));
        sockets.extend(self.workers.iter().map(|worker| PollFd::new(&worker.stream, PollFlags::IN)));
        let left = self.next_beat.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        // Interrupted by a signal, or out of memory for a moment: the loop goes on either way.
        if poll(&mut sockets, Some(&left)).is_err() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Strangers that present the token become workers; others go.
    fn greet(&mut self) {
        for mut stranger in std::mem::take(&mut self.strangers) {
            let ended = matches!(hear(&stranger.stream, &mut stranger.bytes, Hello::BYTES), Heard::End);
            match <&[u8; Hello::BYTES]>::try_from(&stranger.bytes[..]) {
                Ok(bytes) => self.admit(stranger.stream, Hello::decode(bytes)),
                Err(_) if ended || stranger.since.elapsed() > GREETING => {}
                Err(_) => self.strangers.push(stranger),
            }
        }
        if self.shared.joined.load(Ordering::Acquire) + 1 == self.shared.here.len() {
            self.listener = None;
            self.strangers.clear();
        }
    }

    fn admit(&mut self, stream: TcpStream, hello: Hello) {
        let mut lines = self.shared.lines();
        // Compared in a time that does not depend on where they differ.
        let right = blake3::Hash::from_bytes(hello.token) == blake3::Hash::from_bytes(self.shared.token);
        let rank = usize::try_from(hello.rank).unwrap_or(0);
        if !right || rank == 0 || rank >= lines.len() || lines[rank].is_some() || self.shared.roster.is_dead(rank) {
            return;
        }
        let Ok(line) = stream.try_clone() else { return };
        lines[rank] = Some(line);
        self.workers.push(Worker { stream, bytes: Vec::new(), hello, heard: Instant::now() });
        self.shared.present.fetch_add(1, Ordering::AcqRel);
        self.shared.joined.fetch_add(1, Ordering::AcqRel);
    }

    /// Hears all workers, and counts those as dead that are not there any more.
    fn listen(&mut self) {
        for mut worker in std::mem::take(&mut self.workers) {
            let before = worker.bytes.len();
            let end = hear(&worker.stream, &mut worker.bytes, 4096);
            if worker.bytes.len() > before {
                worker.heard = Instant::now();
            }
            let mut cause = None;
            for word in words(&mut worker.bytes) {
                match word {
                    Some(Word::Alive(state)) => pulse::heard(worker.hello.rank as usize, state),
                    Some(Word::Waiting(generation)) => {
                        let generation = usize::try_from(generation).unwrap_or(usize::MAX);
                        self.shared.roster.waits(worker.hello.rank as usize, generation);
                    }
                    Some(Word::Failing) => {
                        self.shared.ending.store(true, Ordering::Release);
                        tell(&self.shared.lines(), Word::Failing);
                        (self.shared.reactions.failure)();
                    }
                    _ => cause = Some(Cause::Garbled),
                }
            }
            if matches!(end, Heard::End) {
                cause = Some(Cause::Gone);
            } else if worker.heard.elapsed() > self.shared.timeout {
                cause = Some(Cause::Silent);
            }
            match cause {
                None => self.workers.push(worker),
                Some(cause) => self.part_with(&worker, cause),
            }
        }
    }

    /// A worker's connection has ended, or is to end.
    fn part_with(&mut self, worker: &Worker, cause: Cause) {
        let rank = worker.hello.rank as usize;
        let loss = Loss { rank, cause };
        // It must not come back: it ends when it reads this, unless it is ended here.
        let _ = (&worker.stream).write_all(&Word::Lost(loss).encode());
        let _ = worker.stream.shutdown(Shutdown::Both);
        if cause != Cause::Gone && self.shared.here[rank] {
            kill(&worker.hello);
        }
        let (ending, left) = {
            let mut lines = self.shared.lines();
            lines[rank] = None;
            self.shared.present.fetch_sub(1, Ordering::AcqRel);
            let ending = self.shared.ending.load(Ordering::Acquire);
            if !ending {
                pulse::lost(rank);
            }
            if !ending && self.shared.survives {
                tell(&lines, Word::Lost(loss));
                self.shared.roster.lose(loss);
            }
            (ending, lines.iter().flatten().count())
        };
        if self.shared.done.load(Ordering::Acquire) {
            (self.shared.reactions.loss)(loss, Left::Nothing);
        } else if !ending {
            (self.shared.reactions.loss)(loss, Left::Workers(left));
        }
    }
}

fn accept(listener: &TcpListener, strangers: &mut Vec<Stranger>) {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                if strangers.len() < STRANGERS && prepare(&stream).is_ok() {
                    strangers.push(Stranger { stream, bytes: Vec::new(), since: Instant::now() });
                }
            }
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Ends a process of this machine, if it is the one that introduced itself: a stopped one would keep the launcher from
/// ending.
fn kill(hello: &Hello) {
    if hello.began != 0
        && began(hello.process) == Some(hello.began)
        && let Some(process) = i32::try_from(hello.process).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process(process, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comm::liveness::tie::{End, Tie};
    use crate::random::Stream;
    use std::io::Read;
    use std::net::Ipv4Addr;
    use std::sync::mpsc::{Receiver, channel};

    const PATIENCE: Duration = Duration::from_secs(20);
    const TOKEN: Token = [42; 32];

    /// A dispatcher that waits for so many workers, and what it says of losses.
    fn watch(workers: usize, timeout: Duration) -> (Watch, Crew, SocketAddr, Receiver<(Loss, Left)>) {
        let roster = Arc::new(Roster::new(workers + 1));
        let (tell, losses) = channel();
        let loss = move |loss, left| tell.send((loss, left)).expect("somebody listens");
        let reactions = Reactions { loss: Box::new(loss), failure: Box::new(|| ()) };
        let here = vec![false; workers + 1];
        let localhost = Ipv4Addr::LOCALHOST.into();
        let (watch, at) = Watch::begin(localhost, TOKEN, timeout, roster.clone(), true, here, reactions).unwrap();
        (watch, Crew::new(0, workers + 1, roster), at, losses)
    }

    /// A worker, its roster, and how its connection ended.
    fn tie(at: SocketAddr, rank: usize, timeout: Duration) -> (Tie, Arc<Roster>, Receiver<End>) {
        let roster = Arc::new(Roster::new(3));
        let (tell, ends) = channel();
        let on_end = move |end| {
            let _nobody_may_listen = tell.send(end);
        };
        (Tie::begin(at, TOKEN, timeout, rank, roster.clone(), on_end).unwrap(), roster, ends)
    }

    fn hello(token: Token, rank: u64) -> [u8; Hello::BYTES] {
        Hello { token, rank, process: 0, began: 0 }.encode()
    }

    /// Reads until the other end closes.
    fn closed(mut stream: &TcpStream) -> bool {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut buffer = [0; 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(cause) => return !matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
    }

    #[test]
    fn losses_and_orders_reach_the_living() {
        let (watch, crew, at, losses) = watch(2, PATIENCE);
        let (first, roster, first_ends) = tie(at, 1, PATIENCE);
        assert!(!watch.all_have_come(Duration::from_millis(20)));
        assert_eq!(watch.missing(), [2]);
        let second = TcpStream::connect(at).unwrap();
        (&second).write_all(&hello(TOKEN, 2)).unwrap();
        assert!(watch.all_have_come(PATIENCE));
        // All have come: nobody listens any more.
        while TcpStream::connect(at).is_ok() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        drop(second);
        let loss = Loss { rank: 2, cause: Cause::Gone };
        assert_eq!(losses.recv_timeout(PATIENCE), Ok((loss, Left::Workers(1))));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
        watch.order(&crew, Order::Again);
        assert_eq!(crew.members(), [0, 1]);
        let worker = Crew::new(1, 3, roster);
        assert_eq!(worker.next_order(|| false), Ok(Order::Again));
        assert_eq!(worker.members(), [0, 1]);
        first.waits(1);
        watch.order(&crew, Order::Leave);
        assert_eq!(worker.next_order(|| false), Ok(Order::Leave));
        assert!(!watch.all_have_left(Duration::from_millis(20)));
        watch.failing();
        assert_eq!(first_ends.recv_timeout(PATIENCE), Ok(End::Failed));
        drop(first);
        assert!(watch.all_have_left(PATIENCE));
        assert_eq!(losses.recv_timeout(PATIENCE), Ok((Loss { rank: 1, cause: Cause::Gone }, Left::Nothing)));
    }

    #[test]
    fn silence_is_noticed_at_both_ends() {
        let timeout = Duration::from_millis(500);
        let (watch, _crew, at, losses) = watch(2, timeout);
        let (_tie, roster, ends) = tie(at, 1, timeout);
        let mute = TcpStream::connect(at).unwrap();
        (&mute).write_all(&hello(TOKEN, 2)).unwrap();
        assert!(watch.all_have_come(PATIENCE));
        let loss = Loss { rank: 2, cause: Cause::Silent };
        assert_eq!(losses.recv_timeout(PATIENCE), Ok((loss, Left::Workers(1))));
        // Its own end reads that it is out, and the end.
        assert!(closed(&mute));
        while !roster.is_dead(2) {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(losses.recv_timeout(timeout * 3).is_err(), "who beats is not thought dead");
        assert!(ends.try_recv().is_err());
        // A dispatcher that only listens.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (_tie, _, ends) = tie(listener.local_addr().unwrap(), 1, timeout);
        let _mute = listener.accept().unwrap();
        assert_eq!(ends.recv_timeout(PATIENCE), Ok(End::Silence));
    }

    #[test]
    fn strangers_and_nonsense_change_nothing() {
        let (watch, _crew, at, losses) = watch(2, PATIENCE);
        let mut chance = Stream::new(1, "nonsense", 0);
        let mut streams = Vec::new();
        for attempt in 0..200 {
            let stream = TcpStream::connect(at).unwrap();
            let mut bytes: Vec<u8> = (0..chance.below(300)).map(|_| chance.bits() as u8).collect();
            match attempt % 6 {
                // The right length, the wrong token; and one bit of it wrong.
                0 => bytes = hello([41; 32], 1).to_vec(),
                1 => {
                    bytes = hello(TOKEN, 1).to_vec();
                    bytes[31] ^= 1 << (attempt % 8);
                }
                // The right token for ranks that there are not, or that nobody may be.
                2 => bytes = hello(TOKEN, [0, 3, u64::MAX][attempt % 3]).to_vec(),
                // Less than a greeting, and nothing at all.
                3 => bytes.truncate(Hello::BYTES - 1),
                4 => bytes.clear(),
                _ => {}
            }
            // Refused while it is being written is refused as well.
            let _ = (&stream).write_all(&bytes);
            streams.push(stream);
        }
        let (_first, ..) = tie(at, 1, PATIENCE);
        // Somebody who knows the token, and is rank 1 as well.
        let twin = TcpStream::connect(at).unwrap();
        while watch.missing().contains(&1) {
            std::thread::sleep(Duration::from_millis(1));
        }
        (&twin).write_all(&hello(TOKEN, 1)).unwrap();
        assert!(closed(&twin));
        let second = TcpStream::connect(at).unwrap();
        (&second).write_all(&hello(TOKEN, 2)).unwrap();
        assert!(watch.all_have_come(PATIENCE));
        assert!(streams.iter().all(closed), "strangers are gone when all have come");
        assert!(losses.try_recv().is_err());
        // A worker that talks nonsense is done without.
        (&second).write_all(&[0xAA; 40]).unwrap();
        assert_eq!(losses.recv_timeout(PATIENCE), Ok((Loss { rank: 2, cause: Cause::Garbled }, Left::Workers(1))));
        assert!(closed(&second));
    }

    #[test]
    fn a_dispatcher_that_talks_nonsense_is_left() {
        for word in [[0xAA; 16], Word::Waiting(1).encode()] {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let (_tie, _, ends) = tie(listener.local_addr().unwrap(), 1, PATIENCE);
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(&word).unwrap();
            assert_eq!(ends.recv_timeout(PATIENCE), Ok(End::Dispatcher));
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (_tie, _, ends) = tie(listener.local_addr().unwrap(), 1, PATIENCE);
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(&Word::Lost(Loss { rank: 1, cause: Cause::Silent }).encode()).unwrap();
        assert_eq!(ends.recv_timeout(PATIENCE), Ok(End::Given));
    }
}

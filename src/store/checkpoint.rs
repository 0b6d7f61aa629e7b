//! Checkpoints on disk: what a job has worked out so far, so that another run of the same job can go on from there.
//!
//! A folder of one job:
//!
//! ```text
//! lock            locked by the process that writes here
//! journal-E       records in the order they came about; a journal only grows, E counts the journals of the job
//! checkpoint-G    generation G: which job this is, and how many bytes of which journal count, with their BLAKE3
//! unfinished      names of the hidden files that outputs are written to, for the next run to remove
//! ```
//!
//! What a job adds is appended to the journal; a generation is a line of JSON and the BLAKE3 of that line, so a checkpoint
//! costs no more than what is new. Order on disk: journal written and synchronised, then `checkpoint-G.tmp` written,
//! synchronised and renamed, then the folder. The last two generations are kept. A damaged one is passed over for the one
//! before it; bytes behind the end a generation names are cut off. A thread of its own writes, so that the job waits for
//! the disk only when that cannot keep up.
//!
//! A record is its stage (u32), its kind (u32), its length (u64) and its bytes. Everything is proved before it is
//! used, and lengths are compared with the file before memory is taken. Nothing read from here is ever run.

mod unfinished;

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{At, Error, Result};
use unfinished::{UNFINISHED, remove_unfinished_outputs};

pub use unfinished::{forget_unfinished, note_unfinished};

/// Version of the folder's layout; raised when a program of the old version would go wrong.
pub const FORMAT_VERSION: u64 = 2;

/// Value of `format` in a generation.
const FORMAT: &str = "corpuscle-checkpoint";
/// Names of generations and journals, before their number.
const GENERATION: &str = "checkpoint-";
const JOURNAL: &str = "journal-";
const LOCK: &str = "lock";
/// Longest generation that is read: more than any job's parameters take.
const MOST_GENERATION_BYTES: u64 = 64 << 20;
/// Bytes in front of a record's own.
const HEAD: usize = 16;
/// Records that may wait for the thread.
const WAITING: usize = 8;
/// What a generation is thought to cost before one was made: nanoseconds a byte, and for itself.
const UNKNOWN_PACE: u64 = 2;
const UNKNOWN_COMMIT: Duration = Duration::from_millis(5);

/// What a generation says.
#[derive(Debug, Serialize, Deserialize)]
struct Generation {
    format: String,
    format_version: u64,
    /// What decides the result of the job.
    job: Value,
    /// Number of the journal.
    journal: u64,
    /// Bytes of it that count.
    bytes: u64,
    /// Their BLAKE3.
    blake3: String,
}

/// Where a record lies in its journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Which step of the job it belongs to.
    pub stage: u32,
    /// What it is to that step.
    pub kind: u32,
    at: u64,
    length: u64,
}

/// What an earlier run has left.
#[derive(Debug)]
pub struct Saved {
    path: PathBuf,
    file: File,
    records: Vec<Record>,
}

impl Saved {
    /// All records in their order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The bytes of a record.
    pub fn read(&self, record: &Record) -> Result<Vec<u8>> {
        read_record(&self.file, record).at(&self.path)
    }
}

fn read_record(file: &File, record: &Record) -> std::io::Result<Vec<u8>> {
    // The length was compared with that of the file.
    let mut bytes = vec![0; record.length as usize];
    file.read_exact_at(&mut bytes, record.at)?;
    Ok(bytes)
}

/// The folder of a running job, which adds to its journal.
pub struct Folder {
    path: PathBuf,
    _lock: File,
    sender: Option<SyncSender<Order>>,
    thread: Option<JoinHandle<Result<()>>>,
    /// What the thread has done.
    work: Arc<Work>,
    /// Bytes added since the last generation.
    added: u64,
}

/// What the thread has done so far, for others to see. Its cost is the processor time it took and the time that others had
/// to wait for it, not that of the disk.
#[derive(Default)]
struct Work {
    /// Nanoseconds.
    nanoseconds: AtomicU64,
    /// The same, up to the last generation; bytes and number of the generations.
    committed_nanoseconds: AtomicU64,
    committed_bytes: AtomicU64,
    commits: AtomicU64,
}

/// What the thread is told.
enum Order {
    Append { stage: u32, kind: u32, bytes: Vec<u8> },
    Commit,
    Restart { stage: u32 },
}

impl Folder {
    /// Locks the folder, which is made if it is not there, for a job that `job` identifies: two jobs with equal ones have
    /// equal results. With `resume` the newest usable checkpoint comes with it; none where there is no checkpoint at all.
    ///
    /// # Errors
    /// Another job uses the folder; there are checkpoints and they are not asked for, belong to another job, are all
    /// damaged or of a newer version; those of the file system.
    pub fn open(path: &Path, resume: bool, job: &Value) -> Result<(Folder, Option<Saved>)> {
        fs::create_dir_all(path).at(path)?;
        let lock = lock(path)?;
        let generations = numbered(path, GENERATION)?;
        if !resume && !generations.is_empty() {
            return Err(Error::failed(format!(
                "{}: holds the checkpoint of an unfinished job; add --resume to go on with it, or name another folder",
                path.display()
            )));
        }
        let mut found = None;
        let mut damage = None;
        for &number in generations.iter().rev() {
            match read_generation(path, number) {
                Ok(read) => {
                    found = Some((number, read));
                    break;
                }
                Err(Flaw::Fatal(error)) => return Err(error),
                Err(Flaw::Damaged(what)) => {
                    let name = path.join(format!("{GENERATION}{number}"));
                    log::warn!("{}: {what}; passed over", name.display());
                    damage = Some(what);
                }
            }
        }
        if let (None, Some(what)) = (&found, damage) {
            return Err(Error::failed(format!(
                "{}: no checkpoint can be used ({what}); remove the folder to start from the beginning",
                path.display()
            )));
        }
        if let Some((_, (generation, ..))) = &found
            && let Some(difference) = difference(&generation.job, job, "")
        {
            return Err(Error::failed(format!(
                "{}: holds the checkpoint of another job: {difference}; repeat that job's options or name another folder",
                path.display()
            )));
        }
        remove_unfinished_outputs(path);
        let newest = generations.last().copied().unwrap_or(0);
        let mut kept = Vec::new();
        let (writer, saved) = match found {
            None => (Writer::create(path, 1)?, None),
            Some((number, (generation, hasher, saved))) => {
                // The one before it stays until there is another; what is newer is damaged.
                let earlier = generations.iter().rev().copied().filter(|&earlier| earlier < number);
                let mut earlier =
                    earlier.filter_map(|number| Some((number, parse_generation(path, number).ok()?.journal)));
                kept.extend(earlier.next());
                kept.push((number, generation.journal));
                (Writer::resume(path, &generation, hasher, saved.records.clone())?, Some(saved))
            }
        };
        for &number in generations.iter().filter(|&&number| !kept.iter().any(|&(kept, _)| kept == number)) {
            fs::remove_file(path.join(format!("{GENERATION}{number}"))).at(path)?;
        }
        remove_temporaries(path)?;
        for number in numbered(path, JOURNAL)? {
            if number != writer.number && !kept.iter().any(|&(_, journal)| journal == number) {
                fs::remove_file(path.join(format!("{JOURNAL}{number}"))).at(path)?;
            }
        }
        let (sender, receiver) = sync_channel(WAITING);
        let work = Arc::new(Work::default());
        let scribe = Scribe {
            folder: path.to_path_buf(),
            job: job.clone(),
            generation: newest,
            kept,
            writer,
            work: work.clone(),
            added: 0,
        };
        let thread = std::thread::Builder::new()
            .name("checkpoints".into())
            .spawn(move || scribe.work(&receiver))
            .map_err(|cause| Error::failed(format!("cannot start a thread that writes checkpoints: {cause}")))?;
        let folder = Folder {
            path: path.to_path_buf(),
            _lock: lock,
            sender: Some(sender),
            thread: Some(thread),
            work,
            added: 0,
        };
        Ok((folder, saved))
    }

    /// Adds a record. An error may be told by a later call.
    pub fn append(&mut self, stage: u32, kind: u32, bytes: Vec<u8>) -> Result<()> {
        self.added += (HEAD + bytes.len()) as u64;
        self.order(Order::Append { stage, kind, bytes })
    }

    /// Makes everything added so far a new generation.
    pub fn commit(&mut self) -> Result<()> {
        self.added = 0;
        self.order(Order::Commit)
    }

    /// Begins a journal without the records of this stage.
    pub fn restart(&mut self, stage: u32) -> Result<()> {
        self.order(Order::Restart { stage })
    }

    /// What all that was added has cost so far.
    pub fn cost(&self) -> Duration {
        Duration::from_nanos(self.work.nanoseconds.load(Ordering::Relaxed))
    }

    /// What the next generation is likely to cost, with so many bytes on top of those that were added: by the pace of the
    /// earlier ones, and no less than the mean of them.
    pub fn likely_cost(&self, more: u64) -> Duration {
        let bytes = self.added.saturating_add(more);
        let Work { committed_nanoseconds, committed_bytes, commits, .. } = &*self.work;
        let commits = commits.load(Ordering::Relaxed);
        if commits == 0 {
            return UNKNOWN_COMMIT + Duration::from_nanos(bytes.saturating_mul(UNKNOWN_PACE));
        }
        let spent = committed_nanoseconds.load(Ordering::Relaxed);
        let written = committed_bytes.load(Ordering::Relaxed).max(1);
        Duration::from_nanos((spent as f64 / written as f64 * bytes as f64) as u64)
            .max(Duration::from_nanos(spent / commits))
    }

    /// Waits until everything is on disk.
    pub fn close(mut self) -> Result<()> {
        self.join()
    }

    /// The job is done: removes what there is to go on from.
    pub fn finish(mut self) -> Result<()> {
        self.join()?;
        for name in [GENERATION, JOURNAL] {
            // The newest go last, so that a run killed here leaves what can be used.
            for number in numbered(&self.path, name)? {
                fs::remove_file(self.path.join(format!("{name}{number}"))).at(&self.path)?;
            }
        }
        remove_temporaries(&self.path)?;
        for name in [UNFINISHED, LOCK] {
            let _ = fs::remove_file(self.path.join(name));
        }
        Ok(())
    }

    fn order(&mut self, order: Order) -> Result<()> {
        let begun = Instant::now();
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(order).is_ok());
        self.work.nanoseconds.fetch_add(begun.elapsed().as_nanos() as u64, Ordering::Relaxed);
        // Without its receiver the thread is gone: its result says why.
        if sent { Ok(()) } else { self.join().and(Err(Error::Aborted)) }
    }

    fn join(&mut self) -> Result<()> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            // A panic has been told by the hook.
            Some(Err(_)) | None => Err(Error::Aborted),
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// How long the lock of an earlier job may outlast it: a process that was killed gives back its memory before its files.
const LOCK_OUTLASTS: Duration = Duration::from_secs(3);

/// Takes the folder for this process; the operating system lets go of it when the process ends in any way.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&path).at(&path)?;
    let begun = Instant::now();
    let mut taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
    while taken == Err(Errno::WOULDBLOCK) && begun.elapsed() < LOCK_OUTLASTS {
        std::thread::sleep(Duration::from_millis(20));
        taken = flock(&file, FlockOperation::NonBlockingLockExclusive);
    }
    match taken {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(Error::failed(format!(
            "{}: another job writes its checkpoints here; name another folder, or wait until it has ended",
            folder.display()
        ))),
        Err(cause) => {
            log::warn!(
                "{}: this file system locks nothing ({cause}); let no other job use the folder",
                folder.display()
            );
            Ok(file)
        }
    }
}

/// The numbers of the files of this name in a folder, ascending.
fn numbered(folder: &Path, name: &str) -> Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder).at(folder)? {
        let file = entry.at(folder)?.file_name();
        let number = file.to_str().and_then(|file| file.strip_prefix(name)).and_then(|number| number.parse().ok());
        // Not 007 or +7.
        numbers.extend(number.filter(|number: &u64| file.to_str() == Some(&format!("{name}{number}"))));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes what a run left that was killed while it wrote a generation.
fn remove_temporaries(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(GENERATION) && name.ends_with(".tmp")) {
            fs::remove_file(entry.path()).at(entry.path())?;
        }
    }
    Ok(())
}

/// Why a generation cannot be used.
enum Flaw {
    /// Another may be.
    Damaged(String),
    /// Going on with another one would be wrong.
    Fatal(Error),
}

/// Reads what a generation says.
fn parse_generation(folder: &Path, number: u64) -> std::result::Result<Generation, Flaw> {
    let path = folder.join(format!("{GENERATION}{number}"));
    let damaged = |what: &str| Flaw::Damaged(what.to_owned());
    let io = |cause: std::io::Error| Flaw::Damaged(cause.to_string());
    let mut text = Vec::new();
    File::open(&path).and_then(|file| file.take(MOST_GENERATION_BYTES).read_to_end(&mut text)).map_err(io)?;
    let text = String::from_utf8(text).map_err(|_| damaged("a damaged checkpoint"))?;
    let (line, checksum) =
        text.trim_end_matches('\n').rsplit_once('\n').ok_or_else(|| damaged("a damaged checkpoint"))?;
    if blake3::hash(line.as_bytes()).to_hex().as_str() != checksum {
        return Err(damaged("a damaged checkpoint"));
    }
    let value: Value = serde_json::from_str(line).map_err(|_| damaged("a damaged checkpoint"))?;
    if value["format"] == FORMAT && value["format_version"].as_u64().is_some_and(|version| version > FORMAT_VERSION) {
        return Err(Flaw::Fatal(Error::failed(format!(
            "{}: format version {} is newer than version {FORMAT_VERSION}, which this program reads; use a newer corpuscle",
            path.display(),
            value["format_version"]
        ))));
    }
    let generation: Generation = serde_json::from_value(value).map_err(|_| damaged("a damaged checkpoint"))?;
    if generation.format != FORMAT || generation.format_version != FORMAT_VERSION {
        return Err(damaged("not a checkpoint of corpuscle"));
    }
    Ok(generation)
}

/// Reads a generation and proves the part of the journal that counts.
fn read_generation(folder: &Path, number: u64) -> std::result::Result<(Generation, blake3::Hasher, Saved), Flaw> {
    let damaged = |what: &str| Flaw::Damaged(what.to_owned());
    let io = |cause: std::io::Error| Flaw::Damaged(cause.to_string());
    let generation = parse_generation(folder, number)?;
    let path = folder.join(format!("{JOURNAL}{}", generation.journal));
    let file = File::open(&path).map_err(|_| damaged("its journal is missing"))?;
    if file.metadata().map_err(io)?.len() < generation.bytes {
        return Err(damaged("its journal is truncated"));
    }
    let mut hasher = blake3::Hasher::new();
    let mut reader = BufReader::with_capacity(1 << 20, &file).take(generation.bytes);
    hasher.update_reader(&mut reader).map_err(io)?;
    if hasher.finalize().to_hex().as_str() != generation.blake3 {
        return Err(damaged("its journal is damaged"));
    }
    let records =
        list_records(&file, generation.bytes).map_err(io)?.ok_or_else(|| damaged("its journal is damaged"))?;
    Ok((generation, hasher, Saved { path, file, records }))
}

/// Where the records of a journal lie; none when they do not fill its bytes.
fn list_records(file: &File, bytes: u64) -> std::io::Result<Option<Vec<Record>>> {
    let mut records = Vec::new();
    let mut at = 0;
    while at < bytes {
        let mut head = [0; HEAD];
        if bytes - at < HEAD as u64 {
            return Ok(None);
        }
        file.read_exact_at(&mut head, at)?;
        let (stage, kind, length) = decode_head(head);
        at += HEAD as u64;
        if length > bytes - at {
            return Ok(None);
        }
        records.push(Record { stage, kind, at, length });
        at += length;
    }
    Ok(Some(records))
}

fn encode_head(stage: u32, kind: u32, length: u64) -> [u8; HEAD] {
    (u128::from(length) << 64 | u128::from(kind) << 32 | u128::from(stage)).to_le_bytes()
}

fn decode_head(head: [u8; HEAD]) -> (u32, u32, u64) {
    let head = u128::from_le_bytes(head);
    (head as u32, (head >> 32) as u32, (head >> 64) as u64)
}

/// The first place in which two jobs differ, in words.
fn difference(there: &Value, here: &Value, place: &str) -> Option<String> {
    if let (Value::Object(then), Value::Object(now)) = (there, here) {
        let name = |key: &str| if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") };
        let null = Value::Null;
        let differs =
            |key: &String| difference(then.get(key).unwrap_or(&null), now.get(key).unwrap_or(&null), &name(key));
        return now.keys().chain(then.keys().filter(|key| !now.contains_key(*key))).find_map(differs);
    }
    let short = |value: &Value| {
        let text = value.to_string();
        if text.chars().count() > 80 { format!("{}...", text.chars().take(80).collect::<String>()) } else { text }
    };
    (there != here).then(|| format!("{place} was {}, is {}", short(there), short(here)))
}

/// A journal being written.
struct Writer {
    number: u64,
    path: PathBuf,
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
    records: Vec<Record>,
}

impl Writer {
    fn create(folder: &Path, number: u64) -> Result<Writer> {
        let path = folder.join(format!("{JOURNAL}{number}"));
        let options = OpenOptions::new().create(true).read(true).write(true).truncate(true).open(&path);
        let file = BufWriter::with_capacity(1 << 20, options.at(&path)?);
        Ok(Writer { number, path, file, hasher: blake3::Hasher::new(), bytes: 0, records: Vec::new() })
    }

    fn resume(folder: &Path, from: &Generation, hasher: blake3::Hasher, records: Vec<Record>) -> Result<Writer> {
        let path = folder.join(format!("{JOURNAL}{}", from.journal));
        let mut file = OpenOptions::new().read(true).write(true).open(&path).at(&path)?;
        // What came after the checkpoint is of no use.
        file.set_len(from.bytes).and_then(|()| file.seek(SeekFrom::End(0))).at(&path)?;
        let file = BufWriter::with_capacity(1 << 20, file);
        Ok(Writer { number: from.journal, path, file, hasher, bytes: from.bytes, records })
    }

    fn append(&mut self, stage: u32, kind: u32, bytes: &[u8]) -> Result<()> {
        let head = encode_head(stage, kind, bytes.len() as u64);
        self.file.write_all(&head).and_then(|()| self.file.write_all(bytes)).at(&self.path)?;
        self.hasher.update(&head).update(bytes);
        self.records.push(Record { stage, kind, at: self.bytes + HEAD as u64, length: bytes.len() as u64 });
        self.bytes += (HEAD + bytes.len()) as u64;
        Ok(())
    }

    fn synchronise(&mut self) -> Result<()> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_all()).at(&self.path)
    }
}

/// Nanoseconds that this thread has had a processor.
fn processor_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The thread that writes.
struct Scribe {
    folder: PathBuf,
    job: Value,
    /// Number of the last generation.
    generation: u64,
    /// Generations that are kept, each with its journal.
    kept: Vec<(u64, u64)>,
    writer: Writer,
    work: Arc<Work>,
    /// Bytes added since the last generation.
    added: u64,
}

impl Scribe {
    fn work(mut self, orders: &Receiver<Order>) -> Result<()> {
        while let Ok(order) = orders.recv() {
            let begun = processor_time();
            let commits = matches!(order, Order::Commit);
            match order {
                Order::Append { stage, kind, bytes } => {
                    self.writer.append(stage, kind, &bytes)?;
                    self.added += (HEAD + bytes.len()) as u64;
                }
                Order::Restart { stage } => self.restart(stage)?,
                Order::Commit => self.commit()?,
            }
            let taken = processor_time().saturating_sub(begun);
            let spent = self.work.nanoseconds.fetch_add(taken, Ordering::Relaxed) + taken;
            if commits {
                let before = self.work.committed_nanoseconds.swap(spent, Ordering::Relaxed);
                self.work.committed_bytes.fetch_add(std::mem::take(&mut self.added), Ordering::Relaxed);
                self.work.commits.fetch_add(1, Ordering::Relaxed);
                let (number, bytes) = (self.generation, self.writer.bytes);
                log::debug!(
                    "checkpoint {number}: {bytes} bytes of a journal, {:.3} s of work",
                    (spent - before) as f64 / 1e9
                );
            }
        }
        Ok(())
    }

    fn restart(&mut self, stage: u32) -> Result<()> {
        self.writer.file.flush().at(&self.writer.path)?;
        let next = Writer::create(&self.folder, self.writer.number + 1)?;
        let old = std::mem::replace(&mut self.writer, next);
        for record in old.records.iter().filter(|record| record.stage < stage) {
            let bytes = read_record(old.file.get_ref(), record).at(&old.path)?;
            self.writer.append(record.stage, record.kind, &bytes)?;
        }
        if !self.kept.iter().any(|&(_, journal)| journal == old.number) {
            fs::remove_file(&old.path).at(&old.path)?;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        self.writer.synchronise()?;
        let generation = Generation {
            format: FORMAT.to_owned(),
            format_version: FORMAT_VERSION,
            job: self.job.clone(),
            journal: self.writer.number,
            bytes: self.writer.bytes,
            blake3: self.writer.hasher.finalize().to_hex().to_string(),
        };
        self.generation += 1;
        let path = self.folder.join(format!("{GENERATION}{}", self.generation));
        write_generation(&path, &generation)?;
        self.kept.push((self.generation, self.writer.number));
        while self.kept.len() > 2 {
            let (number, journal) = self.kept.remove(0);
            let path = self.folder.join(format!("{GENERATION}{number}"));
            fs::remove_file(&path).at(&path)?;
            if !self.kept.iter().any(|&(_, kept)| kept == journal) {
                let path = self.folder.join(format!("{JOURNAL}{journal}"));
                fs::remove_file(&path).at(&path)?;
            }
        }
        Ok(())
    }
}

/// Writes a generation beside its place and renames it.
fn write_generation(path: &Path, generation: &Generation) -> Result<()> {
    let line = serde_json::to_string(generation).at(path)?;
    let text = format!("{line}\n{}\n", blake3::hash(line.as_bytes()).to_hex());
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary).at(&temporary)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).at(&temporary)?;
    drop(file);
    fs::rename(&temporary, path).at(path)?;
    // Some file systems cannot synchronise a folder; the files themselves are safe by now.
    if let Some(Ok(folder)) = path.parent().map(File::open) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests;

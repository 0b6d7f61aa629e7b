//! A corpus written by a thread of its own, so that the dispatcher can receive the next documents meanwhile.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use super::CorpusWriter;
use crate::corpus::assemble::Run;
use crate::corpus::chunk::CsrChunk;
use crate::corpus::sent_rows::SentRows;
use crate::error::{Error, Result};

/// Chunks that may wait for the thread: the memory they take is bounded.
const WAITING: usize = 2;

/// What one call appends.
enum Documents {
    Chunk(CsrChunk, Vec<String>, Option<Vec<String>>),
    Sent(SentRows, Option<Vec<String>>, Option<Vec<String>>),
    Run(Run, Vec<String>, Option<Vec<String>>),
}

/// A [`CorpusWriter`] at work in the background.
pub struct BackgroundWriter {
    sender: Option<SyncSender<Documents>>,
    thread: Option<JoinHandle<Result<CorpusWriter>>>,
}

impl BackgroundWriter {
    /// Starts the thread. It makes the writer too: the dictionary is written while workers are at work on the first documents.
    /// What is wrong with that is told by a later call.
    pub fn start(create: impl FnOnce() -> Result<CorpusWriter> + Send + 'static) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || write(create()?, &receiver))
            .map_err(|cause| Error::failed(format!("cannot start a thread that writes the corpus: {cause}")))?;
        Ok(BackgroundWriter { sender: Some(sender), thread: Some(thread) })
    }

    /// As [`CorpusWriter::append`], except that an error may be told by a later call.
    pub fn append(&mut self, chunk: CsrChunk, ids: Vec<String>, labels: Option<Vec<String>>) -> Result<()> {
        self.send(Documents::Chunk(chunk, ids, labels))
    }

    /// As [`CorpusWriter::append_sent`], except that an error may be told by a later call.
    pub fn append_sent(&mut self, rows: SentRows, ids: Option<Vec<String>>, labels: Option<Vec<String>>) -> Result<()> {
        self.send(Documents::Sent(rows, ids, labels))
    }

    /// As [`CorpusWriter::append_run`], except that an error may be told by a later call.
    pub fn append_run(&mut self, run: Run, ids: Vec<String>, labels: Option<Vec<String>>) -> Result<()> {
        self.send(Documents::Run(run, ids, labels))
    }

    fn send(&mut self, documents: Documents) -> Result<()> {
        let sent = self.sender.as_ref().is_some_and(|sender| sender.send(documents).is_ok());
        // Without its receiver the thread is gone: its result says why.
        if sent { Ok(()) } else { self.join().and(Err(Error::Aborted)) }
    }

    /// Waits until everything is written and gives the writer back, to be completed.
    pub fn finish(mut self) -> Result<CorpusWriter> {
        self.join()
    }

    fn join(&mut self) -> Result<CorpusWriter> {
        self.sender = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            // A panic has been told by the hook.
            Some(Err(_)) | None => Err(Error::Aborted),
        }
    }
}

impl Drop for BackgroundWriter {
    /// The unfinished file is gone when this returns.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn write(mut writer: CorpusWriter, documents: &Receiver<Documents>) -> Result<CorpusWriter> {
    let mut flusher = writer.flusher();
    while let Ok(documents) = documents.recv() {
        let nonzeros = match documents {
            Documents::Chunk(chunk, ids, labels) => {
                writer.append(&chunk, &ids, labels.as_deref())?;
                chunk.nonzeros()
            }
            Documents::Sent(rows, ids, labels) => {
                writer.append_sent(&rows, ids.as_deref(), labels.as_deref())?;
                rows.nonzeros()
            }
            Documents::Run(run, ids, labels) => {
                writer.append_run(&run, &ids, labels.as_deref())?;
                run.nonzeros()
            }
        };
        flusher.written(8 * nonzeros as u64);
    }
    Ok(writer)
}

//! Bringing a file to disk while it is being written.
//!
//! A file that takes the place of another has to be on disk first. Left to the end, the disk would begin when all else is done.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes written between two calls to the disk.
const BYTES: u64 = 8 << 20;

/// A thread that brings to disk what others have written to a file so far. Failures are left to whoever does that at the end.
pub struct Flusher {
    sender: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    bytes: u64,
}

impl Flusher {
    /// For a file that is there. Without a file or thread to be had it does nothing.
    pub fn start(path: &Path) -> Flusher {
        let (sender, receiver) = sync_channel(1);
        let thread = File::open(path).ok().and_then(|file| {
            let flush = move || receiver.iter().for_each(|()| drop(file.sync_data()));
            std::thread::Builder::new().name("disk".into()).spawn(flush).ok()
        });
        Flusher { sender: thread.is_some().then_some(sender), thread, bytes: 0 }
    }

    /// Tells that so many bytes more have been written. Never waits.
    pub fn written(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes >= BYTES {
            self.bytes = 0;
            // One call is enough for all that is written before it begins.
            let _ = self.sender.as_ref().map(|sender| sender.try_send(()));
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flusher_is_gone_when_it_is_dropped_and_minds_no_missing_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![1; 1 << 20]).unwrap();
        let mut flusher = Flusher::start(&path);
        (0..100).for_each(|_| flusher.written(BYTES / 2));
        assert!(flusher.bytes < BYTES);
        drop(flusher);
        Flusher::start(&folder.path().join("none")).written(2 * BYTES);
    }
}

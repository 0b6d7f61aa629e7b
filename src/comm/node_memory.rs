//! Memory that the ranks of one node read in common: written by one of them, sealed, mapped by the others.
//!
//! It is a file without a name (`memfd_create`), which the kernel keeps as long as somebody has it open or mapped: nothing is
//! left behind by a rank that is killed, and the size of `/dev/shm`, which containers like to limit, does not matter. The others
//! open it by way of the writer's `/proc/PID/fd`. That two ranks are on one node is not concluded from names: it is tried, and what
//! was opened must be sealed and bear the words the writer was given.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Deref;

use crate::linalg::Aligned;
use memmap2::{Mmap, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};

/// What is told of such memory to those who look for it: the words at its beginning.
pub const WORDS: usize = 64;

/// Nobody can change, lengthen or shorten the file any more.
const SEALS: SealFlags = SealFlags::WRITE.union(SealFlags::GROW).union(SealFlags::SHRINK);

/// Memory that is being written.
#[derive(Debug)]
pub struct NodeWriter {
    file: File,
}

impl NodeWriter {
    /// Begins with these words.
    ///
    /// # Errors
    /// The kernel has no such files, or none left.
    pub fn new(words: &[u8; WORDS]) -> io::Result<NodeWriter> {
        let file = File::from(memfd_create("corpuscle", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
        let mut writer = NodeWriter { file };
        writer.write(words)?;
        Ok(writer)
    }

    /// Adds bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Where the others find it.
    pub fn address(&self) -> String {
        use std::os::fd::AsRawFd;
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Nothing is added any more. The others can open it from now on, as long as the file that comes with the bytes is open.
    pub fn seal(mut self) -> io::Result<(NodeMemory, File)> {
        self.file.seek(SeekFrom::Start(0))?;
        fcntl_add_seals(&self.file, SEALS)?;
        Ok((NodeMemory { held: Held::Mapped(map(&self.file)?) }, self.file))
    }
}

/// The bytes that were written behind the words, for all ranks of a node once.
pub struct NodeMemory {
    held: Held,
}

enum Held {
    Mapped(Mmap),
    /// A rank's own, where the kernel offers nothing better.
    Own(Aligned<u8>),
}

impl NodeMemory {
    /// Opens what another rank of this node has written; none where there is no such file, or another one.
    pub fn open(address: &str, words: &[u8; WORDS], length: u64) -> Option<NodeMemory> {
        // A name that came in a message opens nothing but what a writer has named.
        let (process, file) = address.strip_prefix("/proc/")?.split_once("/fd/")?;
        let (_, _) = (process.parse::<u32>().ok()?, file.parse::<u32>().ok()?);
        let file = File::open(address).ok()?;
        if file.metadata().ok()?.len() != WORDS as u64 + length {
            return None;
        }
        let map = map(&file).ok().filter(|map| map[..WORDS] == words[..])?;
        Some(NodeMemory { held: Held::Mapped(map) })
    }

    /// Bytes of this rank alone.
    pub fn own(bytes: Aligned<u8>) -> NodeMemory {
        NodeMemory { held: Held::Own(bytes) }
    }
}

fn map(file: &File) -> io::Result<Mmap> {
    if !fcntl_get_seals(file)?.contains(SEALS) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "memory of a node that is not sealed"));
    }
    // SAFETY: a mapped file must not be changed or cut short by anybody as long as it is mapped. The kernel has just said that
    // the file is sealed against both, and a seal cannot be taken off.
    let map = unsafe { MmapOptions::new().map(file)? };
    if map.len() < WORDS {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "memory of a node without words"));
    }
    Ok(map)
}

impl std::fmt::Debug for NodeMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if matches!(self.held, Held::Mapped(_)) { "mapped" } else { "own" };
        write!(f, "NodeMemory({} bytes, {kind})", self.len())
    }
}

impl Deref for NodeMemory {
    type Target = [u8];

    /// The bytes; the first is at a multiple of 64.
    fn deref(&self) -> &[u8] {
        match &self.held {
            Held::Mapped(map) => &map[WORDS..],
            Held::Own(bytes) => bytes,
        }
    }
}

/// What tells nodes apart, of which ranks may read each other's files: the running kernel and the processes it shows them.
pub fn node() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let processes = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), processes.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[u8; WORDS] = &[7; WORDS];

    #[test]
    fn what_one_has_written_another_reads_until_the_last_has_gone() {
        let mut writer = NodeWriter::new(OURS).unwrap();
        writer.write(b"some ").unwrap();
        writer.write(b"bytes").unwrap();
        let address = writer.address();
        assert!(NodeMemory::open(&address, OURS, 10).is_none(), "not sealed");
        let (memory, file) = writer.seal().unwrap();
        assert_eq!(&memory[..], b"some bytes");
        assert_eq!(memory.as_ptr().addr() % 64, 0);
        let other = NodeMemory::open(&address, OURS, 10).unwrap();
        for (words, length) in [(&[8; WORDS], 10), (OURS, 9), (OURS, 11)] {
            assert!(NodeMemory::open(&address, words, length).is_none());
        }
        drop((memory, file));
        assert!(NodeMemory::open(&address, OURS, 10).is_none(), "closed");
        assert_eq!(&other[..], b"some bytes");
    }

    #[test]
    fn sealed_memory_cannot_be_written() {
        let mut writer = NodeWriter::new(OURS).unwrap();
        writer.write(b"bytes").unwrap();
        let address = writer.address();
        let (_memory, mut file) = writer.seal().unwrap();
        assert!(file.write_all(b"other").is_err());
        assert!(file.set_len(3).is_err());
        let again = std::fs::OpenOptions::new().write(true).open(&address).and_then(|mut file| file.write_all(b"x"));
        assert!(again.is_err());
    }

    #[test]
    fn other_files_are_not_opened() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [&OURS[..], b"bytes"].concat()).unwrap();
        let path = file.path().to_str().unwrap();
        assert!(NodeMemory::open(path, OURS, 5).is_none(), "not a writer's");
        use std::os::fd::AsRawFd;
        let by_number = format!("/proc/{}/fd/{}", std::process::id(), file.as_file().as_raw_fd());
        assert!(NodeMemory::open(&by_number, OURS, 5).is_none(), "not sealed");
        assert!(NodeMemory::open("/proc/self/fd/0/../../../etc/passwd", OURS, 5).is_none());
    }
}

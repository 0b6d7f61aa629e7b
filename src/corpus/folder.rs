//! A folder as input: every file in it is a document.
//!
//! Taken are all regular files below the folder, in the order of the bytes of their paths, but for hidden ones (a name
//! on the way begins with a dot). Symbolic links are followed, to files and to folders; a link back to a folder that it
//! lies in adds nothing and is passed over. Files named .gz, .bz2 or .zst are decompressed if that is what they hold.
//!
//! Many small files make one piece: a frame for each, which is the length of its path and of its text (u32 each,
//! little-endian), then both. Cutting costs the dispatcher no more than the listing, unless files are compressed: their
//! lengths are known when they are decompressed, and those pieces travel as bytes.

use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rayon::prelude::*;
use walkdir::WalkDir;

use crate::corpus::compression::Compression;
use crate::corpus::text::{MAX_RECORD_BYTES, fingerprint};
use crate::error::{At, Error, Result};

/// Files whose contents are looked at to tell whether two ranks see the same folder; of all others, path and length.
const FILES_LOOKED_AT: usize = 16;

/// A file of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path relative to the folder.
    pub path: PathBuf,
    /// Its length on disk in bytes.
    pub bytes: u64,
    /// Its name says that it is compressed.
    pub packed: bool,
}

/// The files of a folder, ascending by the bytes of their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    root: PathBuf,
    entries: Vec<Entry>,
    /// Links that were passed over because they lead back to where they lie.
    pub loops: Vec<PathBuf>,
}

impl Listing {
    /// Goes through a folder.
    ///
    /// # Errors
    /// A folder cannot be read, or a link leads nowhere; each by name.
    pub fn walk(root: &Path) -> Result<Self> {
        let hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
        let (mut entries, mut loops) = (Vec::new(), Vec::new());
        let walk = WalkDir::new(root).follow_links(true).into_iter();
        for found in walk.filter_entry(|entry| entry.depth() == 0 || !hidden(entry.path())) {
            let found = match found {
                Ok(found) => found,
                Err(cause) => {
                    let path = cause.path().unwrap_or(root).to_path_buf();
                    if cause.loop_ancestor().is_some() {
                        loops.push(path);
                    } else if !hidden(&path) {
                        let link = if path.is_symlink() { " (a link that leads nowhere: remove it)" } else { "" };
                        let cause = cause.io_error().map_or_else(|| cause.to_string(), ToString::to_string);
                        return Err(Error::failed(format!("{}: {cause}{link}", path.display())));
                    }
                    continue;
                }
            };
            if found.file_type().is_file() {
                let bytes = found.metadata().at(found.path())?.len();
                let packed =
                    [".gz", ".bz2", ".zst"].iter().any(|end| found.file_name().as_bytes().ends_with(end.as_bytes()));
                let path = found.path().strip_prefix(root).unwrap_or(found.path()).to_path_buf();
                entries.push(Entry { path, bytes, packed });
            }
        }
        entries.sort_unstable_by(|a, b| a.path.as_os_str().as_bytes().cmp(b.path.as_os_str().as_bytes()));
        loops.sort_unstable();
        Ok(Listing { root: root.to_path_buf(), entries, loops })
    }

    /// The files.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes of all pieces together, where no file is compressed.
    pub fn piece_bytes(&self) -> Option<u64> {
        self.entries.iter().map(|entry| (!entry.packed).then(|| frame_bytes(entry, entry.bytes))).sum()
    }

    /// Digest of all paths and lengths and of [`FILES_LOOKED_AT`] files: tells whether two ranks see the same folder.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        for entry in &self.entries {
            let path = entry.path.as_os_str().as_bytes();
            hasher.update(&(path.len() as u64).to_le_bytes()).update(path).update(&entry.bytes.to_le_bytes());
        }
        let step = self.entries.len().div_ceil(FILES_LOOKED_AT).max(1);
        for entry in self.entries.iter().step_by(step) {
            hasher.update(&fingerprint(&self.root.join(&entry.path))?);
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// Length of a file's text. A compressed file is decompressed for it, and comes along.
    fn measure(&self, at: usize) -> Result<(u64, Option<Vec<u8>>)> {
        let entry = &self.entries[at];
        if entry.packed {
            let text = self.text(at)?;
            return Ok((text.len() as u64, Some(text)));
        }
        if entry.bytes > MAX_RECORD_BYTES { Err(self.too_long(at)) } else { Ok((entry.bytes, None)) }
    }

    /// The text of a file.
    fn text(&self, at: usize) -> Result<Vec<u8>> {
        let entry = &self.entries[at];
        let path = self.root.join(&entry.path);
        if entry.bytes > MAX_RECORD_BYTES {
            return Err(self.too_long(at));
        }
        // A byte more than there should be shows a file that has grown.
        let mut bytes = Vec::with_capacity(entry.bytes as usize + 1);
        File::open(&path).at(&path)?.take(entry.bytes + 1).read_to_end(&mut bytes).at(&path)?;
        if bytes.len() as u64 != entry.bytes {
            return Err(Error::failed(format!("{}: has changed while it was read: start again", path.display())));
        }
        let compression = if entry.packed { Compression::of(&bytes) } else { Compression::None };
        if compression == Compression::None {
            return Ok(bytes);
        }
        let mut text = Vec::new();
        let stream = compression.decoder(&bytes[..]);
        stream.and_then(|stream| stream.take(MAX_RECORD_BYTES + 1).read_to_end(&mut text)).map_err(|cause| {
            Error::failed(format!(
                "{}: the {} stream is damaged or cut off ({cause}): get the file again",
                path.display(),
                compression.name()
            ))
        })?;
        if text.len() as u64 > MAX_RECORD_BYTES { Err(self.too_long(at)) } else { Ok(text) }
    }

    fn too_long(&self, at: usize) -> Error {
        let path = self.root.join(&self.entries[at].path);
        Error::failed(format!("{}: is longer than a document can be (1 GiB): cut it up", path.display()))
    }

    /// Cuts off the files of the next piece, which ends with the first file that ends `piece_bytes` or more behind its
    /// beginning: how many they are, the length of the piece, and its bytes if one of them is compressed.
    pub(super) fn cut(&self, first: usize, piece_bytes: u64) -> Result<(usize, u64, Option<Vec<u8>>)> {
        let (mut at, mut length, mut unpacked) = (first, 0, Vec::new());
        while at < self.entries.len() && length < piece_bytes {
            let (bytes, text) = self.measure(at)?;
            length += frame_bytes(&self.entries[at], bytes);
            unpacked.push(text);
            at += 1;
        }
        let body = unpacked.iter().any(Option::is_some).then(|| {
            let texts = unpacked.into_iter().enumerate();
            self.frames(first, texts.map(|(i, text)| text.map_or_else(|| self.text(first + i), Ok)).collect())
        });
        Ok((at - first, length, body.transpose()?))
    }

    /// The bytes of a piece that holds these files. They are read by all threads of the pool at once: what opening a
    /// small file costs is waiting.
    ///
    /// # Errors
    /// A file cannot be read, or is not as long as it was: the first of them by name.
    pub(super) fn read(&self, files: Range<usize>) -> Result<Vec<u8>> {
        if files.end > self.entries.len() {
            return Err(Error::failed(format!("{}: has lost files while it was read", self.root.display())));
        }
        self.frames(files.start, files.clone().into_par_iter().map(|at| self.text(at)).collect())
    }

    fn frames(&self, first: usize, texts: Vec<Result<Vec<u8>>>) -> Result<Vec<u8>> {
        let texts = texts.into_iter().collect::<Result<Vec<_>>>()?;
        let entries = &self.entries[first..first + texts.len()];
        let length = entries.iter().zip(&texts).map(|(entry, text)| frame_bytes(entry, text.len() as u64)).sum::<u64>();
        let mut bytes = Vec::with_capacity(length as usize);
        for (entry, text) in entries.iter().zip(texts) {
            let path = entry.path.as_os_str().as_bytes();
            bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(path);
            bytes.extend_from_slice(&text);
        }
        Ok(bytes)
    }
}

/// A folder's listing once this rank has made it. It follows from the folder and does not travel.
#[derive(Debug, Clone, Default)]
pub struct Listed(Arc<OnceLock<Listing>>);

impl PartialEq for Listed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Listed {}

impl From<Listing> for Listed {
    fn from(listing: Listing) -> Self {
        Listed(Arc::new(OnceLock::from(listing)))
    }
}

impl Listed {
    /// The listing of this folder, made now if it was not yet, if its digest is the one expected.
    ///
    /// # Errors
    /// Those of [`Listing::walk`]; the folder is another one.
    pub fn get(&self, root: &Path, digest: &[u8; 32]) -> Result<&Listing> {
        if let Some(listing) = self.0.get() {
            return Ok(listing);
        }
        let listing = Listing::walk(root)?;
        if listing.digest()? != *digest {
            return Err(Error::failed(format!("{}: has changed while it was read: start again", root.display())));
        }
        Ok(self.0.get_or_init(|| listing))
    }
}

/// Bytes of a file's frame.
fn frame_bytes(entry: &Entry, text: u64) -> u64 {
    (HEADER_BYTES + entry.path.as_os_str().len()) as u64 + text
}

const HEADER_BYTES: usize = 8;

/// Path and text of each file in a piece, in order.
pub(super) fn frames(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (path, text) = frame(bytes)?;
        bytes = &bytes[HEADER_BYTES + path.len() + text.len()..];
        Some((path, text))
    })
}

/// Path and text of the first file.
fn frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let (path, text) = (length(0)?, length(4)?);
    bytes[HEADER_BYTES..].get(..path + text).map(|bytes| bytes.split_at(path))
}

/// Cuts a piece into at most `parts` stretches of about equal length that hold whole files.
pub fn split(bytes: &[u8], parts: usize) -> Vec<Range<usize>> {
    let (mut stretches, mut begin, mut end) = (Vec::with_capacity(parts), 0, 0);
    for (path, text) in frames(bytes) {
        end += HEADER_BYTES + path.len() + text.len();
        if end >= bytes.len() * (stretches.len() + 1) / parts {
            stretches.push(begin..end);
            begin = end;
        }
    }
    stretches
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn write(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn paths(listing: &Listing) -> Vec<&str> {
        listing.entries().iter().map(|entry| entry.path.to_str().unwrap()).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn files_come_by_the_bytes_of_their_paths_hidden_ones_and_loops_do_not() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = dir.path();
        // '.' comes before '/', and that before letters.
        for path in ["a/z", "a.txt", "ab", "B", "é", "a/.hidden", ".git/config", "a/b/c"] {
            write(root, path, b"x");
        }
        write(elsewhere.path(), "there", b"x");
        symlink(elsewhere.path(), root.join("link")).unwrap();
        symlink(root.join("ab"), root.join("c")).unwrap();
        symlink("..", root.join("a/b/up")).unwrap();
        symlink("nowhere", root.join("a/.lock")).unwrap();
        let listing = Listing::walk(root).unwrap();
        assert_eq!(paths(&listing), ["B", "a.txt", "a/b/c", "a/z", "ab", "c", "link/there", "é"]);
        assert_eq!(listing.loops, [root.join("a/b/up")]);
        symlink("nowhere", root.join("a/broken")).unwrap();
        let message = Listing::walk(root).unwrap_err().to_string();
        assert!(message.contains("a/broken: No such file") && message.contains("leads nowhere"), "{message}");
    }

    #[test]
    fn pieces_hold_whole_files_and_are_cut_into_whole_files() {
        let dir = tempfile::tempdir().unwrap();
        let text = |at: usize| vec![b'a' + (at % 26) as u8; at * 37 % 101];
        for at in 0..60 {
            write(dir.path(), &format!("{at:02}"), &text(at));
            write(dir.path(), &format!("{at:02}z.gz"), &gzip(&text(at)));
        }
        let listing = Listing::walk(dir.path()).unwrap();
        assert_eq!(listing.piece_bytes(), None);
        for piece_bytes in [1, 300, 1 << 20] {
            let (mut at, mut found) = (0, Vec::new());
            while at < listing.entries().len() {
                let (files, length, body) = listing.cut(at, piece_bytes).unwrap();
                let bytes = listing.read(at..at + files).unwrap();
                assert_eq!(length, bytes.len() as u64);
                assert!(body.is_none_or(|body| body == bytes));
                for parts in [1, 2, 7] {
                    let stretches = split(&bytes, parts);
                    assert!(stretches.len() <= parts);
                    assert_eq!(stretches.iter().map(ExactSizeIterator::len).sum::<usize>(), bytes.len());
                    let files_in = |stretch: &Range<usize>| frames(&bytes[stretch.clone()]).count();
                    assert_eq!(stretches.iter().map(files_in).sum::<usize>(), files);
                }
                found.extend(frames(&bytes).map(|(path, text)| (path.to_vec(), text.to_vec())));
                at += files;
            }
            assert_eq!(found.len(), 120);
            for (at, pair) in found.chunks(2).enumerate() {
                assert_eq!(pair[0], (format!("{at:02}").into_bytes(), text(at)));
                assert_eq!(pair[1], (format!("{at:02}z.gz").into_bytes(), text(at)));
            }
        }
        assert_eq!(listing.cut(120, 10).unwrap().0, 0);
    }

    #[test]
    fn a_folder_that_changes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        (0..40).for_each(|at| write(dir.path(), &format!("{at}"), b"text"));
        let listing = Listing::walk(dir.path()).unwrap();
        let digest = listing.digest().unwrap();
        assert_eq!(Listed::default().get(dir.path(), &digest).unwrap(), &listing);
        write(dir.path(), "7", b"texts");
        let message = listing.read(0..40).unwrap_err().to_string();
        assert!(message.ends_with("7: has changed while it was read: start again"), "{message}");
        let message = Listed::default().get(dir.path(), &digest).unwrap_err().to_string();
        assert!(message.contains("has changed"), "{message}");
        write(dir.path(), "7", b"text");
        Listed::default().get(dir.path(), &digest).unwrap();
        write(dir.path(), "0", b"tEXt");
        Listed::default().get(dir.path(), &digest).unwrap_err();
    }

    #[test]
    fn a_damaged_stream_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let whole = gzip(&(0..9000).flat_map(|i: u32| i.to_le_bytes()).collect::<Vec<_>>());
        write(dir.path(), "a.gz", &whole[..whole.len() / 2]);
        write(dir.path(), "b.gz", b"plain text under a wrong name");
        let listing = Listing::walk(dir.path()).unwrap();
        let message = listing.read(0..1).unwrap_err().to_string();
        assert!(message.contains("a.gz: the gzip stream is damaged or cut off"), "{message}");
        assert_eq!(listing.text(1).unwrap(), b"plain text under a wrong name");
    }
}

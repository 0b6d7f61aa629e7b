//! Single blocks of a bzip2 file, so that several workers can decompress parts of it at once.
//!
//! A bzip2 stream is a header, blocks of up to 900 kB of content each, and an end with a checksum; a file is one stream or
//! several. Blocks are compressed on their own, begin at any bit with a number of 48 bits, and carry a checksum. So a block is found by
//! that number, and put between a header and an end of its own it is a stream that any decoder takes.
//!
//! The number may also turn up within a block, by chance: about once in 3,000 files of 20 GB. What begins there is no block, and is
//! passed over if the block before it goes on behind it ([`BlockFile::run`]); everything else that is no block is damage.
//!
//! Format: as libbzip2 1.0 reads it (J. Seward); <https://en.wikipedia.org/wiki/Bzip2#File_format>.

mod bits;
mod decode;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::{At, Error, Result};
use decode::{AT_ONCE, Block, contents, mark_at};

/// What a block begins with: 48 bits, the digits of pi.
const BLOCK: u64 = 0x3141_5926_5359;
/// What the end of a stream begins with: 48 bits, those of its root.
const END: u64 = 0x1772_4538_5090;
/// Bits of either.
const MARK_BITS: u64 = 48;
/// Bits of the end of a stream: the mark and a checksum of 32 bits.
const END_BITS: u64 = MARK_BITS + 32;
/// More bytes than a block is compressed to: of its 900,000 symbols each takes 20 bits at the very most.
const MOST_BYTES: u64 = 5 << 19;

/// The content of consecutive blocks.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// What the blocks hold, one after another.
    pub bytes: Vec<u8>,
    /// Where the next block begins, in bits; none behind the last of the file.
    pub next: Option<u64>,
}

/// A bzip2 file, open for reading its blocks.
#[derive(Debug)]
pub struct BlockFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

impl BlockFile {
    /// Opens a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).at(path)?;
        let bytes = file.metadata().at(path)?.len();
        Ok(BlockFile { file, path: path.to_path_buf(), bytes })
    }

    /// The content of all blocks that begin in a range of the file's bytes, decompressed by all threads of the pool at
    /// once.
    ///
    /// # Errors
    /// The file cannot be read, is damaged or cut off.
    pub fn run(&self, range: Range<u64>) -> Result<Run> {
        let window = Window::load(self, range.start..range.end.saturating_add(MOST_BYTES))?;
        let starts: Vec<u64> = window.blocks().take_while(|&bit| bit < range.end * 8).collect();
        let blocks: Vec<Vec<Option<Block>>> = starts.par_chunks(AT_ONCE).map(|bits| window.blocks_at(bits)).collect();
        let mut run = Run::default();
        // Where the blocks so far end.
        let mut end: Option<u64> = None;
        for (&bit, block) in starts.iter().zip(blocks.into_iter().flatten()) {
            match (block, end) {
                // Within the block before it.
                (_, Some(end)) if bit < end => {}
                (Some(block), _) => {
                    if end.is_some_and(|end| window.follows(end).is_some_and(|follows| follows != bit)) {
                        return Err(self.damaged(bit));
                    }
                    end = Some(block.end);
                    run.bytes.extend(block.content);
                }
                (None, None) if self.lies_within_a_block(bit)? => {}
                (None, _) => return Err(self.damaged(bit)),
            }
        }
        run.next = end.map(|end| self.next_block(end)).transpose()?.flatten();
        Ok(run)
    }

    /// The content of the block that begins at a bit, as [`Run::next`] gives it.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub fn block(&self, bit: u64) -> Result<Run> {
        let window = Window::load(self, bit / 8..bit / 8 + MOST_BYTES)?;
        let block = window.blocks_at(&[bit]).pop().flatten().ok_or_else(|| self.damaged(bit))?;
        Ok(Run { bytes: block.content, next: self.next_block(block.end)? })
    }

    /// Whether a block that begins before this bit ends behind it.
    fn lies_within_a_block(&self, bit: u64) -> Result<bool> {
        let before = Window::load(self, (bit / 8).saturating_sub(MOST_BYTES)..bit / 8 + MOST_BYTES)?;
        let starts: Vec<u64> = before.blocks().take_while(|&start| start < bit).collect();
        let last = starts.into_iter().rev().find_map(|start| before.blocks_at(&[start]).pop().flatten());
        Ok(last.is_some_and(|block| block.end > bit))
    }

    /// The block that follows where one has ended, in the next stream if this one ends there; none at the end of the file.
    fn next_block(&self, end: u64) -> Result<Option<u64>> {
        let mut bit = end;
        loop {
            let window = Window::load(self, bit / 8..bit / 8 + 32)?;
            match window.mark(bit) {
                Some(BLOCK) => return Ok(Some(bit)),
                Some(END) => {}
                _ => return Err(self.damaged(bit)),
            }
            // Streams begin at whole bytes.
            let stream = (bit + END_BITS).div_ceil(8);
            if stream == self.bytes {
                return Ok(None);
            }
            let header = usize::try_from(stream - window.begin / 8).ok().and_then(|at| window.bytes.get(at..));
            if !matches!(header, Some([b'B', b'Z', b'h', b'1'..=b'9', ..])) {
                return Err(self.damaged(stream * 8));
            }
            bit = (stream + 4) * 8;
        }
    }

    fn damaged(&self, bit: u64) -> Error {
        let (path, byte) = (self.path.display(), bit / 8);
        Error::failed(format!("{path}: the bzip2 stream is damaged or cut off at byte {byte}: get the file again"))
    }
}

/// A stretch of the file.
struct Window {
    /// Where it begins, in bits.
    begin: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn load(file: &BlockFile, range: Range<u64>) -> Result<Window> {
        let end = range.end.min(file.bytes);
        let begin = range.start.min(end);
        let mut bytes = vec![0; (end - begin) as usize];
        file.file.read_exact_at(&mut bytes, begin).at(&file.path)?;
        Ok(Window { begin: begin * 8, bytes })
    }

    /// Where blocks seem to begin, in bits of the file, ascending.
    fn blocks(&self) -> impl Iterator<Item = u64> + '_ {
        marks(&self.bytes).map(|bit| bit + self.begin)
    }

    /// The blocks at some bits of the file.
    fn blocks_at(&self, bits: &[u64]) -> Vec<Option<Block>> {
        let bits: Vec<u64> = bits.iter().map(|bit| bit - self.begin).collect();
        let in_file = |block: Block| Block { end: block.end + self.begin, ..block };
        contents(&self.bytes, &bits).into_iter().map(|block| block.map(in_file)).collect()
    }

    /// The 48 bits at a bit of the file.
    fn mark(&self, bit: u64) -> Option<u64> {
        mark_at(&self.bytes, bit - self.begin)
    }

    /// The block that follows in the same stream where one has ended.
    fn follows(&self, end: u64) -> Option<u64> {
        (self.mark(end)? == BLOCK).then_some(end)
    }
}

/// Where blocks seem to begin in some bytes, in bits.
fn marks(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    // What the second and the third byte of a mark can be, by its first bit within a byte: a bit for each.
    let mut possible = [[0_u8; 256]; 2];
    for shift in 0..8 {
        for (table, at) in possible.iter_mut().zip([1, 2]) {
            table[(BLOCK << 16 >> shift >> (56 - 8 * at)) as u8 as usize] |= 1 << shift;
        }
    }
    let last = bytes.len().saturating_sub(2);
    (0..last).flat_map(move |at| {
        let may_be = possible[0][bytes[at + 1] as usize] & possible[1][bytes[at + 2] as usize];
        let found = (0..8).filter(move |shift| may_be >> shift & 1 == 1).map(move |shift| at as u64 * 8 + shift);
        // Nearly always there is none.
        (may_be != 0).then(|| found.filter(|&bit| mark_at(bytes, bit) == Some(BLOCK))).into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        // Blocks of 100 kB.
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn text(lines: usize) -> Vec<u8> {
        (0..lines).flat_map(|i| format!("{} {}\n", i * 7919 % 10_007, i * i % 997).into_bytes()).collect()
    }

    fn open(folder: &Path, bytes: &[u8]) -> BlockFile {
        let path = folder.join("x.bz2");
        std::fs::write(&path, bytes).unwrap();
        BlockFile::open(&path).unwrap()
    }

    /// All content by ranges of so many bytes, and by one block after another.
    fn by_ranges(file: &BlockFile, step: u64) -> Result<(Vec<u8>, Vec<u8>)> {
        let mut all = Vec::new();
        for begin in (0..file.bytes).step_by(step as usize) {
            all.extend(file.run(begin..begin + step)?.bytes);
        }
        let mut chain = Vec::new();
        let mut run = file.run(0..40)?;
        loop {
            chain.append(&mut run.bytes);
            let Some(next) = run.next else { return Ok((all, chain)) };
            run = file.block(next)?;
        }
    }

    #[test]
    fn ranges_of_any_size_hold_each_block_once() {
        let folder = tempfile::tempdir().unwrap();
        let text = text(60_000);
        let (head, tail) = text.split_at(300_001);
        // One stream, and several with an empty one among them.
        for packed in [compress(&text), [compress(head), compress(b""), compress(tail)].concat()] {
            let file = open(folder.path(), &packed);
            for step in [997, 40_000, 1 << 20] {
                let (all, chain) = by_ranges(&file, step).unwrap();
                assert!(all == text && chain == text, "{step}");
            }
        }
    }

    #[test]
    fn damage_anywhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let whole = compress(&text(40_000));
        let message = |bytes: &[u8], step| by_ranges(&open(folder.path(), bytes), step).unwrap_err().to_string();
        for step in [5_000, 1 << 20] {
            for at in [whole.len() / 5, whole.len() / 2, whole.len() - 100] {
                let mut flipped = whole.clone();
                flipped[at] ^= 0x10;
                assert!(message(&flipped, step).contains("x.bz2: the bzip2 stream is damaged or cut off at byte"));
                assert!(message(&whole[..at], step).contains("damaged or cut off"));
            }
            let trailing = [&whole[..], b"something else"].concat();
            assert!(message(&trailing, step).contains("damaged or cut off"));
        }
    }

    #[test]
    fn marks_are_found_at_every_bit() {
        for shift in 0..8_u32 {
            let word = u128::from(BLOCK) << (128 - 24 - 48 - shift);
            assert_eq!(marks(&word.to_be_bytes()).collect::<Vec<_>>(), [24 + u64::from(shift)]);
        }
        // At the very end, and a bit short of it.
        assert_eq!(marks(&BLOCK.to_be_bytes()[2..]).count(), 1);
        assert_eq!(marks(&(BLOCK << 7).to_be_bytes()[..7]).count(), 0);
    }

    #[test]
    fn a_block_that_reaches_further_is_told_from_damage() {
        let folder = tempfile::tempdir().unwrap();
        let file = open(folder.path(), &compress(&text(40_000)));
        let window = Window::load(&file, 0..file.bytes).unwrap();
        let starts = window.blocks().collect::<Vec<_>>();
        assert!(starts.len() > 2);
        assert!(file.lies_within_a_block((starts[0] + starts[1]) / 2).unwrap());
        assert!(!file.lies_within_a_block(starts[1]).unwrap());
        assert!(!file.lies_within_a_block(starts[0]).unwrap());
    }
}

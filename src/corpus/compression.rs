//! Compressed input as a stream of plain bytes, and compressed output. What an input is compressed with is read from its
//! first bytes, not its name; an output is compressed as its name says.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{At, Result};

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// Not at all: pieces of the file can be read by seeking.
    None,
    /// gzip (RFC 1952), one or more members.
    Gzip,
    /// bzip2, one or more streams.
    Bzip2,
    /// Zstandard (RFC 8878), one or more frames.
    Zstd,
}

/// Compressed bytes asked of the file at a time.
const READ_BYTES: usize = 256 << 10;

impl Compression {
    /// Recognises a compressed stream by its first bytes (ten are enough).
    pub fn of(head: &[u8]) -> Self {
        // "BZh", the level, then the magic of a block or of an empty stream: text may well begin with "BZh9".
        let bzip2 = head.len() >= 10
            && head.starts_with(b"BZh")
            && matches!(head[3], b'1'..=b'9')
            && matches!(head[4..10], [0x31, 0x41, 0x59, 0x26, 0x53, 0x59] | [0x17, 0x72, 0x45, 0x38, 0x50, 0x90]);
        match head {
            // The third byte is the method; 8 (deflate) is the only one there is.
            [0x1f, 0x8b, 8, ..] => Compression::Gzip,
            // A frame, or a skippable frame as parallel compressors put in front.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
            _ if bzip2 => Compression::Bzip2,
            _ => Compression::None,
        }
    }

    /// Opens a file as the stream of its decompressed bytes. A damaged or cut-off stream shows as an error while
    /// reading.
    pub fn open(self, path: &Path) -> Result<Box<dyn Read + Send>> {
        let file = File::open(path).at(path)?;
        if self == Compression::None {
            return Ok(Box::new(file));
        }
        self.decoder(BufReader::with_capacity(READ_BYTES, file)).at(path)
    }

    /// The stream of decompressed bytes of a compressed one.
    pub fn decoder<'a>(self, compressed: impl BufRead + Send + 'a) -> std::io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Compression::None => Box::new(compressed),
            Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(compressed)),
            Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(compressed)),
            Compression::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(compressed)?),
        })
    }

    /// How an output of this name is to be compressed.
    pub fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Compression::Gzip,
            Some("bz2") => Compression::Bzip2,
            Some("zst") => Compression::Zstd,
            _ => Compression::None,
        }
    }

    /// Compresses bytes to a complete gzip member, bzip2 stream or Zstandard frame; several of them, one after another, are
    /// a file again. The same bytes each time: no time and no name goes in.
    pub fn compress(self, bytes: Vec<u8>) -> Vec<u8> {
        let packed = match self {
            Compression::None => return bytes,
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(&bytes).and_then(|()| encoder.finish())
            }
            Compression::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
                encoder.write_all(&bytes).and_then(|()| encoder.finish())
            }
            Compression::Zstd => zstd::encode_all(&bytes[..], zstd::DEFAULT_COMPRESSION_LEVEL),
        };
        packed.expect("a compressor that writes to memory has nothing to fail on")
    }

    /// Name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Compression::None => "plain",
            Compression::Gzip => "gzip",
            Compression::Bzip2 => "bzip2",
            Compression::Zstd => "zstd",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_compressed_one_by_one_are_a_file() {
        let folder = tempfile::tempdir().unwrap();
        for (name, method) in [
            ("a", Compression::None),
            ("a.gz", Compression::Gzip),
            ("a.mtx.bz2", Compression::Bzip2),
            ("a.zst", Compression::Zstd),
        ] {
            let path = folder.path().join(name);
            assert_eq!(Compression::of_name(&path), method);
            let parts = ["one\n".repeat(1000), String::new(), "two\n".to_owned()];
            let packed: Vec<u8> = parts.iter().flat_map(|part| method.compress(part.clone().into_bytes())).collect();
            assert_eq!(Compression::of(&packed), method);
            assert_eq!(method == Compression::None, packed == parts.concat().as_bytes());
            std::fs::write(&path, packed).unwrap();
            let mut text = String::new();
            method.open(&path).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, parts.concat(), "{name}");
        }
    }

    #[test]
    fn text_that_looks_like_a_magic_number_is_text() {
        assert_eq!(Compression::of(b"BZh9 is how a bzip2 file begins"), Compression::None);
        assert_eq!(Compression::of(b"BZh"), Compression::None);
        assert_eq!(Compression::of(b""), Compression::None);
        assert_eq!(Compression::of(&[0x1f, 0x8b]), Compression::None);
    }
}

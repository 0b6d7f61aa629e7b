//! Cuts the inputs into pieces of about equal size that end on record boundaries.
//!
//! A piece ends with the first record that ends `piece_bytes` or more behind the piece's beginning, counted in
//! decompressed bytes: boundaries depend on the content and `piece_bytes` alone, never on compression or on who asks. A
//! file begins a piece of its own.
//!
//! What it costs the dispatcher: plain lines are not read but for a few bytes around each boundary. Plain CSV is read
//! once and scanned for quotes, since a newline may lie inside a field. Of both only the place of a piece has to
//! travel; whoever sees the file reads it with [`read_piece`]. Compressed files are decompressed here and travel as
//! bytes. Of a folder, whole files are the records ([`folder`](crate::corpus::folder)). The records of a dump of MediaWiki are its
//! pages; where bzip2 compresses it, pieces are ranges of `piece_bytes` compressed bytes, and not read here at all
//! ([`ranges`]).

use std::borrow::Cow;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use memchr::memchr;

use crate::corpus::compression::Compression;
use crate::corpus::records::{RecordScanner, newlines};
use crate::corpus::text::{InputFormat, MAX_RECORD_BYTES, TextFile, TextPlan, read_more};
use crate::corpus::wiki::ranges;
use crate::error::{At, Error, Result};

/// Bytes taken from a stream at a time.
const BLOCK_BYTES: u64 = 256 << 10;
/// Bytes looked at for a newline at a time.
const PROBE_BYTES: usize = 16 << 10;

/// Consecutive records of one file: the unit of work in `build`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    /// Number among all pieces of the inputs.
    pub number: u64,
    /// Index into [`TextPlan::files`].
    pub file: u32,
    /// Where it begins in the decompressed file, in bytes; of a folder, its first file; of a dump in ranges, in the file.
    pub offset: u64,
    /// Its length in decompressed bytes; of a dump in ranges, in bytes of the file.
    pub length: u64,
    /// Line it begins on, counted from 1, where the cutter came to know it.
    pub first_line: Option<u64>,
    /// How many files of a folder it holds; 0 if it is a stretch of one file.
    pub files: u32,
    /// Its bytes, if it cannot be read by seeking.
    pub body: Option<Vec<u8>>,
}

impl Piece {
    /// Bytes of [`Piece::encode`].
    pub const ENCODED_BYTES: usize = 40;

    /// All but the body, as bytes.
    pub fn encode(&self) -> [u8; Self::ENCODED_BYTES] {
        let mut bytes = [0; Self::ENCODED_BYTES];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.offset.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.length.to_le_bytes());
        // Lines count from 1, which leaves 0 for the unknown.
        bytes[24..32].copy_from_slice(&self.first_line.unwrap_or(0).to_le_bytes());
        bytes[32..36].copy_from_slice(&self.file.to_le_bytes());
        bytes[36..].copy_from_slice(&self.files.to_le_bytes());
        bytes
    }

    /// The inverse of [`Piece::encode`]; the body is put in by the caller.
    pub fn decode(bytes: &[u8; Self::ENCODED_BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        Piece {
            number: word(0),
            offset: word(8),
            length: word(16),
            first_line: Some(word(24)).filter(|&line| line > 0),
            file: half(32),
            files: half(36),
            body: None,
        }
    }
}

/// The bytes of a piece: its body, or what its place in the file holds.
///
/// # Errors
/// The file cannot be read, or is not as long as when it was looked at.
pub fn read_piece<'a>(plan: &TextPlan, piece: &'a Piece) -> Result<Cow<'a, [u8]>> {
    if let Some(body) = &piece.body {
        return Ok(Cow::Borrowed(body));
    }
    let file = &plan.files[piece.file as usize];
    let path = &file.path;
    if plan.in_ranges(file) {
        return Ok(Cow::Owned(ranges::read(path, piece.offset..piece.offset + piece.length)?));
    }
    let bytes = if plan.format == InputFormat::Dir {
        let first = piece.offset as usize;
        plan.files[piece.file as usize].listing()?.read(first..first + piece.files as usize)?
    } else {
        let mut file = File::open(path).at(path)?;
        file.seek(SeekFrom::Start(piece.offset)).at(path)?;
        let mut bytes = Vec::with_capacity(piece.length as usize);
        file.take(piece.length).read_to_end(&mut bytes).at(path)?;
        bytes
    };
    if bytes.len() as u64 != piece.length {
        return Err(Error::failed(format!("{}: has changed while it was read: start again", path.display())));
    }
    Ok(Cow::Owned(bytes))
}

/// All pieces of the inputs, in order.
pub struct Cutter {
    plan: TextPlan,
    /// Index of the file that is being cut or comes next.
    file: usize,
    source: Option<Source>,
    next_number: u64,
    max_record_bytes: u64,
}

/// A file that is being cut.
enum Source {
    /// Plain lines: only boundaries are looked at.
    Seek { file: File, offset: u64 },
    /// A folder: only lengths are looked at, unless files are compressed.
    Folder { next: usize },
    /// A dump compressed by bzip2: nothing is looked at.
    Ranges { next: u64 },
    /// Everything else: all bytes pass through `buffer`, which begins with the next piece.
    Stream {
        stream: Box<dyn Read + Send>,
        ended: bool,
        buffer: Vec<u8>,
        scanner: RecordScanner,
        offset: u64,
        line: u64,
    },
}

impl Cutter {
    /// Begins at the first file.
    pub fn new(plan: &TextPlan) -> Self {
        Cutter { plan: plan.clone(), file: 0, source: None, next_number: 0, max_record_bytes: MAX_RECORD_BYTES }
    }

    /// The next piece, or none after the last.
    ///
    /// # Errors
    /// A file cannot be read, a compressed stream is damaged, a record is longer than 1 GiB, or a quote is never
    /// closed.
    #[expect(clippy::should_implement_trait, reason = "an iterator of results would go on after an error")]
    pub fn next(&mut self) -> Result<Option<Piece>> {
        while self.file < self.plan.files.len() {
            let file = &self.plan.files[self.file];
            let source = match &mut self.source {
                Some(source) => source,
                None => self.source.insert(Source::open(file, &self.plan)?),
            };
            if let Some(piece) = source.cut(file, self.plan.piece_bytes, self.max_record_bytes)? {
                let piece = Piece { number: self.next_number, file: self.file as u32, ..piece };
                self.next_number += 1;
                return Ok(Some(piece));
            }
            self.source = None;
            self.file += 1;
        }
        Ok(None)
    }
}

impl Source {
    fn open(file: &TextFile, plan: &TextPlan) -> Result<Self> {
        let format = plan.format;
        if format == InputFormat::Dir {
            return Ok(Source::Folder { next: 0 });
        }
        if plan.in_ranges(file) {
            return Ok(Source::Ranges { next: 0 });
        }
        let line_is_record = format.delimiter().is_none() && format != InputFormat::Wiki;
        if file.compression == Compression::None && line_is_record {
            return Ok(Source::Seek { file: File::open(&file.path).at(&file.path)?, offset: file.data_offset });
        }
        let mut stream = file.compression.open(&file.path)?;
        let skipped = std::io::copy(&mut (&mut stream).take(file.data_offset), &mut std::io::sink()).at(&file.path)?;
        if skipped != file.data_offset {
            return Err(Error::failed(format!(
                "{}: has become shorter while it was read: start again",
                file.path.display()
            )));
        }
        Ok(Source::Stream {
            stream,
            ended: false,
            buffer: Vec::new(),
            scanner: RecordScanner::of(format),
            offset: file.data_offset,
            line: file.data_line,
        })
    }

    /// The next piece of the file, its number and file left to the caller.
    fn cut(&mut self, about: &TextFile, piece_bytes: u64, max_record_bytes: u64) -> Result<Option<Piece>> {
        let failed = |why: String| Error::failed(format!("{}{why}", about.path.display()));
        let too_long = |offset: u64| {
            failed(format!(
                ": no record ends within {max_record_bytes} bytes behind byte {offset}: is the format right?"
            ))
        };
        match self {
            Source::Seek { file, offset } => {
                let begin = *offset;
                if begin >= about.bytes {
                    return Ok(None);
                }
                // A line that ends exactly `piece_bytes` behind the beginning has its newline one byte before.
                let wanted = begin + piece_bytes - 1;
                let end = end_of_line(file, wanted, about, max_record_bytes)?.ok_or_else(|| too_long(wanted))?;
                *offset = end;
                let first_line = (begin == about.data_offset).then_some(about.data_line);
                Ok(Some(Piece { offset: begin, length: end - begin, first_line, ..Piece::default() }))
            }
            Source::Folder { next } => {
                let (files, length, body) = about.listing()?.cut(*next, piece_bytes)?;
                let piece = Piece { offset: *next as u64, length, files: files as u32, body, ..Piece::default() };
                *next += files;
                Ok((files > 0).then_some(piece))
            }
            Source::Ranges { next } => {
                let offset = *next;
                *next = (offset + piece_bytes).min(about.bytes);
                Ok((offset < *next).then(|| Piece { offset, length: *next - offset, ..Piece::default() }))
            }
            Source::Stream { stream, ended, buffer, scanner, offset, line } => {
                let wanted = usize::try_from(piece_bytes).map_err(|_| too_long(*offset))?;
                let end = loop {
                    if let Some(end) = scanner.find(buffer, wanted, *ended) {
                        break end;
                    }
                    if *ended {
                        if let Some(quote) = scanner.open_quote() {
                            let line = *line + newlines(&buffer[..quote]);
                            return Err(failed(format!(
                                ":{line}: a field opens with a quote that is never closed: close the field"
                            )));
                        }
                        break buffer.len();
                    }
                    if buffer.len() as u64 > piece_bytes.saturating_add(max_record_bytes) {
                        return Err(too_long(*offset + piece_bytes));
                    }
                    *ended = read_more(stream, buffer, BLOCK_BYTES, about)? == 0;
                };
                if end == 0 {
                    return Ok(None);
                }
                let rest = buffer.split_off(end);
                let body = std::mem::replace(buffer, rest);
                scanner.restart();
                let piece = Piece { offset: *offset, length: end as u64, first_line: Some(*line), ..Piece::default() };
                *offset += end as u64;
                *line += newlines(&body);
                let readable = about.compression == Compression::None;
                Ok(Some(Piece { body: (!readable).then_some(body), ..piece }))
            }
        }
    }
}

/// Offset behind the first newline at or behind `from`, or the file's end; `None` if that is farther than `limit`.
fn end_of_line(file: &mut File, from: u64, about: &TextFile, limit: u64) -> Result<Option<u64>> {
    if from >= about.bytes {
        return Ok(Some(about.bytes));
    }
    file.seek(SeekFrom::Start(from)).at(&about.path)?;
    let mut block = [0; PROBE_BYTES];
    let mut at = from;
    while at - from <= limit {
        let got = file.read(&mut block).at(&about.path)?;
        if let Some(i) = memchr(b'\n', &block[..got]) {
            return Ok(Some((at + i as u64 + 1).min(about.bytes)));
        }
        at += got as u64;
        if got == 0 || at >= about.bytes {
            return Ok(Some(about.bytes));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::Path;

    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;
    use crate::corpus::text::TextSpec;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstandard(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    fn plan(path: &Path, bytes: &[u8], piece_bytes: u64) -> Result<TextPlan> {
        std::fs::write(path, bytes).unwrap();
        TextSpec { piece_bytes, ..TextSpec::new(vec![path.to_path_buf()]) }.check()
    }

    fn pieces(plan: &TextPlan) -> Result<Vec<(Piece, Vec<u8>)>> {
        let mut cutter = Cutter::new(plan);
        let mut all = Vec::new();
        while let Some(piece) = cutter.next()? {
            let bytes = read_piece(plan, &piece)?.into_owned();
            all.push((piece, bytes));
        }
        Ok(all)
    }

    fn bytes_of(pieces: &[(Piece, Vec<u8>)]) -> Vec<&[u8]> {
        pieces.iter().map(|(_, bytes)| bytes.as_slice()).collect()
    }

    #[test]
    fn a_piece_header_survives_its_encoding() {
        let piece = Piece { number: 7, file: 3, offset: 1 << 40, length: 99, files: 5, ..Piece::default() };
        assert_eq!(Piece::decode(&piece.encode()), piece);
        let piece = Piece { first_line: Some(12), ..piece };
        assert_eq!(Piece::decode(&piece.encode()), piece);
    }

    #[test]
    fn boundaries_are_those_of_the_content_whatever_the_compression() {
        let dir = tempfile::tempdir().unwrap();
        let text = (0..4000).map(|i| format!("{}\n", "x".repeat(i * 7919 % 257))).collect::<String>();
        let (head, tail) = text.as_bytes().split_at(100_001);
        let plain = pieces(&plan(&dir.path().join("a"), text.as_bytes(), 10_000).unwrap()).unwrap();
        assert!(plain.len() > 40);
        for (piece, bytes) in &plain {
            assert_eq!(bytes.last(), Some(&b'\n'));
            let last = piece.number + 1 == plain.len() as u64;
            assert!(last || (bytes.len() >= 10_000 && bytes.len() < 10_257), "{}", bytes.len());
        }
        assert_eq!(bytes_of(&plain).concat(), text.as_bytes());
        for compress in [gzip, bzip2, zstandard] {
            // Two members, as `cat a.gz b.gz` makes them.
            let members = [compress(head), compress(tail)].concat();
            let cut = pieces(&plan(&dir.path().join("b"), &members, 10_000).unwrap()).unwrap();
            assert_eq!(bytes_of(&cut), bytes_of(&plain));
            let mut line = 1;
            for (piece, bytes) in &cut {
                assert_eq!(piece.first_line, Some(line));
                line += newlines(bytes);
            }
        }
    }

    #[test]
    fn damaged_and_cut_off_streams_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let text = (0..20_000).map(|i| format!("line {}\n", i * 7919 % 10_007)).collect::<String>();
        for (name, compress) in [("x.gz", gzip as fn(&[u8]) -> Vec<u8>), ("x.bz2", bzip2), ("x.zst", zstandard)] {
            let whole = compress(text.as_bytes());
            let mut flipped = whole.clone();
            flipped[whole.len() / 2] ^= 0x55;
            let mut trailing = whole.clone();
            trailing.extend_from_slice(b"no compressed stream begins like this");
            for damaged in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &flipped, &trailing] {
                let error = plan(&dir.path().join(name), damaged, 4096).and_then(|plan| pieces(&plan)).unwrap_err();
                let message = error.to_string();
                assert!(message.contains(name) && message.contains("damaged or cut off"), "{message}");
            }
        }
    }

    #[test]
    fn quotes_hide_newlines_and_unclosed_ones_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        let data = "text,n\r\n\"one\ntwo \"\"three\"\"\",1\r\n5\" disk,2\nplain,3\n";
        let plan_of = |data: &str| plan(&path, data.as_bytes(), 1).unwrap();
        let cut = pieces(&plan_of(data)).unwrap();
        let expected: [&[u8]; 3] = [b"\"one\ntwo \"\"three\"\"\",1\r\n", b"5\" disk,2\n", b"plain,3\n"];
        assert_eq!(bytes_of(&cut), expected);
        assert_eq!(cut.iter().map(|(piece, _)| piece.first_line).collect::<Vec<_>>(), [Some(2), Some(4), Some(5)]);
        assert!(cut.iter().all(|(piece, _)| piece.body.is_none()));
        let message = pieces(&plan_of("text\na\n\"b\nc\n")).unwrap_err().to_string();
        assert!(message.contains("a.csv:3: a field opens with a quote"), "{message}");
    }

    #[test]
    fn records_without_end_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let endless = vec![b'x'; 2_000_000];
        for bytes in [endless.clone(), gzip(&endless)] {
            let plan = plan(&dir.path().join("a"), &bytes, 100).unwrap();
            let mut cutter = Cutter { max_record_bytes: 1_000_000, ..Cutter::new(&plan) };
            let message = cutter.next().unwrap_err().to_string();
            assert!(message.contains("no record ends within 1000000 bytes"), "{message}");
        }
    }

    #[test]
    fn files_begin_pieces_and_a_byte_order_mark_is_no_text() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, b"\xef\xbb\xbfone\ntwo").unwrap();
        std::fs::write(&b, b"three\n").unwrap();
        let cut = pieces(&TextSpec::new(vec![a, b]).check().unwrap()).unwrap();
        assert_eq!(bytes_of(&cut), [&b"one\ntwo"[..], b"three\n"]);
        assert_eq!(cut.iter().map(|(piece, _)| (piece.number, piece.file)).collect::<Vec<_>>(), [(0, 0), (1, 1)]);
    }

    proptest! {
        /// Cut anywhere, a CSV parses to the records it has as a whole, also where it breaks the rules of quoting.
        #[test]
        fn pieces_of_a_csv_hold_its_records(
            fields in proptest::collection::vec("[ab\",\n\r]{0,6}", 1..60),
            piece_bytes in 1_u64..40,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let data = fields.concat() + "\n";
            let parse = |bytes: &[u8]| {
                let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
                let fields = |record: csv::ByteRecord| record.iter().map(<[u8]>::to_vec).collect::<Vec<_>>();
                reader.byte_records().map(|record| fields(record.unwrap())).collect::<Vec<_>>()
            };
            let path = dir.path().join("a.csv");
            let plan = plan(&path, format!("text,n\n{data}").as_bytes(), piece_bytes).unwrap();
            // A quote left open to the end is refused; close it, and the file must come through whole.
            let (plan, data) = match pieces(&plan) {
                Ok(_) => (plan, data),
                Err(_) => {
                    let closed = data + "\"\n";
                    (self::plan(&path, format!("text,n\n{closed}").as_bytes(), piece_bytes).unwrap(), closed)
                }
            };
            let cut = pieces(&plan).unwrap();
            prop_assert_eq!(bytes_of(&cut).concat(), data.as_bytes());
            let by_piece = cut.iter().flat_map(|(_, bytes)| parse(bytes)).collect::<Vec<_>>();
            prop_assert_eq!(by_piece, parse(data.as_bytes()));
        }
    }
}

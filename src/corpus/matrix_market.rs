//! MatrixMarket coordinate files (rows = documents, columns = terms) as gensim and scipy write them: header, lines, blocks.
//!
//! Format: R. Boisvert, R. Pozo and K. Remington, "The Matrix Market Exchange Formats: Initial Design", NISTIR 5935, 1996.
//! Fields real, integer and pattern; symmetry general. A file is read in blocks of whole lines that can be parsed
//! independently; [`crate::corpus::assemble`] makes documents of the entries.

use crate::error::{At, Error, Result};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

/// Bytes of a block of lines, about.
const BLOCK_BYTES: usize = 4 << 20;

/// No line of a MatrixMarket file is longer; what is, is no text.
const LONGEST_LINE: usize = 1 << 16;

/// Values of a file, as its banner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Numbers.
    Real,
    /// Whole numbers.
    Integer,
    /// No values: each entry is a 1.
    Pattern,
}

/// The banner and the size line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Kind of the values.
    pub field: Field,
    /// Rows.
    pub documents: u32,
    /// Columns.
    pub terms: u32,
    /// Lines with entries, zeros included.
    pub entries: u64,
}

/// A line of the file, indices from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// Row.
    pub document: u32,
    /// Column, below [`Header::terms`].
    pub term: u32,
    /// Value: finite, not negative; may be 0.
    pub value: f32,
    /// Number of the line, from 1; for messages (the last number there is stands for all beyond).
    pub line: u32,
}

/// Opens a file and looks through its compression (gzip, bzip2 or zstd, told by the first bytes).
pub fn open(path: &Path) -> Result<Box<dyn BufRead + Send>> {
    if std::fs::metadata(path).at(path)?.is_dir() {
        return Err(Error::failed(format!("{}: is a directory, not a file", path.display())));
    }
    let mut file = std::fs::File::open(path).at(path)?;
    let mut magic = Vec::new();
    (&mut file).take(4).read_to_end(&mut magic).at(path)?;
    let whole = Cursor::new(magic.clone()).chain(file);
    Ok(match magic[..] {
        [0x1f, 0x8b, ..] => Box::new(BufReader::with_capacity(1 << 18, flate2::read::MultiGzDecoder::new(whole))),
        [b'B', b'Z', b'h', ..] => Box::new(BufReader::with_capacity(1 << 18, bzip2::read::MultiBzDecoder::new(whole))),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(BufReader::with_capacity(1 << 18, zstd::Decoder::new(whole).at(path)?)),
        _ => Box::new(BufReader::with_capacity(1 << 18, whole)),
    })
}

/// Blocks of whole lines of a text, with the number of their first line.
pub struct Blocks<R> {
    reader: R,
    path: PathBuf,
    next_line: u64,
    /// The beginning of a line whose end is in the next block.
    rest: Vec<u8>,
    ended: bool,
}

/// Consecutive lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Number of the first line, from 1.
    pub first_line: u64,
    /// The lines, each with its newline; the last of the file may lack it.
    pub bytes: Vec<u8>,
}

impl<R: BufRead> Blocks<R> {
    /// Reads the header and stands at the first entry. `path` is for messages.
    pub fn open(mut reader: R, path: &Path) -> Result<(Header, Self)> {
        let mut line = Vec::new();
        let mut number = 0;
        let mut field = None;
        loop {
            line.clear();
            let read = (&mut reader).take(LONGEST_LINE as u64).read_until(b'\n', &mut line).at(path)?;
            number += 1;
            let refuse = |what: &str| Err(Error::failed(format!("{}:{number}: {what}", path.display())));
            if read == 0 {
                return refuse("the file ends before its size line; is it a complete MatrixMarket file?");
            }
            let Ok(text) = std::str::from_utf8(&line) else {
                return refuse("not a MatrixMarket file: the header is no text");
            };
            let words: Vec<&str> = text.split_whitespace().collect();
            match field {
                None => match banner(&words) {
                    Ok(known) => field = Some(known),
                    Err(what) => return refuse(&what),
                },
                Some(_) if words.is_empty() || words[0].starts_with('%') => {}
                Some(field) => {
                    let header = match sizes(field, &words) {
                        Ok(header) => header,
                        Err(what) => return refuse(&what),
                    };
                    let path = path.to_path_buf();
                    return Ok((
                        header,
                        Blocks { reader, path, next_line: number + 1, rest: Vec::new(), ended: false },
                    ));
                }
            }
        }
    }

    /// The next block; `None` at the end.
    pub fn next_block(&mut self) -> Result<Option<Block>> {
        let mut bytes = std::mem::take(&mut self.rest);
        while !self.ended {
            let wanted = BLOCK_BYTES.saturating_sub(bytes.len()).max(1);
            let read = (&mut self.reader).take(wanted as u64).read_to_end(&mut bytes).at(&self.path)?;
            self.ended = read < wanted;
            if let Some(last) = memchr::memrchr(b'\n', &bytes) {
                if !self.ended {
                    self.rest = bytes.split_off(last + 1);
                }
                break;
            }
            if bytes.len() > LONGEST_LINE {
                let (path, line) = (self.path.display(), self.next_line);
                return Err(Error::failed(format!("{path}:{line}: not a MatrixMarket file: this line does not end")));
            }
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        let block = Block { first_line: self.next_line, bytes };
        self.next_line += memchr::memchr_iter(b'\n', &block.bytes).count() as u64;
        Ok(Some(block))
    }
}

/// The kind of values, from the first line.
fn banner(words: &[&str]) -> std::result::Result<Field, String> {
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    match words[..] {
        ["%%matrixmarket", "matrix", "coordinate", field, "general"] => match field {
            "real" => Ok(Field::Real),
            "integer" => Ok(Field::Integer),
            "pattern" => Ok(Field::Pattern),
            other => Err(format!("{other} matrices are not supported; write it as real, integer or pattern")),
        },
        ["%%matrixmarket", "matrix", "coordinate", _, symmetry] => {
            Err(format!("{symmetry} matrices are not supported; write all entries of a general one"))
        }
        ["%%matrixmarket", "matrix", "array", ..] => {
            Err("dense (array) matrices are not supported; write it in coordinate format".into())
        }
        _ => Err("not a MatrixMarket file: it does not begin with %%MatrixMarket matrix coordinate".into()),
    }
}

/// The header, from the words of the size line.
fn sizes(field: Field, words: &[&str]) -> std::result::Result<Header, String> {
    let numbers: Vec<u64> = words.iter().map_while(|word| word.parse().ok()).collect();
    let [documents, terms, entries] = numbers[..] else {
        return Err("expected the numbers of documents, terms and entries".into());
    };
    if words.len() != 3 || documents == 0 || terms == 0 {
        return Err("expected the numbers of documents, terms and entries, none of the first two 0".into());
    }
    let limit = i32::MAX as u64;
    let (Ok(rows), Ok(columns)) = (u32::try_from(documents), u32::try_from(terms)) else {
        return Err(format!("{documents} documents x {terms} terms: more than 2^32 - 1 rows or columns"));
    };
    if terms > limit {
        return Err(format!("{terms} terms are more than {limit}; are rows and columns exchanged?"));
    }
    if u128::from(entries) > u128::from(documents) * u128::from(terms) {
        return Err(format!("{entries} entries do not fit into {documents} x {terms}"));
    }
    Ok(Header { field, documents: rows, terms: columns, entries })
}

/// Parses whole lines. Comments and blank lines are skipped; entries with value 0 are kept, so that entries can be counted.
///
/// Errors name `path` and the line: a line that is no entry, an index outside of the header's sizes, a value that is
/// negative, not finite or not a number.
pub fn parse_lines(block: &Block, header: &Header, path: &Path) -> Result<Vec<Entry>> {
    let bytes = &block.bytes[..];
    // The shortest entry, "1 1 1\n", has six bytes, a common one a dozen.
    let mut entries = Vec::with_capacity(bytes.len() / 10 + 1);
    let mut at = 0;
    let mut line = block.first_line;
    while at < bytes.len() {
        let mut cursor = Words { bytes, at };
        if !cursor.line_is_over() && bytes[cursor.at] != b'%' {
            match cursor.entry(header, line) {
                Ok(entry) => entries.push(entry),
                Err(what) => return Err(Error::failed(format!("{}:{line}: {what}", path.display()))),
            }
        } else if cursor.at < bytes.len() && bytes[cursor.at] == b'%' {
            cursor.at = memchr::memchr(b'\n', &bytes[cursor.at..]).map_or(bytes.len(), |found| cursor.at + found);
        }
        // The cursor stands on the newline or at the end.
        at = cursor.at + 1;
        line += 1;
    }
    Ok(entries)
}

/// A place in a text.
struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Words<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(b'\n')
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r') {
            self.at += 1;
        }
    }

    /// Skips blanks; whether nothing else is left of the line.
    fn line_is_over(&mut self) -> bool {
        self.skip_blanks();
        self.peek() == b'\n'
    }

    /// The word at this place, for messages and for the standard library's parser.
    fn word(&self) -> &[u8] {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).unwrap_or(rest.len());
        &rest[..end]
    }

    fn shown(&self) -> String {
        let word = self.word();
        String::from_utf8_lossy(&word[..word.len().min(40)]).into_owned()
    }

    fn entry(&mut self, header: &Header, line: u64) -> std::result::Result<Entry, String> {
        let document = self.index("document", header.documents)?;
        let term = self.index("term", header.terms)?;
        let value = if header.field == Field::Pattern { 1.0 } else { self.value(header.field)? };
        if !self.line_is_over() {
            return Err(format!("unexpected {:?} after the entry", self.shown()));
        }
        Ok(Entry { document, term, value, line: u32::try_from(line).unwrap_or(u32::MAX) })
    }

    /// An index from 1 to `limit`, returned from 0.
    fn index(&mut self, what: &str, limit: u32) -> std::result::Result<u32, String> {
        self.skip_blanks();
        let begin = self.at;
        let mut number = 0u64;
        // Ten digits hold every index there may be.
        while self.peek().is_ascii_digit() && self.at - begin < 11 {
            number = number * 10 + u64::from(self.peek() - b'0');
            self.at += 1;
        }
        let ended = matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n');
        if self.at > begin && ended && number >= 1 && number <= u64::from(limit) {
            return Ok(number as u32 - 1);
        }
        self.at = begin;
        Err(if self.word().is_empty() {
            format!("the {what} is missing")
        } else {
            format!("{what} {:?} is no number from 1 to {limit}", self.shown())
        })
    }

    /// A value that is finite and not negative.
    ///
    /// Digits with a point, at most 15 of them, are exact as a whole number and so is the power of ten, so their quotient
    /// is correctly rounded (Clinger, "How to read floating point numbers accurately", 1990); all else goes to the
    /// standard library.
    fn value(&mut self, field: Field) -> std::result::Result<f32, String> {
        self.skip_blanks();
        let begin = self.at;
        let (mut mantissa, mut digits, mut after_point, mut point) = (0u64, 0, 0, false);
        loop {
            match self.peek() {
                digit @ b'0'..=b'9' if digits < 15 => {
                    mantissa = mantissa * 10 + u64::from(digit - b'0');
                    digits += 1;
                    after_point += usize::from(point);
                }
                b'.' if !point => point = true,
                _ => break,
            }
            self.at += 1;
        }
        let simple = digits > 0 && matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n');
        let number = if simple {
            Some(mantissa as f64 / TENS[after_point])
        } else {
            self.at = begin;
            let word = self.word();
            let length = word.len();
            let number = std::str::from_utf8(word).ok().and_then(|text| text.parse::<f64>().ok());
            self.at += if number.is_some() { length } else { 0 };
            number
        };
        let refuse = |words: &mut Self, what: &str| {
            words.at = begin;
            Err(format!("value {:?} {what}", words.shown()))
        };
        match number {
            None if self.word().is_empty() => Err("the value is missing".into()),
            None => refuse(self, "is not a number"),
            Some(number) if !(number as f32).is_finite() => refuse(self, "is not a finite number"),
            Some(number) if number < 0.0 => refuse(self, "is negative; counts and weights are not"),
            Some(number) if field == Field::Integer && number.fract() != 0.0 => {
                refuse(self, "is no whole number in a file of integers")
            }
            Some(number) => Ok(number as f32),
        }
    }
}

/// Powers of ten up to the digits of [`Words::value`].
const TENS: [f64; 16] = [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Header, Vec<Entry>)> {
        let path = Path::new("m.mm");
        let (header, mut blocks) = Blocks::open(text.as_bytes(), path)?;
        let mut entries = Vec::new();
        while let Some(block) = blocks.next_block()? {
            entries.extend(parse_lines(&block, &header, path)?);
        }
        Ok((header, entries))
    }

    fn refusal(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn gensims_and_scipys_writing_is_read() {
        // gensim pads the size line with blanks, which it fills in at the end.
        let gensim = "%%MatrixMarket matrix coordinate real general\n3 4 3                                   \n1 1 2\n1 4 0.25\n3 2 1e-3\n";
        let (header, entries) = read(gensim).unwrap();
        assert_eq!(header, Header { field: Field::Real, documents: 3, terms: 4, entries: 3 });
        let plain: Vec<_> = entries.iter().map(|e| (e.document, e.term, e.value, e.line)).collect();
        assert_eq!(plain, [(0, 0, 2.0, 3), (0, 3, 0.25, 4), (2, 1, 1e-3, 5)]);
        let scipy = "%%MatrixMarket matrix coordinate integer general\n%\n\n2 2 2\r\n% note\n\n 1\t1  7 \r\n2 2 0";
        let (header, entries) = read(scipy).unwrap();
        assert_eq!(header.field, Field::Integer);
        assert_eq!(entries.iter().map(|e| (e.value, e.line)).collect::<Vec<_>>(), [(7.0, 7), (0.0, 8)]);
        let (_, entries) = read("%%MatrixMarket matrix coordinate pattern general\n2 2 1\n2 1\n").unwrap();
        assert_eq!((entries[0].document, entries[0].value), (1, 1.0));
    }

    #[test]
    fn values_are_rounded_like_the_standard_library_does() {
        let texts = [
            "0.1",
            "123456.789",
            "0.000001",
            "1.",
            ".5",
            "999999999999999",
            "0.123456789012345",
            "0.1234567890123456",
            "12345678901234567890",
            "1e10",
            "2.5E-3",
            "+7",
            "0",
            "00012",
            "1e-60",
            "3.4028234e38",
            "-0",
        ];
        for text in texts {
            let file = format!("%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 {text}\n");
            let expected = text.parse::<f64>().unwrap() as f32;
            assert_eq!(read(&file).unwrap().1[0].value.to_bits(), expected.to_bits(), "{text}");
        }
    }

    #[test]
    fn bad_lines_are_refused_with_their_number() {
        let file = |line: &str| format!("%%MatrixMarket matrix coordinate real general\n3 4 2\n1 1 1\n{line}\n");
        for (line, what) in [
            ("0 1 1", "document \"0\" is no number from 1 to 3"),
            ("4 1 1", "document \"4\""),
            ("1 5 1", "term \"5\" is no number from 1 to 4"),
            ("99999999999999999999 1 1", "document \"9999"),
            ("1 1.5 1", "term \"1.5\""),
            ("1", "the term is missing"),
            ("1 1", "the value is missing"),
            ("1 1 x", "value \"x\" is not a number"),
            ("1 1 1..2", "value \"1..2\" is not a number"),
            ("1 1 .", "value \".\" is not a number"),
            ("1 1 nan", "value \"nan\" is not a finite number"),
            ("1 1 inf", "not a finite number"),
            ("1 1 1e39", "not a finite number"),
            ("1 1 -2", "value \"-2\" is negative"),
            ("1 1 1 1", "unexpected \"1\" after"),
            ("\u{1}\u{2}", "document \"\\u{1}\\u{2}\""),
        ] {
            let error = refusal(&file(line));
            assert!(error.starts_with("m.mm:4: ") && error.contains(what), "{line}: {error}");
        }
        let integer = "%%MatrixMarket matrix coordinate integer general\n1 1 1\n1 1 0.5\n";
        assert!(refusal(integer).contains("m.mm:3: value \"0.5\" is no whole number"));
    }

    #[test]
    fn bad_headers_are_refused() {
        for (text, what) in [
            ("", "m.mm:1: the file ends"),
            ("hello\n", "m.mm:1: not a MatrixMarket file"),
            ("%%MatrixMarket matrix array real general\n", "dense"),
            ("%%MatrixMarket matrix coordinate complex general\n", "complex"),
            ("%%MatrixMarket matrix coordinate real symmetric\n", "symmetric"),
            ("%%MatrixMarket matrix coordinate real general\n% only\n", "m.mm:3: the file ends"),
            ("%%MatrixMarket matrix coordinate real general\n1 2\n", "m.mm:2: expected"),
            ("%%MatrixMarket matrix coordinate real general\n1 2 3 4\n", "expected"),
            ("%%MatrixMarket matrix coordinate real general\n0 2 0\n", "none of the first two 0"),
            ("%%MatrixMarket matrix coordinate real general\n2 2 5\n", "do not fit"),
            ("%%MatrixMarket matrix coordinate real general\n5000000000 2 5\n", "more than 2^32"),
            ("%%MatrixMarket matrix coordinate real general\n2 4000000000 5\n", "exchanged"),
        ] {
            assert!(refusal(text).contains(what), "{text:?}: {}", refusal(text));
        }
        let endless = format!("%%MatrixMarket matrix coordinate real general\n1 1 1\n{}", "x".repeat(9 << 20));
        assert!(refusal(&endless).contains("does not end"));
    }

    #[test]
    fn blocks_are_whole_lines_with_their_numbers() {
        let mut text = String::from("%%MatrixMarket matrix coordinate real general\n1000000 9 1000000\n");
        (1..=1_000_000).for_each(|n| text.push_str(&format!("{n} {} {}\n", n % 9 + 1, n % 5)));
        let (_, mut blocks) = Blocks::open(text.as_bytes(), Path::new("m.mm")).unwrap();
        let mut joined = Vec::new();
        let mut count = 0;
        while let Some(block) = blocks.next_block().unwrap() {
            let line = format!("{} ", block.first_line - 2);
            assert!(block.bytes.starts_with(line.as_bytes()) && block.bytes.ends_with(b"\n"));
            joined.extend(block.bytes);
            count += 1;
        }
        assert!(count > 1 && text.as_bytes().ends_with(&joined) && joined.starts_with(b"1 2 1\n"));
        let (_, entries) = read(&text).unwrap();
        assert_eq!((entries.len(), entries[999_999].line), (1_000_000, 1_000_002));
    }

    #[test]
    fn compressed_files_are_seen_through() {
        use std::io::Write;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m");
        let text = b"some text\nand more\n";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bzip2.write_all(text).unwrap();
        let zstd = zstd::encode_all(&text[..], 1).unwrap();
        let gzip = gzip.finish().unwrap();
        for bytes in [text.to_vec(), gzip.clone(), bzip2.finish().unwrap(), zstd, b"ab".to_vec(), Vec::new()] {
            std::fs::write(&path, &bytes).unwrap();
            let mut read = Vec::new();
            open(&path).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == text || read == bytes);
        }
        std::fs::write(&path, &gzip[..gzip.len() - 6]).unwrap();
        assert!(open(&path).unwrap().read_to_end(&mut Vec::new()).is_err());
        assert!(open(folder.path()).is_err() && open(Path::new("/nonexistent")).is_err());
    }
}

//! MatrixMarket coordinate files (rows = documents, columns = terms) as gensim and scipy write them: header and entries.
//!
//! Format: R. Boisvert, R. Pozo and K. Remington, "The Matrix Market Exchange Formats: Initial Design", NISTIR 5935, 1996.
//! Fields real, integer and pattern; symmetry general. Behind the header a file is cut into pieces of whole lines
//! ([`crate::corpus::cutter`]) that are parsed independently; [`crate::corpus::assemble`] makes documents of the entries.

use crate::corpus::text::{InputFormat, TextPlan, TextSpec};
use crate::error::{At, Error, Result};
use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// No line of a header is longer; what is, is no text.
const LONGEST_LINE: u64 = 1 << 16;

/// Values of a file, as its banner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Field {
    /// Numbers.
    Real,
    /// Whole numbers.
    Integer,
    /// No values: each entry is a 1.
    Pattern,
}

/// The banner and the size line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Entry {
    /// Row.
    pub document: u32,
    /// Column, below [`Header::terms`].
    pub term: u32,
    /// Value: finite, not negative; may be 0.
    pub value: f32,
    /// Number of the line, for messages: from 0 in its piece, from 1 in its file (where the last number there is stands
    /// for all beyond).
    pub line: u32,
}

/// A file, looked at: its header, and its entries as lines of text to be cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matrix {
    /// Banner and size line.
    pub header: Header,
    /// The lines behind the header.
    pub lines: TextPlan,
}

impl Matrix {
    /// Reads the header of a file: plain, or compressed with gzip, bzip2 or zstd.
    ///
    /// Errors: those of [`TextSpec::check`]; a header that is not of a MatrixMarket file, names a kind of matrix that is
    /// not supported, or sizes that cannot be.
    pub fn open(path: &Path) -> Result<Matrix> {
        let spec = TextSpec { format: Some(InputFormat::Lines), ..TextSpec::new(vec![path.to_path_buf()]) };
        let mut lines = spec.check()?;
        let file = &mut lines.files[0];
        let mut reader = BufReader::new(file.compression.open(path)?);
        // Behind a byte order mark, if there is one.
        std::io::copy(&mut (&mut reader).take(file.data_offset), &mut std::io::sink()).at(path)?;
        let mut line = Vec::new();
        let mut field = None;
        loop {
            line.clear();
            let number = file.data_line;
            let refuse = |what: &str| Err(Error::failed(format!("{}:{number}: {what}", path.display())));
            let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).at(path)?;
            if read == 0 {
                return refuse("the file ends before its size line; is it a complete MatrixMarket file?");
            }
            file.data_offset += read as u64;
            file.data_line += 1;
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
                    return match sizes(field, &words) {
                        Ok(header) => Ok(Matrix { header, lines }),
                        Err(what) => refuse(&what),
                    };
                }
            }
        }
    }

    /// The file, as it was named.
    pub fn path(&self) -> &Path {
        &self.lines.files[0].path
    }

    /// Line of the first entry, from 1.
    pub fn first_line(&self) -> u64 {
        self.lines.files[0].data_line
    }
}

/// What the lines of a piece hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Parsed {
    /// Number of lines, comments and blank ones included.
    pub lines: u64,
    /// Entries up to the first bad line; lines count from 0 in the piece.
    pub entries: Vec<Entry>,
    /// The first bad line, from 0 in the piece, and what is wrong with it.
    pub failure: Option<(u64, String)>,
}

impl Parsed {
    /// As bytes, to travel.
    pub fn encode(&self) -> Vec<u8> {
        let (line, what) = self.failure.as_ref().map_or((0, ""), |(line, what)| (*line, what));
        let mut bytes = Vec::with_capacity(24 + what.len() + self.entries.len() * size_of::<Entry>());
        for number in [self.lines, line, what.len() as u64] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(what.as_bytes());
        bytes.extend_from_slice(bytemuck::cast_slice(&self.entries));
        bytes
    }

    /// Undoes [`encode`](Self::encode); refuses damaged bytes.
    pub fn decode(bytes: &[u8]) -> Result<Parsed> {
        let decode = || {
            let (head, rest) = bytes.split_first_chunk::<24>()?;
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
            let (what, entries) = rest.split_at_checked(usize::try_from(word(16)).ok()?)?;
            let what = std::str::from_utf8(what).ok()?.to_owned();
            let whole = entries.len().is_multiple_of(size_of::<Entry>());
            whole.then(|| Parsed {
                lines: word(0),
                entries: bytemuck::pod_collect_to_vec(entries),
                failure: (!what.is_empty()).then(|| (word(8), what)),
            })
        };
        decode().ok_or_else(|| Error::failed("damaged message: entries of a matrix"))
    }
}

/// The kind of values, from the first line.
fn banner(words: &[&str]) -> std::result::Result<Field, String> {
    let lower: Vec<String> = words.iter().map(|word| word.to_ascii_lowercase()).collect();
    let words: Vec<&str> = lower.iter().map(String::as_str).collect();
    match words[..] {
        ["%%matrixmarket", "matrix", "coordinate", field, "general"] => match field {
            "real" => Ok(Field::Real),
            // The second is scipy's, for matrices of unsigned integers.
            "integer" | "unsigned-integer" => Ok(Field::Integer),
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

/// Parses whole lines, up to the first bad one: a line that is no entry, an index outside of the header's sizes, a value
/// that is negative, not finite or not a number. Comments and blank lines are skipped; entries with value 0 are kept, so
/// that entries can be counted.
pub fn parse_lines(bytes: &[u8], header: &Header) -> Parsed {
    // The shortest entry, "1 1 1\n", has six bytes, a common one a dozen.
    let mut entries = Vec::with_capacity(bytes.len() / 10 + 1);
    let mut at = 0;
    let mut line = 0;
    while at < bytes.len() {
        let mut cursor = Words { bytes, at };
        if !cursor.line_is_over() && cursor.peek() != b'%' {
            match cursor.entry(header, line) {
                Ok(entry) => entries.push(entry),
                Err(what) => return Parsed { lines: line, entries, failure: Some((line, what)) },
            }
        } else if cursor.peek() == b'%' {
            cursor.at = memchr::memchr(b'\n', &bytes[cursor.at..]).map_or(bytes.len(), |found| cursor.at + found);
        }
        // The cursor stands on the newline or at the end.
        at = cursor.at + 1;
        line += 1;
    }
    Parsed { lines: line, entries, failure: None }
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
    use crate::corpus::cutter::{Cutter, read_piece};

    /// Header and entries, these with their lines in the file.
    fn read(text: impl AsRef<[u8]>) -> Result<(Header, Vec<Entry>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.mm");
        std::fs::write(&path, text).unwrap();
        let matrix = Matrix::open(&path)?;
        let mut cutter = Cutter::new(&matrix.lines);
        let (mut entries, mut first_line) = (Vec::new(), matrix.first_line());
        while let Some(piece) = cutter.next()? {
            let parsed = parse_lines(&read_piece(&matrix.lines, &piece)?, &matrix.header);
            let parsed = Parsed::decode(&parsed.encode()).unwrap();
            if let Some((line, what)) = parsed.failure {
                return Err(Error::failed(format!("{}:{}: {what}", path.display(), first_line + line)));
            }
            entries.extend(parsed.entries.iter().map(|e| Entry { line: e.line + first_line as u32, ..*e }));
            first_line += parsed.lines;
        }
        Ok((matrix.header, entries))
    }

    fn refusal(text: &str) -> String {
        let error = read(text).unwrap_err().to_string();
        error.rsplit_once('/').map_or(error.clone(), |(_, from_name_on)| from_name_on.to_owned())
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
        let (unsigned, _) = read("%%MatrixMarket matrix coordinate unsigned-integer general\n1 1 1\n1 1 7\n").unwrap();
        assert_eq!(unsigned.field, Field::Integer);
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
            ("", "m.mm: is empty"),
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
        assert!(refusal(&endless).starts_with("m.mm:3: document \"xxx"));
    }

    #[test]
    fn lines_keep_their_numbers_across_pieces_and_compression() {
        let mut text = String::from("%%MatrixMarket matrix coordinate real general\n% note\n1000000 9 1000000\n");
        (1..=1_000_000).for_each(|n| text.push_str(&format!("{n} {} {}\n", n % 9 + 1, n % 5)));
        // More than the 4 MiB of a piece.
        assert!(text.len() > 10 << 20);
        let (header, entries) = read(&text).unwrap();
        assert_eq!((entries.len(), entries[999_999].line), (1_000_000, 1_000_003));
        let zstd = zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert!(read(&zstd).unwrap() == (header, entries));
        assert!(read(&zstd[..zstd.len() / 2]).is_err());
        text.push_str("1 2 x\n");
        assert_eq!(refusal(&text), "m.mm:1000004: value \"x\" is not a number");
    }

    #[test]
    fn damaged_messages_are_refused() {
        let parsed =
            parse_lines(b"1 1 1\n\n2 1 1\nx", &Header { field: Field::Real, documents: 2, terms: 1, entries: 2 });
        assert_eq!((parsed.lines, parsed.entries.len(), parsed.entries[1].line), (3, 2, 2));
        let bytes = parsed.encode();
        assert_eq!(Parsed::decode(&bytes).unwrap(), parsed);
        assert!(Parsed::decode(&bytes[..bytes.len() - 1]).is_err() && Parsed::decode(&bytes[..20]).is_err());
        let mut huge = bytes.clone();
        huge[16..24].fill(0xff);
        assert!(Parsed::decode(&huge).is_err());
    }
}

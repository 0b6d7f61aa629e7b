//! MatrixMarket coordinate files as gensim and scipy write them: header and entries.
//!
//! Format: R. Boisvert, R. Pozo and K. Remington, "The Matrix Market Exchange Formats: Initial Design", NISTIR 5935, 1996.
//! Fields real, integer and pattern; symmetry general. Behind the header a file is cut into pieces of whole lines
//! ([`crate::corpus::cutter`]) that are parsed independently; [`crate::corpus::assemble`] makes documents of the entries.

use crate::corpus::container::{MAX_COUNT, Values};
use crate::corpus::text::{InputFormat, TextPlan, TextSpec};
use crate::error::{At, Error, Result};
use bytemuck::{Pod, Zeroable};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// No line of a header is longer; what is, is no text.
const LONGEST_LINE: u64 = 1 << 16;

/// Begins a comment that says which scheme the weights of a file are of; its next and last word is the scheme's code.
pub const VALUES_COMMENT: &str = "% corpuscle: values";

/// What the rows of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    /// Documents; columns are terms.
    #[default]
    Documents,
    /// Terms; columns are documents.
    Terms,
}

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
    /// What its rows are.
    pub rows: Rows,
    /// Rows, or columns where rows are terms.
    pub documents: u32,
    /// Columns, or rows where rows are terms.
    pub terms: u32,
    /// Lines with entries, zeros included.
    pub entries: u64,
}

/// A line of the file, indices from 0.
#[derive(Debug, Clone, Copy, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Entry {
    /// Document, below [`Header::documents`].
    pub document: u32,
    /// Term, below [`Header::terms`].
    pub term: u32,
    /// Value: finite; may be 0.
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
    /// Code of the weighting, where a comment names it.
    pub weighting: Option<String>,
    /// The lines behind the header.
    pub lines: TextPlan,
}

impl Matrix {
    /// Reads the header of a file whose rows are these: plain, or compressed with gzip, bzip2 or zstd.
    ///
    /// Errors: those of [`TextSpec::check`]; a header that is not of a MatrixMarket file, names a kind of matrix that is
    /// not supported, or sizes that cannot be.
    pub fn open(path: &Path, rows: Rows) -> Result<Matrix> {
        let spec = TextSpec { format: Some(InputFormat::Lines), ..TextSpec::new(vec![path.to_path_buf()]) };
        let mut lines = spec.check()?;
        let file = &mut lines.files[0];
        let mut reader = BufReader::new(file.compression.open(path)?);
        // Behind a byte order mark, if there is one.
        std::io::copy(&mut (&mut reader).take(file.data_offset), &mut std::io::sink()).at(path)?;
        let mut line = Vec::new();
        let (mut field, mut weighting) = (None, None);
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
                Some(_) if words.is_empty() || words[0].starts_with('%') => {
                    weighting = weighting.or_else(|| weighting_of(text));
                }
                Some(field) => {
                    return match sizes(field, rows, &words) {
                        Ok(header) => Ok(Matrix { header, weighting, lines }),
                        Err(what) => refuse(&what),
                    };
                }
            }
        }
    }

    /// Reads the header of a bag of words as the UCI repository has them (`docword.*.txt`): the numbers of documents, terms
    /// and entries on a line each; below it a line `DOCUMENT TERM COUNT` for each entry, counted from 1, which is how
    /// MatrixMarket has them.
    ///
    /// Errors: those of [`TextSpec::check`]; lines that are not these numbers.
    pub fn open_uci(path: &Path) -> Result<Matrix> {
        let spec = TextSpec { format: Some(InputFormat::Lines), ..TextSpec::new(vec![path.to_path_buf()]) };
        let mut lines = spec.check()?;
        let file = &mut lines.files[0];
        let mut reader = BufReader::new(file.compression.open(path)?);
        std::io::copy(&mut (&mut reader).take(file.data_offset), &mut std::io::sink()).at(path)?;
        let mut numbers = Vec::new();
        let refuse = |number: u64, what: &str| Err(Error::failed(format!("{}:{number}: {what}", path.display())));
        for what in ["documents", "terms", "entries"] {
            let mut line = Vec::new();
            let number = file.data_line;
            let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut line).at(path)?;
            file.data_offset += read as u64;
            file.data_line += 1;
            match std::str::from_utf8(&line).map(str::trim) {
                Ok(word) if word.parse::<u64>().is_ok() => numbers.push(word.to_owned()),
                _ => return refuse(number, &format!("expected the number of {what}, as a UCI bag of words begins")),
            }
        }
        let words: Vec<&str> = numbers.iter().map(String::as_str).collect();
        match sizes(Field::Integer, Rows::Documents, &words) {
            Ok(header) => Ok(Matrix { header, weighting: None, lines }),
            Err(what) => refuse(file.data_line - 1, &what),
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

/// The code of a weighting, if this comment names one. A code is a word of letters, digits and hyphens.
fn weighting_of(comment: &str) -> Option<String> {
    let code = comment.trim().strip_prefix(VALUES_COMMENT)?.strip_prefix(' ')?;
    let plain = !code.is_empty() && code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (plain && code != Values::Counts.name()).then(|| code.to_owned())
}

/// The header, from the words of the size line.
fn sizes(field: Field, rows: Rows, words: &[&str]) -> std::result::Result<Header, String> {
    let numbers: Vec<u64> = words.iter().map_while(|word| word.parse().ok()).collect();
    let [height, width, entries] = numbers[..] else {
        return Err("expected the numbers of rows, columns and entries".into());
    };
    if words.len() != 3 || height == 0 || width == 0 {
        return Err("expected the numbers of rows, columns and entries, none of the first two 0".into());
    }
    Header::of(field, rows, [height, width], entries)
}

impl Header {
    /// Of a matrix of so many rows and columns that are not 0, if it can become a corpus.
    pub fn of(
        field: Field,
        rows: Rows,
        [height, width]: [u64; 2],
        entries: u64,
    ) -> std::result::Result<Header, String> {
        let limit = i32::MAX as u64;
        let (documents, terms) = match rows {
            Rows::Documents => (height, width),
            Rows::Terms => (width, height),
        };
        let (Ok(documents), Ok(wide)) = (u32::try_from(documents), u32::try_from(terms)) else {
            return Err(format!("{documents} documents x {terms} terms: more than 2^32 - 1 rows or columns"));
        };
        if terms > limit {
            return Err(format!(
                "{terms} terms are more than {limit}; are rows and columns exchanged? --rows says which is which"
            ));
        }
        if u128::from(entries) > u128::from(height) * u128::from(width) {
            return Err(format!("{entries} entries do not fit into {height} x {width}"));
        }
        Ok(Header { field, rows, documents, terms: wide, entries })
    }
}

/// Parses whole lines, up to the first bad one: a line that is no entry, an index outside of the header's sizes, a value
/// that is not finite or not a number. Comments and blank lines are skipped; entries with value 0 are kept, so
/// that entries can be counted.
pub fn parse_lines(bytes: &[u8], header: &Header) -> Parsed {
    // The shortest entry, "1 1 1\n", has six bytes, a common one a dozen.
    let mut entries = Vec::with_capacity(bytes.len() / 10 + 1);
    let mut at = 0;
    let mut line = 0;
    while at < bytes.len() {
        if let Some((entry, next)) = plain_entry(bytes, at, header, line) {
            entries.push(entry);
            at = next;
            line += 1;
            continue;
        }
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

/// The entry that begins at `at` and where the next line begins, if it is written in the plainest way: whole numbers of at
/// most nine digits, single blanks, nothing behind. That is a common line of a file of counts, and quickly read; any other
/// is left to [`Words::entry`].
fn plain_entry(bytes: &[u8], at: usize, header: &Header, line: u64) -> Option<(Entry, usize)> {
    let mut rest = bytes[at..].iter();
    let mut number = |end: u8| {
        let mut number = 0u32;
        for digits in 0..10 {
            let &byte = rest.next()?;
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return (byte == end && digits > 0).then_some(number);
            }
            // Nine digits stay below 2^32; at the tenth the loop ends without a number.
            number = number.wrapping_mul(10).wrapping_add(u32::from(digit));
        }
        None
    };
    let [first, second, value] = [number(b' ')?, number(b' ')?, number(b'\n')?];
    let next = bytes.len() - rest.len();
    let [document, term] = match header.rows {
        Rows::Documents => [first, second],
        Rows::Terms => [second, first],
    }
    .map(|index| index.wrapping_sub(1));
    let plain = document < header.documents && term < header.terms && header.field != Field::Pattern;
    // Beyond the largest count f32 does not hold every whole number.
    let plain = plain && value <= MAX_COUNT;
    let line = u32::try_from(line).unwrap_or(u32::MAX);
    plain.then_some((Entry { document, term, value: value as f32, line }, next))
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
        let (document, term);
        match header.rows {
            Rows::Documents => {
                document = self.index("document", header.documents)?;
                term = self.index("term", header.terms)?;
            }
            Rows::Terms => {
                term = self.index("term", header.terms)?;
                document = self.index("document", header.documents)?;
            }
        }
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

    /// A value that is finite.
    ///
    /// Digits with a point, at most 15 of them, are exact as a whole number and so is the power of ten, so their quotient
    /// is the f64 nearest to the number (Clinger, "How to read floating point numbers accurately", 1990), and rounding it
    /// once more gives the nearest f32 unless it lies halfway between two of them or below all normal ones. These, and all
    /// else, go to the standard library.
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
        let quotient = mantissa as f64 / TENS[after_point];
        // Halfway: of the 29 bits that f32 has no room for, only the first is set.
        let certain = quotient.to_bits() & ((1 << 29) - 1) != 1 << 28 && quotient >= f64::from(f32::MIN_POSITIVE);
        let number = if simple && (certain || mantissa == 0) {
            Some(quotient as f32)
        } else {
            self.at = begin;
            let word = self.word();
            let length = word.len();
            let text = std::str::from_utf8(word).unwrap_or_default();
            let number = text.parse::<f32>().ok().map(|number| beyond_counts(number, text));
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
            Some(number) if !number.is_finite() => refuse(self, "is not a finite number"),
            Some(number) if field == Field::Integer && number.fract() != 0.0 => {
                refuse(self, "is no whole number in a file of integers")
            }
            Some(number) => Ok(number),
        }
    }
}

/// The nearest f32 of a text, which must not make the largest count of one beyond it: 2^24 + 1 lies halfway between two f32,
/// and is taken for the upper one.
fn beyond_counts(number: f32, text: &str) -> f32 {
    let largest = MAX_COUNT as f32;
    let halfway = number == largest && text.parse() == Ok(f64::from(largest) + 1.0);
    if halfway { number.next_up() } else { number }
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
        let matrix = Matrix::open(&path, Rows::Documents)?;
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
        assert_eq!(header, Header { field: Field::Real, rows: Rows::Documents, documents: 3, terms: 4, entries: 3 });
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
    fn rows_may_be_terms_and_a_comment_names_the_weighting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.mm");
        let open = |comment: &str, rows| {
            std::fs::write(
                &path,
                format!("%%MatrixMarket matrix coordinate real general\n{comment}\n7 3 1\n6 2 0.5\n"),
            )
            .unwrap();
            Matrix::open(&path, rows).unwrap()
        };
        let matrix = open("% corpuscle: values log-entropy", Rows::Terms);
        assert_eq!((matrix.header.documents, matrix.header.terms), (3, 7));
        assert_eq!(matrix.weighting.as_deref(), Some("log-entropy"));
        for line in ["6 2 5\n", "6  2 5\n"] {
            let entry = parse_lines(line.as_bytes(), &matrix.header).entries[0];
            assert_eq!((entry.document, entry.term, entry.value), (1, 5, 5.0));
        }
        let wrong = parse_lines(b"8 2 5\n", &matrix.header).failure.unwrap();
        assert_eq!(wrong, (0, "term \"8\" is no number from 1 to 7".into()));
        for comment in
            ["%", "% corpuscle: values", "% corpuscle: values counts", "% corpuscle: values a b", "% values nfc"]
        {
            assert_eq!(open(comment, Rows::Documents).weighting, None, "{comment}");
        }
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
            "-2.5",
            // A little above and exactly halfway between two f32.
            "1.00000005960464478",
            "16777216.5",
            "16777219",
            "0.00000000000000000000000000000000000001",
        ];
        for text in texts {
            let file = format!("%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 {text}\n");
            let expected = text.parse::<f32>().unwrap();
            assert_eq!(read(&file).unwrap().1[0].value.to_bits(), expected.to_bits(), "{text}");
        }
        // 2^24 + 1 is as near to the next f32 as to 2^24, which is the largest count.
        for (text, expected) in [("16777216", 16_777_216.0), ("16777217", 16_777_218.0), ("16777217.0", 16_777_218.0)] {
            let file = format!("%%MatrixMarket matrix coordinate real general\n1 1 1\n1 1 {text}\n");
            assert_eq!(read(&file).unwrap().1[0].value, expected, "{text}");
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
            ("1 1 --2", "value \"--2\" is not a number"),
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
        let parsed = parse_lines(
            b"1 1 1\n\n2 1 1\nx",
            &Header { field: Field::Real, rows: Rows::Documents, documents: 2, terms: 1, entries: 2 },
        );
        assert_eq!((parsed.lines, parsed.entries.len(), parsed.entries[1].line), (3, 2, 2));
        let bytes = parsed.encode();
        assert_eq!(Parsed::decode(&bytes).unwrap(), parsed);
        assert!(Parsed::decode(&bytes[..bytes.len() - 1]).is_err() && Parsed::decode(&bytes[..20]).is_err());
        let mut huge = bytes.clone();
        huge[16..24].fill(0xff);
        assert!(Parsed::decode(&huge).is_err());
    }
}

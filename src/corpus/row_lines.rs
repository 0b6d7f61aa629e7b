//! Text formats with a document per line:
//!
//! ```text
//! svmlight   LABEL [qid:N] TERM:VALUE TERM:VALUE ... [# COMMENT]      terms from 1 (from 0 where asked for)
//! blei       NUMBER-OF-TERMS TERM:COUNT TERM:COUNT ...                terms from 0
//! csv        VALUE,VALUE,VALUE,...                                     a value for every term
//! ```
//!
//! The first is that of SVMlight (T. Joachims, 1999) and LIBSVM, the second that of LDA-C (D. Blei, 2003). A document's
//! terms may come in any order, each once. Zeros are not kept. In an SVMlight file lines that are blank, or nothing but
//! a comment, are no documents; in the others every line is one. The third is what gensim's `CsvCorpus` and tables of
//! statistics programs are: a header of terms ([`csv_header`](crate::corpus::csv_header)) is not among the lines here.

use serde::{Deserialize, Serialize};

use crate::corpus::chunk::Footprint;
use crate::corpus::piece_rows::is_count;
use crate::corpus::sent_rows::{Rows, SentRows};
use crate::error::{Error, Result};

/// How the lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RowFormat {
    /// SVMlight and LIBSVM.
    Svmlight {
        /// The first term is 0, not 1.
        zero_based: bool,
    },
    /// LDA-C.
    Blei,
    /// A document-term matrix.
    Csv {
        /// Values of a line.
        columns: u32,
    },
}

/// A value of a line, in the precision it is wanted in.
pub trait Value: Copy + PartialEq + std::str::FromStr {
    /// Nothing.
    const ZERO: Self;
    /// A whole number of at most 7 digits, which is exact.
    fn whole(value: u32) -> Self;
    /// Neither infinite nor not a number.
    fn finite(self) -> bool;
    /// A whole number from 1 to 2^24.
    fn count(self) -> bool;
}

impl Value for f32 {
    const ZERO: f32 = 0.0;

    fn whole(value: u32) -> f32 {
        value as f32
    }

    fn finite(self) -> bool {
        self.is_finite()
    }

    fn count(self) -> bool {
        is_count(self)
    }
}

impl Value for f64 {
    const ZERO: f64 = 0.0;

    fn whole(value: u32) -> f64 {
        value.into()
    }

    fn finite(self) -> bool {
        self.is_finite()
    }

    fn count(self) -> bool {
        is_count(self as f32) && f64::from(self as f32) == self
    }
}

/// Documents of some lines (documents x terms, CSR), terms ascending within each.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RowLines<V = f32> {
    /// Where each document begins; documents + 1 entries, the first 0.
    indptr: Vec<u64>,
    indices: Vec<u32>,
    data: Vec<V>,
    /// Labels, one after the other, and where each ends; of SVMlight only.
    labels: String,
    label_ends: Vec<u64>,
    /// Largest term that is named, also with a zero, and one more.
    pub terms: u32,
    /// All values are counts: whole numbers from 1 to 2^24.
    pub counts: bool,
}

impl Footprint for RowLines {
    fn bytes(&self) -> u64 {
        (self.indptr.len() * 8 + self.indices.len() * 8 + self.labels.len() + self.label_ends.len() * 8) as u64
    }
}

/// What is wrong with a line, and where in the text it stands.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// A byte of the line.
    pub at: usize,
    /// What is wrong.
    pub what: String,
}

impl<V: Value> RowLines<V> {
    /// The documents of whole lines, with values in this precision.
    pub fn parse_values(text: &[u8], format: RowFormat) -> std::result::Result<RowLines<V>, Mistake> {
        if let Some(at) = memchr::memchr(0, text) {
            return Err(Mistake { at, what: "a NUL byte: the file is binary, expected lines of text".to_owned() });
        }
        let mut rows = RowLines {
            indptr: vec![0],
            indices: Vec::new(),
            data: Vec::new(),
            labels: String::new(),
            label_ends: Vec::new(),
            terms: 0,
            counts: true,
        };
        let mut row: Vec<(u32, V)> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let end = memchr::memchr(b'\n', &text[at..]).map_or(text.len(), |length| at + length);
            let line = &text[at..end];
            row.clear();
            let document = match format {
                RowFormat::Svmlight { zero_based } => rows.svmlight(line, zero_based, &mut row),
                RowFormat::Blei => rows.blei(line, &mut row).map(|()| true),
                RowFormat::Csv { columns } => rows.csv(line, columns, &mut row).map(|()| true),
            };
            match document.and_then(|document| if document { rows.push(&mut row) } else { Ok(()) }) {
                Ok(()) => at = end + 1,
                Err(what) => return Err(Mistake { at, what }),
            }
        }
        Ok(rows)
    }

    fn svmlight(&mut self, line: &[u8], zero_based: bool, row: &mut Vec<(u32, V)>) -> Parsed<bool> {
        let line = memchr::memchr(b'#', line).map_or(line, |comment| &line[..comment]);
        let mut words = Words(line);
        let Some(label) = words.next() else { return Ok(false) };
        if label.contains(&b':') {
            return Err(format!("the line begins with {}, not with a label", shown(label)));
        }
        let label = std::str::from_utf8(label).map_err(|_| format!("the label {} is not UTF-8", shown(label)))?;
        self.labels.push_str(label);
        self.label_ends.push(self.labels.len() as u64);
        // Groups of documents for ranking: nothing here ranks.
        if words.clone().next().is_some_and(|word| word.starts_with(b"qid:")) {
            words.next();
        }
        if zero_based {
            words.pairs(row)?;
            return Ok(true);
        }
        let before = words.clone();
        words.pairs(row)?;
        for (place, (term, _)) in row.iter_mut().enumerate() {
            *term = term.checked_sub(1).ok_or_else(|| {
                let word = before.clone().nth(place).unwrap_or_default();
                format!("{}: terms are counted from 1; if this file counts from 0, give --zero-based", shown(word))
            })?;
        }
        Ok(true)
    }

    fn blei(&mut self, line: &[u8], row: &mut Vec<(u32, V)>) -> Parsed<()> {
        let mut words = Words(line);
        let announced = words.next().ok_or("the line is blank; a document without terms is written 0")?;
        let announced = number(announced)
            .ok_or_else(|| format!("{} is not the number of the document's terms", shown(announced)))?;
        words.pairs(row)?;
        if row.len() as u64 != announced {
            return Err(format!("{announced} terms are announced and {} follow", row.len()));
        }
        Ok(())
    }

    fn csv(&mut self, line: &[u8], columns: u32, row: &mut Vec<(u32, V)>) -> Parsed<()> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let (mut at, mut column) = (0, 0_u32);
        loop {
            // Nearly all of a matrix of words.
            while line[at..].starts_with(b"0,") {
                at += 2;
                column = column.saturating_add(1);
            }
            let end = memchr::memchr(b',', &line[at..]).map_or(line.len(), |length| at + length);
            let field = line[at..end].trim_ascii();
            match value::<V>(field) {
                Some(value) if value == V::ZERO => {}
                Some(value) if value.finite() => row.push((column, value)),
                Some(_) => return Err(format!("column {}: the value is not a finite number", column + 1)),
                None => return Err(format!("column {}: {} is not a number", column + 1, shown(field))),
            }
            column = column.saturating_add(1);
            if end == line.len() {
                break;
            }
            at = end + 1;
        }
        if column != columns {
            return Err(format!("{column} values where there are {columns} columns"));
        }
        self.terms = columns;
        Ok(())
    }

    /// Takes the pairs of a document.
    fn push(&mut self, row: &mut [(u32, V)]) -> Parsed<()> {
        if !row.is_sorted_by(|a, b| a.0 < b.0) {
            row.sort_by_key(|&(term, _)| term);
            if let Some(twice) = row.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(format!("the document has the term of column {} twice", twice[0].0));
            }
        }
        if let Some(&(last, _)) = row.last() {
            self.terms = self.terms.max(last + 1);
        }
        for &(term, value) in row.iter().filter(|(_, value)| *value != V::ZERO) {
            self.counts &= value.count();
            self.indices.push(term);
            self.data.push(value);
        }
        self.indptr.push(self.indices.len() as u64);
        Ok(())
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Labels, where there are any.
    fn take_labels(&mut self) -> Option<Vec<String>> {
        (!self.label_ends.is_empty()).then(|| {
            let begins = std::iter::once(0).chain(self.label_ends.iter().copied());
            begins
                .zip(&self.label_ends)
                .map(|(begin, &end)| self.labels[begin as usize..end as usize].to_owned())
                .collect()
        })
    }

    /// Where rows begin, their columns and values, and the labels where there are any.
    pub fn into_parts(mut self) -> (Vec<u64>, Vec<u32>, Vec<V>, Option<Vec<String>>) {
        let labels = self.take_labels();
        (self.indptr, self.indices, self.data, labels)
    }
}

impl RowLines {
    /// The documents of whole lines.
    pub fn parse(text: &[u8], format: RowFormat) -> std::result::Result<RowLines, Mistake> {
        Self::parse_values(text, format)
    }

    /// As bytes, to travel; the values as counts where those of all lines of the file are. Documents are numbered from 0.
    pub fn encode(&self, counts: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(72 + self.bytes() as usize);
        let (indptr, indices, data) = (&self.indptr, &self.indices, &self.data);
        SentRows::encode(Rows { first_document: 0, terms: self.terms, indptr, indices, data }, counts, &mut bytes);
        bytes.extend_from_slice(&(self.label_ends.len() as u64).to_le_bytes());
        bytes.extend_from_slice(bytemuck::cast_slice(&self.label_ends));
        bytes.extend_from_slice(self.labels.as_bytes());
        bytes
    }

    /// Undoes [`encode`](Self::encode): the documents, and the labels where there are any; refuses damaged bytes.
    pub fn decode(bytes: Vec<u8>) -> Result<(SentRows, Option<Vec<String>>)> {
        let (rows, at) = SentRows::decode(bytes, 0)?;
        let labels = labels(&rows.message()[at..])
            .filter(|labels| labels.is_empty() || labels.len() == rows.documents())
            .ok_or_else(|| Error::failed("damaged message: labels of documents of a file"))?;
        Ok((rows, (!labels.is_empty()).then_some(labels)))
    }
}

/// Labels, as they were sent: their number, where each ends, and all letters. Nothing where the bytes are damaged.
fn labels(bytes: &[u8]) -> Option<Vec<String>> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    let (ends, letters) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut letters = std::str::from_utf8(letters).ok()?;
    let (mut labels, mut begin) = (Vec::with_capacity(count), 0);
    for end in ends.as_chunks().0.iter().map(|end| u64::from_le_bytes(*end)) {
        let (label, rest) = letters.split_at_checked(usize::try_from(end.checked_sub(begin)?).ok()?)?;
        labels.push(label.to_owned());
        (letters, begin) = (rest, end);
    }
    letters.is_empty().then_some(labels)
}

/// What a line says, or what is wrong with it.
type Parsed<T> = std::result::Result<T, String>;

/// What stands between the blanks of a line.
#[derive(Clone)]
struct Words<'a>(&'a [u8]);

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let begin = self.0.iter().position(|&byte| !is_blank(byte))?;
        let rest = &self.0[begin..];
        let (word, rest) = rest.split_at(rest.iter().position(|&byte| is_blank(byte)).unwrap_or(rest.len()));
        self.0 = rest;
        Some(word)
    }
}

impl Words<'_> {
    /// Adds the pairs that the rest of the line is.
    fn pairs<V: Value>(&mut self, row: &mut Vec<(u32, V)>) -> Parsed<()> {
        loop {
            // Nearly all of them.
            while let Some((pair, rest)) = short_pair(self.0) {
                row.push(pair);
                self.0 = rest;
            }
            match self.next() {
                Some(word) => row.push(pair(word)?),
                None => return Ok(()),
            }
        }
    }
}

/// `TERM:COUNT` of few digits behind at most one blank, and what follows it, where it is written so.
#[inline]
fn short_pair<V: Value>(bytes: &[u8]) -> Option<((u32, V), &[u8])> {
    let mut at = usize::from(bytes.first().copied().is_some_and(is_blank));
    let mut digits = |most: usize| {
        let (begin, mut number) = (at, 0_u32);
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
            number = number.wrapping_mul(10).wrapping_add(digit.into());
            at += 1;
        }
        let end = bytes.get(at).copied();
        at += 1;
        (1..=most).contains(&(at - 1 - begin)).then_some((number, end, at - 1))
    };
    // Nine digits are below 2^31, seven are exact or rounded in f32 as elsewhere.
    let (term, Some(b':'), _) = digits(9)? else { return None };
    let (count, end, length) = digits(7)?;
    end.is_none_or(is_blank).then(|| ((term, V::whole(count)), &bytes[length..]))
}

/// Bytes as they are shown in a message.
fn shown(word: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&word[..word.len().min(40)]))
}

/// A whole number of at most 18 digits.
fn number(digits: &[u8]) -> Option<u64> {
    let plain = !digits.is_empty() && digits.len() <= 18 && digits.iter().all(u8::is_ascii_digit);
    plain.then(|| digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// A value, finite or not.
fn value<V: Value>(word: &[u8]) -> Option<V> {
    match number(word) {
        // Exact in f32 and f64, or rounded as the parser of the standard library would round it.
        Some(whole) if word.len() <= 7 => Some(V::whole(whole as u32)),
        _ => std::str::from_utf8(word).ok().and_then(|word| word.parse::<V>().ok()),
    }
}

/// `TERM:VALUE`.
fn pair<V: Value>(word: &[u8]) -> Parsed<(u32, V)> {
    let colon = memchr::memchr(b':', word).ok_or_else(|| format!("{} is not TERM:VALUE", shown(word)))?;
    let (term, value) = (&word[..colon], &word[colon + 1..]);
    // A corpus has at most 2^31 - 1 terms.
    let term = number(term).and_then(|term| u32::try_from(term).ok()).filter(|&term| term < i32::MAX as u32);
    let term = term.ok_or_else(|| format!("{} does not begin with the number of a term", shown(word)))?;
    match self::value(value) {
        Some(value) if V::finite(value) => Ok((term, value)),
        Some(_) => Err(format!("{}: the value is not a finite number", shown(word))),
        None => Err(format!("{}: the value is not a number", shown(word))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::chunk::CsrChunk;

    const SVMLIGHT: RowFormat = RowFormat::Svmlight { zero_based: false };

    fn parse(text: &str, format: RowFormat) -> (CsrChunk, Option<Vec<String>>) {
        let rows = RowLines::parse(text.as_bytes(), format).unwrap();
        let (sent, sent_labels) = RowLines::decode(rows.encode(rows.counts)).unwrap();
        let terms = rows.terms;
        let (indptr, indices, data, labels) = rows.into_parts();
        assert_eq!((sent.offsets(), &sent.indices()[..], &sent_labels), (indptr.clone(), &indices[..], &labels));
        assert!(data.iter().enumerate().all(|(at, value)| sent.values().get(at) == *value));
        let chunk = CsrChunk { first_document: 7, terms, indptr, indices, data };
        chunk.check().unwrap();
        (chunk, labels)
    }

    fn refusal(text: &str, format: RowFormat) -> (usize, String) {
        let Mistake { at, what } = RowLines::parse(text.as_bytes(), format).unwrap_err();
        (at, what)
    }

    #[test]
    fn svmlight_lines_are_documents_with_labels() {
        let text = "+1 1:2 4:0.5 # first\n\n# nothing but a comment\n-1 qid:3 5:1e-3 2:-7 3:0\r\nspam";
        let (chunk, labels) = parse(text, SVMLIGHT);
        assert_eq!(labels.unwrap(), ["+1", "-1", "spam"]);
        assert_eq!((chunk.indptr, chunk.terms), (vec![0, 2, 4, 4], 5));
        assert_eq!(chunk.indices, [0, 3, 1, 4]);
        assert_eq!(chunk.data, [2.0, 0.5, -7.0, 1e-3]);
        // A term that is only ever named with a zero still is a column.
        assert_eq!(RowLines::parse(b"a 9:0\n", SVMLIGHT).unwrap().terms, 9);
        let zero_based = RowFormat::Svmlight { zero_based: true };
        assert_eq!(parse("a 0:1 2:16777216\n", zero_based).0.indices, [0, 2]);
    }

    #[test]
    fn blei_lines_are_counted() {
        let (chunk, labels) = parse("2 0:1 3:2\n0\n1 1:16777216\n", RowFormat::Blei);
        assert_eq!((chunk.indptr, chunk.indices, labels), (vec![0, 2, 2, 3], vec![0, 3, 1], None));
        assert!(RowLines::parse(b"1 0:3\n", RowFormat::Blei).unwrap().counts);
        assert!(!RowLines::parse(b"1 0:3.5\n", RowFormat::Blei).unwrap().counts);
    }

    #[test]
    fn csv_lines_have_a_value_for_every_term() {
        let format = RowFormat::Csv { columns: 4 };
        let (chunk, labels) = parse("0,0,2,0\r\n0,0,0,0\n 1.5 ,0,0.0,-1e-3\n0,0,0,7", format);
        assert_eq!((chunk.indptr, chunk.terms, labels), (vec![0, 1, 1, 3, 4], 4, None));
        assert_eq!((chunk.indices, chunk.data), (vec![2, 0, 3, 3], vec![2.0, 1.5, -1e-3, 7.0]));
        assert!(RowLines::parse(b"0,3,0,1\n", format).unwrap().counts);
        assert_eq!(parse("5\n0\n", RowFormat::Csv { columns: 1 }).0.data, [5.0]);
    }

    #[test]
    fn the_first_bad_line_is_named() {
        for (text, format, at, what) in [
            ("a 1:1\nb 0:1\n", SVMLIGHT, 6, "--zero-based"),
            ("1:1 2:1\n", SVMLIGHT, 0, "not with a label"),
            ("a 1\n", SVMLIGHT, 0, "\"1\" is not TERM:VALUE"),
            ("a 1:x\n", SVMLIGHT, 0, "not a number"),
            ("a 1:\n", SVMLIGHT, 0, "not a number"),
            ("a 1:inf\n", SVMLIGHT, 0, "finite"),
            ("a 1:nan\n", SVMLIGHT, 0, "finite"),
            ("a -1:1\n", SVMLIGHT, 0, "number of a term"),
            ("a 2147483648:1\n", SVMLIGHT, 0, "number of a term"),
            ("a 99999999999999999999:1\n", SVMLIGHT, 0, "number of a term"),
            ("a 3:1 2:1 3:2\n", SVMLIGHT, 0, "column 2 twice"),
            ("1 0:1\n2 0:1\n", RowFormat::Blei, 6, "2 terms are announced and 1 follow"),
            ("1 0:1\n\n", RowFormat::Blei, 6, "blank"),
            ("x 0:1\n", RowFormat::Blei, 0, "number of the document's terms"),
            ("1,2\n0,1,2\n", RowFormat::Csv { columns: 2 }, 4, "3 values where there are 2 columns"),
            ("0,0,0,0\n", RowFormat::Csv { columns: 2 }, 0, "4 values"),
            ("0\n", RowFormat::Csv { columns: 2 }, 0, "1 values"),
            ("\n", RowFormat::Csv { columns: 1 }, 0, "column 1: \"\" is not a number"),
            ("0,\n", RowFormat::Csv { columns: 2 }, 0, "column 2: \"\" is not a number"),
            ("0,x,1\n", RowFormat::Csv { columns: 3 }, 0, "column 2: \"x\" is not a number"),
            ("0,0,nan\n", RowFormat::Csv { columns: 3 }, 0, "column 3: the value is not a finite number"),
        ] {
            let (place, message) = refusal(text, format);
            assert_eq!(place, at, "{text:?}");
            assert!(message.contains(what), "{text:?}: {message}");
        }
        assert!(RowLines::parse(b"\xff 1:1\n", SVMLIGHT).unwrap_err().what.contains("UTF-8"));
    }

    /// What is read the short way is read as everything else is.
    #[test]
    fn numbers_of_any_length_are_read_alike() {
        for (word, expected) in [
            ("7:9999999", Some((7, 9_999_999.0))),
            ("7:00000012", Some((7, 12.0))),
            ("999999999:1", Some((999_999_999, 1.0))),
            ("1999999999:3", Some((1_999_999_999, 3.0))),
            ("0000000000007:3", Some((7, 3.0))),
            ("7:123456789", Some((7, 123_456_789.0))),
            ("7:1.", Some((7, 1.0))),
            ("7:1:2", None),
            (":1", None),
            ("7:", None),
            ("7", None),
            ("4294967299:1", None),
            ("7:1;", None),
        ] {
            for (before, after) in [("", ""), (" ", " "), ("\t ", "\r"), ("  ", "\t8:1")] {
                let mut row = Vec::new();
                let read =
                    Words(format!("{before}{word}{after}").as_bytes()).pairs(&mut row).map(|()| row.first().copied());
                assert_eq!(read.ok().flatten(), expected, "{word:?}");
            }
        }
    }

    #[test]
    fn damaged_messages_are_refused() {
        let rows = RowLines::parse(b"ab 1:1\nc 2:1\n", SVMLIGHT).unwrap();
        for counts in [true, false] {
            let bytes = rows.encode(counts);
            for cut in 0..bytes.len() {
                assert!(RowLines::decode(bytes[..cut].to_vec()).is_err(), "cut at {cut}");
            }
            assert!(RowLines::decode([&bytes[..], b"x"].concat()).is_err());
            // Number of labels, their ends, letters.
            let labels = bytes.len() - 3 - 16 - 8;
            for (at, value) in [(labels, 1), (labels, 0), (labels + 8, 9), (labels + 16, 1), (bytes.len() - 1, 0xff)] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                assert!(RowLines::decode(bytes).is_err(), "{value} at {at}");
            }
            // So many labels that their bytes cannot be counted.
            let mut long = bytes.clone();
            long[labels..labels + 8].fill(0xff);
            assert!(RowLines::decode(long).is_err());
        }
    }
}

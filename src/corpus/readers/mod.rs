//! The documents of a piece of raw text: a format per file.

mod csv;
mod folder;
mod jsonl;
mod lines;
mod mallet;
mod wiki;

use std::borrow::Cow;

use memchr::memchr;

use crate::corpus::cutter::Piece;
use crate::corpus::records::newlines;
use crate::corpus::text::{InputFormat, InvalidUtf8, TextPlan};
use crate::error::{At, Error, Result};

/// A document as it stands in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawDocument<'a> {
    /// Its text.
    pub text: Cow<'a, str>,
    /// Its identifier, where the plan names a field for it.
    pub id: Option<Cow<'a, str>>,
    /// Its label, where the plan names a field for it.
    pub label: Option<Cow<'a, str>>,
}

const BINARY: &str = "a NUL byte: the file is binary or UTF-16, expected text in UTF-8: convert it first";
const NOT_UTF8: &str = "not UTF-8: convert the file, or give --invalid-utf8 replace to read U+FFFD there";

/// Calls `each` with every document of a piece, in order. `bytes` are those of the piece
/// ([`read_piece`](crate::corpus::cutter::read_piece)).
///
/// # Errors
/// Bytes that are not text (NUL, or not UTF-8 and not to be replaced), records that are not what the format says or
/// lack a field, each named by file and line; and whatever `each` returns.
pub fn documents(
    plan: &TextPlan,
    piece: &Piece,
    bytes: &[u8],
    each: &mut dyn FnMut(RawDocument<'_>) -> Result<()>,
) -> Result<()> {
    if plan.format == InputFormat::Dir {
        return folder::documents(&Source { plan, piece, bytes }, each);
    }
    if plan.format == InputFormat::Wiki {
        return wiki::documents(&Source { plan, piece, bytes }, each);
    }
    if let Some(at) = memchr(0, bytes) {
        return Err(Source { plan, piece, bytes }.error(at, BINARY));
    }
    // Replacing adds and removes no newline, delimiter or quote: records stay what they were, lines too.
    let text = match (std::str::from_utf8(bytes), plan.invalid_utf8) {
        (Ok(text), _) => Cow::Borrowed(text),
        (Err(_), InvalidUtf8::Replace) => String::from_utf8_lossy(bytes),
        (Err(broken), InvalidUtf8::Refuse) => {
            return Err(Source { plan, piece, bytes }.error(broken.valid_up_to(), NOT_UTF8));
        }
    };
    let source = Source { plan, piece, bytes: text.as_bytes() };
    match plan.format {
        InputFormat::Lines | InputFormat::Low => lines::documents(&text, each),
        InputFormat::Mallet => mallet::documents(&source, &text, each),
        InputFormat::Jsonl => jsonl::documents(&source, &text, each),
        InputFormat::Csv | InputFormat::Tsv => csv::documents(&source, each),
        InputFormat::Dir | InputFormat::Wiki => unreachable!("returned above"),
    }
}

/// An error that names the file of a piece and the line of its byte `at`; `bytes` are those of the piece.
pub fn error_at(plan: &TextPlan, piece: &Piece, bytes: &[u8], at: usize, what: impl std::fmt::Display) -> Error {
    Source { plan, piece, bytes }.error(at, what)
}

/// Where the bytes at hand come from, for messages.
struct Source<'a> {
    plan: &'a TextPlan,
    piece: &'a Piece,
    bytes: &'a [u8],
}

impl Source<'_> {
    /// An error that names file and line of byte `at` of the piece.
    fn error(&self, at: usize, what: impl std::fmt::Display) -> Error {
        let path = &self.plan.files[self.piece.file as usize].path;
        match self.first_line() {
            Ok(first) => {
                let line = first + newlines(&self.bytes[..at]);
                Error::failed(format!("{}:{line}: {what}", path.display()))
            }
            Err(_) => {
                let byte = self.piece.offset + at as u64;
                Error::failed(format!("{}: at byte {byte}: {what}", path.display()))
            }
        }
    }

    /// Line the piece begins on. Of plain lines the cutter does not know it; only then the file is read up to the
    /// piece.
    fn first_line(&self) -> Result<u64> {
        use std::io::Read;
        if let Some(line) = self.piece.first_line {
            return Ok(line);
        }
        let path = &self.plan.files[self.piece.file as usize].path;
        let mut before = std::fs::File::open(path).at(path)?.take(self.piece.offset);
        let mut block = vec![0; 1 << 20];
        let mut line = 1;
        loop {
            match before.read(&mut block).at(path)? {
                0 => return Ok(line),
                got => line += newlines(&block[..got]),
            }
        }
    }
}

#[cfg(test)]
mod tests;

//! Where records end: at a newline, in CSV at a newline outside quotes, in a dump of MediaWiki with a page.
//!
//! The quoting rule is the one the `csv` crate parses by, so that both agree on every file, also on those that break
//! RFC 4180: a quote opens a quoted field only as the field's first byte; within one, a doubled quote is a literal
//! quote and any other quote closes it; everywhere else a quote is an ordinary byte. Quotes are found by `memchr`, so
//! that the scan costs little more than reading.

use std::ops::Range;

use memchr::{memchr, memmem, memrchr};

use crate::corpus::text::InputFormat;
use crate::corpus::wiki::page::CLOSE;

/// Finds the end of the first record that ends at or beyond a wanted size, in a buffer that begins with a record and
/// grows.
#[derive(Debug, Clone, Default)]
pub struct RecordScanner {
    /// Field delimiter of a format with quotes; `None` where every newline ends a record.
    delimiter: Option<u8>,
    /// Records are pages of a dump.
    pages: bool,
    /// Everything before this has been scanned.
    at: usize,
    /// Where the quoted field begins that `at` is inside of.
    open_quote: Option<usize>,
}

impl RecordScanner {
    /// A scanner for lines (no delimiter) or for CSV with the given delimiter.
    pub fn new(delimiter: Option<u8>) -> Self {
        RecordScanner { delimiter, pages: false, at: 0, open_quote: None }
    }

    /// A scanner for the records of a format.
    pub fn of(format: InputFormat) -> Self {
        RecordScanner { pages: format == InputFormat::Wiki, ..RecordScanner::new(format.delimiter()) }
    }

    /// Index just behind the first record that ends at `wanted` or later; `None` if the buffer does not hold its end yet. Call again with the same buffer, grown at its end. `last`: nothing follows the buffer.
    pub fn find(&mut self, buffer: &[u8], wanted: usize, last: bool) -> Option<usize> {
        if self.pages {
            let close = CLOSE.as_bytes();
            let from = self.at.max(wanted.saturating_sub(close.len())).min(buffer.len());
            let end = memmem::find(&buffer[from..], close).map(|i| from + i + close.len());
            // What is there may hold the beginning of a closing tag.
            self.at = end.unwrap_or(buffer.len().saturating_sub(close.len() - 1));
            return end;
        }
        let wanted_newline = wanted.saturating_sub(1);
        let Some(delimiter) = self.delimiter else {
            let from = self.at.max(wanted_newline).min(buffer.len());
            let end = memchr(b'\n', &buffer[from..]).map(|i| from + i + 1);
            self.at = end.unwrap_or(buffer.len());
            return end;
        };
        loop {
            let quote = memchr(b'"', &buffer[self.at..]).map(|i| self.at + i);
            if self.open_quote.is_some() {
                let Some(quote) = quote else {
                    self.at = buffer.len();
                    return None;
                };
                match buffer.get(quote + 1) {
                    Some(b'"') => self.at = quote + 2,
                    // The next byte decides whether this quote closes the field: wait for it.
                    None if !last => {
                        self.at = quote;
                        return None;
                    }
                    _ => {
                        self.open_quote = None;
                        self.at = quote + 1;
                    }
                }
            } else {
                let unquoted = quote.unwrap_or(buffer.len());
                let from = self.at.max(wanted_newline);
                if from < unquoted
                    && let Some(i) = memchr(b'\n', &buffer[from..unquoted])
                {
                    self.at = from + i + 1;
                    return Some(self.at);
                }
                let Some(quote) = quote else {
                    self.at = buffer.len();
                    return None;
                };
                let first_of_field = quote == 0 || [delimiter, b'\n', b'\r'].contains(&buffer[quote - 1]);
                if first_of_field {
                    self.open_quote = Some(quote);
                }
                self.at = quote + 1;
            }
        }
    }

    /// Where the quoted field begins that the bytes scanned so far have left open.
    pub fn open_quote(&self) -> Option<usize> {
        self.open_quote
    }

    /// Begins anew with the next record.
    pub fn restart(&mut self) {
        self.at = 0;
        self.open_quote = None;
    }
}

/// Cuts records into at most `parts` stretches of about equal length that end on record boundaries.
pub fn split(bytes: &[u8], mut scanner: RecordScanner, parts: usize) -> Vec<Range<usize>> {
    let mut stretches = Vec::with_capacity(parts);
    let mut begin = 0;
    for part in 1..=parts {
        let wanted = bytes.len() * part / parts;
        if wanted <= begin {
            continue;
        }
        let end = if part < parts { scanner.find(bytes, wanted, true) } else { None }.unwrap_or(bytes.len());
        stretches.push(begin..end);
        begin = end;
    }
    stretches
}

/// Number of newlines.
pub fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// The line that holds byte `at`, without its newline.
pub fn line_around(bytes: &[u8], at: usize) -> &[u8] {
    let begin = memrchr(b'\n', &bytes[..at]).map_or(0, |i| i + 1);
    let end = memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |i| at + i);
    &bytes[begin..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_whole_records_and_about_equal() {
        let lines = (0..1000).map(|i| format!("{}\n", "x".repeat(i * 7919 % 31))).collect::<String>();
        for parts in [1, 2, 3, 8] {
            let stretches = split(lines.as_bytes(), RecordScanner::new(None), parts);
            assert_eq!(stretches.len(), parts);
            let joined = stretches.iter().map(|s| &lines[s.clone()]).collect::<String>();
            assert_eq!(joined, lines);
            for stretch in &stretches {
                assert!(lines[stretch.clone()].ends_with('\n'));
                assert!(stretch.len().abs_diff(lines.len() / parts) <= 31 * 2, "{}", stretch.len());
            }
        }
        // The last line may lack its newline; there may be fewer records than parts, or none.
        let lines = || RecordScanner::new(None);
        assert_eq!(split(b"a\nb\nc", lines(), 2), [0..2, 2..5]);
        assert_eq!(split(b"one line", lines(), 4).as_slice(), std::slice::from_ref(&(0..8)));
        assert!(split(b"", lines(), 4).is_empty());
    }

    #[test]
    fn pages_of_a_dump_are_records() {
        let bytes = b"<mediawiki><page>\nab</page>\n<page>c</page></mediawiki>";
        assert_eq!(split(bytes, RecordScanner::of(InputFormat::Wiki), 2), [0..27, 27..bytes.len()]);
        // Whatever the buffer holds when it is asked first.
        for first in 0..bytes.len() {
            for wanted in [1, 27, 28] {
                let mut scanner = RecordScanner::of(InputFormat::Wiki);
                let early = scanner.find(&bytes[..first], wanted, false);
                let end = early.or_else(|| scanner.find(bytes, wanted, false));
                assert_eq!(end, Some(if wanted < 28 { 27 } else { 42 }), "{first} {wanted}");
            }
        }
    }

    #[test]
    fn stretches_of_a_csv_respect_quotes() {
        let record = b"\"a\n\n\n\n\",1\n";
        let bytes = record.repeat(7);
        for stretch in split(&bytes, RecordScanner::new(Some(b',')), 3) {
            assert_eq!((stretch.start % record.len(), stretch.end % record.len()), (0, 0));
        }
    }
}

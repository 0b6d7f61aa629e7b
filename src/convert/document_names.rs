//! What begins the line of a document in files that name documents, read from the corpus as the documents come.

use std::collections::BTreeSet;

use crate::corpus::container::CorpusReader;
use crate::corpus::row_writers::LineFormat;
use crate::error::{Error, Result};

/// Labels or ids read at a time.
pub(super) const NAMES_AT_A_TIME: u64 = 65_536;
/// What MALLET's own tools and gensim write where no label is known.
const NO_LABEL: &str = "__unknown__";

/// The labels of a corpus as an SVMlight file has them, which are numbers: labels that are numbers as they stand, others
/// by their place in the order of their code points. None where documents have no labels: all are of class 0 then.
pub(super) fn classes(corpus: &CorpusReader) -> Result<Vec<String>> {
    let mut labels = BTreeSet::new();
    let documents = corpus.header().documents;
    for first in (0..documents).step_by(NAMES_AT_A_TIME as usize) {
        labels.extend(corpus.labels(first, NAMES_AT_A_TIME.min(documents - first))?.unwrap_or_default());
    }
    let numbers = labels.iter().all(|label| label.parse::<f64>().is_ok_and(f64::is_finite));
    Ok(if numbers { Vec::new() } else { labels.into_iter().collect() })
}

/// The names of consecutive documents.
pub(super) struct DocumentNames<'a> {
    corpus: &'a CorpusReader,
    format: LineFormat,
    classes: Vec<String>,
    next: u64,
}

impl<'a> DocumentNames<'a> {
    /// From the first document on. `classes` are those of [`classes`].
    pub fn new(corpus: &'a CorpusReader, format: LineFormat, classes: Vec<String>) -> Self {
        DocumentNames { corpus, format, classes, next: 0 }
    }

    /// Lines that begin with the names of the next documents. A line that is not empty is set off by a blank.
    ///
    /// # Errors
    /// An id or a label that holds a blank, where it would read back as something else.
    pub fn before(&mut self, lines: &[u8]) -> Result<Vec<u8>> {
        let count = memchr::memchr_iter(b'\n', lines).count() as u64;
        let names = self.take(count)?;
        let mut out = Vec::with_capacity(lines.len() + names.iter().map(|name| name.len() + 1).sum::<usize>());
        for (name, line) in names.iter().zip(lines.split_inclusive(|&byte| byte == b'\n')) {
            out.extend_from_slice(name.as_bytes());
            if line.len() > 1 {
                out.push(b' ');
            }
            out.extend_from_slice(line);
        }
        Ok(out)
    }

    fn take(&mut self, count: u64) -> Result<Vec<String>> {
        let first = self.next;
        self.next += count;
        let labels = self.corpus.labels(first, count)?;
        if self.format == LineFormat::Svmlight {
            return Ok(match labels {
                None => vec!["0".to_owned(); count as usize],
                Some(labels) if self.classes.is_empty() => labels,
                Some(labels) => labels.iter().map(|label| self.class(label)).collect(),
            });
        }
        let ids = self.corpus.ids(first, count)?;
        for (what, names) in [("id", Some(&ids)), ("label", labels.as_ref())] {
            let blank = |name: &&String| name.is_empty() || name.contains(char::is_whitespace);
            if let Some(name) = names.and_then(|names| names.iter().find(blank)) {
                return Err(Error::failed(format!(
                    "the {what} {name:?} is empty or holds a blank and cannot be written to a {} file",
                    self.format.name()
                )));
            }
        }
        let label = |row: usize| labels.as_ref().map_or(NO_LABEL, |labels| labels[row].as_str());
        Ok(ids.iter().enumerate().map(|(row, id)| format!("{id} {}", label(row))).collect())
    }

    fn class(&self, label: &String) -> String {
        // Found: the classes are those of all documents.
        self.classes.binary_search(label).unwrap_or_default().to_string()
    }
}

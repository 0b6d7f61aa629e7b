//! gensim's text format of a dictionary: what `Dictionary.save_as_text` writes and `load_from_text` reads.
//!
//! A line with the number of documents, which older files leave out; then a line for each term, in any order:
//! `id<TAB>term<TAB>document frequency`. Ids run from 0 without gaps here: a term's id is its column in a matrix, and
//! gensim itself closes gaps (`compactify`) whenever it filters.

use std::collections::HashSet;
use std::io::Write;
use std::path::Path;

use clap::ValueEnum;

use crate::corpus::word_list::text_of;
use crate::error::{Error, Result};

/// A dictionary as such a file holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DictionaryFile {
    /// Documents that the frequencies were counted over, where the file says so.
    pub documents: Option<u64>,
    /// The terms by id.
    pub terms: Vec<String>,
    /// Documents that hold each term.
    pub document_frequency: Vec<u64>,
}

/// Order of the lines of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Order {
    /// By id.
    Id,
    /// By the code points of the terms: gensim's `sort_by_word=True`, which is its default.
    #[default]
    Word,
}

impl DictionaryFile {
    /// Whether text is in this format, judged by its first two lines.
    pub fn recognises(text: &str) -> bool {
        let mut lines = text.lines();
        let (first, second) = (lines.next().unwrap_or_default(), lines.next());
        parse_line(first).is_some() || (parse_count(first).is_some() && second.is_some_and(|l| parse_line(l).is_some()))
    }

    /// Reads a file, plain or compressed.
    ///
    /// # Errors
    /// The file cannot be read or is not UTF-8; those of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&text_of(path)?, path)
    }

    /// The dictionary of a text; `path` is for messages.
    ///
    /// # Errors
    /// They name the line: not three fields, an id twice or beyond the number of terms, a term twice or empty.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let refuse = |line: usize, what: String| Err(Error::failed(format!("{}:{line}: {what}", path.display())));
        let mut lines = text.lines().zip(1..).peekable();
        let documents = lines.next_if(|(line, _)| parse_line(line).is_none()).map(|(line, _)| parse_count(line));
        let Some(documents) = documents.map_or(Some(None), |count| count.map(Some)) else {
            return refuse(
                1,
                "expected the number of documents, or an id, a term and a frequency separated by tabs".into(),
            );
        };
        let count = lines.clone().count();
        let mut slots = vec![None; count];
        let mut met = HashSet::with_capacity(count);
        for (line, number) in lines {
            match parse_line(line) {
                None => return refuse(number, "expected an id, a term and a frequency, separated by tabs".into()),
                Some((id, ..)) if id >= count => {
                    return refuse(
                        number,
                        format!(
                            "id {id} in a dictionary of {count} terms: ids must have no gaps; gensim's compactify() closes them"
                        ),
                    );
                }
                Some((id, ..)) if slots[id].is_some() => return refuse(number, format!("id {id} is given twice")),
                Some((_, "", _)) => return refuse(number, "the term is empty".into()),
                Some((_, term, _)) if !met.insert(term) => {
                    return refuse(number, format!("term {term:?} is given twice"));
                }
                Some((id, term, frequency)) => slots[id] = Some((term, frequency)),
            }
        }
        // As many distinct ids below the count as there are lines: none is missing.
        let (terms, document_frequency) = slots.into_iter().flatten().map(|(term, df)| (term.to_owned(), df)).unzip();
        Ok(DictionaryFile { documents, terms, document_frequency })
    }

    /// Writes the dictionary; the line with the number of documents only where that is known.
    ///
    /// # Errors
    /// A term with a tab or a line break, which the format cannot hold; the output cannot be written.
    pub fn write(&self, out: &mut dyn Write, order: Order) -> Result<()> {
        let mut ids = (0..self.terms.len()).collect::<Vec<_>>();
        if order == Order::Word {
            ids.sort_unstable_by_key(|&id| &self.terms[id]);
        }
        if let Some(term) = self.terms.iter().find(|term| term.is_empty() || term.contains(['\t', '\n', '\r'])) {
            return Err(Error::failed(format!(
                "term {term:?} cannot be written to gensim's text format: it is empty, or holds a tab or a line break"
            )));
        }
        let mut write = || {
            if let Some(documents) = self.documents {
                writeln!(out, "{documents}")?;
            }
            ids.iter().try_for_each(|&id| writeln!(out, "{id}\t{}\t{}", self.terms[id], self.document_frequency[id]))
        };
        write().map_err(|cause: std::io::Error| Error::failed(format!("the dictionary cannot be written: {cause}")))
    }
}

/// The number of documents on a line of its own.
fn parse_count(line: &str) -> Option<u64> {
    line.trim().parse().ok()
}

/// Id, term and document frequency of a line.
fn parse_line(line: &str) -> Option<(usize, &str, u64)> {
    let (id, rest) = line.split_once('\t')?;
    let (term, frequency) = rest.rsplit_once('\t')?;
    Some((id.parse().ok()?, term, frequency.trim_end().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_WORD: &str = include_str!("../../tests/fixtures/text/gensim-by-word.txt");
    const BY_ID: &str = include_str!("../../tests/fixtures/text/dictionary-2-0.5-all.tsv");

    fn parse(text: &str) -> Result<DictionaryFile> {
        DictionaryFile::parse(text, Path::new("d.txt"))
    }

    fn written(file: &DictionaryFile, order: Order) -> String {
        let mut bytes = Vec::new();
        file.write(&mut bytes, order).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_gensim_wrote_is_read_and_written_again() {
        let dictionary = parse(BY_WORD).unwrap();
        let expected = BY_ID.lines().map(|line| line.split('\t').collect::<Vec<_>>()).collect::<Vec<_>>();
        assert_eq!(dictionary.terms, expected.iter().map(|row| row[1]).collect::<Vec<_>>());
        assert_eq!(
            dictionary.document_frequency.iter().map(u64::to_string).collect::<Vec<_>>(),
            expected.iter().map(|row| row[2]).collect::<Vec<_>>()
        );
        assert_eq!(dictionary.documents, Some(78));
        assert_eq!(written(&dictionary, Order::Word), BY_WORD);
        // Older files begin with the first term.
        let (count, headless) = BY_WORD.split_once('\n').unwrap();
        assert_eq!(parse(headless).unwrap(), DictionaryFile { documents: None, ..dictionary.clone() });
        let by_id = written(&dictionary, Order::Id);
        assert!(by_id.starts_with(&format!("{count}\n0\t{}\t", dictionary.terms[0])));
        assert_eq!(parse(&by_id).unwrap(), dictionary);
        assert_eq!(parse(&by_id.replace('\n', "\r\n")).unwrap(), dictionary);
    }

    #[test]
    fn it_is_told_from_a_list_of_terms() {
        for (text, ours) in [
            ("3\n0\ta\t1\n", true),
            ("0\ta\t1\n", true),
            ("2024\nyear\n", false),
            ("a\nb\n", false),
            ("7\n", false),
            ("", false),
        ] {
            assert_eq!(DictionaryFile::recognises(text), ours, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_dictionary_is_refused_by_line() {
        for (text, expected) in [
            ("words\n0\ta\t1\n", "d.txt:1: expected the number of documents"),
            ("9\n0\ta\t1\n2\tb\t1\n", "d.txt:3: id 2 in a dictionary of 2 terms: ids must have no gaps"),
            ("9\n0\ta\t1\n0\tb\t1\n", "d.txt:3: id 0 is given twice"),
            ("0\ta\t1\n1\ta\t1\n", "d.txt:2: term \"a\" is given twice"),
            ("9\n0\ta\t1\nb\n", "d.txt:3: expected an id, a term and a frequency"),
            ("0\ta\t1\n1\t\t1\n", "d.txt:2: the term is empty"),
            ("0\ta\t-1\n", "d.txt:1: expected"),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        let wrong = DictionaryFile { terms: vec!["a\tb".into()], document_frequency: vec![1], documents: None };
        assert!(wrong.write(&mut Vec::new(), Order::Id).unwrap_err().to_string().contains("\"a\\tb\""));
    }
}

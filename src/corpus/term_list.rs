//! The dictionary beside a matrix: which term each column stands for.

use crate::corpus::dictionary_file::DictionaryFile;
use crate::corpus::tokenizer::TokenizerSpec;
use crate::corpus::word_list::text_of;
use crate::error::{At, Error, Result};
use crate::store::column::StringReader;
use crate::store::file::{AtFile, OpenFile};
use crate::store::provenance;
use serde::Deserialize;
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

/// Reads the terms of a matrix with `columns` columns from a file of one of two formats, plain or compressed:
///
/// - a term a line, the first for column 0;
/// - gensim's text format ([`DictionaryFile`]).
///
/// Terms beyond the columns are kept: the last ones of a dictionary may occur in no document.
///
/// Errors: fewer terms than columns, an empty term, no UTF-8; those of [`DictionaryFile::parse`].
pub fn read(path: &Path, columns: u32) -> Result<Vec<String>> {
    let text = text_of(path)?;
    let terms = if DictionaryFile::recognises(&text) {
        DictionaryFile::parse(&text, path)?.terms
    } else {
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    if let Some(empty) = terms.iter().position(String::is_empty) {
        return Err(Error::failed(format!("{}: the term of column {empty} is empty", path.display())));
    }
    if terms.len() < columns as usize {
        let (path, count) = (path.display(), terms.len());
        return Err(Error::failed(format!("{path}: {count} terms for a matrix of {columns} columns")));
    }
    Ok(terms)
}

/// A dictionary that is to be used again.
#[derive(Debug, Clone, PartialEq)]
pub struct Reused {
    /// Its terms, each once.
    pub terms: Vec<String>,
    /// How text was cut into them, where the file tells: those of ours that go back to raw text do.
    pub tokenizer: Option<TokenizerSpec>,
}

/// The dictionary of one of our files that has one, or of a text file as [`read`] takes it.
///
/// Errors: a file without a dictionary, a term twice; those of [`read`].
pub fn of_dictionary(path: &Path) -> Result<Reused> {
    let refuse = |what: String| Err(Error::failed(format!("{}: {what}", path.display())));
    let mut head = Vec::new();
    if !path.is_dir() {
        std::fs::File::open(path).at(path)?.take(4).read_to_end(&mut head).at(path)?;
    }
    let mut tokenizer = None;
    let terms = match head[..] {
        [0x89, b'H', b'D', b'F'] => {
            let open = OpenFile::open(path)?;
            if !open.file.link_exists("terms") {
                return refuse(format!("holds {}, which come without a dictionary", open.format.description()));
            }
            let made = open.provenance()?;
            tokenizer = provenance::step(&made, "build")
                .and_then(|build| TokenizerSpec::deserialize(&build["parameters"]["tokenizer"]).ok());
            let terms = || StringReader::open(&open.file, path, "terms").and_then(|terms| terms.read(0, terms.len()));
            terms().at_file(path)?
        }
        // The protocols of Python's pickle that gensim has used.
        [0x80, 2..=5, ..] => return refuse("a pickled Dictionary; write it with gensim's save_as_text".into()),
        _ => read(path, 0)?,
    };
    let mut met = HashSet::with_capacity(terms.len());
    match terms.iter().find(|&term| !met.insert(term)) {
        _ if terms.is_empty() => refuse("holds no terms".into()),
        Some(term) => refuse(format!("the dictionary has the term {term:?} twice")),
        None => Ok(Reused { terms, tokenizer }),
    }
}

/// Terms for a matrix that comes without a dictionary.
pub fn invented(columns: u32) -> Vec<String> {
    (0..columns).map(|column| format!("term{column}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: impl AsRef<[u8]>, columns: u32) -> Result<Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dictionary");
        std::fs::write(&path, text).unwrap();
        read(&path, columns)
    }

    #[test]
    fn both_formats_are_read() {
        assert_eq!(parse("a\nb c\n12\n", 3).unwrap(), ["a", "b c", "12"]);
        assert_eq!(parse("a\nb\n12", 2).unwrap(), ["a", "b", "12"]);
        // As gensim writes it: sorted by term, after the number of documents.
        assert_eq!(parse("9\n1\tcomputer\t2\n0\thuman\t2\n2\tuser\t3\n", 3).unwrap(), ["human", "computer", "user"]);
        assert_eq!(parse("1\tb\t2\n0\ta\t2\n", 2).unwrap(), ["a", "b"]);
        // A plain list may begin with a number.
        assert_eq!(parse("2024\nyear\n", 2).unwrap(), ["2024", "year"]);
    }

    #[test]
    fn a_dictionary_has_terms_and_each_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d");
        let terms = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            of_dictionary(&path).map(|found| found.terms).map_err(|e| e.to_string())
        };
        assert_eq!(terms(b"5\n1\tb\t2\n0\ta\t2\n").unwrap(), ["a", "b"]);
        assert!(terms(b"a\nb\na\n").unwrap_err().contains("the term \"a\" twice"));
        assert!(terms(b"").unwrap_err().contains("holds no terms"));
        assert!(terms(b"\x80\x04\x95rest").unwrap_err().contains("save_as_text"));
        assert!(terms(b"\x89HDF\r\n\x1a\nrest").unwrap_err().contains("damaged"));
        assert!(of_dictionary(folder.path()).unwrap_err().to_string().contains("is a folder"));
    }

    #[test]
    fn gaps_repetitions_and_short_lists_are_refused() {
        let refusal = |text: &[u8], columns| parse(text, columns).unwrap_err().to_string();
        assert!(refusal(b"a\nb\n", 3).contains("2 terms for a matrix of 3 columns"));
        assert!(refusal(b"9\n0\ta\t1\n2\tb\t1\n", 2).contains(":3: id 2 in a dictionary of 2"));
        assert!(refusal(b"9\n0\ta\t1\n0\tb\t1\n", 2).contains(":3: id 0 is given twice"));
        assert!(refusal(b"9\n0\ta\t1\nb\n", 2).contains(":3: expected"));
        assert!(refusal(b"a\n\nb\n", 3).contains("column 1 is empty"));
        assert!(refusal(b"a\n\xff\n", 2).contains(":2: is not UTF-8"));
        assert_eq!(invented(2), ["term0", "term1"]);
    }
}

//! The dictionary beside a matrix: which term each column stands for.

use crate::error::{At, Error, Result};
use std::path::Path;

/// Reads the terms of a matrix with `columns` columns from a file of one of two formats:
///
/// - a term a line, the first for column 0;
/// - gensim's `Dictionary.save_as_text`: a line with the number of documents, then `id<TAB>term<TAB>document frequency`
///   in any order; older files leave out the first line.
///
/// Terms beyond the columns are kept: the last ones of a dictionary may occur in no document.
///
/// Errors name the line: fewer terms than columns, an id twice or missing, an empty term, no UTF-8.
pub fn read(path: &Path, columns: u32) -> Result<Vec<String>> {
    let text = std::fs::read(path).at(path)?;
    let text = String::from_utf8(text).map_err(|e| {
        let line = memchr::memchr_iter(b'\n', &e.as_bytes()[..e.utf8_error().valid_up_to()]).count() + 1;
        Error::failed(format!("{}:{line}: is not UTF-8; convert the dictionary first", path.display()))
    })?;
    let refuse = |line: usize, what: String| Err(Error::failed(format!("{}:{}: {what}", path.display(), line + 1)));
    let lines: Vec<&str> = text.lines().collect();
    let has_count = lines.first().is_some_and(|line| line.trim().parse::<u64>().is_ok());
    let first = usize::from(has_count && lines.get(1).is_some_and(|line| numbered(line).is_some()));
    let mut terms: Vec<String> = Vec::new();
    if lines.get(first).is_some_and(|line| numbered(line).is_some()) {
        let count = lines.len() - first;
        let mut slots = vec![None; count];
        for (number, line) in lines.iter().enumerate().skip(first) {
            match numbered(line) {
                None => return refuse(number, "expected an id, a term and a frequency, separated by tabs".into()),
                Some((id, _)) if id >= count => {
                    return refuse(number, format!("id {id} in a dictionary of {count} terms: ids must have no gaps"));
                }
                Some((id, _)) if slots[id].is_some() => return refuse(number, format!("id {id} is given twice")),
                Some((id, term)) => slots[id] = Some(term.to_string()),
            }
        }
        // As many distinct ids below the count as there are lines: none is missing.
        terms.extend(slots.into_iter().flatten());
    } else {
        terms.extend(lines.iter().map(|line| line.to_string()));
    }
    if let Some(empty) = terms.iter().position(String::is_empty) {
        return Err(Error::failed(format!("{}: the term of column {empty} is empty", path.display())));
    }
    if terms.len() < columns as usize {
        let (path, count) = (path.display(), terms.len());
        return Err(Error::failed(format!("{path}: {count} terms for a matrix of {columns} columns")));
    }
    Ok(terms)
}

/// Id and term of a line of gensim's format.
fn numbered(line: &str) -> Option<(usize, &str)> {
    let (id, rest) = line.split_once('\t')?;
    let (term, frequency) = rest.rsplit_once('\t')?;
    frequency.trim_end().parse::<u64>().ok()?;
    Some((id.parse().ok()?, term))
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

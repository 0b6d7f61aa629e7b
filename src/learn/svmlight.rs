//! A feature matrix in the format of SVMlight and LIBSVM: sparse rows of real numbers with a class or a number to learn.
//!
//! It is read as `corpuscle import` reads it ([`row_lines`](crate::corpus::row_lines)), but in double precision, negative values
//! included, and columns are counted from 1, or from 0 where a row has a column 0, as scikit-learn's `load_svmlight_file` guesses.
//! Cost: the file is read whole. Memory: its text, and 12 bytes a nonzero.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::features::Sparse;
use crate::corpus::compression::Compression;
use crate::corpus::records::newlines;
use crate::corpus::row_lines::{Mistake, RowFormat, RowLines};
use crate::error::{At, Error, Result};

/// Rows and what stands before each: its class or number.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// X.
    pub rows: Sparse,
    /// y.
    pub labels: Vec<String>,
}

/// Reads a file, compressed or not.
///
/// # Errors
/// A line that is none of this format, named; a file without rows.
pub fn read(path: &Path) -> Result<Labelled> {
    let mut text = Vec::new();
    let head = BufReader::new(File::open(path).at(path)?).fill_buf().at(path)?.to_vec();
    Compression::of(&head).open(path)?.read_to_end(&mut text).at(path)?;
    parse(&text).map_err(|Mistake { at, what }| {
        let line = newlines(&text[..at]) + 1;
        let known = "a file that is neither HDF5, .npy nor .csv is read as SVMlight";
        Error::failed(format!("{}:{line}: {what} ({known})", path.display()))
    })
}

fn parse(text: &[u8]) -> std::result::Result<Labelled, Mistake> {
    let parsed: RowLines<f64> = RowLines::parse_values(text, RowFormat::Svmlight { zero_based: true })?;
    let columns = parsed.terms as usize;
    let (begins, mut indices, values, labels) = parsed.into_parts();
    let Some(labels) = labels else { return Err(Mistake { at: 0, what: "there is no row".to_owned() }) };
    // Columns that are named with zeros only do not tell.
    let from_one = !indices.contains(&0);
    if from_one {
        indices.iter_mut().for_each(|column| *column -= 1);
    }
    let begins = begins.into_iter().map(|begin| begin as usize).collect();
    let columns = columns.saturating_sub(usize::from(from_one)).max(1);
    Ok(Labelled { rows: Sparse { columns, begins, indices, values }, labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_real_and_columns_counted_from_what_there_is() {
        let found = parse(b"+1 1:-0.1 3:1e-300 # a comment\n\n-1 qid:4 2:16777217\n2.5\n").unwrap();
        assert_eq!(found.labels, ["+1", "-1", "2.5"]);
        assert_eq!(found.rows.begins, [0, 2, 3, 3]);
        assert_eq!(found.rows.indices, [0, 2, 1]);
        assert_eq!(found.rows.values, [-0.1, 1e-300, 16_777_217.0]);
        assert_eq!(found.rows.columns, 3);
        let zero = parse(b"a 0:1 2:1\nb 1:2\n").unwrap();
        assert_eq!((zero.rows.columns, zero.rows.indices), (3, vec![0, 2, 1]));
        assert_eq!(parse(b"a 1:1\nb x\n").unwrap_err().at, 6);
        assert!(parse(b"# nothing\n").unwrap_err().what.contains("no row"));
    }
}

//! The first line of a document-term matrix in CSV: the terms of its columns, or the first document already.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use rustc_hash::FxHashSet;

use crate::corpus::text::{MAX_RECORD_BYTES, TextFile};
use crate::error::{At, Error, Result, one_line};

/// What the first line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvHeader {
    /// Columns of the matrix.
    pub columns: u32,
    /// Their terms, if the first line names them: if not all of its fields are numbers. gensim's `CsvCorpus` and
    /// `pandas.read_csv` go about it like that.
    pub terms: Option<Vec<String>>,
}

impl CsvHeader {
    /// Reads the first line; a header is passed over in what is read of the file from then on.
    ///
    /// # Errors
    /// A line that is no CSV or too long; a column without a name, such as the index that pandas writes; a term twice.
    pub fn read(path: &Path, file: &mut TextFile) -> Result<CsvHeader> {
        let refuse = |what: String| Error::failed(format!("{}:{}: {what}", path.display(), file.data_line));
        let mut reader = BufReader::new(file.compression.open(path)?);
        // Behind a byte order mark, if there is one.
        std::io::copy(&mut (&mut reader).take(file.data_offset), &mut std::io::sink()).at(path)?;
        let mut line = Vec::new();
        let length = (&mut reader).take(MAX_RECORD_BYTES).read_until(b'\n', &mut line).at(path)?;
        let mut record = csv::StringRecord::new();
        let mut parser = csv::ReaderBuilder::new().has_headers(false).from_reader(&line[..]);
        if !parser.read_record(&mut record).map_err(|cause| refuse(one_line(&cause)))? {
            return Err(refuse("a blank line where terms, or the numbers of a document, are wanted".to_owned()));
        }
        let columns = u32::try_from(record.len()).ok().filter(|&columns| columns < i32::MAX as u32);
        let columns = columns.ok_or_else(|| refuse(format!("{} columns are too many", record.len())))?;
        if record.iter().all(|field| field.trim().parse::<f64>().is_ok()) {
            return Ok(CsvHeader { columns, terms: None });
        }
        if let Some(unnamed) = record.iter().position(|term| term.trim().is_empty()) {
            return Err(refuse(format!(
                "column {} has no name; if it holds an index, as pandas writes one, write the table with index=False",
                unnamed + 1
            )));
        }
        let mut met = FxHashSet::default();
        if let Some(twice) = record.iter().find(|&term| !met.insert(term)) {
            return Err(refuse(format!("the term {twice:?} is named twice")));
        }
        let terms = record.iter().map(str::to_owned).collect();
        file.data_offset += length as u64;
        file.data_line += 1;
        Ok(CsvHeader { columns, terms: Some(terms) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::text::{InputFormat, TextSpec};

    fn read(text: &str) -> Result<(CsvHeader, u64)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.csv");
        std::fs::write(&path, text).unwrap();
        let spec = TextSpec { format: Some(InputFormat::Lines), ..TextSpec::new(vec![path.clone()]) };
        let mut plan = spec.check().unwrap();
        let header = CsvHeader::read(&path, &mut plan.files[0])?;
        Ok((header, plan.files[0].data_offset))
    }

    #[test]
    fn terms_or_the_first_document() {
        let terms = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        let (header, offset) = read("ape,\"New York, NY\",\"a \"\"b\"\"\"\r\n0,1,2\n").unwrap();
        assert_eq!((header.columns, header.terms), (3, terms(&["ape", "New York, NY", "a \"b\""])));
        assert_eq!(offset, 30);
        assert_eq!(read("\u{feff}a,b\n1,2\n").unwrap().1, 7);
        let (header, offset) = read("0, 1.5,2e3\n").unwrap();
        assert_eq!((header, offset), (CsvHeader { columns: 3, terms: None }, 0));
        for (text, what) in [
            (",ape,bat\n0,1,2\n", "m.csv:1: column 1 has no name; if it holds an index"),
            ("ape,bat,ape\n", "m.csv:1: the term \"ape\" is named twice"),
            ("\n1,2\n", "m.csv:1: a blank line"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(what), "{message}");
        }
    }
}

//! Names of documents, a line each: ids or labels that come beside a matrix.

use crate::corpus::compression::Compression;
use crate::error::{At, Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// A file with a line for each document, read as the documents come.
pub struct NameList {
    path: PathBuf,
    lines: BufReader<Box<dyn Read + Send>>,
    /// Lines read so far.
    read: u64,
}

impl NameList {
    /// Opens the file, plain or compressed.
    pub fn open(path: &Path) -> Result<NameList> {
        let file = File::open(path).at(path)?;
        if file.metadata().at(path)?.is_dir() {
            return Err(Error::failed(format!(
                "{}: is a folder; name a file with a line for each document",
                path.display()
            )));
        }
        let mut head = Vec::new();
        file.take(16).read_to_end(&mut head).at(path)?;
        let lines = BufReader::new(Compression::of(&head).open(path)?);
        Ok(NameList { path: path.to_path_buf(), lines, read: 0 })
    }

    /// The names of the next `count` documents.
    ///
    /// Errors name the line: no more lines, an empty one, no UTF-8.
    pub fn take(&mut self, count: usize) -> Result<Vec<String>> {
        // Not `with_capacity`: how many there are is for the file to say.
        let mut names = Vec::new();
        for _ in 0..count {
            let Some(line) = self.line()? else {
                return Err(Error::failed(format!(
                    "{}:{}: the file ends, but there are more documents; it must have a line for each",
                    self.path.display(),
                    self.read + 1
                )));
            };
            let refuse = |what: &str| Err(Error::failed(format!("{}:{}: {what}", self.path.display(), self.read)));
            match String::from_utf8(line) {
                Ok(name) if name.is_empty() => return refuse("the line is empty; each document needs a name"),
                Ok(name) => names.push(name),
                Err(_) => return refuse("is not UTF-8; convert the file first"),
            }
        }
        Ok(names)
    }

    /// Makes sure that no line is left.
    pub fn end(mut self) -> Result<()> {
        let documents = self.read;
        match self.line()? {
            None => Ok(()),
            Some(_) => Err(Error::failed(format!(
                "{}:{}: more lines than the {documents} documents; it must have a line for each",
                self.path.display(),
                self.read
            ))),
        }
    }

    /// The next line without its end; none behind the last.
    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        if self.lines.read_until(b'\n', &mut line).at(&self.path)? == 0 {
            return Ok(None);
        }
        self.read += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &[u8]) -> NameList {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        NameList { path: "names".into(), ..NameList::open(file.path()).unwrap() }
    }

    #[test]
    fn there_is_a_line_for_each_document() {
        let mut names = list("a b\r\nc\né".as_bytes());
        assert_eq!(names.take(2).unwrap(), ["a b", "c"]);
        assert_eq!(names.take(0).unwrap(), [""; 0]);
        assert_eq!(names.take(1).unwrap(), ["é"]);
        names.end().unwrap();
        assert_eq!(list(&Compression::Gzip.compress(b"a\nb\n".to_vec())).take(2).unwrap(), ["a", "b"]);
        let refusal = |text: &[u8]| list(text).take(2).unwrap_err().to_string();
        assert!(refusal(b"a\n").starts_with("names:2: the file ends"));
        assert!(refusal(b"a\n\nb\n").starts_with("names:2: the line is empty"));
        assert!(refusal(b"a\n\xff\n").starts_with("names:2: is not UTF-8"));
        let mut long = list(b"a\nb\n");
        long.take(1).unwrap();
        assert!(long.end().unwrap_err().to_string().starts_with("names:2: more lines than the 1 documents"));
        assert!(NameList::open(Path::new("/")).is_err());
    }
}

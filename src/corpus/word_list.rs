//! Lists of words that come with the command line: written there, or in a file with a word a line.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::corpus::compression::Compression;
use crate::error::{At, Error, Result};

/// Where words come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordList {
    /// The words themselves.
    Words(Vec<String>),
    /// A file with a word a line.
    File(PathBuf),
}

impl WordList {
    /// From the command line: words separated by commas, or `@` and the name of a file.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('@') {
            Some(path) => WordList::File(path.into()),
            None => WordList::Words(text.split(',').map(str::trim).filter(|w| !w.is_empty()).map(Into::into).collect()),
        }
    }

    /// The words.
    ///
    /// # Errors
    /// Those of [`read`].
    pub fn read(&self) -> Result<Vec<String>> {
        match self {
            WordList::Words(words) => Ok(words.clone()),
            WordList::File(path) => read(path),
        }
    }
}

/// The words of a file, one a line, in the order they stand there. White space around a word is no part of it, empty
/// lines are none; within it there may be some, for terms of several words.
///
/// # Errors
/// The file cannot be read, is not UTF-8, or holds no word.
pub fn read(path: &Path) -> Result<Vec<String>> {
    let text = text_of(path)?;
    let words = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    if words.is_empty() {
        return Err(Error::failed(format!("{}: holds no words; expected one a line", path.display())));
    }
    Ok(words)
}

/// All of a small file of text, decompressed and without a byte order mark.
///
/// # Errors
/// The file cannot be read, its stream is damaged, or it is not UTF-8; the line is named.
pub fn text_of(path: &Path) -> Result<String> {
    if std::fs::metadata(path).at(path)?.is_dir() {
        return Err(Error::failed(format!("{}: is a folder, expected a file of text", path.display())));
    }
    let mut head = Vec::new();
    std::fs::File::open(path).at(path)?.take(16).read_to_end(&mut head).at(path)?;
    let mut bytes = Vec::new();
    Compression::of(&head).open(path)?.read_to_end(&mut bytes).at(path)?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let line = memchr::memchr_iter(b'\n', &e.as_bytes()[..e.utf8_error().valid_up_to()]).count() + 1;
        Error::failed(format!("{}:{line}: is not UTF-8; convert the file first", path.display()))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_on_the_command_line_or_in_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        std::fs::write(&path, "\u{feff}one\r\n\n  new york \nétat").unwrap();
        let expected = ["one", "new york", "état"];
        assert_eq!(WordList::parse(&format!("@{}", path.display())).read().unwrap(), expected);
        assert_eq!(WordList::parse("one, new york,,état").read().unwrap(), expected);
        let packed = zstd::encode_all("one\nnew york\nétat\n".as_bytes(), 1).unwrap();
        std::fs::write(&path, packed).unwrap();
        assert_eq!(read(&path).unwrap(), expected);
    }

    #[test]
    fn files_without_words_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        let refusal = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).unwrap_err().to_string()
        };
        assert!(refusal(b" \n\n").contains("words: holds no words"));
        assert!(refusal(b"a\nb\xff\n").contains("words:2: is not UTF-8"));
        assert!(read(dir.path()).unwrap_err().to_string().contains("is a folder"));
        assert!(read(&dir.path().join("none")).unwrap_err().to_string().contains("none: No such file"));
    }
}

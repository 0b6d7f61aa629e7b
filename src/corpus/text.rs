//! Raw text as input: which files there are, what they hold, and where in them the documents are.
//!
//! [`TextSpec`] is what the user asked for, [`TextPlan`] what the files turned out to be. The dispatcher checks the one
//! into the other once and broadcasts it; everybody trusts it from then on.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::corpus::compression::Compression;
use crate::corpus::folder::{Listed, Listing};
use crate::corpus::records::{RecordScanner, newlines};
use crate::corpus::wiki::{self, WikiSpec};
use crate::error::{At, Error, Result};

/// Longest single record in bytes; a file without record boundaries is not a corpus.
pub const MAX_RECORD_BYTES: u64 = 1 << 30;
/// Decompressed bytes of text in a piece, unless told otherwise.
pub const DEFAULT_PIECE_BYTES: u64 = 4 << 20;
/// A byte order mark in UTF-8, which some programs put in front of a file.
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Bytes at each end of a file that its fingerprint covers.
const FINGERPRINT_BYTES: u64 = 64 << 10;

/// How documents lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// A document per line.
    Lines,
    /// A JSON object per line.
    Jsonl,
    /// Comma-separated values under a header.
    Csv,
    /// Tab-separated values under a header, quoted as in CSV.
    Tsv,
    /// A folder: a document per file.
    Dir,
    /// A dump of MediaWiki's pages, as Wikipedia publishes them (`pages-articles.xml`): a document per article.
    Wiki,
    /// Mallet's: a line per document with its id, its label and its text. For `import`.
    #[value(skip)]
    Mallet,
    /// That of GibbsLDA++: a line with the number of documents, then a document per line. For `import`.
    #[value(skip)]
    Low,
}

/// Names of the fields of a document that is a file: its path within the folder, and the first folder on it.
const DIR_FIELDS: (&str, &str) = ("path", "folder");

impl InputFormat {
    /// The format a file's name promises, under the ending of a compressor: lines unless it says otherwise.
    pub fn of_name(path: &Path) -> Self {
        let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let name = [".gz", ".bz2", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
        match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("jsonl" | "ndjson" | "json") => InputFormat::Jsonl,
            Some("csv") => InputFormat::Csv,
            Some("tsv" | "tab") => InputFormat::Tsv,
            Some("xml") => InputFormat::Wiki,
            _ => InputFormat::Lines,
        }
    }

    /// Byte between fields, for the formats that have columns.
    pub fn delimiter(self) -> Option<u8> {
        match self {
            InputFormat::Csv => Some(b','),
            InputFormat::Tsv => Some(b'\t'),
            _ => None,
        }
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            InputFormat::Lines => "lines",
            InputFormat::Jsonl => "jsonl",
            InputFormat::Csv => "csv",
            InputFormat::Tsv => "tsv",
            InputFormat::Dir => "dir",
            InputFormat::Wiki => "wiki",
            InputFormat::Mallet => "mallet",
            InputFormat::Low => "low",
        }
    }
}

/// What to do about bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum InvalidUtf8 {
    /// End with an error that names the line.
    #[default]
    Refuse,
    /// Read U+FFFD in their place.
    Replace,
}

/// Raw text as the user described it.
#[derive(Debug, Clone)]
pub struct TextSpec {
    /// Files, or folders, in the order of their documents.
    pub inputs: Vec<PathBuf>,
    /// How documents lie in them; if left out, `Dir` for folders and by the names of files.
    pub format: Option<InputFormat>,
    /// Field or column with the text: `text` if left out, or the only column of a CSV.
    pub text_field: Option<String>,
    /// Field or column with the document's identifier; without it documents have none. Of a file in a folder, its path.
    pub id_field: Option<String>,
    /// Field or column with the document's label; without it documents have none. `folder` for files in a folder.
    pub label_field: Option<String>,
    /// Decompressed bytes of text handed out at a time. Pieces end on record boundaries.
    pub piece_bytes: u64,
    /// What to do about bytes that are not UTF-8.
    pub invalid_utf8: InvalidUtf8,
    /// Which pages of a dump are documents.
    pub wiki: WikiSpec,
    /// Documents of fewer tokens are left out; 50 in a dump and none elsewhere, if left out.
    pub min_tokens: Option<u64>,
}

impl TextSpec {
    /// The given files with everything else as by default.
    pub fn new(inputs: Vec<PathBuf>) -> Self {
        TextSpec {
            inputs,
            format: None,
            text_field: None,
            id_field: None,
            label_field: None,
            piece_bytes: DEFAULT_PIECE_BYTES,
            invalid_utf8: InvalidUtf8::Refuse,
            wiki: WikiSpec::default(),
            min_tokens: None,
        }
    }

    /// Looks at every file: that it is there and holds something, how it is compressed, and which columns it has.
    ///
    /// # Errors
    /// `Usage` for parameters that contradict each other or the format; `Failed`, with the file's name, for a file that
    /// is missing, empty, damaged at its beginning, or lacks a wanted column.
    pub fn check(&self) -> Result<TextPlan> {
        let Some(first) = self.inputs.first() else {
            return Err(Error::usage("no input: name at least one file of text"));
        };
        if !(1..=MAX_RECORD_BYTES).contains(&self.piece_bytes) {
            return Err(Error::usage(format!(
                "pieces of {} bytes: give a size from 1 byte to 1 GiB; the usual is {DEFAULT_PIECE_BYTES}",
                self.piece_bytes
            )));
        }
        let format = match self.format {
            Some(format) => format,
            None if first.is_dir() => InputFormat::Dir,
            None => {
                let format = InputFormat::of_name(first);
                if let Some(other) = self.inputs.iter().find(|path| InputFormat::of_name(path) != format) {
                    return Err(Error::usage(format!(
                        "{} looks like {} and {} like {}: say which with --input-format",
                        first.display(),
                        format.name(),
                        other.display(),
                        InputFormat::of_name(other).name()
                    )));
                }
                format
            }
        };
        if format == InputFormat::Dir {
            return self.check_folders();
        }
        if format != InputFormat::Wiki && self.wiki != WikiSpec::default() {
            return Err(Error::usage(format!(
                "--namespaces, --skip-titles, --keep-redirects and --keep-markup are for dumps of MediaWiki, not {}",
                format.name()
            )));
        }
        let fields =
            [("--text-field", &self.text_field), ("--id-field", &self.id_field), ("--label-field", &self.label_field)];
        if format == InputFormat::Lines
            && let Some((option, _)) = fields.iter().find(|(_, field)| field.is_some())
        {
            return Err(Error::usage(format!(
                "{option} means nothing for plain lines: leave it out, or say --input-format"
            )));
        }
        let mut fields = Fields {
            text: self.text_field.clone().unwrap_or_else(|| "text".into()),
            text_was_named: self.text_field.is_some(),
            id: self.id_field.clone(),
            label: self.label_field.clone(),
        };
        if format == InputFormat::Wiki {
            wiki::input::check_fields(self)?;
            fields.id.get_or_insert_with(|| wiki::FIELDS.0[0].to_owned());
        }
        let files = self.inputs.iter().map(|path| TextFile::look_at(path, format, &fields, self.invalid_utf8));
        Ok(TextPlan {
            files: files.collect::<Result<_>>()?,
            format,
            fields,
            piece_bytes: self.piece_bytes,
            invalid_utf8: self.invalid_utf8,
            wiki: self.wiki.clone(),
            min_tokens: self.min_tokens.unwrap_or(if format == InputFormat::Wiki { wiki::MIN_TOKENS } else { 0 }),
        })
    }

    /// As [`check`](Self::check), where a document is a file in a folder.
    fn check_folders(&self) -> Result<TextPlan> {
        let (path, folder) = DIR_FIELDS;
        if self.text_field.is_some() {
            return Err(Error::usage(
                "--text-field means nothing for folders, where a document is a file: leave it out",
            ));
        }
        for (option, given, known) in
            [("--id-field", &self.id_field, path), ("--label-field", &self.label_field, folder)]
        {
            if let Some(field) = given.as_ref().filter(|field| *field != known) {
                return Err(Error::usage(format!(
                    "{option} {field}: for files in a folder it can be \"{known}\" only"
                )));
            }
        }
        if let Some(file) = self.inputs.iter().find(|input| input.exists() && !input.is_dir()) {
            return Err(Error::usage(format!(
                "{}: is a file among folders: name folders only, or files only",
                file.display()
            )));
        }
        let files = self.inputs.iter().map(|input| TextFile::look_at_folder(input, self.label_field.is_some()));
        Ok(TextPlan {
            files: files.collect::<Result<_>>()?,
            format: InputFormat::Dir,
            fields: Fields {
                text: "text".into(),
                text_was_named: false,
                id: Some(path.into()),
                label: self.label_field.clone(),
            },
            piece_bytes: self.piece_bytes,
            invalid_utf8: self.invalid_utf8,
            wiki: self.wiki.clone(),
            min_tokens: self.min_tokens.unwrap_or(0),
        })
    }
}

/// Names of the fields a document is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fields {
    /// The text.
    pub text: String,
    /// Whether the user named the text field, or `text` stands in.
    pub text_was_named: bool,
    /// The identifier, if wanted.
    pub id: Option<String>,
    /// The label, if wanted.
    pub label: Option<String>,
}

/// Raw text, looked at: made by [`TextSpec::check`] on the dispatcher, the same on every rank.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPlan {
    /// The files in order.
    pub files: Vec<TextFile>,
    /// How documents lie in all of them.
    pub format: InputFormat,
    /// Which fields a document is made of.
    pub fields: Fields,
    /// Decompressed bytes of text handed out at a time.
    pub piece_bytes: u64,
    /// What to do about bytes that are not UTF-8.
    pub invalid_utf8: InvalidUtf8,
    /// Which pages of a dump are documents.
    pub wiki: WikiSpec,
    /// Documents of fewer tokens are left out.
    pub min_tokens: u64,
}

impl TextPlan {
    /// Whether pieces of a file are ranges of its compressed bytes, which whoever sees it decompresses.
    pub fn in_ranges(&self, file: &TextFile) -> bool {
        self.format == InputFormat::Wiki && file.compression == Compression::Bzip2
    }

    /// Whether this rank sees every file as the dispatcher does, by content and not by name, and so may read pieces
    /// itself.
    pub fn readable_here(&self) -> bool {
        self.files.iter().all(|file| match self.format {
            InputFormat::Dir => file.listing().is_ok(),
            _ => fingerprint(&file.path).is_ok_and(|seen| seen == file.fingerprint),
        })
    }
}

/// One file of a [`TextPlan`], or one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFile {
    /// Its name as given.
    pub path: PathBuf,
    /// Its length on disk in bytes; of a folder, of all its files.
    pub bytes: u64,
    /// How it is compressed; nothing is said here about the files of a folder.
    pub compression: Compression,
    /// Offset of the first record in the decompressed stream: behind a byte order mark and the header.
    pub data_offset: u64,
    /// Line of the first record, counted from 1.
    pub data_line: u64,
    /// Columns of a CSV or TSV.
    pub columns: Option<Columns>,
    /// Number of its documents, where it begins with that.
    pub announced: Option<u64>,
    /// [`fingerprint`] of the file, [`Listing::digest`] of the folder.
    pub fingerprint: [u8; 32],
    /// What is in the folder.
    #[serde(skip)]
    pub listed: Listed,
}

/// Where the fields lie in the records of a CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Columns {
    /// Number of columns; every record must have as many.
    pub count: usize,
    /// Column of the text.
    pub text: usize,
    /// Column of the identifier, if wanted.
    pub id: Option<usize>,
    /// Column of the label, if wanted.
    pub label: Option<usize>,
}

impl TextFile {
    fn look_at(path: &Path, format: InputFormat, fields: &Fields, invalid_utf8: InvalidUtf8) -> Result<Self> {
        let meta = std::fs::metadata(path).at(path)?;
        let refuse = |why: &str| Err(Error::failed(format!("{}: {why}", path.display())));
        if meta.is_dir() {
            return refuse("is a folder: say --input-format dir to make each file in it a document, or name the files");
        }
        if !meta.is_file() {
            return refuse("is not a regular file: write what it delivers to a file first");
        }
        if meta.len() == 0 {
            return refuse("is empty: remove it from the inputs");
        }
        let mut head = Vec::with_capacity(16);
        File::open(path).at(path)?.take(16).read_to_end(&mut head).at(path)?;
        let compression = Compression::of(&head);
        let mut stream = compression.open(path)?;
        let mut file = TextFile {
            path: path.to_path_buf(),
            bytes: meta.len(),
            compression,
            data_offset: 0,
            data_line: 1,
            columns: None,
            announced: None,
            fingerprint: fingerprint(path)?,
            listed: Listed::default(),
        };
        let mut buffer = Vec::new();
        read_more(&mut stream, &mut buffer, BOM.len() as u64, &file)?;
        if buffer.is_empty() {
            return refuse(&format!(
                "holds nothing once decompressed ({}): remove it from the inputs",
                compression.name()
            ));
        }
        if buffer == BOM {
            file.data_offset = BOM.len() as u64;
            buffer.clear();
        }
        if let Some(delimiter) = format.delimiter() {
            file.read_header(&mut stream, buffer, delimiter, fields, invalid_utf8)?;
        } else if format == InputFormat::Low {
            file.read_announcement(&mut stream, buffer)?;
        } else if format == InputFormat::Wiki {
            wiki::input::check_dump(&file, &mut stream, buffer)?;
        }
        Ok(file)
    }

    /// Reads the first line as the number of documents; they begin below it.
    fn read_announcement(&mut self, stream: &mut dyn Read, mut buffer: Vec<u8>) -> Result<()> {
        // No number that a file can hold as many lines of is longer.
        read_more(stream, &mut buffer, 64, self)?;
        let line = memchr::memchr(b'\n', &buffer).map(|end| &buffer[..end]);
        let number = line.and_then(|line| std::str::from_utf8(line).ok()).and_then(|line| line.trim().parse().ok());
        let (Some(line), Some(number)) = (line, number) else {
            let what = "expected the number of documents in the first line, as files of GibbsLDA++ have it";
            return Err(Error::failed(format!("{}:1: {what}", self.path.display())));
        };
        self.data_offset += line.len() as u64 + 1;
        self.data_line += 1;
        self.announced = Some(number);
        Ok(())
    }

    fn look_at_folder(path: &Path, labelled: bool) -> Result<Self> {
        std::fs::metadata(path).at(path)?;
        let listing = Listing::walk(path)?;
        if listing.entries().is_empty() {
            return Err(Error::failed(format!("{}: holds no files, but for hidden ones", path.display())));
        }
        for link in &listing.loops {
            log::warn!("{}: passed over: the link leads back to a folder that it lies in", link.display());
        }
        if labelled && let Some(entry) = listing.entries().iter().find(|entry| entry.path.components().count() < 2) {
            return Err(Error::failed(format!(
                "{}: lies in no folder that could be its label: move it into one, or leave out --label-field",
                path.join(&entry.path).display()
            )));
        }
        Ok(TextFile {
            path: path.to_path_buf(),
            bytes: listing.entries().iter().map(|entry| entry.bytes).sum(),
            compression: Compression::None,
            data_offset: 0,
            data_line: 1,
            columns: None,
            announced: None,
            fingerprint: listing.digest()?,
            listed: listing.into(),
        })
    }

    /// The files of a folder.
    ///
    /// # Errors
    /// It cannot be read, or is not the one that was looked at.
    pub fn listing(&self) -> Result<&Listing> {
        self.listed.get(&self.path, &self.fingerprint)
    }

    /// Reads the first record that is not blank as the header; data begin behind it.
    fn read_header(
        &mut self,
        stream: &mut dyn Read,
        mut buffer: Vec<u8>,
        delimiter: u8,
        fields: &Fields,
        invalid_utf8: InvalidUtf8,
    ) -> Result<()> {
        let failed = |line: u64, why: String| Error::failed(format!("{}:{line}: {why}", self.path.display()));
        let mut scanner = RecordScanner::new(Some(delimiter));
        let mut ended = false;
        let header = loop {
            match scanner.find(&buffer, 1, ended) {
                // Blank lines are no records, neither here nor for the parser of the data.
                Some(end) if buffer[..end].iter().all(|b| matches!(b, b'\r' | b'\n')) => {
                    self.data_offset += end as u64;
                    self.data_line += newlines(&buffer[..end]);
                    buffer.drain(..end);
                    scanner.restart();
                }
                Some(end) => {
                    buffer.truncate(end);
                    break buffer;
                }
                None if ended => {
                    return Err(failed(
                        self.data_line,
                        "there are no records: expected a header and lines below it".into(),
                    ));
                }
                None if buffer.len() as u64 > MAX_RECORD_BYTES => {
                    return Err(failed(self.data_line, "the header is longer than 1 GiB: is this a CSV?".into()));
                }
                None => ended = read_more(stream, &mut buffer, 64 << 10, self)? == 0,
            }
        };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(&header[..]);
        let mut record = csv::ByteRecord::new();
        reader.read_byte_record(&mut record).at(&self.path)?;
        let names = record.iter().map(|name| match (std::str::from_utf8(name), invalid_utf8) {
            (Ok(name), _) => Ok(name.to_owned()),
            (Err(_), InvalidUtf8::Replace) => Ok(String::from_utf8_lossy(name).into_owned()),
            (Err(_), InvalidUtf8::Refuse) => Err(failed(
                self.data_line,
                "the header is not UTF-8: convert the file, or give --invalid-utf8 replace".into(),
            )),
        });
        let names = names.collect::<Result<Vec<_>>>()?;
        let column = |name: &str, option: &str| {
            let mut at = names.iter().enumerate().filter(|(_, n)| *n == name).map(|(i, _)| i);
            match (at.next(), at.next()) {
                (Some(i), None) => Ok(i),
                (Some(_), Some(_)) => {
                    Err(failed(self.data_line, format!("two columns are named \"{name}\": rename one of them")))
                }
                (None, _) => Err(failed(
                    self.data_line,
                    format!("no column \"{name}\"; there are: {}; choose one with {option}", list(&names)),
                )),
            }
        };
        let text = match names.len() {
            1 if !fields.text_was_named => 0,
            _ => column(&fields.text, "--text-field")?,
        };
        let id = fields.id.as_deref().map(|name| column(name, "--id-field")).transpose()?;
        let label = fields.label.as_deref().map(|name| column(name, "--label-field")).transpose()?;
        self.columns = Some(Columns { count: names.len(), text, id, label });
        self.data_offset += header.len() as u64;
        self.data_line += newlines(&header);
        Ok(())
    }
}

/// Names of columns or fields for a message, the first dozen of them.
pub(crate) fn list(names: &[String]) -> String {
    let shown = names.iter().take(12).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    if names.len() > 12 { format!("{shown} and {} more", names.len() - 12) } else { shown }
}

/// Appends up to `bytes` from the stream; fewer only at its end. Returns how many.
pub(crate) fn read_more(stream: &mut dyn Read, buffer: &mut Vec<u8>, bytes: u64, file: &TextFile) -> Result<usize> {
    stream.take(bytes).read_to_end(buffer).map_err(|cause| match file.compression {
        Compression::None => Error::failed(format!("{}: {cause}", file.path.display())),
        compression => Error::failed(format!(
            "{}: the {} stream is damaged or cut off ({cause}): get the file again",
            file.path.display(),
            compression.name()
        )),
    })
}

/// Digest of a file's length and its first and last 64 KiB: tells whether two ranks see the same file under a name
/// without reading all of it.
pub fn fingerprint(path: &Path) -> Result<[u8; 32]> {
    let mut file = File::open(path).at(path)?;
    let bytes = file.metadata().at(path)?.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&bytes.to_le_bytes());
    for offset in [0, bytes.saturating_sub(FINGERPRINT_BYTES)] {
        file.seek(SeekFrom::Start(offset)).at(path)?;
        let mut end = Vec::new();
        (&mut file).take(FINGERPRINT_BYTES).read_to_end(&mut end).at(path)?;
        hasher.update(&end);
    }
    Ok(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dir: &Path, files: &[(&str, &[u8])], format: Option<InputFormat>) -> Result<TextPlan> {
        let inputs = files.iter().map(|(name, bytes)| {
            std::fs::write(dir.join(name), bytes).unwrap();
            dir.join(name)
        });
        TextSpec { format, ..TextSpec::new(inputs.collect()) }.check()
    }

    #[test]
    fn names_promise_formats() {
        for (name, format) in [
            ("a.txt", InputFormat::Lines),
            ("a", InputFormat::Lines),
            ("csv", InputFormat::Lines),
            ("a.jsonl.gz", InputFormat::Jsonl),
            ("a.b.NDJSON", InputFormat::Jsonl),
            ("a.csv.zst", InputFormat::Csv),
            ("a.TSV.bz2", InputFormat::Tsv),
        ] {
            assert_eq!(InputFormat::of_name(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn useless_inputs_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let message = |files: &[(&str, &[u8])]| check(dir.path(), files, None).unwrap_err().to_string();
        assert!(message(&[("empty", b"")]).contains("empty: is empty"));
        let nothing = zstd::encode_all(&b""[..], 1).unwrap();
        assert!(message(&[("nothing", &nothing)]).contains("nothing: holds nothing once decompressed (zstd)"));
        assert!(message(&[("a.csv", b"text,n")]).contains("a.csv:1: there are no records"));
        assert!(message(&[("a.csv", b"text,text\nx,y\n")]).contains("two columns are named \"text\""));
        assert!(message(&[("a.csv", b"te\xffxt,n\nx,y\n")]).contains("the header is not UTF-8"));
        assert!(message(&[("a.csv", b"text\n"), ("b.tsv", b"text\n")]).contains("say which with --input-format"));
        let missing = TextSpec::new(vec![dir.path().join("missing")]).check().unwrap_err();
        assert!(missing.exit_code() == 1 && missing.to_string().contains("missing: "), "{missing}");
        let folder = TextSpec { format: Some(InputFormat::Lines), ..TextSpec::new(vec![dir.path().into()]) };
        let folder = folder.check().unwrap_err().to_string();
        assert!(folder.contains("is a folder: say --input-format dir"), "{folder}");
    }

    #[test]
    fn contradictions_are_mistakes_of_usage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "x\n").unwrap();
        let spec = TextSpec::new(vec![path]);
        for wrong in [
            TextSpec { inputs: vec![], ..spec.clone() },
            TextSpec { piece_bytes: 0, ..spec.clone() },
            TextSpec { piece_bytes: u64::MAX, ..spec.clone() },
            TextSpec { label_field: Some("label".into()), ..spec.clone() },
        ] {
            assert_eq!(wrong.check().unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        spec.check().unwrap();
    }

    #[test]
    fn columns_are_each_files_own() {
        let dir = tempfile::tempdir().unwrap();
        let plan = check(dir.path(), &[("a.csv", b"n,text\n1,x\n"), ("b.csv", b"text\ny\n")], None).unwrap();
        let columns =
            plan.files.iter().map(|file| file.columns.unwrap()).map(|c| (c.count, c.text)).collect::<Vec<_>>();
        assert_eq!(columns, [(2, 1), (1, 0)]);
        assert_eq!(
            plan.files.iter().map(|file| (file.data_offset, file.data_line)).collect::<Vec<_>>(),
            [(7, 2), (5, 2)]
        );
    }

    #[test]
    fn another_file_under_the_name_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = vec![b'x'; 200_000];
        let plan = check(dir.path(), &[("a", &bytes)], None).unwrap();
        assert!(plan.readable_here());
        let sent = serde_json::to_vec(&plan).unwrap();
        assert_eq!(serde_json::from_slice::<TextPlan>(&sent).unwrap(), plan);
        for at in [0, 199_999] {
            bytes[at] = b'y';
            std::fs::write(dir.path().join("a"), &bytes).unwrap();
            assert!(!plan.readable_here());
            bytes[at] = b'x';
        }
        std::fs::write(dir.path().join("a"), &bytes[1..]).unwrap();
        assert!(!plan.readable_here());
        std::fs::remove_file(dir.path().join("a")).unwrap();
        assert!(!plan.readable_here());
    }
}

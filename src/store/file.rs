//! What all result files have in common: HDF5 with a format, a version, a provenance and a seal.
//!
//! Metadata is written in the HDF5 1.10 format, whose every piece carries a checksum; object times are off, so that equal
//! content means equal bytes.

use super::atomic::Target;
use super::column::{CHECKSUMS, StringColumn, StringReader};
use super::flush::Flusher;
use super::seal::{self, CHECKSUM, Value};
use crate::error::{At, Error, Result, one_line};
use hdf5::file::LibraryVersion;
use hdf5::{File, Group};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Version of all formats below; raised when a reader of the old version would go wrong.
pub const FORMAT_VERSION: u64 = 1;

/// Dataset with one string: as JSON, how the file was made.
const PROVENANCE: &str = "provenance";

/// The first bytes of every HDF5 file.
const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// Whether a file begins as every HDF5 file does.
pub fn has_signature(path: &Path) -> Result<bool> {
    let mut first = Vec::new();
    std::fs::File::open(path).at(path)?.take(8).read_to_end(&mut first).at(path)?;
    Ok(first == SIGNATURE)
}

/// What a result file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Documents as counts or weights, with their dictionary.
    Corpus,
    /// A latent semantic model: left vectors, singular values.
    Lsi,
    /// Topics as distributions over terms.
    Lda,
    /// Non-negative topics.
    Nmf,
    /// Principal components.
    Pca,
    /// What a random matrix is a function of.
    Projection,
    /// Idfs learned from a corpus.
    Tfidf,
    /// Term weights learned from a corpus, of another scheme than tf-idf.
    Weights,
    /// Dense document vectors.
    Vectors,
    /// Document vectors of length 1, and what turns a text into another one.
    Index,
    /// The nearest documents of an index to some vectors.
    Neighbours,
    /// Pairs of documents of an index that are alike.
    Pairs,
    /// Mean and scale of columns.
    Scaler,
    /// A fitted pipeline: what `search` chose, for `predict`.
    Pipeline,
    /// Scores of the candidates of a search.
    Results,
}

impl Format {
    const ALL: [Format; 15] = [
        Format::Corpus,
        Format::Lsi,
        Format::Lda,
        Format::Nmf,
        Format::Pca,
        Format::Projection,
        Format::Tfidf,
        Format::Weights,
        Format::Vectors,
        Format::Index,
        Format::Neighbours,
        Format::Pairs,
        Format::Scaler,
        Format::Pipeline,
        Format::Results,
    ];

    /// The value of the root attribute `format`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Corpus => "corpuscle-corpus",
            Format::Lsi => "corpuscle-lsi",
            Format::Lda => "corpuscle-lda",
            Format::Nmf => "corpuscle-nmf",
            Format::Pca => "corpuscle-pca",
            Format::Projection => "corpuscle-projection",
            Format::Tfidf => "corpuscle-tfidf",
            Format::Weights => "corpuscle-weights",
            Format::Vectors => "corpuscle-vectors",
            Format::Index => "corpuscle-index",
            Format::Neighbours => "corpuscle-neighbours",
            Format::Pairs => "corpuscle-pairs",
            Format::Scaler => "corpuscle-scaler",
            Format::Pipeline => "corpuscle-pipeline",
            Format::Results => "corpuscle-results",
        }
    }

    /// The words for a message.
    pub fn description(self) -> &'static str {
        match self {
            Format::Corpus => "a corpus",
            Format::Lsi => "an LSI model",
            Format::Lda => "an LDA model",
            Format::Nmf => "an NMF model",
            Format::Pca => "a PCA model",
            Format::Projection => "a random projection",
            Format::Tfidf => "a tf-idf model",
            Format::Weights => "a model of term weights",
            Format::Vectors => "document vectors",
            Format::Index => "an index",
            Format::Neighbours => "neighbours",
            Format::Pairs => "similar pairs",
            Format::Scaler => "a scaler",
            Format::Pipeline => "a fitted pipeline",
            Format::Results => "results of a search",
        }
    }
}

/// The innermost reason of an HDF5 error in one line: what the operating system said where it was asked, else the ends of
/// HDF5's own chain.
pub fn cause(error: &hdf5::Error) -> String {
    let text = one_line(error);
    match text.split_once("error message = '").and_then(|(_, rest)| rest.split_once('\'')) {
        Some((system, _)) => system.to_string(),
        None => text,
    }
}

/// Names the file an HDF5 operation failed on.
pub trait AtFile<T> {
    /// Prefixes the cause with the path.
    fn at_file(self, path: &Path) -> Result<T>;
}

impl<T> AtFile<T> for hdf5::Result<T> {
    fn at_file(self, path: &Path) -> Result<T> {
        self.map_err(|e| cause(&e)).at(path)
    }
}

/// A result file being written.
pub struct ResultFile {
    // Closed before the target removes what it wrote.
    file: File,
    checksums: Group,
    target: Target,
}

impl ResultFile {
    /// Creates the HDF5 file in place of the target's temporary file.
    pub fn create(target: Target) -> Result<Self> {
        hdf5::silence_errors(true);
        let mut builder = File::with_options();
        builder.with_fapl(|fapl| fapl.libver_bounds(LibraryVersion::V110, LibraryVersion::V110));
        builder.with_fcpl(|fcpl| fcpl.obj_track_times(false));
        let file = builder.create(target.temporary()).at_file(target.path())?;
        let checksums = file.create_group_builder().obj_track_times(false).create(CHECKSUMS).at_file(target.path())?;
        Ok(ResultFile { file, checksums, target })
    }

    /// The root group.
    pub fn root(&self) -> &Group {
        &self.file
    }

    /// The group that holds the checksums of strings.
    pub fn checksums(&self) -> &Group {
        &self.checksums
    }

    /// A new group without times.
    pub fn group(&self, name: &str) -> hdf5::Result<Group> {
        self.file.create_group_builder().obj_track_times(false).create(name)
    }

    /// Where the file will be: for messages.
    pub fn path(&self) -> &Path {
        self.target.path()
    }

    /// Brings to disk what is being written.
    pub fn flusher(&self) -> Flusher {
        Flusher::start(self.target.temporary())
    }

    /// Adds format, provenance and seal, closes the file and puts it in its place. Returns its checksum. Everything else
    /// that holds a handle into the file must be gone.
    pub fn finish(self, format: Format, provenance: &serde_json::Value) -> Result<String> {
        let path = self.target.path().to_path_buf();
        let ResultFile { file, checksums, target } = self;
        let seal = || -> hdf5::Result<String> {
            seal::write_attribute(&file, "format", &Value::from(format.name()))?;
            seal::write_attribute(&file, "format_version", &Value::from(FORMAT_VERSION))?;
            let mut text = StringColumn::new(&file, &checksums, PROVENANCE);
            text.push(&provenance.to_string())?;
            text.finish()?;
            drop(checksums);
            let checksum = seal::of(&file)?;
            seal::write_attribute(&file, CHECKSUM, &Value::Text(checksum.clone()))?;
            file.flush()?;
            Ok(checksum)
        };
        let checksum = seal().at_file(&path)?;
        file.close().at_file(&path)?;
        target.commit()?;
        Ok(checksum)
    }
}

/// A result file opened for reading, its seal proved.
pub struct OpenFile {
    /// The HDF5 file.
    pub file: File,
    /// Its name, for messages.
    pub path: PathBuf,
    /// What it holds.
    pub format: Format,
    /// Its checksum.
    pub checksum: String,
}

impl OpenFile {
    /// Opens any of our files and proves its seal: all attributes, names, shapes and the checksums of the contents are as
    /// they were written. Contents are proved when they are read.
    ///
    /// Errors: no such file, not HDF5, damaged or truncated, not ours, of a newer version.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        hdf5::silence_errors(true);
        let path = path.as_ref().to_path_buf();
        let refuse = |what: &str| Err(Error::failed(format!("{}: {what}", path.display())));
        if std::fs::metadata(&path).at(&path)?.is_dir() {
            return refuse("is a directory, not a file written by corpuscle");
        }
        if !has_signature(&path)? {
            return refuse("not an HDF5 file; make one from text with `corpuscle build` or `corpuscle import`");
        }
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) => {
                let why = cause(&e);
                return refuse(&format!(
                    "damaged, truncated or still being written ({why}); make it again or restore a copy"
                ));
            }
        };
        let format = match seal::read_attribute(&file, "format") {
            Ok(Some(Value::Text(name))) => Format::ALL.into_iter().find(|format| format.name() == name),
            Ok(_) => None,
            Err(e) => return refuse(&format!("damaged ({}); make it again or restore a copy", cause(&e))),
        };
        let Some(format) = format else {
            return refuse("an HDF5 file, but not one written by this version of corpuscle");
        };
        match seal::read_attribute(&file, "format_version").at_file(&path)? {
            Some(Value::Unsigned(FORMAT_VERSION)) => {}
            Some(Value::Unsigned(other)) if other > FORMAT_VERSION => {
                return refuse(&format!(
                    "format version {other} is newer than version {FORMAT_VERSION}, which this program reads; use a newer corpuscle"
                ));
            }
            _ => return refuse("its format version is missing or unknown; make it again"),
        }
        let checksum = seal::verify(&file, &path)?;
        Ok(OpenFile { file, path, format, checksum })
    }

    /// Opens a file that must hold `format`.
    pub fn expect(path: impl AsRef<Path>, format: Format) -> Result<Self> {
        let open = Self::open(path)?;
        if open.format != format {
            return Err(Error::failed(format!(
                "{}: holds {} where {} is wanted",
                open.path.display(),
                open.format.description(),
                format.description()
            )));
        }
        Ok(open)
    }

    /// Parameters and versions the file was made with.
    pub fn provenance(&self) -> Result<serde_json::Value> {
        let read = || StringReader::open(&self.file, &self.path, PROVENANCE)?.read(0, 1);
        serde_json::from_str(&read().at_file(&self.path)?[0]).at(&self.path)
    }

    /// A text attribute of the root.
    pub fn text(&self, name: &str) -> Result<String> {
        match self.attribute(name)? {
            Value::Text(text) => Ok(text),
            other => Err(Error::failed(format!("{}: attribute {name} is no text: {other:?}", self.path.display()))),
        }
    }

    /// A whole number among the attributes of the root.
    pub fn unsigned(&self, name: &str) -> Result<u64> {
        match self.attribute(name)? {
            Value::Unsigned(number) => Ok(number),
            other => {
                Err(Error::failed(format!("{}: attribute {name} is no whole number: {other:?}", self.path.display())))
            }
        }
    }

    /// A real number among the attributes of the root.
    pub fn float(&self, name: &str) -> Result<f64> {
        match self.attribute(name)? {
            Value::Float(number) => Ok(number),
            other => Err(Error::failed(format!("{}: attribute {name} is no number: {other:?}", self.path.display()))),
        }
    }

    /// Whether the root has an attribute of this name.
    pub fn has_attribute(&self, name: &str) -> Result<bool> {
        Ok(seal::read_attribute(&self.file, name).at_file(&self.path)?.is_some())
    }

    fn attribute(&self, name: &str) -> Result<Value> {
        seal::read_attribute(&self.file, name)
            .at_file(&self.path)?
            .ok_or_else(|| Error::failed(format!("{}: the attribute {name} is missing", self.path.display())))
    }
}

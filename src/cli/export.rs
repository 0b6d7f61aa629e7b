//! `corpuscle export`: a corpus becomes a matrix that other programs read.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, Outcome};
use crate::convert::export::{ExportSpec, FileFormat, export};
use crate::corpus::compression::Compression;
use crate::corpus::matrix_market::Rows;
use crate::corpus::row_writers::LineFormat;
use crate::dispatch::Job;
use crate::error::{Error, Result};

/// Formats that can be exported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// MatrixMarket coordinate format
    Mm,
    /// SVMlight and LIBSVM: a class, then TERM:VALUE pairs, terms from 1
    Svmlight,
    /// LDA-C: the number of terms, then TERM:COUNT pairs, terms from 0
    Blei,
    /// UCI bag of words
    Uci,
    /// Mallet, one instance per line: an id, a label, words
    Mallet,
    /// GibbsLDA++: the number of documents, then a line of words for each
    Low,
    /// CSV, a document-term matrix: a header of terms, then a value for every term, zeros too
    Csv,
    /// Sparse matrix of scipy (load_npz)
    Npz,
}

/// Write a corpus in a format of gensim, scipy, scikit-learn, MALLET and others
///
/// Counts are written as whole numbers, weights so that they read back exactly. A file whose name
/// ends in .gz, .bz2 or .zst is compressed.
///
/// Examples:
///   corpuscle export corpus.h5 -o corpus.mm --dictionary-out dictionary.txt
///   corpuscle export tfidf.h5 -o tfidf.svm.gz
///   corpuscle export tfidf.h5 -o X.npz --vocabulary-out terms.txt
///   corpuscle export corpus.h5 -o docword.txt.gz --format uci --vocabulary-out vocab.txt
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Export {
    /// The corpus to export
    corpus: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Format of the file [default: by its name, mm for .mm and .mtx, svmlight for .svm, .svmlight and .libsvm, blei for
    /// .ldac, mallet for .mallet, low for .low, csv for .csv, npz for .npz]
    #[arg(long, value_enum)]
    format: Option<OutputFormat>,
    /// What the rows of a MatrixMarket or .npz file are [default: documents, as gensim and scikit-learn have it]
    #[arg(long, value_enum)]
    rows: Option<Rows>,
    /// Also write the dictionary as text, as gensim's save_as_text does
    #[arg(long, value_name = "FILE")]
    dictionary_out: Option<PathBuf>,
    /// Also write the terms, one a line
    #[arg(long, value_name = "FILE")]
    vocabulary_out: Option<PathBuf>,
    /// Also write the id of each document, one a line
    #[arg(long, value_name = "FILE")]
    ids_out: Option<PathBuf>,
    /// Also write the label of each document, one a line
    #[arg(long, value_name = "FILE")]
    labels_out: Option<PathBuf>,
}

impl Export {
    /// Runs on every rank of the job.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        let format = match self.format.map_or_else(|| format_of(&self.output), Ok)? {
            OutputFormat::Mm => FileFormat::Lines(LineFormat::MatrixMarket(self.rows.unwrap_or_default())),
            OutputFormat::Svmlight => FileFormat::Lines(LineFormat::Svmlight),
            OutputFormat::Blei => FileFormat::Lines(LineFormat::Blei),
            OutputFormat::Uci => FileFormat::Lines(LineFormat::Uci),
            OutputFormat::Mallet => FileFormat::Lines(LineFormat::Mallet),
            OutputFormat::Low => FileFormat::Lines(LineFormat::Low),
            OutputFormat::Csv => FileFormat::Lines(LineFormat::Csv),
            OutputFormat::Npz => FileFormat::Npz { npz: self.rows.unwrap_or_default() },
        };
        let name = match format {
            FileFormat::Lines(format) => format.name(),
            FileFormat::Npz { .. } => "npz",
        };
        if self.rows.is_some() && !matches!(name, "mm" | "npz") {
            return Err(Error::usage("--rows is for MatrixMarket and .npz files only: leave it out"));
        }
        let parameters = json!({
            "corpus": self.corpus, "format": name, "rows": self.rows, "dictionary_out": self.dictionary_out,
            "vocabulary_out": self.vocabulary_out, "ids_out": self.ids_out, "labels_out": self.labels_out,
        });
        let spec = ExportSpec {
            corpus: self.corpus,
            output: self.output,
            format,
            dictionary: self.dictionary_out,
            vocabulary: self.vocabulary_out,
            ids: self.ids_out,
            labels: self.labels_out,
        };
        let header = export(job, &spec)?;
        let result = json!({ "documents": header.documents, "terms": header.terms, "nonzeros": header.nonzeros });
        Ok(Outcome { output: Some(spec.output), parameters, result, accounted: true })
    }
}

/// The format that a name stands for, what it says of compression aside.
fn format_of(path: &Path) -> Result<OutputFormat> {
    let plain = if Compression::of_name(path) == Compression::None {
        path
    } else {
        Path::new(path.file_stem().unwrap_or_default())
    };
    match plain.extension().and_then(|extension| extension.to_str()) {
        Some("mm" | "mtx") => Ok(OutputFormat::Mm),
        Some("svm" | "svmlight" | "libsvm") => Ok(OutputFormat::Svmlight),
        Some("ldac" | "lda-c") => Ok(OutputFormat::Blei),
        Some("mallet") => Ok(OutputFormat::Mallet),
        Some("low") => Ok(OutputFormat::Low),
        Some("csv") => Ok(OutputFormat::Csv),
        Some("npz") => Ok(OutputFormat::Npz),
        _ => Err(Error::usage(format!(
            "{}: the name does not say which format is wanted; end it in .mm, .svm or such (before .gz, .bz2 or .zst), or \
             say which, as in --format mm",
            path.display()
        ))),
    }
}

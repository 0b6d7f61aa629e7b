//! `corpuscle export`: a corpus becomes a matrix that other programs read.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, Outcome};
use crate::convert::export::{ExportSpec, export};
use crate::corpus::compression::Compression;
use crate::corpus::matrix_market::Rows;
use crate::dispatch::Job;
use crate::error::{Error, Result};

/// Formats that can be exported to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    /// MatrixMarket coordinate format
    Mm,
}

/// Write a corpus as a MatrixMarket file, for gensim, scipy and others
///
/// Counts are written as whole numbers, weights so that they read back exactly. A file whose name
/// ends in .gz, .bz2 or .zst is compressed.
///
/// Examples: corpuscle export corpus.h5 -o corpus.mm --dictionary-out dictionary.txt
///           corpuscle export tfidf.h5 -o tfidf.mtx.gz
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Export {
    /// The corpus to export
    corpus: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Format of the file [default: by its name, mm for .mm and .mtx]
    #[arg(long, value_enum)]
    format: Option<OutputFormat>,
    /// What the rows of the matrix are: documents as gensim and scikit-learn have it, or terms
    #[arg(long, value_enum, default_value_t = Rows::Documents)]
    rows: Rows,
    /// Also write the dictionary as text, as gensim's save_as_text does
    #[arg(long, value_name = "FILE")]
    dictionary_out: Option<PathBuf>,
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
        let OutputFormat::Mm = self.format.map_or_else(|| format_of(&self.output), Ok)?;
        let parameters = json!({
            "corpus": self.corpus, "format": "mm", "rows": self.rows, "dictionary_out": self.dictionary_out,
            "ids_out": self.ids_out, "labels_out": self.labels_out,
        });
        let spec = ExportSpec {
            corpus: self.corpus,
            output: self.output,
            rows: self.rows,
            dictionary: self.dictionary_out,
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
        _ => Err(Error::usage(format!(
            "{}: the name does not say which format is wanted; end it in .mm or .mtx (before .gz, .bz2 or .zst), or give \
             --format mm",
            path.display()
        ))),
    }
}

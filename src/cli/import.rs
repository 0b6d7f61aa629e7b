//! `corpuscle import`: a matrix becomes a corpus.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::{Common, Outcome};
use crate::convert::import::{ImportSpec, import};
use crate::corpus::matrix_market::Rows;
use crate::dispatch::Job;
use crate::error::Result;

/// Formats that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// MatrixMarket coordinate format; plain, gz, bz2 or zst
    Mm,
}

/// Make a corpus of a MatrixMarket file
///
/// Whole numbers are counts, anything else weights. Files sorted by document, as nearly
/// all are, take little memory.
#[derive(Debug, Args)]
pub struct Import {
    /// The file to import
    file: PathBuf,
    /// The corpus to write
    #[arg(short, long, value_name = "CORPUS")]
    output: PathBuf,
    /// Format of the file
    #[arg(long, value_enum, default_value_t = InputFormat::Mm)]
    format: InputFormat,
    /// What the rows of the matrix are
    #[arg(long, value_enum, default_value_t = Rows::Documents)]
    rows: Rows,
    /// The terms: one a line, or a dictionary saved as text by gensim [default: term0, term1, ...]
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// A line with the id of each document [default: document0, document1, ...]
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// A line with the label of each document
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

impl Import {
    /// Runs on every rank of the job.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        let _phase = job.account.enter_phase("import");
        let InputFormat::Mm = self.format;
        let parameters = json!({
            "file": self.file, "format": "mm", "rows": self.rows, "dictionary": self.dictionary, "ids": self.ids, "labels": self.labels,
        });
        let spec = ImportSpec {
            matrix: self.file,
            rows: self.rows,
            dictionary: self.dictionary,
            ids: self.ids,
            labels: self.labels,
            output: self.output,
        };
        let header = import(job, &spec)?;
        let result = header.map(|header| header.to_json()).unwrap_or_default();
        Ok(Outcome { output: Some(spec.output), parameters, result, accounted: true })
    }
}

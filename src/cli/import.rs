//! `corpuscle import`: what other programs have counted becomes a corpus.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::{Common, Outcome};
use crate::convert::import::{ImportSpec, MatrixFormat, import};
use crate::convert::import_npz::import_npz;
use crate::convert::import_rows::{RowsSpec, import_rows};
use crate::convert::import_words::{WordFormat, import_words};
use crate::corpus::matrix_market::Rows;
use crate::corpus::row_lines::RowFormat;
use crate::dispatch::Job;
use crate::error::{Error, Result};

/// Formats that can be imported, each plain or compressed with gzip, bzip2 or Zstandard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// MatrixMarket coordinate format
    Mm,
    /// SVMlight and LIBSVM: a label, then TERM:VALUE pairs, terms from 1
    Svmlight,
    /// LDA-C: the number of terms, then TERM:COUNT pairs, terms from 0
    Blei,
    /// UCI bag of words (docword.*.txt)
    Uci,
    /// Mallet, one instance per line: an id, a label, words
    Mallet,
    /// GibbsLDA++: the number of documents, then a line of words for each
    Low,
    /// CSV, a document-term matrix: a value for every term, zeros too; may begin with a header of terms
    Csv,
    /// Sparse matrix of scipy (save_npz)
    Npz,
}

/// Make a corpus of a file that holds counts, weights or words already
///
/// Whole numbers are counts, anything else weights. Files sorted by document, as nearly all are, take little memory.
///
/// Examples:
///   corpuscle import counts.mm.gz --dictionary terms.txt -o corpus.h5
///   corpuscle import docword.nips.txt.gz --format uci --dictionary vocab.nips.txt -o nips.h5
///   corpuscle import X.npz --format npz --dictionary terms.txt -o corpus.h5
///   mpirun -n 3 corpuscle import train.svm --format svmlight -o train.h5
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub struct Import {
    /// The file to import
    file: PathBuf,
    /// The corpus to write
    #[arg(short, long, value_name = "CORPUS")]
    output: PathBuf,
    /// Format of the file
    #[arg(long, value_enum, default_value_t = InputFormat::Mm)]
    format: InputFormat,
    /// What the rows of a MatrixMarket or .npz file are [default: documents]
    #[arg(long, value_enum)]
    rows: Option<Rows>,
    /// The terms of an SVMlight file are counted from 0
    #[arg(long)]
    zero_based: bool,
    /// The terms: one a line, or a dictionary saved as text by gensim [default: term0, term1, ...; of mallet and low: the
    /// words of the file; of csv: its header]
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// A line with the id of each document; not for mallet and low [default: document0, document1, ...]
    #[arg(long, value_name = "FILE")]
    ids: Option<PathBuf>,
    /// A line with the label of each document; not for mallet and low
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
}

impl Import {
    /// Runs on every rank of the job.
    pub fn run(self, job: &Job, _: &Common) -> Result<Outcome> {
        self.check()?;
        let name = self.format.to_possible_value().map(|value| value.get_name().to_owned());
        let parameters = json!({
            "file": self.file, "format": name, "rows": self.rows, "zero_based": self.zero_based,
            "dictionary": self.dictionary, "ids": self.ids, "labels": self.labels,
        });
        let format = match self.format {
            InputFormat::Mallet => return self.words(job, WordFormat::Mallet, parameters),
            InputFormat::Low => return self.words(job, WordFormat::Low, parameters),
            InputFormat::Mm => Format::Entries(MatrixFormat::MatrixMarket),
            InputFormat::Uci => Format::Entries(MatrixFormat::Uci),
            InputFormat::Svmlight => Format::Rows(RowFormat::Svmlight { zero_based: self.zero_based }),
            InputFormat::Blei => Format::Rows(RowFormat::Blei),
            InputFormat::Csv => Format::Rows(RowFormat::Csv { columns: 0 }),
            InputFormat::Npz => Format::Entries(MatrixFormat::Npz),
        };
        let _phase = job.account.enter_phase("import");
        let Import { file, output, dictionary, ids, labels, .. } = self;
        let header = match format {
            Format::Entries(format) => {
                let rows = self.rows.unwrap_or_default();
                let spec = ImportSpec { matrix: file, format, rows, dictionary, ids, labels, output: output.clone() };
                if format == MatrixFormat::Npz { import_npz(job, &spec)? } else { import(job, &spec)? }
            }
            Format::Rows(format) => {
                import_rows(job, &RowsSpec { file, format, dictionary, ids, labels, output: output.clone() })?
            }
        };
        let result = header.map(|header| header.to_json()).unwrap_or_default();
        Ok(Outcome { output: Some(output), parameters, result, accounted: true })
    }

    /// Imports a file of words.
    fn words(self, job: &Job, format: WordFormat, parameters: Value) -> Result<Outcome> {
        let built = import_words(job, self.file, format, self.dictionary, self.output.clone())?;
        let result = built.map_or(
            Value::Null,
            |built| json!({ "documents": built.documents, "terms": built.terms, "nonzeros": built.nonzeros }),
        );
        Ok(Outcome { output: Some(self.output), parameters, result, accounted: true })
    }

    /// Refuses options that the format has no use for.
    fn check(&self) -> Result<()> {
        let words = matches!(self.format, InputFormat::Mallet | InputFormat::Low);
        let refused = [
            (
                self.rows.is_some() && !matches!(self.format, InputFormat::Mm | InputFormat::Npz),
                "--rows",
                "MatrixMarket and .npz files",
            ),
            (self.zero_based && self.format != InputFormat::Svmlight, "--zero-based", "SVMlight files"),
            (self.ids.is_some() && words, "--ids", "files without words of their own"),
            (self.labels.is_some() && words, "--labels", "files without words of their own"),
        ];
        match refused.iter().find(|(wrong, ..)| *wrong) {
            Some((_, option, whose)) => Err(Error::usage(format!("{option} is for {whose} only: leave it out"))),
            None => Ok(()),
        }
    }
}

/// What a line of the file is.
enum Format {
    /// An entry of the matrix.
    Entries(MatrixFormat),
    /// A document.
    Rows(RowFormat),
}

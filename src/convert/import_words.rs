//! A file whose documents are words already becomes a corpus of all of them.
//!
//! Mallet's `ID LABEL WORD WORD ...` and the format of GibbsLDA++ (a line with the number of documents, then a document
//! per line) have no numbers for their terms. They are text whose tokens are what stands between blanks, so they go the
//! way of all text ([`build`](crate::build)), with nothing changed and nothing left out.

use std::path::PathBuf;

use crate::build::{BuildSpec, Built, Terms, build};
use crate::corpus::dictionary::FilterSpec;
use crate::corpus::text::{InputFormat, MAX_RECORD_BYTES, TextSpec};
use crate::corpus::text_form::TextForm;
use crate::corpus::tokenizer::{BETWEEN_BLANKS, TokenizerSpec};
use crate::dispatch::Job;
use crate::error::Result;

/// How the lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WordFormat {
    /// Mallet's, one instance per line.
    Mallet,
    /// That of GibbsLDA++, gensim's `LowCorpus`.
    Low,
}

/// Imports a file; the dispatcher gets what was built. The terms are those of the file, or those of a dictionary and no
/// others. Collective.
///
/// # Errors
/// Those of [`build`]: lines are named.
pub fn import_words(
    job: &Job,
    file: PathBuf,
    format: WordFormat,
    dictionary: Option<PathBuf>,
    output: PathBuf,
) -> Result<Option<Built>> {
    let text = match format {
        WordFormat::Mallet => TextSpec {
            format: Some(InputFormat::Mallet),
            id_field: Some("id".to_owned()),
            label_field: Some("label".to_owned()),
            ..TextSpec::new(vec![file])
        },
        WordFormat::Low => TextSpec { format: Some(InputFormat::Low), ..TextSpec::new(vec![file]) },
    };
    let tokenizer = TokenizerSpec {
        token_pattern: Some(BETWEEN_BLANKS.to_owned()),
        form: TextForm { lowercase: false, ..TextForm::default() },
        min_length: 1,
        // No record is longer.
        max_length: MAX_RECORD_BYTES as usize,
        ..TokenizerSpec::default()
    };
    let filter =
        FilterSpec { no_below: 1, no_above: 1.0, keep_n: None, keep_tokens: Vec::new(), remove_most_frequent: 0 };
    let terms = match dictionary {
        Some(dictionary) => Terms::Dictionary(dictionary),
        None => Terms::Filtered { filter, keep_tokens: Vec::new() },
    };
    build(job, &BuildSpec { text, tokenizer, stop_words: Vec::new(), connectors: Vec::new(), terms, output })
}

//! `corpuscle build`: raw text to a corpus.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Outcome, Printing};
use crate::build::{BuildSpec, Terms, build};
use crate::corpus::dictionary::FilterSpec;
use crate::corpus::ngrams::NgramSpec;
use crate::corpus::phrases::{ENGLISH_CONNECTORS, FoundPhrases, PhraseSpec, Scoring};
use crate::corpus::stop_words::StopWords;
use crate::corpus::text::{InputFormat, InvalidUtf8, TextSpec};
use crate::corpus::text_form::TextForm;
use crate::corpus::tokenizer::TokenizerSpec;
use crate::corpus::wiki::WikiSpec;
use crate::corpus::word_list::WordList;
use crate::dispatch::Job;
use crate::error::Result;
use crate::report::output::{Cell, Column, Table};

/// Turn raw text into a corpus: dictionary, bags of words, identifiers, labels.
///
/// Inputs may be compressed by gzip, bzip2 or Zstandard, which is found out from their content. The defaults of tokens
/// and dictionary are those of gensim's `simple_preprocess` and `filter_extremes`.
///
/// Of a folder, each file in it or below is a document: compressed ones too, hidden ones not, through symbolic links, in
/// the order of the bytes of their paths.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  corpuscle build texts --stop-words english -o corpus.h5
  corpuscle build posts.jsonl.gz --text-field body --id-field id --label-field tag --no-below 5 -o corpus.h5
  mpirun -n 17 corpuscle build part-*.txt.zst --ngrams 1,2 --keep-n 200000 -o corpus.h5
  corpuscle build new.txt --dictionary corpus.h5 -o new.h5")]
pub(super) struct Build {
    /// Files of text, or folders of them, in the order their documents will have
    #[arg(required = true, value_name = "INPUT")]
    inputs: Vec<PathBuf>,
    /// The corpus to be written
    #[arg(short, long, value_name = "CORPUS")]
    output: PathBuf,

    /// How documents lie in the inputs [default: dir for folders; else by their names, lines where they say nothing]
    #[arg(long, value_enum, value_name = "FORMAT", help_heading = "Input")]
    input_format: Option<InputFormat>,
    /// Field or column with the text [default: text, or the only column]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    text_field: Option<String>,
    /// Field or column with a document's identifier [default: documents are numbered from 0; of a file in a folder, its
    /// path below the folder]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    id_field: Option<String>,
    /// Field or column with a document's label; in a folder, `folder`: the name of the first sub-folder on a file's path
    /// [default: documents have no labels]
    #[arg(long, value_name = "NAME", help_heading = "Input")]
    label_field: Option<String>,
    /// What to do about bytes that are not UTF-8
    #[arg(long, value_enum, value_name = "WHAT", default_value_t, help_heading = "Input")]
    invalid_utf8: InvalidUtf8,

    /// Leave out documents of fewer tokens, stop words not counted [default: 50 for pages of a dump, else 0]
    #[arg(long, value_name = "N", help_heading = "Input")]
    min_tokens: Option<u64>,

    /// Numbers of the namespaces whose pages are documents, separated by commas, or all
    #[arg(long, value_name = "N,...|all", default_value = "0", value_parser = parse_namespaces, help_heading = "Dumps of MediaWiki")]
    namespaces: Namespaces,
    /// Leave out pages whose titles begin with one of these words and a colon: separated by commas, "" for none
    /// [default: the namespaces that gensim's WikiCorpus leaves out]
    #[arg(long, value_name = "WORDS", help_heading = "Dumps of MediaWiki")]
    skip_titles: Option<String>,
    /// Pages that only lead to another are documents too
    #[arg(long, help_heading = "Dumps of MediaWiki")]
    keep_redirects: bool,
    /// Leave the markup in the text
    #[arg(long, help_heading = "Dumps of MediaWiki")]
    keep_markup: bool,

    /// Regular expression whose matches, or whose first group if it has one, are the tokens [default: runs of letters]
    #[arg(long, value_name = "REGEX", help_heading = "Tokens")]
    token_pattern: Option<String>,
    /// Put text into lower case; this is the default
    #[arg(long, overrides_with = "no_lowercase", help_heading = "Tokens")]
    lowercase: bool,
    /// Leave upper and lower case as they are
    #[arg(long, overrides_with = "lowercase", help_heading = "Tokens")]
    no_lowercase: bool,
    /// Put text into Unicode's normal form NFKC first: ligatures and full-width letters as plain letters
    #[arg(long, help_heading = "Tokens")]
    nfkc: bool,
    /// Leave accents out of letters
    #[arg(long, help_heading = "Tokens")]
    strip_accents: bool,
    /// Shortest token, in characters
    #[arg(long, value_name = "N", default_value_t = TokenizerSpec::default().min_length, help_heading = "Tokens")]
    min_length: usize,
    /// Longest token, in characters
    #[arg(long, value_name = "N", default_value_t = TokenizerSpec::default().max_length, help_heading = "Tokens")]
    max_length: usize,
    /// Tokens to leave out: those of a language (its English name or ISO 639-1 code), or of a file with one a line; may
    /// be given several times
    #[arg(long, value_name = "LANGUAGE|FILE", value_parser = parse_stop_words, help_heading = "Tokens")]
    stop_words: Vec<StopWords>,
    /// Leave out tokens that are numbers; the default tokens have no digits
    #[arg(long, help_heading = "Tokens")]
    drop_numbers: bool,
    /// Put stems in the place of tokens, by the Snowball algorithm of a language (its English name)
    #[arg(long, value_name = "LANGUAGE", help_heading = "Tokens")]
    stem: Option<String>,
    /// Runs of MIN to MAX neighbouring tokens, stop words left out, are the terms: 1,2 for tokens and pairs
    #[arg(long, value_name = "MIN,MAX", default_value = "1,1", value_parser = parse_range, help_heading = "Tokens")]
    ngrams: Range,
    /// What stands between the tokens of a run [default: a space]
    #[arg(
        long,
        value_name = "TEXT",
        requires = "ngrams",
        default_value = " ",
        hide_default_value = true,
        help_heading = "Tokens"
    )]
    ngram_separator: String,

    /// Join neighbouring tokens that come together more often than by chance, as gensim's `Phrases`: found in so many passes over
    /// the text, each of which may double their length
    #[arg(long, value_name = "PASSES", conflicts_with = "dictionary", help_heading = "Phrases")]
    phrases: Option<u8>,
    /// Fewest times that the tokens of a phrase come together
    #[arg(long, value_name = "N", requires = "phrases", default_value_t = PhraseSpec::default().min_count, help_heading = "Phrases")]
    phrase_min_count: u64,
    /// How they are scored: as in Mikolov et al. 2013, or by normalised pointwise mutual information
    #[arg(long, value_enum, value_name = "SCORE", requires = "phrases", default_value_t, help_heading = "Phrases")]
    phrase_scoring: Scoring,
    /// The score of a phrase is above this [default: 10; with npmi 0.5]
    #[arg(long, value_name = "SCORE", requires = "phrases", allow_negative_numbers = true, help_heading = "Phrases")]
    phrase_threshold: Option<f64>,
    /// Words that may stand within a phrase, but neither begin nor end it: english for gensim's list, or separated by commas, or @
    /// and a file with one a line; may be given several times
    #[arg(long, value_name = "WORDS|@FILE", requires = "phrases", value_parser = parse_connectors, help_heading = "Phrases")]
    phrase_connectors: Vec<WordList>,
    /// What joins the tokens of a phrase
    #[arg(long, value_name = "TEXT", requires = "phrases", default_value = "_", help_heading = "Phrases")]
    phrase_delimiter: String,

    /// Terms are hashes of so many bits, #0 and so on: nothing is counted before documents are written, in one pass over the text
    #[arg(
        long,
        value_name = "BITS",
        conflicts_with_all = ["dictionary", "no_below", "no_above", "keep_n", "keep_tokens", "remove_most_frequent"],
        help_heading = "Dictionary"
    )]
    hash_terms: Option<u8>,
    /// Take all terms, with their numbers, from a corpus, a model, or a text file as gensim's `save_as_text` writes it,
    /// and drop all other tokens
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["no_below", "no_above", "keep_n", "keep_tokens", "remove_most_frequent"],
        help_heading = "Dictionary"
    )]
    dictionary: Option<PathBuf>,
    /// Leave out terms that are in fewer documents than this
    #[arg(long, value_name = "N", default_value_t = FilterSpec::default().no_below, help_heading = "Dictionary")]
    no_below: u64,
    /// Leave out terms that are in more than this share of the documents
    #[arg(long, value_name = "SHARE", default_value_t = FilterSpec::default().no_above, help_heading = "Dictionary")]
    no_above: f64,
    /// Of the rest, keep this many that are in most documents, or all
    #[arg(long, value_name = "N|all", default_value = "100000", value_parser = parse_keep, help_heading = "Dictionary")]
    keep_n: Keep,
    /// Terms that the three rules above never leave out: separated by commas, or @ and a file with one a line; may be
    /// given several times
    #[arg(long, value_name = "TERMS|@FILE", value_parser = parse_words, help_heading = "Dictionary")]
    keep_tokens: Vec<WordList>,
    /// Before all that, leave out this many terms that are in most documents
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Dictionary")]
    remove_most_frequent: usize,

    #[command(flatten)]
    printing: Printing,
}

/// Namespaces by number; `None` for all.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Namespaces(Option<Vec<i64>>);

fn parse_namespaces(text: &str) -> std::result::Result<Namespaces, String> {
    if text == "all" {
        return Ok(Namespaces(None));
    }
    let numbers = text.split(',').map(|number| number.trim().parse()).collect::<std::result::Result<_, _>>();
    numbers.map(|numbers| Namespaces(Some(numbers))).map_err(|_| "numbers such as 0,14, or all".to_owned())
}

/// How many terms stay; `None` for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Keep(Option<usize>);

fn parse_keep(text: &str) -> std::result::Result<Keep, String> {
    match text {
        "all" => Ok(Keep(None)),
        number => number.parse().map(|n| Keep(Some(n))).map_err(|_| "a number of terms, or all".to_owned()),
    }
}

/// Tokens of the shortest and of the longest run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range(u8, u8);

fn parse_range(text: &str) -> std::result::Result<Range, String> {
    let numbers = text.split_once(',').and_then(|(min, max)| Some((min.parse().ok()?, max.parse().ok()?)));
    numbers.map(|(min, max)| Range(min, max)).ok_or_else(|| "two numbers up to 255, such as 1,2".to_owned())
}

fn parse_stop_words(text: &str) -> std::result::Result<StopWords, String> {
    Ok(StopWords::parse(text))
}

fn parse_connectors(text: &str) -> std::result::Result<WordList, String> {
    match text {
        "english" => Ok(WordList::Words(ENGLISH_CONNECTORS.split(' ').map(str::to_owned).collect())),
        words => parse_words(words),
    }
}

fn parse_words(text: &str) -> std::result::Result<WordList, String> {
    match WordList::parse(text) {
        WordList::Words(words) if words.is_empty() => Err("at least one term, or @ and a file".to_owned()),
        list => Ok(list),
    }
}

impl Build {
    /// Builds the corpus; the dispatcher prints what it is.
    pub fn run(self, job: &Job) -> Result<Outcome> {
        let text = TextSpec {
            format: self.input_format,
            text_field: self.text_field,
            id_field: self.id_field,
            label_field: self.label_field,
            invalid_utf8: self.invalid_utf8,
            wiki: WikiSpec {
                namespaces: self.namespaces.0,
                skip_titles: match self.skip_titles {
                    Some(words) => {
                        words.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
                    }
                    None => WikiSpec::default().skip_titles,
                },
                redirects: self.keep_redirects,
                markup: self.keep_markup,
            },
            min_tokens: self.min_tokens,
            ..TextSpec::new(self.inputs)
        };
        let usual = if self.phrase_scoring == Scoring::Npmi { 0.5 } else { PhraseSpec::default().threshold };
        let phrases = PhraseSpec {
            min_count: self.phrase_min_count,
            threshold: self.phrase_threshold.unwrap_or(usual),
            scoring: self.phrase_scoring,
            delimiter: self.phrase_delimiter,
            ..PhraseSpec::default()
        };
        let tokenizer = TokenizerSpec {
            token_pattern: self.token_pattern,
            form: TextForm {
                nfkc: self.nfkc,
                lowercase: self.lowercase || !self.no_lowercase,
                strip_accents: self.strip_accents,
            },
            min_length: self.min_length,
            max_length: self.max_length,
            drop_numbers: self.drop_numbers,
            stop_words: Vec::new(),
            stem: self.stem,
            phrases: self
                .phrases
                .map(|passes| FoundPhrases { spec: PhraseSpec { passes, ..phrases }, found: Vec::new() }),
            hash_bits: self.hash_terms,
            ngrams: NgramSpec { min: self.ngrams.0, max: self.ngrams.1, separator: self.ngram_separator },
        };
        let filter = FilterSpec {
            no_below: self.no_below,
            no_above: self.no_above,
            keep_n: self.keep_n.0,
            keep_tokens: Vec::new(),
            remove_most_frequent: self.remove_most_frequent,
        };
        let terms = match self.dictionary {
            Some(dictionary) => Terms::Dictionary(dictionary),
            None if self.hash_terms.is_some() => Terms::Hashed,
            None => Terms::Filtered { filter, keep_tokens: self.keep_tokens },
        };
        let spec = BuildSpec {
            text,
            tokenizer,
            stop_words: self.stop_words,
            connectors: self.phrase_connectors,
            terms,
            output: self.output,
        };
        let Some(built) = build(job, &spec)? else { return Ok(Outcome { accounted: true, ..Outcome::default() }) };
        let figures = [
            ("documents", Some(built.documents)),
            ("tokens", Some(built.tokens)),
            ("distinct_terms", built.distinct_terms),
            ("terms", Some(built.terms)),
            ("tokens_kept", Some(built.tokens_kept)),
            ("nonzeros", Some(built.nonzeros)),
        ];
        let mut table = Table::new(figures.iter().map(|(name, _)| Column::integer(name)).collect());
        table.push(figures.iter().map(|&(_, figure)| figure.map_or(Cell::Missing, Cell::from)).collect());
        table.print(self.printing.format)?;
        let result = figures.iter().map(|&(name, figure)| (name.to_owned(), json!(figure))).collect();
        Ok(Outcome { output: Some(spec.output), parameters: built.parameters, result, accounted: true })
    }
}

//! Raw text to a corpus container, over all ranks.
//!
//! Input: files of text or folders of them, cut into pieces of about 4 MiB that end on record boundaries. Output: dictionary and bags of
//! words (documents x terms), the same bytes for any number of ranks, threads, and for any compression of the input.
//!
//! Pass 1, a fold: workers tokenise pieces under term numbers of their own, keep the bags within `--memory`, and count
//! in how many documents each term is. The counts are merged in a tree (associative, commutative), the dispatcher
//! filters them to the dictionary and broadcasts it. Pass 2, a map in order: workers turn bags into chunks over the
//! dictionary's terms, which the dispatcher appends to the container. Bags that were not kept are counted once more.
//! Where a dictionary is given there is nothing to count, and one pass writes the documents (`reuse`).
//!
//! Cost: the text is read once, twice where memory is short; messages are pieces' places (pieces themselves where a
//! worker cannot read the file), 32 bytes and its letters for each term of each worker, and 8 bytes per nonzero to the
//! dispatcher. Memory of a worker: the bags it keeps, and about 70 bytes per distinct term and thread.

mod census;
mod convert;
mod pieces;
mod reuse;

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::corpus::compression::Compression;
use crate::corpus::container::{BackgroundWriter, CorpusWriter, Values};
use crate::corpus::dictionary::{Dictionary, FilterSpec, TermCounts, TermTable};
use crate::corpus::stop_words::{self, StopWords};
use crate::corpus::term_list;
use crate::corpus::text::{InputFormat, TextPlan, TextSpec};
use crate::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use crate::corpus::word_list::WordList;
use crate::dispatch::{Dataset, Job, merge};
use crate::error::{Error, Result};
use crate::report::progress::{Task, Unit};
use crate::store::atomic::{Target, refuse_inputs_as_output};
use crate::store::provenance::{self, Input};

use census::{Census, PieceFacts};
use convert::{Arrived, Converter};
use pieces::Pieces;

/// What is to be built from what.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    /// The text.
    pub text: TextSpec,
    /// How it is cut into terms.
    pub tokenizer: TokenizerSpec,
    /// Lists of stop words, in addition to those of the tokenizer.
    pub stop_words: Vec<StopWords>,
    /// Which terms the corpus has.
    pub terms: Terms,
    /// The container to be written.
    pub output: PathBuf,
}

/// The terms of a corpus.
#[derive(Debug, Clone)]
pub enum Terms {
    /// Those of the text that pass a filter.
    Filtered {
        /// The filter.
        filter: FilterSpec,
        /// Lists of terms that pass it in any case, in addition to its own.
        keep_tokens: Vec<WordList>,
    },
    /// All terms of the dictionary in this file, with their numbers there, and no others.
    Dictionary(PathBuf),
}

/// What was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Documents of the corpus, empty ones included.
    pub documents: u64,
    /// Tokens of the text but for stop words, or the runs of them that were asked for.
    pub tokens: u64,
    /// Distinct terms among them; not counted where the dictionary was given.
    pub distinct_terms: Option<u64>,
    /// Terms of the dictionary.
    pub terms: u64,
    /// Tokens that are terms of the dictionary.
    pub tokens_kept: u64,
    /// Nonzeros of the matrix (documents x terms).
    pub nonzeros: u64,
    /// All parameters as they took effect.
    pub parameters: Value,
}

/// Builds a corpus. Collective; the dispatcher gets what was built.
///
/// # Errors
/// `Usage` for parameters that make no sense; `Failed`, naming file and line where there is one, for input that cannot be
/// read or is not what its format says, when no term passes the filters, and when the output cannot be written. The
/// output is then as it was before.
pub fn build(job: &Job, spec: &BuildSpec) -> Result<Option<Built>> {
    let unsendable = |cause| Error::failed(format!("the parameters cannot be sent: {cause}"));
    let mut looked_at = None;
    let message = job.share(|| serde_json::to_vec(looked_at.insert(spec.check()?)).map_err(unsendable))?;
    let checked: Checked = match looked_at {
        Some(checked) => checked,
        None => serde_json::from_slice(&message).map_err(unsendable)?,
    };
    let tokenizer = Tokenizer::new(&checked.tokenizer)?;
    match (&spec.terms, &checked.filter) {
        (Terms::Dictionary(path), _) => build_on(job, path, &checked, &tokenizer, &spec.output),
        (Terms::Filtered { .. }, filter) => {
            let filter = filter.as_ref().ok_or_else(|| Error::failed("the dispatcher has sent no filter"))?;
            build_filtered(job, filter, &checked, &tokenizer, &spec.output)
        }
    }
}

/// Builds a corpus over the terms of the text that pass the filter.
fn build_filtered(
    job: &Job,
    filter: &FilterSpec,
    checked: &Checked,
    tokenizer: &Tokenizer,
    output: &Path,
) -> Result<Option<Built>> {
    let plan = &checked.plan;
    let progress = job.progress.task("build: count", Unit::Bytes, text_bytes(job, plan));
    let dataset = Dataset::new(job, Pieces::new(job, plan, tokenizer, &progress, None))?;
    let census = job.account.phase("count", || count(&dataset))?;
    let (dictionary, pieces) = job.account.phase("dictionary", || agree(job, filter, census.as_ref()))?;
    let parameters = checked.parameters(("filter", json!(filter)));
    let provenance = provenance(&parameters, plan, &pieces);
    progress.stage("build: write", Some(pieces.iter().map(|piece| piece.bytes).sum()));
    let convert = Converter::new(plan, &pieces, &dictionary);
    let nonzeros = job.account.phase("write", || {
        let mut writer = checked.writer(job, &dictionary.terms, output)?;
        if let Some(writer) = &mut writer {
            let Dictionary { document_frequency, collection_frequency, .. } = &dictionary;
            writer.know_frequencies(document_frequency.clone(), collection_frequency.clone());
        }
        write(&dataset, &convert, &progress, writer, &provenance)
    })?;
    Ok(census.zip(nonzeros).map(|(census, nonzeros)| Built {
        documents: pieces.iter().map(|piece| piece.documents).sum(),
        tokens: census.terms.iter().map(|(_, term)| term.collection_frequency).sum(),
        distinct_terms: Some(census.terms.len() as u64),
        terms: dictionary.len() as u64,
        tokens_kept: dictionary.collection_frequency.iter().sum(),
        nonzeros,
        parameters,
    }))
}

/// Builds a corpus over the terms of a dictionary.
fn build_on(
    job: &Job,
    dictionary: &Path,
    checked: &Checked,
    tokenizer: &Tokenizer,
    output: &Path,
) -> Result<Option<Built>> {
    let plan = &checked.plan;
    let (terms, known) = job.account.phase("dictionary", || {
        let message = job.share(|| {
            let found = term_list::of_dictionary(dictionary)?;
            if let Some(options) = found.tokenizer.and_then(|made| made.differences(&checked.tokenizer)) {
                log::warn!("{}: its terms were made with other options of tokens: {options}", dictionary.display());
            }
            Ok(Dictionary::of_terms(found.terms).encode())
        })?;
        let terms = Dictionary::decode(&message)?.terms;
        let known = reuse::vocabulary(&terms);
        Ok((terms, known))
    })?;
    let mut hasher = blake3::Hasher::new();
    terms.iter().for_each(|term| {
        hasher.update(&(term.len() as u64).to_le_bytes()).update(term.as_bytes());
    });
    let digest = json!({ "terms": terms.len(), "blake3": hasher.finalize().to_hex().as_str() });
    let parameters = checked.parameters(("dictionary", digest));
    let progress = job.progress.task("build: write", Unit::Bytes, text_bytes(job, plan));
    job.account.phase("write", || {
        let writer = checked.writer(job, &terms, output)?;
        let (writer, found) = reuse::write(job, plan, tokenizer, &progress, &known, writer)?;
        let Some(writer) = writer else { return Ok(None) };
        let provenance = provenance(&parameters, plan, &found.pieces);
        let header = job.account.io(|| writer.finish(&provenance))?;
        if found.known == 0 && found.unknown > 0 {
            log::warn!(
                "no token of the text is a term of {}: were its terms made with other options of tokens?",
                dictionary.display()
            );
        }
        Ok(Some(Built {
            documents: header.documents,
            tokens: found.known + found.unknown,
            distinct_terms: None,
            terms: terms.len() as u64,
            tokens_kept: found.known,
            nonzeros: header.nonzeros,
            parameters: parameters.clone(),
        }))
    })
}

/// A [`BuildSpec`] found to make sense, with all that had to be read for it: made on the dispatcher, the same on every
/// rank.
#[derive(Debug, Serialize, Deserialize)]
struct Checked {
    plan: TextPlan,
    /// With all stop words.
    tokenizer: TokenizerSpec,
    /// With all terms to keep; none where a dictionary is given.
    filter: Option<FilterSpec>,
}

impl BuildSpec {
    /// Looks for everything that can be wrong before the first piece is read.
    fn check(&self) -> Result<Checked> {
        let mut tokenizer = self.tokenizer.clone();
        Tokenizer::new(&tokenizer)?;
        tokenizer.stop_words.extend(stop_words::read_all(&self.stop_words)?);
        let filter = match &self.terms {
            Terms::Dictionary(_) => None,
            Terms::Filtered { filter, keep_tokens } => {
                filter.check()?;
                let mut filter = filter.clone();
                for list in keep_tokens {
                    filter.keep_tokens.extend(list.read()?.iter().map(|word| tokenizer.in_case(word)));
                }
                filter.keep_tokens.sort_unstable();
                filter.keep_tokens.dedup();
                Some(filter)
            }
        };
        let plan = self.text.check()?;
        self.check_output(&plan)?;
        Ok(Checked { plan, tokenizer, filter })
    }

    fn check_output(&self, plan: &TextPlan) -> Result<()> {
        let dictionary = match &self.terms {
            Terms::Dictionary(path) => Some(path.as_path()),
            Terms::Filtered { .. } => None,
        };
        refuse_inputs_as_output(plan.files.iter().map(|file| file.path.as_path()).chain(dictionary), &self.output)?;
        if plan.format == InputFormat::Dir
            && let Ok(output) = std::path::absolute(&self.output)
            && let Some(place) = output.parent().and_then(|folder| folder.canonicalize().ok())
            && let Some(input) =
                plan.files.iter().find(|file| file.path.canonicalize().is_ok_and(|root| place.starts_with(root)))
        {
            return Err(Error::usage(format!(
                "{}: lies in the input {}, whose next reader would take it for a document: name another output",
                self.output.display(),
                input.path.display()
            )));
        }
        // Only to learn that it can be made. Were it left there, it would stay when a worker meets damaged text and ends
        // the job.
        Target::create(&self.output)?;
        Ok(())
    }
}

impl Checked {
    /// The parameters as they took effect; `terms` says which terms there are.
    fn parameters(&self, terms: (&str, Value)) -> Value {
        let fields = match self.plan.format {
            InputFormat::Lines => Value::Null,
            _ => {
                let fields = &self.plan.fields;
                json!({ "text": fields.text, "id": fields.id, "label": fields.label })
            }
        };
        json!({
            "input_format": self.plan.format,
            "fields": fields,
            "invalid_utf8": self.plan.invalid_utf8,
            "tokenizer": self.tokenizer,
            terms.0: terms.1,
        })
    }

    /// The container over these terms, on the dispatcher. Collective.
    fn writer(&self, job: &Job, terms: &[String], output: &Path) -> Result<Option<CorpusWriter>> {
        let labelled = self.plan.fields.label.is_some();
        let create = |target| CorpusWriter::create(target, terms, Values::Counts, labelled);
        job.target(output)?.map(create).transpose()
    }
}

/// Bytes of text that will be read, where that is known beforehand; the dispatcher shows it.
fn text_bytes(job: &Job, plan: &TextPlan) -> Option<u64> {
    if !job.is_dispatcher() {
        return None;
    }
    let bytes = plan.files.iter().map(|file| match (plan.format, file.compression) {
        (InputFormat::Dir, _) => file.listing().ok()?.piece_bytes(),
        (_, Compression::None) => Some(file.bytes.saturating_sub(file.data_offset)),
        _ => None,
    });
    bytes.sum()
}

/// Pass 1: counts terms and pieces. The dispatcher gets the total.
fn count(dataset: &Dataset<'_, '_, Pieces<'_>>) -> Result<Option<Census>> {
    let job = dataset.job();
    let mut counts = vec![TermCounts::default(); dataset.source().vocabularies().len()];
    let mut pieces = Vec::new();
    dataset.fold(|_, bags| {
        job.pool.install(|| counts.par_iter_mut().zip(&bags.parts).for_each(|(counts, part)| counts.absorb(part)));
        pieces.push(bags.facts);
        job.account.count(|counters| counters.documents += bags.facts.documents);
        Ok(())
    })?;
    let source = dataset.source();
    let vocabularies = &*source.vocabularies();
    let terms = job.account.compute(|| {
        job.pool.install(|| {
            let tables =
                counts.into_par_iter().zip(vocabularies).map(|(counts, vocabulary)| counts.resolve(vocabulary));
            tables.reduce(TermTable::default, TermTable::merge)
        })
    });
    merge(job, Census { terms, pieces })
}

/// Filters the census to the dictionary and gives it, with the facts on all pieces, to every rank.
fn agree(job: &Job, filter: &FilterSpec, census: Option<&Census>) -> Result<(Dictionary, Vec<PieceFacts>)> {
    let message = job.share(|| {
        let census = census.ok_or_else(|| Error::failed("the dispatcher has no census of the corpus"))?;
        if census.pieces.iter().enumerate().any(|(at, piece)| piece.number != at as u64) {
            return Err(Error::failed("a piece of the text was lost or counted twice; please report it"));
        }
        let documents = census.pieces.iter().map(|piece| piece.documents).sum();
        let dictionary = job.account.compute(|| census.terms.filter(filter, documents))?.encode();
        let mut message = (dictionary.len() as u64).to_le_bytes().to_vec();
        message.extend(dictionary);
        message.extend(PieceFacts::encode_all(&census.pieces));
        Ok(message)
    })?;
    let damaged = || Error::failed("damaged message: no dictionary; a defect of the network or of corpuscle");
    let (length, rest) = message.split_first_chunk().ok_or_else(damaged)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
    let (dictionary, pieces) = rest.split_at_checked(length).ok_or_else(damaged)?;
    Ok((Dictionary::decode(dictionary)?, PieceFacts::decode_all(pieces)?))
}

/// Pass 2: writes the documents. The dispatcher, which has the writer, gets the number of nonzeros.
fn write(
    dataset: &Dataset<'_, '_, Pieces<'_>>,
    convert: &Converter<'_>,
    progress: &Task,
    writer: Option<CorpusWriter>,
    provenance: &Value,
) -> Result<Option<u64>> {
    let job = dataset.job();
    let mut writer = writer.map(BackgroundWriter::start).transpose()?;
    let work = |_, bags: &pieces::Bags| {
        job.account.count(|counters| counters.documents += bags.facts.documents);
        let mut message = Vec::new();
        convert.convert(job.pool, bags, &dataset.source().vocabularies())?.encode(&mut message)?;
        Ok(message)
    };
    dataset.map(work, |number, message| {
        let Arrived { rows, ids, labels } = Arrived::decode(message, 0)?;
        progress.advance(convert.piece_bytes(number), rows.documents() as u64);
        writer.as_mut().map_or(Ok(()), |writer| writer.append_counts(rows, ids, labels))
    })?;
    let header = writer.map(|writer| job.account.io(|| writer.finish()?.finish(provenance))).transpose()?;
    Ok(header.map(|header| header.nonzeros))
}

/// How the corpus was made. Inputs are known by their content: the same text under another name, or compressed, is the
/// same input. A checksum is the BLAKE3 of the digests of an input's pieces; those of a folder hold the paths too.
fn provenance(parameters: &Value, plan: &TextPlan, pieces: &[PieceFacts]) -> Value {
    let inputs = (0..plan.files.len()).map(|file| {
        let (mut bytes, mut hasher) = (0, blake3::Hasher::new());
        for piece in pieces.iter().filter(|piece| piece.file as usize == file) {
            bytes += piece.bytes;
            hasher.update(&piece.checksum);
        }
        (bytes, hasher.finalize().to_hex().to_string())
    });
    provenance::of("build", parameters.clone(), &[("text", Input::files(inputs))])
}

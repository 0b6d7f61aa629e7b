//! Raw text to a corpus container, over all ranks.
//!
//! Input: files of text or folders of them, cut into pieces of about 4 MiB that end on record boundaries. Output: dictionary and bags of
//! words (documents x terms), the same bytes for any number of ranks, threads, and for any compression of the input.
//!
//! Pass 1, a fold: workers tokenise pieces under term numbers of their own, keep the bags within `--memory`, and count
//! in how many documents each term is; terms that outgrow their share of the memory go to a file, sorted. The counts are
//! merged in a tree (associative, commutative), block by block, the dispatcher filters them as they come to the dictionary
//! and broadcasts it. Pass 2, a map in order: workers turn bags into chunks over the
//! dictionary's terms, which the dispatcher appends to the container. Bags that were not kept are counted once more.
//! Where a dictionary is given, or terms are hashes, there is nothing to count, and one pass writes the documents (`reuse`). Phrases take a
//! pass of their own before, or several (`phrases`). Texts that are wanted once, for a model, do not become a corpus (`answers`).
//!
//! Cost: the text is read once, twice where memory is short; messages are pieces' places (pieces themselves where a
//! worker cannot read the file), 32 bytes and its letters for each term of each worker, and 8 bytes per nonzero to the
//! dispatcher. Memory of a worker: the bags it keeps, and about 70 bytes per distinct term and thread, both within
//! `--memory`; of the dispatcher: the dictionary.

mod answers;
mod census;
mod convert;
mod forecast;
mod phrases;
mod pieces;
mod reuse;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::corpus::container::{BackgroundWriter, CorpusWriter, Values};
use crate::corpus::dictionary::{Dictionary, FilterSpec};
use crate::corpus::hashed_terms::HashedTerms;
use crate::corpus::stop_words::{self, StopWords};
use crate::corpus::term_filter::{Seen, TermFilter};
use crate::corpus::term_list;
use crate::corpus::text::{InputFormat, TextPlan, TextSpec};
use crate::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use crate::corpus::wiki::page;
use crate::corpus::word_list::WordList;
use crate::dispatch::{Dataset, Job, once};
use crate::error::{Error, Result};
use crate::report::progress::{Task, Unit};
use crate::store::atomic::{Target, refuse_inputs_as_output};
use crate::store::provenance::{self, Input};

pub use answers::{Answered, answer};
use census::{Census, PieceFacts};
use convert::{Arrived, Converter};
use forecast::{TERMS_SHARE, forecast, text_bytes};
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
    /// Lists of words that may stand within phrases, in addition to those of the tokenizer.
    pub connectors: Vec<WordList>,
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
    /// The hashes of words, as many as the tokenizer says.
    Hashed,
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
    match &spec.terms {
        Terms::Dictionary(path) => build_on(job, path, checked, &spec.output),
        Terms::Hashed => {
            let bits = checked.tokenizer.hash_bits.unwrap_or_default();
            let terms = HashedTerms::new(bits)?.terms();
            build_over(job, terms, json!({ "hash_bits": bits }), checked, &spec.output)
        }
        Terms::Filtered { .. } => {
            let filter = checked.filter.clone().ok_or_else(|| Error::failed("the dispatcher has sent no filter"))?;
            build_filtered(job, &filter, checked, &spec.output)
        }
    }
}

/// Builds a corpus over the terms of the text that pass the filter.
fn build_filtered(job: &Job, filter: &FilterSpec, mut checked: Checked, output: &Path) -> Result<Option<Built>> {
    job.begin(|| Ok(checked.identity(("filter", json!(filter)))))?;
    let job = &job.within_memory("give more", || Ok(forecast(job, &checked.plan, filter.keep_n)))?;
    phrases::find(job, &checked.plan, &mut checked.tokenizer)?;
    let (plan, tokenizer) = (&checked.plan, &Tokenizer::new(&checked.tokenizer)?);
    let progress = job.progress.task("build: count", Unit::Bytes, text_bytes(job, plan));
    // The rest is for sorting terms.
    let keeping = &Job { memory: job.memory / 8 * 3, ..*job };
    let dataset = Dataset::new(keeping, Pieces::new(job, plan, tokenizer, &progress, None))?.enduring();
    let first = once(job, || {
        let (census, pieces) = job.account.phase("count", || count(job, &dataset))?;
        job.account.phase("dictionary", || find_terms(job, filter, census, &dataset, &pieces))
    })?;
    let Agreed { dictionary, pieces, seen } = job.account.phase("dictionary", || agree(job, first))?;
    check_announcements(plan, &pieces)?;
    let parameters = checked.parameters(("filter", json!(filter)));
    let provenance = provenance(&parameters, plan, &pieces);
    progress.stage("build: write", Some(pieces.iter().map(|piece| piece.bytes).sum()));
    let convert = Converter::new(plan, &pieces, &dictionary);
    dataset.source().number_by(convert.dictionary());
    let (terms_kept, tokens_kept) = (dictionary.len() as u64, dictionary.collection_frequency.iter().sum());
    let Dictionary { terms, document_frequency, collection_frequency } = dictionary;
    let frequencies = [document_frequency, collection_frequency];
    let nonzeros = job.account.phase("write", || {
        let writer = checked.writer(job, terms, Some(frequencies), output)?;
        write(&dataset, &convert, &progress, writer, &provenance)
    })?;
    Ok(nonzeros.map(|nonzeros| Built {
        documents: pieces.iter().map(|piece| piece.documents).sum(),
        tokens: seen.tokens,
        distinct_terms: Some(seen.terms),
        terms: terms_kept,
        tokens_kept,
        nonzeros,
        parameters,
    }))
}

/// Builds a corpus over the terms of a dictionary.
fn build_on(job: &Job, dictionary: &Path, mut checked: Checked, output: &Path) -> Result<Option<Built>> {
    let (terms, phrases) = job.account.phase("dictionary", || {
        let mut phrases = None;
        let message = job.share(|| {
            let mut found = term_list::of_dictionary(dictionary)?;
            // Its terms are those phrases, so they are joined here too.
            phrases = found.tokenizer.as_mut().and_then(|made| made.phrases.take());
            if let Some(options) = found.tokenizer.and_then(|made| made.differences(&checked.tokenizer)) {
                log::warn!("{}: its terms were made with other options of tokens: {options}", dictionary.display());
            }
            Ok(Dictionary::of_terms(found.terms).encode())
        })?;
        let unsendable = |cause| Error::failed(format!("phrases cannot be sent: {cause}"));
        let phrases = job.share(|| serde_json::to_vec(&phrases).map_err(unsendable))?;
        Ok((Dictionary::decode(&message)?.terms, serde_json::from_slice(&phrases).map_err(unsendable)?))
    })?;
    checked.tokenizer.phrases = phrases;
    let mut hasher = blake3::Hasher::new();
    terms.iter().for_each(|term| {
        hasher.update(&(term.len() as u64).to_le_bytes()).update(term.as_bytes());
    });
    let digest = json!({ "terms": terms.len(), "blake3": hasher.finalize().to_hex().as_str() });
    let built = build_over(job, terms, digest, checked, output)?;
    if let Some(built) = &built
        && (built.tokens_kept, built.tokens > 0) == (0, true)
    {
        log::warn!(
            "no token of the text is a term of {}: were its terms made with other options of tokens?",
            dictionary.display()
        );
    }
    Ok(built)
}

/// Builds a corpus over terms that are there already, of which `digest` tells.
fn build_over(
    job: &Job,
    terms: Vec<String>,
    digest: Value,
    mut checked: Checked,
    output: &Path,
) -> Result<Option<Built>> {
    job.begin(|| Ok(checked.identity(("dictionary", digest.clone()))))?;
    phrases::find(job, &checked.plan, &mut checked.tokenizer)?;
    let (plan, tokenizer) = (&checked.plan, &Tokenizer::new(&checked.tokenizer)?);
    let parameters = checked.parameters(("dictionary", digest));
    let known = reuse::vocabulary(&terms);
    let count = terms.len() as u64;
    let progress = job.progress.task("build: write", Unit::Bytes, text_bytes(job, plan));
    job.account.phase("write", || {
        let writer = checked.writer(job, terms, None, output)?;
        let (writer, found) = reuse::write(job, plan, tokenizer, &progress, &known, writer)?;
        let Some(writer) = writer else { return Ok(None) };
        check_announcements(plan, &found.pieces)?;
        let provenance = provenance(&parameters, plan, &found.pieces);
        let header = job.account.io(|| writer.finish(&provenance))?;
        Ok(Some(Built {
            documents: header.documents,
            tokens: found.known + found.unknown,
            distinct_terms: None,
            terms: count,
            tokens_kept: found.known,
            nonzeros: header.nonzeros,
            parameters: parameters.clone(),
        }))
    })
}

/// Makes sure that a file which begins with the number of its documents has as many.
fn check_announcements(plan: &TextPlan, pieces: &[PieceFacts]) -> Result<()> {
    for (number, file) in plan.files.iter().enumerate() {
        let found: u64 = pieces.iter().filter(|piece| piece.file as usize == number).map(|piece| piece.documents).sum();
        if file.announced.is_some_and(|announced| announced != found) {
            let announced = file.announced.unwrap_or_default();
            return Err(Error::failed(format!(
                "{}: {announced} documents are announced in its first line and {found} follow: is it complete?",
                file.path.display()
            )));
        }
    }
    Ok(())
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
        let words = Tokenizer::new(&tokenizer)?;
        tokenizer.stop_words.extend(stop_words::read_all(&self.stop_words)?);
        if let Some(phrases) = &mut tokenizer.phrases {
            let connectors = &mut phrases.spec.connectors;
            for list in &self.connectors {
                connectors.extend(list.read()?.iter().map(|word| words.as_token(word)));
            }
            connectors.sort_unstable();
            connectors.dedup();
        }
        let filter = match &self.terms {
            Terms::Dictionary(_) | Terms::Hashed => None,
            Terms::Filtered { filter, keep_tokens } => {
                filter.check()?;
                let mut filter = filter.clone();
                for list in keep_tokens {
                    filter.keep_tokens.extend(list.read()?.iter().map(|word| tokenizer.in_form(word)));
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
            Terms::Filtered { .. } | Terms::Hashed => None,
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
            InputFormat::Lines | InputFormat::Low => Value::Null,
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
            "min_tokens": self.plan.min_tokens,
            "wiki": (self.plan.format == InputFormat::Wiki).then_some(&self.plan.wiki),
            terms.0: terms.1,
        })
    }

    /// What decides the result. Text is known by its length and its ends: to read all of it takes as long as to count it, and
    /// a piece that has changed since it was counted is noticed when it is read again.
    fn identity(&self, terms: (&str, Value)) -> Value {
        let mut parameters = self.parameters(terms);
        parameters["piece_bytes"] = json!(self.plan.piece_bytes);
        let files = self.plan.files.iter();
        let text = files.map(|file| (file.bytes, blake3::Hash::from_bytes(file.fingerprint).to_hex().to_string()));
        provenance::of("build", parameters, &[("text", Input::files(text))])
    }

    /// The container over these terms, on the dispatcher, with the frequencies by document and in all where they are known.
    /// Collective.
    fn writer(
        &self,
        job: &Job,
        terms: Vec<String>,
        frequencies: Option<[Vec<u64>; 2]>,
        output: &Path,
    ) -> Result<Option<BackgroundWriter>> {
        let labelled = self.plan.fields.label.is_some();
        let Some(target) = job.target(output)? else { return Ok(None) };
        let create = move || {
            let mut writer = CorpusWriter::create(target, &terms, Values::Counts, labelled)?;
            if let Some([by_document, in_all]) = frequencies {
                writer.know_frequencies(by_document, in_all);
            }
            Ok(writer)
        };
        BackgroundWriter::start(create).map(Some)
    }
}

/// Pass 1: counts terms and pieces. The dispatcher gets the facts on all pieces.
fn count(job: &Job, dataset: &Dataset<'_, '_, Pieces<'_>>) -> Result<(Census, Vec<PieceFacts>)> {
    let threads = dataset.source().vocabularies().len();
    let mut census = Census::new(threads, job.memory / TERMS_SHARE);
    let mut pieces = Vec::new();
    dataset.fold(|_, bags| {
        if census.absorb(job, bags, &mut dataset.source().vocabularies_mut())? {
            // Bags are under numbers that mean nothing any more: they will be counted again.
            dataset.drop_kept();
        }
        pieces.push(bags.facts);
        job.account.count(|counters| counters.documents += bags.facts.documents);
        Ok(())
    })?;
    dataset.tell_dropped()?;
    Ok((census, census::gather(job, &pieces)?))
}

/// What all ranks agree on after the first pass.
struct Agreed {
    dictionary: Dictionary,
    /// Facts on all pieces, in order.
    pieces: Vec<PieceFacts>,
    /// What the text was found to hold.
    seen: Seen,
}

impl Agreed {
    /// As bytes, to travel and to be kept.
    fn encode(&self) -> Vec<u8> {
        let dictionary = self.dictionary.encode();
        let mut bytes = self.seen.encode().to_vec();
        bytes.extend_from_slice(&(dictionary.len() as u64).to_le_bytes());
        bytes.extend(dictionary);
        bytes.extend(PieceFacts::encode_all(&self.pieces));
        bytes
    }

    /// Undoes [`encode`](Self::encode); refuses damaged bytes.
    fn decode(bytes: &[u8]) -> Result<Agreed> {
        let damaged = || Error::failed("damaged message: no dictionary; a defect of the network or of corpuscle");
        let (seen, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (dictionary, pieces) = rest.split_at_checked(length).ok_or_else(damaged)?;
        Ok(Agreed {
            dictionary: Dictionary::decode(dictionary)?,
            pieces: PieceFacts::decode_all(pieces)?,
            seen: Seen::decode(seen),
        })
    }
}

/// Filters the census to the dictionary: the dispatcher gets that, and what else all ranks have to know, as bytes.
/// `pieces` are the dispatcher's, who alone knows how many documents there are. Collective.
fn find_terms(
    job: &Job,
    filter: &FilterSpec,
    census: Census,
    dataset: &Dataset<'_, '_, Pieces<'_>>,
    pieces: &[PieceFacts],
) -> Result<Option<Vec<u8>>> {
    let documents: u64 = pieces.iter().map(|piece| piece.documents).sum();
    let documents = job.share(|| Ok(documents.to_le_bytes().to_vec()))?;
    let damaged = |_| Error::failed("damaged message: no number of documents; a defect of the network or of corpuscle");
    let mut terms = TermFilter::new(filter, u64::from_le_bytes(documents.try_into().map_err(damaged)?))?;
    census
        .merge(job, &mut dataset.source().vocabularies_mut(), &mut |term, statistics| terms.push(term, statistics))?;
    let found = census::conclude(job, || {
        let (dictionary, seen) = terms.finish()?;
        Ok(Agreed { dictionary, pieces: Vec::new(), seen }.encode())
    })?;
    // What the pieces hold is known to the dispatcher already.
    Ok(found.map(|mut found| {
        found.extend(PieceFacts::encode_all(pieces));
        found
    }))
}

/// Gives every rank what the dispatcher has found in the first pass, in this run or in an earlier one. Collective.
fn agree(job: &Job, found: Option<Vec<u8>>) -> Result<Agreed> {
    let message =
        job.share(|| found.ok_or_else(|| Error::failed("the dispatcher has no dictionary; please report it")))?;
    Agreed::decode(&message)
}

/// Pass 2: writes the documents. The dispatcher, which has the writer, gets the number of nonzeros.
fn write(
    dataset: &Dataset<'_, '_, Pieces<'_>>,
    convert: &Converter<'_>,
    progress: &Task,
    mut writer: Option<BackgroundWriter>,
    provenance: &Value,
) -> Result<Option<u64>> {
    let job = dataset.job();
    let work = |_, bags: &pieces::Bags| {
        job.account.count(|counters| counters.documents += bags.facts.documents);
        let mut message = Vec::new();
        convert.convert(job.pool, bags, &dataset.source().vocabularies())?.encode(&mut message)?;
        Ok(message)
    };
    dataset.map(work, |number, message| {
        let Arrived { rows, ids, labels } = Arrived::decode(message, 0)?;
        progress.advance(convert.piece_bytes(number), rows.documents() as u64);
        writer.as_mut().map_or(Ok(()), |writer| writer.append_sent(rows, ids, labels))
    })?;
    let header = writer.map(|writer| job.account.io(|| writer.finish()?.finish(provenance))).transpose()?;
    Ok(header.map(|header| header.nonzeros))
}

/// How the corpus was made. Inputs are known by their content: the same text under another name, or compressed, is the
/// same input. A checksum is the BLAKE3 of the digests of an input's pieces; those of a folder hold the paths too. Of a
/// dump it is that of the sum of its pages' digests.
fn provenance(parameters: &Value, plan: &TextPlan, pieces: &[PieceFacts]) -> Value {
    let inputs = (0..plan.files.len()).map(|file| {
        let mut hasher = blake3::Hasher::new();
        let own = || pieces.iter().filter(|piece| piece.file as usize == file);
        let bytes = own().map(|piece| piece.bytes).sum();
        if plan.format == InputFormat::Wiki {
            hasher.update(&own().fold([0; 32], |sum, piece| page::add_digest(sum, piece.checksum)));
        } else {
            own().for_each(|piece| {
                hasher.update(&piece.checksum);
            });
        }
        (bytes, hasher.finalize().to_hex().to_string())
    });
    provenance::of("build", parameters.clone(), &[("text", Input::files(inputs))])
}

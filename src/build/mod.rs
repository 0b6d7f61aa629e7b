//! Raw text to a corpus container, over all ranks.
//!
//! Input: files of text, cut into pieces of about 4 MiB that end on record boundaries. Output: dictionary and bags of
//! words (documents x terms), the same bytes for any number of ranks, threads, and for any compression of the input.
//!
//! Pass 1, a fold: workers tokenise pieces under term numbers of their own, keep the bags within `--memory`, and count
//! in how many documents each term is. The counts are merged in a tree (associative, commutative), the dispatcher
//! filters them to the dictionary and broadcasts it. Pass 2, a map in order: workers turn bags into chunks over the
//! dictionary's terms, which the dispatcher appends to the container. Bags that were not kept are counted once more.
//!
//! Cost: the text is read once, twice where memory is short; messages are pieces' places (pieces themselves where a
//! worker cannot read the file), 32 bytes and its letters for each term of each worker, and 8 bytes per nonzero to the
//! dispatcher. Memory of a worker: the bags it keeps, and about 70 bytes per distinct term and thread.

mod census;
mod convert;
mod pieces;

use std::path::PathBuf;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::corpus::chunk::CsrChunk;
use crate::corpus::compression::Compression;
use crate::corpus::container::{CorpusWriter, Values};
use crate::corpus::dictionary::{Dictionary, FilterSpec, TermCounts, TermTable};
use crate::corpus::text::{InputFormat, TextPlan, TextSpec};
use crate::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use crate::dispatch::{Dataset, Job, merge};
use crate::error::{Error, Result};
use crate::report::progress::{Task, Unit};
use crate::store::atomic::{Target, refuse_inputs_as_output};
use crate::store::provenance::{self, Input};

use census::{Census, PieceFacts};
use convert::{Converter, Documents};
use pieces::Pieces;

/// What is to be built from what.
#[derive(Debug, Clone)]
pub struct BuildSpec {
    /// The text.
    pub text: TextSpec,
    /// How it is cut into tokens.
    pub tokenizer: TokenizerSpec,
    /// Which terms stay.
    pub filter: FilterSpec,
    /// The container to be written.
    pub output: PathBuf,
}

/// What was built.
#[derive(Debug, Clone, PartialEq)]
pub struct Built {
    /// Documents of the corpus, empty ones included.
    pub documents: u64,
    /// Tokens of the text.
    pub tokens: u64,
    /// Distinct terms among them.
    pub distinct_terms: u64,
    /// Terms that the filters left in the dictionary.
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
    let unsendable = |cause| Error::failed(format!("the names of the inputs cannot be sent: {cause}"));
    let plan = job.share(|| serde_json::to_vec(&spec.check()?).map_err(unsendable))?;
    let plan: TextPlan = serde_json::from_slice(&plan).map_err(unsendable)?;
    let tokenizer = Tokenizer::new(&spec.tokenizer)?;
    let progress = job.progress.task("build: count", Unit::Bytes, text_bytes(&plan));
    let dataset = Dataset::new(job, Pieces::new(job, &plan, &tokenizer, &progress))?;
    let census = job.account.phase("count", || count(&dataset))?;
    let (dictionary, pieces) = job.account.phase("dictionary", || agree(job, &spec.filter, census.as_ref()))?;
    let parameters = spec.parameters(&plan);
    let provenance = provenance(&parameters, &plan, &pieces);
    progress.stage("build: write", Some(pieces.iter().map(|piece| piece.bytes).sum()));
    let convert = Converter::new(&plan, &pieces, &dictionary);
    let nonzeros = job.account.phase("write", || {
        let labelled = plan.fields.label.is_some();
        let create = |target| CorpusWriter::create(target, &dictionary.terms, Values::Counts, labelled);
        let writer = job.target(&spec.output)?.map(create).transpose()?;
        write(&dataset, &convert, &progress, writer, &provenance)
    })?;
    Ok(census.zip(nonzeros).map(|(census, nonzeros)| Built {
        documents: pieces.iter().map(|piece| piece.documents).sum(),
        tokens: census.terms.iter().map(|(_, term)| term.collection_frequency).sum(),
        distinct_terms: census.terms.len() as u64,
        terms: dictionary.len() as u64,
        tokens_kept: dictionary.collection_frequency.iter().sum(),
        nonzeros,
        parameters,
    }))
}

impl BuildSpec {
    /// Looks for everything that can be wrong before the first piece is read.
    fn check(&self) -> Result<TextPlan> {
        self.filter.check()?;
        Tokenizer::new(&self.tokenizer)?;
        let plan = self.text.check()?;
        refuse_inputs_as_output(plan.files.iter().map(|file| file.path.as_path()), &self.output)?;
        // Only to learn that it can be made. Were it left there, it would stay when a worker meets damaged text and ends
        // the job.
        Target::create(&self.output)?;
        Ok(plan)
    }

    /// The parameters as they took effect.
    fn parameters(&self, plan: &TextPlan) -> Value {
        let fields = match plan.format {
            InputFormat::Lines => Value::Null,
            _ => json!({ "text": plan.fields.text, "id": plan.fields.id, "label": plan.fields.label }),
        };
        json!({
            "input_format": plan.format,
            "fields": fields,
            "invalid_utf8": plan.invalid_utf8,
            "tokenizer": self.tokenizer,
            "filter": self.filter,
        })
    }
}

/// Bytes of text that will be read, where that is known beforehand.
fn text_bytes(plan: &TextPlan) -> Option<u64> {
    let plain = plan.files.iter().all(|file| file.compression == Compression::None);
    plain.then(|| plan.files.iter().map(|file| file.bytes.saturating_sub(file.data_offset)).sum())
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
    mut writer: Option<CorpusWriter>,
    provenance: &Value,
) -> Result<Option<u64>> {
    let job = dataset.job();
    let work = |_, bags: &pieces::Bags| {
        job.account.count(|counters| counters.documents += bags.facts.documents);
        convert.convert(job.pool, bags, &dataset.source().vocabularies())?.encode()
    };
    dataset.map(work, |number, message| {
        let Documents { chunk, ids, labels } = Documents::decode(&message)?;
        let ids = ids.unwrap_or_else(|| numbers(&chunk));
        if let Some(writer) = &mut writer {
            writer.append(&chunk, &ids, labels.as_deref())?;
        }
        progress.advance(convert.piece_bytes(number), chunk.documents() as u64);
        Ok(())
    })?;
    let header = writer.map(|writer| job.account.io(|| writer.finish(provenance))).transpose()?;
    Ok(header.map(|header| header.nonzeros))
}

/// The names of documents that have none: their numbers.
fn numbers(chunk: &CsrChunk) -> Vec<String> {
    (chunk.first_document..).take(chunk.documents()).map(|number| number.to_string()).collect()
}

/// How the corpus was made. Inputs are known by their content: the same text under another name, or compressed, is the
/// same input. A checksum is the BLAKE3 of the digests of an input's pieces.
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

//! A corpus becomes a file of another format, and what belongs to it: dictionary, ids and labels.
//!
//! Workers turn their chunks into lines, compressed where wanted; the dispatcher writes them in order. A compressed file is
//! a sequence of gzip members, bzip2 streams or Zstandard frames, one a block of documents, which all readers take for one
//! file; blocks depend on the corpus alone, so the bytes do not depend on ranks or threads.
//!
//! Cost: one pass; the text travels to the dispatcher, compressed if it is going to be. Memory: a few chunks of text a worker.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use crate::corpus::chunk::CsrChunk;
use crate::corpus::compression::Compression;
use crate::corpus::container::{CorpusHeader, CorpusReader, Values};
use crate::corpus::dictionary::Dictionary;
use crate::corpus::dictionary_file::{DictionaryFile, Order};
use crate::corpus::matrix_market::Rows;
use crate::corpus::npz_writer;
use crate::corpus::row_writers::LineFormat;
use crate::dispatch::memory::{Forecast, Sizes};
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{At, Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::{Target, refuse_inputs_as_output, same_file};
use crate::store::provenance::{self, Input};

use super::document_names::{DocumentNames, NAMES_AT_A_TIME, classes};

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FileFormat {
    /// Lines of text.
    Lines(LineFormat),
    /// Arrays of scipy, whose rows are these.
    Npz {
        /// What the rows are.
        npz: Rows,
    },
}

/// What to export, and where to.
#[derive(Debug, Clone)]
pub struct ExportSpec {
    /// The corpus.
    pub corpus: PathBuf,
    /// The file; its name says how it is compressed.
    pub output: PathBuf,
    /// How it is written.
    pub format: FileFormat,
    /// Where gensim's text dictionary goes.
    pub dictionary: Option<PathBuf>,
    /// Where the terms go, one a line.
    pub vocabulary: Option<PathBuf>,
    /// Where the ids go, one a line.
    pub ids: Option<PathBuf>,
    /// Where the labels go, one a line.
    pub labels: Option<PathBuf>,
}

impl ExportSpec {
    /// The files beside the matrix, each with what is written to it.
    fn beside(&self) -> impl Iterator<Item = (Beside, &Path)> {
        let files = [
            (Beside::Dictionary, &self.dictionary),
            (Beside::Vocabulary, &self.vocabulary),
            (Beside::Ids, &self.ids),
            (Beside::Labels, &self.labels),
        ];
        files.into_iter().filter_map(|(what, path)| Some((what, path.as_deref()?)))
    }

    /// Makes sure that no file is meant twice.
    fn check(&self) -> Result<()> {
        let outputs: Vec<&Path> =
            std::iter::once(self.output.as_path()).chain(self.beside().map(|(_, path)| path)).collect();
        for (at, output) in outputs.iter().enumerate() {
            refuse_inputs_as_output([self.corpus.as_path()], output)?;
            if outputs[..at].iter().any(|other| same_file(other, output)) {
                let name = output.display();
                return Err(Error::usage(format!("{name}: is named for two outputs; give each its own")));
            }
        }
        Ok(())
    }
}

/// A file beside the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    Dictionary,
    Vocabulary,
    Ids,
    Labels,
}

/// Exports a corpus; its header is returned on every rank. Collective.
///
/// # Errors
/// Labels of a corpus without; terms, ids or labels that do not fit on a line; those of reading and writing. No file is
/// put in its place unless all are complete.
pub fn export(job: &Job, spec: &ExportSpec) -> Result<CorpusHeader> {
    if job.is_dispatcher() {
        spec.check()?;
    }
    let target = job.target(&spec.output)?;
    let beside = spec
        .beside()
        .map(|(what, path)| Ok((what, Compression::of_name(path), job.target(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let corpus = job.account.phase("open", || Corpus::open(job, &spec.corpus))?;
    let sizes = corpus.sizes(job)?;
    let job = &job.within_memory("give more", || Ok(forecast(job, &sizes, spec.format)))?;
    let header = corpus.header();
    if job.is_dispatcher() && spec.labels.is_some() && !header.labelled {
        let what = "has no labels; leave out --labels-out";
        return Err(Error::failed(format!("{}: {what}", spec.corpus.display())));
    }
    let (compression, format) = (Compression::of_name(&spec.output), spec.format);
    if matches!(format, FileFormat::Npz { .. }) && compression != Compression::None {
        return Err(Error::usage("an .npz file is compressed already: leave out the ending"));
    }
    job.begin(|| {
        let parameters = json!({ "format": format, "compression": compression });
        Ok(provenance::of("export", parameters, &[("corpus", Input::result(corpus.reader()?.file())?)]))
    })?;
    let phase = job.account.enter_phase("export");
    let output = match format {
        FileFormat::Lines(format) => write_lines(job, &corpus, target, format, compression)?,
        FileFormat::Npz { npz } => write_npz(job, &corpus, target, npz)?,
    };
    drop(phase);
    if let Some(output) = output {
        job.account.phase("write", || job.account.io(|| finish(output, beside, corpus.reader()?)))?;
    }
    Ok(corpus.header().clone())
}

/// Writes arrays, on the dispatcher: an archive has one writer, and the numbers are there already. Collective.
fn write_npz(job: &Job, corpus: &Corpus, target: Option<Target>, rows: Rows) -> Result<Option<Output>> {
    let mut output = None;
    // The others wait here.
    job.share(|| {
        let reader = corpus.reader()?;
        let mut open = Output::open(target.ok_or(Error::Aborted)?)?;
        let progress = job.progress.task("export", Unit::Documents, Some(reader.header().documents));
        let mut seen = |documents| {
            job.account.count(|counters| counters.documents += documents);
            progress.advance(documents, documents);
        };
        job.account.io(|| npz_writer::write(reader, rows, &mut open.file, &mut seen)).at(open.target.path())?;
        output = Some(open);
        Ok(Vec::new())
    })?;
    Ok(output)
}

/// Writes lines. Collective.
fn write_lines(
    job: &Job,
    corpus: &Corpus,
    target: Option<Target>,
    format: LineFormat,
    compression: Compression,
) -> Result<Option<Output>> {
    let header = corpus.header();
    let counts = header.values == Values::Counts;
    let words = words(job, corpus, format)?;
    let mut output = None;
    if let Some(target) = target {
        let reader = corpus.reader()?;
        let at_head = match format {
            LineFormat::Svmlight => classes(reader)?,
            LineFormat::Csv => reader.terms()?,
            _ => Vec::new(),
        };
        let head = format.head(header, &at_head).at(corpus.path())?;
        let names = format.names_documents().then(|| DocumentNames::new(reader, format, at_head));
        output = Some((Output::create(target, compression, &head)?, names));
    }
    // Each chunk is written once: none is kept.
    let job = &Job { memory: 0, ..*job };
    let dataset = Dataset::new(job, Documents::of(corpus, Ok))?.enduring();
    let progress = job.progress.task("export", Unit::Documents, Some(header.documents));
    dataset.map(
        |_, chunk| {
            let documents = chunk.documents() as u64;
            job.account.count(|counters| counters.documents += documents);
            if format.names_columns() {
                // Far longer as text than as a chunk: it becomes text a block at a time, where it is written.
                return Ok(encode(documents, &[chunk.encode()]));
            }
            // Lines that have to begin with names are compressed where the names are.
            let compression = if format.names_documents() { Compression::None } else { compression };
            let blocks: Vec<Vec<u8>> = job.pool.install(|| {
                let blocks = format.blocks(chunk).into_par_iter();
                blocks.map(|block| compression.compress(format.lines(chunk, block, counts, &words))).collect()
            });
            Ok(encode(documents, &blocks))
        },
        |_, answer| {
            let damaged = || Error::failed("damaged message: lines of a matrix");
            let (documents, mut blocks) = decode(&answer).ok_or_else(damaged)?;
            // Results come to the dispatcher only, which has an output.
            let Some((output, names)) = &mut output else { return Ok(()) };
            if format.names_columns() {
                for chunk in blocks {
                    let chunk = CsrChunk::decode(chunk)?;
                    for some in format.blocks(&chunk).chunks(job.pool.current_num_threads()) {
                        let text = |block: &Range<usize>| {
                            compression.compress(format.lines(&chunk, block.clone(), counts, &[]))
                        };
                        let packed: Vec<Vec<u8>> = job.pool.install(|| some.par_iter().map(text).collect());
                        packed.iter().try_for_each(|block| output.append(block))?;
                    }
                }
            } else if let Some(names) = names {
                let named = blocks.iter().map(|lines| names.before(lines)).collect::<Result<Vec<_>>>();
                let compress = |lines: Vec<u8>| compression.compress(lines);
                let named = named.at(corpus.path())?;
                let packed: Vec<Vec<u8>> = job.pool.install(|| named.into_par_iter().map(compress).collect());
                packed.iter().try_for_each(|block| output.append(block))?;
            } else {
                blocks.drain(..).try_for_each(|block| output.append(block))?;
            }
            progress.advance(documents, documents);
            Ok(())
        },
    )?;
    Ok(output.map(|(output, _)| output))
}

/// The terms, where lines are made of them: on every rank that works. Collective.
fn words(job: &Job, corpus: &Corpus, format: LineFormat) -> Result<Vec<String>> {
    if !format.has_words() {
        return format.check(corpus.header(), &[]).at(corpus.path()).map(|()| Vec::new());
    }
    let message = job.share(|| {
        let terms = job.account.io(|| corpus.reader()?.terms())?;
        format.check(corpus.header(), &terms).at(corpus.path())?;
        Ok(Dictionary::of_terms(terms).encode())
    })?;
    Ok(Dictionary::decode(&message)?.terms)
}

/// Documents of a chunk and blocks of lines for them, as bytes.
fn encode(documents: u64, blocks: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + blocks.iter().map(|block| block.len() + 8).sum::<usize>());
    bytes.extend_from_slice(&documents.to_le_bytes());
    for block in blocks {
        bytes.extend_from_slice(&(block.len() as u64).to_le_bytes());
        bytes.extend_from_slice(block);
    }
    bytes
}

/// Undoes [`encode`]; none of damaged bytes.
fn decode(bytes: &[u8]) -> Option<(u64, Vec<&[u8]>)> {
    let (documents, mut rest) = bytes.split_first_chunk()?;
    let mut blocks = Vec::new();
    while !rest.is_empty() {
        let (length, tail) = rest.split_first_chunk()?;
        let (block, tail) = tail.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        blocks.push(block);
        rest = tail;
    }
    Some((u64::from_le_bytes(*documents), blocks))
}

/// What exporting takes: up to 32 bytes of text a nonzero, uncompressed, of the chunks on their way; arrays go as they are.
fn forecast(job: &Job, sizes: &Sizes, format: FileFormat) -> Forecast {
    let (text, words, block) = match format {
        FileFormat::Npz { .. } => (0, 0, 16 * sizes.chunk_nonzeros),
        FileFormat::Lines(format) => {
            // Words are on all ranks.
            let words = if format.has_words() { 2 * sizes.dictionary() } else { 0 };
            let blocks = 3 * job.pool.current_num_threads() as u64 * format.widest_block(sizes.terms);
            (32 * sizes.chunk_nonzeros, words, blocks)
        }
    };
    let dictionary = 3 * sizes.dictionary() + 16 * sizes.terms;
    let dispatcher = sizes
        .dispatcher()
        .with("results", sizes.results(text))
        .with("blocks of text or numbers", block)
        .with("names of documents", 128 * NAMES_AT_A_TIME.min(sizes.documents))
        .with("dictionary", dictionary);
    Forecast { dispatcher, worker: sizes.worker(3 * text).with("words", words) }
}

/// Completes all files, then puts each in its place, the matrix last.
fn finish(matrix: Output, beside: Vec<(Beside, Compression, Option<Target>)>, corpus: &CorpusReader) -> Result<()> {
    let mut complete = Vec::new();
    for (what, compression, target) in beside {
        if let Some(target) = target {
            complete.push(write_beside(what, compression, target, corpus)?);
        }
    }
    complete.push(matrix.close()?);
    complete.into_iter().try_for_each(Target::commit)
}

/// A file being written on the dispatcher, part by part.
struct Output {
    file: BufWriter<File>,
    target: Target,
}

impl Output {
    /// Begins the matrix with its header.
    fn create(target: Target, compression: Compression, header: &str) -> Result<Output> {
        let mut output = Output::open(target)?;
        output.append(&compression.compress(header.as_bytes().to_vec()))?;
        Ok(output)
    }

    fn open(target: Target) -> Result<Output> {
        let file = File::create(target.temporary()).at(target.path())?;
        Ok(Output { file: BufWriter::new(file), target })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).at(self.target.path())
    }

    fn close(mut self) -> Result<Target> {
        self.file.flush().at(self.target.path())?;
        Ok(self.target)
    }
}

/// Writes a file beside the matrix.
fn write_beside(what: Beside, compression: Compression, target: Target, corpus: &CorpusReader) -> Result<Target> {
    let mut output = Output::open(target)?;
    match what {
        Beside::Dictionary => {
            let dictionary = DictionaryFile {
                documents: Some(corpus.header().documents),
                terms: corpus.terms()?,
                document_frequency: corpus.document_frequency()?,
            };
            let mut text = Vec::new();
            dictionary.write(&mut text, Order::Word).at(output.target.path())?;
            output.append(&compression.compress(text))?;
        }
        Beside::Vocabulary => {
            let terms = corpus.terms()?;
            if let Some(term) = terms.iter().find(|term| term.contains(['\n', '\r'])) {
                let what = format!("the term {term:?} holds a line break and cannot be written as a line");
                return Err(Error::failed(what)).at(output.target.path());
            }
            output.append(&compression.compress((terms.join("\n") + "\n").into_bytes()))?;
        }
        Beside::Ids | Beside::Labels => {
            let documents = corpus.header().documents;
            for first in (0..documents).step_by(NAMES_AT_A_TIME as usize) {
                let count = NAMES_AT_A_TIME.min(documents - first);
                let (names, kind) = match what {
                    Beside::Labels => (corpus.labels(first, count)?.unwrap_or_default(), "label"),
                    _ => (corpus.ids(first, count)?, "id"),
                };
                let text = lines_of(&names, first, kind).at(output.target.path())?;
                output.append(&compression.compress(text))?;
            }
        }
    }
    output.close()
}

/// Names of documents from `first` on, a line each.
fn lines_of(names: &[String], first: u64, kind: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    for (name, document) in names.iter().zip(first..) {
        if name.contains(['\n', '\r']) {
            return Err(Error::failed(format!(
                "the {kind} {name:?} of document {document} holds a line break and cannot be written as a line"
            )));
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'\n');
    }
    Ok(text)
}

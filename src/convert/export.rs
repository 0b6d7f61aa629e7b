//! A corpus becomes a MatrixMarket file, and what belongs to it: dictionary, ids and labels.
//!
//! Workers turn their chunks into lines, compressed where wanted; the dispatcher writes them in order. A compressed file is
//! a sequence of gzip members, bzip2 streams or Zstandard frames, one a block of documents, which all readers take for one
//! file; blocks depend on the corpus alone, so the bytes do not depend on ranks or threads.
//!
//! Cost: one pass; the text travels to the dispatcher, compressed if it is going to be. Memory: a few chunks of text a worker.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::corpus::compression::Compression;
use crate::corpus::container::{CorpusHeader, CorpusReader, Values};
use crate::corpus::dictionary_file::{DictionaryFile, Order};
use crate::corpus::matrix_market::Rows;
use crate::corpus::matrix_market_writer as writer;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{At, Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::{Target, refuse_inputs_as_output, same_file};

/// Ids or labels read at a time.
const NAMES_AT_A_TIME: u64 = 65_536;

/// What to export, and where to.
#[derive(Debug, Clone)]
pub struct ExportSpec {
    /// The corpus.
    pub corpus: PathBuf,
    /// The MatrixMarket file; its name says how it is compressed.
    pub output: PathBuf,
    /// What its rows are.
    pub rows: Rows,
    /// Where gensim's text dictionary goes.
    pub dictionary: Option<PathBuf>,
    /// Where the ids go, one a line.
    pub ids: Option<PathBuf>,
    /// Where the labels go, one a line.
    pub labels: Option<PathBuf>,
}

impl ExportSpec {
    /// The files beside the matrix, each with what is written to it.
    fn beside(&self) -> impl Iterator<Item = (Beside, &Path)> {
        let files = [(Beside::Dictionary, &self.dictionary), (Beside::Ids, &self.ids), (Beside::Labels, &self.labels)];
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
    let beside = spec.beside().map(|(what, path)| Ok((what, job.target(path)?))).collect::<Result<Vec<_>>>()?;
    let corpus = job.account.phase("open", || Corpus::open(job, &spec.corpus))?;
    let header = corpus.header();
    if job.is_dispatcher() && spec.labels.is_some() && !header.labelled {
        let what = "has no labels; leave out --labels-out";
        return Err(Error::failed(format!("{}: {what}", spec.corpus.display())));
    }
    let compression = Compression::of_name(&spec.output);
    let counts = header.values == Values::Counts;

    let phase = job.account.enter_phase("export");
    let mut output = target.map(|target| Output::create(target, compression, &writer::header(header, spec.rows)));
    let mut output = output.take().transpose()?;
    // Each chunk is written once: none is kept.
    let job = &Job { memory: 0, ..*job };
    let dataset = Dataset::new(job, Documents::of(&corpus, Ok))?;
    let progress = job.progress.task("export", Unit::Documents, Some(header.documents));
    dataset.map(
        |_, chunk| {
            let documents = chunk.documents() as u64;
            job.account.count(|counters| counters.documents += documents);
            let blocks: Vec<Vec<u8>> = job.pool.install(|| {
                let blocks = writer::blocks(chunk).into_par_iter();
                blocks.map(|block| compression.compress(writer::lines(chunk, block, counts, spec.rows))).collect()
            });
            let mut answer = documents.to_le_bytes().to_vec();
            answer.extend(blocks.into_iter().flatten());
            Ok(answer)
        },
        |_, answer| {
            let (documents, lines) =
                answer.split_first_chunk().ok_or_else(|| Error::failed("damaged message: lines of a matrix"))?;
            // Results come to the dispatcher only, which has an output.
            output.as_mut().map_or(Ok(()), |output| output.append(lines))?;
            progress.advance(u64::from_le_bytes(*documents), u64::from_le_bytes(*documents));
            Ok(())
        },
    )?;
    drop((phase, progress));
    if let Some(output) = output {
        job.account.phase("write", || job.account.io(|| finish(output, beside, corpus.reader()?)))?;
    }
    Ok(corpus.header().clone())
}

/// Completes all files, then puts each in its place, the matrix last.
fn finish(matrix: Output, beside: Vec<(Beside, Option<Target>)>, corpus: &CorpusReader) -> Result<()> {
    let beside = beside.into_iter().filter_map(|(what, target)| Some((what, target?)));
    let written = beside.map(|(what, target)| write_beside(what, target, corpus)).collect::<Result<Vec<_>>>()?;
    let matrix = matrix.close()?;
    written.into_iter().chain([matrix]).try_for_each(Target::commit)
}

/// The matrix being written, on the dispatcher.
struct Output {
    file: BufWriter<File>,
    target: Target,
}

impl Output {
    fn create(target: Target, compression: Compression, header: &str) -> Result<Output> {
        let file = File::create(target.temporary()).at(target.path())?;
        let mut output = Output { file: BufWriter::new(file), target };
        output.append(&compression.compress(header.as_bytes().to_vec()))?;
        Ok(output)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).at(self.target.path())
    }

    fn close(mut self) -> Result<Target> {
        self.file.flush().at(self.target.path())?;
        Ok(self.target)
    }
}

/// Writes a file beside the matrix, compressed as its own name says.
fn write_beside(what: Beside, target: Target, corpus: &CorpusReader) -> Result<Target> {
    let header = corpus.header();
    let mut text = Vec::new();
    match what {
        Beside::Dictionary => {
            let dictionary = DictionaryFile {
                documents: Some(header.documents),
                terms: corpus.terms()?,
                document_frequency: corpus.document_frequency()?,
            };
            dictionary.write(&mut text, Order::Word).at(target.path())?;
        }
        Beside::Ids => {
            let read = |first, count| corpus.ids(first, count);
            write_names(&mut text, "id", header.documents, read).at(target.path())?;
        }
        Beside::Labels => {
            let read = |first, count| Ok(corpus.labels(first, count)?.unwrap_or_default());
            write_names(&mut text, "label", header.documents, read).at(target.path())?;
        }
    }
    std::fs::write(target.temporary(), Compression::of_name(target.path()).compress(text)).at(target.path())?;
    Ok(target)
}

/// Writes a line for each document.
fn write_names(
    out: &mut Vec<u8>,
    what: &str,
    documents: u64,
    read: impl Fn(u64, u64) -> Result<Vec<String>>,
) -> Result<()> {
    for first in (0..documents).step_by(NAMES_AT_A_TIME as usize) {
        for (name, document) in read(first, NAMES_AT_A_TIME.min(documents - first))?.iter().zip(first..) {
            if name.contains(['\n', '\r']) {
                return Err(Error::failed(format!(
                    "the {what} {name:?} of document {document} holds a line break and cannot be written as a line"
                )));
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'\n');
        }
    }
    Ok(())
}

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
use serde_json::json;

use crate::corpus::compression::Compression;
use crate::corpus::container::{CorpusHeader, CorpusReader, Values};
use crate::corpus::dictionary_file::{DictionaryFile, Order};
use crate::corpus::matrix_market::Rows;
use crate::corpus::matrix_market_writer as writer;
use crate::dispatch::{Corpus, Dataset, Documents, Job};
use crate::error::{At, Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::{Target, refuse_inputs_as_output, same_file};
use crate::store::provenance::{self, Input};

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
    let beside = spec
        .beside()
        .map(|(what, path)| Ok((what, Compression::of_name(path), job.target(path)?)))
        .collect::<Result<Vec<_>>>()?;
    let corpus = job.account.phase("open", || Corpus::open(job, &spec.corpus))?;
    let header = corpus.header();
    if job.is_dispatcher() && spec.labels.is_some() && !header.labelled {
        let what = "has no labels; leave out --labels-out";
        return Err(Error::failed(format!("{}: {what}", spec.corpus.display())));
    }
    let compression = Compression::of_name(&spec.output);
    let counts = header.values == Values::Counts;

    job.begin(|| {
        let parameters = json!({ "rows": spec.rows, "compression": compression });
        Ok(provenance::of("export", parameters, &[("corpus", Input::result(corpus.reader()?.file())?)]))
    })?;
    let phase = job.account.enter_phase("export");
    let create = |target| Output::create(target, compression, &writer::header(header, spec.rows));
    let mut output = target.map(create).transpose()?;
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
            blocks.iter().for_each(|block| answer.extend_from_slice(block));
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

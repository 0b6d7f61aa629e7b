//! One corpus becomes two: documents to learn from and documents to test with.
//!
//! Nothing is computed here, documents only move from file to file: the dispatcher does it alone, a chunk at a time.
//! Memory: a chunk, and some 20 bytes a document while it is decided who goes where.

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::json;

use crate::corpus::chunk::{ChunkSpan, CsrChunk};
use crate::corpus::container::{CorpusHeader, CorpusReader, CorpusWriter, WEIGHTING};
use crate::corpus::split::assignment;
use crate::dispatch::Job;
use crate::dispatch::memory::{FILES, Forecast, Need, Sizes};
use crate::error::{Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::{Target, refuse_inputs_as_output, same_file};
use crate::store::provenance::{self, Input};
use crate::store::section::Section;

/// Documents whose labels are read at a time.
const LABELS_AT_A_TIME: u64 = 65_536;

/// What to split, and how.
#[derive(Debug, Clone)]
pub struct SplitSpec {
    /// The corpus.
    pub corpus: PathBuf,
    /// Share of the documents that goes to the test part.
    pub test: f64,
    /// Seed of the choice.
    pub seed: u64,
    /// The part to learn from.
    pub train_out: PathBuf,
    /// The part to test with.
    pub test_out: PathBuf,
}

/// Splits a corpus; the headers of the part to learn from and of the part to test with are returned on the dispatcher.
pub fn split(job: &Job, spec: &SplitSpec) -> Result<Option<[CorpusHeader; 2]>> {
    let mut opened = None;
    job.within_memory("give more", || {
        if same_file(&spec.train_out, &spec.test_out) {
            return Err(Error::usage("--train-out and --test-out name the same file"));
        }
        for output in [&spec.train_out, &spec.test_out] {
            refuse_inputs_as_output([spec.corpus.as_path()], output)?;
        }
        let targets = [Target::create(&spec.train_out)?, Target::create(&spec.test_out)?];
        let (reader, _) = opened.insert((job.account.io(|| CorpusReader::open(&spec.corpus))?, targets));
        Ok(forecast(reader))
    })?;
    let Some((reader, targets)) = opened else { return Ok(None) };
    let header = reader.header();
    let classes = classes(&reader)?;
    let test = job.account.compute(|| assignment(classes.as_deref(), header.documents, spec.test, spec.seed))?;
    let terms = reader.terms()?;
    let create = |target| CorpusWriter::create(target, &terms, header.values.clone(), header.labelled);
    let [train_target, test_target] = targets;
    let mut writers = [create(train_target)?, create(test_target)?];
    let progress = job.progress.task("split", Unit::Documents, Some(header.documents));
    for (number, span) in reader.chunks().iter().enumerate() {
        job.account.io(|| {
            let chunk = Rows::read(&reader, number, span)?;
            let goes = &test[span.first_document as usize..][..span.documents as usize];
            chunk.deal(goes, &mut writers)
        })?;
        job.account.count(|counters| counters.documents += span.documents);
        progress.advance(span.documents, span.documents);
    }
    let weighting = Section::open(reader.file(), WEIGHTING)?;
    let finish = |mut writer: CorpusWriter, part: &str| {
        let parameters = json!({"test": spec.test, "seed": spec.seed, "part": part});
        let inputs = [("corpus", Input::result(reader.file())?)];
        job.account.io(|| {
            if let Some(weighting) = &weighting {
                writer.section(WEIGHTING)?.copy(weighting)?;
            }
            writer.finish(&provenance::of("split", parameters, &inputs))
        })
    };
    let [train, test] = writers;
    Ok(Some([finish(train, "train")?, finish(test, "test")?]))
}

/// What splitting takes on the dispatcher, which does it alone.
fn forecast(reader: &CorpusReader) -> Forecast {
    let sizes = Sizes::of(reader, 1);
    let dispatcher = sizes
        .dispatcher()
        .with("who goes where", 52 * sizes.documents)
        .with("dictionary and frequencies", 2 * sizes.dictionary() + 64 * sizes.terms)
        .with("a chunk at hand", 3 * sizes.chunk() + 2 * sizes.names());
    Forecast { dispatcher: dispatcher.and(Need::fixed(2 * FILES)), worker: Need::default() }
}

/// A class number for each document, by its label; labels are numbered as they come.
fn classes(reader: &CorpusReader) -> Result<Option<Vec<u32>>> {
    let documents = reader.header().documents;
    if !reader.header().labelled {
        return Ok(None);
    }
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut classes = Vec::with_capacity(documents as usize);
    for first in (0..documents).step_by(LABELS_AT_A_TIME as usize) {
        let labels = reader.labels(first, LABELS_AT_A_TIME.min(documents - first))?;
        for label in labels.unwrap_or_default() {
            let next = numbers.len() as u32;
            classes.push(*numbers.entry(label).or_insert(next));
        }
    }
    Ok(Some(classes))
}

/// Consecutive documents with their names.
struct Rows {
    chunk: CsrChunk,
    ids: Vec<String>,
    labels: Option<Vec<String>>,
}

impl Rows {
    fn read(reader: &CorpusReader, number: usize, span: &ChunkSpan) -> Result<Rows> {
        let (first, count) = (span.first_document, span.documents);
        Ok(Rows {
            chunk: reader.read_chunk(number)?,
            ids: reader.ids(first, count)?,
            labels: reader.labels(first, count)?,
        })
    }

    /// Appends each document to one of the two corpora: the second where `goes` is true.
    fn deal(&self, goes: &[bool], writers: &mut [CorpusWriter; 2]) -> Result<()> {
        for (second, writer) in writers.iter_mut().enumerate() {
            let rows = || (0..goes.len()).filter(|&row| goes[row] == (second == 1));
            let mut part = CsrChunk {
                first_document: writer.documents(),
                terms: self.chunk.terms,
                indptr: vec![0],
                ..CsrChunk::default()
            };
            for row in rows() {
                let (terms, values) = self.chunk.document(row);
                part.indices.extend_from_slice(terms);
                part.data.extend_from_slice(values);
                part.indptr.push(part.indices.len() as u64);
            }
            let ids: Vec<String> = rows().map(|row| self.ids[row].clone()).collect();
            let labels: Option<Vec<String>> =
                self.labels.as_ref().map(|labels| rows().map(|row| labels[row].clone()).collect());
            writer.append(&part, &ids, labels.as_deref())?;
        }
        Ok(())
    }
}

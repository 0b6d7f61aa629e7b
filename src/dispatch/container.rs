//! The documents of a container as chunks of a dataset.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dataset::{Parcel, Reader, Source};
use super::job::Job;
use super::memory::Sizes;
use crate::comm::Route;
use crate::corpus::chunk::{CsrChunk, Footprint};
use crate::corpus::container::{CorpusHeader, CorpusReader, Values};
use crate::error::{Error, Result};

/// A corpus that a job works on: what it is, and the file where this rank sees it.
pub struct Corpus {
    path: PathBuf,
    header: CorpusHeader,
    reader: Option<CorpusReader>,
}

/// What the dispatcher tells the others of the corpus.
#[derive(Serialize, Deserialize)]
struct Summary {
    path: PathBuf,
    documents: u64,
    terms: u32,
    nonzeros: u64,
    values: String,
    labelled: bool,
    checksum: String,
}

impl Corpus {
    /// Opens a corpus on the dispatcher, and on every worker that finds a file with the same content at the same
    /// path. Collective.
    pub fn open(job: &Job, path: &Path) -> Result<Corpus> {
        let mut reader = None;
        let summary = job.share(|| {
            let opened = job.account.io(|| CorpusReader::open(path))?;
            let CorpusHeader { documents, terms, nonzeros, values, labelled, checksum } = opened.header().clone();
            let summary = Summary {
                path: path.to_owned(),
                documents,
                terms,
                nonzeros,
                values: values.name().to_owned(),
                labelled,
                checksum,
            };
            reader = Some(opened);
            serde_json::to_vec(&summary).map_err(|cause| Error::failed(format!("{}: {cause}", path.display())))
        })?;
        let Summary { path, documents, terms, nonzeros, values, labelled, checksum } =
            serde_json::from_slice(&summary).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        let values = if values == Values::Counts.name() { Values::Counts } else { Values::Weights(values) };
        let header = CorpusHeader { documents, terms, nonzeros, values, labelled, checksum };
        if reader.is_none() && !job.scatter {
            // A worker that sees no such file, or another one of that name, gets its chunks sent.
            reader = job.account.io(|| CorpusReader::open(&path)).ok().filter(|reader| *reader.header() == header);
        }
        Ok(Corpus { path, header, reader })
    }

    /// What the corpus is.
    pub fn header(&self) -> &CorpusHeader {
        &self.header
    }

    /// Where it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What forecasts of memory are made from. Collective; what the dispatcher gets is right, chunks are not known elsewhere.
    pub fn sizes(&self, job: &Job) -> Result<Sizes> {
        let blind = job.wait(job.comm.sum(Route::World, vec![i64::from(job.works() && self.reader.is_none())]))?;
        let sizes = self.reader.as_ref().map(|reader| Sizes::of(reader, job.workers() as u64));
        Ok(Sizes { sent: blind != [0], round: job.round_bytes, ..sizes.unwrap_or_default() })
    }

    /// The file; there is always one on the dispatcher.
    pub fn reader(&self) -> Result<&CorpusReader> {
        self.reader.as_ref().ok_or_else(|| Error::failed(format!("{}: not visible on this rank", self.path.display())))
    }
}

/// Chunks of a corpus, made ready by a function of the chunk.
pub struct Documents<'a, I> {
    corpus: &'a Corpus,
    prepare: fn(CsrChunk) -> Result<I>,
    next: usize,
}

impl<'a, I> Documents<'a, I> {
    /// All documents of the corpus.
    pub fn of(corpus: &'a Corpus, prepare: fn(CsrChunk) -> Result<I>) -> Self {
        Documents { corpus, prepare, next: 0 }
    }
}

impl<I: Footprint + Send> Source for Documents<'_, I> {
    type Item = I;
    const KNOWN: bool = true;

    fn next(&mut self) -> Result<Option<Parcel>> {
        let reader = self.corpus.reader()?;
        let parcel = reader.chunks().get(self.next).map(|span| Parcel {
            number: self.next as u64,
            // Reading and the loops over documents cost something too: a chunk of empty documents is not free.
            weight: span.nonzeros + span.documents,
            memory: span.nonzeros * 8 + span.documents * 8,
            ..Parcel::default()
        });
        self.next += 1;
        Ok(parcel)
    }

    fn visible(&self) -> bool {
        self.corpus.reader.is_some()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        Ok(self.corpus.reader()?.read_chunk(parcel.number as usize)?.encode())
    }

    fn open(&self, _: &Parcel, bytes: Vec<u8>) -> Result<I> {
        (self.prepare)(CsrChunk::decode(&bytes)?)
    }

    fn load(&self, parcel: &Parcel) -> Result<I> {
        load(self.corpus.reader()?, self.prepare, parcel)
    }

    fn reader(&self) -> Option<Reader<'_, I>> {
        let (corpus, prepare) = (self.corpus.reader.as_ref()?, self.prepare);
        Some(Box::new(move |parcel| load(corpus, prepare, parcel)))
    }
}

/// The chunk of a parcel, read and made ready.
fn load<I>(corpus: &CorpusReader, prepare: fn(CsrChunk) -> Result<I>, parcel: &Parcel) -> Result<I> {
    prepare(corpus.read_chunk(parcel.number as usize)?)
}

//! From vectors or texts to their neighbours, in memory or in a file.
//!
//! The file: `neighbours` (queries x n, i64: numbers of documents in the index, best first), `similarities` (queries x n,
//! f32), `ids` (strings: a name for each query). A query that is a zero vector has no neighbours: -1 and 0.

use std::path::PathBuf;

use ndarray::{Array2, ArrayView2};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::index::{Index, copy_strings};
use super::nearest::Neighbour;
use super::search::{FirstPass, Search, Spread};
use super::text::TextSpace;
use super::unit::UnitVectors;
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::Target;
use crate::store::file::Format;
use crate::store::model::{ModelWriter, Slabs};
use crate::store::provenance::{self, Input};

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySpec {
    /// The index.
    pub index: PathBuf,
    /// The queries.
    pub queries: QuerySource,
    /// Neighbours of each query.
    pub top: usize,
    /// How they are looked for; what is found does not depend on it.
    pub first_pass: FirstPass,
}

/// Where queries come from.
#[derive(Debug, Clone, PartialEq)]
pub enum QuerySource {
    /// A vectors file.
    Vectors {
        /// The file.
        path: PathBuf,
        /// It is the one the index was made of, and no document is to be its own neighbour.
        exclude_self: bool,
    },
    /// Texts.
    Texts(Vec<String>),
}

/// What was found, on the dispatcher.
pub struct Found {
    /// Number of queries.
    pub queries: usize,
    /// Queries that are zero vectors and have no neighbours.
    pub without_direction: usize,
    /// Similarities that were computed exactly, because nothing ruled them out: all answers are proven by that.
    pub rescored: u64,
    /// A name for each query and its neighbours, best first, unless they went to a file.
    pub neighbours: Vec<(String, Vec<Neighbour>)>,
}

/// Finds the nearest documents of all queries. Collective; with a target, which the dispatcher has, they go to that file.
///
/// # Errors
/// Queries of another dimension than the index; more neighbours than the index has; own vectors that are not those of the
/// index; texts and an index without a model; those of [`UnitVectors::rows`] and [`TextSpace::vectors`].
pub fn query(
    job: &Job,
    index: &Index,
    spec: &QuerySpec,
    to_file: bool,
    target: Option<Target>,
) -> Result<Option<Found>> {
    let phase = job.account.enter_phase("load");
    let mut asked = None;
    let message = job.share(|| {
        let queries = asked.insert(Queries::open(job, index, spec)?);
        Ok(queries.search.to_bytes())
    })?;
    let search = Search::from_bytes(&message)?;
    let job =
        &job.within_memory("give more, or ask for fewer with --top", || Ok(search.forecast(job, index, to_file)))?;
    let spread = Spread::new(job, index, search.quantised)?;
    drop(phase);

    let mut output = match (&asked, target) {
        (Some(_), Some(target)) => Some(Output::create(target, search.wanted)?),
        _ => None,
    };
    let phase = job.account.enter_phase("search");
    let progress = job.progress.task("query", Unit::Tasks, Some(search.queries as u64));
    let (mut lists, mut without_direction) = (Vec::new(), 0);
    let read = |first, count| match &asked {
        Some(queries) => queries.rows(first, count),
        None => Err(Error::failed("only the dispatcher reads queries")),
    };
    let rescored = spread.search(search, read, |vectors, mut found| {
        for (vector, list) in vectors.rows().into_iter().zip(&mut found) {
            if vector.iter().all(|&value| value == 0.0) {
                without_direction += 1;
                list.clear();
            }
        }
        progress.advance(found.len() as u64, found.len() as u64 * index.header().documents);
        match &mut output {
            Some(output) => job.account.io(|| output.append(&found)),
            None => {
                lists.extend(found);
                Ok(())
            }
        }
    })?;
    drop((phase, progress));

    let Some(queries) = asked else { return Ok(None) };
    if let Some(output) = output {
        job.account.phase("write", || job.account.io(|| output.finish(index, spec, &queries)))?;
    }
    let names = if to_file { Vec::new() } else { queries.names()? };
    let neighbours = names.into_iter().zip(lists).collect();
    Ok(Some(Found { queries: search.queries, without_direction, rescored, neighbours }))
}

/// What every rank has to know of a search.
#[derive(Serialize, Deserialize)]
struct Numbers(usize, usize, bool, bool);

impl Search {
    fn to_bytes(self) -> Vec<u8> {
        serde_json::to_vec(&Numbers(self.queries, self.wanted, self.own, self.quantised))
            .expect("plain numbers always serialise")
    }

    fn from_bytes(bytes: &[u8]) -> Result<Search> {
        let Numbers(queries, wanted, own, quantised) =
            serde_json::from_slice(bytes).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
        Ok(Search { queries, wanted, own, quantised })
    }
}

/// The dispatcher's side: the queries, checked.
struct Queries {
    search: Search,
    from: Origin,
}

enum Origin {
    File(UnitVectors),
    Texts { number: usize, vectors: Array2<f32> },
}

impl Queries {
    fn open(job: &Job, index: &Index, spec: &QuerySpec) -> Result<Queries> {
        let header = index.header();
        let (from, queries, own) = match &spec.queries {
            QuerySource::Texts(texts) => {
                let space = job.account.io(|| TextSpace::read(index.reader()?))?;
                let vectors = job.account.compute(|| space.vectors(job.pool, texts))?;
                (Origin::Texts { number: texts.len(), vectors }, texts.len(), false)
            }
            QuerySource::Vectors { path, exclude_self } => {
                let vectors = job.account.io(|| UnitVectors::open(path))?;
                if vectors.columns() != header.columns {
                    return Err(Error::failed(format!(
                        "{}: vectors of {} numbers do not fit the index {}, whose vectors have {}; make both with one model",
                        path.display(),
                        vectors.columns(),
                        index.path().display(),
                        header.columns
                    )));
                }
                let made = index.reader()?.file().provenance()?;
                let all = vectors.documents() as u64 == header.documents;
                let checksum = Some(vectors.file().checksum.as_str());
                if *exclude_self && !(all && provenance::checksum(&made, "vectors") == checksum) {
                    return Err(Error::failed(format!(
                        "{}: --exclude-self: not the vectors that the index {} was made of; leave the option out",
                        path.display(),
                        index.path().display()
                    )));
                }
                let documents = vectors.documents();
                (Origin::File(vectors), documents, *exclude_self)
            }
        };
        let most = header.documents - header.zero_vectors - u64::from(own && header.documents > header.zero_vectors);
        if spec.top as u64 > most {
            return Err(Error::usage(format!(
                "--top {}: a query of {} can have at most {most} neighbours ({} documents, {} of them zero vectors)",
                spec.top,
                index.path().display(),
                header.documents,
                header.zero_vectors
            )));
        }
        let quantised = spec.first_pass.quantises(queries);
        Ok(Queries { search: Search { queries, wanted: spec.top, own, quantised }, from })
    }

    fn rows(&self, first: usize, count: usize) -> Result<Array2<f32>> {
        match &self.from {
            Origin::File(vectors) => vectors.rows(first, count),
            Origin::Texts { vectors, .. } => Ok(vectors.slice(ndarray::s![first..first + count, ..]).to_owned()),
        }
    }

    /// A name for each query; texts are numbered from 0.
    fn names(&self) -> Result<Vec<String>> {
        match &self.from {
            Origin::Texts { number, .. } => Ok((0..*number).map(|text| text.to_string()).collect()),
            Origin::File(vectors) => Ok(vectors.strings("ids")?.collect::<Result<Vec<_>>>()?.concat()),
        }
    }
}

/// The file being written.
struct Output {
    // Before `file`, which must be the last to let go of the HDF5 file.
    neighbours: Slabs<i64>,
    similarities: Slabs<f32>,
    wanted: usize,
    file: ModelWriter,
}

impl Output {
    fn create(target: Target, wanted: usize) -> Result<Output> {
        let mut file = ModelWriter::create(target, Format::Neighbours)?;
        Ok(Output {
            neighbours: file.slabs("neighbours", wanted)?,
            similarities: file.slabs("similarities", wanted)?,
            wanted,
            file,
        })
    }

    fn append(&mut self, lists: &[Vec<Neighbour>]) -> Result<()> {
        let mut neighbours = Vec::with_capacity(lists.len() * self.wanted);
        let mut similarities = Vec::with_capacity(lists.len() * self.wanted);
        for list in lists {
            let missing = self.wanted - list.len();
            neighbours.extend(list.iter().map(|n| n.document as i64).chain(std::iter::repeat_n(-1, missing)));
            similarities.extend(list.iter().map(|n| n.similarity).chain(std::iter::repeat_n(0.0, missing)));
        }
        let shape = (lists.len(), self.wanted);
        let odd = |cause| Error::failed(format!("neighbours do not add up: {cause}"));
        self.file.push(&mut self.neighbours, ArrayView2::from_shape(shape, &neighbours).map_err(odd)?)?;
        self.file.push(&mut self.similarities, ArrayView2::from_shape(shape, &similarities).map_err(odd)?)
    }

    fn finish(self, index: &Index, spec: &QuerySpec, queries: &Queries) -> Result<()> {
        let Output { neighbours, similarities, mut file, .. } = self;
        file.finish_slabs(neighbours)?;
        file.finish_slabs(similarities)?;
        let mut inputs = vec![("index", Input::result(index.reader()?.file())?)];
        let mut parameters = json!({ "top": spec.top });
        match (&queries.from, &spec.queries) {
            (Origin::File(vectors), _) => {
                copy_strings(std::slice::from_ref(vectors), &mut file, "ids")?;
                parameters["exclude_self"] = json!(queries.search.own);
                inputs.push(("vectors", Input::result(vectors.file())?));
            }
            (Origin::Texts { .. }, QuerySource::Texts(texts)) => {
                file.strings("ids", queries.names()?)?;
                parameters["texts"] = json!(texts);
            }
            (Origin::Texts { .. }, QuerySource::Vectors { .. }) => {
                return Err(Error::failed("texts where vectors were asked; please report it"));
            }
        }
        file.finish(&provenance::of("query", parameters, &inputs)).map(drop)
    }
}

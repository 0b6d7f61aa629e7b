//! A file with an entry of the matrix per line becomes a corpus: MatrixMarket, or a UCI bag of words.
//!
//! The file is cut into pieces of whole lines. Workers parse them and put the entries together to rows; the dispatcher joins
//! the rows that pieces have cut in two and writes the documents. Which values a corpus holds (counts or weights) and how
//! it is assembled (as the entries come, or sorted first) must be known when its writing begins: the first piece is looked
//! at, and in the rare file that turns out to be different further on, all ranks begin again.
//!
//! Cost: the file is read once, 8 bytes an entry travel to the dispatcher, 16 where entries are not sorted. Memory: a few
//! pieces per worker; entries that are not sorted by document, 16 bytes each on the dispatcher, go to a file where
//! `--memory` does not hold them.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::assembly::{Head, Inputs};
use crate::corpus::assemble::Assumptions;
use crate::corpus::chunk::Footprint;
use crate::corpus::container::CorpusHeader;
use crate::corpus::cutter::{Cutter, Piece, read_piece};
use crate::corpus::matrix_market::{Matrix, Rows, parse_lines};
use crate::corpus::piece_rows::Digest;
use crate::corpus::text::TextPlan;
use crate::dispatch::memory::{self, FILES, Forecast, Need};
use crate::dispatch::{Dataset, Job, Parcel, Source};
use crate::error::{Error, Result};
use crate::store::atomic::refuse_inputs_as_output;

/// How a file of entries begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatrixFormat {
    /// With the banner of MatrixMarket.
    MatrixMarket,
    /// With the three numbers of a UCI bag of words.
    Uci,
    /// An archive of arrays, by scipy: [`import_npz`](super::import_npz::import_npz) reads it.
    Npz,
}

/// What to import.
#[derive(Debug, Clone)]
pub struct ImportSpec {
    /// The file, plain or compressed.
    pub matrix: PathBuf,
    /// What kind of file it is.
    pub format: MatrixFormat,
    /// What its rows are.
    pub rows: Rows,
    /// Terms of the columns; without it they are called term0, term1, ...
    pub dictionary: Option<PathBuf>,
    /// A line for each document: its id; without it they are called document0, document1, ...
    pub ids: Option<PathBuf>,
    /// A line for each document: its label.
    pub labels: Option<PathBuf>,
    /// The corpus to be written.
    pub output: PathBuf,
}

impl ImportSpec {
    /// The files that are read, by role.
    pub(super) fn inputs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let beside = [("dictionary", &self.dictionary), ("ids", &self.ids), ("labels", &self.labels)];
        let beside = beside.into_iter().filter_map(|(role, path)| Some((role, path.as_deref()?)));
        std::iter::once(("matrix", self.matrix.as_path())).chain(beside)
    }
}

/// Imports a matrix; the header of the corpus is returned on the dispatcher. Collective.
pub fn import(job: &Job, spec: &ImportSpec) -> Result<Option<CorpusHeader>> {
    if job.is_dispatcher() {
        refuse_inputs_as_output(spec.inputs().map(|(_, path)| path), &spec.output)?;
    }
    let target = job.target(&spec.output)?;
    let mut inputs = None;
    let matrix = job.share(|| {
        let matrix = match spec.format {
            MatrixFormat::Uci => Matrix::open_uci(&spec.matrix)?,
            _ => Matrix::open(&spec.matrix, spec.rows)?,
        };
        let head =
            Head { header: matrix.header, weighting: matrix.weighting.clone(), first_line: Some(matrix.first_line()) };
        let mut opened = Inputs::open(job, spec, head, first_impression(&matrix)?, target)?;
        job.begin(|| opened.how(spec))?;
        let bytes = serde_json::to_vec(&matrix).map_err(|cause| Error::failed(format!("{cause}")))?;
        inputs = Some(opened);
        Ok(bytes)
    })?;
    if !job.is_dispatcher() {
        job.begin(|| Ok(Value::Null))?;
    }
    let matrix: Matrix =
        serde_json::from_slice(&matrix).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;
    loop {
        let job = &job.within_memory("give more", || Ok(forecast(job, inputs.as_ref(), &matrix)))?;
        // While the list of entries grows there are two of it.
        let memory = job.memory / 2;
        // Each piece is parsed once: none is kept.
        let job = &Job { memory: 0, ..*job };
        let dataset = Dataset::new(job, Pieces::of(&matrix.lines))?.enduring();
        let mut assembly = inputs.as_mut().map(|inputs| inputs.start(job, spec, memory)).transpose()?;
        dataset.map(
            |_, lines: &Lines| Ok(Digest::encode(&parse_lines(&lines.0, &matrix.header))),
            |_, digest| assembly.as_mut().map_or(Ok(()), |assembly| assembly.take(Digest::decode(digest)?)),
        )?;
        let mut done = None;
        let again = job.share(|| {
            if let (Some(assembly), Some(inputs)) = (assembly, &mut inputs) {
                match assembly.restart {
                    Some(assumptions) => inputs.assumptions = assumptions,
                    None => {
                        let provenance = inputs.how(spec)?;
                        done = Some(job.account.io(|| assembly.finish(&provenance))?);
                    }
                }
            }
            Ok(vec![u8::from(done.is_none())])
        })?;
        if again == [0] {
            return Ok(done);
        }
    }
}

/// Bytes a worker takes for a piece of the file, its entries and the rows of them, on their way.
const PIECE: u64 = 24 << 20;
/// Bytes the dispatcher takes for a piece and the chunk that is being put together.
const ASSEMBLY: u64 = 44 << 20;

/// What importing takes: the dictionary, and entries that are not sorted as far as there is memory for them.
fn forecast(job: &Job, inputs: Option<&Inputs>, matrix: &Matrix) -> Forecast {
    let (terms, entries) = (inputs.map_or(0, |inputs| inputs.terms.len() as u64), matrix.header.entries);
    let unsorted = inputs.is_some_and(|inputs| !inputs.assumptions.sorted);
    let waiting = memory::waiting(job.workers() as u64, matrix.lines.piece_bytes);
    let dispatcher = Need::fixed(FILES + ASSEMBLY + if job.distributed() { waiting } else { 0 })
        .with("dictionary and frequencies", 192 * terms)
        .keeping(if unsorted { 24 * entries } else { 0 });
    Forecast { dispatcher, worker: Need::fixed(PIECE) }
}

/// What the first piece of a file looks like. What is wrong in it is left to the pass over the whole file.
fn first_impression(matrix: &Matrix) -> Result<Assumptions> {
    let Some(piece) = Cutter::new(&matrix.lines).next()? else {
        return Ok(Assumptions { counts: matrix.weighting.is_none(), ..Assumptions::default() });
    };
    let seen = Assumptions::of(&parse_lines(&read_piece(&matrix.lines, &piece)?, &matrix.header).entries);
    // Weights that are said to be weights may be whole numbers.
    Ok(Assumptions { counts: seen.counts && matrix.weighting.is_none(), ..seen })
}

/// Whole lines of a file.
struct Lines(Vec<u8>);

impl Footprint for Lines {
    fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
}

/// The pieces of a text file as chunks of a dataset.
struct Pieces<'a> {
    plan: &'a TextPlan,
    cutter: Cutter,
}

impl<'a> Pieces<'a> {
    fn of(plan: &'a TextPlan) -> Self {
        Pieces { plan, cutter: Cutter::new(plan) }
    }
}

impl Source for Pieces<'_> {
    type Item = Lines;
    // A compressed file comes as a stream.
    const KNOWN: bool = false;

    fn next(&mut self) -> Result<Option<Parcel>> {
        Ok(self.cutter.next()?.map(|piece| Parcel {
            number: piece.number,
            weight: piece.length,
            memory: piece.length,
            place: piece.encode().to_vec(),
            body: piece.body,
        }))
    }

    fn visible(&self) -> bool {
        self.plan.readable_here()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        let place =
            parcel.place.as_slice().try_into().map_err(|_| Error::failed("damaged message: place of a piece"))?;
        Ok(read_piece(self.plan, &Piece::decode(place))?.into_owned())
    }

    fn open(&self, _: &Parcel, bytes: Vec<u8>) -> Result<Lines> {
        Ok(Lines(bytes))
    }
}

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
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::corpus::assemble::{Assembler, Assumptions, Step};
use crate::corpus::chunk::{CsrChunk, Footprint};
use crate::corpus::container::{BackgroundWriter, CorpusHeader, CorpusWriter};
use crate::corpus::cutter::{Cutter, Piece, read_piece};
use crate::corpus::matrix_market::{Header, Matrix, Parsed, Rows, parse_lines};
use crate::corpus::name_list::NameList;
use crate::corpus::piece_rows::{Digest, PieceRows};
use crate::corpus::term_list;
use crate::corpus::text::TextPlan;
use crate::dispatch::memory::{self, FILES, Forecast, Need};
use crate::dispatch::{Dataset, Job, Parcel, Source};
use crate::error::{Error, Result};
use crate::report::progress::{Task, Unit};
use crate::store::atomic::{Target, refuse_inputs_as_output};
use crate::store::provenance::{self, Input};

/// How a file of entries begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatrixFormat {
    /// With the banner of MatrixMarket.
    MatrixMarket,
    /// With the three numbers of a UCI bag of words.
    Uci,
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
    fn inputs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
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
        let mut opened = Inputs::open(job, spec, target)?;
        job.begin(|| Ok(how(spec, opened.checksums.all()?)))?;
        let bytes = serde_json::to_vec(&opened.matrix).map_err(|cause| Error::failed(format!("{cause}")))?;
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
            |_, lines: &Lines| Ok(Digest::of(parse_lines(&lines.0, &matrix.header)).encode()),
            |_, digest| assembly.as_mut().map_or(Ok(()), |assembly| assembly.take(Digest::decode(&digest)?)),
        )?;
        let mut done = None;
        let again = job.share(|| {
            if let (Some(assembly), Some(inputs)) = (assembly, &mut inputs) {
                match assembly.restart {
                    Some(assumptions) => inputs.assumptions = assumptions,
                    None => {
                        let provenance = how(spec, inputs.checksums.all()?);
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

/// How a corpus is made, which is all that decides it.
fn how(spec: &ImportSpec, inputs: &[(&str, Input)]) -> Value {
    let parameters = match spec.format {
        MatrixFormat::MatrixMarket => json!({ "format": "mm", "rows": spec.rows }),
        MatrixFormat::Uci => json!({ "format": "uci" }),
    };
    provenance::of("import", parameters, inputs)
}

/// The checksums of the files, for the provenance. That of the matrix is taken by a thread while workers parse: it is known before
/// the corpus is finished, and nobody waits for it.
struct Checksums {
    matrix: Option<JoinHandle<Result<Input>>>,
    /// By role.
    known: Vec<(&'static str, Input)>,
}

impl Checksums {
    fn start(spec: &ImportSpec) -> Result<Checksums> {
        let path = spec.matrix.clone();
        let matrix = std::thread::Builder::new()
            .name("checksum".into())
            .spawn(move || provenance::of_input(&path))
            .map_err(|cause| Error::failed(format!("cannot start a thread that reads the matrix: {cause}")))?;
        let beside = spec.inputs().skip(1).map(|(role, path)| Ok((role, provenance::of_input(path)?)));
        Ok(Checksums { matrix: Some(matrix), known: beside.collect::<Result<_>>()? })
    }

    /// All of them.
    fn all(&mut self) -> Result<&[(&'static str, Input)]> {
        if let Some(matrix) = self.matrix.take() {
            // A panic has been told by the hook.
            let matrix = matrix.join().map_err(|_| Error::Aborted)??;
            self.known.insert(0, ("matrix", matrix));
        }
        Ok(&self.known)
    }
}

/// The files as the dispatcher sees them.
struct Inputs {
    matrix: Matrix,
    terms: Vec<String>,
    assumptions: Assumptions,
    checksums: Checksums,
    /// Present until the first pass begins to write.
    target: Option<Target>,
}

impl Inputs {
    fn open(job: &Job, spec: &ImportSpec, target: Option<Target>) -> Result<Inputs> {
        let matrix = match spec.format {
            MatrixFormat::MatrixMarket => Matrix::open(&spec.matrix, spec.rows)?,
            MatrixFormat::Uci => Matrix::open_uci(&spec.matrix)?,
        };
        let terms = match &spec.dictionary {
            Some(path) => term_list::read(path, matrix.header.terms)?,
            None => term_list::invented(matrix.header.terms),
        };
        let checksums = job.account.io(|| Checksums::start(spec))?;
        let assumptions = first_impression(&matrix)?;
        Ok(Inputs { matrix, terms, assumptions, checksums, target })
    }

    /// Begins to write the corpus, for the first time or anew. Entries that have to be sorted may take so many bytes.
    fn start<'j>(&mut self, job: &'j Job, spec: &ImportSpec, memory: u64) -> Result<Assembly<'j>> {
        let target = self.target.take().map_or_else(|| job.create_target(&spec.output), Ok)?;
        let labelled = spec.labels.is_some();
        let values = self.assumptions.values(self.matrix.weighting.as_deref());
        let writer = CorpusWriter::create(target, &self.terms, values, labelled)?;
        let open = |path: &Option<PathBuf>| path.as_deref().map(NameList::open).transpose();
        // A dictionary may know more terms than the matrix has columns; the corpus has as many as the dictionary.
        let header = Header { terms: self.terms.len() as u32, ..self.matrix.header };
        let progress = job.progress.task("import", Unit::Documents, Some(header.documents.into()));
        let (ids, labels) = (open(&spec.ids)?, open(&spec.labels)?);
        let documents = Documents { writer: BackgroundWriter::start(writer)?, appended: 0, ids, labels, progress };
        Ok(Assembly {
            job,
            path: spec.matrix.clone(),
            next_line: self.matrix.first_line(),
            assembler: Assembler::new(&spec.matrix, header, self.assumptions.clone(), memory),
            documents,
            restart: None,
        })
    }
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

/// A corpus being put together on the dispatcher.
struct Assembly<'j> {
    job: &'j Job<'j>,
    path: PathBuf,
    /// Line the next piece begins on, from 1.
    next_line: u64,
    assembler: Assembler,
    documents: Documents,
    /// The file is not as assumed: what is left of this pass goes by unused.
    restart: Option<Assumptions>,
}

impl Assembly<'_> {
    /// Takes the next piece.
    fn take(&mut self, digest: Digest) -> Result<()> {
        if self.restart.is_some() {
            return Ok(());
        }
        let before = self.documents.appended;
        let step = match digest {
            Digest::Rows(rows) => self.take_rows(&rows)?,
            Digest::Entries(parsed) => self.take_entries(parsed)?,
        };
        let written = self.documents.appended - before;
        self.job.account.count(|counters| counters.documents += written);
        if let Step::Restart(assumptions) = step {
            log::info!("{}: not as its beginning promised, read again", self.path.display());
            self.restart = Some(assumptions);
        }
        Ok(())
    }

    fn take_rows(&mut self, rows: &PieceRows) -> Result<Step> {
        let step = self.assembler.push_rows(rows, self.next_line, &mut |chunk| self.documents.append(chunk))?;
        self.next_line += rows.entries();
        Ok(step)
    }

    fn take_entries(&mut self, mut parsed: Parsed) -> Result<Step> {
        let line = |line: u64| u32::try_from(self.next_line + line).unwrap_or(u32::MAX);
        parsed.entries.iter_mut().for_each(|entry| entry.line = line(entry.line.into()));
        let step = self.assembler.push(&parsed.entries, &mut |chunk| self.documents.append(chunk))?;
        if let (Step::Taken, Some((line, what))) = (&step, parsed.failure) {
            return Err(Error::failed(format!("{}:{}: {what}", self.path.display(), self.next_line + line)));
        }
        self.next_line += parsed.lines;
        Ok(step)
    }

    fn finish(mut self, provenance: &Value) -> Result<CorpusHeader> {
        let before = self.documents.appended;
        self.assembler.finish(&mut |chunk| self.documents.append(chunk))?;
        let Documents { writer, appended, ids, labels, progress: _ } = self.documents;
        self.job.account.count(|counters| counters.documents += appended - before);
        ids.map_or(Ok(()), NameList::end)?;
        labels.map_or(Ok(()), NameList::end)?;
        writer.finish()?.finish(provenance)
    }
}

/// The corpus and the names of the documents that go into it.
struct Documents {
    writer: BackgroundWriter,
    /// Documents handed to it.
    appended: u64,
    ids: Option<NameList>,
    labels: Option<NameList>,
    progress: Task,
}

impl Documents {
    fn append(&mut self, chunk: CsrChunk) -> Result<()> {
        let (first, count) = (chunk.first_document, chunk.documents());
        let ids = match &mut self.ids {
            Some(ids) => ids.take(count)?,
            None => (first..first + count as u64).map(|document| format!("document{document}")).collect(),
        };
        let labels = self.labels.as_mut().map(|labels| labels.take(count)).transpose()?;
        self.writer.append(chunk, ids, labels)?;
        self.appended += count as u64;
        self.progress.advance(count as u64, count as u64);
        Ok(())
    }
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

//! A corpus put together on the dispatcher from the entries of a matrix, and what is read for it beside the matrix.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::import::{ImportSpec, MatrixFormat};
use crate::corpus::assemble::{Assembler, Assumptions, Part, Step};
use crate::corpus::container::{BackgroundWriter, CorpusHeader, CorpusWriter};
use crate::corpus::matrix_market::{Entry, Header, Parsed};
use crate::corpus::name_list::NameList;
use crate::corpus::piece_rows::{Digest, PieceRows};
use crate::corpus::term_list;
use crate::dispatch::Job;
use crate::error::{Error, Result};
use crate::report::progress::{Task, Unit};
use crate::store::atomic::Target;
use crate::store::provenance::{self, Input};

/// What a file says of itself before its entries.
pub(super) struct Head {
    pub header: Header,
    /// Code of the weighting, where the file names it.
    pub weighting: Option<String>,
    /// Line of the first entry, from 1; none where entries have no lines.
    pub first_line: Option<u64>,
}

/// How a corpus is made, which is all that decides it.
fn how(spec: &ImportSpec, inputs: &[(&str, Input)]) -> Value {
    let parameters = match spec.format {
        MatrixFormat::MatrixMarket => json!({ "format": "mm", "rows": spec.rows }),
        MatrixFormat::Uci => json!({ "format": "uci" }),
        MatrixFormat::Npz => json!({ "format": "npz", "rows": spec.rows }),
    };
    provenance::of("import", parameters, inputs)
}

/// The checksums of the files, for the provenance. That of the matrix is taken by a thread while workers parse: it is known before
/// the corpus is finished, and nobody waits for it.
pub(super) struct Checksums {
    matrix: Option<JoinHandle<Result<Input>>>,
    /// By role.
    known: Vec<(&'static str, Input)>,
}

impl Checksums {
    /// Of files by role, the first of which is the matrix.
    pub fn start<'p>(mut inputs: impl Iterator<Item = (&'static str, &'p Path)>) -> Result<Checksums> {
        let matrix = inputs.next().map(|(_, path)| path.to_path_buf());
        let read = |path: PathBuf| {
            std::thread::Builder::new()
                .name("checksum".into())
                .spawn(move || provenance::of_input(&path))
                .map_err(|cause| Error::failed(format!("cannot start a thread that reads the matrix: {cause}")))
        };
        let beside = inputs.map(|(role, path)| Ok((role, provenance::of_input(path)?)));
        Ok(Checksums { matrix: matrix.map(read).transpose()?, known: beside.collect::<Result<_>>()? })
    }

    /// All of them.
    pub fn all(&mut self) -> Result<&[(&'static str, Input)]> {
        if let Some(matrix) = self.matrix.take() {
            // A panic has been told by the hook.
            let matrix = matrix.join().map_err(|_| Error::Aborted)??;
            self.known.insert(0, ("matrix", matrix));
        }
        Ok(&self.known)
    }
}

/// The files as the dispatcher sees them.
pub(super) struct Inputs {
    head: Head,
    /// Terms of the columns.
    pub terms: Arc<Vec<String>>,
    /// What the entries are taken for.
    pub assumptions: Assumptions,
    pub checksums: Checksums,
    /// Present until the first pass begins to write.
    target: Option<Target>,
}

impl Inputs {
    /// Reads the dictionary, and begins to take the checksums.
    pub fn open(
        job: &Job,
        spec: &ImportSpec,
        head: Head,
        assumptions: Assumptions,
        target: Option<Target>,
    ) -> Result<Inputs> {
        let terms = match &spec.dictionary {
            Some(path) => term_list::read(path, head.header.terms)?,
            None => term_list::invented(head.header.terms),
        };
        let checksums = job.account.io(|| Checksums::start(spec.inputs()))?;
        Ok(Inputs { head, terms: Arc::new(terms), assumptions, checksums, target })
    }

    /// How the corpus is made.
    pub fn how(&mut self, spec: &ImportSpec) -> Result<Value> {
        Ok(how(spec, self.checksums.all()?))
    }

    /// Begins to write the corpus, for the first time or anew. Entries that have to be sorted may take so many bytes.
    pub fn start<'j>(&mut self, job: &'j Job, spec: &ImportSpec, memory: u64) -> Result<Assembly<'j>> {
        let target = self.target.take().map_or_else(|| job.create_target(&spec.output), Ok)?;
        let labelled = spec.labels.is_some();
        let values = self.assumptions.values(self.head.weighting.as_deref());
        let terms = self.terms.clone();
        let writer = BackgroundWriter::start(move || CorpusWriter::create(target, &terms, values, labelled))?;
        let open = |path: &Option<PathBuf>| path.as_deref().map(NameList::open).transpose();
        // A dictionary may know more terms than the matrix has columns; the corpus has as many as the dictionary.
        let header = Header { terms: self.terms.len() as u32, ..self.head.header };
        let progress = job.progress.task("import", Unit::Documents, Some(header.documents.into()));
        let assembler = Assembler::new(&spec.matrix, header, self.assumptions.clone(), memory);
        let (ids, labels) = (open(&spec.ids)?, open(&spec.labels)?);
        let documents = Documents { writer, appended: 0, ids, labels, progress };
        Ok(Assembly {
            job,
            path: spec.matrix.clone(),
            next_line: self.head.first_line.unwrap_or(1),
            assembler: if self.head.first_line.is_some() { assembler } else { assembler.without_lines() },
            documents,
            restart: None,
        })
    }
}

/// A corpus being put together on the dispatcher.
pub(super) struct Assembly<'j> {
    job: &'j Job<'j>,
    path: PathBuf,
    /// Line the next piece begins on, from 1.
    next_line: u64,
    assembler: Assembler,
    documents: Documents,
    /// The file is not as assumed: what is left of this pass goes by unused.
    pub restart: Option<Assumptions>,
}

impl Assembly<'_> {
    /// Takes the next piece.
    pub fn take(&mut self, digest: Digest) -> Result<()> {
        if self.restart.is_some() {
            return Ok(());
        }
        self.step(|assembly| match digest {
            Digest::Rows(rows) => assembly.take_rows(rows),
            Digest::Entries(parsed) => assembly.take_parsed(parsed),
        })
    }

    /// Takes the next entries of a file that has no lines.
    pub fn take_entries(&mut self, entries: &[Entry]) -> Result<()> {
        self.step(|assembly| assembly.assembler.push(entries, &mut |part| assembly.documents.append(part)))
    }

    fn step(&mut self, take: impl FnOnce(&mut Self) -> Result<Step>) -> Result<()> {
        let before = self.documents.appended;
        let step = take(self)?;
        let written = self.documents.appended - before;
        self.job.account.count(|counters| counters.documents += written);
        if let Step::Restart(assumptions) = step {
            log::info!("{}: not as its beginning promised, read again", self.path.display());
            self.restart = Some(assumptions);
        }
        Ok(())
    }

    fn take_rows(&mut self, rows: PieceRows) -> Result<Step> {
        let entries = rows.entries();
        let step = self.assembler.push_rows(rows, self.next_line, &mut |part| self.documents.append(part))?;
        self.next_line += entries;
        Ok(step)
    }

    fn take_parsed(&mut self, mut parsed: Parsed) -> Result<Step> {
        let line = |line: u64| u32::try_from(self.next_line + line).unwrap_or(u32::MAX);
        parsed.entries.iter_mut().for_each(|entry| entry.line = line(entry.line.into()));
        let step = self.assembler.push(&parsed.entries, &mut |part| self.documents.append(part))?;
        if let (Step::Taken, Some((line, what))) = (&step, parsed.failure) {
            return Err(Error::failed(format!("{}:{}: {what}", self.path.display(), self.next_line + line)));
        }
        self.next_line += parsed.lines;
        Ok(step)
    }

    pub fn finish(mut self, provenance: &Value) -> Result<CorpusHeader> {
        let before = self.documents.appended;
        self.assembler.finish(&mut |part| self.documents.append(part))?;
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
    fn append(&mut self, part: Part) -> Result<()> {
        let (first, count) = (part.first_document(), part.documents());
        let ids = match &mut self.ids {
            Some(ids) => ids.take(count)?,
            None => (first..first + count as u64).map(|document| format!("document{document}")).collect(),
        };
        let labels = self.labels.as_mut().map(|labels| labels.take(count)).transpose()?;
        match part {
            Part::Chunk(chunk) => self.writer.append(chunk, ids, labels)?,
            Part::Run(run) => self.writer.append_run(run, ids, labels)?,
        }
        self.appended += count as u64;
        self.progress.advance(count as u64, count as u64);
        Ok(())
    }
}

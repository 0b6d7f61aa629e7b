//! A file with a document per line becomes a corpus.
//!
//! How many terms there are and whether values are counts or weights is known only at the end of such a file: pass 1, a
//! fold, parses the pieces, which workers keep as documents within `--memory`, and finds that out; pass 2, a map in
//! order, hands the documents to the dispatcher, which writes them. Pieces that were not kept are parsed again.
//!
//! Cost: the file is read once, twice where memory is short; 8 bytes a nonzero travel to the dispatcher. Memory: the kept
//! documents, and a few pieces a worker.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::assembly::Checksums;
use crate::corpus::compression::Compression;
use crate::corpus::container::{BackgroundWriter, CorpusHeader, CorpusWriter, Values};
use crate::corpus::csv_header::CsvHeader;
use crate::corpus::cutter::Cutter;
use crate::corpus::name_list::NameList;
use crate::corpus::readers;
use crate::corpus::reread::Rereader;
use crate::corpus::row_lines::{Mistake, RowFormat, RowLines};
use crate::corpus::sent_rows::SentRows;
use crate::corpus::term_list;
use crate::corpus::text::{InputFormat, TextPlan, TextSpec};
use crate::dispatch::memory::{self, FILES, Forecast, Need};
use crate::dispatch::{Dataset, Job, Mergeable, Parcel, Source, merge};
use crate::error::{Error, Result};
use crate::report::progress::Unit;
use crate::store::atomic::refuse_inputs_as_output;
use crate::store::provenance::{self, Input};

/// What to import.
#[derive(Debug, Clone)]
pub struct RowsSpec {
    /// The file, plain or compressed.
    pub file: PathBuf,
    /// How its lines are written.
    pub format: RowFormat,
    /// Terms of the columns; without it they are those of the header of a CSV file, else term0, term1, ...
    pub dictionary: Option<PathBuf>,
    /// A line for each document: its id; without it they are called document0, document1, ...
    pub ids: Option<PathBuf>,
    /// A line for each document: its label, instead of those in the file.
    pub labels: Option<PathBuf>,
    /// The corpus to be written.
    pub output: PathBuf,
}

impl RowsSpec {
    /// The files that are read, by role.
    fn inputs(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        let beside = [("dictionary", &self.dictionary), ("ids", &self.ids), ("labels", &self.labels)];
        let beside = beside.into_iter().filter_map(|(role, path)| Some((role, path.as_deref()?)));
        std::iter::once(("matrix", self.file.as_path())).chain(beside)
    }
}

/// Imports a file; the header of the corpus is returned on the dispatcher. Collective.
///
/// # Errors
/// They name the file and the line: what is no line of the format, a term twice in a document; fewer terms in the
/// dictionary, or lines of ids or labels, than there are columns or documents; a file without documents or terms.
pub fn import_rows(job: &Job, spec: &RowsSpec) -> Result<Option<CorpusHeader>> {
    if job.is_dispatcher() {
        refuse_inputs_as_output(spec.inputs().map(|(_, path)| path), &spec.output)?;
    }
    let target = job.target(&spec.output)?;
    let mut checksums = None;
    let mut header = None;
    let message = job.share(|| {
        let lines = TextSpec { format: Some(InputFormat::Lines), ..TextSpec::new(vec![spec.file.clone()]) };
        let mut plan = lines.check()?;
        let mut format = spec.format;
        if let RowFormat::Csv { columns } = &mut format {
            let found = CsvHeader::read(&spec.file, &mut plan.files[0])?;
            (*columns, header) = (found.columns, found.terms);
        }
        let mut started = job.account.io(|| Checksums::start(spec.inputs()))?;
        job.begin(|| Ok(how(spec.format, started.all()?)))?;
        checksums = Some(started);
        serde_json::to_vec(&(plan, format)).map_err(|cause| Error::failed(format!("{cause}")))
    })?;
    if !job.is_dispatcher() {
        job.begin(|| Ok(Value::Null))?;
    }
    let (plan, format): (TextPlan, RowFormat) =
        serde_json::from_slice(&message).map_err(|cause| Error::failed(format!("damaged message: {cause}")))?;

    let job = &job.within_memory("give more", || Ok(forecast(job, &plan)))?;
    let dataset = Dataset::new(job, Pieces::of(&plan, format))?;
    let progress = job.progress.task("import: read", Unit::Documents, None);
    let mut census = Census { terms: 0, documents: 0, counts: true };
    dataset.fold(|_, rows: &RowLines| {
        progress.advance(rows.documents() as u64, rows.documents() as u64);
        census.merge(Census { terms: rows.terms, documents: rows.documents() as u64, counts: rows.counts })
    })?;
    let total = merge(job, census)?;
    // Workers send counts as such if all values of the file are counts.
    let counts = job.share(|| Ok(vec![u8::from(total.as_ref().is_some_and(|total| total.counts))]))? == [1];

    let mut output = match (target, total) {
        (Some(target), Some(total)) => {
            let path = spec.file.display();
            let terms = match &spec.dictionary {
                Some(dictionary) => term_list::read(dictionary, total.terms)?,
                None if total.documents > 0 && header.is_some() => header.take().unwrap_or_default(),
                None if total.terms == 0 => return Err(Error::failed(format!("{path}: no document has a term"))),
                None => term_list::invented(total.terms),
            };
            let values = if counts { Values::Counts } else { Values::Weights("unknown".into()) };
            let labelled = matches!(spec.format, RowFormat::Svmlight { .. }) || spec.labels.is_some();
            let writer = BackgroundWriter::start(move || CorpusWriter::create(target, &terms, values, labelled))?;
            progress.stage("import: write", Some(total.documents));
            let open = |path: &Option<PathBuf>| path.as_deref().map(NameList::open).transpose();
            Some(Output { writer, documents: 0, ids: open(&spec.ids)?, labels: open(&spec.labels)? })
        }
        _ => None,
    };
    dataset.map(
        |_, rows| Ok(rows.encode(counts)),
        |_, bytes| {
            let (rows, labels) = RowLines::decode(bytes)?;
            let count = rows.documents() as u64;
            // Results come to the dispatcher only, which has an output.
            output.as_mut().map_or(Ok(()), |output| output.append(rows, labels))?;
            job.account.count(|counters| counters.documents += count);
            progress.advance(count, count);
            Ok(())
        },
    )?;
    let (Some(Output { writer, ids, labels, .. }), Some(mut checksums)) = (output, checksums) else { return Ok(None) };
    ids.map_or(Ok(()), NameList::end)?;
    labels.map_or(Ok(()), NameList::end)?;
    let provenance = how(spec.format, checksums.all()?);
    job.account.io(|| writer.finish()?.finish(&provenance)).map(Some)
}

/// How a corpus is made, which is all that decides it.
fn how(format: RowFormat, inputs: &[(&str, Input)]) -> Value {
    let parameters = match format {
        RowFormat::Svmlight { zero_based } => json!({ "format": "svmlight", "zero_based": zero_based }),
        RowFormat::Blei => json!({ "format": "blei" }),
        RowFormat::Csv { .. } => json!({ "format": "csv" }),
    };
    provenance::of("import", parameters, inputs)
}

/// Bytes a worker takes for a piece of the file and its documents, on their way.
const PIECE: u64 = 28 << 20;
/// Bytes the dispatcher takes for the documents of some pieces, on their way to the file.
const WRITING: u64 = 44 << 20;

/// What importing takes. The number of terms shows at the end only; a corpus has far more nonzeros than terms.
fn forecast(job: &Job, plan: &TextPlan) -> Forecast {
    let waiting = memory::waiting(job.workers() as u64, plan.piece_bytes);
    // A pair takes four bytes of text or more, and eight once parsed; text that is compressed is four times as long.
    let text: u64 =
        plan.files.iter().map(|file| file.bytes * if file.compression == Compression::None { 1 } else { 4 }).sum();
    Forecast {
        dispatcher: Need::fixed(FILES + WRITING + if job.distributed() { waiting } else { 0 }),
        worker: Need::fixed(PIECE).keeping(2 * text / job.workers() as u64),
    }
}

/// What has to be known of all documents before the first is written.
struct Census {
    terms: u32,
    documents: u64,
    counts: bool,
}

impl Mergeable for Census {
    fn merge(&mut self, other: Self) -> Result<()> {
        self.terms = self.terms.max(other.terms);
        self.documents += other.documents;
        self.counts &= other.counts;
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        [u64::from(self.terms), self.documents, u64::from(self.counts)].iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let numbers: Vec<u64> = bytes.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect();
        match numbers[..] {
            [terms, documents, counts @ (0 | 1)] if terms < 1 << 31 && bytes.len() == 24 => {
                Ok(Census { terms: terms as u32, documents, counts: counts == 1 })
            }
            _ => Err(Error::failed("damaged message: what a file holds")),
        }
    }
}

/// The corpus being written on the dispatcher.
struct Output {
    writer: BackgroundWriter,
    /// Documents handed to it.
    documents: u64,
    ids: Option<NameList>,
    labels: Option<NameList>,
}

impl Output {
    /// Appends the next documents with their labels in the file.
    fn append(&mut self, mut rows: SentRows, in_file: Option<Vec<String>>) -> Result<()> {
        let (first, count) = (self.documents, rows.documents());
        // A piece of nothing but comments.
        if count == 0 {
            return Ok(());
        }
        rows.first_document = first;
        self.documents += count as u64;
        let ids = match &mut self.ids {
            Some(ids) => ids.take(count)?,
            None => (first..self.documents).map(|document| format!("document{document}")).collect(),
        };
        let labels = self.labels.as_mut().map(|labels| labels.take(count)).transpose()?.or(in_file);
        self.writer.append_sent(rows, Some(ids), labels)
    }
}

/// The pieces of the file, documents once opened.
struct Pieces<'a> {
    plan: &'a TextPlan,
    format: RowFormat,
    cutter: Cutter,
    rereader: RefCell<Rereader>,
}

impl<'a> Pieces<'a> {
    fn of(plan: &'a TextPlan, format: RowFormat) -> Self {
        Pieces { plan, format, cutter: Cutter::new(plan), rereader: RefCell::default() }
    }
}

impl Source for Pieces<'_> {
    type Item = RowLines;
    const KNOWN: bool = false;

    fn next(&mut self) -> Result<Option<Parcel>> {
        Ok(self.cutter.next()?.map(Parcel::from))
    }

    /// Workers read a plain file themselves. A compressed one is decompressed once, by the dispatcher.
    fn visible(&self) -> bool {
        self.plan.files.iter().all(|file| file.compression == Compression::None) && self.plan.readable_here()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        self.rereader.borrow_mut().read(self.plan, &parcel.piece()?)
    }

    fn open(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<RowLines> {
        RowLines::parse(&bytes, self.format).map_err(|Mistake { at, what }| {
            parcel.piece().map_or_else(|e| e, |piece| readers::error_at(self.plan, &piece, &bytes, at, what))
        })
    }
}

//! Entries of a matrix, as a file lists them, put together to documents.
//!
//! Files sorted by document, as nearly all are, pass through as they come. In any other order all entries (16 bytes each)
//! are collected and sorted first, in a file where they do not fit into memory.

use crate::corpus::chunk::{CsrChunk, MAX_CHUNK_DOCUMENTS};
use crate::corpus::container::{MAX_COUNT, Values};
use crate::corpus::entry_sorter::EntrySorter;
use crate::corpus::matrix_market::{Entry, Header};
use crate::corpus::piece_rows::PieceRows;
use crate::error::{Error, Result};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Nonzeros after which a chunk is handed on.
const CHUNK_NONZEROS: usize = 1 << 20;

/// What the entries are taken for. One starts with [`Assumptions::default`]; if the file turns out otherwise it is read
/// again, which costs little since it shows early in nearly every file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumptions {
    /// All values are whole numbers and none negative: counts. Else weights.
    pub counts: bool,
    /// The entries come sorted by document.
    pub sorted: bool,
}

impl Default for Assumptions {
    fn default() -> Self {
        Assumptions { counts: true, sorted: true }
    }
}

impl Assumptions {
    /// What holds for the first entries of a file.
    pub fn of(entries: &[Entry]) -> Self {
        let counts = entries.iter().all(|entry| entry.value.fract() == 0.0 && entry.value >= 0.0);
        Assumptions { counts, sorted: entries.is_sorted_by_key(|entry| entry.document) }
    }

    /// What a corpus of such a file holds. A MatrixMarket file does not say which scheme its weights are of, unless it is
    /// one of our own.
    pub fn values(&self, weighting: Option<&str>) -> Values {
        if self.counts { Values::Counts } else { Values::Weights(weighting.unwrap_or("unknown").into()) }
    }
}

/// Consecutive documents that are complete.
pub enum Part {
    /// Put together from entries.
    Chunk(CsrChunk),
    /// As they came.
    Run(Run),
}

impl Part {
    /// Number of the first document.
    pub fn first_document(&self) -> u64 {
        match self {
            Part::Chunk(chunk) => chunk.first_document,
            Part::Run(run) => run.first_document,
        }
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        match self {
            Part::Chunk(chunk) => chunk.documents(),
            Part::Run(run) => run.offsets.len() - 1,
        }
    }
}

/// Documents that lie whole within a piece of the file.
pub struct Run {
    /// Number of the first.
    pub first_document: u64,
    /// Entry of the piece with which they begin.
    pub begin: usize,
    /// Where each begins after that, those without entries included; documents + 1.
    pub offsets: Vec<u64>,
    /// The piece.
    pub rows: PieceRows,
}

impl Run {
    /// Number of nonzeros.
    pub fn nonzeros(&self) -> usize {
        self.offsets.last().map_or(0, |&end| end as usize)
    }

    /// The entries of the piece that are theirs.
    pub fn span(&self) -> Range<usize> {
        self.begin..self.begin + self.nonzeros()
    }
}

/// How a batch of entries went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The entries were taken.
    Taken,
    /// The file is not as assumed: start again with these assumptions.
    Restart(Assumptions),
}

/// Makes documents of entries that arrive in the order of the file.
pub struct Assembler {
    path: PathBuf,
    /// What the file has its entries on: `:` or `: entry `, before a number.
    place: &'static str,
    header: Header,
    assumptions: Assumptions,
    /// Entries seen, zeros included.
    entries: u64,
    /// Entries of the document that is not complete yet.
    row: Vec<Entry>,
    /// Number of that document.
    document: u32,
    chunk: CsrChunk,
    /// All nonzero entries of a file that is not sorted.
    kept: EntrySorter,
}

impl Assembler {
    /// For the file `path` with this header; entries that have to be sorted may take so many bytes of memory.
    pub fn new(path: &Path, header: Header, assumptions: Assumptions, memory: u64) -> Self {
        let chunk = CsrChunk { terms: header.terms, indptr: vec![0], ..CsrChunk::default() };
        let path = path.to_path_buf();
        let kept = EntrySorter::within(memory);
        Assembler { path, place: ":", header, assumptions, entries: 0, row: Vec::new(), document: 0, chunk, kept }
    }

    /// The file has no lines: entries are numbered from 1 in messages.
    #[must_use]
    pub fn without_lines(self) -> Self {
        Assembler { place: ": entry ", ..self }
    }

    fn refuse<T>(&self, line: u32, what: String) -> Result<T> {
        Err(Error::failed(format!("{}{}{line}: {what}", self.path.display(), self.place)))
    }

    /// Takes the next entries of the file; complete chunks go to `sink`.
    ///
    /// Errors: an entry given twice, a count above 2^24, more entries than the header says, what `sink` refuses.
    pub fn push(&mut self, entries: &[Entry], sink: &mut dyn FnMut(Part) -> Result<()>) -> Result<Step> {
        for entry in entries {
            self.entries += 1;
            if self.entries > self.header.entries {
                return self.refuse(entry.line, format!("more entries than the {} announced", self.header.entries));
            }
            if entry.value == 0.0 {
                continue;
            }
            if self.assumptions.counts {
                if entry.value.fract() != 0.0 || entry.value < 0.0 {
                    return Ok(Step::Restart(Assumptions { counts: false, ..self.assumptions.clone() }));
                }
                if entry.value > MAX_COUNT as f32 {
                    return self.refuse(entry.line, format!("count {} is more than {MAX_COUNT}", entry.value));
                }
            }
            if !self.assumptions.sorted {
                self.kept.push(*entry)?;
            } else if entry.document < self.document {
                return Ok(Step::Restart(Assumptions { sorted: false, ..self.assumptions.clone() }));
            } else {
                self.place(*entry, sink)?;
            }
        }
        Ok(Step::Taken)
    }

    /// Takes the rows of the next piece, which begins at this line of the file; complete documents go to `sink`.
    ///
    /// Errors: those of [`Assembler::push`].
    pub fn push_rows(
        &mut self,
        rows: PieceRows,
        first_line: u64,
        sink: &mut dyn FnMut(Part) -> Result<()>,
    ) -> Result<Step> {
        let documents = rows.documents();
        let all = documents.len();
        let smooth = self.assumptions.sorted
            && documents[0] >= self.document
            && documents[all - 1] < self.header.documents
            && (rows.rows().has_counts() || !self.assumptions.counts)
            && self.entries + rows.entries() <= self.header.entries;
        // The first and the last document may go on in the neighbouring pieces; and nobody knows how many without entries are between
        // the others.
        let smooth = smooth && all >= 3 && u64::from(documents[all - 2] - documents[1]) < MAX_CHUNK_DOCUMENTS;
        if !smooth {
            return self.push(&rows.unpacked(0..all, first_line), sink);
        }
        // Smooth rows never ask for a restart.
        self.push(&rows.unpacked(0..1, first_line), sink)?;
        let last = rows.unpacked(all - 1..all, first_line);
        while self.document < documents[1] {
            self.close_document(sink)?;
        }
        self.hand_on(sink)?;
        let indptr = rows.rows().offsets();
        let begin = indptr[1];
        let mut offsets = vec![0];
        for row in 1..all - 1 {
            // Documents without entries do not occur in the piece.
            offsets.resize(1 + (documents[row] - documents[1]) as usize, indptr[row] - begin);
            offsets.push(indptr[row + 1] - begin);
        }
        let first_document = self.document;
        self.document = documents[all - 2] + 1;
        self.entries += indptr[all - 1] - begin;
        self.chunk.first_document = self.document.into();
        drop(documents);
        sink(Part::Run(Run { first_document: first_document.into(), begin: begin as usize, offsets, rows }))?;
        self.push(&last, sink)
    }

    /// Hands on what is left, empty documents at the end included.
    ///
    /// Errors: fewer entries than the header says; those of [`Assembler::push`].
    pub fn finish(mut self, sink: &mut dyn FnMut(Part) -> Result<()>) -> Result<()> {
        if self.entries < self.header.entries {
            return Err(Error::failed(format!(
                "{}: ends after {} of {} entries; is it complete?",
                self.path.display(),
                self.entries,
                self.header.entries
            )));
        }
        let kept = std::mem::replace(&mut self.kept, EntrySorter::within(0));
        kept.finish(&mut |entry| self.place(entry, sink))?;
        while self.document < self.header.documents {
            self.close_document(sink)?;
        }
        self.hand_on(sink)
    }

    /// Adds a nonzero of this document or a later one.
    fn place(&mut self, entry: Entry, sink: &mut dyn FnMut(Part) -> Result<()>) -> Result<()> {
        while self.document < entry.document {
            self.close_document(sink)?;
        }
        self.row.push(entry);
        Ok(())
    }

    /// Appends the collected row to the chunk and goes on to the next document.
    fn close_document(&mut self, sink: &mut dyn FnMut(Part) -> Result<()>) -> Result<()> {
        if !self.row.is_sorted_by_key(|entry| entry.term) {
            self.row.sort_unstable_by_key(|entry| (entry.term, entry.line));
        }
        if let Some(pair) = self.row.windows(2).find(|pair| pair[0].term == pair[1].term) {
            let what = format!("document {} has term {} twice", pair[1].document + 1, pair[1].term + 1);
            let place = if self.place == ":" { "in line" } else { "as entry" };
            return self.refuse(pair[1].line, format!("{what}, first {place} {}", pair[0].line));
        }
        self.chunk.indices.extend(self.row.iter().map(|entry| entry.term));
        self.chunk.data.extend(self.row.iter().map(|entry| entry.value));
        self.chunk.indptr.push(self.chunk.indices.len() as u64);
        self.row.clear();
        self.document += 1;
        if self.chunk.nonzeros() >= CHUNK_NONZEROS || self.chunk.documents() as u64 == MAX_CHUNK_DOCUMENTS {
            self.hand_on(sink)?;
        }
        Ok(())
    }

    /// Hands on the documents that are complete, if there are any.
    fn hand_on(&mut self, sink: &mut dyn FnMut(Part) -> Result<()>) -> Result<()> {
        if self.chunk.documents() == 0 {
            return Ok(());
        }
        let next = CsrChunk {
            first_document: u64::from(self.document),
            terms: self.header.terms,
            indptr: vec![0],
            ..CsrChunk::default()
        };
        sink(Part::Chunk(std::mem::replace(&mut self.chunk, next)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::matrix_market::{Field, Parsed, Rows};
    use crate::corpus::piece_rows::Digest;
    use crate::random::Stream;

    fn header(documents: u32, terms: u32, entries: u64) -> Header {
        Header { field: Field::Real, rows: Rows::Documents, documents, terms, entries }
    }

    fn entries(list: &[(u32, u32, f32)]) -> Vec<Entry> {
        let entry = |(line, &(document, term, value))| Entry { document, term, value, line: line as u32 + 1 };
        list.iter().enumerate().map(entry).collect()
    }

    fn chunk_of(part: Part, terms: u32) -> CsrChunk {
        match part {
            Part::Chunk(chunk) => chunk,
            Part::Run(run) => CsrChunk {
                first_document: run.first_document,
                terms,
                indices: run.rows.rows().indices()[run.span()].to_vec(),
                data: run.span().map(|at| run.rows.rows().values().get(at)).collect(),
                indptr: run.offsets,
            },
        }
    }

    /// The chunks as one.
    fn joined(chunks: &[CsrChunk]) -> CsrChunk {
        let mut all = chunks[0].clone();
        for chunk in &chunks[1..] {
            assert_eq!(chunk.first_document, all.first_document + all.documents() as u64);
            all.append(chunk);
        }
        all
    }

    /// Assembles in batches of `step`, starting again as the assembler asks.
    fn assemble(header: Header, entries: &[Entry], step: usize) -> Result<(Assumptions, Vec<CsrChunk>)> {
        let mut assumptions = Assumptions::default();
        'again: loop {
            let mut chunks = Vec::new();
            let mut assembler = Assembler::new(Path::new("m.mm"), header, assumptions.clone(), 1 << 20);
            for batch in entries.chunks(step) {
                let mut sink = |part| {
                    chunks.push(chunk_of(part, header.terms));
                    Ok(())
                };
                let parsed = Parsed { lines: batch.len() as u64, entries: batch.to_vec(), failure: None };
                // Rows where the batch is plain, as its first line says; else its entries.
                let step = match Digest::decode(Digest::encode(&parsed))? {
                    Digest::Rows(rows) => assembler.push_rows(rows, batch[0].line.into(), &mut sink)?,
                    Digest::Entries(_) => assembler.push(batch, &mut sink)?,
                };
                if let Step::Restart(other) = step {
                    assumptions = other;
                    continue 'again;
                }
            }
            assembler.finish(&mut |part| {
                chunks.push(chunk_of(part, header.terms));
                Ok(())
            })?;
            chunks.iter().for_each(|chunk| chunk.check().unwrap());
            return Ok((assumptions, chunks));
        }
    }

    #[test]
    fn empty_documents_and_zeros_are_kept_apart() {
        let list = entries(&[(1, 2, 3.0), (1, 0, 1.0), (4, 1, 0.0), (5, 1, 2.0)]);
        for step in [1, 4] {
            let (assumptions, chunks) = assemble(header(8, 3, 4), &list, step).unwrap();
            assert_eq!(assumptions.values(Some("nfc")), Values::Counts);
            assert_eq!(chunks.len(), 1);
            assert_eq!(chunks[0].indptr, [0, 0, 2, 2, 2, 2, 3, 3, 3]);
            assert_eq!((&chunks[0].indices[..], &chunks[0].data[..]), (&[0, 2, 1][..], &[1.0, 3.0, 2.0][..]));
        }
    }

    #[test]
    fn any_order_gives_the_same_documents() {
        // 200,000 documents, so that several chunks come out.
        let sorted: Vec<(u32, u32, f32)> =
            (0..400_000).map(|n| (n / 2, (n * 7) % 50 + n % 2, (n % 9) as f32 + 0.5)).collect();
        let mut shuffled = sorted.clone();
        let mut stream = Stream::new(1, "shuffle", 0);
        (1..shuffled.len()).for_each(|i| shuffled.swap(i, stream.below(i as u64 + 1) as usize));
        let header = header(200_000, 60, 400_000);
        let (one, expected) = assemble(header, &entries(&sorted), 1000).unwrap();
        let (two, actual) = assemble(header, &entries(&shuffled), 1000).unwrap();
        assert_eq!(one, Assumptions { counts: false, sorted: true });
        assert_eq!(two, Assumptions { counts: false, sorted: false });
        assert_eq!((Assumptions::of(&entries(&sorted)), Assumptions::of(&entries(&shuffled))), (one, two));
        assert_eq!(Assumptions::of(&[]), Assumptions::default());
        assert_eq!(joined(&expected), joined(&actual));
        assert_eq!((expected.len(), actual.len(), actual[1].first_document), (4, 4, 65_536));
    }

    /// Rows of pieces with gaps between them, short ones, and documents that go on in the next piece, against one piece.
    #[test]
    fn pieces_of_any_size_give_the_same_documents() {
        let mut stream = Stream::new(5, "pieces", 0);
        let mut list = Vec::new();
        let mut document = 0;
        while list.len() < 5000 {
            document += [1, 1, 1, 2, 30][stream.below(5) as usize];
            let terms: std::collections::BTreeSet<u32> =
                (0..stream.below(12)).map(|_| stream.below(40) as u32).collect();
            list.extend(terms.into_iter().map(|term| (document, term, (1 + stream.below(5)) as f32)));
        }
        // A gap beyond what a run may hold.
        list.extend(
            (0..4).flat_map(|row| [(document + 100_000 * row + 1, 3, 1.0), (document + 100_000 * row + 1, 5, 2.0)]),
        );
        let header = header(document + 400_000, 40, list.len() as u64);
        let (assumptions, whole) = assemble(header, &entries(&list), usize::MAX).unwrap();
        assert_eq!(assumptions, Assumptions::default());
        for step in [1, 2, 7, 100, 999] {
            assert_eq!(joined(&assemble(header, &entries(&list), step).unwrap().1), joined(&whole), "{step}");
        }
        assert_eq!(joined(&whole).documents(), header.documents as usize);
    }

    #[test]
    fn wrong_numbers_and_repeated_entries_are_refused_with_their_line() {
        let refusal =
            |count, list: &[(u32, u32, f32)]| assemble(header(5, 5, count), &entries(list), 2).unwrap_err().to_string();
        assert_eq!(refusal(1, &[(0, 0, 1.0), (1, 0, 1.0)]), "m.mm:2: more entries than the 1 announced");
        assert!(refusal(3, &[(0, 0, 1.0), (1, 0, 1.0)]).contains("ends after 2 of 3 entries"));
        let twice = [(0, 3, 1.0), (0, 1, 1.0), (0, 3, 2.0)];
        assert_eq!(refusal(3, &twice), "m.mm:3: document 1 has term 4 twice, first in line 1");
        let scattered = [(2, 3, 1.0), (0, 1, 1.0), (2, 3, 2.0)];
        assert_eq!(refusal(3, &scattered), "m.mm:3: document 3 has term 4 twice, first in line 1");
        assert!(refusal(1, &[(0, 0, 16_777_218.0)]).starts_with("m.mm:1: count 16777218 is more than 16777216"));
        assert!(assemble(header(5, 5, 1), &entries(&[(0, 0, 16_777_216.0)]), 2).is_ok());
        // As a weight the same number is fine.
        assert!(assemble(header(5, 5, 2), &entries(&[(0, 0, 0.5), (0, 1, 16_777_218.0)]), 2).is_ok());
    }
}

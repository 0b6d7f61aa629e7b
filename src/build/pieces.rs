//! Pieces of raw text as a source of a dataset: cut by the dispatcher, counted by a worker, kept as bags of words.

use std::cell::{OnceCell, Ref, RefCell, RefMut};
use std::rc::Rc;

use rayon::prelude::*;

use crate::corpus::bag::{self, BagPiece};
use crate::corpus::chunk::Footprint;
use crate::corpus::compression::Compression;
use crate::corpus::cutter::{Cutter, Piece};
use crate::corpus::folder;
use crate::corpus::records::{RecordScanner, newlines, split};
use crate::corpus::reread::Rereader;
use crate::corpus::text::{InputFormat, TextPlan};
use crate::corpus::tokenizer::Tokenizer;
use crate::corpus::vocabulary::{Known, Numbering, Vocabulary};
use crate::corpus::wiki::page;
use crate::dispatch::{Job, Parcel, Source};
use crate::error::Result;
use crate::report::progress::Task;

use super::census::PieceFacts;

/// A piece as bags of words. Each thread of the worker has counted a stretch of it under its own term numbers.
pub(super) struct Bags {
    /// By thread and at once in the order of documents; there may be fewer than threads.
    pub parts: Vec<BagPiece>,
    /// What the piece was found to hold.
    pub facts: PieceFacts,
    /// Terms have their numbers in the dictionary, not those of the threads.
    pub by_dictionary: bool,
    /// Terms of the text that a given dictionary does not have; they are in no bag.
    pub unknown: u64,
}

impl Footprint for Bags {
    fn bytes(&self) -> u64 {
        self.parts.iter().map(BagPiece::bytes).sum()
    }
}

/// The pieces of the inputs.
pub(super) struct Pieces<'a> {
    job: &'a Job<'a>,
    plan: &'a TextPlan,
    tokenizer: &'a Tokenizer,
    progress: &'a Task,
    cutter: Cutter,
    rereader: RefCell<Rereader>,
    /// The terms each thread has met.
    vocabularies: RefCell<Vec<Vocabulary>>,
    /// The only terms that count, with their numbers, where a dictionary is given.
    known: Option<&'a Vocabulary>,
    /// The same, once the text's own dictionary is there.
    dictionary: OnceCell<Rc<Vocabulary>>,
}

impl<'a> Pieces<'a> {
    pub fn new(
        job: &'a Job<'a>,
        plan: &'a TextPlan,
        tokenizer: &'a Tokenizer,
        progress: &'a Task,
        known: Option<&'a Vocabulary>,
    ) -> Self {
        let threads = if job.works() && known.is_none() { job.pool.current_num_threads() } else { 0 };
        Pieces {
            job,
            plan,
            tokenizer,
            progress,
            cutter: Cutter::new(plan),
            rereader: RefCell::default(),
            vocabularies: RefCell::new(vec![Vocabulary::default(); threads]),
            known,
            dictionary: OnceCell::new(),
        }
    }

    /// The terms each thread has met so far.
    pub fn vocabularies(&self) -> Ref<'_, Vec<Vocabulary>> {
        self.vocabularies.borrow()
    }

    /// The same, to be emptied when its terms are counted elsewhere.
    pub fn vocabularies_mut(&self) -> RefMut<'_, Vec<Vocabulary>> {
        self.vocabularies.borrow_mut()
    }

    /// From now on terms get their numbers in this dictionary and others are passed over.
    pub fn number_by(&self, dictionary: Rc<Vocabulary>) {
        // A second dictionary would be a mistake of the caller; the first stays.
        let _ = self.dictionary.set(dictionary);
    }

    fn count(&self, piece: &Piece, bytes: &[u8]) -> Result<Bags> {
        let vocabularies = &mut *self.vocabularies.borrow_mut();
        let threads = self.job.pool.current_num_threads();
        let counter = Counter { plan: self.plan, tokenizer: self.tokenizer, piece, bytes };
        let known = self.known.or(self.dictionary.get().map(Rc::as_ref));
        let stretches = match self.plan.format {
            InputFormat::Dir => folder::split(bytes, threads),
            format => split(bytes, RecordScanner::of(format), threads),
        };
        // All results before the first error is looked for: which one is told does not depend on the threads.
        let count_all = || -> Vec<Result<(BagPiece, u64)>> {
            let Some(known) = known else {
                let stretches = vocabularies.par_iter_mut().zip(stretches);
                return stretches.map(|(numbers, stretch)| Ok((counter.count(numbers, stretch)?, 0))).collect();
            };
            let count = |stretch| {
                let mut numbers = Known::new(known);
                let part = counter.count(&mut numbers, stretch)?;
                Ok((part, numbers.unknown))
            };
            stretches.into_par_iter().map(count).collect()
        };
        let wiki = self.plan.format == InputFormat::Wiki;
        let digest = || match wiki {
            // Which piece a page is in depends on how the dump is compressed, what was read must not.
            true => page::digest(bytes),
            false => (*blake3::hash(bytes).as_bytes(), piece.length),
        };
        let ((checksum, length), parts) = self.job.pool.install(|| rayon::join(digest, count_all));
        let (mut parts, unknown): (Vec<BagPiece>, Vec<u64>) =
            parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let mut documents = 0;
        for part in &mut parts {
            // A document has a newline, a frame or a tag, and a piece fewer than 2^32 bytes: see MAX_RECORD_BYTES.
            part.first_row = documents as u32;
            documents += part.documents() as u64;
        }
        let facts = PieceFacts { number: piece.number, file: piece.file, bytes: length, documents, checksum };
        Ok(Bags { parts, facts, by_dictionary: known.is_some(), unknown: unknown.iter().sum() })
    }
}

/// A piece that threads count stretches of.
struct Counter<'a> {
    plan: &'a TextPlan,
    tokenizer: &'a Tokenizer,
    piece: &'a Piece,
    bytes: &'a [u8],
}

impl Counter<'_> {
    fn count<N: Numbering>(&self, numbers: &mut N, stretch: std::ops::Range<usize>) -> Result<BagPiece> {
        let before = &self.bytes[..stretch.start];
        let part = Piece {
            number: self.piece.number,
            file: self.piece.file,
            offset: self.piece.offset + stretch.start as u64,
            length: stretch.len() as u64,
            first_line: self.piece.first_line.map(|line| line + newlines(before)),
            ..Piece::default()
        };
        bag::tokenise(self.tokenizer, numbers, self.plan, &part, &self.bytes[stretch])
    }
}

impl Source for Pieces<'_> {
    type Item = Bags;
    const KNOWN: bool = false;

    fn next(&mut self) -> Result<Option<Parcel>> {
        let piece = self.cutter.next()?;
        Ok(piece.map(|piece| {
            self.progress.advance(piece.length, 0);
            piece.into()
        }))
    }

    /// Workers read plain files, folders and dumps in ranges themselves. Any other compressed file is decompressed once, by the
    /// dispatcher.
    fn visible(&self) -> bool {
        let plan = self.plan;
        plan.files.iter().all(|file| file.compression == Compression::None || plan.in_ranges(file))
            && plan.readable_here()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        let (plan, piece) = (self.plan, parcel.piece()?);
        let rereader = &mut *self.rereader.borrow_mut();
        let mut read = || self.job.pool.install(|| rereader.read(plan, &piece));
        // Decompressing is work, whoever does it.
        if plan.in_ranges(&plan.files[piece.file as usize]) { self.job.account.compute(read) } else { read() }
    }

    fn open(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<Bags> {
        let piece = parcel.piece()?;
        self.job.account.compute(|| self.count(&piece, &bytes))
    }
}

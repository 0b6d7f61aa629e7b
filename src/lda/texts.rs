//! Coherence over windows of texts, in which the order of the tokens counts: the texts are read, cut into tokens and counted
//! by all workers, as `build` does it, with the options of tokens that the corpus was made with.
//!
//! Cost: reading and tokenising the texts; see [`coherence`](super::coherence). Memory: a piece of text and its tokens, 4 bytes
//! each; the counts of two sizes of windows, 16 bytes for each pair of leading terms of a topic and thread.

use std::cell::RefCell;
use std::collections::HashMap;

use rayon::prelude::*;

use super::coherence::{NARROW_WINDOW, OTHER, Pairs, WIDE_WINDOW};
use crate::comm::Route;
use crate::corpus::chunk::Footprint;
use crate::corpus::compression::Compression;
use crate::corpus::cutter::{Cutter, Piece};
use crate::corpus::records::{RecordScanner, newlines, split};
use crate::corpus::reread::Rereader;
use crate::corpus::text::{InputFormat, TextPlan};
use crate::corpus::tokenizer::{Tokenizer, TokenizerSpec};
use crate::corpus::{folder, readers};
use crate::dispatch::{Dataset, Job, Parcel, Source};
use crate::error::{Error, Result};

/// Texts as the dispatcher has looked at them, and how they are cut into tokens.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Texts {
    /// The files.
    pub plan: TextPlan,
    /// How tokens are found.
    pub tokenizer: TokenizerSpec,
}

/// Coherence of each topic over windows of texts; not finite where it has none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Windowed {
    /// c_v.
    pub c_v: Vec<f64>,
    /// c_npmi.
    pub c_npmi: Vec<f64>,
    /// c_uci.
    pub c_uci: Vec<f64>,
}

/// Documents of a piece, by stretches: their tokens in order.
struct Sequences(Vec<Vec<Vec<u32>>>);

impl Footprint for Sequences {
    fn bytes(&self) -> u64 {
        self.0.iter().flatten().map(|tokens| 24 + 4 * tokens.len() as u64).sum()
    }
}

/// What threads need to cut a piece into tokens.
struct Reader<'a> {
    plan: &'a TextPlan,
    tokenizer: &'a Tokenizer,
    /// Numbers of the terms that lead in a topic.
    leading: &'a HashMap<String, u32>,
}

struct Pieces<'a> {
    job: &'a Job<'a>,
    reader: Reader<'a>,
    cutter: Cutter,
    rereader: RefCell<Rereader>,
}

impl Reader<'_> {
    fn tokens(&self, piece: &Piece, bytes: &[u8], stretch: std::ops::Range<usize>) -> Result<Vec<Vec<u32>>> {
        let part = Piece {
            number: piece.number,
            file: piece.file,
            offset: piece.offset + stretch.start as u64,
            length: stretch.len() as u64,
            first_line: piece.first_line.map(|line| line + newlines(&bytes[..stretch.start])),
            ..Piece::default()
        };
        let (mut documents, mut scratch) = (Vec::new(), String::new());
        readers::documents(self.plan, &part, &bytes[stretch], &mut |document| {
            let mut tokens = Vec::new();
            self.tokenizer.tokens(&document.text, &mut scratch, |token| {
                tokens.push(self.leading.get(token).copied().unwrap_or(OTHER));
            });
            if tokens.len() as u64 >= self.plan.min_tokens {
                documents.push(tokens);
            }
            Ok(())
        })?;
        Ok(documents)
    }
}

impl Source for Pieces<'_> {
    type Item = Sequences;
    const KNOWN: bool = false;

    fn next(&mut self) -> Result<Option<Parcel>> {
        Ok(self.cutter.next()?.map(Parcel::from))
    }

    /// Workers read plain files and folders themselves. A compressed file is decompressed once, by the dispatcher.
    fn visible(&self) -> bool {
        let plan = self.reader.plan;
        plan.files.iter().all(|file| file.compression == Compression::None) && plan.readable_here()
    }

    fn read(&self, parcel: &Parcel) -> Result<Vec<u8>> {
        let (plan, piece) = (self.reader.plan, parcel.piece()?);
        let rereader = &mut *self.rereader.borrow_mut();
        self.job.pool.install(|| rereader.read(plan, &piece))
    }

    fn open(&self, parcel: &Parcel, bytes: Vec<u8>) -> Result<Sequences> {
        let piece = parcel.piece()?;
        let (reader, pool) = (&self.reader, self.job.pool);
        let stretches = match reader.plan.format {
            InputFormat::Dir => folder::split(&bytes, pool.current_num_threads()),
            format => split(&bytes, RecordScanner::of(format), pool.current_num_threads()),
        };
        // All results before the first error is looked for: which one is told does not depend on the threads.
        let tokens = || -> Vec<Result<Vec<Vec<u32>>>> {
            stretches.into_par_iter().map(|stretch| reader.tokens(&piece, &bytes, stretch)).collect()
        };
        let parts = self.job.account.compute(|| pool.install(tokens));
        Ok(Sequences(parts.into_iter().collect::<Result<_>>()?))
    }
}

/// Coherence of topics by their leading terms over some texts; `terms` are the names of those that lead in any, in the
/// order of their numbers. Collective; all ranks get the same.
///
/// # Errors
/// Those of reading texts; texts without a document.
pub fn coherence(job: &Job, texts: &Texts, leading: &[Vec<u32>], terms: &[(u32, String)]) -> Result<Windowed> {
    let tokenizer = Tokenizer::new(&texts.tokenizer)?;
    let numbers: HashMap<String, u32> = terms.iter().map(|(number, term)| (term.clone(), *number)).collect();
    let source = Pieces {
        job,
        reader: Reader { plan: &texts.plan, tokenizer: &tokenizer, leading: &numbers },
        cutter: Cutter::new(&texts.plan),
        rereader: RefCell::default(),
    };
    // Gone through once: nothing is worth keeping.
    let keeping = &Job { memory: 0, ..*job };
    let dataset = Dataset::new(keeping, source)?;
    let (mut narrow, mut wide) = (Pairs::new(leading), Pairs::new(leading));
    let none = (narrow.clone(), wide.clone());
    dataset.fold(|_, sequences: &Sequences| {
        let count = |documents: &Vec<Vec<u32>>| {
            let (mut narrow, mut wide) = none.clone();
            for tokens in documents {
                narrow.absorb_text(tokens, NARROW_WINDOW);
                wide.absorb_text(tokens, WIDE_WINDOW);
            }
            (narrow, wide)
        };
        let parts: Vec<(Pairs, Pairs)> =
            job.account.compute(|| job.pool.install(|| sequences.0.par_iter().map(count).collect()));
        for part in parts {
            narrow.add(&part.0);
            wide.add(&part.1);
        }
        Ok(())
    })?;
    let split = narrow.counts().len();
    let sums = job.wait(job.comm.sum(Route::World, [narrow.counts(), wide.counts()].concat()))?;
    let (of_narrow, of_wide) = sums.split_at(split);
    if of_narrow.last() == Some(&0) {
        return Err(Error::failed("--texts: holds no document"));
    }
    Ok(Windowed { c_v: wide.c_v(of_wide), c_npmi: narrow.c_npmi(of_narrow), c_uci: narrow.c_uci(of_narrow) })
}

//! The bags of words of a piece: counted once under a worker's own term numbers, made into a chunk once the dictionary is known.

use crate::corpus::chunk::CsrChunk;
use crate::corpus::cutter::Piece;
use crate::corpus::readers;
use crate::corpus::text::TextPlan;
use crate::corpus::tokenizer::Tokenizer;
use crate::corpus::vocabulary::Vocabulary;
use crate::error::{Error, Result};

/// Counts above this have no exact f32.
pub const MAX_COUNT: u32 = 1 << 24;

/// In a map from local to global terms: the term is not in the dictionary.
pub const NO_TERM: u32 = u32::MAX;

/// Documents of one piece as counts of local terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BagPiece {
    /// Number of the piece.
    pub number: u64,
    /// Where each document begins in `terms` and `counts`; documents + 1 entries.
    pub indptr: Vec<u32>,
    /// Number in the worker's [`Vocabulary`] of each distinct term of a document, in the order they occur first.
    pub terms: Vec<u32>,
    /// How often it occurs in the document.
    pub counts: Vec<u32>,
    /// Identifier of each document, where the plan names a field for it.
    pub ids: Option<Vec<String>>,
    /// Label of each document, where the plan names a field for it.
    pub labels: Option<Vec<String>>,
}

impl BagPiece {
    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Local terms and counts of a document of the piece.
    pub fn document(&self, row: usize) -> (&[u32], &[u32]) {
        let span = self.indptr[row] as usize..self.indptr[row + 1] as usize;
        (&self.terms[span.clone()], &self.counts[span])
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> u64 {
        let strings = |strings: &Option<Vec<String>>| {
            let bytes = |s: &String| size_of::<String>() + s.capacity();
            strings.iter().flatten().map(bytes).sum::<usize>()
        };
        let counts = (self.indptr.capacity() + self.terms.capacity() + self.counts.capacity()) * 4;
        (counts + strings(&self.ids) + strings(&self.labels)) as u64
    }

    /// The chunk of these documents: `map` gives the term of the dictionary for each local term, or [`NO_TERM`]; `terms` is
    /// the size of the dictionary.
    ///
    /// # Errors
    /// A count beyond 2^24, which would not survive as f32.
    pub fn to_csr(&self, map: &[u32], terms: u32, first_document: u64) -> Result<CsrChunk> {
        let mut chunk = CsrChunk { first_document, terms, indptr: vec![0], ..CsrChunk::default() };
        chunk.indptr.reserve(self.documents());
        let mut row = Vec::new();
        for document in 0..self.documents() {
            let (locals, counts) = self.document(document);
            row.clear();
            row.extend(locals.iter().zip(counts).map(|(&local, &count)| (map[local as usize], count)));
            row.retain(|&(term, _)| term != NO_TERM);
            row.sort_unstable();
            if let Some((_, count)) = row.iter().find(|&&(_, count)| count > MAX_COUNT) {
                return Err(Error::failed(format!(
                    "document {}: a term occurs {count} times, more than 2^24, the most a count can be: cut the document up",
                    first_document + document as u64
                )));
            }
            chunk.indices.extend(row.iter().map(|&(term, _)| term));
            chunk.data.extend(row.iter().map(|&(_, count)| count as f32));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        Ok(chunk)
    }
}

/// Reads, tokenises and counts a piece. `bytes` are those of the piece; new terms are added to the vocabulary.
///
/// # Errors
/// Those of [`readers::documents`], and a vocabulary or piece too large for 32-bit numbers.
pub fn tokenise(
    tokenizer: &Tokenizer,
    vocabulary: &mut Vocabulary,
    plan: &TextPlan,
    piece: &Piece,
    bytes: &[u8],
) -> Result<BagPiece> {
    // Lower case has at most a character per byte of text, and a token at least one: one check serves all tokens.
    if vocabulary.len() + bytes.len() > Vocabulary::MAX_TERMS {
        return Err(Error::failed(format!(
            "{} terms: more than 2^32 distinct terms on one rank: is this text, and the token pattern right? Use more ranks if so",
            vocabulary.len()
        )));
    }
    let mut bag = BagPiece { number: piece.number, indptr: vec![0], ..BagPiece::default() };
    bag.ids = plan.fields.id.as_ref().map(|_| Vec::new());
    bag.labels = plan.fields.label.as_ref().map(|_| Vec::new());
    // Where a term was last pushed to `terms`; it belongs to the document at hand if it still stands there.
    let mut places = vec![0_u32; vocabulary.len()];
    let mut scratch = String::new();
    readers::documents(plan, piece, bytes, &mut |document| {
        let begin = bag.terms.len();
        tokenizer.tokens(&document.text, &mut scratch, |token| {
            let term = vocabulary.intern(token);
            if term as usize == places.len() {
                places.push(0);
            }
            let place = places[term as usize] as usize;
            if place >= begin && bag.terms.get(place) == Some(&term) {
                bag.counts[place] += 1;
            } else {
                places[term as usize] = bag.terms.len() as u32;
                bag.terms.push(term);
                bag.counts.push(1);
            }
        });
        bag.indptr.push(bag.terms.len() as u32);
        for (kept, found) in [(&mut bag.ids, document.id), (&mut bag.labels, document.label)] {
            if let (Some(kept), Some(found)) = (kept, found) {
                kept.push(found.into_owned());
            }
        }
        Ok(())
    })?;
    Ok(bag)
}

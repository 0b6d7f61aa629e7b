//! The bags of words of a piece: counted once under a worker's own term numbers, made into a chunk once the dictionary
//! is known.

use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::MAX_COUNT;
use crate::corpus::cutter::Piece;
use crate::corpus::readers;
use crate::corpus::text::TextPlan;
use crate::corpus::tokenizer::Tokenizer;
use crate::corpus::vocabulary::{Numbering, Vocabulary};
use crate::error::{Error, Result};

/// In a map from local to global terms: the term is not in the dictionary.
pub const NO_TERM: u32 = u32::MAX;

/// Documents of one piece, or of a part of it, as counts of local terms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BagPiece {
    /// Number of the piece.
    pub number: u64,
    /// Position within the piece of the first document here.
    pub first_row: u32,
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

    /// The chunk of these documents: `map` gives the term of the dictionary for each local term, or [`NO_TERM`];
    /// `terms` is the size of the dictionary.
    ///
    /// # Errors
    /// A count beyond 2^24, which would not survive as f32.
    pub fn to_csr(&self, map: &[u32], terms: u32, first_document: u64) -> Result<CsrChunk> {
        let mut chunk = CsrChunk { first_document, terms, indptr: vec![0], ..CsrChunk::default() };
        chunk.indptr.reserve(self.documents());
        // A term in the upper half of a word and its count in the lower: words are faster to sort than pairs.
        let (term_of, count_of) = (|word: u64| (word >> 32) as u32, |word: u64| word as u32);
        let mut row = Vec::new();
        for document in 0..self.documents() {
            let (locals, counts) = self.document(document);
            let words = locals.iter().zip(counts).map(|(&local, &count)| (map[local as usize], count));
            let words = words.filter(|&(term, _)| term != NO_TERM);
            row.clear();
            row.extend(words.map(|(term, count)| u64::from(term) << 32 | u64::from(count)));
            row.sort_unstable();
            if let Some(count) = row.iter().map(|&word| count_of(word)).find(|&count| count > MAX_COUNT) {
                return Err(Error::failed(format!(
                    "document {}: a term occurs {count} times, more than a count can be (2^24): cut it into documents",
                    first_document + document as u64
                )));
            }
            chunk.indices.extend(row.iter().map(|&word| term_of(word)));
            chunk.data.extend(row.iter().map(|&word| count_of(word) as f32));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        Ok(chunk)
    }
}

/// Reads, tokenises and counts a piece. `bytes` are those of the piece; terms have the numbers that `numbers` gives.
///
/// # Errors
/// Those of [`readers::documents`], and a vocabulary or piece too large for 32-bit numbers.
pub fn tokenise<N: Numbering>(
    tokenizer: &Tokenizer,
    numbers: &mut N,
    plan: &TextPlan,
    piece: &Piece,
    bytes: &[u8],
) -> Result<BagPiece> {
    // One check serves all terms of the piece.
    if numbers.len().saturating_add(tokenizer.most_terms(bytes.len())) > Vocabulary::MAX_TERMS {
        return Err(Error::failed(format!(
            "{} terms on one rank are too many: is this text, and the token pattern right? If so, use more ranks",
            numbers.len()
        )));
    }
    let mut bag = BagPiece { number: piece.number, indptr: vec![0], ..BagPiece::default() };
    bag.ids = plan.fields.id.as_ref().map(|_| Vec::new());
    bag.labels = plan.fields.label.as_ref().map(|_| Vec::new());
    // Where a term was last pushed to `terms`; it belongs to the document at hand if it still stands there.
    let mut places = vec![0_u32; numbers.len()];
    let mut scratch = String::new();
    readers::documents(plan, piece, bytes, &mut |document| {
        let begin = bag.terms.len();
        let mut unknown = 0;
        let tokens = tokenizer.tokens(&document.text, &mut scratch, |token| {
            let Some(term) = numbers.number(token) else {
                unknown += 1;
                return;
            };
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
        if tokens < plan.min_tokens {
            // Never was there. Places that point into it are told by what stands there.
            bag.terms.truncate(begin);
            bag.counts.truncate(begin);
            numbers.take_back(unknown);
            return Ok(());
        }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::corpus::cutter::{Cutter, read_piece};
    use crate::corpus::dictionary::{FilterSpec, TermCounts};
    use crate::corpus::text::TextSpec;
    use crate::corpus::tokenizer::TokenizerSpec;

    /// From text to chunks, against counting the fixture's tokens one document at a time.
    #[test]
    fn chunks_hold_the_counts_of_the_tokens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("texts");
        std::fs::write(&path, include_str!("../../tests/fixtures/text/texts.txt")).unwrap();
        let plan = TextSpec { piece_bytes: 200, ..TextSpec::new(vec![path]) }.check().unwrap();
        let tokenizer = Tokenizer::new(&TokenizerSpec::default()).unwrap();
        let (mut vocabulary, mut counts, mut bags) = (Vocabulary::default(), TermCounts::default(), Vec::new());
        let mut cutter = Cutter::new(&plan);
        while let Some(piece) = cutter.next().unwrap() {
            let bytes = read_piece(&plan, &piece).unwrap();
            let bag = tokenise(&tokenizer, &mut vocabulary, &plan, &piece, &bytes).unwrap();
            counts.absorb(&bag);
            bags.push(bag);
        }
        assert!(bags.len() > 5);
        let expected = include_str!("../../tests/fixtures/text/tokens.txt").lines().collect::<Vec<_>>();
        let rules = FilterSpec { no_below: 2, no_above: 0.3, keep_n: None, ..FilterSpec::default() };
        let dictionary = counts.resolve(&vocabulary).filter(&rules, expected.len() as u64).unwrap();
        let map = dictionary.map(&vocabulary);
        let mut document = 0;
        for bag in &bags {
            let chunk = bag.to_csr(&map, dictionary.len() as u32, document as u64).unwrap();
            chunk.check().unwrap();
            for row in 0..chunk.documents() {
                let mut oracle = BTreeMap::new();
                for token in expected[document].split_whitespace() {
                    if let Some(term) = dictionary.terms.iter().position(|t| t == token) {
                        *oracle.entry(term as u32).or_insert(0.0) += 1.0;
                    }
                }
                let (terms, values) = chunk.document(row);
                assert_eq!(
                    terms.iter().copied().zip(values.iter().copied()).collect::<Vec<_>>(),
                    Vec::from_iter(oracle)
                );
                document += 1;
            }
        }
        assert_eq!(document, expected.len());
    }

    #[test]
    fn identifiers_and_labels_come_along() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "id,text,kind\n1,some words,x\n2,,y\n").unwrap();
        let mut spec = TextSpec::new(vec![path]);
        (spec.id_field, spec.label_field) = (Some("id".into()), Some("kind".into()));
        let plan = spec.check().unwrap();
        let piece = Cutter::new(&plan).next().unwrap().unwrap();
        let tokenizer = Tokenizer::new(&TokenizerSpec::default()).unwrap();
        let bytes = read_piece(&plan, &piece).unwrap();
        let bag = tokenise(&tokenizer, &mut Vocabulary::default(), &plan, &piece, &bytes).unwrap();
        assert_eq!(bag.indptr, [0, 2, 2]);
        assert_eq!(bag.ids.unwrap(), ["1", "2"]);
        assert_eq!(bag.labels.unwrap(), ["x", "y"]);
    }

    #[test]
    fn a_count_that_f32_cannot_hold_is_refused() {
        let bag = |count| BagPiece { indptr: vec![0, 1], terms: vec![0], counts: vec![count], ..BagPiece::default() };
        assert_eq!(bag(MAX_COUNT).to_csr(&[0], 1, 0).unwrap().data, [16_777_216.0]);
        let message = bag(MAX_COUNT + 1).to_csr(&[0], 1, 41).unwrap_err().to_string();
        assert!(message.contains("document 41: a term occurs 16777217 times"), "{message}");
    }
}

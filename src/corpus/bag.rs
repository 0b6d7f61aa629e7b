//! The bags of words of a piece: counted once under a worker's own term numbers, made into a chunk once the dictionary
//! is known.

use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::MAX_COUNT;
use crate::corpus::cutter::Piece;
use crate::corpus::readers;
use crate::corpus::text::TextPlan;
use crate::corpus::tokenizer::Tokenizer;
use crate::corpus::vocabulary::{Numbering, Tokens, Vocabulary};
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
        let mut indptr = Vec::with_capacity(self.documents() + 1);
        indptr.push(0);
        let mut words = Vec::with_capacity(self.terms.len());
        for document in 0..self.documents() {
            let (locals, counts) = self.document(document);
            for (&local, &count) in locals.iter().zip(counts) {
                let term = map[local as usize];
                if term == NO_TERM {
                    continue;
                }
                if count > MAX_COUNT {
                    return Err(Error::failed(format!(
                        "document {}: a term occurs {count} times, more than a count can be (2^24): cut it into documents",
                        first_document + document as u64
                    )));
                }
                words.push(u64::from(term) << 32 | u64::from(count));
            }
            indptr.push(words.len() as u64);
        }
        sort_rows(&indptr, &mut words, terms);
        let (indices, data) = words.iter().map(|&word| (term_of(word), word as u32 as f32)).unzip();
        Ok(CsrChunk { first_document, terms, indptr, indices, data })
    }
}

/// The term of a word with the term in its upper half and the count in the lower. Words are faster to sort than pairs.
fn term_of(word: u64) -> u32 {
    (word >> 32) as u32
}

/// Sorts the words of each row by their terms, of which none is twice in a row.
fn sort_rows(indptr: &[u64], words: &mut [u64], terms: u32) {
    if words.len() < terms as usize || u32::try_from(words.len()).is_err() {
        return indptr.windows(2).for_each(|row| words[row[0] as usize..row[1] as usize].sort_unstable());
    }
    // Transposed twice, which takes a number of steps for each word that does not grow with the row.
    let mut places = vec![0u32; terms as usize + 1];
    words.iter().for_each(|&word| places[term_of(word) as usize + 1] += 1);
    (1..places.len()).for_each(|term| places[term] += places[term - 1]);
    let mut by_term = vec![0u64; words.len()];
    for (row, span) in indptr.windows(2).enumerate() {
        for &word in &words[span[0] as usize..span[1] as usize] {
            let place = &mut places[term_of(word) as usize];
            by_term[*place as usize] = (row as u64) << 32 | u64::from(word as u32);
            *place += 1;
        }
    }
    let mut next: Vec<u32> = indptr[..indptr.len() - 1].iter().map(|&begin| begin as u32).collect();
    let mut begin = 0;
    // A place is by now where the next term begins.
    for (term, &end) in places[..terms as usize].iter().enumerate() {
        for &entry in &by_term[begin..end as usize] {
            let place = &mut next[(entry >> 32) as usize];
            words[*place as usize] = (term as u64) << 32 | u64::from(entry as u32);
            *place += 1;
        }
        begin = end as usize;
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
    let mut counter = Counter { places: vec![0; numbers.len()], tokens: Tokens::default(), found: Vec::new() };
    let mut scratch = String::new();
    readers::documents(plan, piece, bytes, &mut |document| {
        let begin = bag.terms.len();
        let mut unknown = 0;
        let tokens = tokenizer.tokens(&document.text, &mut scratch, |token| {
            counter.tokens.push(token);
            if counter.tokens.are_many() {
                unknown += counter.count(numbers, &mut bag, begin);
            }
        });
        unknown += counter.count(numbers, &mut bag, begin);
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

/// Counts the terms of a document.
struct Counter {
    /// Where a term was last pushed to the terms of a piece; it belongs to the document at hand if it still stands there.
    places: Vec<u32>,
    /// Tokens that have still to be counted.
    tokens: Tokens,
    found: Vec<u32>,
}

impl Counter {
    /// Adds the tokens to those of the document that begins there, and says how many are no terms.
    fn count<N: Numbering>(&mut self, numbers: &mut N, bag: &mut BagPiece, begin: usize) -> u64 {
        self.found.clear();
        numbers.number(&self.tokens, &mut self.found);
        let unknown = self.tokens.len() - self.found.len();
        self.tokens.clear();
        self.places.resize(numbers.len(), 0);
        for &term in &self.found {
            let place = self.places[term as usize] as usize;
            if place >= begin && bag.terms.get(place) == Some(&term) {
                bag.counts[place] += 1;
            } else {
                self.places[term as usize] = bag.terms.len() as u32;
                bag.terms.push(term);
                bag.counts.push(1);
            }
        }
        unknown as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::corpus::cutter::{Cutter, read_piece};
    use crate::corpus::dictionary::{FilterSpec, TermCounts};
    use crate::corpus::text::TextSpec;
    use crate::corpus::tokenizer::TokenizerSpec;
    use crate::random::Stream;

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

    /// With more terms than words, rows are sorted one by one; with fewer, transposed.
    #[test]
    fn rows_are_sorted_for_dictionaries_of_any_size() {
        let mut stream = Stream::new(7, "rows", 0);
        for terms in [1u32, 3, 60, 500, 100_000] {
            let (mut indptr, mut words) = (vec![0], Vec::new());
            for _ in 0..90 {
                let row: BTreeMap<u64, u64> =
                    (0..stream.below(40)).map(|_| (stream.below(terms.into()), 1 + stream.below(9))).collect();
                let mut row: Vec<u64> = row.into_iter().map(|(term, count)| term << 32 | count).collect();
                (1..row.len()).for_each(|at| row.swap(at, stream.below(at as u64 + 1) as usize));
                words.extend(row);
                indptr.push(words.len() as u64);
            }
            let mut expected = words.clone();
            indptr.windows(2).for_each(|row| expected[row[0] as usize..row[1] as usize].sort());
            sort_rows(&indptr, &mut words, terms);
            assert_eq!(words, expected, "{terms}");
        }
        sort_rows(&[0], &mut [], 0);
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

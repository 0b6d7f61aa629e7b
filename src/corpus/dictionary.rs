//! Which terms the corpus has, how frequent they are, and which of them stay.
//!
//! Every worker counts its own terms ([`TermCounts`]); with their strings they become a [`TermTable`], and merging
//! tables is associative and commutative, so that the total does not depend on who counted what. Filtering the total
//! gives the [`Dictionary`], equal to that of gensim's `Dictionary.filter_n_most_frequent` and `filter_extremes` for the
//! same tokens, numbers of the terms included.

use std::cmp::Ordering;

use crate::corpus::bag::{BagPiece, NO_TERM};
use crate::corpus::term_filter::TermFilter;
use crate::corpus::vocabulary::Vocabulary;
use crate::error::{Error, Result};

/// How often a term occurs, and where first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermStatistics {
    /// Documents that hold the term.
    pub document_frequency: u64,
    /// Occurrences in all documents.
    pub collection_frequency: u64,
    /// First document that holds it: number of its piece, number within the piece.
    pub first: (u64, u32),
}

impl TermStatistics {
    /// Of a term that was not met.
    pub(super) const NONE: Self =
        TermStatistics { document_frequency: 0, collection_frequency: 0, first: (u64::MAX, u32::MAX) };

    /// Adds what was found elsewhere.
    pub(super) fn add(&mut self, other: &Self) {
        self.document_frequency += other.document_frequency;
        self.collection_frequency += other.collection_frequency;
        self.first = self.first.min(other.first);
    }
}

/// Statistics of a worker's local terms.
#[derive(Debug, Clone, Default)]
pub struct TermCounts {
    by_term: Vec<TermStatistics>,
}

impl TermCounts {
    /// Adds the documents of a piece, in any order of pieces.
    pub fn absorb(&mut self, bag: &BagPiece) {
        for document in 0..bag.documents() {
            let first = (bag.number, bag.first_row + document as u32);
            let (terms, counts) = bag.document(document);
            for (&term, &count) in terms.iter().zip(counts) {
                let term = term as usize;
                if term >= self.by_term.len() {
                    self.by_term.resize(term + 1, TermStatistics::NONE);
                }
                let once = TermStatistics { document_frequency: 1, collection_frequency: u64::from(count), first };
                self.by_term[term].add(&once);
            }
        }
    }

    /// Puts the strings of the vocabulary in place of the local numbers.
    pub fn resolve(self, vocabulary: &Vocabulary) -> TermTable {
        let mut numbers = (0..self.by_term.len() as u32).collect::<Vec<_>>();
        numbers.retain(|&number| self.by_term[number as usize].document_frequency > 0);
        // Most comparisons are decided by the first bytes, which lie beside each other here and not all over memory.
        let mut order: Vec<(u64, u32)> = numbers.into_iter().map(|at| (leading(vocabulary.term(at)), at)).collect();
        order.sort_unstable_by(|&(a, left), &(b, right)| {
            a.cmp(&b).then_with(|| vocabulary.term(left).cmp(vocabulary.term(right)))
        });
        let mut table = TermTable::default();
        for (_, number) in order {
            table.push(vocabulary.term(number), self.by_term[number as usize]);
        }
        table
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> u64 {
        (self.by_term.capacity() * size_of::<TermStatistics>()) as u64
    }
}

/// The first eight bytes of a term, in an order that agrees with that of the terms.
pub(super) fn leading(term: &str) -> u64 {
    let mut bytes = [0; 8];
    let length = term.len().min(8);
    bytes[..length].copy_from_slice(&term.as_bytes()[..length]);
    u64::from_be_bytes(bytes)
}

/// Statistics by term, ascending by the bytes of the term (which is by code points).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TermTable {
    /// All terms, one after another.
    arena: String,
    /// Where each term ends in the arena.
    ends: Vec<u64>,
    statistics: Vec<TermStatistics>,
}

impl TermTable {
    /// Number of terms.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Terms with their statistics, ascending by term.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TermStatistics)> {
        (0..self.len()).map(|at| (self.term(at), &self.statistics[at]))
    }

    /// The term at a place.
    pub(super) fn term(&self, at: usize) -> &str {
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.arena[begin as usize..self.ends[at] as usize]
    }

    /// What is known of the term at a place.
    pub(super) fn statistics(&self, at: usize) -> &TermStatistics {
        &self.statistics[at]
    }

    /// Leaves no term, and the room for as many.
    pub(super) fn clear(&mut self) {
        self.arena.clear();
        self.ends.clear();
        self.statistics.clear();
    }

    /// Bytes of [`TermTable::encode`].
    pub fn encoded_bytes(&self) -> u64 {
        (8 + self.len() * Self::RECORD_BYTES + self.arena.len()) as u64
    }

    /// Appends a term that comes after all others.
    pub(super) fn push(&mut self, term: &str, statistics: TermStatistics) {
        self.arena.push_str(term);
        self.ends.push(self.arena.len() as u64);
        self.statistics.push(statistics);
    }

    /// The sum of two tables.
    pub fn merge(self, other: Self) -> Self {
        if self.is_empty() || other.is_empty() {
            return if self.is_empty() { other } else { self };
        }
        let most = self.len().max(other.len());
        let mut sum = TermTable {
            arena: String::with_capacity(self.arena.len().max(other.arena.len())),
            ends: Vec::with_capacity(most),
            statistics: Vec::with_capacity(most),
        };
        let (mut a, mut b) = (0, 0);
        while a < self.len() && b < other.len() {
            match self.term(a).cmp(other.term(b)) {
                Ordering::Less => sum.push(self.term(a), self.statistics[a]),
                Ordering::Greater => sum.push(other.term(b), other.statistics[b]),
                Ordering::Equal => {
                    let mut statistics = self.statistics[a];
                    statistics.add(&other.statistics[b]);
                    sum.push(self.term(a), statistics);
                }
            }
            let order = self.term(a).cmp(other.term(b));
            a += usize::from(order != Ordering::Greater);
            b += usize::from(order != Ordering::Less);
        }
        (a..self.len()).for_each(|at| sum.push(self.term(at), self.statistics[at]));
        (b..other.len()).for_each(|at| sum.push(other.term(at), other.statistics[at]));
        sum
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> u64 {
        (self.arena.capacity() + self.ends.capacity() * 8 + self.statistics.capacity() * size_of::<TermStatistics>())
            as u64
    }

    /// As bytes, little-endian: the number of terms; per term document frequency, collection frequency, first piece
    /// (u64 each), first document in it and length of the term in bytes (u32 each); then all terms.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.len() * Self::RECORD_BYTES + self.arena.len());
        bytes.extend_from_slice(&(self.len() as u64).to_le_bytes());
        for (term, statistics) in self.iter() {
            bytes.extend_from_slice(&statistics.document_frequency.to_le_bytes());
            bytes.extend_from_slice(&statistics.collection_frequency.to_le_bytes());
            bytes.extend_from_slice(&statistics.first.0.to_le_bytes());
            bytes.extend_from_slice(&statistics.first.1.to_le_bytes());
            bytes.extend_from_slice(&(term.len() as u32).to_le_bytes());
        }
        bytes.extend_from_slice(self.arena.as_bytes());
        bytes
    }

    const RECORD_BYTES: usize = 32;

    /// The inverse of [`TermTable::encode`].
    ///
    /// # Errors
    /// The bytes are not a table: lengths that do not fit, terms that are not UTF-8 or not ascending.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let broken = || Error::failed("damaged message: not a table of terms; a defect of the network or of corpuscle");
        let (count, rest) = bytes.split_first_chunk().ok_or_else(broken)?;
        let count = usize::try_from(u64::from_le_bytes(*count)).map_err(|_| broken())?;
        let records_bytes = count.checked_mul(Self::RECORD_BYTES).ok_or_else(broken)?;
        let (records, arena) = rest.split_at_checked(records_bytes).ok_or_else(broken)?;
        let mut table = TermTable {
            arena: String::from_utf8(arena.to_vec()).map_err(|_| broken())?,
            ends: Vec::with_capacity(count),
            statistics: Vec::with_capacity(count),
        };
        let mut end = 0_u64;
        for record in records.chunks_exact(Self::RECORD_BYTES) {
            let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| record[at + i]));
            let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| record[at + i]));
            end += u64::from(u32_at(28));
            table.ends.push(end);
            table.statistics.push(TermStatistics {
                document_frequency: u64_at(0),
                collection_frequency: u64_at(8),
                first: (u64_at(16), u32_at(24)),
            });
        }
        let whole =
            end == table.arena.len() as u64 && table.ends.iter().all(|&end| table.arena.is_char_boundary(end as usize));
        let ascending = whole && (1..count).all(|at| table.term(at - 1) < table.term(at));
        if ascending { Ok(table) } else { Err(broken()) }
    }

    /// The dictionary of the corpus: see [`TermFilter`]. `documents` is the size of the corpus, empty documents included.
    ///
    /// # Errors
    /// Those of [`TermFilter::finish`].
    pub fn filter(&self, rules: &FilterSpec, documents: u64) -> Result<Dictionary> {
        let mut filter = TermFilter::new(rules, documents)?;
        self.iter().for_each(|(term, statistics)| filter.push(term, *statistics));
        Ok(filter.finish()?.0)
    }
}

/// Which terms stay in the dictionary.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct FilterSpec {
    /// Least number of documents that hold the term.
    pub no_below: u64,
    /// Largest share of all documents that hold the term, from 0 to 1.
    pub no_above: f64,
    /// Of those, the most that stay, the most frequent by documents; `None` for all.
    pub keep_n: Option<usize>,
    /// Terms that pass all of these rules if they occur at all. They are counted in `keep_n` and come first there.
    #[serde(default)]
    pub keep_tokens: Vec<String>,
    /// So many terms, of those in most documents, are left out before anything else, also of `keep_tokens`.
    #[serde(default)]
    pub remove_most_frequent: usize,
}

impl Default for FilterSpec {
    fn default() -> Self {
        FilterSpec {
            no_below: 5,
            no_above: 0.5,
            keep_n: Some(100_000),
            keep_tokens: Vec::new(),
            remove_most_frequent: 0,
        }
    }
}

impl FilterSpec {
    /// Refuses rules that no term can pass.
    ///
    /// # Errors
    /// `Usage`, naming the option.
    pub fn check(&self) -> Result<()> {
        if !(self.no_above > 0.0 && self.no_above <= 1.0) {
            return Err(Error::usage(format!(
                "--no-above {}: it is a share of the documents, above 0 and at most 1",
                self.no_above
            )));
        }
        if self.keep_n == Some(0) {
            return Err(Error::usage("--keep-n 0 would leave no term: give at least 1, or all"));
        }
        Ok(())
    }
}

/// The terms of a corpus, numbered, with their frequencies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dictionary {
    /// The terms by number.
    pub terms: Vec<String>,
    /// Documents that hold each.
    pub document_frequency: Vec<u64>,
    /// Occurrences of each in all documents.
    pub collection_frequency: Vec<u64>,
}

impl Dictionary {
    /// Terms of which nothing else is known.
    pub fn of_terms(terms: Vec<String>) -> Self {
        let zeros = vec![0; terms.len()];
        Dictionary { terms, document_frequency: zeros.clone(), collection_frequency: zeros }
    }

    /// Number of terms.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there is no term.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The term's number here for each number in a worker's vocabulary, or [`NO_TERM`].
    pub fn map(&self, vocabulary: &Vocabulary) -> Vec<u32> {
        let mut map = vec![NO_TERM; vocabulary.len()];
        for (number, term) in self.terms.iter().enumerate() {
            if let Some(local) = vocabulary.get(term) {
                map[local as usize] = number as u32;
            }
        }
        map
    }

    /// As bytes, little-endian: the number of terms; per term document and collection frequency (u64 each) and length
    /// in bytes (u32); then all terms.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&(self.len() as u64).to_le_bytes());
        for ((term, document), collection) in
            self.terms.iter().zip(&self.document_frequency).zip(&self.collection_frequency)
        {
            bytes.extend_from_slice(&document.to_le_bytes());
            bytes.extend_from_slice(&collection.to_le_bytes());
            bytes.extend_from_slice(&(term.len() as u32).to_le_bytes());
        }
        self.terms.iter().for_each(|term| bytes.extend_from_slice(term.as_bytes()));
        bytes
    }

    const RECORD_BYTES: usize = 20;

    /// The inverse of [`Dictionary::encode`].
    ///
    /// # Errors
    /// The bytes are not a dictionary: lengths that do not fit, terms that are not UTF-8.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let broken = || Error::failed("damaged message: not a dictionary; a defect of the network or of corpuscle");
        let (count, rest) = bytes.split_first_chunk().ok_or_else(broken)?;
        let count = usize::try_from(u64::from_le_bytes(*count)).map_err(|_| broken())?;
        let records_bytes = count.checked_mul(Self::RECORD_BYTES).ok_or_else(broken)?;
        let (records, arena) = rest.split_at_checked(records_bytes).ok_or_else(broken)?;
        let mut arena = std::str::from_utf8(arena).map_err(|_| broken())?;
        let mut dictionary = Dictionary::default();
        for record in records.chunks_exact(Self::RECORD_BYTES) {
            let u64_at = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| record[at + i]));
            let length = u32::from_le_bytes(std::array::from_fn(|i| record[16 + i])) as usize;
            let (term, rest) = arena.split_at_checked(length).ok_or_else(broken)?;
            dictionary.terms.push(term.to_owned());
            dictionary.document_frequency.push(u64_at(0));
            dictionary.collection_frequency.push(u64_at(8));
            arena = rest;
        }
        if arena.is_empty() { Ok(dictionary) } else { Err(broken()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documents of the fixture as bags, in pieces of `documents_per_piece`, with one vocabulary for each of
    /// `workers`.
    fn tables(workers: usize, documents_per_piece: usize) -> (Vec<TermTable>, u64) {
        let documents = include_str!("../../tests/fixtures/text/tokens.txt").lines().collect::<Vec<_>>();
        let mut states = vec![(Vocabulary::default(), TermCounts::default()); workers];
        // Workers take pieces from the last to the first: the order must not matter.
        for (number, piece) in documents.chunks(documents_per_piece).enumerate().rev() {
            let (vocabulary, counts) = &mut states[number * 7 % workers];
            let mut bag = BagPiece { number: number as u64, indptr: vec![0], ..BagPiece::default() };
            for document in piece {
                let begin = bag.terms.len();
                for term in document.split_whitespace().map(|token| vocabulary.intern(token)) {
                    match bag.terms[begin..].iter().position(|&t| t == term) {
                        Some(at) => bag.counts[begin + at] += 1,
                        None => {
                            bag.terms.push(term);
                            bag.counts.push(1);
                        }
                    }
                }
                bag.indptr.push(bag.terms.len() as u32);
            }
            counts.absorb(&bag);
        }
        (states.into_iter().map(|(vocabulary, counts)| counts.resolve(&vocabulary)).collect(), documents.len() as u64)
    }

    fn total(tables: Vec<TermTable>) -> TermTable {
        tables.into_iter().fold(TermTable::default(), TermTable::merge)
    }

    #[test]
    fn filters_and_numbers_are_gensims() {
        let (tables, documents) = tables(3, 4);
        let table = total(tables);
        for (rules, expected) in [
            ((1, 1.0, None), include_str!("../../tests/fixtures/text/dictionary-1-1.0-all.tsv")),
            ((2, 0.5, None), include_str!("../../tests/fixtures/text/dictionary-2-0.5-all.tsv")),
            ((2, 0.2, None), include_str!("../../tests/fixtures/text/dictionary-2-0.2-all.tsv")),
            ((1, 0.5, Some(20)), include_str!("../../tests/fixtures/text/dictionary-1-0.5-20.tsv")),
            ((3, 1.0, Some(5)), include_str!("../../tests/fixtures/text/dictionary-3-1.0-5.tsv")),
        ] {
            let (no_below, no_above, keep_n) = rules;
            let spec = FilterSpec { no_below, no_above, keep_n, ..FilterSpec::default() };
            let found = table.filter(&spec, documents).unwrap();
            let rows = found.terms.iter().zip(&found.document_frequency).zip(&found.collection_frequency).enumerate();
            let rows =
                rows.map(|(number, ((term, df), cf))| format!("{number}\t{term}\t{df}\t{cf}\n")).collect::<String>();
            assert_eq!(rows, expected, "{rules:?}");
        }
    }

    #[test]
    fn terms_to_keep_and_most_frequent_ones_are_gensims() {
        let (tables, documents) = tables(2, 5);
        let table = total(tables);
        for (remove_most_frequent, no_below, no_above, keep_n, keep, expected) in [
            (3, 1, 1.0, None, "", include_str!("../../tests/fixtures/text/choice-most.tsv")),
            (2, 2, 0.5, Some(6), "", include_str!("../../tests/fixtures/text/choice-most-and-few.tsv")),
            (0, 3, 0.3, None, "river brown été absent", include_str!("../../tests/fixtures/text/choice-keep.tsv")),
            (0, 2, 0.3, Some(4), "river brown été", include_str!("../../tests/fixtures/text/choice-keep-few.tsv")),
            (1, 2, 0.5, Some(7), "river brown stone", include_str!("../../tests/fixtures/text/choice-all.tsv")),
        ] {
            let keep_tokens = keep.split_whitespace().map(String::from).collect();
            let rules = FilterSpec { no_below, no_above, keep_n, keep_tokens, remove_most_frequent };
            let found = table.filter(&rules, documents).unwrap();
            let rows = found.terms.iter().zip(&found.document_frequency).enumerate();
            let rows = rows.map(|(number, (term, df))| format!("{number}\t{term}\t{df}\n")).collect::<String>();
            assert_eq!(rows, expected, "{rules:?}");
        }
        // Here gensim goes back on its word and keeps one of the two.
        let keep_tokens = ["brown", "fox"].map(String::from).to_vec();
        let rules = FilterSpec { keep_n: Some(1), keep_tokens, ..FilterSpec::default() };
        assert_eq!(table.filter(&rules, documents).unwrap().terms, ["brown", "fox"]);
        let rules = FilterSpec { remove_most_frequent: 1000, ..FilterSpec::default() };
        let message = table.filter(&rules, documents).unwrap_err().to_string();
        assert!(message.contains("lower --remove-most-frequent 1000"), "{message}");
    }

    #[test]
    fn the_total_does_not_depend_on_who_counted_what() {
        let expected = total(tables(1, 4).0);
        for workers in [2, 3, 5] {
            let tables = tables(workers, 4).0;
            assert_eq!(total(tables.clone()), expected);
            assert_eq!(total(tables.into_iter().rev().collect()), expected);
        }
    }

    #[test]
    fn tables_and_dictionaries_survive_their_encoding_and_damage_is_noticed() {
        let (tables, documents) = tables(1, 7);
        let table = total(tables);
        let bytes = table.encode();
        assert_eq!(TermTable::decode(&bytes).unwrap(), table);
        assert_eq!(TermTable::decode(&TermTable::default().encode()).unwrap(), TermTable::default());
        let dictionary = table.filter(&FilterSpec { no_below: 2, ..FilterSpec::default() }, documents).unwrap();
        let message = dictionary.encode();
        assert_eq!(Dictionary::decode(&message).unwrap(), dictionary);
        for cut in [0, 7, 8, 50, bytes.len() - 1] {
            assert!(TermTable::decode(&bytes[..cut]).is_err());
        }
        for cut in [0, 7, 8, 30, message.len() - 1] {
            assert!(Dictionary::decode(&message[..cut]).is_err());
        }
        // A count no memory could hold, an arena that is not UTF-8, and terms out of order.
        let mut broken = bytes.clone();
        broken[..8].fill(0xff);
        assert!(TermTable::decode(&broken).is_err());
        let mut broken = bytes.clone();
        *broken.last_mut().unwrap() = 0xff;
        assert!(TermTable::decode(&broken).is_err());
        let mut broken = bytes;
        broken[8 + table.len() * TermTable::RECORD_BYTES] = b'~';
        assert!(TermTable::decode(&broken).is_err());
    }

    #[test]
    fn a_map_leads_from_local_to_global_terms() {
        let mut vocabulary = Vocabulary::default();
        for term in ["gone", "b", "a"] {
            vocabulary.intern(term);
        }
        let terms = ["a", "elsewhere", "b"].map(String::from).to_vec();
        let dictionary = Dictionary { terms, document_frequency: vec![1; 3], collection_frequency: vec![1; 3] };
        assert_eq!(dictionary.map(&vocabulary), [NO_TERM, 2, 0]);
    }

    #[test]
    fn nothing_left_says_why() {
        let (tables, documents) = tables(1, 4);
        let table = total(tables);
        let rules = FilterSpec { no_below: 1000, ..FilterSpec::default() };
        let message = table.filter(&rules, documents).unwrap_err().to_string();
        assert!(message.contains("in fewer than 1000 documents") && message.contains("lower --no-below"), "{message}");
        let message = TermTable::default().filter(&FilterSpec::default(), 3).unwrap_err().to_string();
        assert!(message.contains("no tokens in 3 documents"), "{message}");
        for no_above in [0.0, 1.5, f64::NAN] {
            let rules = FilterSpec { no_above, ..FilterSpec::default() };
            assert_eq!(table.filter(&rules, documents).unwrap_err().exit_code(), 2);
        }
    }
}

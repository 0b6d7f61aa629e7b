//! A worker's own numbering of the tokens it has met.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// Distinct terms, numbered from 0 in the order they came. The strings lie end to end in one allocation, and a token is
/// hashed once.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// All terms, one after another.
    arena: String,
    /// Where each term ends in the arena; it begins where the one before ends.
    ends: Vec<u64>,
    /// Every term's number and place, by hash.
    slots: HashTable<Slot>,
    /// The term met last: files of bags of words repeat a word as often as it is counted.
    last: Option<Slot>,
}

/// What a lookup needs to compare a token, together, so that only a long one misses the cache once more, for its bytes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    ends: Ends,
    begin: u64,
    length: u32,
    number: u32,
}

/// The first and the last bytes of a term: all of them, if it has at most 16.
type Ends = [u64; 2];

/// Terms of at most so many bytes are told by their length and [`Ends`].
const SHORT: usize = 16;

impl Slot {
    fn bytes(self, arena: &[u8]) -> &[u8] {
        &arena[self.begin as usize..self.begin as usize + self.length as usize]
    }

    #[inline]
    fn is(self, token: &[u8], ends: Ends, arena: &[u8]) -> bool {
        self.ends == ends && self.length as usize == token.len() && (token.len() <= SHORT || self.bytes(arena) == token)
    }
}

impl Vocabulary {
    /// The most terms a vocabulary can hold; `u32::MAX` is left to mean "none".
    pub const MAX_TERMS: usize = u32::MAX as usize;

    /// The number of a token, a new one if it was not met before. The caller sees to it that there is room
    /// ([`Vocabulary::MAX_TERMS`]).
    pub fn intern(&mut self, token: &str) -> u32 {
        let (arena, bytes) = (self.arena.as_bytes(), token.as_bytes());
        let ends = ends(bytes);
        if let Some(last) = self.last.filter(|last| last.is(bytes, ends, arena)) {
            return last.number;
        }
        let hash = hash(bytes, ends);
        if let Some(&slot) = self.slots.find(hash, |slot| slot.is(bytes, ends, arena)) {
            self.last = Some(slot);
            return slot.number;
        }
        self.add(hash, ends, token)
    }

    #[cold]
    fn add(&mut self, hash: u64, ends: Ends, token: &str) -> u32 {
        assert!(self.ends.len() < Self::MAX_TERMS, "the caller leaves room in the vocabulary");
        let number = self.ends.len() as u32;
        let slot = Slot { ends, begin: self.arena.len() as u64, length: token.len() as u32, number };
        self.arena.push_str(token);
        self.ends.push(self.arena.len() as u64);
        let arena = self.arena.as_bytes();
        self.slots.insert_unique(hash, slot, |slot| self::hash(slot.bytes(arena), slot.ends));
        number
    }

    /// The number of a term, if it was met.
    pub fn get(&self, term: &str) -> Option<u32> {
        let (arena, bytes) = (self.arena.as_bytes(), term.as_bytes());
        let ends = ends(bytes);
        self.slots.find(hash(bytes, ends), |slot| slot.is(bytes, ends, arena)).map(|slot| slot.number)
    }

    /// The term of a number this vocabulary gave.
    pub fn term(&self, number: u32) -> &str {
        let number = number as usize;
        let begin = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.arena[begin as usize..self.ends[number] as usize]
    }

    /// How many terms there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no term was met yet.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> u64 {
        (self.arena.capacity() + self.ends.capacity() * 8 + self.slots.allocation_size()) as u64
    }
}

/// Read as a word or two that may overlap, without a loop: with the length they tell short terms apart.
#[inline]
fn ends(bytes: &[u8]) -> Ends {
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u64::from_le_bytes(*first), u64::from_le_bytes(*last)];
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return [u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()];
    }
    match *bytes {
        [first, .., last] => [first.into(), u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(last)],
        [only] => [only.into(), 0],
        [] => [0, 0],
    }
}

/// Gives terms their numbers.
pub trait Numbering {
    /// The number of a term, or none if it is to be passed over. A new number is the one that [`len`](Self::len) was.
    fn number(&mut self, term: &str) -> Option<u32>;
    /// So many terms that were passed over count as never asked for.
    fn take_back(&mut self, unknown: u64);
    /// How many numbers there are.
    fn len(&self) -> usize;
    /// Whether there is none yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// New terms are added.
impl Numbering for Vocabulary {
    #[inline]
    fn number(&mut self, term: &str) -> Option<u32> {
        Some(self.intern(term))
    }

    fn take_back(&mut self, _unknown: u64) {}

    fn len(&self) -> usize {
        Vocabulary::len(self)
    }
}

/// The terms of a vocabulary that does not grow.
#[derive(Debug)]
pub struct Known<'a> {
    vocabulary: &'a Vocabulary,
    /// How many of the terms asked for were not in it.
    pub unknown: u64,
}

impl<'a> Known<'a> {
    /// Nothing has been asked for yet.
    pub fn new(vocabulary: &'a Vocabulary) -> Self {
        Known { vocabulary, unknown: 0 }
    }
}

impl Numbering for Known<'_> {
    #[inline]
    fn number(&mut self, term: &str) -> Option<u32> {
        let number = self.vocabulary.get(term);
        self.unknown += u64::from(number.is_none());
        number
    }

    fn take_back(&mut self, unknown: u64) {
        self.unknown -= unknown;
    }

    fn len(&self) -> usize {
        self.vocabulary.len()
    }
}

#[inline]
fn hash(term: &[u8], ends: Ends) -> u64 {
    let mut hasher = FxHasher::default();
    if term.len() <= SHORT {
        hasher.write_u64(ends[0]);
        hasher.write_u64(ends[1] ^ (term.len() as u64) << 56);
    } else {
        hasher.write(term);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_every_length_are_compared_whole() {
        let bytes: Vec<u8> = (1..=40).collect();
        for length in 0..=bytes.len() {
            let term = std::str::from_utf8(&bytes[..length]).unwrap();
            let mut vocabulary = Vocabulary::default();
            assert_eq!((vocabulary.intern(term), vocabulary.get(term)), (0, Some(0)));
            assert!(length == 0 || vocabulary.get(&term[1..]).is_none(), "{length}");
            for at in 0..length {
                let mut other = term.as_bytes().to_vec();
                other[at] = 0;
                let other = std::str::from_utf8(&other).unwrap();
                assert_eq!((vocabulary.get(other), vocabulary.intern(term)), (None, 0), "{length}, {at}");
            }
        }
    }

    #[test]
    fn repeated_terms_keep_their_number() {
        let mut vocabulary = Vocabulary::default();
        let numbers = ["a", "a", "", "", "b", "a", "a", ""].map(|term| vocabulary.intern(term));
        assert_eq!((numbers, vocabulary.len()), ([0, 0, 1, 1, 2, 0, 0, 1], 3));
    }

    #[test]
    fn terms_are_numbered_as_they_come_and_found_again() {
        let mut vocabulary = Vocabulary::default();
        let word = |i: u32| format!("{}é", i.wrapping_mul(2_654_435_761) % 5000);
        let mut expected = Vec::<String>::new();
        for token in (0..20_000).map(word) {
            let number = expected.iter().position(|t| *t == token).unwrap_or(expected.len());
            if number == expected.len() {
                expected.push(token.clone());
            }
            assert_eq!(vocabulary.intern(&token), number as u32);
        }
        assert_eq!(vocabulary.len(), expected.len());
        for (number, term) in expected.iter().enumerate() {
            assert_eq!((vocabulary.term(number as u32), vocabulary.get(term)), (term.as_str(), Some(number as u32)));
        }
        assert_eq!(vocabulary.get("never met"), None);
        let mut known = Known::new(&vocabulary);
        let numbers = [expected[7].as_str(), "never met", &expected[0]].map(|term| known.number(term));
        assert_eq!((numbers, known.unknown, known.len()), ([Some(7), None, Some(0)], 1, expected.len()));
    }
}

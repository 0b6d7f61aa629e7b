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
    recent: Recent,
}

/// The slots of terms that came lately, in a table that stays in a core's own cache: most tokens are of a few thousand terms, which
/// the table of all terms has spread over more memory than that holds.
#[derive(Debug, Clone, Default)]
struct Recent {
    /// None yet for a vocabulary that was asked for few tokens.
    slots: Vec<Slot>,
    asked: usize,
}

impl Recent {
    /// A power of two: 256 KiB of slots.
    const SLOTS: usize = 1 << 13;

    /// The numbers of tokens that came lately, and [`NONE`] for others.
    fn numbers(&mut self, tokens: &Tokens, arena: &[u8], numbers: &mut Vec<u32>) {
        if self.slots.is_empty() {
            self.asked = self.asked.saturating_add(tokens.len());
            if self.asked < Self::SLOTS {
                return numbers.extend(std::iter::repeat_n(NONE, tokens.len()));
            }
            self.slots.resize(Self::SLOTS, Slot::NONE);
        }
        numbers.extend(tokens.each().map(|(key, token)| {
            let slot = &self.slots[key.hash as usize % Self::SLOTS];
            if slot.is(key, token.as_bytes(), arena) { slot.number } else { NONE }
        }));
    }

    /// Puts a slot in the place of another.
    fn keep(&mut self, key: &Key, slot: Slot) {
        if let Some(place) = self.slots.get_mut(key.hash as usize % Self::SLOTS) {
            *place = slot;
        }
    }
}

/// What is looked up of a token.
#[derive(Debug, Clone, Copy)]
struct Key {
    ends: Ends,
    hash: u64,
    length: u32,
}

impl Key {
    #[inline]
    fn of(token: &[u8]) -> Key {
        let ends = ends(token);
        Key { ends, hash: hash(token, ends), length: token.len() as u32 }
    }
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

/// The number of no term.
const NONE: u32 = u32::MAX;

/// Terms of at most so many bytes are told by their length and [`Ends`].
const SHORT: usize = 16;

impl Slot {
    /// That of no token: none is as long.
    const NONE: Slot = Slot { ends: [0; 2], begin: 0, length: u32::MAX, number: NONE };

    fn bytes(self, arena: &[u8]) -> &[u8] {
        &arena[self.begin as usize..self.begin as usize + self.length as usize]
    }

    #[inline]
    fn is(&self, key: &Key, token: &[u8], arena: &[u8]) -> bool {
        self.ends == key.ends && self.length == key.length && (token.len() <= SHORT || self.bytes(arena) == token)
    }
}

impl Vocabulary {
    /// The most terms a vocabulary can hold; `u32::MAX` is left to mean "none".
    pub const MAX_TERMS: usize = NONE as usize;

    /// The number of a token, a new one if it was not met before. The caller sees to it that there is room
    /// ([`Vocabulary::MAX_TERMS`]).
    pub fn intern(&mut self, token: &str) -> u32 {
        let key = Key::of(token.as_bytes());
        match self.slot(&key, token.as_bytes()) {
            Some(slot) => slot.number,
            None => self.add(&key, token),
        }
    }

    #[cold]
    fn add(&mut self, key: &Key, token: &str) -> u32 {
        assert!(self.ends.len() < Self::MAX_TERMS, "the caller leaves room in the vocabulary");
        let number = self.ends.len() as u32;
        let slot = Slot { ends: key.ends, begin: self.arena.len() as u64, length: key.length, number };
        self.arena.push_str(token);
        self.ends.push(self.arena.len() as u64);
        let arena = self.arena.as_bytes();
        self.slots.insert_unique(key.hash, slot, |slot| self::hash(slot.bytes(arena), slot.ends));
        number
    }

    /// The number of a term, if it was met.
    pub fn get(&self, term: &str) -> Option<u32> {
        self.slot(&Key::of(term.as_bytes()), term.as_bytes()).map(|slot| slot.number)
    }

    #[inline]
    fn slot(&self, key: &Key, term: &[u8]) -> Option<Slot> {
        let arena = self.arena.as_bytes();
        self.slots.find(key.hash, |slot| slot.is(key, term, arena)).copied()
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

    /// Bytes held in memory for the terms.
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

/// Tokens on their way to numbers. Where many are looked up, one after another and nothing else, the processor does not wait for
/// the memory of each before it goes on to the next.
#[derive(Debug, Default)]
pub struct Tokens {
    /// One after the other.
    text: String,
    keys: Vec<Key>,
}

impl Tokens {
    /// So many that their keys stay in a core's first cache.
    const MANY: usize = 512;

    /// Adds a token.
    #[inline]
    pub fn push(&mut self, token: &str) {
        self.text.push_str(token);
        self.keys.push(Key::of(token.as_bytes()));
    }

    /// Whether it is time to look them up.
    #[inline]
    pub fn are_many(&self) -> bool {
        self.keys.len() >= Self::MANY
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Begins anew.
    pub fn clear(&mut self) {
        self.text.clear();
        self.keys.clear();
    }

    fn each(&self) -> impl Iterator<Item = (&Key, &str)> {
        self.keys.iter().scan(self.text.as_str(), |rest, key| {
            let (token, after) = rest.split_at(key.length as usize);
            *rest = after;
            Some((key, token))
        })
    }
}

/// Gives terms their numbers.
pub trait Numbering {
    /// Appends the number of each token, in order, but for those that are to be passed over. A new number is the one that
    /// [`len`](Self::len) was.
    fn number(&mut self, tokens: &Tokens, numbers: &mut Vec<u32>);
    /// So many tokens that were passed over count as never asked for.
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
    fn number(&mut self, tokens: &Tokens, numbers: &mut Vec<u32>) {
        let first = numbers.len();
        self.recent.numbers(tokens, self.arena.as_bytes(), numbers);
        for ((key, token), number) in tokens.each().zip(&mut numbers[first..]).filter(|(_, number)| **number == NONE) {
            match self.slot(key, token.as_bytes()) {
                Some(slot) => {
                    self.recent.keep(key, slot);
                    *number = slot.number;
                }
                None => *number = self.add(key, token),
            }
        }
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
    recent: Recent,
    /// How many of the tokens asked for were not in it.
    pub unknown: u64,
}

impl<'a> Known<'a> {
    /// Nothing has been asked for yet.
    pub fn new(vocabulary: &'a Vocabulary) -> Self {
        Known { vocabulary, recent: Recent::default(), unknown: 0 }
    }
}

impl Numbering for Known<'_> {
    fn number(&mut self, tokens: &Tokens, numbers: &mut Vec<u32>) {
        let first = numbers.len();
        self.recent.numbers(tokens, self.vocabulary.arena.as_bytes(), numbers);
        for ((key, token), number) in tokens.each().zip(&mut numbers[first..]).filter(|(_, number)| **number == NONE) {
            if let Some(slot) = self.vocabulary.slot(key, token.as_bytes()) {
                self.recent.keep(key, slot);
                *number = slot.number;
            }
        }
        let asked = numbers.len();
        numbers.retain(|&number| number != NONE);
        self.unknown += (asked - numbers.len()) as u64;
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
    use crate::random::Stream;

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

    fn tokens<T: AsRef<str>>(list: &[T]) -> Tokens {
        let mut tokens = Tokens::default();
        list.iter().for_each(|token| tokens.push(token.as_ref()));
        tokens
    }

    /// As many at once as come, against one after the other; more terms than the recent ones have room for.
    #[test]
    fn tokens_are_numbered_together_as_one_by_one() {
        let mut stream = Stream::new(3, "tokens", 0);
        let word = |number: u64| format!("{}{}", "long".repeat(number as usize % 7), number);
        let (mut together, mut alone) = (Vocabulary::default(), Vocabulary::default());
        for _ in 0..200 {
            let list: Vec<String> = (0..stream.below(700))
                .map(|_| {
                    // Half of them are of a few.
                    let most = if stream.below(2) == 0 { 50 } else { 3 * Recent::SLOTS as u64 };
                    word(stream.below(most))
                })
                .collect();
            let mut numbers = vec![7];
            together.number(&tokens(&list), &mut numbers);
            let expected: Vec<u32> = list.iter().map(|token| alone.intern(token)).collect();
            assert_eq!((numbers[0], &numbers[1..]), (7, &expected[..]));
        }
        assert!(alone.len() > 2 * Recent::SLOTS && together.len() == alone.len());
        let mut known = Known::new(&alone);
        let list: Vec<String> = (0..4 * Recent::SLOTS as u64).flat_map(|number| [word(number), word(1)]).collect();
        for _ in 0..2 {
            let mut numbers = Vec::new();
            known.number(&tokens(&list), &mut numbers);
            assert_eq!(numbers, list.iter().filter_map(|token| alone.get(token)).collect::<Vec<_>>());
            assert_eq!(known.unknown, (list.len() - numbers.len()) as u64);
            known.take_back(known.unknown);
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
        let mut numbers = Vec::new();
        known.number(&tokens(&[expected[7].as_str(), "never met", &expected[0]]), &mut numbers);
        assert_eq!((numbers, known.unknown, known.len()), (vec![7, 0], 1, expected.len()));
    }
}

//! Terms by the hash of their letters, so that a corpus has a number for each before any text was read.
//!
//! With `bits` bits there are 2^bits terms, `#0` and so on in hexadecimal; different words may come to share one. That is gensim's
//! `HashDictionary` and scikit-learn's `HashingVectorizer`. The hash is FNV-1a of 64 bits, its halves folded into one: the
//! same on every machine and in every version.

use crate::error::{Error, Result};

/// Most bits: the names of more terms would take longer than the text.
const MOST_BITS: u8 = 24;

/// The numbers of terms by their hashes.
#[derive(Debug, Clone, Copy)]
pub struct HashedTerms {
    bits: u8,
}

impl HashedTerms {
    /// With so many bits.
    ///
    /// # Errors
    /// `Usage` for none, or more than 24.
    pub fn new(bits: u8) -> Result<Self> {
        if !(1..=MOST_BITS).contains(&bits) {
            return Err(Error::usage(format!("--hash-terms {bits}: give from 1 to {MOST_BITS} bits; 18 is usual")));
        }
        Ok(HashedTerms { bits })
    }

    /// The number of a word's term.
    pub fn number(self, word: &str) -> u32 {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = word.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
        // The upper bits of FNV are the better ones.
        let folded = (hash >> 32) as u32 ^ hash as u32;
        folded >> (32 - u32::from(self.bits)) ^ folded & ((1 << self.bits) - 1)
    }

    /// Calls `each` with the term of a word.
    pub fn term(self, word: &str, each: &mut dyn FnMut(&str)) {
        let mut number = self.number(word);
        let mut name = [b'#'; 9];
        let mut begin = name.len();
        loop {
            begin -= 1;
            name[begin] = b"0123456789abcdef"[(number & 15) as usize];
            number >>= 4;
            if number == 0 {
                break;
            }
        }
        each(std::str::from_utf8(&name[begin - 1..]).expect("ASCII"));
    }

    /// The terms, by number.
    pub fn terms(self) -> Vec<String> {
        (0..1_u32 << self.bits).map(|number| format!("#{number:x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_the_same_term_for_ever() {
        let hashed = HashedTerms::new(18).unwrap();
        let terms = hashed.terms();
        assert_eq!((terms.len(), terms[0x2f].as_str()), (1 << 18, "#2f"));
        let mut spread = std::collections::HashSet::new();
        for number in 0..5000 {
            let word = format!("word{number}");
            let mut term = String::new();
            hashed.term(&word, &mut |name| term = name.to_owned());
            assert_eq!(terms[hashed.number(&word) as usize], term);
            spread.insert(term);
        }
        // By chance some 47 of them share a term.
        assert!((4900..5000).contains(&spread.len()), "{}", spread.len());
        // FNV-1a of "foobar" is 85944171f73967e8 (test vectors of its authors); folded it is 72ad2699.
        assert_eq!(HashedTerms::new(16).unwrap().number("foobar"), 0x72ad ^ 0x2699);
        for bits in [0, 25] {
            assert_eq!(HashedTerms::new(bits).unwrap_err().exit_code(), 2);
        }
    }
}

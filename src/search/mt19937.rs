//! numpy's legacy generator, `numpy.random.RandomState(seed)`, as far as scikit-learn's splitters draw from it: shuffles
//! and permutations come out the same, so folds do.
//!
//! Problem: uniform 32-bit words, integers below a bound, permutations.
//! Algorithm: Mersenne Twister MT19937 (Matsumoto and Nishimura, ACM TOMACS 8, 1998), seeded by Knuth's recurrence as
//! `init_genrand`; a bounded integer is a masked word, drawn again while too large; a shuffle is Fisher and Yates' from the
//! end. Cost: O(1) a word.
//! Reference: numpy/random/src/mt19937, numpy/random/src/distributions (`random_interval`), numpy/random/mtrand.pyx.

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// `numpy.random.RandomState`.
#[derive(Clone)]
pub struct RandomState {
    words: [u32; WORDS],
    at: usize,
}

impl RandomState {
    /// `RandomState(seed)`.
    pub fn new(seed: u32) -> Self {
        let mut words = [0u32; WORDS];
        let mut word = seed;
        for (at, to) in words.iter_mut().enumerate() {
            *to = word;
            word = 1_812_433_253u32.wrapping_mul(word ^ (word >> 30)).wrapping_add(at as u32 + 1);
        }
        RandomState { words, at: WORDS }
    }

    fn refill(&mut self) {
        for at in 0..WORDS {
            let joined = (self.words[at] & 0x8000_0000) | (self.words[(at + 1) % WORDS] & 0x7fff_ffff);
            let odd = if joined & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[at] = self.words[(at + MIDDLE) % WORDS] ^ (joined >> 1) ^ odd;
        }
        self.at = 0;
    }

    /// 32 random bits.
    pub fn word(&mut self) -> u32 {
        if self.at == WORDS {
            self.refill();
        }
        let mut y = self.words[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    /// Uniform among 0 ..= `most`.
    pub fn up_to(&mut self, most: u64) -> u64 {
        if most == 0 {
            return 0;
        }
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let drawn = if most <= u64::from(u32::MAX) {
                u64::from(self.word())
            } else {
                // The upper half is drawn first.
                (u64::from(self.word()) << 32) | u64::from(self.word())
            };
            if drawn & mask <= most {
                return drawn & mask;
            }
        }
    }

    /// `shuffle(values)`.
    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for at in (1..values.len()).rev() {
            let with = self.up_to(at as u64) as usize;
            values.swap(at, with);
        }
    }

    /// `permutation(n)`.
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        self.shuffle(&mut order);
        order
    }

    /// `choice(values, count, replace=False)`.
    pub fn choice(&mut self, values: &[usize], count: usize) -> Vec<usize> {
        self.permutation(values.len()).into_iter().take(count).map(|at| values[at]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn words_and_permutations_are_numpys() {
        let fixture: Value = serde_json::from_str(include_str!("../../tests/fixtures/splits.json")).unwrap();
        let cases = fixture["random_state"].as_array().unwrap();
        assert!(cases.len() >= 3);
        for case in cases {
            let seed = case["seed"].as_u64().unwrap() as u32;
            let mut state = RandomState::new(seed);
            for word in case["words"].as_array().unwrap() {
                assert_eq!(u64::from(state.word()), word.as_u64().unwrap(), "seed {seed}");
            }
            let mut state = RandomState::new(seed);
            for list in case["permutations"].as_array().unwrap() {
                let expected: Vec<usize> = serde_json::from_value(list.clone()).unwrap();
                assert_eq!(state.permutation(expected.len()), expected, "seed {seed}");
            }
        }
    }
}

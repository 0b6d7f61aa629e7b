//! Whether the leading terms of a topic go together: u_mass, c_v, c_uci and c_npmi coherence, as gensim's `CoherenceModel` has
//! them.
//!
//! Problem: for each topic its n leading terms w_1, w_2, .. and a corpus -> one number; larger is better. P(..) is the share
//! of windows that hold all of the terms. Windows are documents for u_mass; for the others stretches of a text, of 110 tokens
//! (c_v) or 10, one from each token on that has so many behind it, and the whole of a shorter text. With e = 1e-12:
//!   u_mass: the mean over pairs i > j of log((P(i, j) + e) / P(j)); a pair whose P(j) is 0 counts as 0;
//!   c_uci:  the mean over pairs i != j of log((P(i, j) + e) / (P(i) P(j)));
//!   c_npmi: the same, each divided by -log(P(i, j) + e);
//!   c_v:    with the vector v_i of these normalised numbers of i and every j, i itself included, the mean cosine of v_i and
//!           the sum of all of them.
//! A topic with a term that is in no window has none of the last three.
//! Algorithm: the terms of a window set bits of the topics they lead in; pairs of bits are counted whenever a bit changes,
//! times the windows that the bits have stood for. Counts are whole numbers, so parts of a corpus can be counted anywhere.
//! Cost: a look-up a nonzero or token; n^2 / 2 additions for a document, or a change of a window, in a topic that has all
//! terms in common.
//! References: Mimno, Wallach, Talley, Leenders, McCallum, "Optimizing semantic coherence in topic models", EMNLP 2011;
//! Roeder, Both, Hinneburg, "Exploring the space of topic coherence measures", WSDM 2015.

use std::collections::HashMap;

use crate::corpus::chunk::CsrChunk;

/// What gensim adds to the share of windows with both terms.
const EPSILON: f64 = 1e-12;
/// Leading terms of a topic when nothing is said, as in gensim's `CoherenceModel`.
pub const WORDS: usize = 20;
/// Most leading terms of a topic: a bit each.
pub const MOST_TERMS: usize = 64;
/// Tokens of a window, as in gensim, for c_v.
pub const WIDE_WINDOW: usize = 110;
/// The same for c_uci and c_npmi.
pub const NARROW_WINDOW: usize = 10;
/// A token of a text that leads in no topic.
pub const OTHER: u32 = u32::MAX;

/// Windows that hold leading terms, and pairs of them.
#[derive(Clone)]
pub struct Pairs {
    /// Leading terms of a topic.
    lengths: Vec<usize>,
    /// Topics a term leads in, and its place there.
    places: HashMap<u32, Vec<(u32, u32)>>,
    /// For each topic n x n: windows with both terms, of which the first comes before the second; on the diagonal, with the
    /// term. Behind them the number of windows.
    counts: Vec<i64>,
    /// Where each topic begins in `counts`.
    begins: Vec<usize>,
    /// The window at hand: for each topic the bits of the terms in it.
    bits: Vec<u64>,
    /// For each topic the window since which they are set.
    since: Vec<i64>,
    /// Topics that have had a bit in this document.
    touched: Vec<u32>,
}

impl Pairs {
    /// Nothing counted yet. Topics have at most [`MOST_TERMS`] leading terms.
    pub fn new(leading: &[Vec<u32>]) -> Pairs {
        let mut places: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
        let mut begins = vec![0];
        for (topic, terms) in leading.iter().enumerate() {
            assert!(terms.len() <= MOST_TERMS, "{} leading terms", terms.len());
            for (place, &term) in terms.iter().enumerate() {
                places.entry(term).or_default().push((topic as u32, place as u32));
            }
            begins.push(begins[topic] + terms.len() * terms.len());
        }
        let topics = leading.len();
        Pairs {
            lengths: leading.iter().map(Vec::len).collect(),
            places,
            counts: vec![0; begins[topics] + 1],
            begins,
            bits: vec![0; topics],
            since: vec![0; topics],
            touched: Vec::new(),
        }
    }

    /// Whether a term leads in a topic.
    pub fn has(&self, term: u32) -> bool {
        self.places.contains_key(&term)
    }

    /// Counts pairs of the bits of a topic for the windows before this one, since they were set.
    fn flush(&mut self, topic: usize, window: i64) {
        let (times, bits) = (window - self.since[topic], self.bits[topic]);
        self.since[topic] = window;
        if times == 0 || bits == 0 {
            return;
        }
        let length = self.lengths[topic];
        let counts = &mut self.counts[self.begins[topic]..self.begins[topic + 1]];
        let mut firsts = bits;
        while firsts != 0 {
            let first = firsts.trailing_zeros() as usize;
            let mut seconds = firsts;
            while seconds != 0 {
                counts[first * length + seconds.trailing_zeros() as usize] += times;
                seconds &= seconds - 1;
            }
            firsts &= firsts - 1;
        }
    }

    /// A term is in the windows from this one on, or no longer.
    fn set(&mut self, term: u32, present: bool, window: i64) {
        let Some(places) = self.places.get(&term) else { return };
        // Few: a term seldom leads in more than some topics.
        for at in 0..places.len() {
            let (topic, place) = self.places[&term][at];
            let topic = topic as usize;
            if (self.bits[topic] >> place & 1 == 1) != present {
                if self.bits[topic] == 0 && self.since[topic] == 0 {
                    self.touched.push(topic as u32);
                }
                self.flush(topic, window);
                self.bits[topic] ^= 1 << place;
            }
        }
    }

    /// The document is over, after so many windows.
    fn end(&mut self, windows: i64) {
        let mut touched = std::mem::take(&mut self.touched);
        for topic in touched.drain(..) {
            let topic = topic as usize;
            self.flush(topic, windows);
            self.bits[topic] = 0;
            self.since[topic] = 0;
        }
        self.touched = touched;
        if let Some(all) = self.counts.last_mut() {
            *all += windows;
        }
    }

    /// Counts the documents of a chunk, each a window.
    pub fn absorb(&mut self, chunk: &CsrChunk) {
        for row in 0..chunk.documents() {
            for &term in chunk.document(row).0 {
                self.set(term, true, 0);
            }
            self.end(1);
        }
    }

    /// Counts the windows of a text: its tokens in their order, those that lead in no topic as [`OTHER`]. As in gensim a term
    /// that a window holds twice is taken for gone when its first token leaves, until the next one comes.
    pub fn absorb_text(&mut self, tokens: &[u32], size: usize) {
        let first = &tokens[..size.min(tokens.len())];
        for &token in first.iter().filter(|&&token| token != OTHER) {
            self.set(token, true, 0);
        }
        let mut windows = 1;
        for (&leaves, &comes) in tokens.iter().zip(tokens.iter().skip(size)) {
            if leaves != OTHER {
                self.set(leaves, false, windows);
            }
            if comes != OTHER {
                self.set(comes, true, windows);
            }
            windows += 1;
        }
        self.end(windows);
    }

    /// What was counted, to be summed over the parts of a corpus.
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// Adds what others have counted.
    pub fn add(&mut self, other: &Pairs) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(count, other)| *count += other);
    }

    /// The shares of windows of a topic, from counts of all parts.
    fn of<'a>(&self, counts: &'a [i64], topic: usize) -> Windows<'a> {
        let all = counts.last().copied().unwrap_or(0) as f64;
        Windows { counts: &counts[self.begins[topic]..self.begins[topic + 1]], terms: self.lengths[topic], all }
    }

    fn each(&self, counts: &[i64], measure: impl Fn(&Windows) -> f64) -> Vec<f64> {
        (0..self.lengths.len()).map(|topic| measure(&self.of(counts, topic))).collect()
    }

    /// u_mass of each topic; NaN for a topic of fewer than two terms.
    pub fn u_mass(&self, counts: &[i64]) -> Vec<f64> {
        self.each(counts, |windows| windows.u_mass())
    }

    /// c_uci of each topic; not finite where it has none.
    pub fn c_uci(&self, counts: &[i64]) -> Vec<f64> {
        self.each(counts, |windows| windows.mean_of_pairs(|i, j| windows.information(i, j)))
    }

    /// c_npmi of each topic; not finite where it has none.
    pub fn c_npmi(&self, counts: &[i64]) -> Vec<f64> {
        self.each(counts, |windows| windows.mean_of_pairs(|i, j| windows.normalised(i, j)))
    }

    /// c_v of each topic; not finite where it has none.
    pub fn c_v(&self, counts: &[i64]) -> Vec<f64> {
        self.each(counts, |windows| windows.c_v())
    }
}

/// Windows with the terms of one topic.
struct Windows<'a> {
    counts: &'a [i64],
    terms: usize,
    all: f64,
}

impl Windows<'_> {
    /// Share of windows with both terms.
    fn share(&self, i: usize, j: usize) -> f64 {
        self.counts[i.min(j) * self.terms + i.max(j)] as f64 / self.all
    }

    fn u_mass(&self) -> f64 {
        let mut sum = 0.0;
        for later in 1..self.terms {
            for earlier in 0..later {
                let alone = self.share(earlier, earlier);
                if alone > 0.0 {
                    sum += ((self.share(earlier, later) + EPSILON) / alone).ln();
                }
            }
        }
        sum / (self.terms * self.terms.saturating_sub(1) / 2) as f64
    }

    /// Pointwise mutual information.
    fn information(&self, i: usize, j: usize) -> f64 {
        ((self.share(i, j) + EPSILON) / (self.share(i, i) * self.share(j, j))).ln()
    }

    /// The same, from -1 to 1.
    fn normalised(&self, i: usize, j: usize) -> f64 {
        self.information(i, j) / -(self.share(i, j) + EPSILON).ln()
    }

    fn mean_of_pairs(&self, measure: impl Fn(usize, usize) -> f64) -> f64 {
        let pairs = (0..self.terms).flat_map(|i| (0..self.terms).filter(move |&j| j != i).map(move |j| (i, j)));
        let sum: f64 = pairs.map(|(i, j)| measure(i, j)).sum();
        sum / (self.terms * self.terms.saturating_sub(1)) as f64
    }

    fn c_v(&self) -> f64 {
        let n = self.terms;
        let vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| self.normalised(i, j)).collect()).collect();
        let all: Vec<f64> = (0..n).map(|j| vectors.iter().map(|vector| vector[j]).sum()).collect();
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let cosine = |vector: &Vec<f64>| dot(vector, &all) / (dot(vector, vector).sqrt() * dot(&all, &all).sqrt());
        vectors.iter().map(cosine).sum::<f64>() / n as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_counted_as_if_each_were_looked_at() {
        let topics = vec![vec![0, 1, 2, 3], vec![3, 5], vec![7]];
        let tokens = |seed: usize, length: usize| -> Vec<u32> {
            let token =
                |at: usize| [OTHER, 0, 3, OTHER, 1, 5, 2, OTHER, 3, 7, OTHER, OTHER][(at * at + seed * at) % 12];
            (0..length).map(token).collect()
        };
        for size in [1, 2, 5, 10] {
            let mut pairs = Pairs::new(&topics);
            let mut expected = vec![0i64; pairs.counts.len()];
            for (seed, length) in [(1, 40), (3, 9), (5, 10), (2, 0), (7, 1), (4, 3)] {
                let tokens = tokens(seed, length);
                pairs.absorb_text(&tokens, size);
                // gensim's set of terms, window by window.
                let mut present: std::collections::BTreeSet<u32> =
                    tokens.iter().take(size).copied().filter(|&t| t != OTHER).collect();
                for window in 0..(length.max(size) - size + 1).max(1) {
                    if window > 0 {
                        present.remove(&tokens[window - 1]);
                        present.insert(tokens[window + size - 1]);
                    }
                    let mut at = 0;
                    for topic in &topics {
                        for (i, first) in topic.iter().enumerate() {
                            for (j, second) in topic.iter().enumerate() {
                                let both = present.contains(first) && present.contains(second);
                                expected[at] += i64::from(i <= j && both);
                                at += 1;
                            }
                        }
                    }
                    expected[at] += 1;
                }
            }
            assert_eq!(pairs.counts, expected, "windows of {size}");
        }
    }
}

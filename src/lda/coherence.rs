//! Whether the leading terms of a topic go together: u_mass coherence.
//!
//! Problem: for each topic its n leading terms w_1, w_2, .. and a corpus of D documents -> the mean over all pairs i > j of
//! log((D(w_i, w_j) / D + 1e-12) / (D(w_j) / D)), where D(..) counts the documents that hold all of the terms. Nearer to 0 is
//! better. A pair whose w_j is in no document counts as 0. All of this is as gensim's `CoherenceModel` has it.
//! Algorithm: a document's terms set bits of the topics they lead in; pairs of bits are counted. Counts are whole numbers, so
//! parts of a corpus can be counted anywhere.
//! Cost: a look-up a nonzero; n^2 / 2 additions for a document and topic that have all terms in common.
//! Reference: Mimno, Wallach, Talley, Leenders, McCallum, "Optimizing semantic coherence in topic models", EMNLP 2011.

use std::collections::HashMap;

use crate::corpus::chunk::CsrChunk;

/// What gensim adds to the share of documents with both terms.
const EPSILON: f64 = 1e-12;
/// Most leading terms of a topic: a bit each.
pub const MOST_TERMS: usize = 64;

/// Documents that hold leading terms, and pairs of them.
pub struct Pairs {
    /// Leading terms of a topic.
    lengths: Vec<usize>,
    /// Topics a term leads in, and its place there.
    places: HashMap<u32, Vec<(u32, u32)>>,
    /// For each topic n x n: documents with both terms; on the diagonal, with the term.
    counts: Vec<i64>,
    /// Where each topic begins in `counts`.
    begins: Vec<usize>,
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
        let counts = vec![0; begins[leading.len()]];
        Pairs { lengths: leading.iter().map(Vec::len).collect(), places, counts, begins }
    }

    /// Counts the documents of a chunk.
    pub fn absorb(&mut self, chunk: &CsrChunk) {
        let mut bits = vec![0u64; self.lengths.len()];
        let mut touched = Vec::new();
        for row in 0..chunk.documents() {
            for (topic, place) in chunk.document(row).0.iter().filter_map(|term| self.places.get(term)).flatten() {
                if bits[*topic as usize] == 0 {
                    touched.push(*topic as usize);
                }
                bits[*topic as usize] |= 1 << place;
            }
            for topic in touched.drain(..) {
                let present = std::mem::take(&mut bits[topic]);
                let counts = &mut self.counts[self.begins[topic]..self.begins[topic + 1]];
                let mut firsts = present;
                while firsts != 0 {
                    let first = firsts.trailing_zeros() as usize;
                    let mut seconds = firsts;
                    while seconds != 0 {
                        counts[first * self.lengths[topic] + seconds.trailing_zeros() as usize] += 1;
                        seconds &= seconds - 1;
                    }
                    firsts &= firsts - 1;
                }
            }
        }
    }

    /// What was counted, to be summed over the parts of a corpus.
    pub fn counts(&self) -> &[i64] {
        &self.counts
    }

    /// u_mass of each topic from the counts over `documents` documents; NaN for a topic of fewer than two terms.
    pub fn u_mass(&self, counts: &[i64], documents: u64) -> Vec<f64> {
        let documents = documents as f64;
        let of = |(topic, &n): (usize, &usize)| {
            let counts = &counts[self.begins[topic]..self.begins[topic + 1]];
            let mut sum = 0.0;
            for later in 1..n {
                for earlier in 0..later {
                    let alone = counts[earlier * n + earlier] as f64;
                    let both = counts[earlier * n + later] as f64;
                    if alone > 0.0 {
                        sum += ((both / documents + EPSILON) / (alone / documents)).ln();
                    }
                }
            }
            sum / (n * n.saturating_sub(1) / 2) as f64
        };
        self.lengths.iter().enumerate().map(of).collect()
    }
}

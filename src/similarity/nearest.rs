//! The n best of many candidates, and joining the n best of several parts.
//!
//! The order is total: the larger similarity first, of equal ones the document of the smaller number. So the n best of a
//! union are among the n best of its parts, and they are the same whatever the parts and their order were.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::scan::Findings;
use crate::dispatch::Mergeable;
use crate::error::{Error, Result};

/// A document and how similar it is to a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Number of the document in the index.
    pub document: u64,
    /// Cosine of the angle between query and document.
    pub similarity: f32,
}

impl Eq for Neighbour {}

/// The better neighbour is the smaller one, as in a list that begins with the best.
impl Ord for Neighbour {
    fn cmp(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.document.cmp(&other.document))
    }
}

impl PartialOrd for Neighbour {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The n best candidates so far, of which the worst is at hand.
#[derive(Debug, Clone)]
pub struct Best {
    wanted: usize,
    heap: BinaryHeap<Neighbour>,
}

impl Best {
    /// Nothing yet of the `wanted` best, at least one.
    pub fn new(wanted: usize) -> Self {
        Best { wanted, heap: BinaryHeap::new() }
    }

    /// No candidate below this similarity can be among the best.
    pub fn threshold(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.wanted => worst.similarity,
            _ => f32::NEG_INFINITY,
        }
    }

    /// Takes a candidate in if it is among the best.
    pub fn offer(&mut self, document: u64, similarity: f32) {
        // A zero has one sign only, or -0 would come after 0 whatever the documents' numbers.
        let candidate = Neighbour { document, similarity: similarity + 0.0 };
        if self.heap.len() < self.wanted {
            self.heap.push(candidate);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && candidate < *worst
        {
            *worst = candidate;
        }
    }

    /// The best, best first.
    pub fn into_sorted(self) -> Vec<Neighbour> {
        self.heap.into_sorted_vec()
    }
}

/// The best of each query.
impl Findings for Vec<Best> {
    fn wanted(&self, query: usize) -> f32 {
        self[query].threshold()
    }

    fn offer(&mut self, query: usize, document: u64, similarity: f32) {
        self[query].offer(document, similarity);
    }
}

/// The n best documents of each query, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    wanted: usize,
    lists: Vec<Vec<Neighbour>>,
    rescored: u64,
}

impl Answers {
    /// From the best of each query, and how many similarities were computed exactly to find them.
    pub fn new(wanted: usize, best: Vec<Best>, rescored: u64) -> Self {
        Answers { wanted, lists: best.into_iter().map(Best::into_sorted).collect(), rescored }
    }

    /// How many similarities were computed exactly.
    pub fn rescored(&self) -> u64 {
        self.rescored
    }

    /// A list for each query.
    pub fn into_lists(self) -> Vec<Vec<Neighbour>> {
        self.lists
    }
}

impl Mergeable for Answers {
    fn merge(&mut self, other: Self) -> Result<()> {
        if self.wanted != other.wanted || self.lists.len() != other.lists.len() {
            return Err(Error::failed("two workers have searched for different queries; please report it"));
        }
        self.rescored += other.rescored;
        for (list, more) in self.lists.iter_mut().zip(other.lists) {
            let ours = std::mem::take(list);
            let (mut ours, mut more) = (ours.into_iter().peekable(), more.into_iter().peekable());
            while list.len() < self.wanted {
                let from = match (ours.peek(), more.peek()) {
                    (Some(one), Some(other)) if one <= other => &mut ours,
                    (Some(_), None) => &mut ours,
                    (_, Some(_)) => &mut more,
                    (None, None) => break,
                };
                list.extend(from.next());
            }
        }
        Ok(())
    }

    fn encode(&self) -> Vec<u8> {
        let entries: usize = self.lists.iter().map(Vec::len).sum();
        let mut bytes = Vec::with_capacity(8 * (2 + self.lists.len()) + 12 * entries);
        bytes.extend_from_slice(&(self.wanted as u64).to_le_bytes());
        bytes.extend_from_slice(&self.rescored.to_le_bytes());
        for list in &self.lists {
            bytes.extend_from_slice(&(list.len() as u64).to_le_bytes());
            for Neighbour { document, similarity } in list {
                bytes.extend_from_slice(&document.to_le_bytes());
                bytes.extend_from_slice(&similarity.to_le_bytes());
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::failed("damaged neighbours in a message");
        let mut rest = bytes;
        let number = |rest: &mut &[u8]| -> Result<u64> {
            let (head, tail) = rest.split_first_chunk().ok_or_else(damaged)?;
            *rest = tail;
            Ok(u64::from_le_bytes(*head))
        };
        let wanted = usize::try_from(number(&mut rest)?).map_err(|_| damaged())?;
        let rescored = number(&mut rest)?;
        let mut lists = Vec::new();
        while !rest.is_empty() {
            let length = usize::try_from(number(&mut rest)?).map_err(|_| damaged())?;
            let size = length.checked_mul(12).ok_or_else(damaged)?;
            let (list, tail) = rest.split_at_checked(size).ok_or_else(damaged)?;
            rest = tail;
            let read = |entry: &[u8; 12]| {
                let (document, similarity) = entry.split_at(8);
                Neighbour {
                    document: bytemuck::pod_read_unaligned(document),
                    similarity: bytemuck::pod_read_unaligned(similarity),
                }
            };
            lists.push(list.as_chunks().0.iter().map(read).collect());
        }
        Ok(Answers { wanted, lists, rescored })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    fn best(wanted: usize, candidates: &[(u64, f32)]) -> Best {
        let mut best = Best::new(wanted);
        candidates.iter().for_each(|&(document, similarity)| best.offer(document, similarity));
        best
    }

    #[test]
    fn the_best_of_the_parts_are_the_best_of_all() {
        let mut stream = Stream::new(7, "candidates", 0);
        for wanted in [1, 3, 10, 400] {
            // Few values: many ties, also between the two zeros.
            let mut candidates: Vec<(u64, f32)> = (0..300)
                .map(|document| {
                    (document, (stream.below(9) as f32 - 4.0) * if document % 2 == 0 { 0.25 } else { -0.25 })
                })
                .collect();
            let mut expected = candidates.clone();
            expected.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
            expected.truncate(wanted);
            for cut in [0, 1, 150, 299] {
                let (one, other) = candidates.split_at(cut);
                let mut answers = Answers::new(wanted, vec![best(wanted, one)], 3);
                let more = Answers::decode(&Answers::new(wanted, vec![best(wanted, other)], 4).encode()).unwrap();
                answers.merge(more).unwrap();
                assert_eq!(answers.rescored(), 7);
                let list = &answers.into_lists()[0];
                let found: Vec<(u64, f32)> = list.iter().map(|n| (n.document, n.similarity)).collect();
                assert_eq!(found, expected, "{wanted} of parts cut at {cut}");
            }
            candidates.reverse();
            let backwards = best(wanted, &candidates).into_sorted();
            assert!(backwards.iter().map(|n| n.document).eq(expected.iter().map(|n| n.0)));
        }
    }

    #[test]
    fn the_threshold_rises_once_there_are_enough() {
        assert_eq!(best(2, &[(0, 0.5)]).threshold(), f32::NEG_INFINITY);
        assert_eq!(best(2, &[(0, 0.5), (1, 0.25)]).threshold(), 0.25);
        assert_eq!(best(2, &[(0, 0.5), (1, 0.25), (2, 0.75)]).threshold(), 0.5);
    }

    #[test]
    fn damaged_messages_are_refused() {
        let bytes = Answers::new(2, vec![best(2, &[(1, 0.5), (2, 0.25)]), best(2, &[(3, 0.5)])], 9).encode();
        assert_eq!(Answers::decode(&bytes).unwrap().encode(), bytes);
        for cut in [0, 7, 9, 17, 25, bytes.len() - 1] {
            assert!(Answers::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut one = Answers::new(2, vec![best(2, &[])], 0);
        assert!(one.merge(Answers::new(3, vec![best(3, &[])], 0)).is_err());
    }
}

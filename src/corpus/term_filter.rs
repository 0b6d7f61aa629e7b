//! Which terms of an ascending sequence stay, in memory for those that stay.
//!
//! The rules are those of gensim's `Dictionary.filter_n_most_frequent` and `filter_extremes`, one after the other: the most
//! frequent go, the others are judged by the documents that hold them, and of these the most frequent stay. A term that
//! may be among the most frequent waits in a heap until enough others have come that are more so.
//! Cost: a comparison a term, and log n for those that enter a heap of n.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use crate::corpus::bag::NO_TERM;
use crate::corpus::dictionary::{Dictionary, FilterSpec, TermStatistics};
use crate::error::{Error, Result};

/// A term that may stay.
#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    statistics: TermStatistics,
    term: String,
}

/// The more frequent, and of equals the earlier one, is less: a heap has its first to go on top.
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (&self.statistics, &other.statistics);
        (b.document_frequency.cmp(&a.document_frequency))
            .then(a.first.cmp(&b.first))
            .then_with(|| self.term.cmp(&other.term))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The most frequent of all candidates so far.
#[derive(Debug)]
struct Best {
    heap: BinaryHeap<Candidate>,
    /// Most that are kept; none for all.
    most: Option<usize>,
}

impl Best {
    fn new(most: Option<usize>) -> Best {
        Best { heap: BinaryHeap::new(), most }
    }

    /// Adds a candidate; gives back the one that has to go for it.
    fn offer(&mut self, candidate: Candidate) -> Option<Candidate> {
        if self.most.is_none_or(|most| self.heap.len() < most) {
            self.heap.push(candidate);
            return None;
        }
        match self.heap.peek_mut() {
            Some(mut worst) if candidate < *worst => Some(std::mem::replace(&mut *worst, candidate)),
            _ => Some(candidate),
        }
    }
}

/// Terms being filtered.
#[derive(Debug)]
pub struct TermFilter<'r> {
    rules: &'r FilterSpec,
    documents: u64,
    /// Documents that may hold a term.
    most: u64,
    keep_tokens: HashSet<&'r str>,
    /// Those that go for being the most frequent.
    frequent: Best,
    /// Those that stay if not too many do.
    chosen: Best,
    /// Those that stay in any case.
    safe: Vec<Candidate>,
    seen: Seen,
}

/// What a filter has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    /// Distinct terms.
    pub terms: u64,
    /// Occurrences of all of them.
    pub tokens: u64,
    /// Terms in too few documents.
    rare: u64,
    /// Terms in too many documents.
    frequent: u64,
}

impl Seen {
    /// As bytes, to be kept.
    pub fn encode(&self) -> [u8; 32] {
        bytemuck::cast([self.terms, self.tokens, self.rare, self.frequent].map(u64::to_le))
    }

    /// Undoes [`encode`](Self::encode).
    pub fn decode(bytes: &[u8; 32]) -> Seen {
        let [terms, tokens, rare, frequent] = bytemuck::cast::<_, [u64; 4]>(*bytes).map(u64::from_le);
        Seen { terms, tokens, rare, frequent }
    }
}

impl<'r> TermFilter<'r> {
    /// For a corpus of so many documents, empty ones included.
    ///
    /// # Errors
    /// Those of [`FilterSpec::check`].
    pub fn new(rules: &'r FilterSpec, documents: u64) -> Result<Self> {
        rules.check()?;
        Ok(TermFilter {
            rules,
            documents,
            // Truncated as gensim does it: int(no_above * num_docs).
            most: (rules.no_above * documents as f64) as u64,
            keep_tokens: rules.keep_tokens.iter().map(String::as_str).collect(),
            frequent: Best::new(Some(rules.remove_most_frequent)),
            chosen: Best::new(rules.keep_n),
            safe: Vec::new(),
            seen: Seen::default(),
        })
    }

    /// Takes the next term.
    pub fn push(&mut self, term: &str, statistics: TermStatistics) {
        let frequency = statistics.document_frequency;
        self.seen.terms += 1;
        self.seen.tokens += statistics.collection_frequency;
        self.seen.rare += u64::from(frequency < self.rules.no_below);
        self.seen.frequent += u64::from(frequency > self.most);
        if self.rules.remove_most_frequent > 0 {
            let candidate = Candidate { statistics, term: term.to_owned() };
            if let Some(candidate) = self.frequent.offer(candidate) {
                self.judge(candidate);
            }
        } else if self.passes(frequency) || self.keep_tokens.contains(term) {
            self.judge(Candidate { statistics, term: term.to_owned() });
        }
    }

    fn passes(&self, frequency: u64) -> bool {
        (self.rules.no_below..=self.most).contains(&frequency)
    }

    fn judge(&mut self, candidate: Candidate) {
        if self.keep_tokens.contains(candidate.term.as_str()) {
            self.safe.push(candidate);
        } else if self.passes(candidate.statistics.document_frequency) {
            self.chosen.offer(candidate);
        }
    }

    /// The dictionary: the terms that stay, numbered as gensim numbers them, by the first document that holds them and
    /// within one by code points; and what was seen.
    ///
    /// # Errors
    /// No term stays; the message says how many each rule took and what to change.
    pub fn finish(self) -> Result<(Dictionary, Seen)> {
        let mut kept = self.chosen.heap.into_vec();
        // Where there are more words to be kept than places for terms, they stay nevertheless.
        let places = self.rules.keep_n.map(|keep_n| keep_n.saturating_sub(self.safe.len()));
        if let Some(places) = places.filter(|&places| places < kept.len()) {
            kept.select_nth_unstable(places);
            kept.truncate(places);
        }
        kept.extend(self.safe);
        if kept.is_empty() {
            return Err(nothing_left(self.rules, self.most, self.documents, self.seen));
        }
        if kept.len() >= NO_TERM as usize {
            return Err(Error::failed(format!("{} terms are too many: give --keep-n", kept.len())));
        }
        kept.sort_unstable_by(|a, b| (a.statistics.first, &a.term).cmp(&(b.statistics.first, &b.term)));
        let dictionary = Dictionary {
            document_frequency: kept.iter().map(|candidate| candidate.statistics.document_frequency).collect(),
            collection_frequency: kept.iter().map(|candidate| candidate.statistics.collection_frequency).collect(),
            terms: kept.into_iter().map(|candidate| candidate.term).collect(),
        };
        Ok((dictionary, self.seen))
    }
}

fn nothing_left(rules: &FilterSpec, most: u64, documents: u64, seen: Seen) -> Error {
    let Seen { terms, rare, frequent, .. } = seen;
    if terms == 0 {
        return Error::failed(format!(
            "no tokens in {documents} documents: is this the right text field, and the token pattern right?"
        ));
    }
    if rules.remove_most_frequent as u64 >= terms {
        return Error::failed(format!(
            "no term is left of {terms}: lower --remove-most-frequent {}",
            rules.remove_most_frequent
        ));
    }
    Error::failed(format!(
        "no term is left of {terms}: {rare} are in fewer than {} documents, {frequent} in more than {most} of {documents}: \
         lower --no-below or raise --no-above",
        rules.no_below
    ))
}

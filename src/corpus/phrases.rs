//! Phrases: neighbouring words that come together more often than by chance, joined to one token, as gensim's `Phrases`
//! does it.
//!
//! A pass over the text counts words and pairs of neighbours; pairs whose score is above the threshold are
//! phrases ([`PhraseCensus`]). Words such as "of" may stand between the two and neither begin nor end a phrase. A further pass over text whose
//! phrases have been joined finds longer ones. Each document is one sequence of words; from left to right, a word is in one
//! phrase at most.
//!
//! Scores: T. Mikolov et al. 2013, "Distributed Representations of Words and Phrases", eq. 6, times the number of distinct words and
//! pairs as gensim has it; G. Bouma 2009, "Normalized (Pointwise) Mutual Information in Collocation Extraction".

use std::collections::{HashMap, HashSet};

use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Stands between the words of a pair while they are counted; no word has it.
const BETWEEN: char = '\u{1f}';

/// How pairs are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Scoring {
    /// (pair - min-count) x distinct words and pairs / (first x second), all of them counts.
    #[default]
    Default,
    /// ln(p(pair) / (p(first) p(second))) / -ln p(pair): from -1 to 1.
    Npmi,
}

/// Which pairs are phrases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhraseSpec {
    /// Passes over the text that look for phrases: each may make phrases twice as long.
    pub passes: u8,
    /// Fewest times that a pair occurs.
    pub min_count: u64,
    /// What the score of a phrase is above.
    pub threshold: f64,
    /// The score.
    pub scoring: Scoring,
    /// Words that may stand between those of a phrase, as tokens are: in their case, stemmed.
    pub connectors: Vec<String>,
    /// What joins the words of a phrase.
    pub delimiter: String,
}

impl Default for PhraseSpec {
    /// One pass, as gensim scores by default.
    fn default() -> Self {
        PhraseSpec {
            passes: 1,
            min_count: 5,
            threshold: 10.0,
            scoring: Scoring::Default,
            connectors: Vec::new(),
            delimiter: "_".to_owned(),
        }
    }
}

/// gensim's connector words of English.
pub const ENGLISH_CONNECTORS: &str = "a an the for of with without at from to in on by and or";

impl PhraseSpec {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// `Usage`, naming the option.
    pub fn check(&self) -> Result<()> {
        if !(1..=8).contains(&self.passes) {
            return Err(Error::usage(format!("--phrases {}: give from 1 to 8 passes", self.passes)));
        }
        if self.min_count == 0 {
            return Err(Error::usage("--phrase-min-count 0: a pair occurs at least once"));
        }
        let range = match self.scoring {
            Scoring::Default => 0.0..f64::MAX,
            Scoring::Npmi => -1.0..1.0,
        };
        if !range.contains(&self.threshold) {
            return Err(Error::usage(format!(
                "--phrase-threshold {}: {}",
                self.threshold,
                match self.scoring {
                    Scoring::Default => "it is not negative; gensim's is 10",
                    Scoring::Npmi => "with npmi it is from -1 to below 1, 0.5 for instance",
                }
            )));
        }
        if self.delimiter.chars().any(char::is_control) {
            return Err(Error::usage("--phrase-delimiter: control characters cannot be part of a term"));
        }
        Ok(())
    }
}

/// A specification with the phrases that each of its passes has found, as a file keeps them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoundPhrases {
    /// How they were looked for.
    #[serde(flatten)]
    pub spec: PhraseSpec,
    /// By pass, ascending: the words of each, with U+001F between them.
    #[serde(default)]
    pub found: Vec<Vec<String>>,
}

/// A word that may begin a phrase, with the connectors behind it.
#[derive(Debug, Default)]
struct Pending {
    /// All of them, joined; empty where there is none.
    joined: String,
    /// Bytes of it that came before the last word was tried.
    length: usize,
}

impl Pending {
    fn connect(&mut self, word: &str) {
        self.joined.truncate(self.length);
        if self.length > 0 {
            self.joined.push(BETWEEN);
            self.joined.push_str(word);
            self.length = self.joined.len();
        }
    }

    /// The pair that a word makes with what is there.
    fn pair(&mut self, word: &str) -> Option<&str> {
        self.joined.truncate(self.length);
        if self.length == 0 {
            return None;
        }
        self.joined.push(BETWEEN);
        self.joined.push_str(word);
        Some(&self.joined)
    }

    fn begin(&mut self, word: &str) {
        self.joined.clear();
        self.joined.push_str(word);
        self.length = word.len();
    }

    /// Calls `each` with the words that are there, and forgets them.
    fn release(&mut self, each: &mut dyn FnMut(&str)) {
        self.joined.truncate(self.length);
        if self.length > 0 {
            self.joined.split(BETWEEN).for_each(each);
        }
        self.length = 0;
    }
}

/// Phrases that were found, ready to be joined.
#[derive(Debug, Clone)]
pub struct Phrases {
    delimiter: String,
    connectors: HashSet<String, FxBuildHasher>,
    /// By pass: the phrases, their words with [`BETWEEN`] between them.
    passes: Vec<HashSet<String, FxBuildHasher>>,
    /// Words and pairs are counted in text whose phrases are joined.
    counts: bool,
}

impl Phrases {
    /// Those that each pass has found; `counts` to look for more.
    pub fn new(phrases: &FoundPhrases, counts: bool) -> Self {
        Phrases {
            delimiter: phrases.spec.delimiter.clone(),
            connectors: phrases.spec.connectors.iter().cloned().collect(),
            passes: phrases.found.iter().map(|found| found.iter().cloned().collect()).collect(),
            counts,
        }
    }

    /// Calls `each` with a word and with the pair that it makes.
    fn count(&self, word: &str, before: &mut Pending, each: &mut dyn FnMut(&str)) {
        each(word);
        if self.connectors.contains(word) {
            before.connect(word);
            return;
        }
        if let Some(pair) = before.pair(word) {
            each(pair);
        }
        before.begin(word);
    }

    /// The beginning of a document.
    pub(super) fn joiner(&self) -> Joiner<'_> {
        let mut before = Vec::new();
        before.resize_with(self.passes.len() + 1, Pending::default);
        Joiner { phrases: self, before, phrase: String::new() }
    }
}

/// Joins the phrases of one document.
pub(super) struct Joiner<'a> {
    phrases: &'a Phrases,
    /// By pass, and for counting.
    before: Vec<Pending>,
    phrase: String,
}

impl Joiner<'_> {
    /// Adds the next word and calls `each` with all tokens that are complete.
    pub fn push(&mut self, word: &str, each: &mut dyn FnMut(&str)) {
        let Joiner { phrases, before, phrase } = self;
        join(phrases, 0, before, phrase, word, each);
    }

    /// Calls `each` with what is left at the end of the document.
    pub fn finish(&mut self, each: &mut dyn FnMut(&str)) {
        let Joiner { phrases, before, phrase } = self;
        for pass in 0..phrases.passes.len() {
            let (own, later) = before[pass..].split_first_mut().expect("a place for each pass");
            own.release(&mut |word| join(phrases, pass + 1, later, phrase, word, each));
        }
        before.iter_mut().for_each(|before| *before = Pending::default());
    }
}

/// A word that has come to a pass: `before` are those of this pass and the later ones.
fn join(
    phrases: &Phrases,
    pass: usize,
    before: &mut [Pending],
    phrase: &mut String,
    word: &str,
    each: &mut dyn FnMut(&str),
) {
    let Some((own, later)) = before.split_first_mut() else { return each(word) };
    let Some(found) = phrases.passes.get(pass) else {
        // Behind the last pass.
        return if phrases.counts { phrases.count(word, own, each) } else { each(word) };
    };
    if phrases.connectors.contains(word) {
        if own.length > 0 {
            own.connect(word);
        } else {
            join(phrases, pass + 1, later, phrase, word, each);
        }
        return;
    }
    match own.pair(word) {
        Some(pair) if found.contains(pair) => {
            let mut joined = std::mem::take(phrase);
            joined.clear();
            for (at, part) in pair.split(BETWEEN).enumerate() {
                if at > 0 {
                    joined.push_str(&phrases.delimiter);
                }
                joined.push_str(part);
            }
            own.length = 0;
            join(phrases, pass + 1, later, phrase, &joined, each);
            *phrase = joined;
        }
        _ => {
            own.release(&mut |word| join(phrases, pass + 1, later, phrase, word, each));
            own.begin(word);
        }
    }
}

/// Takes the counts of words and pairs, in any order, and tells which pairs are phrases.
pub struct PhraseCensus<'a> {
    spec: &'a PhraseSpec,
    connectors: HashSet<&'a str>,
    /// Counts of the words that occur often enough to be in a phrase.
    words: HashMap<String, u64>,
    pairs: Vec<(String, u64)>,
    /// Distinct words and pairs.
    distinct: u64,
    /// Words, connectors too.
    all: u64,
}

impl<'a> PhraseCensus<'a> {
    /// Nothing has been counted yet.
    pub fn new(spec: &'a PhraseSpec) -> Self {
        let connectors = spec.connectors.iter().map(String::as_str).collect();
        PhraseCensus { spec, connectors, words: HashMap::new(), pairs: Vec::new(), distinct: 0, all: 0 }
    }

    /// A word or a pair, and how often it occurs.
    pub fn push(&mut self, counted: &str, count: u64) {
        let pair = counted.contains(BETWEEN);
        let often = count >= self.spec.min_count;
        if !pair {
            self.all += count;
            if self.connectors.contains(counted) {
                return;
            }
        }
        self.distinct += 1;
        match pair {
            true if often => self.pairs.push((counted.to_owned(), count)),
            false if often => {
                self.words.insert(counted.to_owned(), count);
            }
            _ => {}
        }
    }

    /// The phrases, ascending.
    pub fn phrases(self) -> Vec<String> {
        let score = |pair: &str, count: u64| {
            let mut words = pair.split(BETWEEN);
            let (first, second) = (words.next()?, words.next_back()?);
            // Neither is rarer than the pair.
            let (first, second) = (*self.words.get(first)? as f64, *self.words.get(second)? as f64);
            let (count, all) = (count as f64, self.all as f64);
            Some(match self.spec.scoring {
                Scoring::Default => (count - self.spec.min_count as f64) / (first * second) * self.distinct as f64,
                Scoring::Npmi => (count / all / ((first / all) * (second / all))).ln() / -(count / all).ln(),
            })
        };
        let mut phrases: Vec<String> = Vec::new();
        for (pair, count) in &self.pairs {
            if score(pair, *count).is_some_and(|score| score > self.spec.threshold) {
                phrases.push(pair.clone());
            }
        }
        phrases.sort_unstable();
        phrases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> PhraseSpec {
        PhraseSpec { connectors: vec!["of".into(), "the".into()], ..PhraseSpec::default() }
    }

    fn tokens(phrases: &Phrases, text: &str) -> Vec<String> {
        let mut out = Vec::new();
        let mut joiner = phrases.joiner();
        text.split_whitespace().for_each(|word| joiner.push(word, &mut |token| out.push(token.to_owned())));
        joiner.finish(&mut |token| out.push(token.to_owned()));
        out
    }

    fn found(lists: &[&[&str]]) -> Vec<Vec<String>> {
        let key = |phrase: &&str| phrase.replace(' ', "\u{1f}");
        lists.iter().map(|list| list.iter().map(key).collect()).collect()
    }

    #[test]
    fn words_and_neighbours_are_counted() {
        let phrases = Phrases::new(&FoundPhrases { spec: spec(), found: vec![] }, true);
        let counted = tokens(&phrases, "the bank of the river bank");
        let shown: Vec<String> = counted.iter().map(|term| term.replace(BETWEEN, " ")).collect();
        assert_eq!(shown, ["the", "bank", "of", "the", "river", "bank of the river", "bank", "river bank"]);
    }

    #[test]
    fn phrases_are_joined_from_left_to_right_pass_by_pass() {
        let lists = found(&[&["new york", "york times", "bank of england"], &["new_york times"]]);
        let joined = |passes: usize, text| {
            let found = FoundPhrases { spec: spec(), found: lists[..passes].to_vec() };
            tokens(&Phrases::new(&found, false), text).join(" ")
        };
        let text = "the new york times of the bank of england of the new";
        assert_eq!(joined(0, text), text);
        assert_eq!(joined(1, text), "the new_york times of the bank_of_england of the new");
        assert_eq!(joined(2, text), "the new_york_times of the bank_of_england of the new");
        assert_eq!(joined(2, "new new york of times york times"), "new new_york of times york_times");
        assert_eq!(joined(2, ""), "");
    }

    #[test]
    fn scores_are_as_their_formulas_say() {
        let counts =
            [("a", 20), ("b", 10), ("a\u{1f}b", 8), ("c", 50), ("a\u{1f}c", 8), ("of", 100), ("d", 1), ("a\u{1f}d", 1)];
        let phrases = |spec: &PhraseSpec| {
            let mut census = PhraseCensus::new(spec);
            counts.iter().for_each(|&(term, count)| census.push(term, count));
            census.phrases()
        };
        // Seven distinct: (8 - 5) x 7 / (20 x 10) = 0.105, (8 - 5) x 7 / (20 x 50) = 0.021.
        let with = |threshold| PhraseSpec { threshold, ..spec() };
        assert_eq!(phrases(&with(0.104)), ["a\u{1f}b"]);
        assert!(phrases(&with(0.106)).is_empty());
        assert_eq!(phrases(&with(0.0)), ["a\u{1f}b", "a\u{1f}c"]);
        // Of 181 words: ln(8 x 181 / 200) / -ln(8 / 181) = 0.6347.
        let npmi = |threshold| PhraseSpec { scoring: Scoring::Npmi, ..with(threshold) };
        assert_eq!(phrases(&npmi(0.634)), ["a\u{1f}b"]);
        assert!(phrases(&npmi(0.636)).is_empty());
        for wrong in [npmi(1.0), with(-1.0), PhraseSpec { passes: 0, ..spec() }, PhraseSpec { min_count: 0, ..spec() }]
        {
            assert_eq!(wrong.check().unwrap_err().exit_code(), 2);
        }
    }
}

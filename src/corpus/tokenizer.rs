//! Text to tokens.
//!
//! By default as gensim's `simple_preprocess` does it: the text in lower case, cut into the longest runs of Python's
//! `\w` without `\d`, kept if they are 2 to 15 characters long and do not begin with an underscore. Python's classes,
//! by Unicode general category: `\w` without `\d` is L*, Nl, No and the underscore; marks are not in it, so that a
//! combining mark ends a token. Given a pattern, tokens are its matches instead.
//!
//! Then, as scikit-learn's `CountVectorizer` goes about it, stop words are left out and runs of the tokens that remain
//! become terms.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::corpus::ngrams::{NgramSpec, Runs};
use crate::error::{Error, Result, one_line};

/// How text is cut into tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerSpec {
    /// Regular expression (syntax of the `regex` crate) whose matches are the tokens, or whose first group if it has
    /// one.
    pub token_pattern: Option<String>,
    /// Whether text is put into lower case first.
    pub lowercase: bool,
    /// Shortest token in characters.
    pub min_length: usize,
    /// Longest token in characters.
    pub max_length: usize,
    /// Tokens that are left out; put into lower case if the text is.
    #[serde(default)]
    pub stop_words: Vec<String>,
    /// Which runs of the remaining tokens are terms.
    #[serde(default)]
    pub ngrams: NgramSpec,
}

impl Default for TokenizerSpec {
    fn default() -> Self {
        TokenizerSpec {
            token_pattern: None,
            lowercase: true,
            min_length: 2,
            max_length: 15,
            stop_words: Vec::new(),
            ngrams: NgramSpec::default(),
        }
    }
}

impl TokenizerSpec {
    /// A word as it stands in the text once that is in lower case, where it is to be.
    pub fn in_case(&self, word: &str) -> String {
        if self.lowercase { word.to_lowercase() } else { word.to_owned() }
    }

    /// The options in which another differs, by name, each with its value here; none if it gives the same tokens.
    pub fn differences(&self, other: &TokenizerSpec) -> Option<String> {
        let words =
            |spec: &TokenizerSpec| spec.stop_words.iter().map(|word| spec.in_case(word)).collect::<HashSet<_>>();
        let pattern = self.token_pattern.as_deref().unwrap_or("the default one");
        let options = [
            (self.token_pattern != other.token_pattern, format!("--token-pattern {pattern}")),
            (self.lowercase != other.lowercase, ["--no-lowercase", "--lowercase"][usize::from(self.lowercase)].into()),
            (self.min_length != other.min_length, format!("--min-length {}", self.min_length)),
            (self.max_length != other.max_length, format!("--max-length {}", self.max_length)),
            (words(self) != words(other), format!("{} stop words", self.stop_words.len())),
            (self.ngrams != other.ngrams, self.ngrams.options()),
        ];
        let options = options.into_iter().filter(|option| option.0).map(|option| option.1).collect::<Vec<_>>();
        (!options.is_empty()).then(|| options.join(", "))
    }
}

/// A checked [`TokenizerSpec`], ready to work.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    pattern: Option<Pattern>,
    lowercase: bool,
    min_length: usize,
    max_length: usize,
    stop_words: HashSet<String, FxBuildHasher>,
    /// None where single tokens are the terms.
    ngrams: Option<NgramSpec>,
}

#[derive(Debug, Clone)]
struct Pattern {
    regex: Regex,
    /// Group that is the token: 1 if the pattern has groups, else 0, all of the match.
    group: usize,
}

impl Tokenizer {
    /// Checks the parameters and compiles the pattern.
    ///
    /// # Errors
    /// `Usage` for lengths that admit no token or no run of tokens, and for a pattern that is no regular expression.
    pub fn new(spec: &TokenizerSpec) -> Result<Self> {
        if spec.min_length == 0 || spec.min_length > spec.max_length {
            return Err(Error::usage(format!(
                "tokens of {} to {} characters: the shortest must be at least 1 and not beyond the longest",
                spec.min_length, spec.max_length
            )));
        }
        spec.ngrams.check()?;
        let pattern = spec.token_pattern.as_deref().map(|pattern| match Regex::new(pattern) {
            Ok(regex) => Ok(Pattern { group: usize::from(regex.captures_len() > 1), regex }),
            Err(cause) => Err(Error::usage(format!("token pattern \"{pattern}\": {}", one_line(&cause)))),
        });
        Ok(Tokenizer {
            pattern: pattern.transpose()?,
            lowercase: spec.lowercase,
            min_length: spec.min_length,
            max_length: spec.max_length,
            stop_words: spec.stop_words.iter().map(|word| spec.in_case(word)).collect(),
            ngrams: (spec.ngrams.max > 1).then(|| spec.ngrams.clone()),
        })
    }

    /// Most terms that a text of so many bytes can give.
    pub fn most_terms(&self, bytes: usize) -> usize {
        // Lower case has at most a character per byte of text, and tokens do not overlap.
        let tokens = bytes / self.min_length;
        self.ngrams.as_ref().map_or(tokens, |ngrams| ngrams.most_terms(tokens))
    }

    /// Calls `each` with every term of a text: its tokens but for stop words, in order, or the runs of them that are
    /// asked for. Returns how many tokens there are, runs not counted. `scratch` is overwritten; reuse it over documents.
    pub fn tokens(&self, text: &str, scratch: &mut String, mut each: impl FnMut(&str)) -> u64 {
        let text = if self.lowercase {
            lower_case(text, scratch);
            scratch.as_str()
        } else {
            text
        };
        if self.stop_words.is_empty() && self.ngrams.is_none() {
            let mut tokens = 0;
            self.all_tokens(text, |token| {
                tokens += 1;
                each(token);
            });
            tokens
        } else {
            self.chosen_terms(text, &mut each)
        }
    }

    fn all_tokens(&self, text: &str, each: impl FnMut(&str)) {
        match &self.pattern {
            None => self.word_runs(text, each),
            Some(pattern) => self.matches(pattern, text, each),
        }
    }

    /// Terms where not every token is one. Through `dyn`, so that the code of the usual case is made once.
    fn chosen_terms(&self, text: &str, each: &mut dyn FnMut(&str)) -> u64 {
        let mut tokens = 0;
        let mut runs = self.ngrams.as_ref().map(Runs::new);
        self.all_tokens(text, |token| {
            if !self.stop_words.contains(token) {
                tokens += 1;
                match &mut runs {
                    None => each(token),
                    Some(runs) => runs.push(token, each),
                }
            }
        });
        tokens
    }

    fn matches(&self, pattern: &Pattern, text: &str, mut each: impl FnMut(&str)) {
        let lengths = self.min_length..=self.max_length;
        let mut keep = |token: &str| {
            if lengths.contains(&token.chars().count()) {
                each(token);
            }
        };
        if pattern.group == 0 {
            pattern.regex.find_iter(text).for_each(|found| keep(found.as_str()));
        } else {
            let groups = pattern.regex.captures_iter(text).filter_map(|found| found.get(pattern.group));
            groups.for_each(|group| keep(group.as_str()));
        }
    }

    fn word_runs(&self, text: &str, mut each: impl FnMut(&str)) {
        let words = &*WORDS;
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            // Between words.
            let byte = bytes[at];
            if byte < 0x80 {
                if !ASCII_WORD[byte as usize] {
                    at += 1;
                    continue;
                }
            } else {
                let (word, length) = words.at(text, at);
                if !word {
                    at += length;
                    continue;
                }
            }
            // Within one.
            let begin = at;
            let mut characters = 0;
            while at < bytes.len() {
                let byte = bytes[at];
                let length = if byte < 0x80 {
                    if !ASCII_WORD[byte as usize] {
                        break;
                    }
                    1
                } else {
                    let (word, length) = words.at(text, at);
                    if !word {
                        break;
                    }
                    length
                };
                at += length;
                characters += 1;
            }
            if (self.min_length..=self.max_length).contains(&characters) && bytes[begin] != b'_' {
                each(&text[begin..at]);
            }
        }
    }
}

/// Whether an ASCII character belongs to words.
const ASCII_WORD: [bool; 128] = {
    let mut table = [false; 128];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphabetic() || byte == b'_';
        byte += 1;
    }
    table
};

static WORDS: LazyLock<WordClass> = LazyLock::new(WordClass::new);

/// The characters that words are made of, a bit each up to the last of them.
struct WordClass {
    bits: Vec<u64>,
}

impl WordClass {
    /// From the Unicode tables of `regex-syntax`.
    fn new() -> Self {
        let class = regex_syntax::parse(r"[\p{L}\p{Nl}\p{No}_]").expect("a constant expression");
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = class.kind() else {
            unreachable!("a bracketed class parses to a class")
        };
        let mut bits = Vec::new();
        for code in class.ranges().iter().flat_map(|range| range.start() as usize..=range.end() as usize) {
            bits.resize(bits.len().max(code / 64 + 1), 0_u64);
            bits[code / 64] |= 1 << (code % 64);
        }
        WordClass { bits }
    }

    /// Whether the character at a byte offset belongs to words, and its length in bytes.
    fn at(&self, text: &str, at: usize) -> (bool, usize) {
        let Some(character) = text[at..].chars().next() else {
            return (false, 1);
        };
        let code = character as usize;
        let word = self.bits.get(code / 64).is_some_and(|bits| bits >> (code % 64) & 1 == 1);
        (word, character.len_utf8())
    }
}

/// Writes `text` in lower case to `out`: the full Unicode mapping, as Python's `str.lower`.
fn lower_case(text: &str, out: &mut String) {
    out.clear();
    // A capital sigma becomes one of two letters by what is around it: let the standard library look.
    if memchr::memmem::find(text.as_bytes(), "Σ".as_bytes()).is_some() {
        out.push_str(&text.to_lowercase());
        return;
    }
    // Letters map one by one then. Runs of ASCII, most of most texts, are mapped as a block.
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
        let begin = out.len();
        out.push_str(&rest[..ascii]);
        out[begin..].make_ascii_lowercase();
        rest = &rest[ascii..];
        let foreign = rest.bytes().position(|byte| byte.is_ascii()).unwrap_or(rest.len());
        out.extend(rest[..foreign].chars().flat_map(char::to_lowercase));
        rest = &rest[foreign..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(spec: &TokenizerSpec, text: &str) -> Vec<String> {
        let mut tokens = Vec::new();
        Tokenizer::new(spec).unwrap().tokens(text, &mut String::new(), |token| tokens.push(token.to_owned()));
        tokens
    }

    #[test]
    fn tokens_are_gensims() {
        let texts = include_str!("../../tests/fixtures/text/texts.txt");
        let expected = include_str!("../../tests/fixtures/text/tokens.txt");
        assert_eq!(texts.split('\n').count(), expected.split('\n').count());
        for (text, expected) in texts.split('\n').zip(expected.split('\n')) {
            assert_eq!(tokens(&TokenizerSpec::default(), text).join(" "), expected, "{text:?}");
        }
    }

    #[test]
    fn lower_case_is_that_of_the_standard_library() {
        let mut out = String::new();
        for code in (0..=0x10_ffff_u32).filter_map(char::from_u32).collect::<Vec<_>>().chunks(997) {
            let text = code.iter().flat_map(|&c| ['a', c, 'B']).collect::<String>();
            lower_case(&text, &mut out);
            assert_eq!(out, text.to_lowercase());
        }
    }

    #[test]
    fn a_pattern_takes_the_place_of_words() {
        let spec = TokenizerSpec { token_pattern: Some(r"(?u)\b\w\w+\b".into()), ..TokenizerSpec::default() };
        assert_eq!(tokens(&spec, "A b2b _x don't R2-D2"), ["b2b", "_x", "don", "r2", "d2"]);
        let group = TokenizerSpec { token_pattern: Some(r"#(\w+)".into()), lowercase: false, ..spec };
        assert_eq!(tokens(&group, "#Tag text #a #other"), ["Tag", "other"]);
        let empty = TokenizerSpec { token_pattern: Some(r"x*".into()), min_length: 1, ..group };
        assert_eq!(tokens(&empty, "axxb"), ["xx"]);
    }

    #[test]
    fn lengths_count_characters_and_are_inclusive() {
        let spec = TokenizerSpec { min_length: 3, max_length: 4, ..TokenizerSpec::default() };
        assert_eq!(tokens(&spec, "ab abc abcd abcde éé ééé éééé ééééé"), ["abc", "abcd", "ééé", "éééé"]);
    }

    #[test]
    fn stop_words_go_first_and_runs_are_of_what_remains() {
        let stop_words = ["The", "of"].map(String::from).to_vec();
        let spec = TokenizerSpec { stop_words, ..TokenizerSpec::default() };
        assert_eq!(tokens(&spec, "THE King of the Hill"), ["king", "hill"]);
        let pairs = TokenizerSpec { ngrams: NgramSpec { max: 2, ..NgramSpec::default() }, ..spec.clone() };
        assert_eq!(tokens(&pairs, "the King of the Hill"), ["king", "hill", "king hill"]);
        let as_written = TokenizerSpec { lowercase: false, ..spec };
        assert_eq!(tokens(&as_written, "The the of"), ["the"]);
        // The text of before has no say in the next.
        let mut all = Vec::new();
        let tokenizer = Tokenizer::new(&pairs).unwrap();
        for text in ["aa bb", "cc dd"] {
            tokenizer.tokens(text, &mut String::new(), |term| all.push(term.to_owned()));
        }
        assert_eq!(all, ["aa", "bb", "aa bb", "cc", "dd", "cc dd"]);
        assert_eq!(tokenizer.most_terms(100), 100);
    }

    #[test]
    fn differences_are_told_as_options() {
        let plain = TokenizerSpec::default();
        assert_eq!(plain.differences(&plain), None);
        let words = |list: [&str; 2]| TokenizerSpec { stop_words: list.map(String::from).to_vec(), ..plain.clone() };
        // Another order, another case: the same tokens.
        assert_eq!(words(["The", "of"]).differences(&words(["of", "the"])), None);
        let other = TokenizerSpec {
            token_pattern: Some("x+".into()),
            lowercase: false,
            min_length: 1,
            max_length: 9,
            ngrams: NgramSpec { min: 1, max: 2, separator: "_".into() },
            ..words(["The", "of"])
        };
        assert_eq!(
            other.differences(&plain).unwrap(),
            "--token-pattern x+, --no-lowercase, --min-length 1, --max-length 9, 2 stop words, --ngrams 1,2 --ngram-separator \"_\""
        );
        assert_eq!(
            plain.differences(&other).unwrap(),
            "--token-pattern the default one, --lowercase, --min-length 2, --max-length 15, 0 stop words, --ngrams 1,1"
        );
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (min_length, max_length) in [(0, 5), (6, 5)] {
            let spec = TokenizerSpec { min_length, max_length, ..TokenizerSpec::default() };
            assert_eq!(Tokenizer::new(&spec).unwrap_err().exit_code(), 2);
        }
        let spec = TokenizerSpec { token_pattern: Some("(".into()), ..TokenizerSpec::default() };
        let error = Tokenizer::new(&spec).unwrap_err();
        assert!(error.exit_code() == 2 && !error.to_string().contains('\n'), "{error}");
    }
}

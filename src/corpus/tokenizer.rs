//! Text to tokens.
//!
//! By default as gensim's `simple_preprocess` does it: the text in lower case, cut into the longest runs of Python's
//! `\w` without `\d`, kept if they are 2 to 15 characters long and do not begin with an underscore. Python's classes,
//! by Unicode general category: `\w` without `\d` is L*, Nl, No and the underscore; marks are not in it, so that a
//! combining mark ends a token. Given a pattern, tokens are its matches instead. Before that the text may be put into other
//! forms ([`TextForm`]).
//!
//! Then, as scikit-learn's `CountVectorizer` goes about it, numbers and stop words are left out, the others give way to their
//! stems, and phrases and runs of the tokens that remain become terms, or the hashes of those.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::Regex;
use rustc_hash::FxBuildHasher;
use serde::{Deserialize, Serialize};

use crate::corpus::characters::CharacterClass;
use crate::corpus::hashed_terms::HashedTerms;
use crate::corpus::ngrams::{NgramSpec, Runs};
use crate::corpus::phrases::{FoundPhrases, Phrases};
use crate::corpus::stems::Stems;
use crate::corpus::text_form::TextForm;
use crate::error::{Error, Result, one_line};

/// How text is cut into tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenizerSpec {
    /// Regular expression (syntax of the `regex` crate) whose matches are the tokens, or whose first group if it has
    /// one.
    pub token_pattern: Option<String>,
    /// What is done to the text before.
    #[serde(flatten)]
    pub form: TextForm,
    /// Shortest token in characters.
    pub min_length: usize,
    /// Longest token in characters.
    pub max_length: usize,
    /// Tokens that are numbers are left out: digits, and what stands between and before digits.
    #[serde(default)]
    pub drop_numbers: bool,
    /// Tokens that are left out; put into the form of the text.
    #[serde(default)]
    pub stop_words: Vec<String>,
    /// Language of the Snowball algorithm that puts stems in the place of the remaining tokens.
    #[serde(default)]
    pub stem: Option<String>,
    /// Which of their neighbours become one token.
    #[serde(default)]
    pub phrases: Option<FoundPhrases>,
    /// Which runs of these tokens are terms.
    #[serde(default)]
    pub ngrams: NgramSpec,
    /// Terms are hashes of so many bits.
    #[serde(default)]
    pub hash_bits: Option<u8>,
}

impl Default for TokenizerSpec {
    fn default() -> Self {
        TokenizerSpec {
            token_pattern: None,
            form: TextForm::default(),
            min_length: 2,
            max_length: 15,
            drop_numbers: false,
            stop_words: Vec::new(),
            stem: None,
            phrases: None,
            ngrams: NgramSpec::default(),
            hash_bits: None,
        }
    }
}

impl TokenizerSpec {
    /// A word as it stands in the text once that is in its form.
    pub fn in_form(&self, word: &str) -> String {
        self.form.of(word)
    }

    /// The options in which another differs, by name, each with its value here; none if it gives the same tokens.
    pub fn differences(&self, other: &TokenizerSpec) -> Option<String> {
        let words =
            |spec: &TokenizerSpec| spec.stop_words.iter().map(|word| spec.in_form(word)).collect::<HashSet<_>>();
        let pattern = self.token_pattern.as_deref().unwrap_or("the default one");
        let switch = |on: bool, name: &str| if on { name.to_owned() } else { format!("no {name}") };
        let (form, others) = (self.form, other.form);
        let phrases = self.phrases.as_ref().map_or(0, |phrases| phrases.found.iter().map(Vec::len).sum::<usize>());
        let options = [
            (self.token_pattern != other.token_pattern, format!("--token-pattern {pattern}")),
            (form.nfkc != others.nfkc, switch(form.nfkc, "--nfkc")),
            (form.lowercase != others.lowercase, ["--no-lowercase", "--lowercase"][usize::from(form.lowercase)].into()),
            (form.strip_accents != others.strip_accents, switch(form.strip_accents, "--strip-accents")),
            (self.min_length != other.min_length, format!("--min-length {}", self.min_length)),
            (self.max_length != other.max_length, format!("--max-length {}", self.max_length)),
            (self.drop_numbers != other.drop_numbers, switch(self.drop_numbers, "--drop-numbers")),
            (words(self) != words(other), format!("{} stop words", self.stop_words.len())),
            (self.stem != other.stem, self.stem.as_ref().map_or("no --stem".into(), |stem| format!("--stem {stem}"))),
            (self.phrases != other.phrases, format!("{phrases} phrases")),
            (self.ngrams != other.ngrams, self.ngrams.options()),
            (
                self.hash_bits != other.hash_bits,
                self.hash_bits.map_or("no --hash-terms".into(), |bits| format!("--hash-terms {bits}")),
            ),
        ];
        let options = options.into_iter().filter(|option| option.0).map(|option| option.1).collect::<Vec<_>>();
        (!options.is_empty()).then(|| options.join(", "))
    }
}

/// A checked [`TokenizerSpec`], ready to work.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    cut: Cut,
    form: TextForm,
    min_length: usize,
    max_length: usize,
    /// None where all tokens are terms as they are.
    choice: Option<Choice>,
}

/// What is done to tokens.
#[derive(Debug, Clone)]
struct Choice {
    drop_numbers: bool,
    stop_words: HashSet<String, FxBuildHasher>,
    stems: Option<Stems>,
    phrases: Option<Phrases>,
    /// None where single tokens are the terms.
    ngrams: Option<NgramSpec>,
    hash: Option<HashedTerms>,
}

/// Where tokens begin and end.
#[derive(Debug, Clone)]
enum Cut {
    /// Runs of the characters of words.
    Words,
    /// Whatever stands between blanks: the pattern `\S+`, without the cost of a regular expression.
    Blanks,
    Pattern(Pattern),
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
    /// `Usage` for lengths that admit no token or no run of tokens, for a pattern that is no regular expression, for a
    /// language without a stemmer, and those of phrases and hashes.
    pub fn new(spec: &TokenizerSpec) -> Result<Self> {
        Tokenizer::make(spec, false)
    }

    /// One that gives words and pairs of neighbours, to be counted for a further pass of phrases.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn of_pairs(spec: &TokenizerSpec) -> Result<Self> {
        Tokenizer::make(&TokenizerSpec { ngrams: NgramSpec::default(), hash_bits: None, ..spec.clone() }, true)
    }

    fn make(spec: &TokenizerSpec, pairs: bool) -> Result<Self> {
        if spec.min_length == 0 || spec.min_length > spec.max_length {
            return Err(Error::usage(format!(
                "tokens of {} to {} characters: the shortest must be at least 1 and not beyond the longest",
                spec.min_length, spec.max_length
            )));
        }
        spec.ngrams.check()?;
        if let Some(phrases) = &spec.phrases {
            phrases.spec.check()?;
        }
        let cut = match spec.token_pattern.as_deref() {
            None => Cut::Words,
            Some(BETWEEN_BLANKS) => Cut::Blanks,
            Some(pattern) => match Regex::new(pattern) {
                Ok(regex) => Cut::Pattern(Pattern { group: usize::from(regex.captures_len() > 1), regex }),
                Err(cause) => {
                    return Err(Error::usage(format!("token pattern \"{pattern}\": {}", one_line(&cause))));
                }
            },
        };
        let choice = Choice {
            drop_numbers: spec.drop_numbers,
            stop_words: spec.stop_words.iter().map(|word| spec.in_form(word)).collect(),
            stems: spec.stem.as_deref().map(Stems::of).transpose()?,
            phrases: spec.phrases.as_ref().map(|phrases| Phrases::new(phrases, pairs)),
            ngrams: (spec.ngrams.max > 1).then(|| spec.ngrams.clone()),
            hash: spec.hash_bits.map(HashedTerms::new).transpose()?,
        };
        Ok(Tokenizer {
            cut,
            form: spec.form,
            min_length: spec.min_length,
            max_length: spec.max_length,
            choice: (!choice.is_idle()).then_some(choice),
        })
    }

    /// Most terms that a text of so many bytes can give.
    pub fn most_terms(&self, bytes: usize) -> usize {
        // A form has at most a character per byte of text, but for ligatures of up to 18 letters in 3 bytes; tokens do not overlap.
        let characters = if self.form.nfkc { bytes.saturating_mul(6) } else { bytes };
        let tokens = characters / self.min_length;
        self.choice.as_ref().map_or(tokens, |choice| choice.most_terms(tokens))
    }

    /// A word of a list as it stands among tokens: in their form, and as its stem.
    pub fn as_token(&self, word: &str) -> String {
        let word = self.form.of(word);
        match self.choice.as_ref().and_then(|choice| choice.stems.as_ref()) {
            Some(stems) => stems.stem(&word).into_owned(),
            None => word,
        }
    }

    /// Calls `each` with every term of a text: its tokens but for stop words, in order, or what they become.
    /// Returns how many tokens there are, runs not counted. `scratch` is overwritten; reuse it over documents.
    pub fn tokens(&self, text: &str, scratch: &mut String, mut each: impl FnMut(&str)) -> u64 {
        let text = self.form.apply(text, scratch);
        match &self.choice {
            None => {
                let mut tokens = 0;
                self.all_tokens(text, |token| {
                    tokens += 1;
                    each(token);
                });
                tokens
            }
            Some(choice) => self.chosen_terms(choice, text, &mut each),
        }
    }

    fn all_tokens(&self, text: &str, each: impl FnMut(&str)) {
        match &self.cut {
            Cut::Words => self.word_runs(text, each),
            Cut::Blanks => self.between_blanks(text, each),
            Cut::Pattern(pattern) => self.matches(pattern, text, each),
        }
    }

    /// Terms where not every token is one. Through `dyn`, so that the code of the usual case is made once.
    fn chosen_terms(&self, choice: &Choice, text: &str, each: &mut dyn FnMut(&str)) -> u64 {
        let mut tokens = 0;
        let mut runs = choice.ngrams.as_ref().map(Runs::new);
        let mut phrases = choice.phrases.as_ref().map(Phrases::joiner);
        let mut hashed = |term: &str| match choice.hash {
            None => each(term),
            Some(hash) => hash.term(term, each),
        };
        let mut in_runs = |token: &str| match &mut runs {
            None => hashed(token),
            Some(runs) => runs.push(token, &mut hashed),
        };
        self.all_tokens(text, |token| {
            if choice.drop_numbers && is_number(token) || choice.stop_words.contains(token) {
                return;
            }
            tokens += 1;
            let stem = choice.stems.as_ref().map(|stems| stems.stem(token));
            let token = stem.as_deref().unwrap_or(token);
            match &mut phrases {
                None => in_runs(token),
                Some(phrases) => phrases.push(token, &mut in_runs),
            }
        });
        if let Some(phrases) = &mut phrases {
            phrases.finish(&mut in_runs);
        }
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

    fn between_blanks(&self, text: &str, mut each: impl FnMut(&str)) {
        let lengths = self.min_length..=self.max_length;
        // Every token has so many characters, and no fewer bytes.
        let any = self.min_length == 1;
        let mut keep = |token: &str| {
            if any && token.len() <= self.max_length || lengths.contains(&token.chars().count()) {
                each(token);
            }
        };
        let bytes = text.as_bytes();
        let (mut at, mut begin) = (0, 0);
        while at < bytes.len() {
            if let Some(word) = bytes[at..].first_chunk() {
                let plain = plain_bytes(u64::from_le_bytes(*word));
                at += plain;
                if plain == 8 {
                    continue;
                }
            }
            let (blank, length) = match bytes[at] {
                b'\t'..=b'\r' | b' ' => (true, 1),
                0..0x80 => (false, 1),
                // At a character's first byte: every step is a character.
                _ => text[at..].chars().next().map_or((false, 1), |c| (c.is_whitespace(), c.len_utf8())),
            };
            if blank {
                if at > begin {
                    keep(&text[begin..at]);
                }
                begin = at + length;
            }
            at += length;
        }
        if begin < text.len() {
            keep(&text[begin..]);
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

/// How many of eight bytes stand before the first that may be a blank or begin a longer character: one below `!` or beyond ASCII.
fn plain_bytes(word: u64) -> usize {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // Borrows reach later bytes only, so the first that is found is one.
    let below = word.wrapping_sub(EACH * 0x21) & !word;
    ((below | word) & (EACH * 0x80)).trailing_zeros() as usize / 8
}

/// The pattern of tokens that stand between blanks.
pub const BETWEEN_BLANKS: &str = r"\S+";

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

/// The characters that words are made of.
static WORDS: LazyLock<CharacterClass> = LazyLock::new(|| CharacterClass::of(r"[\p{L}\p{Nl}\p{No}_]"));

impl CharacterClass {
    /// Whether the character at a byte offset belongs to the class, and its length in bytes.
    fn at(&self, text: &str, at: usize) -> (bool, usize) {
        text[at..].chars().next().map_or((false, 1), |character| (self.contains(character), character.len_utf8()))
    }
}

impl Choice {
    /// Whether tokens stay what they are.
    fn is_idle(&self) -> bool {
        let Choice { drop_numbers, stop_words, stems, phrases, ngrams, hash } = self;
        !drop_numbers
            && stop_words.is_empty()
            && stems.is_none()
            && phrases.is_none()
            && ngrams.is_none()
            && hash.is_none()
    }

    /// Most terms that so many tokens can give.
    fn most_terms(&self, tokens: usize) -> usize {
        // Each word may come with a pair.
        let tokens = if self.phrases.is_some() { tokens.saturating_mul(2) } else { tokens };
        self.ngrams.as_ref().map_or(tokens, |ngrams| ngrams.most_terms(tokens))
    }
}

/// Whether a token is a number: it has digits, and else only signs that stand in numbers.
fn is_number(token: &str) -> bool {
    token.chars().any(char::is_numeric)
        && token.chars().all(|character| {
            character.is_numeric() || matches!(character, '.' | ',' | '-' | '+' | '\'' | '/' | ':' | '%')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::phrases::PhraseSpec;

    const AS_WRITTEN: TextForm = TextForm { nfkc: false, lowercase: false, strip_accents: false };

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

    /// The shortcut gives what the regular expression gives.
    #[test]
    fn blanks_are_those_of_regular_expressions() {
        let of = |pattern: &str, (min_length, max_length)| {
            let pattern = Some(pattern.to_owned());
            let spec = TokenizerSpec {
                token_pattern: pattern,
                form: AS_WRITTEN,
                min_length,
                max_length,
                ..Default::default()
            };
            Tokenizer::new(&spec).unwrap()
        };
        let every_one: String = (0..=0x3001).filter_map(char::from_u32).map(|c| format!("a{c}b ")).collect();
        let ascii: String = (0..128_u8).map(|byte| format!("{}x", byte as char)).collect();
        for text in
            ["", " ", "a", " a", "a ", "\ta\x0bb\x0cc\r\nd  ee fff", "\u{a0}é\u{3000}ü\u{85}", &every_one, &ascii]
        {
            for lengths in [(1, 15), (1, 1), (2, 2), (1, 1 << 20)] {
                let tokens = |pattern| {
                    let mut found = Vec::new();
                    of(pattern, lengths).tokens(text, &mut String::new(), |token| found.push(token.to_owned()));
                    found
                };
                assert_eq!(tokens(BETWEEN_BLANKS), tokens(r"(\S+)"), "{text:?} {lengths:?}");
            }
        }
    }

    #[test]
    fn a_pattern_takes_the_place_of_words() {
        let spec = TokenizerSpec { token_pattern: Some(r"(?u)\b\w\w+\b".into()), ..TokenizerSpec::default() };
        assert_eq!(tokens(&spec, "A b2b _x don't R2-D2"), ["b2b", "_x", "don", "r2", "d2"]);
        let group = TokenizerSpec { token_pattern: Some(r"#(\w+)".into()), form: AS_WRITTEN, ..spec };
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
        let as_written = TokenizerSpec { form: AS_WRITTEN, ..spec };
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
            form: AS_WRITTEN,
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
    fn words_become_stems_phrases_runs_and_hashes_in_this_order() {
        let phrases = PhraseSpec { connectors: vec!["of".into()], ..PhraseSpec::default() };
        let phrases = FoundPhrases { spec: phrases, found: vec![vec!["king\u{1f}of\u{1f}hill".into()]] };
        let spec = TokenizerSpec {
            token_pattern: Some(r"\S+".into()),
            form: TextForm { nfkc: true, lowercase: true, strip_accents: true },
            min_length: 1,
            drop_numbers: true,
            stop_words: vec!["THÉ".into()],
            stem: Some("english".into()),
            phrases: Some(phrases),
            ngrams: NgramSpec { max: 2, ..NgramSpec::default() },
            ..TokenizerSpec::default()
        };
        let text = "Thé Kings of HILLS 1,000 -5% ﬁshing x2";
        let found = tokens(&spec, text);
        assert_eq!(found, ["king_of_hill", "fish", "king_of_hill fish", "x2", "fish x2"]);
        assert_eq!(Tokenizer::new(&spec).unwrap().tokens(text, &mut String::new(), |_| {}), 5);
        let hashed = HashedTerms::new(20).unwrap();
        let names = found.iter().map(|term| format!("#{:x}", hashed.number(term))).collect::<Vec<_>>();
        let spec = TokenizerSpec { hash_bits: Some(20), ..spec };
        assert_eq!(tokens(&spec, text), names);
        // A file keeps all of it, and one of before has the defaults.
        let kept = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TokenizerSpec>(&kept).unwrap(), spec);
        let before = r#"{"token_pattern":null,"lowercase":true,"min_length":2,"max_length":15}"#;
        assert_eq!(serde_json::from_str::<TokenizerSpec>(before).unwrap(), TokenizerSpec::default());
        let told = spec.differences(&TokenizerSpec::default()).unwrap();
        for option in ["--nfkc", "--strip-accents", "--drop-numbers", "--stem english", "1 phrases", "--hash-terms 20"]
        {
            assert!(told.contains(option), "{told}");
        }
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

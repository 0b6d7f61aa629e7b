//! Word n-grams: runs of neighbouring tokens as terms, as scikit-learn's `CountVectorizer(ngram_range=...)` makes them.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which runs of tokens become terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NgramSpec {
    /// Tokens of the shortest run.
    pub min: u8,
    /// Tokens of the longest run.
    pub max: u8,
    /// What stands between the tokens of a run.
    pub separator: String,
}

impl Default for NgramSpec {
    /// Single tokens.
    fn default() -> Self {
        NgramSpec { min: 1, max: 1, separator: " ".to_owned() }
    }
}

impl NgramSpec {
    /// Refuses what gives no terms, or terms that a line of a text file cannot hold.
    ///
    /// # Errors
    /// `Usage`, naming the option.
    pub fn check(&self) -> Result<()> {
        let NgramSpec { min, max, separator } = self;
        if *min == 0 || min > max {
            return Err(Error::usage(format!(
                "--ngrams {min},{max}: the shortest run must have at least 1 token and not more than the longest"
            )));
        }
        if separator.chars().any(char::is_control) {
            return Err(Error::usage(format!(
                "--ngram-separator {separator:?}: tabs, line breaks and other control characters cannot be part of a term"
            )));
        }
        Ok(())
    }

    /// As the options that ask for it.
    pub fn options(&self) -> String {
        let runs = format!("--ngrams {},{}", self.min, self.max);
        if self.separator == " " { runs } else { format!("{runs} --ngram-separator {:?}", self.separator) }
    }

    /// Most terms that so many tokens can give.
    pub fn most_terms(&self, tokens: usize) -> usize {
        tokens.saturating_mul(usize::from(self.max - self.min) + 1)
    }
}

/// The tokens of one document so far, joined by the separator: a run that ends with the last of them is a slice of it.
pub(super) struct Runs<'a> {
    spec: &'a NgramSpec,
    joined: String,
    /// Where each token begins in `joined`.
    begins: Vec<usize>,
}

/// Tokens after which those no run can reach any more are forgotten; more than the longest run has.
const TOKENS_HELD: usize = 4096;

impl<'a> Runs<'a> {
    /// The beginning of a document.
    pub fn new(spec: &'a NgramSpec) -> Self {
        Runs { spec, joined: String::new(), begins: Vec::new() }
    }

    /// Adds the next token and calls `each` with every run that ends with it, the shortest first.
    pub fn push(&mut self, token: &str, each: &mut dyn FnMut(&str)) {
        let (min, max) = (usize::from(self.spec.min), usize::from(self.spec.max));
        if self.begins.len() == TOKENS_HELD {
            let kept = TOKENS_HELD - max;
            let forgotten = self.begins[kept];
            self.joined.drain(..forgotten);
            self.begins.drain(..kept);
            self.begins.iter_mut().for_each(|begin| *begin -= forgotten);
        }
        if !self.begins.is_empty() {
            self.joined.push_str(&self.spec.separator);
        }
        self.begins.push(self.joined.len());
        self.joined.push_str(token);
        let tokens = self.begins.len();
        (min..=max.min(tokens)).for_each(|length| each(&self.joined[self.begins[tokens - length]..]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(min: u8, max: u8) -> NgramSpec {
        NgramSpec { min, max, ..NgramSpec::default() }
    }

    fn runs<S: AsRef<str>>(spec: &NgramSpec, tokens: &[S]) -> Vec<String> {
        let (mut runs, mut all) = (Runs::new(spec), Vec::new());
        tokens.iter().for_each(|token| runs.push(token.as_ref(), &mut |run| all.push(run.to_owned())));
        all
    }

    #[test]
    fn runs_are_neighbours_joined() {
        let tokens = ["new", "york", "city"];
        assert_eq!(runs(&spec(1, 2), &tokens), ["new", "york", "new york", "city", "york city"]);
        assert_eq!(runs(&spec(3, 5), &tokens), ["new york city"]);
        assert_eq!(runs(&NgramSpec { separator: "__".into(), ..spec(2, 2) }, &tokens), ["new__york", "york__city"]);
        assert_eq!(runs(&NgramSpec { separator: String::new(), ..spec(2, 2) }, &["人", "生"]), ["人生"]);
        assert!(runs(&spec(2, 3), &["alone"]).is_empty());
    }

    #[test]
    fn a_long_document_loses_no_run() {
        let tokens = (0..3 * TOKENS_HELD).map(|at| format!("w{at}")).collect::<Vec<_>>();
        let spec = spec(254, 255);
        let mut found = runs(&spec, &tokens);
        let mut expected = (254..=255).flat_map(|n| tokens.windows(n).map(|run| run.join(" "))).collect::<Vec<_>>();
        found.sort_unstable();
        expected.sort_unstable();
        assert!(found == expected);
    }

    #[test]
    fn what_gives_no_terms_is_refused() {
        for wrong in [spec(0, 1), spec(3, 2), NgramSpec { separator: "\t".into(), ..spec(1, 2) }] {
            assert_eq!(wrong.check().unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        spec(1, 255).check().unwrap();
        assert_eq!(spec(2, 4).most_terms(10), 30);
    }
}

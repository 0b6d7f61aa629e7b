//! Words to their stems, by the Snowball algorithms (M. F. Porter, <https://snowballstem.org>), from the crate
//! `snowball_stemmers_rs`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use snowball_stemmers_rs::{Algorithm, Stemmer};

use crate::error::{Error, Result};

/// All algorithms, ascending by name.
const ALGORITHMS: [Algorithm; 38] = [
    Algorithm::Arabic,
    Algorithm::Armenian,
    Algorithm::Basque,
    Algorithm::Catalan,
    Algorithm::Czech,
    Algorithm::Danish,
    Algorithm::Dutch,
    Algorithm::DutchPorter,
    Algorithm::English,
    Algorithm::Esperanto,
    Algorithm::Estonian,
    Algorithm::Finnish,
    Algorithm::French,
    Algorithm::German,
    Algorithm::Greek,
    Algorithm::Hindi,
    Algorithm::Hungarian,
    Algorithm::Indonesian,
    Algorithm::Irish,
    Algorithm::Italian,
    Algorithm::Lithuanian,
    Algorithm::Lovins,
    Algorithm::Nepali,
    Algorithm::Norwegian,
    Algorithm::Persian,
    Algorithm::Polish,
    Algorithm::Porter,
    Algorithm::Portuguese,
    Algorithm::Romanian,
    Algorithm::Russian,
    Algorithm::Serbian,
    Algorithm::Sesotho,
    Algorithm::Spanish,
    Algorithm::Swedish,
    Algorithm::Tamil,
    Algorithm::Turkish,
    Algorithm::Ukrainian,
    Algorithm::Yiddish,
];

/// The stemmer of a language.
#[derive(Clone)]
pub(super) struct Stems(Arc<Stemmer>);

impl Stems {
    /// By the name of the language, in any case; `porter` is the oldest one for English.
    ///
    /// # Errors
    /// `Usage`, with all names, for a name that is none of them.
    pub fn of(language: &str) -> Result<Self> {
        let name = |algorithm: &Algorithm| format!("{algorithm:?}").to_lowercase();
        match ALGORITHMS.iter().find(|algorithm| name(algorithm) == language.to_lowercase()) {
            Some(&algorithm) => Ok(Stems(Arc::new(Stemmer::create(algorithm)))),
            None => Err(Error::usage(format!(
                "--stem {language}: there is no such stemmer; there are: {}",
                ALGORITHMS.iter().map(name).collect::<Vec<_>>().join(", ")
            ))),
        }
    }

    /// The stem of a word in lower case.
    pub fn stem<'a>(&self, word: &'a str) -> Cow<'a, str> {
        self.0.stem(word)
    }
}

impl fmt::Debug for Stems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stems")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words and stems from the pages of the Snowball project.
    #[test]
    fn stems_are_snowballs() {
        for (language, words) in [
            ("English", "consigned=consign knightly=knight generously=generous dying=die"),
            ("porter", "generously=gener relational=relat"),
            ("german", "aufeinanderfolgenden=aufeinanderfolg kategorischen=kategor"),
            ("french", "continuellement=continuel majestueusement=majestu"),
            ("russian", "вавиловка=вавиловк падение=паден"),
        ] {
            let stems = Stems::of(language).unwrap();
            for (word, stem) in words.split(' ').map(|pair| pair.split_once('=').unwrap()) {
                assert_eq!(stems.stem(word), stem, "{language}");
            }
        }
        for algorithm in ALGORITHMS {
            let stems = Stems::of(&format!("{algorithm:?}")).unwrap();
            for word in ["", "a", "é", "internationally", "日本語", "слово", "παράδειγμα"] {
                stems.stem(word);
            }
        }
        let message = Stems::of("elvish").unwrap_err();
        assert!(message.exit_code() == 2 && message.to_string().contains("english, esperanto"), "{message}");
    }
}

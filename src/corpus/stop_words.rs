//! Stop words: words of a language that say nothing about what a document is about.
//!
//! The lists are those of the crate `stop-words`: NLTK's for the languages that it has (33 of them, most from the
//! Snowball project), else Stopwords ISO's.

use std::path::PathBuf;

use super::word_list;
use crate::error::{Error, Result};

/// Languages with a list: code (ISO 639-1, but for Hinglish) and English name, ascending by name.
const LANGUAGES: [(&str, &str); 67] = [
    ("af", "Afrikaans"),
    ("sq", "Albanian"),
    ("ar", "Arabic"),
    ("hy", "Armenian"),
    ("az", "Azerbaijani"),
    ("eu", "Basque"),
    ("be", "Belarusian"),
    ("bn", "Bengali"),
    ("br", "Breton"),
    ("bg", "Bulgarian"),
    ("ca", "Catalan"),
    ("zh", "Chinese"),
    ("hr", "Croatian"),
    ("cs", "Czech"),
    ("da", "Danish"),
    ("nl", "Dutch"),
    ("en", "English"),
    ("eo", "Esperanto"),
    ("et", "Estonian"),
    ("fi", "Finnish"),
    ("fr", "French"),
    ("gl", "Galician"),
    ("de", "German"),
    ("el", "Greek"),
    ("gu", "Gujarati"),
    ("ha", "Hausa"),
    ("he", "Hebrew"),
    ("hi", "Hindi"),
    ("hinglish", "Hinglish"),
    ("hu", "Hungarian"),
    ("id", "Indonesian"),
    ("ga", "Irish"),
    ("it", "Italian"),
    ("ja", "Japanese"),
    ("kk", "Kazakh"),
    ("ko", "Korean"),
    ("ku", "Kurdish"),
    ("la", "Latin"),
    ("lv", "Latvian"),
    ("lt", "Lithuanian"),
    ("ms", "Malay"),
    ("mr", "Marathi"),
    ("ne", "Nepali"),
    ("no", "Norwegian"),
    ("fa", "Persian"),
    ("pl", "Polish"),
    ("pt", "Portuguese"),
    ("ro", "Romanian"),
    ("ru", "Russian"),
    ("sk", "Slovak"),
    ("sl", "Slovenian"),
    ("so", "Somali"),
    ("st", "Sotho"),
    ("es", "Spanish"),
    ("sw", "Swahili"),
    ("sv", "Swedish"),
    ("tl", "Tagalog"),
    ("tg", "Tajik"),
    ("ta", "Tamil"),
    ("th", "Thai"),
    ("tr", "Turkish"),
    ("uk", "Ukrainian"),
    ("ur", "Urdu"),
    ("uz", "Uzbek"),
    ("vi", "Vietnamese"),
    ("yo", "Yoruba"),
    ("zu", "Zulu"),
];

/// Where stop words come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopWords {
    /// The list of the language with this code.
    Language(&'static str),
    /// A file with a word a line.
    File(PathBuf),
}

impl StopWords {
    /// From the command line: code or English name of a language in any case, else a file.
    pub fn parse(text: &str) -> Self {
        let named = |(code, name): &&(&str, &str)| text.eq_ignore_ascii_case(code) || text.eq_ignore_ascii_case(name);
        match LANGUAGES.iter().find(named) {
            Some((code, _)) => StopWords::Language(code),
            None => StopWords::File(text.into()),
        }
    }

    /// The words.
    ///
    /// # Errors
    /// `Usage`, with all languages, where there is neither such a language nor such a file; those of
    /// [`word_list::read`].
    pub fn read(&self) -> Result<Vec<String>> {
        match self {
            StopWords::Language(code) => {
                let words = stop_words::lookup(code).unwrap_or_default();
                Ok(words.iter().map(|&word| word.to_owned()).collect())
            }
            StopWords::File(path) if !path.exists() => {
                let languages = LANGUAGES.map(|(code, name)| format!("{name} ({code})")).join(", ");
                Err(Error::usage(format!(
                    "--stop-words {}: neither a file nor a language; languages are: {languages}",
                    path.display()
                )))
            }
            StopWords::File(path) => word_list::read(path),
        }
    }
}

/// All words of several lists, each once, in order.
///
/// # Errors
/// Those of [`StopWords::read`].
pub fn read_all(lists: &[StopWords]) -> Result<Vec<String>> {
    let mut words = lists.iter().map(StopWords::read).collect::<Result<Vec<_>>>()?.concat();
    words.sort_unstable();
    words.dedup();
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_with_a_list_can_be_named() {
        let mut codes = LANGUAGES.map(|(code, _)| code);
        codes.sort_unstable();
        assert_eq!(codes, stop_words::available_languages());
        assert!(LANGUAGES.is_sorted_by_key(|(_, name)| name));
        for (code, name) in LANGUAGES {
            for text in [code, name, &name.to_uppercase()] {
                assert_eq!(StopWords::parse(text), StopWords::Language(code));
            }
            assert!(StopWords::Language(code).read().unwrap().len() > 20, "{name}");
        }
    }

    #[test]
    fn lists_add_up_and_what_is_none_is_told_with_all_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("words");
        std::fs::write(&path, "zzz\nthe\n").unwrap();
        let file = StopWords::parse(path.to_str().unwrap());
        let words = read_all(&[StopWords::parse("english"), file]).unwrap();
        assert_eq!(words.len(), StopWords::Language("en").read().unwrap().len() + 1);
        assert!(words.is_sorted() && words.contains(&"the".into()) && words.contains(&"zzz".into()));
        let refused = StopWords::parse("elvish").read().unwrap_err();
        assert_eq!(refused.exit_code(), 2);
        let message = refused.to_string();
        assert!(
            message.starts_with("--stop-words elvish: neither a file nor a language; languages are: Afrikaans (af)")
        );
        assert!(message.contains("English (en)") && !message.contains('\n'));
    }
}

//! The form that text is put into before it is cut into tokens: compatible characters as one (NFKC), lower case, no accents.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

use crate::corpus::characters::CharacterClass;

/// What is done to text, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextForm {
    /// Unicode's normal form NFKC: ligatures as their letters, full-width letters as plain ones, accents in one character
    /// with their letters.
    #[serde(default)]
    pub nfkc: bool,
    /// Lower case: the full mapping of Unicode, as Python's `str.lower`.
    pub lowercase: bool,
    /// Accents are left out, as gensim's `deaccent` does it: of the decomposed text (NFD) all marks that take no room (Mn).
    #[serde(default)]
    pub strip_accents: bool,
}

impl Default for TextForm {
    /// Lower case only.
    fn default() -> Self {
        TextForm { nfkc: false, lowercase: true, strip_accents: false }
    }
}

/// Marks that take no room of their own.
static MARKS: LazyLock<CharacterClass> = LazyLock::new(|| CharacterClass::of(r"\p{Mn}"));

impl TextForm {
    /// The text in this form; `scratch` is overwritten.
    pub fn apply<'a>(&self, text: &'a str, scratch: &'a mut String) -> &'a str {
        let plain = TextForm { nfkc: false, strip_accents: false, ..*self };
        // ASCII has no compatible characters and no accents.
        if *self == plain || text.is_ascii() {
            if !self.lowercase {
                return text;
            }
            lower_case(text, scratch);
            return scratch;
        }
        let mut form = match self.nfkc && is_nfkc_quick(text.chars()) != IsNormalized::Yes {
            true => text.nfkc().collect::<String>(),
            false => text.to_owned(),
        };
        if self.lowercase {
            lower_case(&form, scratch);
            std::mem::swap(&mut form, scratch);
        }
        if self.strip_accents {
            scratch.clear();
            scratch.extend(form.nfd().filter(|&character| !MARKS.contains(character)).nfc());
        } else {
            *scratch = form;
        }
        scratch
    }

    /// A word in this form.
    pub fn of(&self, word: &str) -> String {
        self.apply(word, &mut String::new()).to_owned()
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
    fn forms_are_unicodes() {
        let form = |nfkc, lowercase, strip_accents| TextForm { nfkc, lowercase, strip_accents };
        let text = "Ｆｕｌｌ ﬁne e\u{301}É ½ 가\u{11a8} Straße Ångström हिन्दी";
        for (form, expected) in [
            (form(false, false, false), text),
            (form(true, false, false), "Full fine éÉ 1⁄2 각 Straße Ångström हिन्दी"),
            (form(true, true, false), "full fine éé 1⁄2 각 straße ångström हिन्दी"),
            (form(false, true, true), "ｆｕｌｌ ﬁne ee ½ 각 straße angstrom हिनदी"),
            (form(true, true, true), "full fine ee 1⁄2 각 straße angstrom हिनदी"),
        ] {
            assert_eq!(form.of(text), expected, "{form:?}");
        }
        assert_eq!(form(true, true, true).of("Plain"), "plain");
        assert_eq!(form(true, false, true).of("Plain"), "Plain");
    }
}

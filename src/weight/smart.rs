//! The SMART notation: three letters that name a tf-idf scheme (local weight, global weight, normalisation).
//!
//! | place | letters |
//! | --- | --- |
//! | local, of the term frequency tf | `b` binary, `n` or `t` raw, `a` augmented, `l` logarithm, `d` double logarithm, `L` log average |
//! | global, of the document frequency df | `n` or `x` none, `f` idf, `t` zero-corrected idf, `p` probabilistic idf |
//! | normalisation | `n` or `x` none, `c` cosine, `u` pivoted unique, `b` pivoted character length |
//!
//! Reference: C. D. Manning, P. Raghavan, H. Schütze, Introduction to Information Retrieval, section 6.4.3 (2008); the
//! pivots: A. Singhal, C. Buckley, M. Mitra, Pivoted document length normalization, SIGIR 1996. Letters and formulas are
//! those of gensim's `TfidfModel`.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What becomes of a term frequency tf within its document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Local {
    /// `b`: 1.
    Binary,
    /// `n`, `t`: tf.
    Natural,
    /// `a`: 0.5 + 0.5 tf / (largest tf of the document).
    Augmented,
    /// `l`: 1 + log2 tf.
    Logarithm,
    /// `d`: 1 + log2(1 + log2 tf).
    DoubleLogarithm,
    /// `L`: (1 + log2 tf) / (1 + log2 of the mean tf over the document's distinct terms).
    LogAverage,
}

/// What a term is worth by its document frequency df among D documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Global {
    /// `n`, `x`: 1.
    None,
    /// `f`: log2(D / df).
    Idf,
    /// `t`: log2((D + 1) / df).
    ZeroCorrected,
    /// `p`: max(0, log2((D - df) / df)).
    Probabilistic,
}

/// What the weights of a document are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalisation {
    /// `n`, `x`: nothing.
    None,
    /// `c`: their Euclidean length.
    Cosine,
    /// `u`: the number of weighted terms, pivoted.
    PivotedUnique,
    /// `b`: the length in characters, pivoted.
    PivotedCharacters,
}

/// A tf-idf scheme; of letters that mean the same only one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SmartCode {
    /// Local weight, of the term frequency.
    pub local: Local,
    /// Global weight, of the document frequency.
    pub global: Global,
    /// Normalisation of the document.
    pub normalisation: Normalisation,
}

impl SmartCode {
    /// Reads three letters such as `nfc`.
    ///
    /// # Errors
    /// A usage error that lists the letters when there are not three of them or one is unknown in its place.
    pub fn parse(code: &str) -> Result<Self> {
        let letters: Vec<char> = code.chars().collect();
        let &[local, global, normalisation] = letters.as_slice() else {
            return Err(unknown(code, "three letters are wanted"));
        };
        let local = match local {
            'b' => Local::Binary,
            'n' | 't' => Local::Natural,
            'a' => Local::Augmented,
            'l' => Local::Logarithm,
            'd' => Local::DoubleLogarithm,
            'L' => Local::LogAverage,
            other => return Err(unknown(code, &format!("{other:?} is no local weight"))),
        };
        let global = match global {
            'n' | 'x' => Global::None,
            'f' => Global::Idf,
            't' => Global::ZeroCorrected,
            'p' => Global::Probabilistic,
            other => return Err(unknown(code, &format!("{other:?} is no global weight"))),
        };
        let normalisation = match normalisation {
            'n' | 'x' => Normalisation::None,
            'c' => Normalisation::Cosine,
            'u' => Normalisation::PivotedUnique,
            'b' => Normalisation::PivotedCharacters,
            other => return Err(unknown(code, &format!("{other:?} is no normalisation"))),
        };
        Ok(SmartCode { local, global, normalisation })
    }
}

fn unknown(code: &str, why: &str) -> Error {
    Error::usage(format!(
        "SMART code \"{}\": {why}; give one local weight of b, t or n, a, l, d, L, one global weight of x or n, f, t, p \
         and one normalisation of x or n, c, u, b, such as nfc",
        code.escape_debug()
    ))
}

/// gensim's default: raw frequency, idf, cosine.
impl Default for SmartCode {
    fn default() -> Self {
        SmartCode { local: Local::Natural, global: Global::Idf, normalisation: Normalisation::Cosine }
    }
}

impl FromStr for SmartCode {
    type Err = Error;

    fn from_str(code: &str) -> Result<Self> {
        Self::parse(code)
    }
}

impl TryFrom<String> for SmartCode {
    type Error = Error;

    fn try_from(code: String) -> Result<Self> {
        Self::parse(&code)
    }
}

impl From<SmartCode> for String {
    fn from(code: SmartCode) -> Self {
        code.to_string()
    }
}

impl fmt::Display for SmartCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let local = match self.local {
            Local::Binary => 'b',
            Local::Natural => 'n',
            Local::Augmented => 'a',
            Local::Logarithm => 'l',
            Local::DoubleLogarithm => 'd',
            Local::LogAverage => 'L',
        };
        let global = match self.global {
            Global::None => 'n',
            Global::Idf => 'f',
            Global::ZeroCorrected => 't',
            Global::Probabilistic => 'p',
        };
        let normalisation = match self.normalisation {
            Normalisation::None => 'n',
            Normalisation::Cosine => 'c',
            Normalisation::PivotedUnique => 'u',
            Normalisation::PivotedCharacters => 'b',
        };
        write!(f, "{local}{global}{normalisation}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_aliases_meet() {
        let mut distinct = std::collections::BTreeSet::new();
        for local in "btnaldL".chars() {
            for global in "xnftp".chars() {
                for normalisation in "xncub".chars() {
                    let code = SmartCode::parse(&format!("{local}{global}{normalisation}")).unwrap();
                    assert_eq!(SmartCode::parse(&code.to_string()).unwrap(), code);
                    distinct.insert(code.to_string());
                }
            }
        }
        assert_eq!(distinct.len(), 6 * 4 * 4);
        assert_eq!(SmartCode::parse("txx").unwrap().to_string(), "nnn");
        assert_eq!(SmartCode::default().to_string(), "nfc");
    }

    #[test]
    fn a_wrong_code_is_a_usage_error_that_lists_the_letters() {
        for wrong in ["", "nf", "nfcc", "zfc", "nzc", "nfz", "Nfc", "nfc.lnc", "ñfc", "n\nc"] {
            let error = SmartCode::parse(wrong).unwrap_err();
            let text = error.to_string();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
            assert!(text.contains("a, l, d, L") && text.contains("f, t, p") && text.contains("c, u, b"), "{text}");
            assert_eq!(text.lines().count(), 1);
        }
    }
}

//! Whether a model may be used on a corpus: columns that mean the same terms, values that mean the same thing.

use crate::corpus::container::Values;
use crate::error::{Error, Result};
use std::path::Path;

/// Refuses a corpus whose dictionary is not, term by term, that of the model. Both files are named in the error.
pub fn same_terms(model: &Path, known: &[String], corpus: &Path, given: &[String]) -> Result<()> {
    if known == given {
        return Ok(());
    }
    let difference = match known.iter().zip(given).position(|(ours, theirs)| ours != theirs) {
        Some(at) => format!("term {at} is {:?} and not {:?}", given[at], known[at]),
        None => format!("{} terms and not {}", given.len(), known.len()),
    };
    Err(Error::failed(format!(
        "{}: its dictionary is not that of the model {} ({difference}); make it again with `corpuscle build \
         --dictionary` and the model, or `corpuscle split` one corpus before training",
        corpus.display(),
        model.display()
    )))
}

/// Refuses a corpus of other values than the model was made from: `wanted` is "counts" or the code of a weighting.
pub fn same_values(model: &Path, wanted: &str, corpus: &Path, given: &Values) -> Result<()> {
    if given.name() == wanted {
        return Ok(());
    }
    let kind = |values: &str| match values {
        "counts" => "counts".to_string(),
        code => format!("{code} weights"),
    };
    let remedy = match (wanted, given) {
        ("counts", _) => "use the corpus of counts that it was weighted from",
        (_, Values::Counts) => {
            "weight it with `corpuscle tfidf --model` and the model that `--model-out` wrote for the training corpus"
        }
        _ => {
            "weight the corpus of counts with `corpuscle tfidf --model` and the model of the weights of the training corpus"
        }
    };
    Err(Error::failed(format!(
        "{}: holds {} but the model {} was made from {}; {remedy}",
        corpus.display(),
        kind(given.name()),
        model.display(),
        kind(wanted)
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_of_two_dictionaries_is_named() {
        let list = |terms: &[&str]| terms.iter().map(ToString::to_string).collect::<Vec<_>>();
        let compare = |known: &[&str], given: &[&str]| {
            same_terms(Path::new("m.h5"), &list(known), Path::new("c.h5"), &list(given)).map_err(|e| e.to_string())
        };
        assert_eq!(compare(&["a", "b"], &["a", "b"]), Ok(()));
        let other = compare(&["a", "b", "c"], &["a", "x"]).unwrap_err();
        assert!(other.starts_with("c.h5: ") && other.contains("m.h5 (term 1 is \"x\" and not \"b\")"), "{other}");
        assert!(compare(&["a", "b"], &["a"]).unwrap_err().contains("(1 terms and not 2)"));
    }

    #[test]
    fn values_of_another_kind_are_refused_with_the_remedy() {
        let compare = |wanted: &str, given: Values| {
            same_values(Path::new("m.h5"), wanted, Path::new("c.h5"), &given).map_err(|e| e.to_string())
        };
        assert_eq!(compare("counts", Values::Counts), Ok(()));
        assert_eq!(compare("nfc", Values::Weights("nfc".into())), Ok(()));
        let counts = compare("nfc", Values::Counts).unwrap_err();
        assert!(counts.starts_with("c.h5: holds counts but the model m.h5 was made from nfc weights"), "{counts}");
        assert!(counts.contains("tfidf --model"));
        assert!(compare("counts", Values::Weights("nfc".into())).unwrap_err().contains("corpus of counts"));
        assert!(compare("lfc", Values::Weights("nfc".into())).unwrap_err().contains("holds nfc weights"));
    }
}

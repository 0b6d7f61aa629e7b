//! Mallet's one instance per line: an id, a label, and the text behind them, separated by blanks.

use std::borrow::Cow;

use super::{RawDocument, Source};
use crate::error::Result;

pub(super) fn documents(
    source: &Source,
    text: &str,
    each: &mut dyn FnMut(RawDocument<'_>) -> Result<()>,
) -> Result<()> {
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let (id, rest) = word(line);
        let (label, rest) = word(rest);
        if label.is_empty() {
            return Err(source.error(at, "expected an id, a label and text, separated by blanks"));
        }
        each(RawDocument {
            text: Cow::Borrowed(rest.trim()),
            id: Some(Cow::Borrowed(id)),
            label: Some(Cow::Borrowed(label)),
        })?;
        at += line.len();
    }
    Ok(())
}

/// The first word of a line, and what is behind it.
fn word(line: &str) -> (&str, &str) {
    let line = line.trim_start();
    line.split_at(line.find(char::is_whitespace).unwrap_or(line.len()))
}

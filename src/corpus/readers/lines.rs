//! A document per line. An empty line is an empty document, so that documents stay aligned with lines.

use std::borrow::Cow;

use memchr::memchr;

use super::RawDocument;
use crate::error::Result;

pub(super) fn documents(mut text: &str, each: &mut dyn FnMut(RawDocument<'_>) -> Result<()>) -> Result<()> {
    while !text.is_empty() {
        let newline = memchr(b'\n', text.as_bytes());
        let line = &text[..newline.unwrap_or(text.len())];
        text = newline.map_or("", |end| &text[end + 1..]);
        let line = line.strip_suffix('\r').unwrap_or(line);
        each(RawDocument { text: Cow::Borrowed(line), id: None, label: None })?;
    }
    Ok(())
}

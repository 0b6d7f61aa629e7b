//! The pages of a MediaWiki dump that are articles, their markup taken away.

use std::borrow::Cow;

use super::{RawDocument, Source};
use crate::corpus::text::InvalidUtf8;
use crate::corpus::wiki::page::{Page, pages};
use crate::error::{Error, Result};

pub(super) fn documents(source: &Source<'_>, each: &mut dyn FnMut(RawDocument<'_>) -> Result<()>) -> Result<()> {
    let Source { plan, piece, bytes } = source;
    let path = plan.files[piece.file as usize].path.display();
    for span in pages(bytes, bytes.len()) {
        let xml = match (std::str::from_utf8(&bytes[span.clone()]), plan.invalid_utf8) {
            (Ok(xml), _) => Cow::Borrowed(xml),
            (Err(_), InvalidUtf8::Replace) => String::from_utf8_lossy(&bytes[span]),
            (Err(_), InvalidUtf8::Refuse) => {
                let title = title(&String::from_utf8_lossy(&bytes[span]));
                return Err(Error::failed(format!("{path}: page \"{title}\": {}", super::NOT_UTF8)));
            }
        };
        let page =
            Page::parse(&xml).map_err(|what| Error::failed(format!("{path}: page \"{}\": {what}", title(&xml))))?;
        if !plan.wiki.takes(&page) {
            continue;
        }
        let text = Cow::Owned(plan.wiki.text(&page));
        let field = |name: Option<&String>| match name.map(String::as_str) {
            Some("id") => Some(page.id.clone()),
            Some("namespace") => Some(page.namespace.clone()),
            Some(_) => Some(page.title.clone()),
            None => None,
        };
        each(RawDocument { text, id: field(plan.fields.id.as_ref()), label: field(plan.fields.label.as_ref()) })?;
    }
    Ok(())
}

/// What a broken page calls itself, for a message.
fn title(xml: &str) -> String {
    let title = xml.split_once("<title>").and_then(|(_, rest)| rest.split_once('<'));
    title.map_or("?", |(title, _)| title).chars().take(80).collect()
}

//! A page of a MediaWiki dump, as its XML has it.

use std::borrow::Cow;
use std::fmt::Display;
use std::ops::Range;

use memchr::memmem;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;

/// What a page begins with. Text has its `<` escaped, so this stands nowhere else.
pub const OPEN: &str = "<page>";
/// What a page ends with.
pub const CLOSE: &str = "</page>";

/// A page, with the escapes of XML undone.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page<'a> {
    /// Its title, the name of its namespace included.
    pub title: Cow<'a, str>,
    /// Number of its namespace; 0 holds the articles.
    pub namespace: Cow<'a, str>,
    /// Its number.
    pub id: Cow<'a, str>,
    /// It only leads to another page.
    pub redirect: bool,
    /// The markup of its first revision.
    pub text: Cow<'a, str>,
}

impl<'a> Page<'a> {
    /// Parses the XML of a page, from [`OPEN`] to [`CLOSE`].
    ///
    /// # Errors
    /// What is wrong with it: not well-formed, or without a title, an id or a text.
    pub fn parse(xml: &'a str) -> Result<Self, String> {
        let wrong = |cause: &dyn Display| format!("not XML as it should be: {}", crate::error::one_line(&cause));
        let mut reader = Reader::from_str(xml);
        let mut page = Page::default();
        let mut found = [false; 3];
        // Names of the elements that are open: those of interest lie in "page", the text in a "revision" of it.
        let mut open: Vec<&str> = Vec::new();
        loop {
            match reader.read_event().map_err(|cause| wrong(&cause))? {
                Event::Start(start) => {
                    let name = start.name();
                    let (place, known) = match (&open[..], name.0) {
                        ([_], "title") => (&mut page.title, 0),
                        ([_], "ns") => (&mut page.namespace, 3),
                        ([_], "id") => (&mut page.id, 1),
                        ([_, "revision"], "text") if !found[2] => (&mut page.text, 2),
                        (_, "revision") => {
                            open.push("revision");
                            continue;
                        }
                        ([_], "redirect") => {
                            page.redirect = true;
                            open.push("redirect");
                            continue;
                        }
                        _ => {
                            open.push("");
                            continue;
                        }
                    };
                    let begin = reader.buffer_position() as usize;
                    let span = reader.read_to_end(name).map_err(|cause| wrong(&cause))?;
                    let content = begin..begin + (span.end - span.start) as usize;
                    *place = content_of(&xml[content]).map_err(|cause| wrong(&cause))?;
                    if let Some(found) = found.get_mut(known) {
                        *found = true;
                    }
                }
                Event::Empty(element) => match (&open[..], element.name().0) {
                    ([_], "redirect") => page.redirect = true,
                    // A page without text.
                    ([_, "revision"], "text") => found[2] = true,
                    _ => {}
                },
                Event::End(_) => {
                    open.pop();
                }
                Event::Eof => break,
                _ => {}
            }
        }
        let names = ["title", "id", "text"];
        match names.iter().zip(found).find(|(_, found)| !found) {
            Some((name, _)) => Err(format!("it has no {name}")),
            None => Ok(page),
        }
    }
}

/// Text as it stands in an element, its escapes undone.
fn content_of(raw: &str) -> Result<Cow<'_, str>, quick_xml::escape::EscapeError> {
    match raw.strip_prefix("<![CDATA[").and_then(|raw| raw.strip_suffix("]]>")) {
        Some(plain) if !plain.contains("]]>") => Ok(Cow::Borrowed(plain)),
        _ => unescape(raw),
    }
}

/// Where the pages lie that begin before `limit`, which end within the bytes.
pub fn pages(bytes: &[u8], limit: usize) -> impl Iterator<Item = Range<usize>> + '_ {
    let (open, close) = (memmem::Finder::new(OPEN).into_owned(), memmem::Finder::new(CLOSE).into_owned());
    let mut at = 0;
    std::iter::from_fn(move || {
        let begin = at + open.find(&bytes[at..])?;
        let end = begin + close.find(&bytes[begin..])? + CLOSE.len();
        at = end;
        (begin < limit).then_some(begin..end)
    })
}

/// A digest of all pages in some bytes and their length: the sum, as whole numbers of 64 bits, of the BLAKE3 of each, so that
/// it does not depend on which pages come together. Sums are added by [`add_digest`].
pub fn digest(bytes: &[u8]) -> ([u8; 32], u64) {
    pages(bytes, bytes.len()).fold(([0; 32], 0), |(sum, length), page| {
        (add_digest(sum, *blake3::hash(&bytes[page.clone()]).as_bytes()), length + page.len() as u64)
    })
}

/// The digest of the pages of two.
pub fn add_digest(one: [u8; 32], other: [u8; 32]) -> [u8; 32] {
    let word = |digest: &[u8; 32], at: usize| u64::from_le_bytes(std::array::from_fn(|byte| digest[8 * at + byte]));
    let sums: [[u8; 8]; 4] = std::array::from_fn(|at| word(&one, at).wrapping_add(word(&other, at)).to_le_bytes());
    std::array::from_fn(|byte| sums[byte / 8][byte % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_page_are_found() {
        let xml = "<page>\n<title>A &amp; B</title><ns>0</ns><id>12</id><redirect title=\"x\" />\n<revision><id>99</id>\
                   <contributor><id>1</id></contributor><comment>text</comment>\
                   <text xml:space=\"preserve\">&lt;b&gt; é &amp;nbsp;</text></revision>\
                   <revision><id>98</id><text>older</text></revision></page>";
        let page = Page::parse(xml).unwrap();
        let text = |text: &'static str| Cow::Borrowed(text);
        let expected = Page {
            title: text("A & B"),
            namespace: text("0"),
            id: text("12"),
            redirect: true,
            text: text("<b> é &nbsp;"),
        };
        assert_eq!(page, expected);
        let bare =
            Page::parse("<page><title>A</title><id>1</id><revision><text bytes=\"0\" /></revision></page>").unwrap();
        assert_eq!((&*bare.text, bare.redirect), ("", false));
        let plain = "<page><title>A</title><id>1</id><revision><text><![CDATA[<x> & y]]></text></revision></page>";
        assert_eq!(Page::parse(plain).unwrap().text, "<x> & y");
    }

    #[test]
    fn what_is_no_page_is_refused() {
        for (xml, expected) in [
            ("<page><title>A</title><id>1</id></page>", "it has no text"),
            ("<page><id>1</id><revision><text>x</text></revision></page>", "it has no title"),
            ("<page><title>A</title><id>1</id><revision><text>&nothing;</text></revision></page>", "not XML"),
            ("<page><title>A</b></title></page>", "not XML"),
        ] {
            let message = Page::parse(xml).unwrap_err();
            assert!(message.contains(expected) && !message.contains('\n'), "{message}");
        }
    }

    #[test]
    fn pages_are_found_by_where_they_begin() {
        let bytes = b"head<page>a</page>\n<page>b</page><page>c";
        assert_eq!(pages(bytes, bytes.len()).collect::<Vec<_>>(), [4..18, 19..33]);
        assert!(pages(bytes, 19).eq(std::iter::once(4..18)));
        assert_eq!(pages(b"ge>x</page>", 11).count(), 0);
    }

    #[test]
    fn a_digest_is_that_of_the_pages_however_they_are_cut() {
        let (one, other) = (b"x<page>a</page>", b"<page>b</page>yz");
        let (sum, length) = digest(&[&one[..], other].concat());
        assert_eq!((sum, length), (add_digest(digest(one).0, digest(other).0), 28));
        assert_ne!(sum, digest(&[&one[..], one].concat()).0);
    }
}

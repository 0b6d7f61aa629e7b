//! Wiki markup to plain text, as gensim's `filter_wiki` has it.
//!
//! Markup nests, and no grammar describes what authors write, so it is taken away from the inside out by passes over the text:
//! first templates and captions of files, which are found by counting brackets; then, up to three times or until nothing
//! changes, elements, links and tables. Each pass copies the text once and stops at the bytes that matter to it.
//!
//! Which text is left decides which tokens an article has, so the passes take away what those of gensim's regular
//! expressions do, also where markup is broken: an element ends with the first `/>` in it, a template that is never closed takes the
//! rest of the article along. One thing differs: gensim knows the entities of HTML 4 only, here those of HTML 5 are characters
//! too.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2, memmem};

use super::tables;

/// The most passes over what nests.
const ROUNDS: usize = 3;

/// The plain text of an article; `source` is its markup, without the escapes of XML.
pub fn plain_text(source: &str) -> String {
    let text = entities(source);
    let text = without_language_links(&text);
    let mut text = with_captions(&without_templates(&text));
    for _ in 0..ROUNDS {
        let before = text.len();
        let next = simplified(&text);
        // Passes never move text: what is as long and equal has not changed.
        let settled = before == next.len() && text == next;
        text = next;
        if settled {
            break;
        }
    }
    text.retain(|character| !matches!(character, '[' | ']'));
    text
}

/// One round of everything that may hide more of its kind.
fn simplified(text: &str) -> String {
    let text = without(text, "<!--", &["-->"], |_| true);
    let mut text = text.into_owned();
    for (open, close) in [("<ref", "</ref>"), ("<nowiki", "</nowiki>"), ("<math", "</math>")] {
        let inside = |rest: &str| rest.starts_with(['>', ' ']);
        if let Cow::Owned(less) = without(&text, open, &[close, "/>"], inside) {
            text = less;
        }
    }
    if let Cow::Owned(less) = without(&text, "<", &[">"], |_| true) {
        text = less;
    }
    let text = without_categories(&text);
    let text = with_descriptions(&text);
    let text = with_link_texts(&text);
    tables::without_tables(text).replace("[]", "")
}

/// A text without all stretches from `open` to the first of `closes`, both included; what follows `open` must be as
/// `inside` says. The character that `inside` looked at is no part of a closing.
fn without<'a>(text: &'a str, open: &str, closes: &[&str], inside: impl Fn(&str) -> bool) -> Cow<'a, str> {
    let bytes = text.as_bytes();
    let finder = memmem::Finder::new(open);
    let skip = usize::from(closes.len() > 1);
    let mut kept = String::new();
    let (mut copied, mut at) = (0, 0);
    let mut absent = [false; 2];
    while let Some(found) = finder.find(&bytes[at..]) {
        let begin = at + found;
        let behind = begin + open.len();
        if !inside(&text[behind..]) {
            at = behind;
            continue;
        }
        let end = nearest(&bytes[behind + skip..], closes, &mut absent);
        // Nothing closes what opens further on either.
        let Some(end) = end else { break };
        kept.reserve(text.len());
        kept.push_str(&text[copied..begin]);
        at = behind + skip + end;
        copied = at;
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[copied..]);
    Cow::Owned(kept)
}

/// Bytes up to the end of the closing that comes first. `absent` notes which do not come any more.
fn nearest(rest: &[u8], closes: &[&str], absent: &mut [bool; 2]) -> Option<usize> {
    let mut end: Option<usize> = None;
    for (close, absent) in closes.iter().zip(absent) {
        if *absent {
            continue;
        }
        // Of a later one only what ends before the earlier one does is of interest.
        let found = match close.as_bytes() {
            [byte] => memchr(*byte, rest),
            bytes => memmem::find(&rest[..end.unwrap_or(rest.len())], bytes),
        };
        *absent = found.is_none() && end.is_none();
        end = found.map(|found| found + close.len()).or(end);
    }
    end
}

/// HTML's character references as characters.
fn entities(text: &str) -> Cow<'_, str> {
    let Some(first) = memchr(b'&', text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len());
    out.push_str(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = memchr(b'&', rest.as_bytes()) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // A name has up to 8 letters and digits, behind "#" and "x" where it is a number.
        let end = rest.char_indices().take(12).find(|&(_, character)| character == ';').map(|(end, _)| end);
        let character = end.and_then(|end| character(&rest[1..end]));
        match (character, end) {
            (Some(character), Some(end)) => {
                out.push_str(&character);
                rest = &rest[end + 1..];
            }
            _ => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character that a reference names.
fn character(name: &str) -> Option<Cow<'static, str>> {
    let Some(number) = name.strip_prefix('#') else {
        return quick_xml::escape::resolve_html5_entity(name).map(Cow::Borrowed);
    };
    let number = match number.strip_prefix(['x', 'X']) {
        Some(number) => u32::from_str_radix(number, 16),
        None => number.parse(),
    };
    char::from_u32(number.ok()?).map(|character| Cow::Owned(character.to_string()))
}

/// A text without the links to other languages at its end.
fn without_language_links(text: &str) -> Cow<'_, str> {
    // A line break at the very end stays where it is.
    let (mut body, tail) = text.strip_suffix('\n').map_or((text, ""), |body| (body, "\n"));
    let whole = body.len();
    while let Some(link) = body.strip_suffix("]]")
        && let Some(colon) = link.rfind([':', ']'])
        && link[colon..].starts_with(':')
        && link.len() > colon + 1
    {
        let language = link[..colon].trim_end_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
        let name = &link[language.len()..colon];
        let letters = name.len() >= 2 && name.bytes().take(2).all(|byte| byte.is_ascii_lowercase());
        match language.strip_suffix("\n[[") {
            Some(before) if letters => body = before,
            _ => break,
        }
    }
    if body.len() == whole { Cow::Borrowed(text) } else { Cow::Owned([body, tail].concat()) }
}

/// A text without its templates, which nest, told by their braces alone.
fn without_templates(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let mut copied = 0;
    while let Some(found) = memmem::find(&bytes[copied..], b"{{") {
        let begin = copied + found;
        kept.push_str(&text[copied..begin]);
        let mut depth = 0_i64;
        let mut at = begin;
        loop {
            // Never closed: the rest goes with it.
            let Some(found) = memchr2(b'{', b'}', &bytes[at..]) else { return kept };
            at += found + 1;
            depth += if bytes[at - 1] == b'{' { 1 } else { -1 };
            if depth == 0 {
                break;
            }
        }
        copied = at;
    }
    kept.push_str(&text[copied..]);
    kept
}

/// A text with the captions of files and images in place of them.
fn with_captions(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memmem::find(&bytes[at..], b"[[") {
        let begin = at + found;
        at = begin + 1;
        let inside = begin + 2;
        let file = match &bytes[inside..] {
            [b'f' | b'F', rest @ ..] => rest.starts_with(b"ile:"),
            [b'i' | b'I', rest @ ..] => rest.starts_with(b"mage"),
            _ => false,
        };
        if !file {
            continue;
        }
        let Some(length) = memchr(b']', &bytes[inside..]) else { break };
        let end = inside + length;
        if bytes.get(end + 1) == Some(&b']') {
            kept.push_str(&text[copied..begin]);
            let link = &text[begin..end];
            kept.push_str(link.rsplit('|').next().unwrap_or(link));
            (copied, at) = (end + 2, end + 2);
        }
    }
    kept.push_str(&text[copied..]);
    kept
}

/// A text without the categories it is put into.
fn without_categories(text: &str) -> Cow<'_, str> {
    const OPEN: &[u8] = b"[[Category:";
    let bytes = text.as_bytes();
    let mut kept = String::new();
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memmem::find(&bytes[at..], OPEN) {
        let begin = at + found;
        at = begin + OPEN.len();
        let Some(bracket) = memchr2(b'[', b']', &bytes[at..]) else { break };
        if bytes[at + bracket..].starts_with(b"]]") {
            kept.push_str(&text[copied..begin]);
            at += bracket + 2;
            copied = at;
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    kept.push_str(&text[copied..]);
    Cow::Owned(kept)
}

/// A text with the descriptions of links to other sites in place of them.
fn with_descriptions(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let mut copied = 0;
    // What is before "://" is a word between it and a bracket.
    for found in memmem::find_iter(bytes, b"://") {
        if found < copied {
            continue;
        }
        let scheme = text[copied..found].trim_end_matches(|c: char| c.is_alphanumeric() || c == '_');
        let begin = copied + scheme.len();
        if begin == found || !scheme.ends_with('[') {
            continue;
        }
        let line = &bytes[found + 3..];
        let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
        let Some(address) = memchr2(b' ', b']', line) else { continue };
        let Some(end) = memchr(b']', &line[address..]) else { continue };
        kept.push_str(&text[copied..begin - 1]);
        let description = found + 3 + address;
        kept.push_str(&text[description..description + end]);
        copied = description + end + 1;
    }
    kept.push_str(&text[copied..]);
    kept
}

/// A text with what stands for each link in its place: all behind the last bar within a pair of brackets.
fn with_link_texts(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let mut copied = 0;
    let mut open = None;
    let mut at = 0;
    while let Some(found) = memchr2(b'[', b']', &bytes[at..]) {
        at += found + 1;
        if bytes[at - 1] == b'[' {
            open = Some(at);
        } else if let Some(begin) = open.take()
            && let Some(bar) = memchr_iter(b'|', &bytes[begin..at - 1]).next_back()
        {
            kept.push_str(&text[copied..begin - 1]);
            kept.push_str(&text[begin + bar + 1..at - 1]);
            copied = at;
        }
    }
    kept.push_str(&text[copied..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_words_stay() {
        for (source, expected) in [
            ("plain '''bold'''", "plain '''bold'''"),
            ("a<!-- no\n -->b", "ab"),
            ("a<ref name=x>{{cite|url}} no</ref>b<ref name=\"y\" />c<references/>", "abc"),
            // An element ends with the first "/>".
            ("a<ref>no<br/>rest</ref>b", "arestb"),
            ("x<math>\\frac{a}{b}</math>y<nowiki>[[no]]</nowiki>z", "xyz"),
            ("1 <b>bold</b> 2", "1 bold 2"),
            ("never <closed", "never <closed"),
            ("{{Infobox|a={{b|c}}\n|d}}text", "text"),
            ("text {{never closed", "text "),
            ("[[A]] and [[b|the c]]", "A and the c"),
            ("[[File:x.jpg|thumb|A [[cat]] sits]]!", "A cat sits!"),
            ("[[Image:x.jpg|thumb|caption]] [[image:y.png]]", "caption image:y.png"),
            ("see [http://x.org/a the site] or [https://y.org]", "see  the site or "),
            ("[//x.org no scheme] [http://x\ny]", "//x.org no scheme http://x\ny"),
            ("text[[Category:A]][[Category:B|*]]", "text"),
            ("end\n[[de:Ende]]\n[[zh-min-nan:X]]", "end"),
            ("end\n[[de:Ende]]\n", "end\n"),
            ("end\n[[De:Ende]]", "end\nDe:Ende"),
            ("&amp;nbsp; &lt;i&gt;x&lt;/i&gt; &#65;&#x42; &unknown; AT&T", "&nbsp; x AB &unknown; AT&T"),
            ("é[[ü|ö]]{{ß}}", "éö"),
            ("", ""),
        ] {
            assert_eq!(plain_text(source), expected, "{source:?}");
        }
    }

    #[test]
    fn nothing_in_any_order_is_too_much() {
        let parts = [
            "{{", "}}", "[[", "]]", "|", "\n", "<ref>", "/>", "<!--", "é", "http://", " ", "{|", "|-", "!!", "&#", ";",
            "[", "File:",
        ];
        let mut stream = crate::random::Stream::new(7, "markup", 0);
        for _ in 0..3000 {
            let length = stream.below(30);
            let source = (0..length).map(|_| parts[stream.below(parts.len() as u64) as usize]).collect::<String>();
            let text = plain_text(&source);
            assert!(!text.contains(['[', ']']), "{source:?}");
        }
    }
}

//! Tables of wiki markup: what stands in their cells stays, a line each; all about their looks goes.

use memchr::{memchr, memchr_iter, memchr2, memchr3};

/// Characters at the beginning of a line within which a word about looks makes all of it markup; of the whole text.
const MARGIN: (usize, usize) = (4, 2);

/// A text with the contents of cells in place of tables.
pub(super) fn without_tables(text: String) -> String {
    // A bar or an exclamation mark begins everything but lines of nothing but looks.
    let text = if memchr2(b'|', b'!', text.as_bytes()).is_some() {
        let text = text.replace("!!", "\n|").replace("|-||", "\n|");
        let text = without_rows(&text).replace("|||", "|\n|").replace("||", "\n|");
        without_cell_formats(&text)
    } else {
        text
    };
    without_formats(&text)
}

/// A text with a line break in place of what begins, ends or parts the rows of a table, up to the end of the line.
fn without_rows(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr2(b'{', b'|', &bytes[at..]) {
        let begin = at + found;
        at = begin + 1;
        let row = match &bytes[begin..] {
            [b'{', b'|', ..] | [b'|', b'}', ..] => true,
            // "|-5" is a negative number in a cell.
            [b'|', b'-', ..] => !text[begin + 2..].starts_with(char::is_numeric),
            _ => false,
        };
        if row {
            let Some(end) = memchr(b'\n', &bytes[begin + 2..]) else { continue };
            kept.push_str(&text[copied..begin]);
            kept.push('\n');
            (copied, at) = (begin + 2 + end, begin + 2 + end);
        }
    }
    kept.push_str(&text[copied..]);
    kept
}

/// A text with a line break in place of the sign that begins a cell, at the beginning of a line or behind a gap, and of what is said about
/// the looks of the cell before a further bar.
fn without_cell_formats(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let (mut copied, mut at) = (0, 0);
    while let Some(found) = memchr2(b'|', b'!', &bytes[at..]) {
        let begin = at + found;
        at = begin + 1;
        let cell = match bytes[..begin] {
            [.., b'\n' | b' ', b' '] => true,
            [.., before, b'\t'] => before != b'\n',
            [.., _, b'\n'] => true,
            _ => false,
        };
        if !cell {
            continue;
        }
        kept.push_str(&text[copied..begin]);
        kept.push('\n');
        let rest = &bytes[begin + 1..];
        let reach = memchr3(b'[', b']', b'\n', rest).unwrap_or(rest.len());
        at = begin + 1 + memchr_iter(b'|', &rest[..reach]).next_back().map_or(0, |bar| bar + 1);
        copied = at;
    }
    kept.push_str(&text[copied..]);
    kept
}

/// A text without lines that begin with something about looks, each with the line break before it; one more takes its place.
fn without_formats(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut kept = String::with_capacity(text.len());
    let mut copied = 0;
    let end_of_line = |from: usize| memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |end| from + end);
    let first = end_of_line(0);
    if is_format(&text[..first], MARGIN.1, false) {
        kept.push('\n');
        copied = first;
    }
    for newline in memchr_iter(b'\n', bytes) {
        let end = newline + 1;
        // What is looked at lies within this many bytes.
        let most = (end + 40).min(bytes.len());
        let end = memchr(b'\n', &bytes[end..most]).map_or(most, |length| end + length);
        let line = &text[newline + 1..floor(text, end)];
        if is_format(line, MARGIN.0, true) {
            kept.push_str(&text[copied..newline]);
            kept.push('\n');
            copied = end_of_line(newline + 1);
        }
    }
    kept.push_str(&text[copied..]);
    kept
}

/// The last boundary of a character up to `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// Whether a word about looks begins within the first characters of a line.
fn is_format(line: &str, margin: usize, scope: bool) -> bool {
    line.char_indices().map(|(at, _)| at).take(margin + 1).any(|at| {
        let rest = &line[at..];
        // The letters that such words, and the numbers before one of them, begin with.
        match rest.as_bytes()[0] {
            b'b' => rest.starts_with("bgcolor"),
            b'r' => rest.starts_with("rowspan"),
            b's' => rest.starts_with("style=") || scope && rest.starts_with("scope="),
            b'a' => rest.starts_with("align="),
            b'c' if rest.starts_with("class=") => true,
            _ => {
                let rest = rest.strip_prefix(char::is_numeric).unwrap_or(rest);
                rest.strip_prefix(' ').unwrap_or(rest).starts_with("colspan")
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        without_tables(text.to_owned()).split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn cells_stay_and_their_looks_go() {
        let table = "before\n{| class=\"wikitable\" style=\"x\"\n|+ caption\n|-\n! scope=\"col\" | Head !! Other\n|- align=right\n\
                     | style=\"a\" | one || two\n| -5 || colspan=2 | wide\n|}\nafter";
        assert_eq!(words(table), ["before", "+", "caption", "Head", "Other", "one", "two", "-5", "wide", "after"]);
    }

    #[test]
    fn what_only_looks_like_a_table_stays() {
        for text in ["a | b", "wow! really", "the class of 2000", "x {1} y", "|-5"] {
            assert_eq!(words(text), text.split_whitespace().collect::<Vec<_>>(), "{text}");
        }
        assert_eq!(words("text\n  style=x\nmore"), ["text", "more"]);
        assert_eq!(words("text\n     style=x\nmore"), ["text", "style=x", "more"]);
        assert_eq!(words("ß\n1 colspan=2\nä"), ["ß", "ä"]);
    }
}

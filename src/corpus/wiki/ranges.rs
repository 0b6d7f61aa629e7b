//! The pages of a range of a dump compressed by bzip2.
//!
//! The file is cut at fixed distances, wherever that is. A range has the blocks that begin in it, and the pages whose `<page>`
//! begins in one of those blocks; blocks behind the range are decompressed until its last page ends. So every page belongs to
//! one range, whoever reads it, and nobody has to read the file before the work begins. A dump in many streams
//! (`multistream`) is nothing special: streams are blocks too, and its index is not needed.
//!
//! What it costs: about one block more than the range has, which at 4 MiB is one in twenty.

use std::path::Path;

use memchr::memmem;

use super::page::{CLOSE, OPEN, pages};
use crate::corpus::bzip2_blocks::BlockFile;
use crate::corpus::text::MAX_RECORD_BYTES;
use crate::error::{Error, Result};

/// What a dump ends with.
pub const LAST: &str = "</mediawiki>";

/// The text of the pages of a range of the compressed file, from the first `<page>` to the last `</page>`; empty if none
/// begins there. Blocks are decompressed by all threads of the pool at once.
///
/// # Errors
/// The file cannot be read, is damaged, or ends within a page or before the end of the dump.
pub fn read(path: &Path, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
    let file = BlockFile::open(path)?;
    let refuse = |why: &str| Err(Error::failed(format!("{}: {why}", path.display())));
    let run = file.run(range)?;
    let (mut text, mut next) = (run.bytes, run.next);
    let own = text.len();
    if own == 0 {
        return Ok(text);
    }
    if next.is_none()
        && !(text.trim_ascii_end().ends_with(LAST.as_bytes()) || LAST.as_bytes().ends_with(text.trim_ascii_end()))
    {
        return refuse("does not end with </mediawiki>: is it complete?");
    }
    while is_open(&text, own) {
        let Some(bit) = next else { return refuse("ends within a page: is it complete?") };
        let more = file.block(bit)?;
        text.extend_from_slice(&more.bytes);
        next = more.next;
        if (text.len() - own) as u64 > MAX_RECORD_BYTES {
            return refuse("a page does not end within 1 GiB: is this a dump of MediaWiki?");
        }
    }
    let mut span: Option<std::ops::Range<usize>> = None;
    for page in pages(&text, own) {
        span = Some(span.map_or(page.start, |span| span.start)..page.end);
    }
    Ok(span.map_or_else(Vec::new, |span| {
        text.truncate(span.end);
        text.drain(..span.start);
        text
    }))
}

/// Whether the last page that begins in the first `own` bytes goes on behind all of them, or what might be the beginning
/// of one does.
fn is_open(text: &[u8], own: usize) -> bool {
    // A tag that begins in them may end behind them.
    let reach = text.len().min(own + OPEN.len() - 1);
    if let Some(last) = memmem::rfind(&text[..reach], OPEN.as_bytes())
        && memmem::find(&text[last..], CLOSE.as_bytes()).is_none()
    {
        return true;
    }
    text.len() < own + OPEN.len() - 1 && (1..OPEN.len()).any(|length| text.ends_with(&OPEN.as_bytes()[..length]))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn compress(text: &str) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    /// Pages from a few bytes to several blocks of 100 kB.
    fn dump() -> String {
        let page = |number: usize| {
            let words = (0..number * number * number % 9973 * 3).map(|i| i * 7919 % 10_007 * number % 1009);
            let text = words.map(|word| format!("w{word} ")).collect::<String>();
            let text = if number == 30 { text.repeat(6) } else { text };
            format!("  <page>\n<title>{number}</title><text>{text}</text></page>\n")
        };
        let pages = (0..60).map(page).collect::<String>();
        format!("<mediawiki>\n<siteinfo>x</siteinfo>\n{pages}</mediawiki>\n")
    }

    fn all_pages(text: &[u8]) -> Vec<Vec<u8>> {
        pages(text, text.len()).map(|page| text[page].to_vec()).collect()
    }

    fn by_ranges(path: &Path, bytes: &[u8], step: u64) -> Result<Vec<Vec<u8>>> {
        std::fs::write(path, bytes).unwrap();
        let mut all = Vec::new();
        for begin in (0..bytes.len() as u64).step_by(step as usize) {
            let text = read(path, begin..begin + step)?;
            assert!(text.is_empty() || text.starts_with(OPEN.as_bytes()) && text.ends_with(CLOSE.as_bytes()));
            all.extend(all_pages(&text));
        }
        Ok(all)
    }

    #[test]
    fn every_page_is_in_one_range_whatever_their_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.bz2");
        let dump = dump();
        let expected = all_pages(dump.as_bytes());
        assert_eq!(expected.len(), 60);
        let middle = dump.find("<title>31").unwrap() - 9;
        // In one stream; in several that end with a page; in several cut anywhere, within a tag too.
        let streams = |cuts: &[usize]| {
            let ends = cuts.iter().copied().chain([dump.len()]);
            let begins = [0].into_iter().chain(cuts.iter().copied());
            begins.zip(ends).flat_map(|(begin, end)| compress(&dump[begin..end])).collect::<Vec<u8>>()
        };
        for cuts in
            [vec![], vec![middle], vec![middle + 3, middle + 5, dump.len() - 5], vec![5, middle + 2, middle + 400]]
        {
            let packed = streams(&cuts);
            for step in if cuts.is_empty() { vec![3_001, 1 << 30] } else { vec![20_000] } {
                assert!(by_ranges(&path, &packed, step).unwrap() == expected, "{cuts:?} by {step}");
            }
        }
    }

    #[test]
    fn a_dump_that_is_cut_off_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump.bz2");
        let dump = dump();
        for (end, why) in [(dump.len() - 14, "does not end with </mediawiki>"), (dump.len() - 40, "is it complete?")] {
            for step in [20_000, 1 << 30] {
                let message = by_ranges(&path, &compress(&dump[..end]), step).unwrap_err().to_string();
                assert!(message.contains(why) && message.contains("dump.bz2"), "{message}");
            }
        }
        let packed = compress(&dump);
        let message = by_ranges(&path, &packed[..packed.len() / 2], 1 << 30).unwrap_err().to_string();
        assert!(message.contains("damaged or cut off"), "{message}");
    }
}

//! The content of one bzip2 block.
//!
//! Decoders for streams go through a block byte by byte, each step waiting for a place in 3.6 MB of memory that only the step before
//! tells. Here four blocks are followed at a time ([`contents`]), so that they wait together; codes are looked up in a table.
//!
//! A block is: the mark, a checksum, where the text begins in the sorted rotations (24 bits, behind one that is 0), which bytes occur, up to
//! six Huffman codes and which of them each 50 symbols are in, then the symbols: numbers of a move-to-front list of the bytes,
//! runs of its first in base two. Undone, these are the last column of the sorted rotations of the text, in which runs of 4 to 259
//! equal bytes are shortened.

use std::sync::LazyLock;

use super::bits::{Bits, Code};
use super::{BLOCK, MARK_BITS};

/// Most symbols of a block: those of level 9.
const MOST: usize = 900_000;
/// Blocks that are gone through side by side.
pub(super) const AT_ONCE: usize = 4;
/// Symbols that are in the same code.
const GROUP: usize = 50;

/// A block, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// What it holds.
    pub content: Vec<u8>,
    /// Where it ends, in bits from the beginning of the bytes.
    pub end: u64,
}

/// The blocks that begin at some bits of these bytes, [`AT_ONCE`] of them at most; none for each that is none, or damaged.
pub(super) fn contents(bytes: &[u8], starts: &[u64]) -> Vec<Option<Block>> {
    let sorted: Vec<Option<Sorted>> = starts.iter().map(|&start| Sorted::read(bytes, start)).collect();
    let found: Vec<&Sorted> = sorted.iter().flatten().collect();
    let texts = match found[..] {
        [a] => text([a]).to_vec(),
        [a, b] => text([a, b]).to_vec(),
        [a, b, c] => text([a, b, c]).to_vec(),
        _ => found.chunks_exact(AT_ONCE).flat_map(|four| text([four[0], four[1], four[2], four[3]])).collect(),
    };
    let mut texts = texts.into_iter();
    let block = |sorted: Option<Sorted>| {
        let (sorted, text) = (sorted?, texts.next()?);
        let content = with_runs(&text);
        (checksum(&content) == sorted.checksum).then_some(Block { content, end: sorted.end })
    };
    sorted.into_iter().map(block).collect()
}

/// The last column of the sorted rotations of a text, with the way through it.
struct Sorted {
    /// By place in the column: the byte there in the lowest 8 bits; above, where the byte that follows it in the text is.
    places: Vec<u32>,
    /// Where the way begins.
    first: u32,
    checksum: u32,
    end: u64,
}

impl Sorted {
    fn read(bytes: &[u8], start: u64) -> Option<Sorted> {
        let mut bits = Bits::new(bytes, start)?;
        if bits.take(24) << 24 | bits.take(24) != BLOCK {
            return None;
        }
        let checksum = (bits.take(16) << 16 | bits.take(16)) as u32;
        // Blocks that were scrambled before they were sorted have not been written since 1999.
        if bits.take(1) == 1 {
            return None;
        }
        let origin = bits.take(24) as usize;
        let (mut list, used) = bits.alphabet()?;
        let codes = bits.take(3) as usize;
        let selectors = bits.selectors(codes)?;
        let codes = (0..codes).map(|_| bits.code(used + 2)).collect::<Option<Vec<Code>>>()?;

        let (end, most) = (used as u32 + 1, MOST);
        let mut places: Vec<u32> = Vec::with_capacity(MOST);
        let mut counts = [0_u32; 256];
        // Of a run: its length so far, and what its next digit is worth.
        let (mut run, mut digit) = (0_usize, 1_usize);
        'symbols: for selector in selectors {
            let code = &codes[usize::from(selector)];
            for _ in 0..GROUP {
                let symbol = bits.symbol(code)?;
                if symbol < 2 {
                    run += digit << symbol;
                    digit <<= 1;
                    if run > most {
                        return None;
                    }
                    continue;
                }
                if run > 0 {
                    let byte = list[0];
                    counts[usize::from(byte)] += run as u32;
                    places.resize(places.len() + run, u32::from(byte));
                    (run, digit) = (0, 1);
                }
                if symbol == end {
                    break 'symbols;
                }
                if places.len() >= most {
                    return None;
                }
                let at = symbol as usize - 1;
                let byte = list[at];
                if at < 8 {
                    (0..at).rev().for_each(|at| list[at + 1] = list[at]);
                } else {
                    list.copy_within(0..at, 1);
                }
                list[0] = byte;
                counts[usize::from(byte)] += 1;
                places.push(u32::from(byte));
            }
        }
        let end = bits.position();
        if run > 0 || origin >= places.len() || places.len() > most || end > bytes.len() as u64 * 8 {
            return None;
        }
        // Where the rotations that begin with each byte begin.
        let mut begin = 0;
        for count in &mut counts {
            begin += std::mem::replace(count, begin);
        }
        for at in 0..places.len() {
            let place = &mut counts[(places[at] & 0xff) as usize];
            places[*place as usize] |= (at as u32) << 8;
            *place += 1;
        }
        Some(Sorted { first: places[origin] >> 8, places, checksum, end })
    }
}

/// The texts of some columns, gone through side by side.
fn text<const N: usize>(sorted: [&Sorted; N]) -> [Vec<u8>; N] {
    let mut texts = sorted.map(|sorted| vec![0; sorted.places.len()]);
    let mut at = sorted.map(|sorted| sorted.first);
    let shared = texts.iter().map(Vec::len).min().unwrap_or(0);
    let mut out = texts.each_mut().map(|text| text.iter_mut());
    let mut step = |one: usize, byte: &mut u8| {
        let place = sorted[one].places[at[one] as usize];
        *byte = place as u8;
        at[one] = place >> 8;
    };
    for _ in 0..shared {
        for (one, out) in out.iter_mut().enumerate() {
            out.next().into_iter().for_each(|byte| step(one, byte));
        }
    }
    for (one, out) in out.into_iter().enumerate() {
        out.for_each(|byte| step(one, byte));
    }
    texts
}

/// A text with its runs as long as they were: a byte behind four equal ones says how many more there are.
fn with_runs(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 8);
    let (mut copied, mut at) = (0, 0);
    while at + 4 < text.len() {
        // Four equal bytes have equal ones in their middle.
        if text[at + 1] != text[at + 2] {
            at += 2;
        } else if text[at] == text[at + 1] && text[at + 2] == text[at + 3] {
            out.extend_from_slice(&text[copied..at + 4]);
            out.resize(out.len() + usize::from(text[at + 4]), text[at]);
            at += 5;
            copied = at;
        } else {
            at += 1;
        }
    }
    out.extend_from_slice(&text[copied..]);
    out
}

/// The checksum of a block's content: CRC-32, the highest bit first.
fn checksum(content: &[u8]) -> u32 {
    let tables = &*TABLES;
    let (words, rest) = content.as_chunks::<8>();
    let mut sum = u32::MAX;
    for word in words {
        let word = (u64::from_be_bytes(*word) ^ u64::from(sum) << 32).to_be_bytes();
        sum = word.iter().zip(tables.iter().rev()).fold(0, |sum, (&byte, table)| sum ^ table[usize::from(byte)]);
    }
    !rest.iter().fold(sum, |sum, &byte| sum << 8 ^ tables[0][usize::from((sum >> 24) as u8 ^ byte)])
}

/// By how many bytes follow: what a byte does to the checksum.
static TABLES: LazyLock<[[u32; 256]; 8]> = LazyLock::new(|| {
    let shifted = |sum: u32| if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
    let mut tables = [[0; 256]; 8];
    for (byte, sum) in (0..).zip(&mut tables[0]) {
        *sum = (0..8).fold(byte << 24, |sum, _| shifted(sum));
    }
    for follow in 1..8 {
        for byte in 0..256 {
            let sum = tables[follow - 1][byte];
            tables[follow][byte] = sum << 8 ^ tables[0][(sum >> 24) as usize];
        }
    }
    tables
});

/// Whether a block may begin at this bit of some bytes.
pub(super) fn mark_at(bytes: &[u8], bit: u64) -> Option<u64> {
    let mut bits = Bits::new(bytes, bit)?;
    let mark = bits.take(24) << 24 | bits.take(24);
    (bit + MARK_BITS <= bytes.len() as u64 * 8).then_some(mark)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A stream whose block has all codes of 8 bits, so that any bytes can stand in it, with its content and the bit that the mark
    /// of a block begins at within.
    fn with_a_mark_within() -> (Vec<u8>, Vec<u8>, u64) {
        let mark = BLOCK.to_be_bytes();
        let symbols = (0..1000).map(|i| (i * 37 % 240 + 10) as u8);
        let symbols = symbols.chain(mark[2..].iter().copied()).chain((0..500).map(|i| (i % 200 + 3) as u8));
        let symbols = symbols.chain([255]).collect::<Vec<u8>>();
        let mut bits: Vec<bool> = Vec::new();
        let mut put = |number: u64, length: u32| bits.extend((0..length).rev().map(|bit| number >> bit & 1 == 1));
        b"BZh9".iter().for_each(|&byte| put(byte.into(), 8));
        put(BLOCK, 48);
        // Checksum, not scrambled, origin 5; all bytes but two.
        [(0, 32), (0, 1), (5, 24), (0xffff, 16)].iter().for_each(|&(number, length)| put(number, length));
        (0..16).for_each(|sixteen| put(if sixteen < 15 { 0xffff } else { 0xfffc }, 16));
        let groups = symbols.len().div_ceil(GROUP) as u64;
        put(2, 3);
        put(groups, 15);
        (0..groups).for_each(|_| put(0, 1));
        for _ in 0..2 {
            put(8, 5);
            (0..256).for_each(|_| put(0, 1));
        }
        symbols.iter().for_each(|&symbol| put(symbol.into(), 8));
        let pack = |bits: &[bool]| -> Vec<u8> {
            bits.chunks(8)
                .map(|bits| (0..8).fold(0, |byte, at| byte << 1 | u8::from(bits.get(at) == Some(&true))))
                .collect()
        };
        let sorted = Sorted::read(&pack(&bits), 32).unwrap();
        let content = with_runs(&text([&sorted])[0]);
        let checksum = checksum(&content);
        (0..32).for_each(|bit| bits[80 + bit] = checksum >> (31 - bit) & 1 == 1);
        let within = bits.len() as u64 - 8 * (1 + 500 + 6);
        let tail = u128::from(super::super::END) << 32 | u128::from(checksum);
        bits.extend((0..80).rev().map(|bit| tail >> bit & 1 == 1));
        (pack(&bits), content, within)
    }

    #[test]
    fn a_mark_within_a_block_begins_none() {
        let (packed, content, within) = with_a_mark_within();
        let mut expected = Vec::new();
        std::io::Read::read_to_end(&mut bzip2::read::BzDecoder::new(&packed[..]), &mut expected).unwrap();
        assert!(content == expected && mark_at(&packed, within) == Some(BLOCK));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bz2");
        let run = |packed: &[u8], range| {
            std::fs::write(&path, packed).unwrap();
            super::super::BlockFile::open(&path).unwrap().run(range)
        };
        let end = packed.len() as u64;
        for cut in [5, within / 8, within / 8 + 1, end] {
            assert!(run(&packed, 0..cut).unwrap().bytes == content);
            assert!(run(&packed, cut..end).unwrap().bytes.is_empty(), "{cut}");
        }
        // Damage before the mark: both ranges notice.
        let mut damaged = packed.clone();
        damaged[(within / 8) as usize - 20] ^= 1;
        for range in [0..5, 5..end, 0..end] {
            assert!(run(&damaged, range).unwrap_err().to_string().contains("damaged or cut off"));
        }
    }

    fn content(packed: &[u8]) -> Option<Vec<u8>> {
        contents(packed, &[32]).pop().flatten().map(|block| block.content)
    }

    #[test]
    fn blocks_of_all_kinds_come_out_as_they_went_in() {
        let text = include_bytes!("../../../README.md");
        let runs = (0..600_usize).flat_map(|length| vec![(length % 3) as u8; length]).collect::<Vec<u8>>();
        let all = (0..200_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>();
        for bytes in [&text[..], &runs, &all, b"x", b"xxxx", b"xxxxx", b"abababababab", &[0; 100_000]] {
            assert!(content(&compress(bytes)).as_deref() == Some(bytes), "{} bytes", bytes.len());
        }
        let (one, other) = (compress(text), compress(&runs));
        let all = [&one[..], &other, &one, b"BZh9 and no block", &other].concat();
        let (first, second) = (one.len() as u64 * 8, other.len() as u64 * 8);
        let starts = [0, first, first + second, 2 * first + second].map(|bit| bit + 32);
        let (text, nothing) = (Some(text.to_vec()), None);
        let expected = [text.clone(), Some(runs), text, nothing];
        for blocks in 0..=4 {
            let found = contents(&all, &starts[..blocks]).into_iter().map(|block| block.map(|block| block.content));
            assert!(found.collect::<Vec<_>>() == expected[..blocks]);
        }
        assert_eq!(contents(&all, &[starts[0]; 4]).into_iter().flatten().count(), 4);
    }

    proptest! {
        #[test]
        fn any_bytes_come_out_as_they_went_in(bytes in proptest::collection::vec(0_u8..4, 1..2000)) {
            prop_assert_eq!(content(&compress(&bytes)), Some(bytes));
        }

        /// Damage is noticed or harmless, and never a panic.
        #[test]
        fn damage_is_noticed(at in 4_usize..600, flip in 1_u8..=255, cut in 4_usize..600) {
            let bytes = (0..4000_u32).map(|i| (i * i % 251 % 17) as u8).collect::<Vec<u8>>();
            let mut packed = compress(&bytes);
            let (at, cut) = (at % packed.len(), cut % packed.len());
            prop_assert!(content(&packed[..cut]).is_none_or(|found| found == bytes));
            packed[at] ^= flip;
            prop_assert!(content(&packed).is_none_or(|found| found == bytes));
        }
    }
}

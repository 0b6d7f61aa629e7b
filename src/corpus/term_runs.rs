//! Terms with their statistics as ascending sequences of any length: in memory, in a file, or from another rank.
//!
//! Problem: how often each term occurs is counted under local numbers, and tables of all terms of a large corpus do not fit
//! into memory. Algorithm: a table that has become too large is sorted and written as a run; in the end all runs and what
//! is left in memory are merged, a block of each at a time (external merge sort: Knuth, The Art of Computer Programming
//! 3, 5.4). Adding statistics is associative and commutative, so that the merged sequence does not depend on when tables
//! were written, or on who counted what.
//! Cost: each term of a run is written and read once, twice beyond [`MOST_RUNS`]; memory is one block of each sequence.

use std::ops::Range;

use crate::corpus::dictionary::{TermStatistics, TermTable, leading};
use crate::error::Result;
use crate::store::spill::Spill;

/// Bytes of a block of a run.
const BLOCK_BYTES: u64 = 64 << 10;
/// Runs that are merged to one as soon as there are so many.
const MOST_RUNS: usize = 32;

/// An ascending sequence of terms, block by block; each block is ascending and comes after the one before.
pub type Sequence<'a> = Box<dyn FnMut() -> Result<Option<TermTable>> + 'a>;

/// A table as a sequence.
pub fn whole<'a>(table: TermTable) -> Sequence<'a> {
    let mut table = Some(table);
    Box::new(move || Ok(table.take()))
}

/// A sequence and the term it has come to.
struct Cursor<'a> {
    sequence: Sequence<'a>,
    block: TermTable,
    at: usize,
    /// The first bytes of the term, which decide most comparisons.
    leading: u64,
}

impl<'a> Cursor<'a> {
    /// At the first term; none of an empty sequence.
    fn open(sequence: Sequence<'a>) -> Result<Option<Cursor<'a>>> {
        let mut cursor = Cursor { sequence, block: TermTable::default(), at: 0, leading: 0 };
        Ok(cursor.settle()?.then_some(cursor))
    }

    /// Fetches blocks until there is a term; false behind the last.
    fn settle(&mut self) -> Result<bool> {
        while self.at == self.block.len() {
            match (self.sequence)()? {
                Some(block) => (self.block, self.at) = (block, 0),
                None => return Ok(false),
            }
        }
        self.leading = leading(self.block.term(self.at));
        Ok(true)
    }

    fn term(&self) -> &str {
        self.block.term(self.at)
    }

    fn is_before(&self, other: &Cursor) -> bool {
        (self.leading, self.term()) < (other.leading, other.term())
    }
}

/// Gives `sink` all terms of these sequences, ascending, each once with the sum of its statistics.
pub fn merge(sequences: Vec<Sequence>, sink: &mut dyn FnMut(&str, TermStatistics) -> Result<()>) -> Result<()> {
    let mut cursors = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        cursors.extend(Cursor::open(sequence)?);
    }
    let mut term = String::new();
    while !cursors.is_empty() {
        // There are few sequences: going through them is faster than a heap.
        let first =
            (1..cursors.len()).fold(0, |best, at| if cursors[at].is_before(&cursors[best]) { at } else { best });
        term.clear();
        term.push_str(cursors[first].term());
        let key = cursors[first].leading;
        let mut sum = TermStatistics::NONE;
        let mut at = 0;
        while at < cursors.len() {
            let cursor = &mut cursors[at];
            if cursor.leading == key && cursor.term() == term {
                sum.add(cursor.block.statistics(cursor.at));
                cursor.at += 1;
                if !cursor.settle()? {
                    cursors.swap_remove(at);
                    continue;
                }
            }
            at += 1;
        }
        sink(&term, sum)?;
    }
    Ok(())
}

/// As [`merge`], in blocks of about `bytes`.
pub fn merge_blocks(
    sequences: Vec<Sequence>,
    bytes: u64,
    sink: &mut dyn FnMut(&TermTable) -> Result<()>,
) -> Result<()> {
    let mut block = TermTable::default();
    merge(sequences, &mut |term, statistics| {
        block.push(term, statistics);
        if block.encoded_bytes() >= bytes {
            sink(&block)?;
            block.clear();
        }
        Ok(())
    })?;
    if block.is_empty() { Ok(()) } else { sink(&block) }
}

/// Runs in a file.
#[derive(Debug, Default)]
pub struct Runs {
    file: Option<Spill>,
    /// Where the blocks of each run are.
    runs: Vec<Vec<Range<u64>>>,
}

impl Runs {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Writes the sum of these sequences as a run.
    pub fn write(&mut self, sequences: Vec<Sequence>) -> Result<()> {
        if self.runs.len() == MOST_RUNS {
            let mut one = Runs::default();
            one.push(self.sequences())?;
            *self = one;
        }
        self.push(sequences)
    }

    fn push(&mut self, sequences: Vec<Sequence>) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(Spill::new()?),
        };
        let mut run = Vec::new();
        merge_blocks(sequences, BLOCK_BYTES, &mut |block| {
            run.push(file.append(&block.encode())?);
            Ok(())
        })?;
        self.runs.push(run);
        Ok(())
    }

    /// The runs, to be read.
    pub fn sequences(&self) -> Vec<Sequence<'_>> {
        let Some(file) = &self.file else { return Vec::new() };
        let sequence = |run| -> Sequence<'_> {
            let mut blocks = <[Range<u64>]>::iter(run);
            Box::new(move || blocks.next().map(|place| TermTable::decode(&file.read(place)?)).transpose())
        };
        self.runs.iter().map(|run| sequence(run)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use std::collections::BTreeMap;

    /// Random terms and what they add up to.
    fn tables(count: usize, terms: usize) -> (Vec<TermTable>, BTreeMap<String, TermStatistics>) {
        let (mut tables, mut total) = (Vec::new(), BTreeMap::new());
        for number in 0..count {
            let mut stream = Stream::new(7, "term runs", number as u64);
            let mut one = BTreeMap::new();
            for _ in 0..terms {
                let word =
                    format!("{}{}", ["", "longish-", "é"][stream.below(3) as usize], stream.below(3 * terms as u64));
                let seen = TermStatistics {
                    document_frequency: 1 + stream.below(5),
                    collection_frequency: 9,
                    first: (stream.below(100), stream.below(100) as u32),
                };
                one.entry(word.clone()).or_insert(TermStatistics::NONE).add(&seen);
                total.entry(word).or_insert(TermStatistics::NONE).add(&seen);
            }
            let mut table = TermTable::default();
            one.iter().for_each(|(term, statistics)| table.push(term, *statistics));
            tables.push(table);
        }
        (tables, total)
    }

    fn collect(sequences: Vec<Sequence>) -> Vec<(String, TermStatistics)> {
        let mut all = Vec::new();
        merge(sequences, &mut |term, statistics| {
            all.push((term.to_owned(), statistics));
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn runs_and_tables_merge_to_the_sum_of_all() {
        // More tables than runs are kept, and one of more than a block.
        for (count, terms) in [(1, 3), (5, 4000), (2 * MOST_RUNS + 5, 40)] {
            let (tables, expected) = tables(count, terms);
            let expected: Vec<_> = expected.into_iter().collect();
            assert_eq!(collect(tables.iter().cloned().map(whole).collect()), expected);
            let mut runs = Runs::default();
            assert!(runs.is_empty() && runs.sequences().is_empty());
            for pair in tables[1..].chunks(2) {
                runs.write(pair.iter().cloned().map(whole).collect()).unwrap();
                assert!(runs.runs.len() <= MOST_RUNS);
            }
            let mut sequences = runs.sequences();
            sequences.push(whole(tables[0].clone()));
            assert_eq!(collect(sequences), expected);
        }
        assert_eq!(collect(vec![whole(TermTable::default())]), []);
    }

    #[test]
    fn blocks_hold_all_terms_in_order() {
        let (tables, expected) = tables(3, 500);
        let mut found = Vec::new();
        merge_blocks(tables.into_iter().map(whole).collect(), 1000, &mut |block| {
            assert!(block.encoded_bytes() < 1100);
            found.extend(block.iter().map(|(term, statistics)| (term.to_owned(), *statistics)));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}

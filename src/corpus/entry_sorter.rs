//! Entries of a matrix that come in any order, sorted by document, term and line in bounded memory.
//!
//! Entries are collected; when they have become too many they are sorted and written to a file as a run, and in the end all
//! runs are merged, a block of each at a time (external merge sort: Knuth, The Art of Computer Programming 3, 5.4).
//! Cost: 16 bytes an entry, written and read once if there is more than fits, twice beyond [`MOST_RUNS`] runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;

use crate::corpus::matrix_market::Entry;
use crate::error::Result;
use crate::store::spill::Spill;

/// Entries of a block of a run.
const BLOCK: usize = 4096;
/// Runs that are merged to one as soon as there are so many.
const MOST_RUNS: usize = 64;

fn key(entry: &Entry) -> (u32, u32, u32) {
    (entry.document, entry.term, entry.line)
}

/// Entries to be sorted.
#[derive(Debug)]
pub struct EntrySorter {
    entries: Vec<Entry>,
    /// Most that stay in memory.
    most: usize,
    runs: Runs,
}

/// Sorted entries in a file.
#[derive(Debug, Default)]
struct Runs {
    file: Option<Spill>,
    /// Where the blocks of each run are.
    runs: Vec<Vec<Range<u64>>>,
}

impl EntrySorter {
    /// For as many entries in memory as so many bytes hold, but at least a block.
    pub fn within(bytes: u64) -> EntrySorter {
        let most = usize::try_from(bytes / size_of::<Entry>() as u64).unwrap_or(usize::MAX).max(BLOCK);
        EntrySorter { entries: Vec::new(), most, runs: Runs::default() }
    }

    /// Takes an entry.
    pub fn push(&mut self, entry: Entry) -> Result<()> {
        if self.entries.len() == self.most {
            self.sort();
            self.runs.write(&self.entries)?;
            self.entries.clear();
        } else if self.entries.len() == self.entries.capacity() {
            // As vectors grow, but not beyond what is ever needed.
            let more = self.entries.len().max(BLOCK).min(self.most - self.entries.len());
            self.entries.reserve_exact(more);
        }
        self.entries.push(entry);
        Ok(())
    }

    fn sort(&mut self) {
        self.entries.sort_unstable_by_key(key);
    }

    /// Gives `sink` all entries in order.
    pub fn finish(mut self, sink: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        self.sort();
        self.runs.merge(&self.entries, sink)
    }
}

impl Runs {
    fn write(&mut self, entries: &[Entry]) -> Result<()> {
        if self.runs.len() == MOST_RUNS {
            let (mut one, mut block) = (Runs::default(), Vec::with_capacity(BLOCK));
            one.runs.push(Vec::new());
            self.merge(&[], &mut |entry| {
                block.push(entry);
                if block.len() == BLOCK {
                    one.append(&block)?;
                    block.clear();
                }
                Ok(())
            })?;
            one.append(&block)?;
            *self = one;
        }
        self.runs.push(Vec::new());
        entries.chunks(BLOCK).try_for_each(|block| self.append(block))
    }

    /// Adds a block to the last run.
    fn append(&mut self, block: &[Entry]) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(Spill::new()?),
        };
        let place = file.append(bytemuck::cast_slice(block))?;
        if let Some(run) = self.runs.last_mut() {
            run.push(place);
        }
        Ok(())
    }

    fn read(&self, place: &Range<u64>) -> Result<Vec<Entry>> {
        let bytes = self.file.as_ref().map_or(Ok(Vec::new()), |file| file.read(place))?;
        Ok(bytemuck::pod_collect_to_vec(&bytes))
    }

    /// Gives `sink` all entries of the runs and of one more in memory.
    fn merge(&self, more: &[Entry], sink: &mut dyn FnMut(Entry) -> Result<()>) -> Result<()> {
        let mut places: Vec<_> = self.runs.iter().map(|run| run.iter()).collect();
        let mut blocks: Vec<std::vec::IntoIter<Entry>> = vec![Vec::new().into_iter(); places.len()];
        let mut rest = more.iter();
        let mut next = |run: usize| -> Result<Option<Entry>> {
            if run == blocks.len() {
                return Ok(rest.next().copied());
            }
            loop {
                if let Some(entry) = blocks[run].next() {
                    return Ok(Some(entry));
                }
                match places[run].next() {
                    Some(place) => blocks[run] = self.read(place)?.into_iter(),
                    None => return Ok(None),
                }
            }
        };
        let place = |entry: Entry, run| Reverse((key(&entry), run, entry.value.to_bits()));
        let mut heads = BinaryHeap::new();
        for run in 0..=self.runs.len() {
            heads.extend(next(run)?.map(|entry| place(entry, run)));
        }
        while let Some(Reverse(((document, term, line), run, value))) = heads.pop() {
            sink(Entry { document, term, value: f32::from_bits(value), line })?;
            heads.extend(next(run)?.map(|entry| place(entry, run)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn any_order_and_any_memory_give_the_same_sequence() {
        let mut stream = Stream::new(5, "entries", 0);
        let entries: Vec<Entry> = (0..(MOST_RUNS + 9) * BLOCK + 77)
            .map(|line| Entry {
                document: stream.below(9000) as u32,
                term: stream.below(50) as u32,
                value: stream.uniform() as f32,
                line: line as u32,
            })
            .collect();
        let mut expected = entries.clone();
        expected.sort_by_key(key);
        // All at once, three runs, more runs than are kept.
        for bytes in [u64::MAX, 16 * 100_000, 0] {
            let mut sorter = EntrySorter::within(bytes);
            entries.iter().for_each(|entry| sorter.push(*entry).unwrap());
            assert!(sorter.entries.capacity() as u64 * 16 <= bytes.max(16 * BLOCK as u64));
            assert!(sorter.runs.runs.len() <= MOST_RUNS);
            let mut found = Vec::new();
            sorter
                .finish(&mut |entry| {
                    found.push(entry);
                    Ok(())
                })
                .unwrap();
            assert!(found == expected, "{bytes} bytes");
        }
    }
}

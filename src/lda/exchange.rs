//! Expected counts on their way between workers: whole numbers in a compact layout that integer sums can add.
//!
//! Problem: each worker has, for the terms that occur in its part of a minibatch, a row of expected counts over topics;
//! every worker wants the sums. Rows of terms that do not occur anywhere do not travel.
//! Layout: the terms of the whole minibatch in ascending order, each with a row of 16-bit lanes if its tokens cannot
//! overflow them, of 32-bit lanes otherwise, packed into i64 words. No lane can overflow into its neighbour, so adding words
//! adds lanes, and the sum of i64 that every communicator offers is the sum of all of them. The value of a lane is
//! 2^-shift; the shift follows from the number of tokens, which all workers know of each term before they begin.
//! Cost: two messages to each other worker and minibatch, together (P - 1) / P x 4 bytes a term and topic for most terms, and
//! 12 bytes a term for the numbers of tokens, under way while the minibatch before is worked on.

use crate::comm::{Comm, Pending, Route};
use crate::error::{Error, Result};
use crate::linalg::Aligned;
use crate::linalg::kernels::LANES;

/// Bits behind the point of a 16-bit lane.
const NARROW_SHIFT: i32 = 8;
/// Most tokens of a term whose lanes have 16 bits: each occurrence adds at most its count x 2^8 and a dither of 1.
const NARROW_TOKENS: u64 = 254;
/// Bits behind the point of a 32-bit lane, unless the term is too frequent.
const WIDE_SHIFT: i32 = 12;
/// The same where no lanes are narrow, and the most there are in any case: totals of a topic are sums of 2^-20.
pub const FINEST_SHIFT: i32 = 20;

/// How finely expected counts are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// To 1/256 in 16 bits, 1/4096 for frequent terms: steps whose noise is that of a sample.
    Coarse,
    /// To 2^-20 in 32 bits where the term's tokens allow it: for digammas of counts, and steps that replace all.
    Fine,
}

/// One term of a minibatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The term.
    pub term: u32,
    /// Its tokens in the minibatch.
    pub tokens: u64,
    /// Bits behind the point.
    pub shift: i32,
    /// Whether its lanes have 32 bits.
    pub wide: bool,
    /// First word.
    pub begin: usize,
}

impl Row {
    /// Its words when rows have `width` lanes.
    pub fn words(&self, width: usize) -> std::ops::Range<usize> {
        self.begin..self.begin + if self.wide { width / 2 } else { width / 4 }
    }
}

/// Where the expected counts of a minibatch lie.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// The terms, ascending.
    pub rows: Vec<Row>,
    /// Words in all.
    pub words: usize,
    /// Tokens of the minibatch.
    pub tokens: u64,
}

impl Layout {
    /// Of terms, ascending, with their tokens; `width` is a multiple of 16.
    pub fn new(terms: impl Iterator<Item = (u32, u64)>, width: usize, grain: Grain) -> Layout {
        assert!(width.is_multiple_of(LANES));
        let mut layout = Layout::default();
        let finest = if grain == Grain::Fine { FINEST_SHIFT } else { WIDE_SHIFT };
        for (term, tokens) in terms {
            let wide = grain == Grain::Fine || tokens > NARROW_TOKENS;
            // tokens x (2^shift + 1) < 2^30, for any number of tokens.
            let bits = 64 - tokens.leading_zeros() as i32;
            let shift = if wide { finest.min(29 - bits) } else { NARROW_SHIFT };
            let row = Row { term, tokens, shift, wide, begin: layout.words };
            layout.words = row.words(width).end;
            layout.rows.push(row);
            layout.tokens += tokens;
        }
        layout
    }

    /// Positions of the rows of these terms, ascending and all in the layout.
    pub fn positions(&self, terms: &[u32]) -> Vec<u32> {
        let mut at = 0;
        let find = |&term: &u32| {
            while self.rows[at].term != term {
                at += 1;
            }
            at as u32
        };
        terms.iter().map(find).collect()
    }
}

/// The terms of a worker's part and their tokens, as they travel: 4 bytes each, then 8.
pub fn announce<'c>(comm: &'c dyn Comm, terms: &[u32], tokens: &[u64]) -> Pending<'c, Vec<Vec<u8>>> {
    let bytes = [bytemuck::cast_slice(terms), bytemuck::cast_slice::<u64, u8>(tokens)].concat();
    comm.all_gather(Route::Workers, bytes)
}

/// Puts the announcements of all workers together.
pub fn together(parts: &[Vec<u8>], terms: usize, width: usize, grain: Grain) -> Result<Layout> {
    let mut tokens = vec![0u64; terms];
    let mut present = vec![0u64; terms.div_ceil(64)];
    for part in parts {
        let count = part.len() / 12;
        let (names, numbers) = part.split_at(4 * count);
        for (name, number) in names.as_chunks().0.iter().zip(numbers.as_chunks().0) {
            let term = u32::from_le_bytes(*name);
            let sum =
                tokens.get_mut(term as usize).ok_or_else(|| Error::failed("damaged message: terms of a minibatch"))?;
            *sum += u64::from_le_bytes(*number);
            present[term as usize / 64] |= 1 << (term % 64);
        }
    }
    let mut found = Vec::new();
    for (at, mut word) in present.into_iter().enumerate() {
        while word != 0 {
            let term = at as u32 * 64 + word.trailing_zeros();
            word &= word - 1;
            found.push((term, tokens[term as usize]));
        }
    }
    Ok(Layout::new(found.into_iter(), width, grain))
}

/// Words that are exchanged at a time, if there are more: what the others have sent of them waits in memory of its own.
const PIECE: usize = 1 << 22;

/// Summed words, where they arrived.
pub enum Sums {
    /// As words.
    Words(Vec<i64>),
    /// As halves of words.
    Halves(Aligned<f32>),
}

impl Sums {
    /// The words.
    pub fn words(&self) -> &[i64] {
        match self {
            Sums::Words(words) => words,
            Sums::Halves(halves) => bytemuck::cast_slice(halves),
        }
    }
}

/// Sums words of all workers; every worker gets all of them, as halves.
async fn sum_piece(comm: &dyn Comm, words: Vec<i64>, workers: usize) -> Result<Aligned<f32>> {
    let total = words.len();
    let counts: Vec<usize> = (0..workers).map(|w| total * (w + 1) / workers - total * w / workers).collect();
    let own = comm.sum_scatter(Route::Workers, words, counts.clone()).await?;
    // Stretches of f32 travel without being copied or preceded by their lengths; here they are halves of words, of which
    // nothing but copies is made.
    let mut stretch = Aligned::<f32>::zeros(own.len() * 2);
    bytemuck::cast_slice_mut::<f32, i64>(&mut stretch).copy_from_slice(&own);
    drop(own);
    let halves = counts.iter().map(|count| 2 * count).collect();
    let all = Aligned::<f32>::zeros(total * 2);
    let (_, all) = comm.all_gather_stretches(Route::Workers, stretch, all, halves).await?;
    Ok(all)
}

/// Sums the words of all workers; every worker gets all of them. Collective over the workers. Owns what it needs, so that it
/// can be under way while other work is done.
pub fn sum<'c>(comm: &'c dyn Comm, mut words: Vec<i64>) -> Pending<'c, Sums> {
    let workers = Route::Workers.members(comm.size()).len();
    Box::pin(async move {
        if workers == 1 {
            return Ok(Sums::Words(words));
        }
        if words.len() <= PIECE {
            return Ok(Sums::Halves(sum_piece(comm, words, workers).await?));
        }
        for piece in words.chunks_mut(PIECE) {
            let all = sum_piece(comm, piece.to_vec(), workers).await?;
            piece.copy_from_slice(bytemuck::cast_slice(&all));
        }
        Ok(Sums::Words(words))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_lane_overflows_whatever_the_tokens() {
        for tokens in [1, 2, 254, 255, 256, 4095, 1 << 17, (1 << 18) + 1, 1 << 24, 1 << 36, 1 << 40] {
            for grain in [Grain::Coarse, Grain::Fine] {
                let layout = Layout::new([(3, tokens)].into_iter(), 16, grain);
                let row = layout.rows[0];
                // The worst case: all occurrences have a count of 1, and every dither is rounded up.
                let most = tokens as f64 * f64::from(row.shift).exp2() + tokens as f64;
                let sum = if row.wide { tokens as f64 * f64::from(row.shift).exp2() } else { most };
                assert!(sum < if row.wide { 2f64.powi(30) } else { 65_536.0 }, "{tokens} tokens, shift {}", row.shift);
                assert!(row.shift <= FINEST_SHIFT);
            }
        }
    }

    #[test]
    fn announcements_are_put_together_by_term() {
        let part = |terms: &[u32], tokens: &[u64]| {
            [bytemuck::cast_slice::<u32, u8>(terms), bytemuck::cast_slice::<u64, u8>(tokens)].concat()
        };
        let parts = [part(&[1, 5, 70], &[3, 4, 300]), part(&[], &[]), part(&[0, 5], &[1, 250])];
        let layout = together(&parts, 71, 32, Grain::Coarse).unwrap();
        let found: Vec<_> = layout.rows.iter().map(|row| (row.term, row.wide, row.begin)).collect();
        assert_eq!(found, [(0, false, 0), (1, false, 8), (5, false, 16), (70, true, 24)]);
        assert_eq!((layout.words, layout.tokens), (40, 558));
        assert_eq!(layout.positions(&[1, 70]), [1, 3]);
        assert!(together(&parts, 70, 32, Grain::Coarse).is_err());
        // One more token of term 5 and it needs wide lanes.
        let layout = together(&[part(&[5], &[255])], 71, 32, Grain::Coarse).unwrap();
        assert!(layout.rows[0].wide);
    }
}

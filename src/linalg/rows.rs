//! Rows of tall matrices (terms x anything) in fixed blocks.
//!
//! Blocks are cut from the number of rows alone and every dense product is done block by block, so its bits do not
//! depend on who owns which blocks; owners hold consecutive ones.

use std::ops::Range;

/// Rows of a block: deep enough for a fast matrix product, small enough to give every worker some.
pub const BLOCK: usize = 2048;

/// The blocks of a matrix, dealt out to members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowShares {
    rows: usize,
    members: usize,
}

impl RowShares {
    /// Deals out `rows` rows.
    pub fn new(rows: usize, members: usize) -> Self {
        RowShares { rows, members }
    }

    /// Rows in all.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows of a member.
    pub fn of(&self, member: usize) -> Range<usize> {
        let blocks = self.rows.div_ceil(BLOCK);
        let begin = |member: usize| (blocks * member / self.members * BLOCK).min(self.rows);
        begin(member)..begin(member + 1)
    }

    /// Numbers of rows of all members.
    pub fn counts(&self) -> Vec<usize> {
        (0..self.members).map(|member| self.of(member).len()).collect()
    }
}

/// Cuts consecutive rows, the first of which begins a block, into blocks (relative to the first).
pub fn blocks(rows: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows.div_ceil(BLOCK)).map(move |block| block * BLOCK..((block + 1) * BLOCK).min(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_blocks_and_cover_all_rows() {
        for rows in [0, 1, 2048, 2049, 51_853, 100_000] {
            for members in [1, 2, 3, 6, 100] {
                let shares = RowShares::new(rows, members);
                let mut next = 0;
                for member in 0..members {
                    let share = shares.of(member);
                    assert_eq!(share.start, next);
                    assert!(share.is_empty() || share.start.is_multiple_of(BLOCK));
                    next = share.end;
                }
                assert_eq!(next, rows);
            }
        }
    }
}

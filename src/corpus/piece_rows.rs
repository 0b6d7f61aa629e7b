//! The entries of a piece of a matrix put together to rows where they were parsed, so that the dispatcher has documents to
//! copy and not entries to look at.
//!
//! Only plain pieces become rows: every line an entry, sorted by document and within it by term, none zero and none twice.
//! That is what writers of sparse matrices write. Lines can be told from positions then, so nothing is lost: other pieces,
//! and these where something is wrong around them, go by entries.

use std::ops::Range;

use crate::corpus::container::MAX_COUNT;
use crate::corpus::matrix_market::{Entry, Parsed};
use crate::error::{Error, Result};

/// Rows of a plain piece, CSR over the documents that occur in it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PieceRows {
    /// All values are counts: whole numbers from 1 to 2^24.
    pub counts: bool,
    /// Number of each document that occurs, ascending; its first or last entries may be in other pieces.
    pub documents: Vec<u32>,
    /// Where each of them begins in `terms` and `values`; documents + 1 entries, the first 0.
    pub indptr: Vec<u64>,
    /// Term of each entry.
    pub terms: Vec<u32>,
    /// Value of each entry.
    pub values: Vec<f32>,
}

impl PieceRows {
    /// The rows of a piece if it is plain.
    pub fn of(parsed: &Parsed) -> Option<PieceRows> {
        let entries = &parsed.entries;
        if parsed.failure.is_some() || entries.is_empty() || parsed.lines != entries.len() as u64 {
            return None;
        }
        let mut rows = PieceRows {
            counts: true,
            terms: Vec::with_capacity(entries.len()),
            values: Vec::with_capacity(entries.len()),
            ..PieceRows::default()
        };
        let mut last: Option<(u32, u32)> = None;
        for (at, entry) in entries.iter().enumerate() {
            let place = (entry.document, entry.term);
            if entry.value == 0.0 || last.is_some_and(|last| last >= place) {
                return None;
            }
            if last.is_none_or(|(document, _)| document != entry.document) {
                rows.documents.push(entry.document);
                rows.indptr.push(at as u64);
            }
            last = Some(place);
            rows.counts &= is_count(entry.value);
            rows.terms.push(entry.term);
            rows.values.push(entry.value);
        }
        rows.indptr.push(entries.len() as u64);
        Some(rows)
    }

    /// Number of entries, which is that of lines.
    pub fn entries(&self) -> u64 {
        self.terms.len() as u64
    }

    /// Positions of the entries of document `row` of the piece.
    pub fn span(&self, row: usize) -> Range<usize> {
        self.indptr[row] as usize..self.indptr[row + 1] as usize
    }

    /// The entries of documents `rows` of the piece one by one, the piece beginning at this line of the file.
    pub fn unpacked(&self, rows: Range<usize>, first_line: u64) -> Vec<Entry> {
        let entry = |row: usize, at: usize| Entry {
            document: self.documents[row],
            term: self.terms[at],
            value: self.values[at],
            line: u32::try_from(first_line + at as u64).unwrap_or(u32::MAX),
        };
        rows.flat_map(|row| self.span(row).map(move |at| entry(row, at))).collect()
    }

    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.reserve(17 + self.documents.len() * 12 + self.terms.len() * 8);
        bytes.push(u8::from(self.counts));
        for length in [self.documents.len(), self.terms.len()] {
            bytes.extend_from_slice(&(length as u64).to_le_bytes());
        }
        bytes.extend_from_slice(bytemuck::cast_slice(&self.documents));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.indptr));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.terms));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.values));
    }

    fn decode(bytes: &[u8]) -> Option<PieceRows> {
        let (head, rest) = bytes.split_first_chunk::<17>()?;
        let word = |at: usize| usize::try_from(u64::from_le_bytes(std::array::from_fn(|i| head[at + i]))).ok();
        let (documents, entries) = (word(1)?, word(9)?);
        let size = documents.checked_mul(12)?.checked_add(entries.checked_mul(8)?)?.checked_add(8)?;
        if head[0] > 1 || rest.len() != size {
            return None;
        }
        let (numbers, rest) = rest.split_at(documents * 4);
        let (offsets, rest) = rest.split_at(documents * 8 + 8);
        let (terms, values) = rest.split_at(entries * 4);
        let rows = PieceRows {
            counts: head[0] == 1,
            documents: bytemuck::pod_collect_to_vec(numbers),
            indptr: bytemuck::pod_collect_to_vec(offsets),
            terms: bytemuck::pod_collect_to_vec(terms),
            values: bytemuck::pod_collect_to_vec(values),
        };
        let spans = rows.indptr.first() == Some(&0) && rows.indptr.last() == Some(&(entries as u64));
        (documents > 0 && spans && rows.indptr.is_sorted() && rows.documents.is_sorted()).then_some(rows)
    }
}

/// Whether a value can be a count.
pub fn is_count(value: f32) -> bool {
    // Not `fract`, which is a call where there is no instruction for it.
    value as u32 as f32 == value && value <= MAX_COUNT as f32
}

/// What a worker makes of a piece.
#[derive(Debug, Clone, PartialEq)]
pub enum Digest {
    /// A plain one.
    Rows(PieceRows),
    /// Any other.
    Entries(Parsed),
}

impl Digest {
    /// Of the lines of a piece.
    pub fn of(parsed: Parsed) -> Digest {
        PieceRows::of(&parsed).map_or(Digest::Entries(parsed), Digest::Rows)
    }

    /// As bytes, to travel.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Digest::Rows(rows) => {
                let mut bytes = vec![1];
                rows.encode(&mut bytes);
                bytes
            }
            Digest::Entries(parsed) => [vec![0], parsed.encode()].concat(),
        }
    }

    /// Undoes [`encode`](Self::encode); refuses damaged bytes.
    pub fn decode(bytes: &[u8]) -> Result<Digest> {
        let damaged = || Error::failed("damaged message: rows of a matrix");
        match bytes.split_first() {
            Some((1, rest)) => PieceRows::decode(rest).map(Digest::Rows).ok_or_else(damaged),
            Some((0, rest)) => Parsed::decode(rest).map(Digest::Entries),
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::matrix_market::{Field, Header, Rows, parse_lines};

    fn digest(text: &str) -> Digest {
        let header = Header { field: Field::Real, rows: Rows::Documents, documents: 9, terms: 9, entries: 9 };
        Digest::of(parse_lines(text.as_bytes(), &header))
    }

    #[test]
    fn plain_pieces_become_rows_and_unpack_to_their_entries() {
        let Digest::Rows(rows) = digest("2 1 5\n2 9 1\n4 3 2\n") else { panic!("is plain") };
        assert_eq!((&rows.documents[..], &rows.indptr[..]), (&[1, 3][..], &[0, 2, 3][..]));
        assert_eq!((&rows.terms[..], &rows.values[..], rows.counts), (&[0, 8, 2][..], &[5.0, 1.0, 2.0][..], true));
        let entries = rows.unpacked(1..2, 100);
        assert_eq!(entries, [Entry { document: 3, term: 2, value: 2.0, line: 102 }]);
        assert_eq!(rows.unpacked(0..2, 0).len(), 3);
        for (text, counts) in
            [("1 1 0.5\n", false), ("1 1 -1\n", false), ("1 1 16777216\n", true), ("1 1 16777217\n", false)]
        {
            let Digest::Rows(rows) = digest(text) else { panic!("is plain") };
            assert_eq!(rows.counts, counts, "{text}");
        }
        for text in
            ["2 1 5\n1 1 5\n", "1 2 1\n1 1 1\n", "1 1 1\n1 1 1\n", "1 1 0\n", "\n1 1 1\n", "%\n1 1 1\n", "1 x 1\n", ""]
        {
            assert!(matches!(digest(text), Digest::Entries(_)), "{text:?}");
        }
    }

    #[test]
    fn digests_travel_and_damage_is_noticed() {
        for text in ["2 1 5\n2 9 1\n4 3 0.5\n", "2 1 5\n1 1 x\n"] {
            let digest = digest(text);
            let bytes = digest.encode();
            assert_eq!(Digest::decode(&bytes).unwrap(), digest);
            assert!(Digest::decode(&bytes[..bytes.len() - 1]).is_err());
            assert!(Digest::decode(&[&[2], &bytes[1..]].concat()).is_err());
        }
        let mut bytes = digest("2 1 5\n").encode();
        bytes[2..10].fill(0xff);
        assert!(Digest::decode(&bytes).is_err());
    }
}

//! The entries of a piece of a matrix put together to rows where they were parsed, so that the dispatcher has documents to
//! copy and not entries to look at.
//!
//! Only plain pieces become rows: every line an entry, sorted by document and within it by term, none zero and none twice.
//! That is what writers of sparse matrices write. Lines can be told from positions then, so nothing is lost: other pieces,
//! and these where something is wrong around them, go by entries.

use std::borrow::Cow;
use std::ops::Range;

use crate::corpus::container::MAX_COUNT;
use crate::corpus::matrix_market::{Entry, Parsed};
use crate::corpus::sent_rows::{Rows, SentRows, numbers};
use crate::error::{Error, Result};

/// Bytes before the rows of a message: 1, and what brings them to where numbers may lie.
const BEFORE: usize = 8;

/// Rows of a plain piece, as many as documents occur in it, in the message in which they travel.
#[derive(Debug, Clone, PartialEq)]
pub struct PieceRows {
    rows: SentRows,
    /// Where the numbers of the documents begin in the message: behind the rows.
    documents: usize,
}

impl PieceRows {
    /// The message with the rows of a piece, if it is plain.
    fn encode(parsed: &Parsed) -> Option<Vec<u8>> {
        let entries = &parsed.entries;
        if parsed.failure.is_some() || entries.is_empty() || parsed.lines != entries.len() as u64 {
            return None;
        }
        let (mut counts, mut documents, mut indptr) = (true, Vec::new(), Vec::new());
        let mut last: Option<(u32, u32)> = None;
        let mut indices = Vec::with_capacity(entries.len());
        let mut data = Vec::with_capacity(entries.len());
        let mut largest = 0;
        for (at, entry) in entries.iter().enumerate() {
            let place = (entry.document, entry.term);
            if entry.value == 0.0 || last.is_some_and(|last| last >= place) {
                return None;
            }
            if last.is_none_or(|(document, _)| document != entry.document) {
                documents.push(entry.document);
                indptr.push(at as u64);
            }
            last = Some(place);
            counts &= is_count(entry.value);
            largest = largest.max(entry.term);
            indices.push(entry.term);
            data.push(entry.value);
        }
        indptr.push(entries.len() as u64);
        let mut message = Vec::with_capacity(64 + 8 * documents.len() + 8 * entries.len());
        message.extend_from_slice(&1u64.to_le_bytes());
        let rows = Rows { first_document: 0, terms: largest + 1, indptr: &indptr, indices: &indices, data: &data };
        SentRows::encode(rows, counts, &mut message);
        message.extend_from_slice(bytemuck::cast_slice(&documents));
        Some(message)
    }

    /// Terms and values, and where each document begins among them.
    pub fn rows(&self) -> &SentRows {
        &self.rows
    }

    /// Number of entries, which is that of lines.
    pub fn entries(&self) -> u64 {
        self.rows.nonzeros() as u64
    }

    /// Number of each document that occurs, ascending; its first or last entries may be in other pieces.
    pub fn documents(&self) -> Cow<'_, [u32]> {
        numbers(self.rows.message(), self.documents, self.rows.documents())
    }

    /// The entries of documents `rows` of the piece one by one, the piece beginning at this line of the file.
    pub fn unpacked(&self, rows: Range<usize>, first_line: u64) -> Vec<Entry> {
        let (documents, terms, values) = (self.documents(), self.rows.indices(), self.rows.values());
        let lengths = self.rows.lengths();
        let begin = lengths[..rows.start].iter().map(|&length| length as usize).sum::<usize>();
        let of_row = |row: usize| std::iter::repeat_n(documents[row], lengths[row] as usize);
        let entry = |(at, document)| Entry {
            document,
            term: terms[at],
            value: values.get(at),
            line: u32::try_from(first_line + at as u64).unwrap_or(u32::MAX),
        };
        (begin..).zip(rows.flat_map(of_row)).map(entry).collect()
    }

    fn decode(message: Vec<u8>) -> Option<PieceRows> {
        let (rows, documents) = SentRows::decode(message, BEFORE).ok()?;
        let whole = rows.documents() > 0 && rows.message().len() == documents + 4 * rows.documents();
        let rows = whole.then_some(PieceRows { rows, documents })?;
        let ascend = rows.documents().windows(2).all(|pair| pair[0] < pair[1]);
        ascend.then_some(rows)
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
    /// Of the lines of a piece, as bytes, to travel.
    pub fn encode(parsed: &Parsed) -> Vec<u8> {
        PieceRows::encode(parsed).unwrap_or_else(|| [vec![0], parsed.encode()].concat())
    }

    /// Undoes [`encode`](Self::encode); refuses damaged bytes. That the terms of a document ascend was seen to where they
    /// were parsed.
    pub fn decode(bytes: Vec<u8>) -> Result<Digest> {
        let damaged = || Error::failed("damaged message: rows of a matrix");
        match bytes.first() {
            Some(1) => PieceRows::decode(bytes).map(Digest::Rows).ok_or_else(damaged),
            Some(0) => Parsed::decode(&bytes[1..]).map(Digest::Entries),
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::matrix_market::{self as matrix, Field, Header, parse_lines};
    use crate::corpus::sent_rows::Values;

    fn parsed(text: &str) -> Parsed {
        let header = Header { field: Field::Real, rows: matrix::Rows::Documents, documents: 9, terms: 9, entries: 9 };
        parse_lines(text.as_bytes(), &header)
    }

    fn digest(text: &str) -> Digest {
        Digest::decode(Digest::encode(&parsed(text))).unwrap()
    }

    #[test]
    fn plain_pieces_become_rows_and_unpack_to_their_entries() {
        let Digest::Rows(rows) = digest("2 1 5\n2 9 1\n4 3 2\n") else { panic!("is plain") };
        assert_eq!((&rows.documents()[..], rows.rows().offsets()), (&[1, 3][..], vec![0, 2, 3]));
        assert_eq!(
            (&rows.rows().indices()[..], rows.rows().values()),
            (&[0, 8, 2][..], Values::Counts(vec![5, 1, 2].into()))
        );
        let entries = rows.unpacked(1..2, 100);
        assert_eq!(entries, [Entry { document: 3, term: 2, value: 2.0, line: 102 }]);
        assert_eq!(rows.unpacked(0..2, 0).len(), 3);
        for (text, counts) in
            [("1 1 0.5\n", false), ("1 1 -1\n", false), ("1 1 16777216\n", true), ("1 1 16777217\n", false)]
        {
            let Digest::Rows(rows) = digest(text) else { panic!("is plain") };
            assert_eq!(rows.rows().has_counts(), counts, "{text}");
        }
        for text in
            ["2 1 5\n1 1 5\n", "1 2 1\n1 1 1\n", "1 1 1\n1 1 1\n", "1 1 0\n", "\n1 1 1\n", "%\n1 1 1\n", "1 x 1\n", ""]
        {
            assert!(matches!(digest(text), Digest::Entries(_)), "{text:?}");
        }
    }

    #[test]
    fn digests_travel_and_damage_is_noticed() {
        for text in ["2 1 5\n2 9 1\n4 3 0.5\n", "2 1 5\n2 9 1\n4 3 2\n", "2 1 5\n1 1 x\n"] {
            let parsed = parsed(text);
            let bytes = Digest::encode(&parsed);
            match Digest::decode(bytes.clone()).unwrap() {
                Digest::Rows(rows) => assert_eq!(rows.unpacked(0..rows.documents().len(), 0), parsed.entries),
                Digest::Entries(again) => assert_eq!(again, parsed),
            }
            assert!(Digest::decode(bytes[..bytes.len() - 1].to_vec()).is_err());
            assert!(Digest::decode([&[2], &bytes[1..]].concat()).is_err());
        }
        let bytes = Digest::encode(&parsed("2 1 5\n"));
        // Terms, documents, entries, whether these are counts, the term with its count, and the length of the document.
        for at in [16, 24, 32, 40, 48, 56] {
            let mut bytes = bytes.clone();
            bytes[at..].iter_mut().take(8).for_each(|byte| *byte = 0xff);
            assert!(Digest::decode(bytes).is_err(), "{at}");
        }
        assert!(Digest::decode(Vec::new()).is_err() && Digest::decode(vec![1]).is_err());
    }
}

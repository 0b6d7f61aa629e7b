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
use crate::error::{Error, Result};

/// Bytes before the numbers of a message, eight each: what it holds, whether the values are counts, documents, entries.
const HEAD: usize = 32;

/// Rows of a plain piece, CSR over the documents that occur in it. They stay in the message in which they travel, laid out as
/// the container has them, so that the dispatcher, who is one for any number of workers, copies nothing on their way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PieceRows {
    /// All values are counts: whole numbers from 1 to 2^24.
    pub counts: bool,
    documents: usize,
    entries: usize,
    /// The head; where each document begins (u64, documents + 1, the first 0); number of each document (u32, ascending); term of
    /// each entry (u32); value of each entry (u32 where they are counts, else f32).
    message: Vec<u8>,
}

/// The values of rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Values<'a> {
    /// Whole numbers from 1 to 2^24.
    Counts(Cow<'a, [u32]>),
    /// Any others.
    Weights(Cow<'a, [f32]>),
}

impl Values<'_> {
    /// Value of an entry.
    pub fn get(&self, at: usize) -> f32 {
        match self {
            Values::Counts(counts) => counts[at] as f32,
            Values::Weights(weights) => weights[at],
        }
    }
}

impl PieceRows {
    /// The rows of a piece if it is plain.
    pub fn of(parsed: &Parsed) -> Option<PieceRows> {
        let entries = &parsed.entries;
        if parsed.failure.is_some() || entries.is_empty() || parsed.lines != entries.len() as u64 {
            return None;
        }
        let (mut counts, mut documents, mut indptr) = (true, Vec::new(), Vec::new());
        let mut last: Option<(u32, u32)> = None;
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
        }
        indptr.push(entries.len() as u64);
        let mut message = Vec::with_capacity(HEAD + 12 * documents.len() + 8 + 8 * entries.len());
        for number in [1, u64::from(counts), documents.len() as u64, entries.len() as u64] {
            message.extend_from_slice(&number.to_le_bytes());
        }
        message.extend_from_slice(bytemuck::cast_slice(&indptr));
        message.extend_from_slice(bytemuck::cast_slice(&documents));
        message.extend(entries.iter().flat_map(|entry| entry.term.to_le_bytes()));
        if counts {
            // Through i32, for which every processor has an instruction: counts end at 2^24.
            message.extend(entries.iter().flat_map(|entry| (entry.value as i32).to_le_bytes()));
        } else {
            message.extend(entries.iter().flat_map(|entry| entry.value.to_le_bytes()));
        }
        Some(PieceRows { counts, documents: documents.len(), entries: entries.len(), message })
    }

    /// Number of entries, which is that of lines.
    pub fn entries(&self) -> u64 {
        self.entries as u64
    }

    /// Where each document begins among the entries; one more than documents.
    pub fn indptr(&self) -> Cow<'_, [u64]> {
        self.numbers(HEAD, self.documents + 1)
    }

    /// Number of each document that occurs, ascending; its first or last entries may be in other pieces.
    pub fn documents(&self) -> Cow<'_, [u32]> {
        self.numbers(self.after_indptr(), self.documents)
    }

    /// Term of each entry.
    pub fn terms(&self) -> Cow<'_, [u32]> {
        self.numbers(self.after_indptr() + 4 * self.documents, self.entries)
    }

    /// Value of each entry.
    pub fn values(&self) -> Values<'_> {
        let at = self.after_indptr() + 4 * (self.documents + self.entries);
        if self.counts {
            Values::Counts(self.numbers(at, self.entries))
        } else {
            Values::Weights(self.numbers(at, self.entries))
        }
    }

    fn after_indptr(&self) -> usize {
        HEAD + 8 * (self.documents + 1)
    }

    /// Where they lie if they lie as numbers must, which depends on where the message begins in memory; else a copy.
    fn numbers<T: bytemuck::AnyBitPattern + bytemuck::NoUninit>(&self, at: usize, count: usize) -> Cow<'_, [T]> {
        let bytes = &self.message[at..][..size_of::<T>() * count];
        match bytemuck::try_cast_slice(bytes) {
            Ok(numbers) => Cow::Borrowed(numbers),
            Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
        }
    }

    /// The entries of documents `rows` of the piece one by one, the piece beginning at this line of the file.
    pub fn unpacked(&self, rows: Range<usize>, first_line: u64) -> Vec<Entry> {
        let (indptr, documents, terms, values) = (self.indptr(), self.documents(), self.terms(), self.values());
        let entry = |row: usize, at: usize| Entry {
            document: documents[row],
            term: terms[at],
            value: values.get(at),
            line: u32::try_from(first_line + at as u64).unwrap_or(u32::MAX),
        };
        let span = |row: usize| indptr[row] as usize..indptr[row + 1] as usize;
        rows.flat_map(|row| span(row).map(move |at| (row, at))).map(|(row, at)| entry(row, at)).collect()
    }

    fn decode(message: Vec<u8>) -> Option<PieceRows> {
        let word = |at: usize| {
            let bytes = message.get(at..at + 8)?.first_chunk()?;
            usize::try_from(u64::from_le_bytes(*bytes)).ok()
        };
        let (counts, documents, entries) = (word(8)?, word(16)?, word(24)?);
        let size = documents.checked_mul(12)?.checked_add(entries.checked_mul(8)?)?.checked_add(HEAD + 8)?;
        if counts > 1 || message.len() != size {
            return None;
        }
        let rows = PieceRows { counts: counts == 1, documents, entries, message };
        let indptr = rows.indptr();
        let spans = indptr.first() == Some(&0) && indptr.last() == Some(&(entries as u64)) && indptr.is_sorted();
        let ascend = documents > 0 && rows.documents().windows(2).all(|pair| pair[0] < pair[1]);
        let whole = match rows.values() {
            // A zero wraps round and is beyond every count.
            Values::Counts(counts) => counts.iter().fold(0, |most, &count| most.max(count.wrapping_sub(1))) < MAX_COUNT,
            Values::Weights(weights) => weights.iter().all(|weight| weight.is_finite()),
        };
        (spans && ascend && whole).then_some(rows)
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
    pub fn encode(self) -> Vec<u8> {
        match self {
            Digest::Rows(rows) => rows.message,
            Digest::Entries(parsed) => [vec![0], parsed.encode()].concat(),
        }
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
    use crate::corpus::matrix_market::{Field, Header, Rows, parse_lines};

    fn digest(text: &str) -> Digest {
        let header = Header { field: Field::Real, rows: Rows::Documents, documents: 9, terms: 9, entries: 9 };
        Digest::of(parse_lines(text.as_bytes(), &header))
    }

    #[test]
    fn plain_pieces_become_rows_and_unpack_to_their_entries() {
        let Digest::Rows(rows) = digest("2 1 5\n2 9 1\n4 3 2\n") else { panic!("is plain") };
        assert_eq!((&rows.documents()[..], &rows.indptr()[..]), (&[1, 3][..], &[0, 2, 3][..]));
        assert_eq!((&rows.terms()[..], rows.values()), (&[0, 8, 2][..], Values::Counts(vec![5, 1, 2].into())));
        let Digest::Rows(weights) = digest("2 1 5\n2 9 1.5\n") else { panic!("is plain") };
        assert_eq!(weights.values(), Values::Weights(vec![5.0, 1.5].into()));
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
        for text in ["2 1 5\n2 9 1\n4 3 0.5\n", "2 1 5\n2 9 1\n4 3 2\n", "2 1 5\n1 1 x\n"] {
            let digest = digest(text);
            let bytes = digest.clone().encode();
            assert_eq!(Digest::decode(bytes.clone()).unwrap(), digest);
            assert!(Digest::decode(bytes[..bytes.len() - 1].to_vec()).is_err());
            assert!(Digest::decode([&[2], &bytes[1..]].concat()).is_err());
        }
        let bytes = digest("2 1 5\n").encode();
        // Whether these are counts, how many documents and entries, where the first begins, and the count.
        for at in [8, 16, 24, HEAD, bytes.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[at..].iter_mut().take(8).for_each(|byte| *byte = 0xff);
            assert!(Digest::decode(bytes).is_err(), "{at}");
        }
        assert!(Digest::decode(Vec::new()).is_err() && Digest::decode(vec![1]).is_err());
    }
}

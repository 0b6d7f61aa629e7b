//! Documents as counts in the layout of the container, as they travel from the worker that made them to the dispatcher that
//! writes them.
//!
//! The dispatcher is one for any number of workers: what it does to each nonzero bounds how many of them pay. So the
//! worker leaves nothing to be converted, and the numbers go into the file from the message they came in.

use std::borrow::Cow;

use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::MAX_COUNT;
use crate::error::{Error, Result};

/// Bytes before the numbers: first document, terms of the dictionary, documents, nonzeros, u64 each.
const HEAD: usize = 32;

/// Consecutive documents (documents x terms) as counts, in the message they came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountRows {
    message: Vec<u8>,
    /// Where the numbers begin in it.
    at: usize,
    /// Number of the first document in the corpus.
    pub first_document: u64,
    /// Size of the dictionary.
    pub terms: u32,
    documents: usize,
    nonzeros: usize,
}

fn damaged() -> Error {
    Error::failed("damaged message: not documents; a defect of the network or of corpuscle")
}

impl CountRows {
    /// Appends the documents of a chunk whose values are counts, little-endian: head, terms, counts, and the number of nonzeros
    /// of each document (u32 each).
    pub fn encode(chunk: &CsrChunk, to: &mut Vec<u8>) {
        let (documents, nonzeros) = (chunk.documents(), chunk.nonzeros());
        to.reserve(HEAD + 8 * nonzeros + 4 * documents);
        for number in [chunk.first_document, u64::from(chunk.terms), documents as u64, nonzeros as u64] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(bytemuck::cast_slice(&chunk.indices));
        // Through i32, for which every processor has an instruction: counts end at 2^24.
        let counts = chunk.data.iter().map(|&count| count as i32).collect::<Vec<_>>();
        to.extend_from_slice(bytemuck::cast_slice(&counts));
        let lengths = chunk.indptr.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect::<Vec<_>>();
        to.extend_from_slice(bytemuck::cast_slice(&lengths));
    }

    /// Undoes [`encode`](Self::encode) for what begins at `at` of a message, and says where it ends.
    ///
    /// # Errors
    /// Lengths that do not add up, terms beyond the dictionary, counts that are none. That the terms of a document ascend
    /// was seen to where they were sorted.
    pub fn decode(message: Vec<u8>, at: usize) -> Result<(Self, usize)> {
        let (head, rest) = message.get(at..).and_then(|rest| rest.split_first_chunk::<HEAD>()).ok_or_else(damaged)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        let size = |at: usize| usize::try_from(word(at)).map_err(|_| damaged());
        let (first_document, documents, nonzeros) = (word(0), size(16)?, size(24)?);
        let terms = u32::try_from(word(8)).map_err(|_| damaged())?;
        let bytes = nonzeros.checked_mul(8).zip(documents.checked_mul(4)).and_then(|(a, b)| a.checked_add(b));
        let bytes = bytes.filter(|&bytes| bytes <= rest.len()).ok_or_else(damaged)?;
        let at = at + HEAD;
        let rows = CountRows { message, at, first_document, terms, documents, nonzeros };
        let whole = rows.lengths().iter().map(|&length| u64::from(length)).sum::<u64>() == nonzeros as u64;
        let known = rows.indices().iter().fold(0, |most, &term| most.max(term)) < terms || nonzeros == 0;
        // A zero wraps round and is beyond every count.
        let counts = rows.counts().iter().fold(0, |most, &count| most.max(count.wrapping_sub(1))) < MAX_COUNT;
        if whole && known && counts { Ok((rows, at + bytes)) } else { Err(damaged()) }
    }

    /// The message they came in.
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// Number of nonzeros.
    pub fn nonzeros(&self) -> usize {
        self.nonzeros
    }

    /// Term of each nonzero, ascending within a document.
    pub fn indices(&self) -> Cow<'_, [u32]> {
        self.numbers(0, self.nonzeros)
    }

    /// Count of each nonzero.
    pub fn counts(&self) -> Cow<'_, [u32]> {
        self.numbers(self.nonzeros, self.nonzeros)
    }

    /// Number of nonzeros of each document.
    pub fn lengths(&self) -> Cow<'_, [u32]> {
        self.numbers(2 * self.nonzeros, self.documents)
    }

    /// Where each document begins among the nonzeros; documents + 1 entries.
    pub fn offsets(&self) -> Vec<u64> {
        let add = |end: &mut u64, &length: &u32| {
            *end += u64::from(length);
            Some(*end)
        };
        std::iter::once(0).chain(self.lengths().iter().scan(0, add)).collect()
    }

    /// Where they lie if they lie as numbers must, which depends on where the message begins in memory; else a copy.
    fn numbers(&self, first: usize, count: usize) -> Cow<'_, [u32]> {
        let bytes = &self.message[self.at + 4 * first..][..4 * count];
        match bytemuck::try_cast_slice(bytes) {
            Ok(numbers) => Cow::Borrowed(numbers),
            Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: [f32; 3], before: usize) -> Vec<u8> {
        let chunk = CsrChunk {
            first_document: 3,
            terms: 4,
            indptr: vec![0, 1, 1, 3],
            indices: vec![2, 0, 3],
            data: data.to_vec(),
        };
        let mut message = vec![7; before];
        CountRows::encode(&chunk, &mut message);
        message
    }

    #[test]
    fn counts_travel_wherever_they_lie() {
        let largest = MAX_COUNT as f32;
        for before in 0..5 {
            let bytes = message([1.0, largest, 5.0], before);
            let length = bytes.len();
            let (rows, end) = CountRows::decode([bytes, vec![9; 3]].concat(), before).unwrap();
            assert_eq!((rows.first_document, rows.terms, end), (3, 4, length));
            assert_eq!((rows.documents(), rows.nonzeros(), rows.offsets()), (3, 3, vec![0, 1, 1, 3]));
            assert_eq!((&rows.indices()[..], &rows.counts()[..]), (&[2, 0, 3][..], &[1, MAX_COUNT, 5][..]));
        }
        let mut none = Vec::new();
        CountRows::encode(&CsrChunk { terms: 1, indptr: vec![0], ..CsrChunk::default() }, &mut none);
        assert_eq!(CountRows::decode(none, 0).unwrap().0.documents(), 0);
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = message([1.0, 2.0, 5.0], 0);
        for cut in 0..bytes.len() {
            assert!(CountRows::decode(bytes[..cut].to_vec(), 0).is_err(), "cut at {cut}");
        }
        // Fewer terms than the largest, a length that does not add up, counts of 0 and beyond 2^24.
        for (at, value) in [(8, 3), (HEAD + 24, 2), (HEAD + 12, 0), (HEAD + 16, MAX_COUNT + 1)] {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(CountRows::decode(bytes, 0).is_err(), "{value} at {at}");
        }
        assert!(CountRows::decode(vec![0xff; 100], 0).is_err());
    }
}

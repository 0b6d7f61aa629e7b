//! Documents in the layout of the container, as they travel from the worker that made them to the dispatcher that writes them.
//!
//! The dispatcher is one for any number of workers: what it does to each nonzero bounds how many of them pay. So the
//! worker leaves nothing to be converted, and the numbers go into the file from the message they came in.

use std::borrow::Cow;

use bytemuck::{AnyBitPattern, NoUninit};

use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::MAX_COUNT;
use crate::error::{Error, Result};

/// Bytes before the numbers: first document, terms of the dictionary, documents, nonzeros, and 1 for counts or 0 for weights, u64
/// each.
const HEAD: usize = 40;

/// Documents to be sent (documents x terms, CSR).
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Number of the first.
    pub first_document: u64,
    /// No term is beyond so many.
    pub terms: u32,
    /// Where each begins; documents + 1 entries, the first 0.
    pub indptr: &'a [u64],
    /// Term of each nonzero, ascending within a document.
    pub indices: &'a [u32],
    /// Its value.
    pub data: &'a [f32],
}

impl<'a> From<&'a CsrChunk> for Rows<'a> {
    fn from(chunk: &'a CsrChunk) -> Rows<'a> {
        let CsrChunk { first_document, terms, indptr, indices, data } = chunk;
        Rows { first_document: *first_document, terms: *terms, indptr, indices, data }
    }
}

/// Values of nonzeros.
#[derive(Debug, Clone, PartialEq)]
pub enum Values<'a> {
    /// Whole numbers from 1 to 2^24.
    Counts(Cow<'a, [u32]>),
    /// Any finite ones.
    Weights(Cow<'a, [f32]>),
}

impl Values<'_> {
    /// Value of a nonzero.
    pub fn get(&self, at: usize) -> f32 {
        match self {
            Values::Counts(counts) => counts[at] as f32,
            Values::Weights(weights) => weights[at],
        }
    }
}

/// Consecutive documents (documents x terms) in the message they came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentRows {
    message: Vec<u8>,
    /// Where the numbers begin in it.
    at: usize,
    /// Number of the first document in the corpus.
    pub first_document: u64,
    /// No term is beyond so many.
    pub terms: u32,
    documents: usize,
    nonzeros: usize,
    counts: bool,
}

fn damaged() -> Error {
    Error::failed("damaged message: not documents; a defect of the network or of corpuscle")
}

impl SentRows {
    /// Appends documents to a message, little-endian: head, terms, values, and the number of nonzeros of each document (u32
    /// each). The values are sent as counts (u32) where all of them are, which the caller knows, else as weights (f32).
    pub fn encode(rows: Rows, counts: bool, to: &mut Vec<u8>) {
        let (documents, nonzeros) = (rows.indptr.len().saturating_sub(1), rows.indices.len());
        to.reserve(HEAD + 8 * nonzeros + 4 * documents);
        let head = [rows.first_document, rows.terms.into(), documents as u64, nonzeros as u64, counts.into()];
        head.iter().for_each(|number: &u64| to.extend_from_slice(&number.to_le_bytes()));
        to.extend_from_slice(bytemuck::cast_slice(rows.indices));
        if counts {
            // Through i32, for which every processor has an instruction: counts end at 2^24.
            let counts = rows.data.iter().map(|&count| count as i32).collect::<Vec<_>>();
            to.extend_from_slice(bytemuck::cast_slice(&counts));
        } else {
            to.extend_from_slice(bytemuck::cast_slice(rows.data));
        }
        let lengths = rows.indptr.windows(2).map(|pair| (pair[1] - pair[0]) as u32).collect::<Vec<_>>();
        to.extend_from_slice(bytemuck::cast_slice(&lengths));
    }

    /// Undoes [`encode`](Self::encode) for what begins at `at` of a message, and says where it ends.
    ///
    /// # Errors
    /// Lengths that do not add up, terms beyond the dictionary, counts that are none, weights that are not finite. That the terms
    /// of a document ascend was seen to where they were sorted.
    pub fn decode(message: Vec<u8>, at: usize) -> Result<(Self, usize)> {
        let (head, rest) = message.get(at..).and_then(|rest| rest.split_first_chunk::<HEAD>()).ok_or_else(damaged)?;
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| head[at + i]));
        let size = |at: usize| usize::try_from(word(at)).map_err(|_| damaged());
        let (first_document, documents, nonzeros, counts) = (word(0), size(16)?, size(24)?, word(32));
        let terms = u32::try_from(word(8)).map_err(|_| damaged())?;
        let bytes = nonzeros.checked_mul(8).zip(documents.checked_mul(4)).and_then(|(a, b)| a.checked_add(b));
        let bytes = bytes.filter(|&bytes| bytes <= rest.len() && counts <= 1).ok_or_else(damaged)?;
        let at = at + HEAD;
        let rows = SentRows { message, at, first_document, terms, documents, nonzeros, counts: counts == 1 };
        let whole = rows.lengths().iter().map(|&length| u64::from(length)).sum::<u64>() == nonzeros as u64;
        let known = rows.indices().iter().fold(0, |most, &term| most.max(term)) < terms || nonzeros == 0;
        let sound = match rows.values() {
            // A zero wraps round and is beyond every count.
            Values::Counts(counts) => counts.iter().fold(0, |most, &count| most.max(count.wrapping_sub(1))) < MAX_COUNT,
            Values::Weights(weights) => weights.iter().fold(true, |all, weight| all & weight.is_finite()),
        };
        if whole && known && sound { Ok((rows, at + bytes)) } else { Err(damaged()) }
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

    /// Whether the values are counts.
    pub fn has_counts(&self) -> bool {
        self.counts
    }

    /// Term of each nonzero, ascending within a document.
    pub fn indices(&self) -> Cow<'_, [u32]> {
        numbers(&self.message, self.at, self.nonzeros)
    }

    /// Value of each nonzero.
    pub fn values(&self) -> Values<'_> {
        let at = self.at + 4 * self.nonzeros;
        if self.counts {
            Values::Counts(numbers(&self.message, at, self.nonzeros))
        } else {
            Values::Weights(numbers(&self.message, at, self.nonzeros))
        }
    }

    /// Number of nonzeros of each document.
    pub fn lengths(&self) -> Cow<'_, [u32]> {
        numbers(&self.message, self.at + 8 * self.nonzeros, self.documents)
    }

    /// Where each document begins among the nonzeros; documents + 1 entries.
    pub fn offsets(&self) -> Vec<u64> {
        let add = |end: &mut u64, &length: &u32| {
            *end += u64::from(length);
            Some(*end)
        };
        std::iter::once(0).chain(self.lengths().iter().scan(0, add)).collect()
    }
}

/// So many numbers at a place of a message: where they lie if they lie as numbers must, which depends on where the message
/// begins in memory; else a copy.
pub fn numbers<T: AnyBitPattern + NoUninit>(message: &[u8], at: usize, count: usize) -> Cow<'_, [T]> {
    let bytes = &message[at..][..size_of::<T>() * count];
    match bytemuck::try_cast_slice(bytes) {
        Ok(numbers) => Cow::Borrowed(numbers),
        Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: [f32; 3], counts: bool, before: usize) -> Vec<u8> {
        let chunk = CsrChunk {
            first_document: 3,
            terms: 4,
            indptr: vec![0, 1, 1, 3],
            indices: vec![2, 0, 3],
            data: data.to_vec(),
        };
        let mut message = vec![7; before];
        SentRows::encode((&chunk).into(), counts, &mut message);
        message
    }

    #[test]
    fn rows_travel_wherever_they_lie() {
        let largest = MAX_COUNT as f32;
        for before in 0..5 {
            let bytes = message([1.0, largest, 5.0], true, before);
            let length = bytes.len();
            let (rows, end) = SentRows::decode([bytes, vec![9; 3]].concat(), before).unwrap();
            assert_eq!((rows.first_document, rows.terms, end), (3, 4, length));
            assert_eq!((rows.documents(), rows.nonzeros(), rows.offsets()), (3, 3, vec![0, 1, 1, 3]));
            let counts = Values::Counts(vec![1, MAX_COUNT, 5].into());
            assert_eq!((&rows.indices()[..], rows.values()), (&[2, 0, 3][..], counts));
            let (rows, _) = SentRows::decode(message([-0.5, largest, 1e30], false, before), before).unwrap();
            assert_eq!((rows.has_counts(), rows.values()), (false, Values::Weights(vec![-0.5, largest, 1e30].into())));
            assert_eq!([0, 1].map(|at| rows.values().get(at)), [-0.5, largest]);
        }
        let mut none = Vec::new();
        SentRows::encode((&CsrChunk { terms: 1, indptr: vec![0], ..CsrChunk::default() }).into(), true, &mut none);
        assert_eq!(SentRows::decode(none, 0).unwrap().0.documents(), 0);
    }

    #[test]
    fn damage_is_noticed() {
        let bytes = message([1.0, 2.0, 5.0], true, 0);
        for cut in 0..bytes.len() {
            assert!(SentRows::decode(bytes[..cut].to_vec(), 0).is_err(), "cut at {cut}");
        }
        // Fewer terms than the largest, a length that does not add up, counts of 0 and beyond 2^24.
        for (at, value) in [(8, 3), (HEAD + 24, 2), (HEAD + 12, 0), (HEAD + 16, MAX_COUNT + 1)] {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
            assert!(SentRows::decode(bytes, 0).is_err(), "{value} at {at}");
        }
        assert!(SentRows::decode(vec![0xff; 100], 0).is_err());
        assert!(SentRows::decode(message([1.0, f32::NAN, 1.0], false, 0), 0).is_err());
        let mut neither = bytes;
        neither[32] = 2;
        assert!(SentRows::decode(neither, 0).is_err());
    }
}

//! What the counting pass finds out: the terms of the corpus, and what each piece of text holds.

use crate::corpus::dictionary::TermTable;
use crate::dispatch::Mergeable;
use crate::error::{Error, Result};

/// What a piece of text was found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PieceFacts {
    /// Number of the piece.
    pub number: u64,
    /// Number of the input it is from.
    pub file: u32,
    /// Its decompressed length.
    pub bytes: u64,
    /// Its documents.
    pub documents: u64,
    /// BLAKE3 of its bytes.
    pub checksum: [u8; 32],
}

impl PieceFacts {
    /// Bytes of one, encoded.
    pub const BYTES: usize = 60;

    fn encode(&self, to: &mut Vec<u8>) {
        for number in [self.number, self.bytes, self.documents] {
            to.extend_from_slice(&number.to_le_bytes());
        }
        to.extend_from_slice(&self.file.to_le_bytes());
        to.extend_from_slice(&self.checksum);
    }

    fn decode(record: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| record[at + i]));
        PieceFacts {
            number: word(0),
            bytes: word(8),
            documents: word(16),
            file: u32::from_le_bytes(std::array::from_fn(|i| record[24 + i])),
            checksum: std::array::from_fn(|i| record[28 + i]),
        }
    }

    /// Facts of several pieces as bytes.
    pub fn encode_all(pieces: &[PieceFacts]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(pieces.len() * Self::BYTES);
        pieces.iter().for_each(|piece| piece.encode(&mut bytes));
        bytes
    }

    /// Undoes [`encode_all`](Self::encode_all).
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<PieceFacts>> {
        let (records, rest) = bytes.as_chunks::<{ Self::BYTES }>();
        if rest.is_empty() { Ok(records.iter().map(Self::decode).collect()) } else { Err(damaged()) }
    }
}

fn damaged() -> Error {
    Error::failed("damaged message: not a census of the corpus; a defect of the network or of corpuscle")
}

/// The terms and pieces that one worker, or all of them together, have seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Census {
    /// Frequencies of all terms.
    pub terms: TermTable,
    /// The pieces, ascending by number.
    pub pieces: Vec<PieceFacts>,
}

impl Mergeable for Census {
    fn merge(&mut self, mut other: Self) -> Result<()> {
        self.terms = std::mem::take(&mut self.terms).merge(other.terms);
        self.pieces.append(&mut other.pieces);
        self.pieces.sort_unstable_by_key(|piece| piece.number);
        Ok(())
    }

    /// Bytes of the pieces (u64), pieces, terms.
    fn encode(&self) -> Vec<u8> {
        let pieces = PieceFacts::encode_all(&self.pieces);
        let mut bytes = (pieces.len() as u64).to_le_bytes().to_vec();
        bytes.extend(pieces);
        bytes.extend(self.terms.encode());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let (length, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
        let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| damaged())?;
        let (pieces, terms) = rest.split_at_checked(length).ok_or_else(damaged)?;
        Ok(Census { pieces: PieceFacts::decode_all(pieces)?, terms: TermTable::decode(terms)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::bag::BagPiece;
    use crate::corpus::dictionary::TermCounts;
    use crate::corpus::vocabulary::Vocabulary;

    fn census(number: u64, tokens: &[&str]) -> Census {
        let mut vocabulary = Vocabulary::default();
        let terms: Vec<u32> = tokens.iter().map(|token| vocabulary.intern(token)).collect();
        let (counts, indptr) = (vec![1; terms.len()], vec![0, terms.len() as u32]);
        let mut table = TermCounts::default();
        table.absorb(&BagPiece { number, indptr, terms, counts, ..BagPiece::default() });
        let piece = PieceFacts { number, file: 3, bytes: 1 << 40, documents: 1, checksum: [number as u8; 32] };
        Census { terms: table.resolve(&vocabulary), pieces: vec![piece] }
    }

    #[test]
    fn the_order_of_merging_does_not_matter() {
        let parts = [census(0, &["a", "b"]), census(1, &["b", "c"]), census(2, &["a"])];
        let merged = |order: [usize; 3]| {
            let mut total = Census::default();
            order.iter().for_each(|&at| total.merge(parts[at].clone()).unwrap());
            total
        };
        let total = merged([0, 1, 2]);
        assert_eq!(total.pieces.iter().map(|piece| piece.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(total.terms.len(), 3);
        assert_eq!(merged([2, 0, 1]), total);
    }

    #[test]
    fn it_survives_its_encoding_and_damage_is_noticed() {
        let census = census(7, &["x", "y"]);
        let bytes = census.encode();
        assert_eq!(Census::decode(&bytes), Ok(census));
        for cut in 0..bytes.len() {
            assert!(Census::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Census::decode(&[0xff; 100]).is_err());
    }
}

//! A run of consecutive documents as compressed sparse rows: the unit in which a corpus is read, sent and worked on.

use crate::error::{Error, Result};

/// Consecutive documents by rows (documents x terms, CSR).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CsrChunk {
    /// Number of the first document in the corpus.
    pub first_document: u64,
    /// Columns of the matrix: the size of the dictionary.
    pub terms: u32,
    /// Where each document begins in `indices` and `data`; documents + 1 entries, the first 0.
    pub indptr: Vec<u64>,
    /// Term of each nonzero, ascending within a document.
    pub indices: Vec<u32>,
    /// Value of each nonzero: a count or a weight.
    pub data: Vec<f32>,
}

/// Something with a size in memory.
pub trait Footprint {
    /// Bytes held.
    fn bytes(&self) -> u64;
}

impl Footprint for CsrChunk {
    fn bytes(&self) -> u64 {
        (self.indptr.len() * 8 + self.indices.len() * 4 + self.data.len() * 4) as u64
    }
}

impl CsrChunk {
    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.indptr.len().saturating_sub(1)
    }

    /// Number of nonzeros.
    pub fn nonzeros(&self) -> usize {
        self.indices.len()
    }

    /// Terms and values of one document of the chunk.
    pub fn document(&self, row: usize) -> (&[u32], &[f32]) {
        let span = self.indptr[row] as usize..self.indptr[row + 1] as usize;
        (&self.indices[span.clone()], &self.data[span])
    }

    /// Puts the documents of another chunk over the same terms behind those of this one.
    pub fn append(&mut self, next: &CsrChunk) {
        let nonzeros = self.indices.len() as u64;
        self.indptr.extend(next.indptr.iter().skip(1).map(|offset| nonzeros + offset));
        self.indices.extend_from_slice(&next.indices);
        self.data.extend_from_slice(&next.data);
    }

    /// As bytes, to travel: lengths, offsets, terms, values, little-endian.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(32 + self.bytes() as usize);
        for number in [self.first_document, u64::from(self.terms), self.indptr.len() as u64, self.indices.len() as u64]
        {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(bytemuck::cast_slice(&self.indptr));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.indices));
        bytes.extend_from_slice(bytemuck::cast_slice(&self.data));
        bytes
    }

    /// Undoes [`encode`](Self::encode); bytes that do not add up or break the rules of a chunk are refused.
    pub fn decode(bytes: &[u8]) -> Result<CsrChunk> {
        let damaged = || Error::failed("damaged chunk in a message");
        let mut rest = bytes;
        let mut number = || -> Result<u64> {
            let (head, tail) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
            rest = tail;
            Ok(u64::from_le_bytes(*head))
        };
        let (first_document, terms, offsets, nonzeros) = (number()?, number()?, number()?, number()?);
        let terms = u32::try_from(terms).map_err(|_| damaged())?;
        let size = offsets.checked_mul(8).zip(nonzeros.checked_mul(8)).and_then(|(a, b)| a.checked_add(b));
        if size != Some(rest.len() as u64) {
            return Err(damaged());
        }
        let (indptr, rest) = rest.split_at(offsets as usize * 8);
        let (indices, data) = rest.split_at(nonzeros as usize * 4);
        let chunk = CsrChunk {
            first_document,
            terms,
            indptr: indptr.as_chunks().0.iter().map(|b| u64::from_le_bytes(*b)).collect(),
            indices: indices.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)).collect(),
            data: data.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        };
        chunk.check()?;
        Ok(chunk)
    }

    /// Checks everything the kernels rely on, so that a damaged file or message cannot make them read out of bounds: see
    /// [`check_rows`].
    pub fn check(&self) -> Result<()> {
        check_rows(self.first_document, self.terms, &self.indptr, &self.indices, &self.data)
    }
}

/// Checks compressed sparse rows, the first of which is document `first`: offsets ascending and complete, terms ascending within a
/// document and below `known`, values finite.
pub fn check_rows(first: u64, known: u32, indptr: &[u64], indices: &[u32], data: &[f32]) -> Result<()> {
    let broken = |what: String| Err(Error::failed(format!("damaged chunk at document {first}: {what}")));
    if indptr.first() != Some(&0) || indptr.last() != Some(&(indices.len() as u64)) {
        return broken("offsets do not span the nonzeros".into());
    }
    if indices.len() != data.len() {
        return broken(format!("{} terms for {} values", indices.len(), data.len()));
    }
    if indptr.windows(2).any(|w| w[0] > w[1]) {
        return broken("offsets are not ascending".into());
    }
    for (document, span) in (first..).zip(indptr.windows(2)) {
        let terms = &indices[span[0] as usize..span[1] as usize];
        if !ascending(terms) {
            return broken(format!("terms of document {document} are not ascending"));
        }
        if terms.last().is_some_and(|&term| term >= known) {
            return broken(format!("document {document} names a term beyond the {known} known"));
        }
    }
    if !data.iter().fold(true, |finite, value| finite & value.is_finite()) {
        let value = data.iter().find(|value| !value.is_finite()).unwrap_or(&f32::NAN);
        return broken(format!("value {value} is not finite"));
    }
    Ok(())
}

/// Whether each is larger than the one before. All are compared, which takes a fraction of the time of stopping at the first that is
/// not: every chunk that is read is checked, and hardly one is damaged.
fn ascending(terms: &[u32]) -> bool {
    terms.iter().zip(terms.iter().skip(1)).fold(0, |wrong, (one, next)| wrong | u32::from(one >= next)) == 0
}

/// A chunk's place in its corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSpan {
    /// Number of the first document.
    pub first_document: u64,
    /// Documents in the chunk, at least one.
    pub documents: u64,
    /// Nonzeros before the first document.
    pub first_nonzero: u64,
    /// Nonzeros in the chunk.
    pub nonzeros: u64,
}

/// Documents a chunk holds at most.
pub const MAX_CHUNK_DOCUMENTS: u64 = 65_536;

/// Cuts a corpus into chunks. `indptr` gives where each document's nonzeros begin (documents + 1 entries, the first 0).
///
/// A chunk takes documents until it holds T nonzeros or 65,536 documents, with T = total / 24, but at least 65,536 and at
/// most 2,097,152 nonzeros: a dozen workers find two chunks each where the corpus allows it, a chunk stays below about
/// 16 MiB, and its overhead (a message, a partial sum) stays small. The corpus alone decides, never the number of ranks.
pub fn boundaries(indptr: &[u64]) -> Vec<ChunkSpan> {
    let total = indptr.last().copied().unwrap_or(0);
    let wanted = (total / 24).clamp(65_536, 2_097_152);
    let documents = indptr.len().saturating_sub(1);
    let mut spans = Vec::new();
    let mut first = 0;
    for end in 1..=documents {
        let nonzeros = indptr[end] - indptr[first];
        if nonzeros >= wanted || (end - first) as u64 == MAX_CHUNK_DOCUMENTS || end == documents {
            spans.push(ChunkSpan {
                first_document: first as u64,
                documents: (end - first) as u64,
                first_nonzero: indptr[first],
                nonzeros,
            });
            first = end;
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined() {
        let chunk = |first_document, indptr: &[u64], indices: &[u32]| CsrChunk {
            first_document,
            terms: 9,
            indptr: indptr.to_vec(),
            indices: indices.to_vec(),
            data: indices.iter().map(|&term| term as f32).collect(),
        };
        let mut joined = chunk(5, &[0, 2, 2], &[1, 4]);
        joined.append(&chunk(7, &[0], &[]));
        joined.append(&chunk(7, &[0, 0, 3], &[0, 3, 8]));
        assert_eq!(joined, chunk(5, &[0, 2, 2, 2, 5], &[1, 4, 0, 3, 8]));
        assert_eq!(joined.check(), Ok(()));
    }

    #[test]
    fn chunks_travel_and_damaged_ones_are_refused() {
        let chunk = CsrChunk {
            first_document: 9,
            terms: 5,
            indptr: vec![0, 2, 2, 3],
            indices: vec![1, 4, 0],
            data: vec![1.0, 2.5, 3.0],
        };
        let bytes = chunk.encode();
        assert_eq!(CsrChunk::decode(&bytes), Ok(chunk.clone()));
        for cut in 0..bytes.len() {
            assert!(CsrChunk::decode(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        let broken = |change: fn(&mut CsrChunk)| {
            let mut chunk = chunk.clone();
            change(&mut chunk);
            CsrChunk::decode(&chunk.encode()).is_err()
        };
        assert!(broken(|c| c.indices[1] = 5));
        assert!(broken(|c| c.indices[1] = 1));
        assert!(broken(|c| c.indptr[1] = 4));
        assert!(broken(|c| c.indptr[3] = 2));
        assert!(broken(|c| c.data[0] = f32::NAN));
    }

    fn indptr(lengths: impl IntoIterator<Item = u64>) -> Vec<u64> {
        let mut indptr = vec![0];
        indptr.extend(lengths.into_iter().scan(0, |sum, length| {
            *sum += length;
            Some(*sum)
        }));
        indptr
    }

    /// What every cut must be: consecutive, complete, each chunk full unless it is the last.
    fn assert_partition(indptr: &[u64]) -> Vec<ChunkSpan> {
        let spans = boundaries(indptr);
        let (mut document, mut nonzero) = (0, 0);
        for span in &spans {
            assert_eq!((span.first_document, span.first_nonzero), (document, nonzero));
            assert!(span.documents >= 1 && span.documents <= MAX_CHUNK_DOCUMENTS);
            document += span.documents;
            nonzero += span.nonzeros;
            assert_eq!(indptr[document as usize], nonzero);
        }
        assert_eq!(document as usize, indptr.len() - 1);
        spans
    }

    #[test]
    fn chunks_fill_up_by_nonzeros_or_by_documents() {
        assert!(assert_partition(&[0]).is_empty());
        assert_eq!(assert_partition(&indptr([5])).len(), 1);
        // 100,000 documents of 100: T = 10,000,000 / 24 = 416,666, reached after 4,167 documents.
        let spans = assert_partition(&indptr(std::iter::repeat_n(100, 100_000)));
        assert_eq!(spans[0].documents, 4167);
        assert_eq!(spans.len(), 24);
        // Small corpora are not cut finer than 65,536 nonzeros.
        assert_eq!(assert_partition(&indptr(std::iter::repeat_n(10, 10_000))).len(), 2);
        // Empty documents end a chunk by their number.
        assert_eq!(assert_partition(&indptr(std::iter::repeat_n(0, 140_000))).len(), 3);
        // One huge document is a chunk of its own.
        let spans = assert_partition(&indptr([1, 3_000_000, 1]));
        assert_eq!(spans.iter().map(|s| s.documents).collect::<Vec<_>>(), [2, 1]);
    }

    #[test]
    fn huge_corpora_are_cut_by_the_upper_limit() {
        // 2^33 nonzeros in 8,192 documents: T = 2,097,152 = 2 documents.
        let spans = assert_partition(&indptr(std::iter::repeat_n(1 << 20, 8192)));
        assert!(spans.iter().all(|s| s.documents == 2));
    }

    #[test]
    fn a_damaged_chunk_is_noticed() {
        let good = CsrChunk {
            first_document: 7,
            terms: 3,
            indptr: vec![0, 2, 2, 3],
            indices: vec![0, 2, 1],
            data: vec![1.0, 2.0, 3.0],
        };
        assert_eq!(good.check(), Ok(()));
        type Damage = fn(&mut CsrChunk);
        let damages: [Damage; 7] = [
            |c| c.indptr = vec![0, 3, 2, 3],
            |c| c.indptr = vec![1, 2, 2, 3],
            |c| c.indptr = vec![],
            |c| c.indices = vec![2, 2, 1],
            |c| c.indices = vec![0, 3, 1],
            |c| c.data = vec![1.0, 2.0],
            |c| c.data = vec![1.0, f32::NAN, 3.0],
        ];
        for damage in damages {
            let mut chunk = good.clone();
            damage(&mut chunk);
            assert!(chunk.check().is_err(), "{chunk:?}");
        }
    }
}

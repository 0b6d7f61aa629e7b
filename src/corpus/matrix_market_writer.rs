//! A corpus as a MatrixMarket coordinate file: the header, and the lines of some documents.
//!
//! Written is what gensim's `MmWriter` writes: field real (gensim's reader takes no other), symmetry general, indices from
//! 1, entries by document and within it by term. Counts are whole numbers; a weight is the shortest decimal that reads back
//! to the same f32. Which scheme weights are of goes into a comment, which gensim and scipy skip and `import` understands.

use std::ops::Range;

use crate::corpus::chunk::CsrChunk;
use crate::corpus::container::{CorpusHeader, Values};
use crate::corpus::matrix_market::{Rows, VALUES_COMMENT};

/// Nonzeros of a block: about a megabyte of text, which is written and compressed by itself.
const BLOCK: u64 = 1 << 16;

/// Banner, comment and size line.
pub fn header(corpus: &CorpusHeader, rows: Rows) -> String {
    let comment = match &corpus.values {
        Values::Counts => String::new(),
        Values::Weights(code) => format!("{VALUES_COMMENT} {code}\n"),
    };
    let (documents, terms) = (corpus.documents, u64::from(corpus.terms));
    let (height, width) = match rows {
        Rows::Documents => (documents, terms),
        Rows::Terms => (terms, documents),
    };
    format!("%%MatrixMarket matrix coordinate real general\n{comment}{height} {width} {}\n", corpus.nonzeros)
}

/// Cuts a chunk into blocks of whole documents. They depend on the chunk alone, and so do the compressed bytes.
pub fn blocks(chunk: &CsrChunk) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut begin = 0;
    for row in 0..chunk.documents() {
        let size = chunk.indptr[row + 1] - chunk.indptr[begin];
        if size >= BLOCK || row + 1 == chunk.documents() {
            blocks.push(begin..row + 1);
            begin = row + 1;
        }
    }
    blocks
}

/// The lines of these documents of a chunk.
pub fn lines(chunk: &CsrChunk, documents: Range<usize>, counts: bool, rows: Rows) -> Vec<u8> {
    let nonzeros = (chunk.indptr[documents.end] - chunk.indptr[documents.start]) as usize;
    let mut out = Vec::with_capacity(nonzeros * if counts { 16 } else { 26 });
    let (mut number, mut index, mut decimal) = (itoa::Buffer::new(), itoa::Buffer::new(), zmij::Buffer::new());
    for row in documents {
        let document = number.format(chunk.first_document + row as u64 + 1).as_bytes();
        let (terms, values) = chunk.document(row);
        for (&term, &value) in terms.iter().zip(values) {
            let term = index.format(u64::from(term) + 1).as_bytes();
            let [first, second] = match rows {
                Rows::Documents => [document, term],
                Rows::Terms => [term, document],
            };
            out.extend_from_slice(first);
            out.push(b' ');
            out.extend_from_slice(second);
            out.push(b' ');
            // Whole numbers up to 2^24 are exact.
            let written = if counts { index.format(value as u32) } else { decimal.format_finite(value) };
            out.extend_from_slice(written.strip_suffix(".0").unwrap_or(written).as_bytes());
            out.push(b'\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::matrix_market::{Field, Header, parse_lines};
    use proptest::prelude::*;

    fn chunk(documents: &[&[(u32, f32)]]) -> CsrChunk {
        let mut chunk = CsrChunk { first_document: 9, terms: 200, indptr: vec![0], ..CsrChunk::default() };
        for document in documents {
            chunk.indices.extend(document.iter().map(|&(term, _)| term));
            chunk.data.extend(document.iter().map(|&(_, value)| value));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        chunk
    }

    fn text(chunk: &CsrChunk, counts: bool, rows: Rows) -> String {
        let lines = blocks(chunk).into_iter().flat_map(|block| lines(chunk, block, counts, rows));
        String::from_utf8(lines.collect()).unwrap()
    }

    #[test]
    fn lines_are_those_of_gensim() {
        let counts = chunk(&[&[(0, 1.0), (99, 16_777_216.0)], &[], &[(7, 3.0)]]);
        assert_eq!(text(&counts, true, Rows::Documents), "10 1 1\n10 100 16777216\n12 8 3\n");
        assert_eq!(text(&counts, true, Rows::Terms), "1 10 1\n100 10 16777216\n8 12 3\n");
        let weights = chunk(&[&[(0, 0.1), (1, 2.0), (2, 1e-30), (3, -0.25)]]);
        assert_eq!(text(&weights, false, Rows::Documents), "10 1 0.1\n10 2 2\n10 3 1e-30\n10 4 -0.25\n");
    }

    #[test]
    fn headers_say_what_the_values_are() {
        let corpus = |values| CorpusHeader {
            documents: 5,
            terms: 7,
            nonzeros: 11,
            values,
            labelled: false,
            checksum: String::new(),
        };
        let banner = "%%MatrixMarket matrix coordinate real general\n";
        assert_eq!(header(&corpus(Values::Counts), Rows::Documents), format!("{banner}5 7 11\n"));
        let weights = header(&corpus(Values::Weights("nfc".into())), Rows::Terms);
        assert_eq!(weights, format!("{banner}{VALUES_COMMENT} nfc\n7 5 11\n"));
    }

    #[test]
    fn blocks_cover_a_chunk_and_hold_whole_documents() {
        let many: Vec<(u32, f32)> = (0..200).map(|term| (term, 1.0)).collect();
        let chunk = chunk(&vec![&many[..]; 1000]);
        let blocks = blocks(&chunk);
        assert_eq!(blocks.len(), 4);
        assert_eq!((blocks[0].start, blocks[3].end), (0, 1000));
        assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert!(super::blocks(&CsrChunk { indptr: vec![0], ..CsrChunk::default() }).is_empty());
    }

    proptest! {
        #[test]
        fn every_weight_reads_back_to_its_bits(bits in prop::collection::vec(any::<u32>(), 1..200)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|v| v.is_finite()).collect();
            let entries: Vec<(u32, f32)> = (0..).zip(values.iter().copied()).collect();
            let text = text(&chunk(&[&entries]), false, Rows::Documents);
            let header =
                Header { field: Field::Real, rows: Rows::Documents, documents: 10, terms: 200, entries: 200 };
            let parsed = parse_lines(text.as_bytes(), &header);
            prop_assert_eq!(parsed.failure, None);
            let read: Vec<u32> = parsed.entries.iter().map(|entry| entry.value.to_bits()).collect();
            prop_assert_eq!(read, values.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        }
    }
}

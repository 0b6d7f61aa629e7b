//! A chunk as the products want it: by documents and, transposed, by terms.
//!
//! Both products of a Krylov round then are gathers: A^T V sums rows of V along a document, A Y sums rows of Y along a
//! term, and every row of the result is written once. A scatter along documents would update rows of the result all
//! over memory and takes 1.5 to 2 times as long.

use super::fixed::Grid;
use super::prefetch;
use crate::corpus::chunk::{CsrChunk, Footprint};
use crate::error::{Error, Result};

/// Nonzeros by which places of the transposed chunk are asked for before they are written.
const AHEAD: usize = 24;

/// Sparse rows: row i holds `columns[begins[i]..begins[i + 1]]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    pub begins: Vec<u32>,
    pub columns: Vec<u32>,
    pub values: Vec<f32>,
}

/// Consecutive documents (documents x terms), in both orders.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// One row a document; columns are terms.
    pub(super) by_document: Rows,
    /// One row a term that occurs; columns are documents of the chunk.
    pub(super) by_term: Rows,
    /// Which terms occur, ascending.
    pub(super) present: Vec<u32>,
    terms: usize,
    first_document: u64,
}

impl Prepared {
    /// Transposes a chunk. It is checked first: the kernels rely on it.
    pub fn new(chunk: CsrChunk) -> Result<Prepared> {
        chunk.check()?;
        let too_large =
            || Error::failed(format!("chunk at document {} has more than 2^32 nonzeros", chunk.first_document));
        let begins =
            chunk.indptr.iter().map(|&at| u32::try_from(at).map_err(|_| too_large())).collect::<Result<Vec<_>>>()?;
        let terms = chunk.terms as usize;
        let mut place = vec![0u32; terms];
        for &term in &chunk.indices {
            place[term as usize] += 1;
        }
        let present: Vec<u32> = (0..chunk.terms).filter(|&term| place[term as usize] > 0).collect();
        let mut term_begins = Vec::with_capacity(present.len() + 1);
        let mut begin = 0;
        for &term in &present {
            term_begins.push(begin);
            let next = begin + place[term as usize];
            place[term as usize] = begin;
            begin = next;
        }
        term_begins.push(begin);
        // Document and value lie together until all are in their places: one cache line to wait for instead of two.
        let mut pairs = vec![[0u32; 2]; chunk.indices.len()];
        for row in 0..chunk.documents() {
            let span = chunk.indptr[row] as usize..chunk.indptr[row + 1] as usize;
            let ahead = prefetch::ahead::<AHEAD>(&chunk.indices, span);
            let (terms, weights) = chunk.document(row);
            for ((&term, &weight), &next) in terms.iter().zip(weights).zip(ahead) {
                prefetch::from(&pairs, place[next as usize] as usize, 1);
                let at = &mut place[term as usize];
                pairs[*at as usize] = [row as u32, weight.to_bits()];
                *at += 1;
            }
        }
        let documents = pairs.iter().map(|pair| pair[0]).collect();
        let values = pairs.iter().map(|pair| f32::from_bits(pair[1])).collect();
        Ok(Prepared {
            by_document: Rows { begins, columns: chunk.indices, values: chunk.data },
            by_term: Rows { begins: term_begins, columns: documents, values },
            present,
            terms,
            first_document: chunk.first_document,
        })
    }

    /// Number of documents.
    pub fn documents(&self) -> usize {
        self.by_document.begins.len() - 1
    }

    /// Number of the first document in the corpus.
    pub fn first_document(&self) -> u64 {
        self.first_document
    }

    /// Number of nonzeros.
    pub fn nonzeros(&self) -> usize {
        self.by_document.columns.len()
    }

    /// Size of the dictionary.
    pub fn terms(&self) -> usize {
        self.terms
    }

    /// Adds the sum of each term's values to exact sums (terms).
    pub fn add_term_sums(&self, grid: Grid, sums: &mut [i64]) {
        for (span, &term) in self.by_term.begins.windows(2).zip(&self.present) {
            let values = &self.by_term.values[span[0] as usize..span[1] as usize];
            sums[term as usize] += grid.fix(values.iter().map(|&value| f64::from(value)).sum());
        }
    }

    /// Sum of the squares of all values.
    pub fn frobenius_squared(&self) -> f64 {
        self.by_document.values.iter().map(|&value| f64::from(value) * f64::from(value)).sum()
    }
}

impl Footprint for Prepared {
    fn bytes(&self) -> u64 {
        let rows = |rows: &Rows| (rows.begins.len() + 2 * rows.columns.len()) * 4;
        (rows(&self.by_document) + rows(&self.by_term) + self.present.len() * 4) as u64
    }
}

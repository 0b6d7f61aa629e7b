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

    /// Bytes held in memory.
    pub fn bytes(&self) -> u64 {
        (self.indptr.len() * 8 + self.indices.len() * 4 + self.data.len() * 4) as u64
    }

    /// Checks everything the kernels rely on, so that a damaged file or message cannot make them read out of bounds:
    /// offsets ascending and complete, terms ascending within a document and below `terms`, values finite.
    pub fn check(&self) -> Result<()> {
        let broken =
            |what: String| Err(Error::failed(format!("damaged chunk at document {}: {what}", self.first_document)));
        if self.indptr.first() != Some(&0) || self.indptr.last() != Some(&(self.indices.len() as u64)) {
            return broken("offsets do not span the nonzeros".into());
        }
        if self.indices.len() != self.data.len() {
            return broken(format!("{} terms for {} values", self.indices.len(), self.data.len()));
        }
        if self.indptr.windows(2).any(|w| w[0] > w[1]) {
            return broken("offsets are not ascending".into());
        }
        for row in 0..self.documents() {
            let (terms, _) = self.document(row);
            if terms.windows(2).any(|w| w[0] >= w[1]) {
                return broken(format!("terms of document {} are not ascending", self.first_document + row as u64));
            }
            if terms.last().is_some_and(|&t| t >= self.terms) {
                return broken(format!(
                    "document {} names a term beyond the {} known",
                    self.first_document + row as u64,
                    self.terms
                ));
            }
        }
        if let Some(at) = self.data.iter().position(|v| !v.is_finite()) {
            return broken(format!("value {} is not finite", self.data[at]));
        }
        Ok(())
    }
}

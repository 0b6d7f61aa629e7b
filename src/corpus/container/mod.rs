//! The corpus container: an HDF5 file that holds documents by rows, their dictionary, names and labels.
//!
//! ```text
//! X                       group, AnnData's csr_matrix (documents x terms)
//!   data                  u32 counts or f32 weights, by document, ascending term
//!   indices               i32 term of each nonzero
//!   indptr                i64 where each document begins; documents + 1
//! terms                   strings: the dictionary
//! ids                     strings: a name for each document
//! labels                  strings: a class for each document; may be absent
//! document_frequency      u64: documents that hold the term
//! collection_frequency    u64: occurrences of the term, only where values are counts
//! weighting               section: the model the weights were computed with, only where values are weights of ours
//! ```
//!
//! Root attribute `values` is "counts" or the code of a weighting, such as "nfc". scipy takes i32 and i64 indices without
//! a copy, so these are on disk; in memory terms are u32.

mod background;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use background::BackgroundWriter;
pub use reader::CorpusReader;
pub use writer::CorpusWriter;

/// The section with the model that the weights of a corpus were computed with. Files that are made from a weighted corpus
/// hand it on, so that more documents can be weighted alike.
pub const WEIGHTING: &str = "weighting";

/// The largest count: whole numbers up to here are exact in f32.
pub const MAX_COUNT: u32 = 1 << 24;

/// What the values of a corpus are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// How often the term occurs in the document.
    Counts,
    /// Weights of the scheme with this code, such as "nfc".
    Weights(String),
}

impl Values {
    /// The root attribute `values`.
    pub fn name(&self) -> &str {
        match self {
            Values::Counts => "counts",
            Values::Weights(code) => code,
        }
    }
}

/// What a corpus is, without its documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorpusHeader {
    /// Rows of the matrix.
    pub documents: u64,
    /// Columns of the matrix: the size of the dictionary.
    pub terms: u32,
    /// Stored entries.
    pub nonzeros: u64,
    /// What the entries are.
    pub values: Values,
    /// Whether each document has a label.
    pub labelled: bool,
    /// Checksum of everything in the file.
    pub checksum: String,
}

impl CorpusHeader {
    /// For reports.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "documents": self.documents,
            "terms": self.terms,
            "nonzeros": self.nonzeros,
            "values": self.values.name(),
            "labelled": self.labelled,
            "checksum": self.checksum,
        })
    }
}

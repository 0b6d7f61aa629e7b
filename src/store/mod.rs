//! Files on disk: written beside their target and renamed, versioned, checksummed, the same bytes for the same content.
//!
//! ```text
//! atomic      a target that exists complete or not at all
//! checkpoint  what an unfinished job has worked out so far
//! seal        the checksum of a file: what is in it, whatever the order it was written in
//! column      datasets that grow in fixed blocks: numbers and strings
//! flush       brings a file to disk while it is being written
//! heap        strings read safely
//! file        what all result files have in common: format, version, provenance, seal
//! describe    what is in a file, and a proof of all of it
//! provenance  how a file was made, from raw text on
//! section     numbers and attributes that are handed on from file to file
//! npy         arrays of NumPy
//! spill       what does not fit into memory, for as long as the process runs
//! model       small dense files: models and vectors
//! ```

pub mod atomic;
pub mod checkpoint;
pub mod column;
pub mod describe;
pub mod file;
pub mod flush;
pub mod heap;
pub mod model;
pub mod npy;
pub mod provenance;
pub mod seal;
pub mod section;
pub mod spill;

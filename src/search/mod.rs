//! Cross-validated search over pipelines.

pub mod mt19937;
pub mod splitters;

//! Latent semantic indexing: the truncated singular value decomposition of a terms x documents matrix.

pub mod model;

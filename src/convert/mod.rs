//! Corpora made of something else than text: [`import`] of matrices, [`generate`] of synthetic ones, [`split`] of one into
//! two.

pub mod generate;
pub mod import;
pub mod split;

//! Corpora made of something else than text, and made something else: [`import`] of matrices, [`export`] to them, [`generate`] of synthetic ones, [`split`] of one into
//! two.

pub mod export;
pub mod generate;
pub mod import;
pub mod split;

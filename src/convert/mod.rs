//! Corpora made of something else than text, and made something else: [`import`] of matrices, [`export`] to them, [`generate`] of synthetic ones, [`split`] of one into
//! two.

mod assembly;
mod document_names;
pub mod export;
pub mod generate;
pub mod import;
pub mod import_npz;
pub mod import_rows;
pub mod import_words;
pub mod split;

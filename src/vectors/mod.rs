//! Vectors as files: what every `transform` does around its model.
//!
//! [`documents`] goes through a corpus, [`rows`] through dense rows of anyone; both write in the order of what they read.
//! [`model`] is what both know of their model, [`affine`] a linear map of dense rows after a shift, [`terms`] what some models say
//! of each term of a document.

pub mod affine;
pub mod documents;
pub mod model;
pub mod rows;
pub mod terms;

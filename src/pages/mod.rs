//! Pages about results: what is in a model, what a search found. Pages about runs are in
//! [`scaling`](crate::report::scaling), the frame of all in [`html`](crate::report::html).

pub mod candidates;
pub mod documents;
pub mod map;
pub mod model;
pub mod relevance;
pub mod search;

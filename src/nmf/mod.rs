//! Non-negative matrix factorisation: documents as sums of topics, neither with a negative weight.
//!
//! Problem: for V (terms x documents, nothing below 0) W (terms x k) and H (k x documents), nothing below 0, that make
//! |V - W H|_F small, learned from minibatches (Zhao and Tan, "Online nonnegative matrix factorization with outliers", ICASSP
//! 2016, without the outliers, as in gensim's `Nmf`; Mairal et al., J. Mach. Learn. Res. 11, 2010).
//! [`params`] checks what is asked for, [`descent`] solves for a document or a term, [`kernel`] for the documents of a chunk,
//! [`train`](train::train) runs the whole, `snapshot` keeps it in a checkpoint, [`memory`] says what it takes. [`model`] is what is
//! saved, [`transform`] uses it.

pub mod descent;
pub mod kernel;
pub mod memory;
pub mod model;
pub mod params;
mod snapshot;
pub mod train;
pub mod transform;

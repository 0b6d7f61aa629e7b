//! Numerical kernels. Nothing in here knows of ranks: everything is called with local data and returns a partial.

mod aligned;
mod blas;
pub mod dense;
pub mod digamma;
pub mod fixed;
pub mod gibbs;
pub mod inner;
pub mod int8;
pub mod kernels;
mod lanes;
pub mod nearest;
mod prefetch;
mod prepared;
pub mod rows;
mod simd;
pub mod special;
pub mod tall;
pub mod topics;
pub mod variational;

pub use aligned::Aligned;
pub use blas::{BackEnd, back_end, make_blas_reproducible};
pub use prepared::Prepared;
pub use simd::Simd;

//! Numerical kernels. Nothing in here knows of ranks: everything is called with local data and returns a partial.

mod aligned;
mod blas;
pub mod dense;
pub mod fixed;
pub mod kernels;
mod prepared;
pub mod rows;
mod simd;
pub mod tall;

pub use aligned::Aligned;
pub use blas::{BackEnd, back_end, make_blas_reproducible};
pub use prepared::Prepared;
pub use simd::Simd;

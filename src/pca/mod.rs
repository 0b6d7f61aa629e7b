//! Principal component analysis: the directions in which rows vary most.
//!
//! Problem: for X (rows x columns) with the mean m of its rows, the k leading eigenpairs of C = (X - 1 m^T)^T (X - 1 m^T), which
//! are the right singular vectors of X - 1 m^T and the squares of its singular values. The explained variances are the
//! eigenvalues over (rows - 1), as scikit-learn has them.
//! There are two ways, by what X is:
//! * [`covariance`], for dense rows of anyone: C itself, summed exactly in one pass and decomposed in f64. A block of
//!   Krylov vectors would be a good part of such a matrix after a few rounds, would read the rows in each of them, and keeps
//!   its basis in f32; this gives 12 digits for one reading.
//! * [`iteration`], for a corpus: the block Krylov iteration of [`lsi`](crate::lsi) about the mean of the documents, since C
//!   of 100,000 terms would have 10^10 entries and the centred matrix no zeros.
//!
//! [`model`] is what is saved, [`transform`] uses it.

pub mod covariance;
pub mod iteration;
pub mod model;
pub mod transform;

//! Random projections: rows and documents in fewer columns that keep distances.
//!
//! Problem: Y = X R for X (rows x columns) and a random R (columns x k) whose entries have mean 0 and variance 1 / k, so that
//! |y - y'| is |x - x'| but for a factor of 1 +- eps. [`matrix`] says what R is, [`model`] what is saved of it, which is a few
//! numbers, [`transform`] multiplies.
//! References: Johnson and Lindenstrauss 1984; Achlioptas, J. Comput. Syst. Sci. 66, 2003; Li, Hastie, Church, KDD 2006.

pub mod matrix;
pub mod model;
pub mod transform;

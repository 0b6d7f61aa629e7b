//! Latent semantic indexing: the truncated singular value decomposition of a terms x documents matrix.
//!
//! [`params`] checks what is asked for, [`train`](train::train) runs the whole, [`krylov`] iterates, [`operator`]
//! multiplies by A A^T over the ranks ([`chunks`] says of what), [`orthogonal`] and [`panel`] keep the basis, [`spread`] brings its rows to the
//! dispatcher, `snapshot` into a checkpoint, [`model`] is what is saved, [`memory`] says what all of it takes.
//! [`one_pass`] is the way for documents seen once and for updates; it merges what [`partial`] keeps of them.
//! What a model is for: [`topics`] shows it, [`projection`] and [`transform`] bring documents into its space,
//! [`evaluate`] says how good it is.

pub mod chunks;
pub mod evaluate;
pub mod krylov;
pub mod memory;
pub mod model;
pub mod one_pass;
pub mod operator;
pub mod orthogonal;
pub mod panel;
pub mod params;
pub mod partial;
pub mod projection;
pub(crate) mod snapshot;
pub mod spread;
pub mod topics;
pub mod train;
pub mod transform;

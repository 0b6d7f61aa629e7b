//! The two patterns that carry everything: [`fold`](Dataset::fold), a sum over the corpus, and [`farm`], independent
//! tasks over shared data.
//!
//! Rank 0 dispatches, the other ranks work; with one rank it does both. Chunk boundaries come from the corpus alone
//! and sums are exact, so the answer has the same bits whoever did what. The dispatcher keeps a table chunk -> worker
//! ([`table`]); nothing else knows who has which chunk, so a chunk can be handed to somebody else at any time: a fold
//! keeps the partial of a worker untouched until its sum has arrived.

mod ahead;
mod checkpoint;
mod container;
mod dataset;
mod farm;
mod fold;
mod job;
mod map;
pub mod memory;
mod mend;
mod merge;
mod message;
mod node;
mod table;
mod text;

pub use crate::store::checkpoint::Record;
pub use checkpoint::{Checkpoint, CheckpointSpec, Stage, ask_to_stop, once};
pub use container::{Corpus, Documents};
pub use dataset::{Dataset, Parcel, Reader, Source};
pub use farm::farm;
pub use fold::round_bytes;
pub use job::Job;
pub use mend::endure;
pub use merge::{Mergeable, merge};
#[doc(hidden)]
pub use message::read_any_message;
pub use node::{PIECE, once_a_node};

//! Documents as sparse counts: the chunk, the container that holds them, and all ways in and out.

pub mod chunk;
pub mod container;

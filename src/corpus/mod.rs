//! Documents as sparse counts: the chunk, the container that holds them, and all ways in and out.

pub mod assemble;
pub mod chunk;
pub mod container;
pub mod generate;
pub mod matrix_market;
pub mod split;
pub mod term_list;

//! The nearest documents to a query: exact, by the cosine of dense vectors, over all ranks.
//!
//! ```text
//! unit      vectors from a file, brought to length 1
//! index     the index: vectors of length 1, and what turns a text into one
//! text      a text to a vector, by the steps that its documents went through
//! quantised unit vectors in eight bits a number, and a bound on the error of their products
//! scan      what a stretch of the index has to offer: a first pass in eight bits or in f32, then exact similarities
//! nearest   the n best, and joining the n best of parts
//! search    many queries over an index that is spread over the workers
//! pairs     all pairs of an index that are similar enough
//! query     from vectors or texts to their neighbours, in memory or in a file
//! stream    queries of another program, line by line
//! ```

pub mod index;
pub mod nearest;
pub mod pairs;
pub mod quantised;
pub mod query;
pub mod scan;
pub mod search;
pub mod stream;
pub mod text;
pub mod unit;

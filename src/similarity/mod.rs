//! The nearest documents to a query: exact, by the cosine of dense vectors, over all ranks.
//!
//! ```text
//! unit      vectors from a file, brought to length 1
//! index     the index: vectors of length 1, and what turns a text into one
//! text      a text to a vector, by the steps that its documents went through
//! scan      the best documents of a stretch of the index: matrix products and a threshold
//! nearest   the n best, and joining the n best of parts
//! search    many queries over an index that is spread over the workers
//! query     from vectors or texts to their neighbours, in memory or in a file
//! stream    queries of another program, line by line
//! ```

pub mod index;
pub mod nearest;
pub mod query;
pub mod scan;
pub mod search;
pub mod stream;
pub mod text;
pub mod unit;

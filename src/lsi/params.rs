//! What a decomposition is asked for, checked once.

use crate::error::{Error, Result};
use crate::linalg::kernels::LANES;

/// Parameters as given.
#[derive(Debug, Clone, PartialEq)]
pub struct LsiParams {
    /// Number of singular triplets wanted.
    pub topics: usize,
    /// Largest relative residual ||A A^T u - s^2 u|| / s^2 to stop at.
    pub tolerance: f64,
    /// Columns of a block; chosen from k when left out.
    pub block: Option<usize>,
    /// Exactly so many rounds, whatever the residuals.
    pub rounds: Option<usize>,
    /// Columns of the basis at which it is compressed.
    pub basis: Option<usize>,
    /// Seed of the first block.
    pub seed: u64,
}

/// Parameters that fit the corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct LsiPlan {
    /// Number of singular triplets.
    pub topics: usize,
    /// As in [`LsiParams`].
    pub tolerance: f64,
    /// Columns of a block.
    pub block: usize,
    /// As in [`LsiParams`].
    pub rounds: Option<usize>,
    /// Columns the basis may have before it is compressed.
    pub capacity: usize,
    /// As in [`LsiParams`].
    pub seed: u64,
}

/// Relative residual to stop at by default. The error of a singular value is about the square of the residual over
/// the relative gap to the values that are not wanted, so this leaves it well below 1e-4.
pub const TOLERANCE: f64 = 4e-3;

impl LsiParams {
    /// Checks the parameters against a corpus.
    pub fn check(&self, documents: u64, terms: u32) -> Result<LsiPlan> {
        let k = self.topics;
        check_topics(k, documents, terms)?;
        let most = documents.min(u64::from(terms));
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return Err(Error::usage(format!("--tolerance {}: must lie between 0 and 1", self.tolerance)));
        }
        let most_block = 1024;
        if let Some(block) = self.block
            && (block == 0 || block > most_block)
        {
            return Err(Error::usage(format!("--block {block}: must lie between 1 and {most_block}")));
        }
        if self.rounds == Some(0) {
            return Err(Error::usage("--rounds 0: at least one round is needed"));
        }
        let block = self.block.unwrap_or_else(|| default_block(k)).min(most as usize);
        if let Some(rounds) = self.rounds
            && (rounds * block) < k
        {
            return Err(Error::usage(format!(
                "--rounds {rounds} of --block {block} give {} directions for -k {k}: ask for more",
                rounds * block
            )));
        }
        let least = k + 2 * block;
        let capacity = self.basis.unwrap_or(6 * k + 8 * block);
        if capacity < least {
            return Err(Error::usage(format!(
                "--basis {capacity}: -k {k} with --block {block} needs at least {least} columns"
            )));
        }
        Ok(LsiPlan { topics: k, tolerance: self.tolerance, block, rounds: self.rounds, capacity, seed: self.seed })
    }
}

/// Small blocks need the fewest products, large ones the fewest rounds: about k/8, in whole registers.
fn default_block(k: usize) -> usize {
    k.div_ceil(8).next_multiple_of(LANES).min(128)
}

/// Parameters of training in one pass, as given.
#[derive(Debug, Clone, PartialEq)]
pub struct OnePassParams {
    /// Number of singular triplets wanted.
    pub topics: usize,
    /// Documents of a chunk.
    pub chunk_documents: u64,
    /// What a chunk makes all earlier documents count for.
    pub decay: f64,
    /// Krylov rounds at the end, which read the corpus again.
    pub polish: usize,
    /// Read the corpus again for the residuals.
    pub residuals: bool,
    /// Seed of the first blocks.
    pub seed: u64,
}

/// Parameters of training in one pass that fit the corpus.
#[derive(Debug, Clone, PartialEq)]
pub struct OnePassPlan {
    /// Number of singular triplets.
    pub topics: usize,
    /// Triplets kept until the end.
    pub width: usize,
    /// Columns of a block of the decomposition of a chunk.
    pub block: usize,
    /// As in [`OnePassParams`].
    pub chunk_documents: u64,
    /// As in [`OnePassParams`].
    pub decay: f64,
    /// As in [`OnePassParams`].
    pub polish: usize,
    /// As in [`OnePassParams`].
    pub residuals: bool,
    /// As in [`OnePassParams`].
    pub seed: u64,
}

/// Documents of a chunk by default, as in gensim.
pub const CHUNK_DOCUMENTS: u64 = 20_000;

impl OnePassParams {
    /// Checks the parameters against all documents, those of an earlier model included.
    pub fn check(&self, documents: u64, terms: u32) -> Result<OnePassPlan> {
        let OnePassParams { topics, chunk_documents, decay, polish, residuals, seed } = *self;
        check_topics(topics, documents, terms)?;
        if chunk_documents == 0 {
            return Err(Error::usage("--chunk-documents 0: at least one document is needed"));
        }
        if !(decay > 0.0 && decay <= 1.0) {
            return Err(Error::usage(format!(
                "--decay {decay}: must lie above 0 and not above 1, which forgets nothing"
            )));
        }
        let width = (2 * topics).min(terms as usize);
        let block = (topics / 2).next_multiple_of(LANES).clamp(LANES, 1024);
        Ok(OnePassPlan { topics, width, block, chunk_documents, decay, polish, residuals, seed })
    }
}

/// Refuses a number of topics that a corpus cannot have.
fn check_topics(k: usize, documents: u64, terms: u32) -> Result<()> {
    let most = documents.min(u64::from(terms));
    if k == 0 {
        return Err(Error::usage("-k 0: at least one topic is needed"));
    }
    if k as u64 > most {
        return Err(Error::usage(format!(
            "-k {k}: a corpus of {documents} documents and {terms} terms has at most {most} topics"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(topics: usize) -> LsiParams {
        LsiParams { topics, tolerance: TOLERANCE, block: None, rounds: None, basis: None, seed: 1 }
    }

    #[test]
    fn impossible_requests_are_usage_errors() {
        let refused = |params: LsiParams| matches!(params.check(300, 1000), Err(Error::Usage(_)));
        assert!(refused(params(0)));
        assert!(refused(params(301)));
        assert!(refused(LsiParams { tolerance: 0.0, ..params(10) }));
        assert!(refused(LsiParams { tolerance: f64::NAN, ..params(10) }));
        assert!(refused(LsiParams { block: Some(0), ..params(10) }));
        assert!(refused(LsiParams { rounds: Some(2), block: Some(10), ..params(30) }));
        assert!(refused(LsiParams { basis: Some(30), ..params(30) }));
        assert!(params(300).check(300, 1000).is_ok());
    }

    #[test]
    fn the_block_depends_on_k_alone() {
        assert_eq!([1, 10, 100, 200, 400, 2000].map(default_block), [16, 16, 16, 32, 64, 128]);
    }
}

//! What to learn, checked once. Names and defaults are those of gensim's `Nmf`.

use super::descent::Until;
use crate::error::{Error, Result};

/// Parameters as given.
#[derive(Debug, Clone, PartialEq)]
pub struct NmfParams {
    /// Number of topics (`num_topics`).
    pub topics: usize,
    /// Documents of a minibatch, about (`chunksize`).
    pub chunksize: u64,
    /// Times that the corpus is gone through.
    pub passes: usize,
    /// Share of each step of the descent that is taken.
    pub kappa: f64,
    /// Shares below it are written as 0 by `transform`.
    pub minimum_probability: f64,
    /// Most sweeps over the topics of a term, and the share of its weights that a sweep has to move for another one.
    pub w_max_iter: usize,
    /// See `w_max_iter`.
    pub w_stop_condition: f64,
    /// The same for the topics of a document.
    pub h_max_iter: usize,
    /// See `h_max_iter`.
    pub h_stop_condition: f64,
    /// Minibatches from one word on the error to the next; 0: none.
    pub eval_every: usize,
    /// Weights of a document, and of a topic, are brought to a sum of 1 where they are shown.
    pub normalize: bool,
    /// Seed of everything random.
    pub seed: u64,
}

/// Checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct NmfPlan {
    /// As given.
    pub params: NmfParams,
    /// Minibatches of a pass.
    pub minibatches: usize,
    /// When the weights of a document are found.
    pub document: Until,
    /// When those of a term are.
    pub term: Until,
}

/// Most topics: their products are held in f64.
const MOST_TOPICS: usize = 4096;

impl NmfParams {
    /// Checks the parameters against a corpus of so many documents.
    ///
    /// # Errors
    /// `Usage` for a value that is out of range.
    pub fn check(self, documents: u64) -> Result<NmfPlan> {
        let usage = |what: String| Err(Error::usage(what));
        if self.topics == 0 || self.topics > MOST_TOPICS {
            return usage(format!("-k {}: from 1 to {MOST_TOPICS} topics", self.topics));
        }
        for (value, name) in [
            (self.passes, "--passes"),
            (self.w_max_iter, "--w-max-iter"),
            (self.h_max_iter, "--h-max-iter"),
            (usize::try_from(self.chunksize).unwrap_or(usize::MAX), "--chunksize"),
        ] {
            if value == 0 {
                return usage(format!("{name} 0: at least 1"));
            }
        }
        if !(self.kappa > 0.0 && self.kappa <= 1.0) {
            return usage(format!("--kappa {}: above 0 and at most 1, the whole step", self.kappa));
        }
        for (value, name) in
            [(self.w_stop_condition, "--w-stop-condition"), (self.h_stop_condition, "--h-stop-condition")]
        {
            if !(0.0..1.0).contains(&value) {
                return usage(format!("{name} {value}: from 0 to below 1"));
            }
        }
        if !(0.0..=1.0).contains(&self.minimum_probability) {
            return usage(format!("--minimum-probability {}: from 0 to 1", self.minimum_probability));
        }
        let until = |sweeps, change| Until { sweeps, change, kappa: self.kappa };
        let minibatches = documents.div_ceil(self.chunksize).max(1) as usize;
        Ok(NmfPlan {
            minibatches,
            document: until(self.h_max_iter, self.h_stop_condition),
            term: until(self.w_max_iter, self.w_stop_condition),
            params: self,
        })
    }
}

impl NmfPlan {
    /// Minibatches of all passes.
    pub fn steps(&self) -> usize {
        self.params.passes * self.minibatches
    }
}

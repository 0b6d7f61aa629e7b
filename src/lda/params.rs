//! What to train, checked once.

use crate::error::{Error, Result};

/// Documents of a minibatch in a large and in a small corpus.
const LARGEST_MINIBATCH: u64 = 8192;
const SMALLEST_MINIBATCH: u64 = 64;
/// Minibatches of a pass where neither limit holds. On 20 newsgroups 66, 33 and 9 of them lead to the same perplexity within
/// 1.2 % in ten passes; the fewer there are, the less workers have to tell each other.
const MINIBATCHES: u64 = 16;
/// Most documents of a minibatch: the sums of expected counts have room for so many roundings.
const MOST_DOCUMENTS: u64 = 1 << 20;
/// Smallest priors: the weights of terms and shares of topics that they leave are still far above the smallest f32.
pub const SMALLEST_PRIOR: f64 = 1e-6;
/// Largest priors.
pub const LARGEST_PRIOR: f64 = 1e6;

/// The prior of the documents' shares.
#[derive(Debug, Clone, PartialEq)]
pub enum Alpha {
    /// The same for all topics.
    Symmetric(f64),
    /// 1 / (topic + sqrt(topics)), scaled to a sum of 1, as in gensim.
    Asymmetric,
    /// One for each topic.
    Given(Vec<f64>),
    /// Learned from the documents, beginning with these values.
    Learned(Vec<f64>),
}

/// Parameters as given.
#[derive(Debug, Clone, PartialEq)]
pub struct LdaParams {
    /// Number of topics.
    pub topics: usize,
    /// Times that the corpus is gone through.
    pub passes: usize,
    /// Documents of a minibatch, about.
    pub minibatch: Option<u64>,
    /// Sweeps over a document before its expected counts are taken.
    pub burn_in: usize,
    /// The t-th minibatch, from 0, replaces a share of (tau0 + t)^-kappa of what is known.
    pub kappa: f64,
    /// See `kappa`.
    pub tau0: f64,
    /// Prior of the documents' shares.
    pub alpha: Alpha,
    /// Prior of the topics' terms.
    pub eta: f64,
    /// Seed of everything random.
    pub seed: u64,
}

/// Checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct LdaPlan {
    /// Number of topics.
    pub topics: usize,
    /// Times that the corpus is gone through.
    pub passes: usize,
    /// Documents of a minibatch, about.
    pub minibatch: u64,
    /// Minibatches of a pass.
    pub minibatches: usize,
    /// Sweeps over a document.
    pub burn_in: usize,
    /// See [`LdaParams::kappa`].
    pub kappa: f64,
    /// See [`LdaParams::kappa`].
    pub tau0: f64,
    /// Prior of the documents' shares, one for each topic: the first, if it is learned.
    pub alpha: Vec<f64>,
    /// Whether alpha is learned.
    pub learn_alpha: bool,
    /// Prior of the topics' terms.
    pub eta: f64,
    /// Seed of everything random.
    pub seed: u64,
}

impl LdaParams {
    /// Checks the parameters against a corpus of so many documents.
    pub fn check(&self, documents: u64) -> Result<LdaPlan> {
        let usage = |what: String| Err(Error::usage(what));
        if self.topics == 0 || self.topics > 65_536 {
            return usage(format!("-k {}: from 1 to 65536 topics", self.topics));
        }
        for (value, name) in [(self.passes, "--passes"), (self.burn_in, "--burn-in")] {
            if value == 0 {
                return usage(format!("{name} 0: at least 1"));
            }
        }
        if !(self.kappa > 0.5 && self.kappa <= 1.0) {
            return usage(format!("--kappa {}: above 0.5 and at most 1, or training does not converge", self.kappa));
        }
        if !(self.tau0 >= 1.0 && self.tau0.is_finite()) {
            return usage(format!("--tau0 {}: at least 1", self.tau0));
        }
        let prior = |value: f64| value.is_finite() && (SMALLEST_PRIOR..=LARGEST_PRIOR).contains(&value);
        if !prior(self.eta) {
            return usage(format!("--eta {}: from {SMALLEST_PRIOR} to {LARGEST_PRIOR}", self.eta));
        }
        let (alpha, learn_alpha) = match &self.alpha {
            Alpha::Symmetric(value) => (vec![*value; self.topics], false),
            Alpha::Learned(values) => (values.clone(), true),
            Alpha::Given(values) => (values.clone(), false),
            Alpha::Asymmetric => {
                let root = (self.topics as f64).sqrt();
                let values: Vec<f64> = (0..self.topics).map(|topic| 1.0 / (topic as f64 + root)).collect();
                let sum: f64 = values.iter().sum();
                (values.into_iter().map(|value| value / sum).collect(), false)
            }
        };
        if alpha.len() != self.topics {
            return usage(format!("--alpha: {} numbers for {} topics", alpha.len(), self.topics));
        }
        if let Some(value) = alpha.iter().find(|&&value| !prior(value)) {
            return usage(format!("--alpha {value}: from {SMALLEST_PRIOR} to {LARGEST_PRIOR}"));
        }
        let wanted = self.minibatch.unwrap_or((documents / MINIBATCHES).clamp(SMALLEST_MINIBATCH, LARGEST_MINIBATCH));
        if wanted == 0 || wanted > MOST_DOCUMENTS {
            return usage(format!("--minibatch {wanted}: from 1 to {MOST_DOCUMENTS} documents"));
        }
        let minibatches = documents.div_ceil(wanted).max(1);
        Ok(LdaPlan {
            topics: self.topics,
            passes: self.passes,
            minibatch: wanted,
            minibatches: minibatches as usize,
            burn_in: self.burn_in,
            kappa: self.kappa,
            tau0: self.tau0,
            alpha,
            learn_alpha,
            eta: self.eta,
            seed: self.seed,
        })
    }
}

impl LdaPlan {
    /// Share of what is known that a minibatch replaces; they are counted from 0 over all passes.
    pub fn rate(&self, minibatch: u64) -> f64 {
        (self.tau0 + minibatch as f64).powf(-self.kappa)
    }
}

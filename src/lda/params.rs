//! What to train, checked once.

use super::model::History;
use crate::error::{Error, Result};
use crate::linalg::variational::Until;

/// Topics wanted when nothing is said.
pub const TOPICS: usize = 100;
/// Passes: see the README for what they buy.
pub const PASSES: usize = 10;
/// Prior of shares and of terms.
const PRIORS: (f64, f64) = (0.1, 0.01);
/// Documents of a minibatch of variational inference, as in gensim (`chunksize`).
const CHUNK: u64 = 2000;
/// Documents of a minibatch of SCVB0 in a large and in a small corpus.
const LARGEST_MINIBATCH: u64 = 8192;
const SMALLEST_MINIBATCH: u64 = 64;
/// Minibatches of a pass where neither limit holds. On 20 newsgroups 66, 33 and 9 of them led to the same perplexity within
/// 1.2 % in ten passes, 16, 12 and 8 within 0.7 %; the fewer there are, the less workers have to tell each other.
const MINIBATCHES: u64 = 12;
/// Most documents of a minibatch: the sums of expected counts have room for so many roundings.
const MOST_DOCUMENTS: u64 = 1 << 20;
/// Most minibatches by which the model that infers one may be behind.
const MOST_STALENESS: usize = 16;
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

/// Prior of the topics' terms: one for all of them, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub struct Eta(pub Vec<f64>);

impl Eta {
    /// The same for all terms.
    pub fn symmetric(value: f64) -> Eta {
        Eta(vec![value])
    }

    /// That of a term.
    pub fn of(&self, term: usize) -> f64 {
        if let [value] = self.0[..] { value } else { self.0[term] }
    }

    /// The sum over so many terms.
    pub fn sum(&self, terms: usize) -> f64 {
        if let [value] = self.0[..] { value * terms as f64 } else { self.0.iter().sum() }
    }
}

/// How documents are inferred and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// Stochastic collapsed variational inference (Foulds et al., KDD 2013)
    Scvb0,
    /// Online variational inference (Hoffman et al., NIPS 2010), as gensim's LdaModel has it
    Online,
    /// Variational inference with all documents between two steps of the model
    Batch,
}

impl Method {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Method::Scvb0 => "scvb0",
            Method::Online => "online",
            Method::Batch => "batch",
        }
    }

    /// Priors of the documents' shares and of the topics' terms when nothing is said.
    pub fn priors(self, topics: usize) -> (f64, f64) {
        let even = 1.0 / topics.max(1) as f64;
        if self == Method::Scvb0 { PRIORS } else { (even, even) }
    }

    /// Exponent and offset of the rate when nothing is said.
    fn rate(self) -> (f64, f64) {
        match self {
            Method::Scvb0 => (0.6, 1.0),
            Method::Online | Method::Batch => (0.5, 1.0),
        }
    }
}

/// Parameters as given.
#[derive(Debug, Clone, PartialEq)]
pub struct LdaParams {
    /// How to train.
    pub method: Method,
    /// Number of topics.
    pub topics: usize,
    /// Times that the corpus is gone through.
    pub passes: usize,
    /// Documents of a minibatch, about.
    pub minibatch: Option<u64>,
    /// Online: minibatches between two steps of the model.
    pub update_every: Option<usize>,
    /// SCVB0: sweeps over a document before its tokens are drawn.
    pub burn_in: Option<usize>,
    /// SCVB0: times that a document's tokens are drawn again before its expected counts are taken; 0: they are not drawn at all.
    pub gibbs_sweeps: Option<usize>,
    /// Variational inference: most iterations of a document.
    pub iterations: Option<usize>,
    /// Variational inference: mean change of a document's parameters at which they are taken as found, in tokens.
    pub gamma_threshold: Option<f32>,
    /// See [`LdaPlan::rate`].
    pub kappa: Option<f64>,
    /// See [`LdaPlan::rate`].
    pub tau0: Option<f64>,
    /// Minibatches by which the model that infers one is behind.
    pub staleness: usize,
    /// Prior of the documents' shares.
    pub alpha: Alpha,
    /// Prior of the topics' terms, or where to begin to learn it.
    pub eta: Eta,
    /// Whether eta is learned.
    pub learn_eta: bool,
    /// Seed of everything random.
    pub seed: u64,
}

/// Checked parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct LdaPlan {
    /// How to train.
    pub method: Method,
    /// Number of topics.
    pub topics: usize,
    /// Times that the corpus is gone through.
    pub passes: usize,
    /// Documents of a minibatch, about.
    pub minibatch: u64,
    /// Minibatches of a pass.
    pub minibatches: usize,
    /// Minibatches between two steps of the model; fewer before the last step of a pass.
    pub update_every: usize,
    /// Sweeps over a document.
    pub burn_in: usize,
    /// Times that its tokens are drawn again; 0: they are not drawn at all.
    pub gibbs_sweeps: usize,
    /// When a document's parameters are found.
    pub until: Until,
    /// See [`LdaPlan::rate`].
    pub kappa: f64,
    /// See [`LdaPlan::rate`].
    pub tau0: f64,
    /// Steps by which the model that infers a minibatch is behind.
    pub staleness: usize,
    /// Prior of the documents' shares, one for each topic: the first, if it is learned.
    pub alpha: Vec<f64>,
    /// Whether alpha is learned.
    pub learn_alpha: bool,
    /// Prior of the topics' terms: the first, if it is learned.
    pub eta: Eta,
    /// Whether eta is learned.
    pub learn_eta: bool,
    /// Seed of everything random.
    pub seed: u64,
}

/// Sweeps when nothing is said.
const BURN_IN: usize = 1;
/// Times that tokens are drawn again when nothing is said: see ARCHITECTURE.md.
const GIBBS_SWEEPS: usize = 4;
/// More than anybody waits for.
const MOST_GIBBS_SWEEPS: usize = 10_000;

impl LdaParams {
    /// Checks the parameters against a corpus of so many documents and terms.
    ///
    /// # Errors
    /// `Usage` for a value that is out of range, or an option of another method.
    pub fn check(&self, documents: u64, terms: usize) -> Result<LdaPlan> {
        let usage = |what: String| Err(Error::usage(what));
        if self.topics == 0 || self.topics > 65_536 {
            return usage(format!("-k {}: from 1 to 65536 topics", self.topics));
        }
        self.check_method()?;
        let (kappa, tau0) = self.method.rate();
        let (kappa, tau0) = (self.kappa.unwrap_or(kappa), self.tau0.unwrap_or(tau0));
        let (burn_in, iterations) =
            (self.burn_in.unwrap_or(BURN_IN), self.iterations.unwrap_or(Until::default().iterations));
        let update_every = self.update_every.unwrap_or(1);
        let counts = [
            (self.passes, "--passes"),
            (burn_in, "--burn-in"),
            (iterations, "--iterations"),
            (update_every, "--update-every"),
        ];
        for (value, name) in counts {
            if value == 0 {
                return usage(format!("{name} 0: at least 1"));
            }
        }
        let threshold = self.gamma_threshold.unwrap_or(Until::default().threshold);
        if !(threshold >= 0.0 && threshold.is_finite()) {
            return usage(format!("--gamma-threshold {threshold}: a number of tokens, such as 0.001"));
        }
        // At 0.5 it converges in practice, if not in theory: gensim's default.
        let allowed = kappa <= 1.0 && (kappa > 0.5 || kappa == 0.5 && self.method == Method::Online);
        if self.method != Method::Batch && !allowed {
            return usage(format!("--kappa {kappa}: above 0.5 and at most 1, or training does not converge"));
        }
        if !(tau0 >= 1.0 && tau0.is_finite()) {
            return usage(format!("--tau0 {tau0}: at least 1"));
        }
        let gibbs_sweeps = self.gibbs_sweeps.unwrap_or(GIBBS_SWEEPS);
        if gibbs_sweeps > MOST_GIBBS_SWEEPS {
            return usage(format!("--gibbs-sweeps {gibbs_sweeps}: at most {MOST_GIBBS_SWEEPS}"));
        }
        if self.method == Method::Scvb0 && gibbs_sweeps == 0 && matches!(self.alpha, Alpha::Learned(_)) {
            return usage("--gibbs-sweeps 0: alpha is learned from drawn tokens, in 1 sweep or more".to_owned());
        }
        if self.staleness > MOST_STALENESS {
            return usage(format!("--staleness {}: at most {MOST_STALENESS}", self.staleness));
        }
        let prior = |value: f64| value.is_finite() && (SMALLEST_PRIOR..=LARGEST_PRIOR).contains(&value);
        if self.eta.0.len() != 1 && self.eta.0.len() != terms {
            return usage(format!("--eta: {} numbers for {terms} terms", self.eta.0.len()));
        }
        if let Some(value) = self.eta.0.iter().find(|&&value| !prior(value)) {
            return usage(format!("--eta {value}: from {SMALLEST_PRIOR} to {LARGEST_PRIOR}"));
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
        let usual = match self.method {
            Method::Scvb0 => (documents / MINIBATCHES).clamp(SMALLEST_MINIBATCH, LARGEST_MINIBATCH),
            Method::Online | Method::Batch => CHUNK,
        };
        let minibatch = self.minibatch.unwrap_or(usual);
        if minibatch == 0 || minibatch > MOST_DOCUMENTS {
            return usage(format!("--minibatch {minibatch}: from 1 to {MOST_DOCUMENTS} documents"));
        }
        let minibatches = documents.div_ceil(minibatch).max(1) as usize;
        Ok(LdaPlan {
            method: self.method,
            topics: self.topics,
            passes: self.passes,
            minibatch,
            minibatches,
            update_every: if self.method == Method::Batch { minibatches } else { update_every.min(minibatches) },
            burn_in,
            gibbs_sweeps,
            until: Until { iterations, threshold },
            kappa,
            tau0,
            staleness: self.staleness,
            alpha,
            learn_alpha,
            eta: self.eta.clone(),
            learn_eta: self.learn_eta,
            seed: self.seed,
        })
    }

    /// Options of a method with another one.
    fn check_method(&self) -> Result<()> {
        let (scvb0, batch) = (self.method == Method::Scvb0, self.method == Method::Batch);
        for (given, wrong, name, with) in [
            (self.burn_in.is_some(), !scvb0, "--burn-in", "scvb0"),
            (self.gibbs_sweeps.is_some(), !scvb0, "--gibbs-sweeps", "scvb0"),
            (self.iterations.is_some(), scvb0, "--iterations", "online or batch"),
            (self.gamma_threshold.is_some(), scvb0, "--gamma-threshold", "online or batch"),
            (self.update_every.is_some(), self.method != Method::Online, "--update-every", "online"),
            (self.kappa.is_some(), batch, "--kappa", "scvb0 or online"),
            (self.tau0.is_some(), batch, "--tau0", "scvb0 or online"),
            (self.staleness > 0, batch, "--staleness", "scvb0 or online"),
        ] {
            if given && wrong {
                return Err(Error::usage(format!("{name} goes with --method {with}")));
            }
        }
        Ok(())
    }
}

impl LdaPlan {
    /// Steps of the model in a pass.
    pub fn steps(&self) -> usize {
        self.minibatches.div_ceil(self.update_every)
    }

    /// Share of what is known that the step replaces, of those counted from 0 over all passes; `before` are the steps and
    /// documents of earlier training. SCVB0: (tau0 + steps before)^-kappa. Online, as in gensim: (tau0 + passes before +
    /// minibatches before, of those not seen in an earlier pass)^-kappa. Batch: all.
    pub fn rate(&self, step: usize, before: History) -> f64 {
        match self.method {
            Method::Scvb0 => (self.tau0 + before.updates as f64 + step as f64).powf(-self.kappa),
            Method::Online => {
                let (pass, at) = (step / self.steps(), step % self.steps());
                let seen = if pass == 0 { at * self.update_every } else { self.minibatches };
                let earlier = before.documents as f64 / self.minibatch as f64;
                (self.tau0 + pass as f64 + earlier + seen as f64).powf(-self.kappa)
            }
            Method::Batch => 1.0,
        }
    }
}

//! The steps a pipeline is made of, and their parameters: names, kinds, defaults and limits.
//!
//! A step is described by a kind and values by name; [`build`] checks them and makes what runs. Names and meanings are
//! scikit-learn's where it has the step.

use super::value::Value;
use crate::lda::params::{Alpha, Eta, LARGEST_PRIOR, LdaParams, Method, PASSES, SMALLEST_PRIOR, TOPICS};
use crate::learn::bayes::Kind as BayesKind;
use crate::learn::estimator::Spec;
use crate::learn::features::Norm;
use crate::learn::{logistic, svm};
use crate::lsi::params::TOLERANCE;
use crate::weight::smart::SmartCode;

/// Which step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Choice of terms by their documents among the training rows.
    Terms,
    /// tf-idf weights.
    Tfidf,
    /// Projection onto the leading left singular vectors.
    Lsi,
    /// Shares of topics.
    Lda,
    /// StandardScaler.
    Scale,
    /// Rows to length 1.
    Normalise,
    /// What predicts.
    Estimator(Model),
}

/// Which estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Model {
    MultinomialNb,
    BernoulliNb,
    ComplementNb,
    NearestCentroid,
    Neighbours,
    Ridge,
    RidgeClassifier,
    Logistic,
    Svm,
}

impl Kind {
    /// All kinds by the name in a pipeline file.
    pub const ALL: [(&'static str, Kind); 15] = [
        ("terms", Kind::Terms),
        ("tfidf", Kind::Tfidf),
        ("lsi", Kind::Lsi),
        ("lda", Kind::Lda),
        ("scale", Kind::Scale),
        ("normalise", Kind::Normalise),
        ("multinomial-nb", Kind::Estimator(Model::MultinomialNb)),
        ("bernoulli-nb", Kind::Estimator(Model::BernoulliNb)),
        ("complement-nb", Kind::Estimator(Model::ComplementNb)),
        ("nearest-centroid", Kind::Estimator(Model::NearestCentroid)),
        ("k-neighbours", Kind::Estimator(Model::Neighbours)),
        ("ridge", Kind::Estimator(Model::Ridge)),
        ("ridge-classifier", Kind::Estimator(Model::RidgeClassifier)),
        ("logistic", Kind::Estimator(Model::Logistic)),
        ("linear-svm", Kind::Estimator(Model::Svm)),
    ];

    /// The kind of a name.
    pub fn named(name: &str) -> Option<Kind> {
        Kind::ALL.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Its name in a pipeline file.
    pub fn name(self) -> &'static str {
        Kind::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Parameters by name, with their defaults.
    pub fn parameters(self) -> Vec<(&'static str, Value)> {
        let (int, float, flag, text) =
            (Value::Int, Value::Float, Value::Bool, |text: &str| Value::Text(text.to_owned()));
        match self {
            Kind::Terms => vec![("no_below", int(1)), ("no_above", float(1.0)), ("keep_n", int(0)), ("ngrams", int(0))],
            Kind::Tfidf => vec![("smart", text("nfc"))],
            Kind::Lsi => vec![("k", int(100)), ("tolerance", float(TOLERANCE)), ("seed", int(1))],
            // 0 and "default": as `corpuscle lda` has it.
            Kind::Lda => vec![
                ("k", int(TOPICS as i64)),
                ("method", text("scvb0")),
                ("passes", int(PASSES as i64)),
                ("minibatch", int(0)),
                ("alpha", text("default")),
                ("eta", text("default")),
                ("burn_in", int(0)),
                ("gibbs_sweeps", int(0)),
                ("iterations", int(0)),
                ("kappa", float(0.0)),
                ("tau0", float(0.0)),
                ("seed", int(1)),
            ],
            Kind::Scale => vec![("with_mean", flag(true)), ("with_std", flag(true))],
            Kind::Normalise => vec![("norm", text("l2"))],
            Kind::Estimator(Model::MultinomialNb) => vec![("alpha", float(1.0)), ("fit_prior", flag(true))],
            Kind::Estimator(Model::BernoulliNb) => {
                vec![("alpha", float(1.0)), ("fit_prior", flag(true)), ("binarize", float(0.0))]
            }
            Kind::Estimator(Model::ComplementNb) => vec![("alpha", float(1.0)), ("norm", flag(false))],
            Kind::Estimator(Model::NearestCentroid) => vec![],
            Kind::Estimator(Model::Neighbours) => {
                vec![("n_neighbors", int(5)), ("weights", text("uniform")), ("metric", text("euclidean"))]
            }
            Kind::Estimator(Model::Ridge) => vec![("alpha", float(1.0)), ("fit_intercept", flag(true))],
            Kind::Estimator(Model::RidgeClassifier) => {
                vec![("alpha", float(1.0)), ("fit_intercept", flag(true)), ("class_weight", text("none"))]
            }
            Kind::Estimator(Model::Logistic) => vec![
                ("C", float(1.0)),
                ("fit_intercept", flag(true)),
                ("class_weight", text("none")),
                ("multi_class", text("multinomial")),
                ("l1_ratio", float(0.0)),
                ("tol", float(1e-4)),
                ("max_iter", int(1000)),
            ],
            Kind::Estimator(Model::Svm) => vec![
                ("C", float(1.0)),
                ("loss", text("squared_hinge")),
                ("fit_intercept", flag(true)),
                ("class_weight", text("none")),
                ("tol", float(1e-4)),
                ("max_iter", int(1000)),
            ],
        }
    }

    /// The parameter along which fits to the same rows are cheap.
    pub fn path(self) -> Option<&'static str> {
        match self {
            Kind::Estimator(Model::Logistic | Model::Svm) => Some("C"),
            Kind::Estimator(
                Model::Ridge | Model::RidgeClassifier | Model::MultinomialNb | Model::BernoulliNb | Model::ComplementNb,
            ) => Some("alpha"),
            _ => None,
        }
    }
}

/// A step ready to be fitted.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Terms of at least so many training documents, at most such a share of them, the most frequent so many, of runs of at
    /// most so many tokens; 0 for no limit.
    Terms { no_below: u64, no_above: f64, keep_n: usize, ngrams: usize },
    /// Weights.
    Tfidf(SmartCode),
    /// Topics.
    Lsi { k: usize, tolerance: f64, seed: u64 },
    /// Topics of counts.
    Lda(Box<LdaParams>),
    /// StandardScaler.
    Scale { with_mean: bool, with_std: bool },
    /// Normaliser.
    Normalise(Norm),
    /// The estimator.
    Estimator(Spec),
}

/// Values by name, behind which stand the defaults.
struct Given<'a> {
    kind: Kind,
    values: &'a [(&'a str, &'a Value)],
}

impl Given<'_> {
    fn value(&self, name: &str) -> Value {
        let given = self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).clone());
        let default = || self.kind.parameters().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        given.or_else(default).unwrap_or(Value::Bool(false))
    }

    fn whole(&self, name: &str, least: i64) -> Result<usize, String> {
        match self.value(name) {
            Value::Int(value) if value >= least => Ok(value as usize),
            other => Err(format!("{name} = {}: a whole number from {least} on is wanted", other.python())),
        }
    }

    fn real(&self, name: &str, fits: fn(f64) -> bool, wanted: &str) -> Result<f64, String> {
        let value = self.value(name);
        value
            .number()
            .filter(|&value| value.is_finite() && fits(value))
            .ok_or_else(|| format!("{name} = {}: {wanted} is wanted", value.python()))
    }

    fn positive(&self, name: &str) -> Result<f64, String> {
        self.real(name, |value| value > 0.0, "a number above 0")
    }

    fn flag(&self, name: &str) -> Result<bool, String> {
        match self.value(name) {
            Value::Bool(value) => Ok(value),
            other => Err(format!("{name} = {}: true or false is wanted", other.python())),
        }
    }

    /// The place of the word among those known.
    fn word(&self, name: &str, known: &[&str]) -> Result<usize, String> {
        let value = self.value(name);
        let place = match &value {
            Value::Text(text) => known.iter().position(|known| known == text),
            _ => None,
        };
        place.ok_or_else(|| format!("{name} = {}: one of {} is wanted", value.python(), known.join(", ")))
    }

    fn balanced(&self) -> Result<bool, String> {
        Ok(self.word("class_weight", &["none", "balanced"])? == 1)
    }
}

/// Makes a step of its kind and the values given; the message of an error names the parameter.
pub fn build(kind: Kind, values: &[(&str, &Value)]) -> Result<Step, String> {
    let known = kind.parameters();
    if let Some((name, _)) = values.iter().find(|(name, _)| !known.iter().any(|(known, _)| known == name)) {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let names = if names.is_empty() { "it has none".into() } else { format!("it has {}", names.join(", ")) };
        return Err(format!("{} has no parameter {name}: {names}", kind.name()));
    }
    let given = Given { kind, values };
    let model = match kind {
        Kind::Terms => {
            return Ok(Step::Terms {
                no_below: given.whole("no_below", 0)? as u64,
                no_above: given.real("no_above", |share| share > 0.0 && share <= 1.0, "a share above 0, up to 1")?,
                keep_n: given.whole("keep_n", 0)?,
                ngrams: given.whole("ngrams", 0)?,
            });
        }
        Kind::Tfidf => {
            let Value::Text(code) = given.value("smart") else {
                return Err("smart: a code such as \"nfc\" is wanted".into());
            };
            return SmartCode::parse(&code).map(Step::Tfidf).map_err(|error| error.to_string());
        }
        Kind::Lsi => {
            return Ok(Step::Lsi {
                k: given.whole("k", 1)?,
                tolerance: given.real("tolerance", |t| t > 0.0 && t < 1.0, "a number between 0 and 1")?,
                seed: given.whole("seed", 0)? as u64,
            });
        }
        Kind::Lda => return topics(&given).map(|params| Step::Lda(Box::new(params))),
        Kind::Scale => {
            return Ok(Step::Scale { with_mean: given.flag("with_mean")?, with_std: given.flag("with_std")? });
        }
        Kind::Normalise => {
            let norms = [Norm::L1, Norm::L2, Norm::Max];
            return Ok(Step::Normalise(norms[given.word("norm", &["l1", "l2", "max"])?]));
        }
        Kind::Estimator(model) => model,
    };
    let bayes = |kind: BayesKind, fit_prior: bool| -> Result<Spec, String> {
        Ok(Spec::Bayes { kind, alpha: given.positive("alpha")?, fit_prior })
    };
    let alpha = || given.real("alpha", |alpha| alpha >= 0.0, "a number from 0 on");
    Ok(Step::Estimator(match model {
        Model::MultinomialNb => bayes(BayesKind::Multinomial, given.flag("fit_prior")?)?,
        Model::BernoulliNb => {
            let threshold = given.real("binarize", |t| t >= 0.0, "a number from 0 on")?;
            bayes(BayesKind::Bernoulli { threshold }, given.flag("fit_prior")?)?
        }
        Model::ComplementNb => bayes(BayesKind::Complement { normalised: given.flag("norm")? }, true)?,
        Model::NearestCentroid => Spec::NearestCentroid,
        Model::Neighbours => Spec::Neighbours {
            k: given.whole("n_neighbors", 1)?,
            by_distance: given.word("weights", &["uniform", "distance"])? == 1,
            cosine: given.word("metric", &["euclidean", "cosine"])? == 1,
        },
        Model::Ridge => Spec::Ridge { alpha: alpha()?, intercept: given.flag("fit_intercept")? },
        Model::RidgeClassifier => Spec::RidgeClassifier {
            alpha: alpha()?,
            intercept: given.flag("fit_intercept")?,
            balanced: given.balanced()?,
        },
        Model::Logistic => Spec::Logistic {
            parameters: logistic::Parameters {
                c: given.positive("C")?,
                l1_ratio: given.real("l1_ratio", |r| (0.0..=1.0).contains(&r), "a share from 0 to 1")?,
                intercept: given.flag("fit_intercept")?,
                tolerance: given.positive("tol")?,
                iterations: given.whole("max_iter", 1)?,
            },
            each: given.word("multi_class", &["multinomial", "ovr"])? == 1,
            balanced: given.balanced()?,
        },
        Model::Svm => Spec::Svm {
            c: given.positive("C")?,
            parameters: svm::Parameters {
                squared: given.word("loss", &["squared_hinge", "hinge"])? == 0,
                intercept: given.flag("fit_intercept")?,
                tolerance: given.positive("tol")?,
                iterations: given.whole("max_iter", 1)?,
            },
            balanced: given.balanced()?,
        },
    }))
}

/// The parameters of LDA; what depends on the rows or on each other is checked when they are there.
fn topics(given: &Given) -> Result<LdaParams, String> {
    let methods = [Method::Scvb0, Method::Online, Method::Batch];
    let method = methods[given.word("method", &methods.map(Method::name))?];
    let k = given.whole("k", 1)?;
    let usual = method.priors(k);
    let set = |name: &str| Ok::<_, String>(Some(given.whole(name, 0)?).filter(|&value| value > 0));
    let rate = |name: &str| {
        let value = given.real(name, |value| value >= 0.0, "a number from 0 on")?;
        Ok::<_, String>(Some(value).filter(|&value| value > 0.0))
    };
    let (alpha, eta) =
        (prior(given, "alpha", &["default", "asymmetric", "learned"])?, prior(given, "eta", &["default", "learned"])?);
    Ok(LdaParams {
        method,
        topics: k,
        passes: given.whole("passes", 1)?,
        minibatch: set("minibatch")?.map(|value| value as u64),
        update_every: None,
        burn_in: set("burn_in")?,
        gibbs_sweeps: set("gibbs_sweeps")?,
        iterations: set("iterations")?,
        gamma_threshold: None,
        kappa: rate("kappa")?,
        tau0: rate("tau0")?,
        staleness: 0,
        alpha: match &alpha {
            Prior::Number(value) => Alpha::Symmetric(*value),
            Prior::Word("asymmetric") => Alpha::Asymmetric,
            Prior::Word("learned") => Alpha::Learned(vec![usual.0; k]),
            Prior::Word(_) => Alpha::Symmetric(usual.0),
        },
        learn_eta: eta == Prior::Word("learned"),
        eta: Eta::symmetric(if let Prior::Number(value) = eta { value } else { usual.1 }),
        seed: given.whole("seed", 0)? as u64,
    })
}

/// A prior as it is given.
#[derive(Debug, PartialEq)]
enum Prior<'a> {
    Number(f64),
    Word(&'a str),
}

fn prior<'a>(given: &Given, name: &str, words: &[&'a str]) -> Result<Prior<'a>, String> {
    if let Value::Text(_) = given.value(name) {
        return Ok(Prior::Word(words[given.word(name, words)?]));
    }
    let fits = |value| (SMALLEST_PRIOR..=LARGEST_PRIOR).contains(&value);
    let wanted = format!("a number from {SMALLEST_PRIOR} to {LARGEST_PRIOR}, or one of {},", words.join(", "));
    given.real(name, fits, &wanted).map(Prior::Number)
}

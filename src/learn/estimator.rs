//! The estimators under one roof: what is asked for, fitting with what earlier fits to the same rows have left, prediction.
//!
//! Fits to one set of rows often differ in one parameter only: naive Bayes keeps its counts, ridge its factorisation,
//! logistic regression and SVM start from the coefficients of the fit before ([`Reuse`]).

use ndarray::{Array1, Array2, Axis, s};
use serde::{Deserialize, Serialize};

use super::bayes::{self, Counts};
use super::features::Features;
use super::logistic::{self, log_sum_exp, sigmoid};
use super::neighbours;
use super::ridge::Factors;
use super::svm;
use crate::error::{Error, Result};

/// An estimator and its parameters, checked.
#[derive(Debug, Clone, PartialEq)]
pub enum Spec {
    /// Naive Bayes.
    Bayes { kind: bayes::Kind, alpha: f64, fit_prior: bool },
    /// The class whose mean is nearest.
    NearestCentroid,
    /// k nearest neighbours.
    Neighbours { k: usize, by_distance: bool, cosine: bool },
    /// Ridge regression on numbers.
    Ridge { alpha: f64, intercept: bool },
    /// Ridge regression on classes as +-1.
    RidgeClassifier { alpha: f64, intercept: bool, balanced: bool },
    /// Logistic regression, of all classes at once or of each.
    Logistic { parameters: logistic::Parameters, each: bool, balanced: bool },
    /// Linear support vector machines, one for each class.
    Svm { c: f64, parameters: svm::Parameters, balanced: bool },
}

/// What is to be predicted, for the rows at hand.
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// Classes by number.
    Classes(Vec<usize>),
    /// Numbers.
    Values(Vec<f64>),
}

impl Target {
    /// Those of some rows.
    pub fn select(&self, rows: &[usize]) -> Target {
        match self {
            Target::Classes(classes) => Target::Classes(rows.iter().map(|&row| classes[row]).collect()),
            Target::Values(values) => Target::Values(rows.iter().map(|&row| values[row]).collect()),
        }
    }
}

/// What a linear model's scores mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A number.
    Regression,
    /// Probabilities by softmax, or by the logistic function where there are two classes.
    Softmax,
    /// Probabilities by the logistic function of each class, brought to a sum of 1.
    Each,
    /// Margins without a probability.
    Margin,
}

/// A fitted estimator. Classes are those of the training rows, by number.
#[derive(Debug, Clone, PartialEq)]
pub enum Fitted {
    /// Scores x W + b.
    Linear { form: Form, classes: Vec<usize>, weights: Array2<f64> },
    /// Joint log-probabilities x W + b, of ones and zeros where there is a threshold.
    Bayes { classes: Vec<usize>, threshold: Option<f64>, weights: Array2<f64>, offsets: Vec<f64> },
    /// The mean of each class (classes x columns).
    Centroids { classes: Vec<usize>, means: Array2<f64> },
    /// All training rows.
    Neighbours {
        classes: Vec<usize>,
        rows: Features,
        row_classes: Vec<usize>,
        k: usize,
        by_distance: bool,
        cosine: bool,
    },
}

/// What fits to the same rows leave for the next.
#[derive(Default)]
pub struct Reuse {
    counts: Option<(bayes::Kind, Counts)>,
    factors: Option<((bool, bool), Factors)>,
    trails: Vec<logistic::Trail>,
    binary: Vec<Vec<f64>>,
}

impl Reuse {
    /// That of a column of logistic regression.
    fn trail(&mut self, column: usize) -> &mut logistic::Trail {
        if self.trails.len() <= column {
            self.trails.resize_with(column + 1, Default::default);
        }
        &mut self.trails[column]
    }
}

/// What an estimator says about rows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Predicted {
    /// Classes of the columns below.
    pub classes: Vec<usize>,
    /// The class of each row, by number.
    pub labels: Vec<usize>,
    /// The number of each row, of a regression.
    pub values: Vec<f64>,
    /// Scores (rows x classes; rows x 1 for two classes), where the estimator has them.
    pub decision: Option<Array2<f64>>,
    /// Probabilities (rows x classes), where the estimator has them.
    pub probabilities: Option<Array2<f64>>,
}

/// Classes that occur, ascending, and each row's place among them.
fn present(classes: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut names = classes.to_vec();
    names.sort_unstable();
    names.dedup();
    let places = classes.iter().map(|class| names.binary_search(class).unwrap_or(0)).collect();
    (names, places)
}

/// scikit-learn's `class_weight="balanced"`: rows / (classes x rows of the class).
fn class_weights(places: &[usize], m: usize, balanced: bool) -> Vec<f64> {
    let mut counts = vec![0.0; m];
    places.iter().for_each(|&class| counts[class] += 1.0);
    counts.iter().map(|count| if balanced { places.len() as f64 / (m as f64 * count) } else { 1.0 }).collect()
}

/// +1 for the rows of a class, -1 for the others.
fn sides(places: &[usize], class: usize) -> Vec<f64> {
    places.iter().map(|&place| if place == class { 1.0 } else { -1.0 }).collect()
}

impl Spec {
    /// Predicts numbers, not classes.
    pub fn regresses(&self) -> bool {
        matches!(self, Spec::Ridge { .. })
    }

    /// Fits. The second value says what did not converge, if anything.
    ///
    /// # Errors
    /// What the estimator cannot be fitted on: a single class, negative counts, no rows, values that are not finite.
    pub fn fit(&self, x: &Features, target: &Target, reuse: &mut Reuse) -> Result<(Fitted, Option<String>)> {
        if x.rows() == 0 || x.columns() == 0 {
            return Err(Error::failed(format!("{} rows of {} columns: nothing to learn from", x.rows(), x.columns())));
        }
        if x.values().any(|value| !value.is_finite()) {
            return Err(Error::failed("the rows hold values that are missing or not finite"));
        }
        let classes = match (self, target) {
            (Spec::Ridge { alpha, intercept }, Target::Values(values)) => {
                let y = Array2::from_shape_fn((values.len(), 1), |(row, _)| values[row]);
                let factors = reuse.factors(x, &y, &vec![1.0; values.len()], (*intercept, false))?;
                let weights = factors.solve(*alpha);
                return Ok((Fitted::Linear { form: Form::Regression, classes: Vec::new(), weights }, None));
            }
            (Spec::Ridge { .. }, Target::Classes(_)) => {
                return Err(Error::failed("a regression needs numbers as labels"));
            }
            (_, Target::Values(_)) => return Err(Error::failed("a classifier needs classes as labels, not numbers")),
            (_, Target::Classes(classes)) => classes,
        };
        let (names, places) = present(classes);
        let m = names.len();
        if m < 2 && !matches!(self, Spec::Bayes { .. } | Spec::Neighbours { .. }) {
            return Err(Error::failed("all rows to learn from are of one class: a classifier needs two"));
        }
        self.fit_classes(x, names, &places, m, reuse)
    }

    fn fit_classes(
        &self,
        x: &Features,
        classes: Vec<usize>,
        places: &[usize],
        m: usize,
        reuse: &mut Reuse,
    ) -> Result<(Fitted, Option<String>)> {
        let late = |what: &str, iterations: usize, all: bool| {
            (!all).then(|| {
                format!("{what} did not converge in {iterations} iterations: raise max_iter or scale the rows")
            })
        };
        match self {
            Spec::Ridge { .. } => Err(Error::failed("a regression needs numbers as labels")),
            Spec::Bayes { kind, alpha, fit_prior } => {
                if reuse.counts.as_ref().is_none_or(|(of, _)| of != kind) {
                    reuse.counts = Some((*kind, Counts::new(x, places, m, *kind)?));
                }
                let (_, counts) = reuse.counts.as_ref().expect("just put there");
                let (weights, offsets) = counts.model(*kind, *alpha, *fit_prior);
                let threshold = if let bayes::Kind::Bernoulli { threshold } = kind { Some(*threshold) } else { None };
                Ok((Fitted::Bayes { classes, threshold, weights, offsets }, None))
            }
            Spec::NearestCentroid => {
                let share = class_weights(places, m, true);
                let scale = m as f64 / places.len() as f64;
                let member = Array2::from_shape_fn((places.len(), m), |(row, class)| {
                    if places[row] == class { share[class] * scale } else { 0.0 }
                });
                let means = x.transposed_times(member.view()).reversed_axes().as_standard_layout().into_owned();
                Ok((Fitted::Centroids { classes, means }, None))
            }
            Spec::Neighbours { k, by_distance, cosine } => {
                if *k > x.rows() {
                    return Err(Error::failed(format!("{k} neighbours of {} rows: there are not so many", x.rows())));
                }
                let (rows, row_classes) = (x.clone(), places.to_vec());
                Ok((
                    Fitted::Neighbours {
                        classes,
                        rows,
                        row_classes,
                        k: *k,
                        by_distance: *by_distance,
                        cosine: *cosine,
                    },
                    None,
                ))
            }
            Spec::RidgeClassifier { alpha, intercept, balanced } => {
                let weights = class_weights(places, m, *balanced);
                let weights: Vec<f64> = places.iter().map(|&place| weights[place]).collect();
                let columns = if m == 2 { 1..2 } else { 0..m };
                let y = Array2::from_shape_fn((places.len(), columns.len()), |(row, column)| {
                    if places[row] == columns.start + column { 1.0 } else { -1.0 }
                });
                let weights = reuse.factors(x, &y, &weights, (*intercept, *balanced))?.solve(*alpha);
                Ok((Fitted::Linear { form: Form::Margin, classes, weights }, None))
            }
            Spec::Logistic { parameters, each: false, balanced } => {
                let weights = class_weights(places, m, *balanced);
                let weights: Vec<f64> = places.iter().map(|&place| weights[place]).collect();
                let found = logistic::fit(x, places, m, &weights, parameters, reuse.trail(0));
                let note = late("logistic regression", found.minimum.iterations, found.minimum.converged);
                Ok((Fitted::Linear { form: Form::Softmax, classes, weights: found.weights }, note))
            }
            Spec::Logistic { parameters, each: true, balanced } => {
                let problems = if m == 2 { 1..2 } else { 0..m };
                let mut weights = Array2::zeros((x.columns() + 1, problems.len()));
                let (mut iterations, mut all) = (0, true);
                for (column, class) in problems.enumerate() {
                    let binary: Vec<usize> = places.iter().map(|&place| usize::from(place == class)).collect();
                    let share = class_weights(&binary, 2, *balanced);
                    let rows: Vec<f64> = binary.iter().map(|&side| share[side]).collect();
                    let found = logistic::fit(x, &binary, 2, &rows, parameters, reuse.trail(column));
                    weights.column_mut(column).assign(&found.weights.column(0));
                    iterations = iterations.max(found.minimum.iterations);
                    all &= found.minimum.converged;
                }
                let note = late("logistic regression", iterations, all);
                let form = if m == 2 { Form::Softmax } else { Form::Each };
                Ok((Fitted::Linear { form, classes, weights }, note))
            }
            Spec::Svm { c, parameters, balanced } => {
                let share = class_weights(places, m, *balanced);
                let problems = if m == 2 { 1..2 } else { 0..m };
                let found: Vec<svm::Found> = problems
                    .enumerate()
                    .map(|(at, class)| {
                        // As liblinear: the weight of the others counts where there are two classes only.
                        let cost = |place: usize| match (place == class, m) {
                            (true, _) => c * share[class],
                            (false, 2) => c * share[place],
                            (false, _) => *c,
                        };
                        let costs: Vec<f64> = places.iter().map(|&place| cost(place)).collect();
                        svm::fit(x, &sides(places, class), &costs, parameters, reuse.binary.get(at).map(Vec::as_slice))
                    })
                    .collect();
                reuse.binary = found.iter().map(|found| found.weights.clone()).collect();
                let iterations = found.iter().map(|found| found.iterations).max().unwrap_or(0);
                let note = late("linear SVM", iterations, found.iter().all(|found| found.converged));
                Ok((Fitted::Linear { form: Form::Margin, classes, weights: svm::joined(&found) }, note))
            }
        }
    }
}

impl Reuse {
    fn factors(&mut self, x: &Features, y: &Array2<f64>, weights: &[f64], of: (bool, bool)) -> Result<&Factors> {
        if self.factors.as_ref().is_none_or(|(known, _)| *known != of) {
            self.factors = Some((of, Factors::new(x, y, weights, of.0)?));
        }
        Ok(&self.factors.as_ref().expect("just put there").1)
    }
}

/// The first of the largest entries of each row.
fn best(scores: &Array2<f64>) -> Vec<usize> {
    let place = |row: ndarray::ArrayView1<f64>| {
        let mut best = 0;
        row.iter().enumerate().for_each(|(at, value)| {
            if *value > row[best] {
                best = at
            }
        });
        best
    };
    scores.rows().into_iter().map(place).collect()
}

impl Fitted {
    /// Columns a row must have.
    pub fn columns(&self) -> usize {
        match self {
            Fitted::Linear { weights, .. } => weights.nrows() - 1,
            Fitted::Bayes { weights, .. } => weights.nrows(),
            Fitted::Centroids { means, .. } => means.ncols(),
            Fitted::Neighbours { rows, .. } => rows.columns(),
        }
    }

    /// Predicts.
    pub fn predict(&self, x: &Features) -> Predicted {
        match self {
            Fitted::Linear { form, classes, weights } => linear(*form, classes, weights, x),
            Fitted::Bayes { classes, threshold, weights, offsets } => {
                let joint = match threshold {
                    Some(threshold) => {
                        let mut ones = x.clone();
                        bayes::binarise(&mut ones, *threshold);
                        ones.times(weights.view())
                    }
                    None => x.times(weights.view()),
                } + &Array1::from(offsets.clone());
                let mut probabilities = joint.clone();
                for mut row in probabilities.rows_mut() {
                    let sum = log_sum_exp(row.as_slice().expect("rows without gaps"));
                    row.mapv_inplace(|value| (value - sum).exp());
                }
                by_scores(classes, best(&joint), None, Some(probabilities))
            }
            Fitted::Centroids { classes, means } => {
                let means_only = Features::Dense(means.clone());
                let nearest = neighbours::nearest(&means_only, x, 1, false);
                by_scores(classes, nearest.iter().map(|list| list[0].0).collect(), None, None)
            }
            Fitted::Neighbours { classes, rows, row_classes, k, by_distance, cosine } => {
                let found = neighbours::nearest(rows, x, *k, *cosine);
                let votes = neighbours::votes(&found, row_classes, classes.len(), *k, *by_distance);
                by_scores(classes, best(&votes), None, Some(votes))
            }
        }
    }
}

fn by_scores(
    classes: &[usize],
    places: Vec<usize>,
    decision: Option<Array2<f64>>,
    probabilities: Option<Array2<f64>>,
) -> Predicted {
    let labels = places.into_iter().map(|place| classes[place]).collect();
    Predicted { classes: classes.to_vec(), labels, values: Vec::new(), decision, probabilities }
}

fn linear(form: Form, classes: &[usize], weights: &Array2<f64>, x: &Features) -> Predicted {
    let columns = weights.nrows() - 1;
    let scores = x.times(weights.slice(s![..columns, ..])) + weights.row(columns);
    if form == Form::Regression {
        return Predicted { values: scores.column(0).to_vec(), ..Predicted::default() };
    }
    let places = if classes.len() == 2 {
        scores.column(0).iter().map(|&score| usize::from(score > 0.0)).collect()
    } else {
        best(&scores)
    };
    let probabilities = match form {
        Form::Margin | Form::Regression => None,
        _ if classes.len() == 2 => Some(Array2::from_shape_fn((x.rows(), 2), |(row, class)| {
            let second = sigmoid(scores[[row, 0]]);
            if class == 1 { second } else { 1.0 - second }
        })),
        Form::Softmax => {
            let sums: Array1<f64> =
                scores.rows().into_iter().map(|row| log_sum_exp(row.as_slice().expect("rows without gaps"))).collect();
            Some((&scores - &sums.insert_axis(Axis(1))).mapv(f64::exp))
        }
        Form::Each => {
            let each = scores.mapv(sigmoid);
            let sums = each.sum_axis(Axis(1)).insert_axis(Axis(1));
            Some(each / sums)
        }
    };
    by_scores(classes, places, Some(scores), probabilities)
}

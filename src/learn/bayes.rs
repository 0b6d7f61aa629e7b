//! Naive Bayes in closed form: scikit-learn's `MultinomialNB`, `BernoulliNB` and `ComplementNB`.
//!
//! Problem: for each class k the joint log-probability of a row x, linear in x: x.w_k + o_k. Counts of features and of rows
//! by class are all that is learned; every smoothing parameter is then a formula over them.
//! Cost: one pass over the rows for the counts, columns x classes a parameter.
//! References: Manning, Raghavan and Schuetze, Introduction to Information Retrieval, 2008, ch. 13; Rennie et al., ICML 2003.

use ndarray::{Array1, Array2, Axis};

use super::features::Features;
use crate::error::{Error, Result};

/// Which model of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Counts drawn from a distribution over features.
    Multinomial,
    /// Each feature there, above the threshold, or not.
    Bernoulli { threshold: f64 },
    /// What the other classes are made of; weights normalised or not.
    Complement { normalised: bool },
}

/// What was counted.
pub struct Counts {
    /// Sum of each feature over the rows of each class (classes x columns).
    features: Array2<f64>,
    /// Rows of each class.
    rows: Vec<f64>,
}

/// 1 above the threshold, 0 elsewhere. Below zero the threshold would make zeros ones: refused by the parameters' check.
pub fn binarise(features: &mut Features, threshold: f64) {
    features.for_each_row(|row| row.iter_mut().for_each(|x| *x = f64::from(u8::from(*x > threshold))));
}

impl Counts {
    /// Counts by class, numbered from 0.
    ///
    /// # Errors
    /// A negative value, which no count can be.
    pub fn new(x: &Features, classes: &[usize], m: usize, kind: Kind) -> Result<Counts> {
        let mut rows = vec![0.0; m];
        classes.iter().for_each(|&class| rows[class] += 1.0);
        let membership =
            Array2::from_shape_fn((classes.len(), m), |(row, class)| f64::from(u8::from(classes[row] == class)));
        let features = if let Kind::Bernoulli { threshold } = kind {
            let mut ones = x.clone();
            binarise(&mut ones, threshold);
            ones.transposed_times(membership.view())
        } else {
            if x.values().any(|value| value < 0.0) {
                return Err(Error::failed(
                    "naive Bayes on counts needs values that are not negative; leave out lsi and scale",
                ));
            }
            x.transposed_times(membership.view())
        };
        Ok(Counts { features: features.reversed_axes().as_standard_layout().into_owned(), rows })
    }

    /// Weights (columns x classes) and offsets for a smoothing parameter.
    pub fn model(&self, kind: Kind, alpha: f64, fit_prior: bool) -> (Array2<f64>, Vec<f64>) {
        let (m, columns) = self.features.dim();
        let total: f64 = self.rows.iter().sum();
        let prior: Vec<f64> =
            self.rows.iter().map(|rows| if fit_prior { rows.ln() - total.ln() } else { -(m as f64).ln() }).collect();
        let logs = |counts: &Array1<f64>, sum: f64| counts.mapv(|count| count.ln() - sum.ln());
        let mut weights = Array2::zeros((columns, m));
        let mut offsets = vec![0.0; m];
        let all = self.features.sum_axis(Axis(0));
        for class in 0..m {
            let counts = self.features.row(class);
            let mut column = weights.column_mut(class);
            match kind {
                Kind::Multinomial => {
                    let smoothed = counts.mapv(|count| count + alpha);
                    column.assign(&logs(&smoothed, smoothed.sum()));
                    offsets[class] = prior[class];
                }
                Kind::Bernoulli { .. } => {
                    let there = logs(&counts.mapv(|count| count + alpha), self.rows[class] + 2.0 * alpha);
                    let missing = there.mapv(|log| (-log.exp()).ln_1p());
                    column.assign(&(&there - &missing));
                    offsets[class] = prior[class] + missing.sum();
                }
                Kind::Complement { normalised } => {
                    let others = &all - &counts + alpha;
                    let logged = (&others / others.sum()).mapv(f64::ln);
                    let divisor = if normalised { logged.sum() } else { -1.0 };
                    column.assign(&(logged / divisor));
                    // With one class alone the others are nothing, and the prior decides.
                    offsets[class] = if m == 1 { prior[class] } else { 0.0 };
                }
            }
        }
        (weights, offsets)
    }
}

//! Logistic regression with an L2, L1 or elastic-net penalty: scikit-learn's `LogisticRegression`.
//!
//! Problem: min over W (columns x m), b (m) of mean_i s_i loss(y_i, x_i W + b) + ((1 - r) |W|^2 / 2 + r |W|_1) / (C sum s):
//! of all classes at once (the softmax), of two classes a single column. The mean is over the sample weights s, which class
//! weights make; r is the share of the absolute values in the penalty.
//! Algorithm: [`lbfgs`](super::lbfgs) from zero, or from where the minima for the last two C point to, with the curvature found
//! there; the gradient's largest entry is compared with the tolerance, as scikit-learn does. With r > 0,
//! [`proximal`](super::proximal).
//! Cost: 4 rows columns m flops an evaluation.

use ndarray::{Array2, ArrayView2, s};

use super::features::Features;
use super::lbfgs::{Curvature, Minimum, minimise_from};
use super::proximal;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Inverse strength of the penalty.
    pub c: f64,
    /// Share of the absolute values in the penalty, 0 to 1.
    pub l1_ratio: f64,
    /// Fit b.
    pub intercept: bool,
    /// Largest entry of the gradient to stop at.
    pub tolerance: f64,
    /// Iterations to give up after.
    pub iterations: usize,
}

/// Coefficients ((columns + 1) x m, the intercepts last) and how the search ended.
pub struct Found {
    /// W over b.
    pub weights: Array2<f64>,
    /// Iterations and whether they sufficed.
    pub minimum: Minimum,
}

/// What fits of the same rows and classes leave for the next, of another C: its minimum is near theirs.
#[derive(Debug, Clone, Default)]
pub struct Trail {
    /// C and minimum of the last fit, and of the one before.
    found: [Option<(f64, Array2<f64>)>; 2],
    /// Curvature at the last, and the penalty on squares that is in it.
    curvature: Curvature,
    ridge: f64,
}

impl Trail {
    /// Where the minimum may be: on the line through the last two over ln C.
    fn start(&self, c: f64, shape: (usize, usize)) -> Vec<f64> {
        let [Some((last_c, last)), before] = &self.found else { return vec![0.0; shape.0 * shape.1] };
        if let Some((before_c, before)) = before
            && before_c < last_c
            && *last_c < c
        {
            let step = (c / last_c).ln() / (last_c / before_c).ln();
            if step <= FARTHEST {
                return last.iter().zip(before).map(|(last, before)| last + step * (last - before)).collect();
            }
        }
        last.iter().copied().collect()
    }
}

/// Steps of ln C, as long as the last one, that a line through two minima is trusted for.
const FARTHEST: f64 = 1.5;

/// Fits on `classes` numbered from 0, `m` of them; two are one column, for the second. `weights` are those of the samples.
pub fn fit(x: &Features, classes: &[usize], m: usize, weights: &[f64], p: &Parameters, trail: &mut Trail) -> Found {
    let columns = x.columns();
    let width = if m == 2 { 1 } else { m };
    let total: f64 = weights.iter().sum();
    let penalty = 1.0 / (p.c * total);
    let shape = (columns + 1, width);
    if trail.found[0].as_ref().is_some_and(|(_, last)| last.dim() != shape) {
        *trail = Trail::default();
    }
    let start = trail.start(p.c, shape);
    let ridge = penalty * (1.0 - p.l1_ratio);
    let smooth = |point: &[f64], gradient: &mut [f64]| {
        let point = ArrayView2::from_shape((columns + 1, width), point).expect("the shape it was made of");
        let (w, b) = (point.slice(s![..columns, ..]), point.row(columns));
        let mut loss = 0.0;
        let (slopes, intercepts) = gradient.split_at_mut(columns * width);
        intercepts.fill(0.0);
        let mut slope = x.there_and_back(w, |first, scores| {
            for (at, mut row) in scores.rows_mut().into_iter().enumerate() {
                let (class, weight) = (classes[first + at], weights[first + at]);
                row += &b;
                let row = row.as_slice_mut().expect("rows without gaps");
                loss += weight * if width == 1 { binary(row, class) } else { softmax(row, class) };
                row.iter_mut().for_each(|value| *value *= weight / total);
                if p.intercept {
                    intercepts.iter_mut().zip(&*row).for_each(|(sum, value)| *sum += value);
                }
            }
        });
        slope.scaled_add(ridge, &w);
        slopes.copy_from_slice(slope.as_slice().expect("just made"));
        loss / total + 0.5 * ridge * w.iter().map(|value| value * value).sum::<f64>()
    };
    let minimum = if p.l1_ratio > 0.0 {
        let pull = penalty * p.l1_ratio;
        proximal::minimise(start, columns * width, pull, p.tolerance, p.iterations, smooth)
    } else {
        if trail.found[0].is_some() {
            trail.curvature.add_ridge(ridge - trail.ridge, columns * width);
        }
        trail.ridge = ridge;
        minimise_from(start, &mut trail.curvature, p.tolerance, p.iterations, smooth)
    };
    let weights = Array2::from_shape_vec((columns + 1, width), minimum.x.clone()).expect("the shape it was made of");
    trail.found = [Some((p.c, weights.clone())), trail.found[0].take()];
    Found { weights, minimum }
}

/// Loss of one score, which becomes its derivative.
fn binary(row: &mut [f64], class: usize) -> f64 {
    let (score, y) = (row[0], class as f64);
    let loss = if score > 0.0 { (-score).exp().ln_1p() + (1.0 - y) * score } else { score.exp().ln_1p() - y * score };
    row[0] = sigmoid(score) - y;
    loss
}

/// Loss of the scores of all classes, which become their derivatives.
fn softmax(row: &mut [f64], class: usize) -> f64 {
    let score = row[class];
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - most).exp();
        sum += *value;
    }
    row.iter_mut().for_each(|value| *value /= sum);
    row[class] -= 1.0;
    most + sum.ln() - score
}

/// 1 / (1 + exp(-x)).
pub fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// ln of the sum of exp of all.
pub fn log_sum_exp(row: &[f64]) -> f64 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return most;
    }
    most + row.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}

//! Logistic regression with an L2, L1 or elastic-net penalty: scikit-learn's `LogisticRegression`.
//!
//! Problem: min over W (columns x m), b (m) of mean_i s_i loss(y_i, x_i W + b) + ((1 - r) |W|^2 / 2 + r |W|_1) / (C sum s):
//! of all classes at once (the softmax), of two classes a single column. The mean is over the sample weights s, which class
//! weights make; r is the share of the absolute values in the penalty.
//! Algorithm: [`lbfgs`](super::lbfgs) from zero or from the coefficients of the C before; the gradient's largest entry is
//! compared with the tolerance, as scikit-learn does. With r > 0, [`proximal`](super::proximal).
//! Cost: 4 rows columns m flops an evaluation.

use ndarray::{Array2, ArrayView2, s};

use super::features::Features;
use super::lbfgs::{Minimum, minimise};
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

/// Fits on `classes` numbered from 0, `m` of them; two are one column, for the second. `weights` are those of the samples.
pub fn fit(
    x: &Features,
    classes: &[usize],
    m: usize,
    weights: &[f64],
    p: &Parameters,
    start: Option<&Array2<f64>>,
) -> Found {
    let columns = x.columns();
    let width = if m == 2 { 1 } else { m };
    let total: f64 = weights.iter().sum();
    let penalty = 1.0 / (p.c * total);
    let start = match start {
        Some(start) if start.dim() == (columns + 1, width) => start.iter().copied().collect(),
        _ => vec![0.0; (columns + 1) * width],
    };
    let ridge = penalty * (1.0 - p.l1_ratio);
    let smooth = |point: &[f64], gradient: &mut [f64]| {
        let point = ArrayView2::from_shape((columns + 1, width), point).expect("the shape it was made of");
        let (w, b) = (point.slice(s![..columns, ..]), point.row(columns));
        let mut scores = x.times(w);
        let mut loss = 0.0;
        for ((mut row, &class), &weight) in scores.rows_mut().into_iter().zip(classes).zip(weights) {
            row += &b;
            let row = row.as_slice_mut().expect("rows without gaps");
            loss += weight * if width == 1 { binary(row, class) } else { softmax(row, class) };
            row.iter_mut().for_each(|value| *value *= weight / total);
        }
        let mut slope = x.transposed_times(scores.view());
        slope.scaled_add(ridge, &w);
        let flat = slope.as_slice().expect("just made");
        gradient[..flat.len()].copy_from_slice(flat);
        let intercepts = &mut gradient[columns * width..];
        intercepts.fill(0.0);
        if p.intercept {
            for row in scores.rows() {
                intercepts.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
            }
        }
        loss / total + 0.5 * ridge * w.iter().map(|value| value * value).sum::<f64>()
    };
    let minimum = if p.l1_ratio > 0.0 {
        let pull = penalty * p.l1_ratio;
        proximal::minimise(start, columns * width, pull, p.tolerance, p.iterations, smooth)
    } else {
        minimise(start, p.tolerance, p.iterations, smooth)
    };
    let weights = Array2::from_shape_vec((columns + 1, width), minimum.x.clone()).expect("the shape it was made of");
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

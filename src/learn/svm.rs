//! Linear support vector machines, two classes at a time: scikit-learn's `LinearSVC`.
//!
//! Problem: min over w (columns + 1; the last belongs to a constant 1 and is penalised like the others) of
//! |w|^2 / 2 + sum_i C_i max(0, 1 - y_i w.x_i)^p, y = +-1, p = 2 (squared hinge) or 1 (hinge).
//! Algorithm: squared hinge: Newton's method; the generalised Hessian I + 2 X_a^T C X_a over the rows a within the margin is
//! applied to vectors by conjugate gradients, and the step is halved until the value falls enough (Keerthi and DeCoste,
//! JMLR 6, 2005). It stops as liblinear does: |g| <= tolerance |g0| max(min(n+, n-), 1) / n. Hinge: coordinate descent on the
//! dual (Hsieh et al., ICML 2008), the order of rows drawn anew each time from a counter-based stream, until the largest
//! violation of the conditions of optimality falls within the tolerance.
//! Cost: 4 nonzeros flops a product with the Hessian; 4 nonzeros flops a pass of the dual.

use ndarray::{Array2, ArrayView2};

use super::features::Features;
use crate::random::Stream;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Squared hinge, else hinge.
    pub squared: bool,
    /// A constant column is added.
    pub intercept: bool,
    /// As above.
    pub tolerance: f64,
    /// Iterations to give up after.
    pub iterations: usize,
}

/// Coefficients (columns + 1) and how the search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// w, the intercept last.
    pub weights: Vec<f64>,
    /// Newton steps or passes.
    pub iterations: usize,
    /// The tolerance was reached.
    pub converged: bool,
}

/// Fits y = +-1 with a cost for each row.
pub fn fit(x: &Features, y: &[f64], costs: &[f64], p: &Parameters, start: Option<&[f64]>) -> Found {
    if p.squared { newton(x, y, costs, p, start) } else { dual(x, y, costs, p) }
}

/// X and its constant column, times w.
fn scores(x: &Features, w: &[f64], p: &Parameters) -> Vec<f64> {
    let columns = x.columns();
    let product = x.times(ArrayView2::from_shape((columns, 1), &w[..columns]).expect("a column"));
    let constant = if p.intercept { w[columns] } else { 0.0 };
    product.iter().map(|score| score + constant).collect()
}

/// X^T r with that of the constant column.
fn back(x: &Features, r: &[f64], p: &Parameters) -> Vec<f64> {
    let product = x.transposed_times(ArrayView2::from_shape((r.len(), 1), r).expect("a column"));
    let constant = if p.intercept { r.iter().sum() } else { 0.0 };
    product.iter().copied().chain([constant]).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn newton(x: &Features, y: &[f64], costs: &[f64], p: &Parameters, start: Option<&[f64]>) -> Found {
    let size = x.columns() + 1;
    let value = |w: &[f64], f: &[f64]| {
        let loss = f.iter().zip(y).zip(costs).map(|((f, y), c)| c * (1.0 - y * f).max(0.0).powi(2));
        0.5 * dot(w, w) + loss.sum::<f64>()
    };
    let slope = |w: &[f64], f: &[f64]| {
        let r: Vec<f64> =
            f.iter().zip(y).zip(costs).map(|((f, y), c)| if y * f < 1.0 { 2.0 * c * (f - y) } else { 0.0 }).collect();
        let mut g = back(x, &r, p);
        g.iter_mut().zip(w).for_each(|(g, w)| *g += w);
        g
    };
    let zero = vec![0.0; size];
    let at_zero = slope(&zero, &vec![0.0; y.len()]);
    let positive = y.iter().filter(|&&y| y > 0.0).count();
    let share = positive.min(y.len() - positive).max(1) as f64 / y.len() as f64;
    let goal = p.tolerance * share * dot(&at_zero, &at_zero).sqrt();
    let mut w = start.filter(|start| start.len() == size).map_or(zero, <[f64]>::to_vec);
    let mut f = scores(x, &w, p);
    let (mut iterations, mut now) = (0, value(&w, &f));
    loop {
        let g = slope(&w, &f);
        let length = dot(&g, &g).sqrt();
        if length <= goal || iterations >= p.iterations {
            return Found { weights: w, iterations, converged: length <= goal };
        }
        let active: Vec<f64> =
            f.iter().zip(y).zip(costs).map(|((f, y), c)| if y * f < 1.0 { 2.0 * c } else { 0.0 }).collect();
        let hessian = |v: &[f64]| {
            let r: Vec<f64> = scores(x, v, p).iter().zip(&active).map(|(f, a)| f * a).collect();
            let mut product = back(x, &r, p);
            product.iter_mut().zip(v).for_each(|(product, v)| *product += v);
            product
        };
        let step = conjugate_gradients(&g, hessian, (0.1f64).min(length.sqrt()).min(1e-2) * length, 10 * size);
        let along = scores(x, &step, p);
        let slope = dot(&g, &step);
        let mut share = 1.0;
        loop {
            let next: Vec<f64> = w.iter().zip(&step).map(|(w, s)| w + share * s).collect();
            let moved: Vec<f64> = f.iter().zip(&along).map(|(f, a)| f + share * a).collect();
            let then = value(&next, &moved);
            // Near the minimum the value no longer tells: rounding is let pass.
            if then <= now + 1e-4 * share * slope + 1e-14 * now.abs() || share < 1e-10 {
                (w, f, now) = (next, moved, then);
                break;
            }
            share *= 0.5;
        }
        iterations += 1;
    }
}

/// Solves H s = -g to a residual of `goal`.
fn conjugate_gradients(g: &[f64], hessian: impl Fn(&[f64]) -> Vec<f64>, goal: f64, most: usize) -> Vec<f64> {
    let mut s = vec![0.0; g.len()];
    let mut r: Vec<f64> = g.iter().map(|g| -g).collect();
    let mut d = r.clone();
    let mut square = dot(&r, &r);
    for _ in 0..most {
        if square.sqrt() <= goal {
            break;
        }
        let h = hessian(&d);
        let alpha = square / dot(&d, &h);
        s.iter_mut().zip(&d).for_each(|(s, d)| *s += alpha * d);
        r.iter_mut().zip(&h).for_each(|(r, h)| *r -= alpha * h);
        let next = dot(&r, &r);
        let beta = next / square;
        d.iter_mut().zip(&r).for_each(|(d, r)| *d = r + beta * *d);
        square = next;
    }
    s
}

fn dual(x: &Features, y: &[f64], costs: &[f64], p: &Parameters) -> Found {
    let columns = x.columns();
    let constant = f64::from(u8::from(p.intercept));
    let squares: Vec<f64> = x.squared_lengths().iter().map(|length| length + constant).collect();
    let mut w = vec![0.0; columns + 1];
    let mut alpha = vec![0.0; y.len()];
    let mut order: Vec<usize> = (0..y.len()).collect();
    for pass in 0..p.iterations {
        let mut stream = Stream::new(0, "hinge", pass as u64);
        for at in (1..order.len()).rev() {
            order.swap(at, stream.below(at as u64 + 1) as usize);
        }
        let (mut most, mut least) = (f64::NEG_INFINITY, f64::INFINITY);
        for &row in &order {
            let score = constant * w[columns] + row_dot(x, row, &w);
            let gradient = y[row] * score - 1.0;
            let projected = match alpha[row] {
                a if a <= 0.0 => gradient.min(0.0),
                a if a >= costs[row] => gradient.max(0.0),
                _ => gradient,
            };
            most = most.max(projected);
            least = least.min(projected);
            if projected != 0.0 && squares[row] > 0.0 {
                let next = (alpha[row] - gradient / squares[row]).clamp(0.0, costs[row]);
                let change = (next - alpha[row]) * y[row];
                alpha[row] = next;
                add_row(x, row, change, &mut w);
                w[columns] += constant * change;
            }
        }
        if most - least <= p.tolerance {
            return Found { weights: w, iterations: pass + 1, converged: true };
        }
    }
    Found { weights: w, iterations: p.iterations, converged: false }
}

fn row_dot(x: &Features, row: usize, w: &[f64]) -> f64 {
    match x {
        Features::Dense(x) => dot(x.row(row).as_slice().expect("rows without gaps"), w),
        Features::Sparse(x) => {
            let (indices, values) = x.row(row);
            indices.iter().zip(values).map(|(&column, value)| value * w[column as usize]).sum()
        }
    }
}

fn add_row(x: &Features, row: usize, factor: f64, w: &mut [f64]) {
    match x {
        Features::Dense(x) => w.iter_mut().zip(x.row(row)).for_each(|(w, x)| *w += factor * x),
        Features::Sparse(x) => {
            let (indices, values) = x.row(row);
            indices.iter().zip(values).for_each(|(&column, value)| w[column as usize] += factor * value);
        }
    }
}

/// Coefficients of several problems as columns ((columns + 1) x m).
pub fn joined(found: &[Found]) -> Array2<f64> {
    let rows = found.first().map_or(0, |found| found.weights.len());
    Array2::from_shape_fn((rows, found.len()), |(row, column)| found[column].weights[row])
}

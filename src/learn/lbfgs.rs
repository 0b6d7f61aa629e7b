//! Minimum of a smooth convex function by limited-memory BFGS.
//!
//! Problem: min f(x), x of n numbers, f and its gradient given.
//! Algorithm: the two-loop recursion over the last 10 steps (Nocedal, Math. Comp. 35, 1980), a line search for the strong
//! Wolfe conditions by bracketing and cubic interpolation (Nocedal and Wright, Numerical Optimization, algorithms 3.5 and
//! 3.6); near the minimum, where differences of f are rounding, the slopes decide alone (Hager and Zhang, SIAM J. Optim. 16,
//! 2005). It stops when the largest entry of the gradient is within the tolerance.
//! Cost: about 1.1 evaluations and 40 n flops an iteration.

use std::collections::VecDeque;

/// Steps remembered.
const MEMORY: usize = 10;
/// Sufficient decrease, and curvature, of the Wolfe conditions.
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Differences of f below this share of it are rounding.
const ROUNDING: f64 = 1e-13;
/// Evaluations of a line search.
const TRIALS: usize = 30;

/// Where the search ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// The point.
    pub x: Vec<f64>,
    /// Iterations taken.
    pub iterations: usize,
    /// Largest entry of the gradient there.
    pub gradient: f64,
    /// The gradient is within the tolerance.
    pub converged: bool,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(g: &[f64]) -> f64 {
    g.iter().fold(0.0, |most: f64, value| most.max(value.abs()))
}

/// A point of a line search.
#[derive(Clone)]
struct Point {
    step: f64,
    x: Vec<f64>,
    f: f64,
    gradient: Vec<f64>,
    slope: f64,
}

/// What the last steps told of the curvature of a function.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Curvature {
    /// A step, what the gradient changed by, and the reciprocal of their product; the oldest first.
    pairs: VecDeque<(Vec<f64>, Vec<f64>, f64)>,
}

impl Curvature {
    fn learn(&mut self, s: Vec<f64>, y: Vec<f64>) {
        let curvature = dot(&s, &y);
        if curvature > f64::EPSILON * dot(&y, &y).sqrt() * dot(&s, &s).sqrt() {
            if self.pairs.len() == MEMORY {
                self.pairs.pop_front();
            }
            self.pairs.push_back((s, y, 1.0 / curvature));
        }
    }

    /// Makes it that of the function plus `ridge` / 2 times the sum of the squares of the first `count` numbers.
    pub fn add_ridge(&mut self, ridge: f64, count: usize) {
        for (s, mut y, _) in std::mem::take(&mut self.pairs) {
            y.iter_mut().zip(&s).take(count).for_each(|(y, s)| *y += ridge * s);
            self.learn(s, y);
        }
    }
}

/// Minimises `f`, which writes the gradient at a point and returns its value.
pub fn minimise(start: Vec<f64>, tolerance: f64, most: usize, f: impl FnMut(&[f64], &mut [f64]) -> f64) -> Minimum {
    minimise_from(start, &mut Curvature::default(), tolerance, most, f)
}

/// The same with what is known of the curvature, about the same point or of another function like it, which is brought up to
/// date.
pub fn minimise_from(
    start: Vec<f64>,
    memory: &mut Curvature,
    tolerance: f64,
    most: usize,
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Minimum {
    let n = start.len();
    let mut gradient = vec![0.0; n];
    let value = f(&start, &mut gradient);
    let mut here = Point { step: 0.0, x: start, f: value, gradient, slope: 0.0 };
    let mut iterations = 0;
    while largest(&here.gradient) > tolerance && iterations < most {
        let mut direction = descent(&here.gradient, &memory.pairs);
        let mut slope = dot(&direction, &here.gradient);
        if slope >= 0.0 {
            memory.pairs.clear();
            direction = here.gradient.iter().map(|g| -g).collect();
            slope = dot(&direction, &here.gradient);
        }
        let first = if memory.pairs.is_empty() { 1f64.min(1.0 / (-slope).sqrt()) } else { 1.0 };
        here.slope = slope;
        here.step = 0.0;
        let Some(next) = search(&here, &direction, first, &mut f) else {
            if memory.pairs.is_empty() {
                break;
            }
            // A direction that leads nowhere: start again from the gradient.
            memory.pairs.clear();
            iterations += 1;
            continue;
        };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        memory.learn(difference(&next.x, &here.x), difference(&next.gradient, &here.gradient));
        here = next;
        iterations += 1;
    }
    let gradient = largest(&here.gradient);
    Minimum { x: here.x, iterations, gradient, converged: gradient <= tolerance }
}

/// The two-loop recursion.
fn descent(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut factors = Vec::with_capacity(memory.len());
    for (s, y, rho) in memory.iter().rev() {
        let factor = rho * dot(s, &direction);
        direction.iter_mut().zip(y).for_each(|(d, y)| *d -= factor * y);
        factors.push(factor);
    }
    if let Some((_, y, rho)) = memory.back() {
        let scale = 1.0 / (rho * dot(y, y));
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((s, y, rho), factor) in memory.iter().zip(factors.into_iter().rev()) {
        let correction = factor - rho * dot(y, &direction);
        direction.iter_mut().zip(s).for_each(|(d, s)| *d += correction * s);
    }
    direction
}

fn search(here: &Point, direction: &[f64], first: f64, f: &mut impl FnMut(&[f64], &mut [f64]) -> f64) -> Option<Point> {
    let mut evaluate = |step: f64| {
        let x: Vec<f64> = here.x.iter().zip(direction).map(|(x, d)| x + step * d).collect();
        let mut gradient = vec![0.0; x.len()];
        let value = f(&x, &mut gradient);
        let slope = dot(&gradient, direction);
        Point { step, x, f: value, gradient, slope }
    };
    let falls = |point: &Point| {
        point.f <= here.f + DECREASE * point.step * here.slope
            || point.f <= here.f + ROUNDING * here.f.abs() && point.slope <= -0.8 * here.slope
    };
    let flat = |point: &Point| point.slope.abs() <= -CURVATURE * here.slope;
    let (mut low, mut step) = (here.clone(), first);
    let mut high: Option<Point> = None;
    for _ in 0..TRIALS {
        let point = evaluate(step);
        let finite = point.f.is_finite();
        if finite && falls(&point) && flat(&point) {
            return Some(point);
        }
        // The minimum lies between the lowest point so far and one that is higher or slopes up.
        if !finite || !falls(&point) || (low.step > 0.0 && point.f >= low.f && point.slope > 0.0) {
            high = Some(point);
        } else if point.slope >= 0.0 {
            high = Some(std::mem::replace(&mut low, point));
        } else {
            if let Some(far) = &high
                && point.slope * (far.step - low.step) >= 0.0
            {
                high = Some(low);
            }
            low = point;
        }
        step = match &high {
            None => 4.0 * step,
            Some(high) => between(&low, high),
        };
        if high.as_ref().is_some_and(|high| (high.step - low.step).abs() <= 1e-14 * low.step.abs().max(1e-3)) {
            break;
        }
    }
    // No point meets both conditions: take the lowest one, if it is lower at all.
    (low.step > 0.0 && low.f < here.f).then_some(low)
}

/// The minimum of the cubic through two points, kept off the ends.
fn between(low: &Point, high: &Point) -> f64 {
    let (a, b) = (low.step, high.step);
    let middle = 0.5 * (a + b);
    if !high.f.is_finite() || !high.slope.is_finite() {
        return middle;
    }
    let d1 = low.slope + high.slope - 3.0 * (low.f - high.f) / (a - b);
    let square = d1 * d1 - low.slope * high.slope;
    if square < 0.0 {
        return middle;
    }
    let d2 = square.sqrt() * (b - a).signum();
    let step = b - (b - a) * (high.slope + d2 - d1) / (high.slope - low.slope + 2.0 * d2);
    let (least, most) = (a.min(b) + 0.1 * (b - a).abs(), a.max(b) - 0.1 * (b - a).abs());
    if step.is_finite() { step.clamp(least, most) } else { middle }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_long_valley_and_of_a_quadratic() {
        let rosenbrock = |x: &[f64], g: &mut [f64]| {
            g.fill(0.0);
            let mut f = 0.0;
            for i in 0..x.len() - 1 {
                let (a, b) = (1.0 - x[i], x[i + 1] - x[i] * x[i]);
                f += a * a + 100.0 * b * b;
                g[i] += -2.0 * a - 400.0 * b * x[i];
                g[i + 1] += 200.0 * b;
            }
            f
        };
        let found = minimise(vec![-1.2, 1.0, -0.5, 0.8], 1e-9, 500, rosenbrock);
        assert!(found.converged, "{found:?}");
        assert!(found.x.iter().all(|x| (x - 1.0).abs() < 1e-7), "{found:?}");
        // A sum of squares over four orders of magnitude, with an offset that hides the last decreases.
        let weights: Vec<f64> = (0..30).map(|i| 10f64.powf(f64::from(i) / 7.5)).collect();
        let quadratic = |x: &[f64], g: &mut [f64]| {
            let mut f = 1.0;
            for (i, w) in weights.iter().enumerate() {
                f += w * (x[i] - 1.0).powi(2);
                g[i] = 2.0 * w * (x[i] - 1.0);
            }
            f
        };
        let found = minimise(vec![0.0; 30], 1e-6, 5000, quadratic);
        assert!(found.converged && found.x.iter().all(|x| (x - 1.0).abs() < 1e-5), "{found:?}");
        let cut = minimise(vec![0.0; 30], 1e-7, 3, quadratic);
        assert!(!cut.converged && cut.iterations == 3);
    }
}

//! Minimum of a smooth convex function plus absolute values.
//!
//! Problem: min f(x) + p sum_{i < k} |x_i|, f and its gradient given; the entries behind the first k are free.
//! Algorithm: accelerated proximal gradient steps (FISTA: Beck and Teboulle, SIAM J. Imaging Sci. 2, 2009), the step length
//! found by backtracking, the acceleration started anew when it points uphill (O'Donoghue and Candes, Found. Comput. Math. 15,
//! 2015). It stops when the largest entry of the step, divided by its length, is within the tolerance: without the absolute
//! values that is the gradient.
//! Cost: two evaluations an iteration.

use super::lbfgs::Minimum;

/// Differences of f below this share of it are rounding.
const ROUNDING: f64 = 1e-14;
/// What the reciprocal step length is tried to fall to with each iteration.
const BOLDER: f64 = 0.95;

/// Minimises. `f` writes the gradient at a point and returns the value.
pub fn minimise(
    start: Vec<f64>,
    pulled: usize,
    pull: f64,
    tolerance: f64,
    most: usize,
    mut f: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Minimum {
    let n = start.len();
    let (mut x, mut y) = (start.clone(), start);
    let (mut gradient, mut unused) = (vec![0.0; n], vec![0.0; n]);
    let (mut t, mut steepness) = (1f64, 1f64);
    for iterations in 0..most {
        let value = f(&y, &mut gradient);
        steepness *= BOLDER;
        let next = loop {
            let step = |(at, (y, g)): (usize, (&f64, &f64))| {
                let moved = y - g / steepness;
                if at < pulled { moved.signum() * (moved.abs() - pull / steepness).max(0.0) } else { moved }
            };
            let next: Vec<f64> = y.iter().zip(&gradient).enumerate().map(step).collect();
            let (mut along, mut square) = (0.0, 0.0);
            for ((next, y), g) in next.iter().zip(&y).zip(&gradient) {
                along += g * (next - y);
                square += (next - y) * (next - y);
            }
            let bound = value + along + 0.5 * steepness * square;
            if f(&next, &mut unused) <= bound + ROUNDING * value.abs() || steepness > 1e20 {
                break next;
            }
            steepness *= 2.0;
        };
        let residual = next.iter().zip(&y).fold(0.0, |most: f64, (next, y)| most.max((next - y).abs())) * steepness;
        if residual <= tolerance {
            return Minimum { x: next, iterations: iterations + 1, gradient: residual, converged: true };
        }
        let uphill: f64 = next.iter().zip(&y).zip(&x).map(|((next, y), x)| (y - next) * (next - x)).sum();
        if uphill > 0.0 {
            t = 1.0;
            y.clone_from(&next);
        } else {
            let then = 0.5 * (1.0 + (1.0 + 4.0 * t * t).sqrt());
            let ahead = (t - 1.0) / then;
            y = next.iter().zip(&x).map(|(next, x)| next + ahead * (next - x)).collect();
            t = then;
        }
        x = next;
    }
    Minimum { x, iterations: most, gradient: f64::NAN, converged: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_entries_become_zero_and_others_shrink() {
        // sum of w_i (x_i - a_i)^2 / 2 + |x_i|: x_i = a_i less 1 / w_i, or 0.
        let (weights, centres) = ([1.0, 4.0, 100.0, 0.1], [0.5, -2.0, 0.3, 5.0]);
        let quadratic = |x: &[f64], g: &mut [f64]| {
            let mut f = 0.0;
            for i in 0..4 {
                g[i] = weights[i] * (x[i] - centres[i]);
                f += 0.5 * g[i] * (x[i] - centres[i]);
            }
            f
        };
        let found = minimise(vec![0.0; 4], 3, 1.0, 1e-10, 10_000, quadratic);
        assert!(found.converged);
        for (x, expected) in found.x.iter().zip([0.0, -1.75, 0.29, 5.0]) {
            assert!((x - expected).abs() < 1e-8, "{found:?}");
        }
        assert_eq!(found.x[0], 0.0);
        assert!(!minimise(vec![0.0; 4], 3, 1.0, 1e-10, 2, quadratic).converged);
    }
}

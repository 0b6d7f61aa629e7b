//! Least squares under x >= 0, by coordinate descent.
//!
//! Problem: min over x >= 0 of x^T G x / 2 - b^T x, for G (k x k, symmetric, positive semidefinite) and b (k).
//! Algorithm: x_j := max(0, x_j - kappa g_j / G_jj) for j = 0, 1, .. in turn, where g = G x - b is kept up to date. With
//! nothing below 0 in G and x = 0 at the start, x_j never exceeds b_j / G_jj.
//! Cost: a sweep is 2 k flops for each x_j that moves: few, once most are 0.
//! Reference: Hsieh and Dhillon, KDD 2011; gensim's `solve_h`.

/// When a solution is good enough.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Until {
    /// Most sweeps.
    pub sweeps: usize,
    /// Share of |x| by which a sweep has to move it so that there is another one; lengths in the norm of the diagonal of G.
    pub change: f64,
    /// Share of a step that is taken.
    pub kappa: f64,
}

/// Improves `x`, given G row by row and G x - b, which is kept up to date. Returns the sweeps made.
pub fn descend(g: &[f64], gradient: &mut [f64], x: &mut [f64], until: &Until) -> usize {
    let k = x.len();
    for sweep in 0..until.sweeps {
        let (mut moved, mut size) = (0.0, 0.0);
        for (j, row) in g.chunks_exact(k).enumerate() {
            let curvature = row[j];
            // A topic without weight: nothing is known of it.
            if curvature <= 0.0 {
                continue;
            }
            let next = (x[j] - until.kappa * gradient[j] / curvature).max(0.0);
            let step = next - x[j];
            size += curvature * next * next;
            if step != 0.0 {
                x[j] = next;
                moved += curvature * step * step;
                gradient.iter_mut().zip(row).for_each(|(gradient, value)| *gradient += step * value);
            }
        }
        if moved <= until.change * until.change * size {
            return sweep + 1;
        }
    }
    until.sweeps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn solutions_are_those_of_all_supports_tried() {
        let k = 5;
        for case in 0..40 {
            let mut stream = Stream::new(3, "descent", case);
            let w: Vec<f64> = (0..9 * k).map(|_| stream.uniform()).collect();
            let v: Vec<f64> = (0..9).map(|_| stream.uniform() * 2.0 - 0.6).collect();
            let column = |i: usize| w.iter().skip(i).step_by(k);
            let g: Vec<f64> =
                (0..k * k).map(|at| column(at / k).zip(column(at % k)).map(|(a, b)| a * b).sum()).collect();
            let b: Vec<f64> = (0..k).map(|i| column(i).zip(&v).map(|(a, b)| a * b).sum()).collect();
            let mut gradient: Vec<f64> = b.iter().map(|b| -b).collect();
            let mut x = vec![0.0; k];
            descend(&g, &mut gradient, &mut x, &Until { sweeps: 100_000, change: 1e-14, kappa: 1.0 });
            // The conditions of Karush, Kuhn and Tucker are sufficient, since the problem is convex.
            for i in 0..k {
                let exact: f64 = g[i * k..(i + 1) * k].iter().zip(&x).map(|(g, x)| g * x).sum::<f64>() - b[i];
                assert!((exact - gradient[i]).abs() < 1e-10, "the gradient is kept up to date");
                assert!(x[i] >= 0.0 && exact > -1e-9 && (x[i] * exact).abs() < 1e-9, "case {case}: {x:?} {gradient:?}");
            }
        }
    }

    #[test]
    fn what_is_unknown_stays_and_few_sweeps_are_made_of_what_is_solved() {
        let g = [2.0, 0.0, 0.0, 0.0];
        let (mut gradient, mut x) = ([-4.0, 0.0], [0.0, 7.0]);
        let until = Until { sweeps: 50, change: 1e-3, kappa: 1.0 };
        assert_eq!(descend(&g, &mut gradient, &mut x, &until), 2);
        assert_eq!((x, gradient), ([2.0, 7.0], [0.0, 0.0]));
    }
}

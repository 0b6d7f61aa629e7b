//! Topics as a map: classical multidimensional scaling of the distances between them.
//!
//! Problem: K distributions over V terms, S (K x V) their square roots. The Hellinger distance of i and j is
//! sqrt(1 - s_i . s_j), so the Gram matrix G = S S^T says all distances. Points whose distances are closest to these are the
//! two leading eigenvectors of J G J (J = I - 1/K: centring), scaled by the square roots of the eigenvalues.
//! Cost: 2 K^2 V flops, and K^3 of the eigenvalues.
//! Reference: Torgerson, "Multidimensional scaling: I. Theory and method", Psychometrika 1952.

use ndarray::{Array2, ArrayView2};

use crate::error::Result;
use crate::linalg::dense::{multiply, symmetric_eigen};

/// Places of topics: x, y of each, and the share of the squared distances that the map shows. `roots` (topics x terms) are
/// square roots of distributions.
pub fn places(roots: ArrayView2<f32>) -> Result<(Vec<(f64, f64)>, f64)> {
    let topics = roots.nrows();
    let mut gram = Array2::<f32>::zeros((topics, topics));
    multiply(1.0, roots, roots.t(), 0.0, &mut gram.view_mut());
    let gram = gram.mapv(f64::from);
    let means = gram.mean_axis(ndarray::Axis(0)).unwrap_or_default();
    let mean = means.mean().unwrap_or(0.0);
    let centred = Array2::from_shape_fn((topics, topics), |(i, j)| gram[[i, j]] - means[i] - means[j] + mean);
    let (values, vectors) = symmetric_eigen(&centred)?;
    let all: f64 = values.iter().filter(|value| **value > 0.0).sum();
    let axis = |number: usize, topic: usize| match values.get(number) {
        Some(&value) if value > 1e-9 * all => value.sqrt() * vectors[[topic, number]],
        _ => 0.0,
    };
    // The sign of an axis is arbitrary: its largest entry is made positive, so that the same model gives the same map.
    let sign = |number: usize| {
        let largest =
            (0..topics).map(|topic| axis(number, topic)).fold(0.0f64, |a, b| if b.abs() > a.abs() { b } else { a });
        if largest < 0.0 { -1.0 } else { 1.0 }
    };
    let signs = [sign(0), sign(1)];
    let places = (0..topics).map(|topic| (signs[0] * axis(0, topic), signs[1] * axis(1, topic))).collect();
    let shown: f64 = values.iter().take(2).filter(|value| **value > 0.0).sum();
    Ok((places, if all > 0.0 { shown / all } else { 1.0 }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn distances_of_three_topics_are_kept() {
        let distributions = array![[0.5f32, 0.5, 0.0], [0.5, 0.4, 0.1], [0.0, 0.1, 0.9]];
        let roots = distributions.mapv(f32::sqrt);
        let (places, shown) = places(roots.view()).unwrap();
        // Three points lie in a plane.
        assert!((shown - 1.0).abs() < 1e-6);
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            let product: f32 = roots.row(i).dot(&roots.row(j));
            let squared = 2.0 * (1.0 - f64::from(product));
            let found = (places[i].0 - places[j].0).powi(2) + (places[i].1 - places[j].1).powi(2);
            assert!((found - squared).abs() < 1e-5, "{i} {j}: {found} {squared}");
        }
    }

    #[test]
    fn one_topic_and_equal_topics_lie_in_the_middle() {
        for roots in [array![[1.0f32, 0.0]], array![[0.6f32, 0.8], [0.6, 0.8]]] {
            let (places, _) = places(roots.view()).unwrap();
            assert!(places.iter().all(|(x, y)| x.abs() < 1e-3 && y.abs() < 1e-3), "{places:?}");
        }
    }
}

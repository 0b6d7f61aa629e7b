//! The k nearest rows, by brute force.
//!
//! Problem: for each query the k training rows at the smallest Euclidean or cosine distance; of equally near ones the first.
//! Algorithm: 256 queries at a time, |q|^2 - 2 q.x + |x|^2 from one matrix product, a selection of k and a few more, whose
//! distances are computed again from differences, since the product's cancel. Cost: 2 queries rows columns flops.

use ndarray::Array2;

use super::features::{Features, Norm, normalise};

/// Queries at a time.
const AT_A_TIME: usize = 256;
/// Neighbours taken beyond k, lest rounding of the products leave one out.
const SPARE: usize = 8;

/// Row numbers and distances of the k nearest of each query, nearest first.
pub fn nearest(rows: &Features, queries: &Features, k: usize, cosine: bool) -> Vec<Vec<(usize, f64)>> {
    let (mut rows, mut queries) = (rows.clone(), queries.clone());
    if cosine {
        normalise(&mut rows, Norm::L2);
        normalise(&mut queries, Norm::L2);
    }
    let lengths = rows.squared_lengths();
    let mut found = Vec::with_capacity(queries.rows());
    for first in (0..queries.rows()).step_by(AT_A_TIME) {
        let count = AT_A_TIME.min(queries.rows() - first);
        let numbers: Vec<usize> = (first..first + count).collect();
        let dense: Vec<Vec<f64>> = numbers.iter().map(|&row| queries.dense_row(row)).collect();
        let block = Array2::from_shape_fn((queries.columns(), count), |(column, row)| dense[row][column]);
        let products = rows.times(block.view());
        for (at, query) in dense.iter().enumerate() {
            let mut order: Vec<(f64, usize)> =
                (0..rows.rows()).map(|row| (lengths[row] - 2.0 * products[[row, at]], row)).collect();
            let wanted = (k + SPARE).min(order.len());
            if wanted < order.len() {
                order.select_nth_unstable_by(wanted, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
                order.truncate(wanted);
            }
            let mut exact: Vec<(usize, f64)> = order
                .into_iter()
                .map(|(_, row)| {
                    let square: f64 = rows.dense_row(row).iter().zip(query).map(|(a, b)| (a - b) * (a - b)).sum();
                    // Of vectors of length 1 the square is twice the cosine distance.
                    (row, if cosine { 0.5 * square } else { square.sqrt() })
                })
                .collect();
            exact.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
            exact.truncate(k);
            found.push(exact);
        }
    }
    found
}

/// Share of the votes for each class among the first k neighbours of each query (queries x classes), as scikit-learn's
/// `predict_proba`: each neighbour counts alike, or by the inverse of its distance.
pub fn votes(
    neighbours: &[Vec<(usize, f64)>],
    classes: &[usize],
    m: usize,
    k: usize,
    by_distance: bool,
) -> Array2<f64> {
    let mut votes = Array2::zeros((neighbours.len(), m));
    for (list, mut row) in neighbours.iter().zip(votes.rows_mut()) {
        let list = &list[..k.min(list.len())];
        let same = list.iter().any(|&(_, distance)| distance == 0.0);
        for &(number, distance) in list {
            row[classes[number]] += match by_distance {
                false => 1.0,
                true if same => f64::from(u8::from(distance == 0.0)),
                true => 1.0 / distance,
            };
        }
        let total = row.sum();
        row.mapv_inplace(|votes| votes / total);
    }
    votes
}

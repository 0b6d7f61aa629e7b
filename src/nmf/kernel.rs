//! The weights of topics in the documents of a chunk, the topics given.
//!
//! Shapes: W (terms x width, f32, k padded with zeros), G = W^T W (k x k, f64), H (documents x width, f32).
//! Algorithm: B = V^T W by the sparse product, then for each document least squares under h >= 0 from h = 0
//! ([`descent`](super::descent)). A document's weights depend on it and the topics alone.
//! Cost: 2 k flops a nonzero, and 2 k for each weight that moves in a sweep.

use rayon::prelude::*;

use super::descent::{Until, descend};
use crate::linalg::kernels::documents_times;
use crate::linalg::{Aligned, Prepared, Simd};

/// The topics, ready to be used.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    /// W.
    pub topics: &'a [f32],
    /// Columns of W in memory.
    pub width: usize,
    /// G.
    pub gram: &'a [f64],
    /// Number of topics.
    pub k: usize,
    /// When the weights of a document are found.
    pub until: Until,
}

impl Kernel<'_> {
    /// Puts H into `h`, which is as long as it has to be, and returns |v - W h|^2 - |v|^2 of each document.
    pub fn infer(&self, pool: &rayon::ThreadPool, chunk: &Prepared, h: &mut Aligned<f32>) -> Vec<f64> {
        let Kernel { topics, width, gram, k, until } = *self;
        h.resize(chunk.documents() * width);
        documents_times(Simd::detect(), pool, chunk, topics, width, h);
        let solve = |row: &mut [f32]| {
            let b: Vec<f64> = row[..k].iter().map(|&value| f64::from(value)).collect();
            let mut gradient: Vec<f64> = b.iter().map(|value| -value).collect();
            let mut x = vec![0.0; k];
            descend(gram, &mut gradient, &mut x, &until);
            row.iter_mut().zip(&x).for_each(|(to, x)| *to = *x as f32);
            // |v - W h|^2 = |v|^2 - 2 b h + h G h, and G h = gradient + b.
            x.iter().zip(&gradient).zip(&b).map(|((x, gradient), b)| x * (gradient - b)).sum()
        };
        pool.install(|| h.par_chunks_mut(width).map(solve).collect())
    }
}

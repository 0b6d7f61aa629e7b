//! Partial decompositions: what is kept of some documents, and how two of them become one.
//!
//! Problem: A1 ~ U1 S1 R1^T and A2 ~ U2 S2 R2^T with orthonormal columns; the leading left singular vectors and values of
//! [d A1, A2], where d forgets.
//! Algorithm: U2 = U1 C + V B with V orthogonal to U1 gives [d A1, A2] = [U1 V] K [R1 R2]^T with
//! K = [d S1, C S2; 0, B S2]; the eigenvectors of K K^T turn [U1 V] into the answer (Zha and Simon, SIAM J. Sci. Comput.
//! 21, 1999; Rehurek, ECIR 2011). All rows stay where they are: the workers exchange C and Gram matrices alone.
//! Error: what a merge drops is orthogonal to what it keeps, so that by Weyl's inequality no singular value is off by more
//! than the sum of the largest dropped values of all merges.
//! Cost: 6 terms r^2 flops for widths of r, spread over the workers, and 8 r^2 bytes in each of 4 sums.

use ndarray::{Array2, s};

use crate::dispatch::Job;
use crate::error::Result;
use crate::linalg::dense::symmetric_eigen;
use crate::linalg::fixed::Grid;

use super::orthogonal::orthonormalise;
use super::panel::{Basis, Panel};

/// Singular values below this share of the largest are rounding noise of f32 vectors.
const NOISE: f64 = 1e-6;

/// The leading left singular vectors and values of some consecutive chunks.
pub struct Partial {
    /// This worker's rows of the vectors; columns behind `singular_values` are padding.
    pub vectors: Panel,
    /// Singular values, largest first.
    pub singular_values: Vec<f64>,
    /// Chunks it stands for.
    pub chunks: u32,
}

impl Partial {
    /// This worker's rows of the first `columns` vectors.
    pub fn leading(&self, columns: usize) -> Array2<f32> {
        Array2::from_shape_fn((self.vectors.rows, columns), |(row, column)| {
            self.vectors.values[row * self.vectors.width + column]
        })
    }
}

/// Joins two partial decompositions, the earlier documents left, and keeps at most `width` triplets. What is left counts
/// `decay` times as much for every chunk on the right. Collective over the workers.
pub fn merge(job: &Job, left: Partial, right: Partial, width: usize, decay: f64) -> Result<Partial> {
    let chunks = left.chunks + right.chunks;
    let decay = decay.powi(right.chunks as i32);
    let faded: Vec<f64> = left.singular_values.iter().map(|value| value * decay).collect();
    let (old, new) = (faded.len(), right.singular_values.len());
    if new == 0 {
        return Ok(Partial { singular_values: faded, chunks, ..left });
    }
    if old == 0 {
        return Ok(Partial { chunks, ..right });
    }
    let rows = left.vectors.rows;
    let mut basis = Basis::new(rows);
    job.account.compute(|| basis.append(&left.vectors, old));
    drop(left.vectors);
    let mut v = right.vectors;
    // Overlaps of unit vectors, with some slack for rounding.
    let factors = orthonormalise(job, &basis, 0, &mut v, new, Grid::for_bound(1.5)?, 0.0)?;
    job.account.compute(|| {
        let fresh = factors.b.nrows();
        basis.append(&v, fresh);
        drop(v);
        let mut k = Array2::<f64>::zeros((old + fresh, old + new));
        k.diag_mut().iter_mut().zip(&faded).for_each(|(to, value)| *to = *value);
        for (column, value) in right.singular_values.iter().enumerate() {
            k.slice_mut(s![..old, old + column]).assign(&(&factors.c.column(column) * *value));
            k.slice_mut(s![old.., old + column]).assign(&(&factors.b.column(column) * *value));
        }
        let (squares, z) = symmetric_eigen(&k.dot(&k.t()))?;
        let kept = squares.iter().take(width).take_while(|&&square| square > NOISE * NOISE * squares[0]).count();
        Ok(Partial {
            vectors: Panel::of(basis.combine(z.slice(s![.., ..kept])).view()),
            singular_values: squares.iter().take(kept).map(|square| square.sqrt()).collect(),
            chunks,
        })
    })
}

/// Merges partial decompositions as they come, in a binary tree over their numbers: the same merges for any number of
/// workers, and no more than log2(chunks) + 1 of them in memory.
pub struct Tree {
    pub(super) width: usize,
    decay: f64,
    /// Subtrees, each higher than the next.
    pub(super) pending: Vec<(u32, Partial)>,
}

impl Tree {
    /// A tree that keeps `width` triplets everywhere.
    pub fn new(width: usize, decay: f64) -> Self {
        Tree { width, decay, pending: Vec::new() }
    }

    /// Adds the next partial. Collective over the workers.
    pub fn push(&mut self, job: &Job, partial: Partial) -> Result<()> {
        let (mut level, mut partial) = (0, partial);
        while let Some((_, left)) = self.pending.pop_if(|(height, _)| *height == level) {
            partial = merge(job, left, partial, self.width, self.decay)?;
            level += 1;
        }
        self.pending.push((level, partial));
        Ok(())
    }

    /// Merges what is left, the smallest subtrees first. None when nothing was added. Collective over the workers.
    pub fn finish(mut self, job: &Job) -> Result<Option<Partial>> {
        let Some((_, mut total)) = self.pending.pop() else { return Ok(None) };
        while let Some((_, left)) = self.pending.pop() {
            total = merge(job, left, total, self.width, self.decay)?;
        }
        Ok(Some(total))
    }
}

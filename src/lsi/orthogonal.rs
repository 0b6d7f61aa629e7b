//! Orthonormalisation of a block against a basis and within itself, with exact sums over the ranks.
//!
//! Problem: given orthonormal Q (terms x c) and W (terms x b), find C, B and orthonormal V with W = Q C + V B.
//! Algorithm: block classical Gram-Schmidt twice ("twice is enough": Giraud, Langou, Rozloznik, van den Eshof, 2005),
//! then twice the eigenvalue variant of Cholesky QR (SVQB: Stathopoulos and Wu, SIAM J. Sci. Comput. 23, 2002), which
//! unlike Cholesky finds the rank: directions below `RANK` of the block's size are rounding noise and are dropped. The
//! second projection shares its sum with the first Gram matrix by Pythagoras: the Gram matrix of W - Q C is that of W
//! less C^T C. The product of a Krylov step overlaps with the last two blocks alone but for rounding, so the first
//! projection takes those only, and the second takes all. What is left of W after the projections carries their rounding
//! errors, which grow when a small remainder is brought to unit length: then a third projection follows.
//! Cost: 4 terms (r + c + 2 b) b flops, where r of the c columns of the basis are recent; 3 sums over the workers of
//! r b + 2 b, c b + 2 b^2 and b^2 numbers. The third projection, when it is needed, takes 4 terms c b flops and c b numbers.

use ndarray::{Array2, s};

use crate::comm::Route;
use crate::dispatch::Job;
use crate::error::Result;
use crate::linalg::dense::symmetric_eigen;
use crate::linalg::fixed::{Grid, wide};

use super::panel::{Basis, Panel};

/// Directions of a block smaller than this share of its largest column are noise of the f32 products.
const RANK: f64 = 1e-5;
/// A remainder smaller than this share of the block before projection is projected once more: 2^-24 / 1e-2 is the
/// overlap with the basis that rounding may have left.
const SMALL: f64 = 1e-2;

/// What orthonormalisation found: W = Q c + V b.
pub struct Factors {
    /// Overlaps with the basis (basis columns x block columns).
    pub c: Array2<f64>,
    /// Coupling to the new block (rank x block columns).
    pub b: Array2<f64>,
    /// Squared length of the longest column of W.
    pub size: f64,
}

/// Turns the first `used` columns of W into orthonormal V, orthogonal to the basis. V has as many columns as `b` has
/// rows; the panel's other columns are zero. The overlaps with basis columns before `recent` must be small compared
/// with W: the first projection leaves them to the second. Directions whose squared length is not above `noise` are
/// dropped like dependent ones. Collective over the workers.
pub fn orthonormalise(
    job: &Job,
    basis: &Basis,
    recent: usize,
    w: &mut Panel,
    used: usize,
    grid: Grid,
    noise: f64,
) -> Result<Factors> {
    let (columns, width) = (basis.columns(), w.width);
    let sum = |sums: Vec<i64>| {
        let alone = Route::Workers.members(job.comm.size()).len() == 1;
        let bytes = if alone { 0 } else { size_of_val(&sums[..]) as u64 };
        job.account.count(|counters| counters.exchanged_bytes += bytes);
        job.wait(job.comm.sum(Route::Workers, sums))
    };
    let rows = w.rows;
    let count = |left: usize, right: usize| {
        job.account.count(|counters| counters.dense_flops += 2 * rows as u64 * left as u64 * right as u64);
    };
    let matrix = |sums: &[i64], grid: Grid| {
        let step = grid.step();
        Array2::from_shape_fn((sums.len() / width, width), |(i, j)| sums[i * width + j] as f64 * step)
    };
    let gram =
        |sums: &[i64]| Array2::from_shape_fn((width, width), |(i, j)| wide::value(&sums[2 * (i * width + j)..][..2]));

    // First projection; the squared norms of the columns before it come along and tell the size of the block.
    let near = (columns - recent) * width;
    let mut sums = vec![0i64; near + 2 * width];
    let (products, norms) = sums.split_at_mut(near);
    job.account.compute(|| {
        basis.overlaps(recent, w, grid, products);
        w.norms(norms);
    });
    count(2 * (columns - recent), used);
    let sums = sum(sums)?;
    let first = matrix(&sums[..near], grid);
    let size = sums[near..].chunks_exact(2).map(wide::value).fold(0.0, f64::max);

    // Second projection and first Gram matrix.
    let all = columns * width;
    let mut sums = vec![0i64; all + 2 * width * width];
    let (products, squares) = sums.split_at_mut(all);
    job.account.compute(|| {
        basis.subtract(recent, &first, w);
        basis.overlaps(0, w, grid, products);
        w.gram(squares);
    });
    count(columns + used, used);
    let sums = sum(sums)?;
    let mut c = matrix(&sums[..all], grid);
    let inner = gram(&sums[all..]) - c.t().dot(&c);
    let (t, mut b) = whiten(&inner, used, noise.max(RANK * RANK * size))?;
    let shortest = b.rows().into_iter().map(|row| row.dot(&row)).fold(f64::INFINITY, f64::min);
    job.account.compute(|| {
        basis.subtract(0, &c, w);
        w.transform(&t);
    });
    count(columns + used, used);
    let mut near = c.slice_mut(s![recent.., ..]);
    near += &first;

    let grid = Grid::for_bound(4.0)?;
    if shortest < SMALL * SMALL * size {
        let mut products = vec![0i64; all];
        job.account.compute(|| basis.overlaps(0, w, grid, &mut products));
        let left = matrix(&sum(products)?, grid);
        job.account.compute(|| basis.subtract(0, &left, w));
        count(2 * columns, b.nrows());
        job.account.count(|counters| counters.projected_again += columns as u64);
        c += &left.slice(s![.., ..b.nrows()]).dot(&b);
    }

    // Once more, for the last digits; nothing is dropped now.
    if b.nrows() > 0 {
        let mut squares = vec![0i64; width * width];
        job.account.compute(|| w.gram_single(grid, &mut squares));
        let (t, more) = whiten(&matrix(&sum(squares)?, grid), b.nrows(), 0.0)?;
        job.account.compute(|| w.transform(&t));
        count(2 * b.nrows(), b.nrows());
        b = more.slice(s![.., ..b.nrows()]).dot(&b);
    }
    // Padding as it is in fresh memory, whatever the sign of its zeros was.
    w.clear_columns(b.nrows());
    Ok(Factors { c: c.slice(s![.., ..used]).to_owned(), b: b.slice(s![.., ..used]).to_owned(), size })
}

/// T (width x width, columns beyond the rank zero) that makes W T orthonormal, and its pseudo-inverse
/// (rank x width), from the Gram matrix of W, of which `used` columns count. Directions whose square is not above
/// `noise` are dropped.
fn whiten(gram: &Array2<f64>, used: usize, noise: f64) -> Result<(Array2<f64>, Array2<f64>)> {
    let width = gram.nrows();
    let part = gram.slice(s![..used, ..used]);
    // Columns are scaled to unit length first: the eigenvalues then tell dependence, not size (SVQB).
    let scale: Vec<f64> = part.diag().iter().map(|square| if *square > noise { square.sqrt() } else { 0.0 }).collect();
    let inverse = |size: f64| if size > 0.0 { 1.0 / size } else { 0.0 };
    let scaled = Array2::from_shape_fn((used, used), |(i, j)| part[[i, j]] * inverse(scale[i]) * inverse(scale[j]));
    let (values, vectors) = symmetric_eigen(&scaled)?;
    let kept: Vec<usize> = (0..used)
        .filter(|&i| {
            // Length of this direction in W: what is left of it must stand above the noise.
            let length: f64 = (0..used).map(|j| (vectors[[j, i]] * scale[j]).powi(2)).sum::<f64>() * values[i];
            values[i] > RANK * RANK && length > noise
        })
        .collect();
    let mut t = Array2::zeros((width, width));
    let mut back = Array2::zeros((kept.len(), width));
    for (column, &i) in kept.iter().enumerate() {
        let root = values[i].sqrt();
        for j in 0..used {
            t[[j, column]] = vectors[[j, i]] * inverse(scale[j]) / root;
            back[[column, j]] = vectors[[j, i]] * scale[j] * root;
        }
    }
    Ok((t, back))
}

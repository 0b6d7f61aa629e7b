//! The nearest of many vectors to each of many documents.
//!
//! Problem: documents (counts of terms) and weights (terms x columns) -> for each document the column whose product with it is
//! largest.
//! Shapes: weights are in tiles of 16 columns, each of them terms x 16, so that a tile's rows stay in the cache while all documents
//! go through it; the last is padded with zeros.
//! Cost: 2 flops a nonzero and column.
//!
//! Safety argument for the `unsafe` blocks: see `lanes.rs`.

// Lanes are places in several arrays at once; indices say so, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::Simd;
use super::kernels::LANES;
use super::lanes::{Strip, dispatch, fused};
use crate::corpus::chunk::CsrChunk;

#[inline(always)]
fn tile_body<const FUSED: bool>(tile: &[Strip], chunk: &CsrChunk, first: u32, best: &mut [(f32, u32)]) {
    for (document, best) in best.iter_mut().enumerate() {
        let (terms, counts) = chunk.document(document);
        // Two sums, so that one need not wait for the other.
        let mut sums = [[0f32; LANES]; 2];
        let pairs = terms.chunks_exact(2).zip(counts.chunks_exact(2));
        for (terms, counts) in pairs {
            for at in 0..2 {
                let row = &tile[terms[at] as usize];
                for lane in 0..LANES {
                    sums[at][lane] = fused::<FUSED>(row[lane], counts[at], sums[at][lane]);
                }
            }
        }
        if let ([term], [count]) = (terms.chunks_exact(2).remainder(), counts.chunks_exact(2).remainder()) {
            let row = &tile[*term as usize];
            for lane in 0..LANES {
                sums[0][lane] = fused::<FUSED>(row[lane], *count, sums[0][lane]);
            }
        }
        let mut products = [0f32; LANES];
        for lane in 0..LANES {
            products[lane] = sums[0][lane] + sums[1][lane];
        }
        better(&products, first, best);
    }
}

/// Takes the first of these products that is largest, if it is larger than the best so far. Not inlined: see `lanes.rs`.
#[inline(never)]
fn better(products: &Strip, first: u32, best: &mut (f32, u32)) {
    for (&product, at) in products.iter().zip(first..) {
        if product > best.0 {
            *best = (product, at);
        }
    }
}

dispatch!(
    /// Goes through a tile whose columns are numbered from `first` on: `best` has the largest product so far of each document
    /// of the chunk, and its column.
    nearest_of_tile, tile_body, (tile: &[Strip], chunk: &CsrChunk, first: u32, best: &mut [(f32, u32)])
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_that_of_plain_sums() {
        // Small whole numbers: products are exact.
        let (terms, columns, width) = (40, 37, 48);
        let mut weights = vec![0f32; terms * width];
        for term in 0..terms {
            (0..columns).for_each(|at| weights[term * width + at] = ((term * 31 + at * 17 + term * at) % 13) as f32);
        }
        let documents: Vec<Vec<u32>> =
            (0..20u32).map(|d| (0..d % 7).map(|at| (d * 5 + at * 11) % terms as u32).collect()).collect();
        let mut chunk = CsrChunk { terms: terms as u32, indptr: vec![0], ..CsrChunk::default() };
        for rows in &documents {
            chunk.indices.extend(rows);
            chunk.data.extend(rows.iter().map(|row| 1.0 + (row % 3) as f32));
            chunk.indptr.push(chunk.indices.len() as u64);
        }
        for simd in Simd::available() {
            let mut best = vec![(0.0, u32::MAX); documents.len()];
            for tile in 0..width / LANES {
                let rows = (0..terms).map(|term| {
                    let row = &weights[term * width + tile * LANES..];
                    std::array::from_fn(|lane| row[lane])
                });
                let rows: Vec<Strip> = rows.collect();
                nearest_of_tile(simd, &rows, &chunk, (tile * LANES) as u32, &mut best);
            }
            for (document, &found) in best.iter().enumerate() {
                let (rows, counts) = chunk.document(document);
                let mut expected = (0.0, u32::MAX);
                for at in 0..columns {
                    let of = |(&row, count): (&u32, &f32)| count * weights[row as usize * width + at];
                    let product: f32 = rows.iter().zip(counts).map(of).sum();
                    if product > expected.0 {
                        expected = (product, at as u32);
                    }
                }
                assert_eq!(found, expected, "{simd:?}, {document}");
            }
        }
    }
}

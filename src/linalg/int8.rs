//! Products of whole numbers of eight bits, compared with thresholds on the spot: the first pass of a nearest-neighbour search.
//!
//! Problem: for documents x (u8, moved up by 128) and queries y (i8) all sums s = (x - 128)^T y, and of these only which
//! pass: s times the scale of the document >= the threshold of the query.
//! Algorithm: a panel of 64 documents is packed four numbers of each document side by side, as the instructions want them;
//! 6 queries go through it at a time, so that 24 registers of sums are fed by 4 of documents. Sums begin at -128 times that of y.
//! Cost: one multiplication and addition of eight bits a number, four times as many an instruction as in f32 with AVX-512 VNNI,
//! twice as many with AVX2; a panel stays in the first-level cache, queries come from the second.
//! Sums are exact and the comparison is one conversion, one product and one comparison in f32, so all kernels give the same bits.
//!
//! `vpmaddubsw`, which AVX2 has, adds two products in 16 bits and saturates: it is exact while 2 * 255 * |y| < 2^15, so
//! queries keep to [`Int8::most`].
//!
//! Safety argument for the `unsafe` blocks: they call code compiled for an instruction set after [`Simd`], or for VNNI the
//! detection here, has seen that the CPU has it, or load a register from an array of its size. All memory is reached through
//! checked slices.

use super::simd::Simd;

/// Documents of a panel.
pub const PANEL: usize = 64;
/// Queries that go through a panel at a time.
const TILE: usize = 6;
/// Numbers of a document that lie side by side.
const GROUP: usize = 4;
/// Most columns: sums stay below 2^31 on the way.
pub const MOST_COLUMNS: usize = 1 << 15;
/// What documents are moved up by.
pub const ZERO: u8 = 128;

/// How the products are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Int8 {
    /// In plain code.
    Portable,
    /// AVX2's `vpmaddubsw` and `vpmaddwd`.
    Avx2,
    /// AVX-512's `vpdpbusd`.
    Vnni,
}

impl Int8 {
    /// The best for an instruction set on this CPU.
    pub fn of(simd: Simd) -> Int8 {
        match simd {
            Simd::Avx512 if has_vnni() => Int8::Vnni,
            Simd::Avx512 | Simd::Avx2 => Int8::Avx2,
            Simd::Portable => Int8::Portable,
        }
    }

    /// All that this CPU can run.
    pub fn available() -> Vec<Int8> {
        let mut all: Vec<Int8> = Simd::available().into_iter().map(Int8::of).collect();
        all.dedup();
        all
    }

    /// The largest magnitude of a query's numbers.
    pub fn most(self) -> i8 {
        match self {
            Int8::Avx2 => 63,
            Int8::Portable | Int8::Vnni => 127,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn has_vnni() -> bool {
    std::arch::is_x86_feature_detected!("avx512vnni")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_vnni() -> bool {
    false
}

/// Bytes of a panel of documents with so many columns.
pub fn panel_bytes(columns: usize) -> usize {
    columns.div_ceil(GROUP) * GROUP * PANEL
}

/// Where number `column` of document `row` lies in its panel.
pub fn place(row: usize, column: usize) -> usize {
    (column / GROUP * PANEL + row) * GROUP + column % GROUP
}

/// Queries packed for [`passing`].
pub struct PackedQueries {
    /// For each six queries, for each four columns: four numbers of each query.
    numbers: Vec<[i32; TILE]>,
    /// -128 times the sum of a query's numbers.
    begin: Vec<i32>,
    groups: usize,
}

impl PackedQueries {
    /// Packs queries (rows of `columns` numbers).
    pub fn new(queries: &[i8], columns: usize) -> PackedQueries {
        assert!(columns > 0 && columns <= MOST_COLUMNS, "{columns} columns");
        let (groups, count) = (columns.div_ceil(GROUP), queries.len() / columns);
        let tiles = count.div_ceil(TILE);
        let mut numbers = vec![[0; TILE]; tiles * groups];
        let mut begin = vec![0; tiles * TILE];
        for (query, row) in queries.chunks_exact(columns).enumerate() {
            begin[query] = -i32::from(ZERO) * row.iter().map(|&y| i32::from(y)).sum::<i32>();
            for (group, four) in row.chunks(GROUP).enumerate() {
                let byte = |at: usize| four.get(at).map_or(0, |&y| y as u8);
                numbers[query / TILE * groups + group][query % TILE] = i32::from_le_bytes([0, 1, 2, 3].map(byte));
            }
        }
        PackedQueries { numbers, begin, groups }
    }
}

/// Which documents of a panel pass which query: bit d of `passed[q]` says that the product of document d and query q times
/// `scales[d]` is at least `thresholds[q]`.
pub fn passing(
    kernel: Int8,
    panel: &[u8],
    scales: &[f32; PANEL],
    queries: &PackedQueries,
    thresholds: &[f32],
    passed: &mut [u64],
) {
    let (panel, odd) = panel.as_chunks::<{ PANEL * GROUP }>();
    assert!(odd.is_empty() && panel.len() == queries.groups, "a panel of {} columns", panel.len() * GROUP);
    assert_eq!((thresholds.len(), passed.len().div_ceil(TILE) * TILE), (passed.len(), queries.begin.len()), "queries");
    let tiles = queries.numbers.chunks_exact(queries.groups).zip(queries.begin.as_chunks::<TILE>().0);
    let places = thresholds.chunks(TILE).zip(passed.chunks_mut(TILE));
    for ((numbers, begin), (thresholds, passed)) in tiles.zip(places) {
        let mut bars = [f32::INFINITY; TILE];
        bars[..thresholds.len()].copy_from_slice(thresholds);
        let all = match kernel {
            // SAFETY: see the head of the file.
            #[cfg(target_arch = "x86_64")]
            Int8::Vnni => unsafe { x86::tile_vnni(panel, numbers, begin, scales, &bars) },
            // SAFETY: see the head of the file.
            #[cfg(target_arch = "x86_64")]
            Int8::Avx2 => unsafe { x86::tile_avx2(panel, numbers, begin, scales, &bars) },
            _ => tile(panel, numbers, begin, scales, &bars),
        };
        passed.copy_from_slice(&all[..passed.len()]);
    }
}

/// Four numbers of each of 64 documents.
type Group64 = [u8; PANEL * GROUP];

fn tile(
    panel: &[Group64],
    numbers: &[[i32; TILE]],
    begin: &[i32; TILE],
    scales: &[f32; PANEL],
    bars: &[f32; TILE],
) -> [u64; TILE] {
    let mut sums = begin.map(|begin| [begin; PANEL]);
    for (group, queries) in panel.iter().zip(numbers) {
        for (sums, query) in sums.iter_mut().zip(queries) {
            let y = query.to_le_bytes().map(|byte| i32::from(byte as i8));
            for (sum, x) in sums.iter_mut().zip(group.as_chunks::<GROUP>().0) {
                *sum += (0..GROUP).map(|at| i32::from(x[at]) * y[at]).sum::<i32>();
            }
        }
    }
    std::array::from_fn(|query| {
        let pass = |document: usize| sums[query][document] as f32 * scales[document] >= bars[query];
        (0..PANEL).map(|document| u64::from(pass(document)) << document).sum()
    })
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Group64, PANEL, TILE};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    pub fn tile_vnni(
        panel: &[Group64],
        numbers: &[[i32; TILE]],
        begin: &[i32; TILE],
        scales: &[f32; PANEL],
        bars: &[f32; TILE],
    ) -> [u64; TILE] {
        // Written out: an array that a closure has filled stays on the stack.
        let first = |query: usize| [_mm512_set1_epi32(begin[query]); 4];
        let mut sums = [first(0), first(1), first(2), first(3), first(4), first(5)];
        for (group, queries) in panel.iter().zip(numbers) {
            let parts = group.as_chunks::<64>().0;
            // SAFETY: reads arrays of 64 bytes.
            let x: [__m512i; 4] = std::array::from_fn(|at| unsafe { _mm512_loadu_si512(parts[at].as_ptr().cast()) });
            for query in 0..TILE {
                let y = _mm512_set1_epi32(queries[query]);
                for at in 0..4 {
                    sums[query][at] = _mm512_dpbusd_epi32(sums[query][at], x[at], y);
                }
            }
        }
        let parts = scales.as_chunks::<16>().0;
        // SAFETY: reads arrays of 16 f32.
        let scales: [__m512; 4] = std::array::from_fn(|at| unsafe { _mm512_loadu_ps(parts[at].as_ptr()) });
        let mut any = 0;
        for query in 0..TILE {
            let value: [__m512; 4] =
                std::array::from_fn(|at| _mm512_mul_ps(_mm512_cvtepi32_ps(sums[query][at]), scales[at]));
            let largest = _mm512_max_ps(_mm512_max_ps(value[0], value[1]), _mm512_max_ps(value[2], value[3]));
            any |= _mm512_cmp_ps_mask::<_CMP_GE_OQ>(largest, _mm512_set1_ps(bars[query]));
        }
        if any == 0 { [0; TILE] } else { masks(&sums, &scales, bars) }
    }

    /// Which of the sums pass; few do, so it has no need to be quick.
    #[cold]
    #[inline(never)]
    #[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
    fn masks(sums: &[[__m512i; 4]; TILE], scales: &[__m512; 4], bars: &[f32; TILE]) -> [u64; TILE] {
        let mut passed = [0; TILE];
        for query in 0..TILE {
            let bar = _mm512_set1_ps(bars[query]);
            for at in 0..4 {
                let value = _mm512_mul_ps(_mm512_cvtepi32_ps(sums[query][at]), scales[at]);
                passed[query] |= u64::from(_mm512_cmp_ps_mask::<_CMP_GE_OQ>(value, bar)) << (16 * at);
            }
        }
        passed
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn tile_avx2(
        panel: &[Group64],
        numbers: &[[i32; TILE]],
        begin: &[i32; TILE],
        scales: &[f32; PANEL],
        bars: &[f32; TILE],
    ) -> [u64; TILE] {
        let ones = _mm256_set1_epi16(1);
        let mut passed = [0; TILE];
        // 16 documents at a time: 12 registers of sums, 2 of documents.
        for part in 0..PANEL / 16 {
            let mut sums = begin.map(|begin| [_mm256_set1_epi32(begin); 2]);
            for (group, queries) in panel.iter().zip(numbers) {
                let parts = group.as_chunks::<32>().0;
                // SAFETY: reads arrays of 32 bytes.
                let x: [__m256i; 2] =
                    std::array::from_fn(|at| unsafe { _mm256_loadu_si256(parts[2 * part + at].as_ptr().cast()) });
                for query in 0..TILE {
                    let y = _mm256_set1_epi32(queries[query]);
                    for at in 0..2 {
                        let products = _mm256_madd_epi16(_mm256_maddubs_epi16(x[at], y), ones);
                        sums[query][at] = _mm256_add_epi32(sums[query][at], products);
                    }
                }
            }
            let parts = scales.as_chunks::<8>().0;
            // SAFETY: reads arrays of 8 f32.
            let scales: [__m256; 2] =
                std::array::from_fn(|at| unsafe { _mm256_loadu_ps(parts[2 * part + at].as_ptr()) });
            for query in 0..TILE {
                let bar = _mm256_set1_ps(bars[query]);
                for at in 0..2 {
                    let value = _mm256_mul_ps(_mm256_cvtepi32_ps(sums[query][at]), scales[at]);
                    let pass = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(value, bar)) as u32;
                    passed[query] |= u64::from(pass) << (16 * part + 8 * at);
                }
            }
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Random numbers, among them many of the largest magnitude.
    fn numbers(count: usize, most: i64, purpose: &str) -> Vec<i8> {
        let mut stream = Stream::new(17, purpose, 0);
        let mut one = || match stream.below(4) {
            0 => most as i8,
            1 => -most as i8,
            _ => (stream.below(2 * most as u64 + 1) as i64 - most) as i8,
        };
        (0..count).map(|_| one()).collect()
    }

    #[test]
    fn what_passes_is_what_an_oracle_says_with_every_kernel() {
        for columns in [1, 3, 4, 37, 200, 1025] {
            let documents = numbers(PANEL * columns, 127, "documents");
            let mut panel = vec![ZERO; panel_bytes(columns)];
            for (at, &x) in documents.iter().enumerate() {
                panel[place(at / columns, at % columns)] = (i16::from(x) + i16::from(ZERO)) as u8;
            }
            let scales: [f32; PANEL] = std::array::from_fn(|at| if at == 9 { 0.0 } else { 1.0 + at as f32 / 7.0 });
            for kernel in Int8::available() {
                for count in [1, 5, 6, 7, 25] {
                    let queries = numbers(count * columns, i64::from(kernel.most()), "queries");
                    let sum = |document: usize, query: usize| -> i64 {
                        let row = |of: &[i8], at: usize| of[at * columns..][..columns].to_vec();
                        let pairs = row(&documents, document).into_iter().zip(row(&queries, query));
                        pairs.map(|(x, y)| i64::from(x) * i64::from(y)).sum()
                    };
                    // Thresholds that one document meets exactly: a unit more and it does not.
                    let value = |document: usize, query: usize| sum(document, query) as f32 * scales[document];
                    let mut thresholds: Vec<f32> = (0..count).map(|query| value(query * 5 % PANEL, query)).collect();
                    let packed = PackedQueries::new(&queries, columns);
                    for _ in 0..2 {
                        let expected: Vec<u64> = (0..count)
                            .map(|query| {
                                let pass = |d: usize| u64::from(value(d, query) >= thresholds[query]) << d;
                                (0..PANEL).map(pass).sum()
                            })
                            .collect();
                        let mut passed = vec![u64::MAX; count];
                        passing(kernel, &panel, &scales, &packed, &thresholds, &mut passed);
                        assert_eq!(passed, expected, "{kernel:?}, {columns} columns, {count} queries");
                        thresholds.iter_mut().for_each(|bar| *bar = bar.next_up());
                    }
                }
            }
        }
    }

    #[test]
    fn thresholds_without_end_pass_all_or_nothing() {
        let panel = vec![ZERO; panel_bytes(8)];
        let packed = PackedQueries::new(&[1; 16], 8);
        for kernel in Int8::available() {
            let mut passed = [1, 1];
            passing(kernel, &panel, &[1.0; PANEL], &packed, &[f32::NEG_INFINITY, f32::INFINITY], &mut passed);
            assert_eq!(passed, [u64::MAX, 0], "{kernel:?}");
        }
    }
}

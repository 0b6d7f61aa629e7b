//! The inner loops of topic models, vectorised over topics.
//!
//! Problem: documents are mixtures of topics. With phi (term rows x topics) the weight of each term in each topic and
//! u (topics) a document's share of each topic plus its prior, a token of term w belongs to topic k with probability
//! phi[w,k] u[k] / sum_k phi[w,k] u[k]. Two things are wanted of a set of documents: their u, and for each term the sum of
//! these probabilities over its tokens (its expected counts).
//! Shapes: rows of topics are padded to a multiple of 16 with zeros, in phi, u and the prior alike.
//! Algorithm: [`sweep`] is the stochastic CVB0 update of Foulds et al. (KDD 2013): after each term of a document, u moves
//! towards that term's probabilities, all tokens of the term at once ("clumping"). Each update needs the one before, so
//! a single document waits for the latency of a sum over topics; four documents are therefore gone through side by side.
//! [`fold_in`] iterates u = prior + sum of the probabilities under the last u, until it does not change.
//! [`expected_counts`] goes through the documents of a term, so that phi and the sums stay in registers and cache. What
//! it adds are whole numbers: value x 2^shift plus a dither from [0, 1), cut. That is the value in the mean, and integer
//! sums have the same bits in any order.
//! Cost: 8 flops a nonzero, topic and sweep; 4 bytes a topic for the row of phi, from cache.
//!
//! Safety argument for the `unsafe` blocks: they call a function compiled for an instruction set after [`Simd`] has seen
//! that the CPU has it, or convert to i32 a number that the caller's bound keeps below 2^31 (see [`expected_counts`]). All
//! memory is reached through checked slices.
//! Reference: Foulds, Boyles, DuBois, Smyth, Welling, "Stochastic collapsed variational Bayesian inference for latent
//! Dirichlet allocation", KDD 2013.

// Lanes and strips are places in several arrays at once; indices say so, and vectorise.
#![allow(clippy::needless_range_loop)]

use super::Simd;
use super::kernels::LANES;
use super::lanes::{Strip, dispatch, dot, fused, products, total, totals};
use super::variational::add_document;

/// Documents gone through side by side.
pub const ABREAST: usize = 4;
/// Random numbers from which dithers are taken.
pub const DITHERS: usize = 4096;

/// Terms of one document: rows of phi and counts, in the order they are gone through.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bag<'a> {
    /// Row of phi of each term.
    pub rows: &'a [u32],
    /// How often each occurs: whole numbers.
    pub counts: &'a [f32],
    /// Their sum.
    pub tokens: f32,
}

/// base^exponent for a whole exponent > 0.
#[inline(always)]
fn power(base: f32, exponent: f32) -> f32 {
    if exponent == 1.0 {
        return base;
    }
    let (mut square, mut rest, mut result) = (base, exponent as u32, 1.0);
    while rest > 0 {
        if rest & 1 == 1 {
            result *= square;
        }
        square *= square;
        rest >>= 1;
    }
    result
}

/// One update each of so many documents, whose rows in `u` follow each other: their `at`-th terms; `keep` is what the step
/// leaves of the shares for a token. The loops over documents are independent, so that the CPU goes on with the next one
/// while the sum of the last is not there yet; each is written so that it is vectorised over lanes.
#[inline(always)]
fn update<const FUSED: bool, const N: usize>(
    phi: &[Strip],
    prior: &[Strip],
    bags: &[Bag; N],
    at: usize,
    keep: [f32; N],
    u: &mut [Strip],
) {
    let strips = prior.len();
    let mut old = [0f32; N];
    let mut sums = [[0f32; LANES]; N];
    for n in 0..N {
        let row = &phi[bags[n].rows[at] as usize * strips..][..strips];
        sums[n] = products::<FUSED>(row, &u[n * strips..][..strips]);
    }
    let mut new = totals(&sums);
    for n in 0..N {
        old[n] = power(keep[n], bags[n].counts[at]);
        new[n] = (1.0 - old[n]) * bags[n].tokens / new[n];
    }
    for n in 0..N {
        let row = &phi[bags[n].rows[at] as usize * strips..][..strips];
        let (old, new, back) = (old[n], new[n], 1.0 - old[n]);
        for ((share, row), prior) in u[n * strips..][..strips].iter_mut().zip(row).zip(prior) {
            for lane in 0..LANES {
                let factor = fused::<FUSED>(row[lane], new, old);
                share[lane] = fused::<FUSED>(share[lane], factor, back * prior[lane]);
            }
        }
    }
}

#[inline(always)]
fn sweep_body<const FUSED: bool>(phi: &[f32], prior: &[f32], bags: &[Bag], keep: &[f32], sweeps: usize, u: &mut [f32]) {
    let (phi, prior) = (phi.as_chunks::<LANES>().0, prior.as_chunks::<LANES>().0);
    let u = u.as_chunks_mut::<LANES>().0;
    let strips = prior.len();
    for (bags, u) in bags.chunks(ABREAST).zip(u.chunks_mut(ABREAST * strips)) {
        let common = match bags {
            [a, b, c, d] => [a, b, c, d].iter().map(|bag| bag.rows.len()).min().unwrap_or(0),
            _ => 0,
        };
        for round in 0..sweeps {
            if let Ok(four) = <&[Bag; ABREAST]>::try_from(bags) {
                for at in 0..common {
                    let keep = std::array::from_fn(|n| keep[round * four[n].rows.len() + at]);
                    update::<FUSED, ABREAST>(phi, prior, four, at, keep, u);
                }
            }
            for (bag, u) in bags.iter().zip(u.chunks_mut(strips)) {
                for at in common..bag.rows.len() {
                    update::<FUSED, 1>(phi, prior, &[*bag], at, [keep[round * bag.rows.len() + at]], u);
                }
            }
        }
    }
}

#[inline(always)]
fn fold_in_body<const FUSED: bool>(
    phi: &[f32],
    prior: &[f32],
    bag: Bag,
    iterations: usize,
    tolerance: f32,
    u: &mut [f32],
) -> usize {
    let (phi, prior) = (phi.as_chunks::<LANES>().0, prior.as_chunks::<LANES>().0);
    let u = u.as_chunks_mut::<LANES>().0;
    let strips = prior.len();
    let mut sums = vec![[0f32; LANES]; strips];
    for iteration in 0..iterations {
        sums.fill([0f32; LANES]);
        add_document::<FUSED>(phi, bag, u, &mut sums);
        let mut moved = [0f32; LANES];
        for strip in 0..strips {
            for lane in 0..LANES {
                let next = fused::<FUSED>(u[strip][lane], sums[strip][lane], prior[strip][lane]);
                moved[lane] += (next - u[strip][lane]).abs();
                u[strip][lane] = next;
            }
        }
        if total(&moved) <= tolerance {
            return iteration + 1;
        }
    }
    iterations
}

#[inline(always)]
fn counts_body<const FUSED: bool>(
    row: &[f32],
    occurrences: &[(u32, f32, u32)],
    u: &[f32],
    scale: f32,
    dithers: &[f32],
    sums: &mut [i32],
) {
    let (row, u) = (row.as_chunks::<LANES>().0, u.as_chunks::<LANES>().0);
    let sums = sums.as_chunks_mut::<LANES>().0;
    let strips = row.len();
    for &(document, count, dither) in occurrences {
        let shares = &u[document as usize * strips..][..strips];
        let dithers = dithers[dither as usize..][..strips * LANES].as_chunks::<LANES>().0;
        let weight = count * scale / dot::<FUSED>(row, shares);
        for strip in 0..strips {
            for lane in 0..LANES {
                let value = fused::<FUSED>(row[strip][lane] * shares[strip][lane], weight, dithers[strip][lane]);
                // SAFETY: at most count x scale + 1, which the caller keeps below 2^31: see the head of the file.
                sums[strip][lane] += unsafe { value.to_int_unchecked::<i32>() };
            }
        }
    }
}

#[inline(always)]
fn weights_body<const FUSED: bool>(counts: &[f32], scale: f32, eta: f32, factors: &[f32], out: &mut [f32]) {
    for ((out, count), factor) in out.iter_mut().zip(counts).zip(factors) {
        *out = fused::<FUSED>(*count, scale, eta) * factor;
    }
}

#[inline(always)]
fn absorb_body<const FUSED: bool, T: Copy + Into<u32>>(sums: &[T], weight: f32, counts: &mut [f32]) {
    for (count, &sum) in counts.iter_mut().zip(sums) {
        // Below 2^31: signed conversions are a single instruction on every CPU.
        *count = fused::<FUSED>(sum.into() as i32 as f32, weight, *count);
    }
}

dispatch!(
    /// Goes so many times through documents, each with its row in `u` (documents x width). `keep[s]` is what the s-th step
    /// within a document leaves of its present shares, for as many steps as the longest document has terms, times sweeps.
    sweep, sweep_body, (phi: &[f32], prior: &[f32], bags: &[Bag], keep: &[f32], sweeps: usize, u: &mut [f32])
);
dispatch!(
    /// Iterates one document from the shares in `u`, until they change by no more than `tolerance` tokens in all. Returns
    /// how many iterations were made, at most `iterations`.
    fold_in, fold_in_body,
    (phi: &[f32], prior: &[f32], bag: Bag, iterations: usize, tolerance: f32, u: &mut [f32]) -> usize
);
dispatch!(
    /// sums += expected counts of the term whose row of phi is given, x `scale`. An occurrence is a document (a row of
    /// `u`), a count, and where in `dithers` to begin, below [`DITHERS`]; `dithers` holds a row more than that.
    ///
    /// The caller sees to it that the sum of (count x scale + 1) over the occurrences stays below 2^31, and that `phi` and
    /// `u` are positive.
    expected_counts, counts_body,
    (row: &[f32], occurrences: &[(u32, f32, u32)], u: &[f32], scale: f32, dithers: &[f32], sums: &mut [i32])
);
dispatch!(
    /// phi of a term: (counts x scale + eta) x factors.
    term_weights, weights_body, (counts: &[f32], scale: f32, eta: f32, factors: &[f32], out: &mut [f32])
);
dispatch!(
    /// counts += weight x sums; sums of 16 bits.
    absorb_narrow, absorb_body::<u16>, (sums: &[u16], weight: f32, counts: &mut [f32])
);
dispatch!(
    /// counts += weight x sums; sums below 2^31.
    absorb_wide, absorb_body::<u32>, (sums: &[u32], weight: f32, counts: &mut [f32])
);

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const TOPICS: usize = 37;
    pub const WIDTH: usize = 48;

    /// Weights of so many terms, padded, and a prior.
    pub fn weights(terms: usize) -> (Vec<f32>, Vec<f32>) {
        let mut phi = vec![0f32; terms * WIDTH];
        for (term, row) in phi.chunks_exact_mut(WIDTH).enumerate() {
            for (topic, weight) in row[..TOPICS].iter_mut().enumerate() {
                *weight = 1e-6 + 1e-3 * ((term * 7919 + topic * 104_729 + term * topic) % 97) as f32 / 97.0;
            }
        }
        let mut prior = vec![0f32; WIDTH];
        (0..TOPICS).for_each(|topic| prior[topic] = 0.05 + topic as f32 / 100.0);
        (phi, prior)
    }

    /// Terms and counts of so many documents of different lengths.
    fn documents(count: usize, terms: usize) -> Vec<(Vec<u32>, Vec<f32>)> {
        let document = |d: usize| {
            let rows: Vec<u32> = (0..(d * 5 + 1) % 23).map(|i| ((d * 31 + i * 17) % terms) as u32).collect();
            let counts = rows.iter().map(|&row| [1.0, 2.0, 1.0, 7.0, 300.0][(row as usize + d) % 5]).collect();
            (rows, counts)
        };
        (0..count).map(document).collect()
    }

    fn bag((rows, counts): &(Vec<u32>, Vec<f32>)) -> Bag<'_> {
        Bag { rows, counts, tokens: counts.iter().sum() }
    }

    fn start(bag: &Bag, prior: &[f32]) -> Vec<f32> {
        prior.iter().map(|&p| if p > 0.0 { p + bag.tokens / TOPICS as f32 } else { 0.0 }).collect()
    }

    fn probabilities(phi: &[f32], row: u32, u: &[f64]) -> Vec<f64> {
        let row = &phi[row as usize * WIDTH..][..WIDTH];
        let products: Vec<f64> = row.iter().zip(u).map(|(&w, &u)| f64::from(w) * u).collect();
        let sum: f64 = products.iter().sum();
        products.iter().map(|p| p / sum).collect()
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|&value| f64::from(value)).collect()
    }

    fn assert_close(ours: &[f32], theirs: &[f64], tolerance: f64) {
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((f64::from(*ours) - theirs).abs() <= tolerance * theirs.abs().max(1e-2), "{ours} is not {theirs}");
        }
    }

    #[test]
    fn sweeps_match_a_slow_oracle_whoever_is_beside() {
        let (phi, prior) = weights(40);
        let documents = documents(11, 40);
        let bags: Vec<Bag> = documents.iter().map(bag).collect();
        let keep: Vec<f32> = (0..3 * 23).map(|step| 1.0 - 1.0 / (10.0 + step as f32 + 1.0).powf(0.9)).collect();
        for simd in Simd::available() {
            let mut u: Vec<f32> = bags.iter().flat_map(|bag| start(bag, &prior)).collect();
            sweep(simd, &phi, &prior, &bags, &keep, 3, &mut u);
            for (bag, u) in bags.iter().zip(u.chunks_exact(WIDTH)) {
                let mut alone = start(bag, &prior);
                sweep(simd, &phi, &prior, &[*bag], &keep, 3, &mut alone);
                assert_eq!(alone, u, "{simd:?}: the same alone and beside others");
                // Foulds et al., equations 6 and 9, clumped.
                let mut counts: Vec<f64> =
                    start(bag, &prior).iter().zip(&prior).map(|(u, p)| f64::from(u - p)).collect();
                for step in 0..3 * bag.rows.len() {
                    let at = step % bag.rows.len();
                    let u: Vec<f64> = counts.iter().zip(&prior).map(|(n, &p)| n + f64::from(p)).collect();
                    let gamma = probabilities(&phi, bag.rows[at], &u);
                    let kept = f64::from(keep[step]).powf(f64::from(bag.counts[at]));
                    for (n, gamma) in counts.iter_mut().zip(gamma) {
                        *n = kept * *n + (1.0 - kept) * f64::from(bag.tokens) * gamma;
                    }
                }
                let theirs: Vec<f64> = counts.iter().zip(&prior).map(|(n, &p)| n + f64::from(p)).collect();
                assert_close(u, &theirs, 2e-4);
            }
        }
    }

    #[test]
    fn folding_in_finds_the_fixed_point() {
        let (phi, prior) = weights(40);
        for simd in Simd::available() {
            for document in &documents(9, 40) {
                let bag = bag(document);
                let mut u = start(&bag, &prior);
                fold_in(simd, &phi, &prior, bag, 500, 1e-6 * bag.tokens, &mut u);
                let mut theirs = wide(&start(&bag, &prior));
                for _ in 0..500 {
                    let mut next = wide(&prior);
                    for (&row, &count) in bag.rows.iter().zip(bag.counts) {
                        let gamma = probabilities(&phi, row, &theirs);
                        next.iter_mut().zip(gamma).for_each(|(n, gamma)| *n += f64::from(count) * gamma);
                    }
                    theirs = next;
                }
                // Convergence is linear: what is left is more than the last change.
                assert_close(&u, &theirs, 0.02);
            }
        }
    }

    #[test]
    fn expected_counts_are_right_in_the_mean_and_to_a_unit_each() {
        let (phi, prior) = weights(3);
        let u: Vec<f32> = (0..500).flat_map(|d| prior.iter().map(move |&p| p * (1.0 + (d % 13) as f32))).collect();
        let dithers: Vec<f32> = (0..DITHERS + WIDTH).map(|i| ((i * 7919) % 4093) as f32 / 4093.0).collect();
        let occurrences: Vec<_> = (0..500u32).map(|d| (d, 1.0 + (d % 3) as f32, d * 8)).collect();
        let mut first = None;
        for simd in Simd::available() {
            let mut sums = vec![0i32; WIDTH];
            expected_counts(simd, &phi[WIDTH..2 * WIDTH], &occurrences, &u, 256.0, &dithers, &mut sums);
            let mut exact = vec![0f64; WIDTH];
            for &(d, count, _) in &occurrences {
                let gamma = probabilities(&phi, 1, &wide(&u[d as usize * WIDTH..][..WIDTH]));
                exact.iter_mut().zip(gamma).for_each(|(sum, gamma)| *sum += 256.0 * f64::from(count) * gamma);
            }
            for (ours, theirs) in sums.iter().zip(&exact) {
                // 500 roundings of standard deviation at most 1/2: five times that of their sum.
                assert!((f64::from(*ours) - theirs).abs() <= 5.0 * 0.5 * 500f64.sqrt(), "{ours} is not {theirs}");
            }
            assert!(sums[TOPICS..].iter().all(|&sum| sum == 0));
            if simd != Simd::Portable {
                assert_eq!(first.get_or_insert_with(|| sums.clone()), &sums);
            }
        }
    }
}

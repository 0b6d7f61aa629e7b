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

use super::Simd;
use super::kernels::LANES;

/// Values of one register.
type Strip = [f32; LANES];
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

#[inline(always)]
fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The sum of a register, always in the same tree.
#[inline(always)]
fn total(strip: Strip) -> f32 {
    let mut eight = [0f32; 8];
    for lane in 0..8 {
        eight[lane] = strip[lane] + strip[lane + 8];
    }
    let mut four = [0f32; 4];
    for lane in 0..4 {
        four[lane] = eight[lane] + eight[lane + 4];
    }
    (four[0] + four[2]) + (four[1] + four[3])
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

/// One update each of so many documents: the `at`-th term, with the weights of step `step`.
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
    let rows: [&[Strip]; N] = std::array::from_fn(|n| &phi[bags[n].rows[at] as usize * strips..][..strips]);
    let u = &mut u[..N * strips];
    let mut sums = [[0f32; LANES]; N];
    for strip in 0..strips {
        for n in 0..N {
            let (row, share) = (&rows[n][strip], &u[n * strips + strip]);
            for lane in 0..LANES {
                sums[n][lane] = fused::<FUSED>(row[lane], share[lane], sums[n][lane]);
            }
        }
    }
    let mut old = [0f32; N];
    let mut new = [0f32; N];
    for n in 0..N {
        old[n] = power(keep[n], bags[n].counts[at]);
        new[n] = (1.0 - old[n]) * bags[n].tokens / total(sums[n]);
    }
    for strip in 0..strips {
        for n in 0..N {
            let (row, share) = (&rows[n][strip], &mut u[n * strips + strip]);
            for lane in 0..LANES {
                let factor = fused::<FUSED>(row[lane], new[n], old[n]);
                share[lane] = fused::<FUSED>(share[lane], factor, (1.0 - old[n]) * prior[strip][lane]);
            }
        }
    }
}

#[inline(always)]
fn sweep_body<const FUSED: bool>(
    phi: &[f32],
    prior: &[f32],
    bags: &[Bag],
    keep: &[f32],
    sweeps: usize,
    u: &mut [f32],
) {
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

/// u += weight x probabilities of a term with row `row`, under `shares`; returns the sum that was divided by.
#[inline(always)]
fn add_probabilities<const FUSED: bool>(row: &[Strip], shares: &[Strip], count: f32, sums: &mut [Strip]) -> f32 {
    let mut sum = [0f32; LANES];
    for (row, share) in row.iter().zip(shares) {
        for lane in 0..LANES {
            sum[lane] = fused::<FUSED>(row[lane], share[lane], sum[lane]);
        }
    }
    let sum = total(sum);
    let weight = count / sum;
    for (row, sums) in row.iter().zip(sums) {
        for lane in 0..LANES {
            sums[lane] = fused::<FUSED>(row[lane], weight, sums[lane]);
        }
    }
    sum
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
        for (&row, &count) in bag.rows.iter().zip(bag.counts) {
            add_probabilities::<FUSED>(&phi[row as usize * strips..][..strips], u, count, &mut sums);
        }
        let mut moved = [0f32; LANES];
        for strip in 0..strips {
            for lane in 0..LANES {
                let next = fused::<FUSED>(u[strip][lane], sums[strip][lane], prior[strip][lane]);
                moved[lane] += (next - u[strip][lane]).abs();
                u[strip][lane] = next;
            }
        }
        if total(moved) <= tolerance {
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
        let mut sum = [0f32; LANES];
        for (row, share) in row.iter().zip(shares) {
            for lane in 0..LANES {
                sum[lane] = fused::<FUSED>(row[lane], share[lane], sum[lane]);
            }
        }
        let weight = count * scale / total(sum);
        for strip in 0..strips {
            for lane in 0..LANES {
                let value =
                    fused::<FUSED>(row[strip][lane] * shares[strip][lane], weight, dithers[strip][lane]);
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

/// The three versions of a kernel behind one name.
macro_rules! dispatch {
    ($(#[$about:meta])* $name:ident, $body:ident $(::<$kind:ty>)?, ($($argument:ident: $type:ty),*) $(-> $result:ty)?) => {
        $(#[$about])*
        pub fn $name(simd: Simd, $($argument: $type),*) $(-> $result)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($argument: $type),*) $(-> $result)? {
                $body::<true $(, $kind)?>($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($argument: $type),*) $(-> $result)? {
                $body::<true $(, $kind)?>($($argument),*)
            }
            match simd {
                // SAFETY: see the head of the file.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: see the head of the file.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => unsafe { avx2($($argument),*) },
                _ => $body::<false $(, $kind)?>($($argument),*),
            }
        }
    };
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

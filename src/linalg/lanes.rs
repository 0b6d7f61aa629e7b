//! What the kernels over topics have in common: registers of 16 values, their sums, and a kernel's three versions.
//!
//! Safety argument for the `unsafe` blocks of [`dispatch`]: they call a function compiled for an instruction set after
//! [`Simd`](super::Simd) has seen that the CPU has it.

use super::kernels::LANES;

/// Values of one register.
pub(super) type Strip = [f32; LANES];

/// a b + c, rounded once or twice.
#[inline(always)]
pub(super) fn fused<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The sum of a register, always in the same tree. Not inlined: the compiler would otherwise tear the registers it is the
/// sum of into the pairs that are added here.
#[inline(never)]
pub(super) fn total(strip: &Strip) -> f32 {
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

/// The products row[k] shares[k], added strip by strip.
#[inline(always)]
pub(super) fn products<const FUSED: bool>(row: &[Strip], shares: &[Strip]) -> Strip {
    let mut sum = [0f32; LANES];
    for (row, share) in row.iter().zip(shares) {
        for lane in 0..LANES {
            sum[lane] = fused::<FUSED>(row[lane], share[lane], sum[lane]);
        }
    }
    sum
}

/// sum_k row[k] shares[k].
#[inline(always)]
pub(super) fn dot<const FUSED: bool>(row: &[Strip], shares: &[Strip]) -> f32 {
    total(&products::<FUSED>(row, shares))
}

/// [`total`] of several.
#[inline(never)]
pub(super) fn totals<const N: usize>(strips: &[Strip; N]) -> [f32; N] {
    std::array::from_fn(|n| total(&strips[n]))
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
                // SAFETY: see the head of `lanes.rs`.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx512 => unsafe { avx512($($argument),*) },
                // SAFETY: see the head of `lanes.rs`.
                #[cfg(target_arch = "x86_64")]
                Simd::Avx2 => unsafe { avx2($($argument),*) },
                _ => $body::<false $(, $kind)?>($($argument),*),
            }
        }
    };
}
pub(super) use dispatch;

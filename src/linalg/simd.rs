//! Which instruction set the kernels use: ours, chosen at run time, and MKL's, asked to be reproducible.
//!
//! Safety argument for the `unsafe` block of this file: `MKL_CBWR_Set` takes and returns an int by value.

use std::sync::OnceLock;

/// Instruction sets with kernels of their own. AVX-512 and AVX2 give the same bits (one fused multiply-add per
/// nonzero and column, in the order of the nonzeros); the portable kernels round twice and differ in the last place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Simd {
    /// Whatever every CPU of the architecture has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, VL, DQ and BW.
    Avx512,
}

impl Simd {
    /// The best this CPU has, or what `CORPUSCLE_SIMD` (portable, avx2, avx512) lowers it to.
    pub fn detect() -> Simd {
        static LEVEL: OnceLock<Simd> = OnceLock::new();
        *LEVEL.get_or_init(|| {
            let best = Simd::of_this_cpu();
            match std::env::var("CORPUSCLE_SIMD").as_deref() {
                Ok("portable") => Simd::Portable,
                Ok("avx2") => best.min(Simd::Avx2),
                _ => best,
            }
        })
    }

    /// All that this CPU can run, slowest first.
    pub fn available() -> Vec<Simd> {
        [Simd::Portable, Simd::Avx2, Simd::Avx512].into_iter().filter(|&level| level <= Simd::of_this_cpu()).collect()
    }

    #[cfg(target_arch = "x86_64")]
    fn of_this_cpu() -> Simd {
        use std::arch::is_x86_feature_detected as has;
        let avx2 = has!("avx2") && has!("fma");
        if avx2 && has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw") {
            Simd::Avx512
        } else if avx2 {
            Simd::Avx2
        } else {
            Simd::Portable
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn of_this_cpu() -> Simd {
        Simd::Portable
    }

    /// Name as in `CORPUSCLE_SIMD`.
    pub fn name(self) -> &'static str {
        match self {
            Simd::Portable => "portable",
            Simd::Avx2 => "avx2",
            Simd::Avx512 => "avx512",
        }
    }
}

/// Asks MKL for the same bits whatever the alignment of its operands. Must come before its first use; costs nothing
/// measurable on the shapes used here.
pub fn make_blas_reproducible() {
    // AUTO (2): the branch for this CPU; STRICT (0x10000): also independent of alignment.
    const AUTO_STRICT: i32 = 0x10000 | 2;
    unsafe extern "C" {
        fn MKL_CBWR_Set(setting: i32) -> i32;
    }
    // SAFETY: see the head of the file. The setting is refused (and the result then depends on alignment only) on
    // CPUs that MKL has no strict branch for.
    let refused = unsafe { MKL_CBWR_Set(AUTO_STRICT) };
    if refused != 0 {
        log::debug!("MKL offers no strictly reproducible branch on this CPU (code {refused})");
    }
}

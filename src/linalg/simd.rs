//! Which instruction set the sparse kernels use, chosen at run time.

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

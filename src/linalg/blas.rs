//! The BLAS that was linked for products of dense matrices: its settings, and what it says about itself.
//!
//! One of three back ends, chosen by a feature of the build: Intel MKL (`mkl`, the default), OpenBLAS (`openblas`, the
//! system's), or `faer`, which is written in Rust and has nothing to install; the last also where no feature names one.
//!
//! Safety argument for the `unsafe` blocks of this file: the functions called take and return an int by value, but for the
//! two that describe the library: MKL's fills a buffer of ours up to the length it is told, OpenBLAS's gives a C string that
//! lives as long as the program.

#[cfg(any(
    all(feature = "mkl", feature = "openblas"),
    all(feature = "mkl", feature = "faer"),
    all(feature = "openblas", feature = "faer")
))]
compile_error!(
    "the features mkl, openblas and faer exclude each other, and mkl is on by default: \
     build with --no-default-features --features mpi,openblas (or mpi,faer)"
);

/// What multiplies dense matrices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackEnd {
    /// Its name with its version.
    pub name: String,
    /// What is done so that the same product has the same bits.
    pub reproducibility: String,
}

/// Asks the back end for the same bits whatever the alignment of its operands, and for one thread a call. Must come before
/// its first use.
pub fn make_blas_reproducible() {
    set_up::make_reproducible();
}

/// The back end that was linked.
pub fn back_end() -> BackEnd {
    set_up::back_end()
}

#[cfg(feature = "mkl")]
mod set_up {
    use super::BackEnd;

    /// The branch for this CPU.
    const AUTO: i32 = 2;
    /// Also independent of alignment.
    const STRICT: i32 = 0x10000;

    unsafe extern "C" {
        fn MKL_CBWR_Set(setting: i32) -> i32;
        fn MKL_CBWR_Get(option: i32) -> i32;
        fn MKL_Get_Version_String(buffer: *mut std::ffi::c_char, length: i32);
    }

    pub fn make_reproducible() {
        // Costs nothing measurable on the shapes used here.
        // SAFETY: see the head of the file. The setting is refused (and the result then depends on alignment only) on
        // CPUs that MKL has no strict branch for.
        let refused = unsafe { MKL_CBWR_Set(AUTO | STRICT) };
        if refused != 0 {
            log::debug!("MKL offers no strictly reproducible branch on this CPU (code {refused})");
        }
    }

    pub fn back_end() -> BackEnd {
        let mut text = vec![0u8; 256];
        // SAFETY: see the head of the file; -1 (MKL_CBWR_ALL) asks for the branch and its flags.
        let setting = unsafe {
            MKL_Get_Version_String(text.as_mut_ptr().cast(), text.len() as i32);
            MKL_CBWR_Get(-1)
        };
        let text: Vec<u8> = text.into_iter().take_while(|&byte| byte != 0).collect();
        let text = String::from_utf8_lossy(&text).split_whitespace().collect::<Vec<_>>().join(" ");
        // "Intel(R) oneAPI Math Kernel Library Version 2026.2-Product Build 20260415 for Intel(R) 64 architecture
        // applications"
        let version = text.split("Version ").nth(1).and_then(|rest| rest.split(" for ").next()).unwrap_or(&text);
        let branch = match setting & !STRICT {
            3 => "compatible",
            4 => "SSE2",
            6 => "SSSE3",
            7 => "SSE4.1",
            8 => "SSE4.2",
            9 => "AVX",
            10 => "AVX2",
            11..=14 => "AVX-512",
            _ => "automatic",
        };
        let strict = if setting & STRICT != 0 { "strict" } else { "alignment matters" };
        BackEnd { name: format!("Intel MKL {version}"), reproducibility: format!("{branch} branch, {strict}") }
    }
}

#[cfg(all(feature = "openblas", not(feature = "mkl")))]
mod set_up {
    use super::BackEnd;
    use std::ffi::{CStr, c_char, c_int};

    unsafe extern "C" {
        fn openblas_set_num_threads(threads: c_int);
        fn openblas_get_config() -> *const c_char;
    }

    pub fn make_reproducible() {
        // SAFETY: see the head of the file. Threads are ours; and how OpenBLAS cuts a product among its own changes bits.
        unsafe { openblas_set_num_threads(1) };
    }

    pub fn back_end() -> BackEnd {
        // SAFETY: see the head of the file.
        let text = unsafe { CStr::from_ptr(openblas_get_config()) }.to_string_lossy().into_owned();
        BackEnd { name: text, reproducibility: "kernels for this CPU, one thread a call".to_owned() }
    }
}

#[cfg(not(any(feature = "mkl", feature = "openblas")))]
mod set_up {
    use super::BackEnd;

    pub fn make_reproducible() {}

    pub fn back_end() -> BackEnd {
        BackEnd {
            name: "faer (in Rust)".to_owned(),
            reproducibility: "kernels for this CPU, one thread a call".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_end_says_what_it_is() {
        make_blas_reproducible();
        let BackEnd { name, reproducibility } = back_end();
        let expected = match (cfg!(feature = "mkl"), cfg!(feature = "openblas")) {
            (true, _) => "Intel MKL 20",
            (_, true) => "OpenBLAS",
            _ => "faer",
        };
        assert!(name.starts_with(expected), "{name}");
        if cfg!(feature = "mkl") {
            assert!(reproducibility.contains("branch"), "{reproducibility}");
        }
    }
}

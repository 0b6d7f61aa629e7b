//! Asking for memory before it is needed, where the next addresses are known but no pattern that the CPU would find.
//!
//! Safety argument for the `unsafe` block: a prefetch is a hint. It touches nothing that the program sees, and an address that
//! is not mapped is passed over.

use std::ops::Range;

/// Asks for a cache line each 64 bytes of `length` numbers from `at` on, which may lie outside.
#[inline(always)]
pub fn from<T>(values: &[T], at: usize, length: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..(length * size_of::<T>()).div_ceil(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = values.as_ptr().wrapping_add(at + line * 64 / size_of::<T>());
        // SAFETY: see the head of the file.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at, length);
}

/// What stands `N` entries behind each entry of `span`. The last of all get themselves: they ask for what is there already.
#[inline(always)]
pub fn ahead<const N: usize>(entries: &[u32], span: Range<usize>) -> &[u32] {
    entries.get(span.start + N..span.end + N).unwrap_or(&entries[span])
}

#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| corpuscle_fuzz::npz(bytes));

//! libFuzzer on [`fuzz::path`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::path::check(bytes));

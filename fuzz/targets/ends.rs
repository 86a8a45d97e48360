//! libFuzzer on [`fuzz::ends`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::ends::check(bytes));

//! libFuzzer on [`fuzz::host`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::host::check(bytes));

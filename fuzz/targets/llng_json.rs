//! libFuzzer on [`fuzz::llng_json`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::llng_json::check(bytes));

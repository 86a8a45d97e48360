//! libFuzzer on [`fuzz::carried`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::carried::check(bytes));

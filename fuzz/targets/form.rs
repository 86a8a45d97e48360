//! libFuzzer on [`fuzz::form`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::form::check(bytes));

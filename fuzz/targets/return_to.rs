//! libFuzzer on [`fuzz::return_to`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::return_to::check(bytes));

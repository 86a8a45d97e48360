//! libFuzzer on [`fuzz::update`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::update::check(bytes));

//! libFuzzer on [`fuzz::set_cookie`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::set_cookie::check(bytes));

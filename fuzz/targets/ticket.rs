//! libFuzzer on [`fuzz::ticket`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::ticket::check(bytes));

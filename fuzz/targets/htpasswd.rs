//! libFuzzer on [`fuzz::htpasswd`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::htpasswd::check(bytes));

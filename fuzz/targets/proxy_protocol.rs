//! libFuzzer on [`fuzz::proxy_protocol`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::proxy_protocol::check(bytes));

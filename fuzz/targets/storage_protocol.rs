//! libFuzzer on [`fuzz::storage_protocol`].
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::storage_protocol::check(bytes));

//! What must hold for any bytes that somebody sends us.
//!
//! Each module is one reader of ours: [`check`](cookies::check) takes bytes and asserts laws (what is written reads back,
//! a simple model agrees, doing it twice changes nothing, nothing grows without bound, nothing secret shows).
//! libFuzzer calls it from `targets/`, and `tests/corpus.rs` with all that was ever found worth keeping:
//! the seeds, `corpus/<target>` and `regressions/<target>`.
//!
//! A new target is a module with `check`, `SEEDS` and `WORDS`, a line in [`TARGETS`], three lines in `targets/` and their
//! place in `Cargo.toml`.

// A law that does not hold ends in a panic: that is how libFuzzer, and a test, learn of it.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

pub mod carried;
pub mod configuration;
pub mod cookies;
pub mod ends;
pub mod form;
pub mod forwarded;
pub mod host;
pub mod htpasswd;
pub mod json;
pub mod llng_json;
pub mod path;
pub mod proxy_protocol;
pub mod record;
pub mod return_to;
pub mod rules;
pub mod sealed;
pub mod set_cookie;
pub mod soap;
pub mod storage_protocol;
pub mod ticket;
pub mod update;

mod message;
mod readers;

/// One reader of ours, and where to begin with it.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As its module, its folders and its program (`fuzz-<name>`) are called.
    pub name: &'static str,
    /// Panics if a law does not hold for these bytes.
    pub check: fn(&[u8]),
    /// Inputs that broke others, or that show what ours reads.
    pub seeds: &'static [&'static [u8]],
    /// What the grammar is made of, for libFuzzer's dictionary.
    pub words: &'static [&'static [u8]],
}

macro_rules! target {
    ($name:ident) => {
        Target { name: stringify!($name), check: $name::check, seeds: $name::SEEDS, words: $name::WORDS }
    };
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target!(carried),
    target!(configuration),
    target!(cookies),
    target!(ends),
    target!(form),
    target!(forwarded),
    target!(host),
    target!(htpasswd),
    target!(json),
    target!(llng_json),
    target!(path),
    target!(proxy_protocol),
    target!(record),
    target!(return_to),
    target!(rules),
    target!(sealed),
    target!(set_cookie),
    target!(soap),
    target!(storage_protocol),
    target!(ticket),
    target!(update),
];

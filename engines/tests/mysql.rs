//! MariaDB as an engine, against the real server.

#![cfg(feature = "mysql")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

#[path = "mysql/conforms.rs"]
mod conforms;
mod database;
#[path = "mysql/faults.rs"]
mod faults;
#[path = "mysql/refuses.rs"]
mod refuses;

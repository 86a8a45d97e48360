//! PostgreSQL as an engine, against the real server.

#![cfg(feature = "postgres")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

#[path = "postgres/conforms.rs"]
mod conforms;
mod database;
#[path = "postgres/faults.rs"]
mod faults;
#[path = "postgres/groups.rs"]
mod groups;
#[path = "postgres/refuses.rs"]
mod refuses;
#[path = "postgres/server.rs"]
mod server;

//! The remote engine against session servers that are there: over the network, with TLS, by a socket in the file system;
//! with the memory engine and with the embedded engine behind them.

#![cfg(feature = "remote")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod contract;
mod host;
mod opening;
mod outages;

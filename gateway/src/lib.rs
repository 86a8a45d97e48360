//! Placeholder.

pub mod caching;
pub mod cookies;
pub mod forwarded;
pub mod handoff;
pub mod hygiene;
pub mod path;
pub mod login;
pub mod pages;

mod list;

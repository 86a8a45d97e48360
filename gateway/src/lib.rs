//! Placeholder.

pub mod path;

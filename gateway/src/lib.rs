//! Placeholder.

pub mod hygiene;
pub mod path;

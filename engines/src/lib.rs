//! Storage engines: one module and one cargo feature each, all behind [`storage::Storage`].
//!
//! An engine is opened by whoever reads the configuration, and is known by the trait from then on. What must be
//! repaired by an operator before it can be opened is an [`OpenError`]; what fails later is
//! [`storage::Unavailable`].

#[cfg(feature = "sql")]
pub mod embedded;
mod open_error;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "remote")]
pub mod remote;
#[cfg(feature = "sql")]
pub mod sql;

pub use open_error::{OpenError, Problem};

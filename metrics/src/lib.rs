//! What is measured: durations without a lock, reasons with names that are known beforehand, and the process itself.
//!
//! Everything here goes into a registry of `prometheus-client`. What a request costs is what counts: a metric is looked
//! up by its labels once, at the start, and from then on it is an atomic addition.

mod build;
mod durations;
mod process;
mod reasons;

pub use build::build_info;
pub use durations::{Durations, NETWORK, OWN, STORAGE};
pub use process::Process;
pub use reasons::Reasons;

//! Locks and atomics for what threads share without waiting for anybody.
//!
//! In the program these are those of `parking_lot` and of the standard library, and nothing else. Under test they are the
//! same, and where a test runs threads in a [model](model::explore) each step of them is a place at which another thread may go
//! on: so orders come about that a machine with two cores shows once in a year.

#[cfg(not(test))]
pub(crate) use parking_lot::{Mutex, RwLock};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};

#[cfg(test)]
pub(crate) use self::model::{AtomicBool, AtomicU64, AtomicUsize, Mutex, RwLock};

/// A place at which another thread of a model may go on: before each step of something that has locks of its own.
#[cfg(not(test))]
#[inline]
pub(crate) const fn step() {}

#[cfg(test)]
pub(crate) use self::model::step;

/// A number for pauses that should not be alike: of the system's generator, and in a simulation of its seed.
#[cfg(not(test))]
pub(crate) fn jitter() -> u32 {
    getrandom::u32().unwrap_or(0)
}

#[cfg(test)]
pub(crate) use self::model::jitter;

#[cfg(test)]
pub(crate) mod model;

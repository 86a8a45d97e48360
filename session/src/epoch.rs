//! Ending all sessions of somebody at once.

/// A counter for a principal; raising it ends every session that was opened before.
///
/// It is the version of a record of the storage service, so that it only grows, also where the record came and went
/// meanwhile. Zero is that of somebody of whom nothing was ever ended so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

//! Ending many sessions at once.

/// A counter; raising it ends every session that was opened before.
///
/// It is the version of a record of the storage service, so that it only grows, also where the record came and went
/// meanwhile. Zero is that of somebody of whom nothing was ever ended so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch(pub u64);

/// The counters that a session was opened under, one for each of the many that may end together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Epochs {
    /// Of its principal.
    pub person: Epoch,
    /// Of its principal with its session index.
    pub index: Epoch,
    /// Of its realm.
    pub realm: Epoch,
    /// Of everybody.
    pub everybody: Epoch,
    /// Of all to whom its issuer gave its session index.
    pub issued: Epoch,
}

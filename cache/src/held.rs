//! A session as this process holds it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session::{Handle, Millis, Session, block};
use storage::{Record, Times, Unavailable, Version};

use crate::application::Realm;
use crate::sync::AtomicU64;

/// The two counters of an `Arc`, in bytes.
const COUNTS: usize = 2 * size_of::<usize>();
/// What the table of the first tier takes for one session, in bytes: the handle and what is [held](Held), its place in the
/// order of use, and its share of the index, which is half full on average.
const IN_TABLE: usize = size_of::<Handle>() + size_of::<Held>() + 16 + 10;

/// A parsed session, the version of its record, and what this process knows of its last use.
///
/// The first tier has it within its table, and it leads to two blocks of memory and no more: where there are many sessions, none
/// of what a find must read is in a cache of the processor, and each place to which it must go costs as much as the hash of
/// the ticket.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) session: Arc<Session>,
    /// Shared by all versions of the session in this process, so that no use is forgotten when it changes.
    pub(crate) seen: Arc<Seen>,
    pub(crate) version: Version,
    /// What it takes in the first tier, in bytes; 0 if it is in none.
    pub(crate) bytes: u32,
    /// Whether `seen` knows every use: then idleness is judged to the millisecond.
    pub(crate) is_exact: bool,
    /// Whether it may be another session by now than storage has.
    is_doubtful: bool,
}

/// When a session was last used.
#[derive(Debug)]
pub(crate) struct Seen {
    last: AtomicU64,
    /// Up to where somebody undertook to write it.
    asked: AtomicU64,
    /// Up to where storage confirmed it.
    written: AtomicU64,
    /// The latest use whose touch failed; 0 if none did.
    missed: AtomicU64,
    /// Until when the record should stay by the latest touch that failed.
    failed: AtomicU64,
    /// For which time of the record the entry in the index was written, and the assertions; 0 where nothing was.
    entered: AtomicU64,
}

impl Held {
    /// What `record` holds. A record that cannot be read is an outage, not an absence: somebody must look at it.
    pub(crate) fn read(record: &Record, storage: &Arc<str>) -> Result<Self, Unavailable> {
        let session = session::record::decode(&record.value).map_err(|malformed| Unavailable {
            retry_after: None,
            ..Unavailable::failed(storage, malformed)
        })?;
        Ok(Self::of(session, record))
    }

    /// The session that was read of `record`.
    pub(crate) fn of(session: Session, record: &Record) -> Self {
        let seen = Seen::at(record.times.touched);
        // Whoever gave the record this time saw to its entries as well, and to its assertions.
        seen.enter(record.times.expires);
        Self::new(session, record.version, Arc::new(seen))
    }

    pub(crate) fn new(session: Session, version: Version, seen: Arc<Seen>) -> Self {
        Self { session: Arc::new(session), seen, version, bytes: 0, is_exact: false, is_doubtful: false }
    }

    /// The same as the first tier keeps it: it takes no more room than it needs, and shares the name of its realm with it, if that
    /// is its realm, so that nobody must go and read what that is.
    pub(crate) fn fitted(mut self, realm: &Realm) -> Self {
        if let Some(session) = Arc::get_mut(&mut self.session) {
            session.shrink();
            if realm.has(session) {
                session.realm = Arc::clone(&realm.id);
            }
        }
        self
    }

    /// The same, with what it takes in the first tier.
    pub(crate) fn weighed(self) -> Self {
        let blocks = block(size_of::<Session>() + COUNTS) + block(size_of::<Seen>() + COUNTS);
        let bytes = blocks + self.session.owned_bytes() + IN_TABLE;
        Self { bytes: u32::try_from(bytes).unwrap_or(u32::MAX), ..self }
    }

    /// The same, which must be compared with storage before it is served again. What it knows of the last use stays true.
    pub(crate) fn doubted(self) -> Self {
        Self { is_doubtful: true, ..self }
    }

    /// Whether it may be served as it is.
    pub(crate) const fn is_current(&self) -> bool {
        !self.is_doubtful
    }
}

impl Seen {
    pub(crate) const fn at(touched: Millis) -> Self {
        Self {
            last: AtomicU64::new(touched.0),
            asked: AtomicU64::new(touched.0),
            written: AtomicU64::new(touched.0),
            missed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            entered: AtomicU64::new(0),
        }
    }

    /// When it was last used, as far as this process knows.
    pub(crate) fn last(&self) -> Millis {
        Millis(self.last.load(Ordering::Acquire))
    }

    /// The last use that storage has confirmed.
    pub(crate) fn written(&self) -> Millis {
        Millis(self.written.load(Ordering::Acquire))
    }

    /// It is used now.
    pub(crate) fn mark(&self, now: Millis) {
        // Most requests come within the same millisecond or later; the plain load spares the others the write.
        if self.last.load(Ordering::Relaxed) < now.0 {
            self.last.fetch_max(now.0, Ordering::AcqRel);
        }
    }

    /// Whether the last use must be written now. Of those who ask at once one is told so.
    pub(crate) fn is_due(&self, now: Millis, interval: Duration) -> bool {
        let asked = self.asked.load(Ordering::Acquire);
        now.since(Millis(asked)) >= interval
            && now.0 > asked
            && self.asked.compare_exchange(asked, now.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Takes over what another account of the same session knows.
    pub(crate) fn learn(&self, other: &Self) {
        self.mark(other.last());
        self.asked.fetch_max(other.asked.load(Ordering::Acquire), Ordering::AcqRel);
        self.written.fetch_max(other.written.load(Ordering::Acquire), Ordering::AcqRel);
        self.enter(other.entered());
    }

    /// For which time of its record the session is in the index.
    pub(crate) fn entered(&self) -> Millis {
        Millis(self.entered.load(Ordering::Acquire))
    }

    /// It is in the index, for as long as a record stays that goes at `expires`.
    pub(crate) fn enter(&self, expires: Millis) {
        self.entered.fetch_max(expires.0, Ordering::AcqRel);
    }

    /// Whether there is a use that storage has not confirmed; a touch under way is no confirmation.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.last.load(Ordering::Acquire) > self.written.load(Ordering::Acquire)
    }

    /// Whether a touch failed and was not made good since.
    pub(crate) fn is_late(&self) -> bool {
        // A touch of an earlier use, confirmed late, makes nothing good.
        self.missed.load(Ordering::Acquire) > self.written.load(Ordering::Acquire)
    }

    /// What storage should know. The later of each is kept, so that a time of its own does no harm to `expires`.
    pub(crate) fn times(&self) -> Times {
        let touched = self.last();
        Times { touched, expires: touched.max(Millis(self.failed.load(Ordering::Acquire))) }
    }

    /// Storage knows of this use.
    pub(crate) fn wrote(&self, touched: Millis) {
        self.asked.fetch_max(touched.0, Ordering::AcqRel);
        self.written.fetch_max(touched.0, Ordering::AcqRel);
    }

    /// When that was done, if it waited: the next is due an interval after that.
    pub(crate) fn was_written_at(&self, now: Millis) {
        self.asked.fetch_max(now.0, Ordering::AcqRel);
    }

    /// A touch with `times` failed; the next is due at `again`.
    pub(crate) fn failed(&self, times: Times, again: Millis, interval: Duration) {
        let interval = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        self.failed.fetch_max(times.expires.0, Ordering::AcqRel);
        self.missed.fetch_max(times.touched.0, Ordering::AcqRel);
        self.asked.store(again.0.saturating_sub(interval), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_once_an_interval() {
        let seen = Seen::at(Millis(1_000));
        let interval = Duration::from_millis(100);
        let due: Vec<u64> =
            (1_000..1_350).step_by(10).filter(|now| seen.is_due(Millis(*now), interval)).collect();
        assert_eq!(due, [1_100, 1_200, 1_300]);
    }

    #[test]
    fn a_clock_that_goes_back_writes_nothing() {
        let seen = Seen::at(Millis(1_000));
        seen.mark(Millis(900));
        assert_eq!(seen.last(), Millis(1_000));
        assert!(!seen.is_due(Millis(900), Duration::ZERO));
    }
}

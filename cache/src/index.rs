//! The index: which sessions on the server belong to whom.
//!
//! One record a session, without a value, in a context for its principal; the name is the session's handle. It is written
//! before the session is theirs, so that none is missing, and removed after the session's end. It only lists and counts:
//! whoever reads it asks each session itself ([`list`]), and an end by principal is a counter ([`crate::revocations`]) that
//! never depends on it.
//!
//! **What is in the way of whom.** An entry whose session is not there is either stale or early. So nobody removes one that
//! was written less than [`UNDER_WAY`] ago, and whoever needs longer than half of that to write the session enters it once
//! more. An entry is removed in the version that was seen *before* the session was asked for, and one that is there
//! already is entered by a new version: so of a removal and an entry that meet, the removal fails.
//!
//! **How long an entry stays.** Never less than the record of its session, and at most a [slack](Realm::index_slack) longer.
//! Its time is the next mark behind the record's, of marks that lie a slack apart: so it is written again only when the
//! record's time passes a mark, at most once for ten touches, and everybody knows from the record alone whether that was done.

mod check;
mod list;
mod values;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use session::{Ending, Handle, Millis, Principal, Session, Why};
use storage::{
    Burial, Bury, Create, Key, NewRecord, NewValue, Read, Storage, Times, Touch, Unavailable, Update,
    Version, WriteId,
};

pub use self::check::IndexCheck;
pub use self::list::{Count, Listed, Listing, MAX_LISTED};
pub(crate) use self::values::{texts, value_context};
use crate::Cache;
use crate::application::Realm;
use crate::assertions;
use crate::held::Seen;

/// For how long an entry may be there without its session. Clocks of nodes agree better than this.
pub(crate) const UNDER_WAY: Duration = Duration::from_mins(5);
/// How often an entry is written against others who write the same one.
const MAX_ROUNDS: usize = 16;

pub(crate) const CONTEXT: &str = "index";

/// Writes entries.
#[derive(Debug)]
pub(crate) struct Index {
    storage: Arc<dyn Storage>,
    is_kept: bool,
    /// Names of principals whose sessions are in no index.
    excluded: HashSet<Box<str>>,
    /// Names of entries whose values are indexed.
    values_of: Box<[Box<str>]>,
}

impl Index {
    pub(crate) fn new(storage: Arc<dyn Storage>, is_kept: bool) -> Self {
        Self { storage, is_kept, excluded: HashSet::new(), values_of: Box::default() }
    }

    /// Whether sessions of this principal are entered.
    fn has(&self, principal: &Principal) -> bool {
        self.is_kept && !self.excluded.contains(&principal.name)
    }

    /// Writes an entry, in a version that nobody has seen yet.
    async fn enter(&self, key: &Key, times: Times) -> Result<(), Unavailable> {
        for _ in 0..MAX_ROUNDS {
            if self.create(key, times).await?.is_some() {
                return Ok(());
            }
            let Read::Found(record) = self.storage.read(key, None).await? else { continue };
            let new = NewValue {
                expected: record.version,
                value: Bytes::new(),
                times: Some(times),
                write: self.write_id()?,
                is_end: false,
            };
            if let Update::Updated(_) = self.storage.update(key, new).await? {
                return Ok(());
            }
        }
        let cause = format!("{MAX_ROUNDS} others wrote the same entry of the index meanwhile");
        Err(Unavailable::failed(self.storage.id(), cause))
    }

    /// Writes an entry that is not there; none if it is.
    async fn create(&self, key: &Key, times: Times) -> Result<Option<Version>, Unavailable> {
        let new = NewRecord::new(Bytes::new(), times, self.write_id()?);
        Ok(match self.storage.create(key, new).await? {
            Create::Created(version) => Some(version),
            Create::Exists | Create::Buried(_) => None,
        })
    }

    /// Has an entry stay for longer, and writes it if it is missing.
    async fn prolong(&self, key: &Key, times: Times) -> Result<(), Unavailable> {
        if let Touch::Touched = self.storage.touch(key, times).await? {
            return Ok(());
        }
        self.create(key, times).await.map(drop)
    }

    /// Removes an entry, or only this version of it; whether it did.
    async fn remove(&self, key: &Key, expected: Option<Version>, at: Millis) -> Result<bool, Unavailable> {
        // Nothing remains that could say why: the handle may be entered again, by a login.
        let ending = Ending::new(at, Why::Emptied, "");
        let burial = Burial { until: None, ending, expected };
        Ok(matches!(self.storage.bury(key, burial).await?, Bury::Buried(_)))
    }

    fn write_id(&self) -> Result<WriteId, Unavailable> {
        WriteId::random().map_err(|error| Unavailable::failed(self.storage.id(), error))
    }
}

impl Cache {
    /// The same cache, which enters no session of principals with these names, of whatever issuer: for those who open sessions
    /// without end, as monitoring does. They cannot be listed; to end them all needs no list.
    #[must_use]
    pub fn without_index_of(mut self, names: impl IntoIterator<Item = Box<str>>) -> Self {
        let (storage, is_kept) = (Arc::clone(&self.storage), self.index.is_kept);
        let values_of = self.index.values_of.clone();
        self.index = Arc::new(Index { storage, is_kept, excluded: names.into_iter().collect(), values_of });
        self
    }

    /// Whether sessions of this principal are entered.
    #[must_use]
    pub fn is_indexed(&self, principal: &Principal) -> bool {
        self.index.has(principal)
    }

    /// Enters a session whose record is about to be written.
    pub(crate) async fn enter(
        &self,
        principal: &Principal,
        handle: &Handle,
        realm: &Realm,
        expires: Millis,
    ) -> Result<(), Unavailable> {
        if !self.index.has(principal) {
            return Ok(());
        }
        let times =
            Times { touched: self.clock.now(), expires: covering(handle, expires, realm.index_slack()) };
        self.index.enter(&self.index_key(principal, handle)?, times).await
    }

    /// Enters a session whose record is about to be written under its principal, and under what it holds.
    pub(crate) async fn enter_all(
        &self,
        session: &Session,
        realm: &Realm,
        expires: Millis,
    ) -> Result<(), Unavailable> {
        if let Some(principal) = &session.principal {
            self.enter(principal, &session.handle, realm, expires).await?;
        }
        self.enter_values(session, None, realm, expires).await
    }

    /// The session that was entered at `begun` is there. If that took so long that somebody may have thought its entry stale,
    /// it is entered again.
    pub(crate) async fn confirm_entry(&self, session: &Session, realm: &Realm, begun: Millis) {
        let now = self.clock.now();
        if now.since(begun) < UNDER_WAY / 2 {
            return;
        }
        let entered = self.enter_all(session, realm, realm.record_expires(session.begun, now)).await;
        if let Err(error) = entered {
            tracing::debug!(%error, "a session that took long to be written may be missing in the index for a while");
        }
    }

    /// What must be done for the entry of a session whose record stays until `expires` from now on, and for its assertions, if
    /// anything.
    pub(crate) fn prolongation(
        &self,
        session: &Session,
        seen: &Arc<Seen>,
        expires: Millis,
        realm: &Realm,
    ) -> Option<Prolongation> {
        let is_somebodys = session.principal.as_ref().is_some_and(|principal| self.index.has(principal));
        if !is_somebodys && session.assertions.is_empty() && self.index.values_of.is_empty() {
            return None;
        }
        let until = covering(&session.handle, expires, realm.index_slack());
        if until <= covering(&session.handle, seen.entered(), realm.index_slack()) {
            return None;
        }
        let keys = self.index.keys(session).ok()?;
        let assertions = assertions::keys(session).ok()?;
        let times = Times { touched: self.clock.now(), expires: until };
        let (index, seen) = (Arc::clone(&self.index), Arc::clone(seen));
        Some(Prolongation { index, keys, assertions, times, seen, expires })
    }

    /// Takes a session that is over out of the index, beside the request. If that fails, the entry goes with its time, or with
    /// whoever reads it next.
    pub(crate) fn leave_index(&self, session: &Session) {
        if let Ok(keys) = self.index.keys(session)
            && !keys.is_empty()
        {
            self.remove_entries(keys.into_iter().map(|key| (key, None)).collect());
        }
    }

    /// The same for a session of this principal.
    pub(crate) fn leave_index_of(&self, principal: &Principal, handle: &Handle) {
        if !self.index.has(principal) {
            return;
        }
        let Ok(key) = self.index_key(principal, handle) else { return };
        self.remove_entries(vec![(key, None)]);
    }

    /// Removes entries beside the request, each only in its version, if one is given; up to the first failure, for storage
    /// has enough trouble then.
    pub(crate) fn remove_entries(&self, entries: Vec<(Key, Option<Version>)>) {
        let (index, now) = (Arc::clone(&self.index), self.clock.now());
        tokio::spawn(async move {
            for (key, version) in entries {
                if let Err(error) = index.remove(&key, version, now).await {
                    tracing::debug!(%error, "a session that is over was not taken out of the index; it is not listed all the same");
                    return;
                }
            }
        });
    }

    /// Where the entry of a session is.
    pub(crate) fn index_key(&self, principal: &Principal, handle: &Handle) -> Result<Key, Unavailable> {
        Key::new(&context(principal), handle.to_string().as_bytes()).map_err(|error| self.unavailable(error))
    }
}

/// What belongs to a session, and must stay for longer.
#[derive(Debug)]
pub(crate) struct Prolongation {
    index: Arc<Index>,
    /// Of its entries in the index.
    keys: Vec<Key>,
    /// Of its assertions.
    assertions: Vec<Key>,
    times: Times,
    seen: Arc<Seen>,
    /// When the record of the session goes.
    expires: Millis,
}

impl Prolongation {
    /// Writes it. If that fails, the next touch finds it due again, and until the entry goes there is an hour at least. A
    /// process that forgets the session meanwhile writes it at the next mark.
    pub(crate) async fn write(self) {
        match self.prolong().await {
            Ok(()) => self.seen.enter(self.expires),
            Err(error) => {
                tracing::debug!(%error, "the entry of a session in the index was not prolonged; the next touch tries again")
            }
        }
    }

    async fn prolong(&self) -> Result<(), Unavailable> {
        for key in &self.assertions {
            // One that is lost is not there any more; nobody has it to write it again.
            self.index.storage.touch(key, self.times).await?;
        }
        for key in &self.keys {
            self.index.prolong(key, self.times).await?;
        }
        Ok(())
    }
}

/// The context of a principal.
pub(crate) fn context(principal: &Principal) -> String {
    format!("{CONTEXT}.{}", URL_SAFE_NO_PAD.encode(principal.fingerprint()))
}

/// The session that an entry means; none if `key` is of something else.
pub(crate) fn entry(key: &Key) -> Option<Option<Handle>> {
    key.context().strip_prefix(CONTEXT)?.strip_prefix('.')?;
    Some(std::str::from_utf8(key.name()).ok().and_then(|name| name.parse().ok()))
}

/// Until when the entry of a session stays whose record goes at `expires`: the next of the marks that are `slack` apart. They
/// are others for each session, so that not all entries are due at once. The marks of a longer slack, which is a multiple, are
/// among those of a shorter one.
pub(crate) fn covering(handle: &Handle, expires: Millis, slack: Duration) -> Millis {
    if expires >= Millis::NEVER {
        return Millis::NEVER;
    }
    let slack = u64::try_from(slack.as_millis()).unwrap_or(u64::MAX).max(1);
    let [.., a, b, c, d] = *handle.as_bytes();
    let offset = u64::from(u32::from_be_bytes([a, b, c, d])) % slack;
    let marks = expires.0.saturating_sub(offset).div_ceil(slack);
    Millis(marks.saturating_mul(slack).saturating_add(offset)).min(Millis::NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn an_entry_covers_its_record_and_not_much_more() {
        for seed in 0..64_u8 {
            let handle = Handle::from_bytes([seed.wrapping_mul(37); 16]);
            for expires in (0..400_000_000).step_by(1_234_567) {
                let until = covering(&handle, Millis(expires), HOUR);
                assert!(until >= Millis(expires) && until < Millis(expires).plus(HOUR * 2));
                // Whatever is covered by the coarser marks is covered by the finer ones up to there.
                let coarse = covering(&handle, Millis(expires), HOUR * 4);
                assert_eq!(covering(&handle, coarse, HOUR), coarse);
            }
        }
        let handle = Handle::from_bytes([7; 16]);
        assert_eq!(covering(&handle, Millis::NEVER, HOUR), Millis::NEVER);
        assert_eq!(covering(&handle, Millis(Millis::NEVER.0 - 1), HOUR), Millis::NEVER);
    }

    #[test]
    fn the_context_of_a_principal_is_short_text_that_names_nobody() {
        let context = context(&Principal::named("login", &"ann".repeat(1000)));
        assert_eq!(context.len(), CONTEXT.len() + 1 + 43);
        assert!(!context.contains("ann"));
    }

    #[test]
    fn an_entry_is_known_by_its_context() {
        let handle = Handle::from_bytes([7; 16]);
        let name = handle.to_string();
        let key = |context: &str, name: &str| Key::new(context, name.as_bytes()).unwrap();
        assert_eq!(entry(&key("index.x", &name)), Some(Some(handle)));
        assert_eq!(entry(&key("index.x", "junk")), Some(None));
        assert_eq!(entry(&key("index", &name)), None);
        assert_eq!(entry(&key("session.07", &name)), None);
    }
}

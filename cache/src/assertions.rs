//! Assertions: what a login was proved by (SAML calls it so), kept whole for applications that want to read it themselves.
//!
//! Each is a record of its own, for it may be many times as large as its session and is rarely asked for. It is written before
//! the session, so that no session names one that was never there: if one cannot be stored, nothing is opened. It is
//! removed with the end of its session, and where that fails, or nobody notices the end, it goes with its time, which
//! follows that of the session's record by the marks of the [index](crate::index): touches do not write it.
//!
//! Whether its session lives is asked *after* it was read. So nobody is shown an assertion after the end was acknowledged,
//! whatever became of its record.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::future::try_join_all;
use session::{Ending, Handle, Millis, Session, Why};
use storage::{Burial, Create, Key, KeyError, NewRecord, Read, Storage, Times, Unavailable, WriteId};

use crate::application::{Application, Realm};
use crate::find::{Standing, standing};
use crate::index::covering;
use crate::{Cache, Shown};

pub(crate) const CONTEXT: &str = "assertion";

/// The most assertions of one session.
pub const MAX_ASSERTIONS: usize = 16;
/// The most bytes that the id of one has.
pub const MAX_ASSERTION_ID: usize = 1024;

/// Assertions with their ids, such as this cache can keep: see [`Cache::assertions`].
#[derive(Clone, Default)]
pub struct Assertions(Vec<(Box<str>, Bytes)>);

/// Why assertions cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotKept {
    /// Nobody wants them.
    #[error("assertions are not kept here (`cache_assertions`)")]
    SwitchedOff,
    /// There are more than [`MAX_ASSERTIONS`].
    #[error("a session has at most {MAX_ASSERTIONS} assertions, not {0}")]
    TooMany(usize),
    /// An id is empty or longer than [`MAX_ASSERTION_ID`].
    #[error("the id of an assertion has 1 to {MAX_ASSERTION_ID} bytes, not {0}")]
    Id(usize),
    /// An id is there twice.
    #[error("two assertions have the same id")]
    Twice,
    /// One is larger than a value of the storage may be.
    #[error("the assertion has {bytes} bytes; the storage keeps at most {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The largest that can be kept.
        max: usize,
    },
}

/// What there is of an assertion.
#[derive(Clone, PartialEq, Eq)]
pub enum Asserted {
    /// It is this.
    Found(Bytes),
    /// The session lives and has none of that id.
    Unknown,
    /// There is no such live session.
    NoSession,
}

impl Assertions {
    /// Their ids.
    #[must_use]
    pub fn ids(&self) -> Box<[Box<str>]> {
        self.0.iter().map(|(id, _)| id.clone()).collect()
    }
}

impl fmt::Debug for Assertions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who holds one may pass for the person that it is about.
        f.debug_struct("Assertions").field("count", &self.0.len()).finish()
    }
}

impl fmt::Debug for Asserted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(assertion) => f.debug_struct("Found").field("bytes", &assertion.len()).finish(),
            Self::Unknown => f.write_str("Unknown"),
            Self::NoSession => f.write_str("NoSession"),
        }
    }
}

impl Cache {
    /// The same cache, which keeps assertions if `are_kept`.
    #[must_use]
    pub const fn keeping_assertions(mut self, are_kept: bool) -> Self {
        self.keeps_assertions = are_kept;
        self
    }

    /// Assertions with their ids, for an [opening](crate::Opening).
    ///
    /// # Errors
    /// This cache cannot keep them.
    pub fn assertions(&self, given: Vec<(Box<str>, Bytes)>) -> Result<Assertions, NotKept> {
        let max = self.storage.capabilities().max_value;
        if given.is_empty() {
            return Ok(Assertions::default());
        }
        if !self.keeps_assertions {
            return Err(NotKept::SwitchedOff);
        }
        if given.len() > MAX_ASSERTIONS {
            return Err(NotKept::TooMany(given.len()));
        }
        let mut ids = HashSet::new();
        for (id, assertion) in &given {
            if id.is_empty() || id.len() > MAX_ASSERTION_ID {
                return Err(NotKept::Id(id.len()));
            }
            if !ids.insert(id) {
                return Err(NotKept::Twice);
            }
            if assertion.len() > max {
                return Err(NotKept::TooLarge { bytes: assertion.len(), max });
            }
        }
        Ok(Assertions(given))
    }

    /// An assertion of a live session. Asks storage, and is no use of the session.
    pub async fn assertion(&self, handle: &Handle, id: &str) -> Result<Asserted, Unavailable> {
        self.assertion_if(handle, id, |_| true).await
    }

    /// The same where `application` wants it: only of a session of its realm that is live for it.
    pub async fn assertion_for(
        &self,
        handle: &Handle,
        id: &str,
        application: &Application,
    ) -> Result<Asserted, Unavailable> {
        let is_live = |shown: &Shown| {
            let (touched, now) = (shown.last_seen, self.clock.now());
            let grace = application.realm.lateness;
            let standing = standing(&shown.session, touched, grace, &self.revocations, application, now);
            matches!(standing, Standing::Live)
        };
        self.assertion_if(handle, id, is_live).await
    }

    async fn assertion_if(
        &self,
        handle: &Handle,
        id: &str,
        is_meant: impl Fn(&Shown) -> bool,
    ) -> Result<Asserted, Unavailable> {
        let key = key(handle, id).map_err(|error| self.unavailable(error))?;
        let record = self.storage.read(&key, None).await?;
        let Some(shown) = self.show(handle).await?.filter(is_meant) else { return Ok(Asserted::NoSession) };
        if !shown.session.assertions.iter().any(|known| **known == *id) {
            return Ok(Asserted::Unknown);
        }
        match record {
            Read::Found(record) => Ok(Asserted::Found(record.value)),
            Read::Absent | Read::Unchanged(_) | Read::Buried(_) => Ok(Asserted::Unknown),
        }
    }

    /// Writes the assertions of a session that is about to be written with `times`. Unless the result is told that they
    /// [stay](Noted::stay), they are removed again.
    pub(crate) async fn keep_assertions(
        &self,
        assertions: &Assertions,
        session: &Session,
        realm: &Realm,
        times: Times,
    ) -> Result<Noted, Unavailable> {
        let Times { touched, expires } = times;
        let keys = keys(session).map_err(|error| self.unavailable(error))?;
        let times = Times { touched, expires: covering(&session.handle, expires, realm.index_slack()) };
        let noted = Noted { storage: Arc::clone(&self.storage), keys: keys.clone(), now: touched };
        let writes = keys.iter().zip(&assertions.0).map(|(key, (_, assertion))| async move {
            let write = WriteId::random().map_err(|error| self.unavailable(error))?;
            match self.storage.create(key, NewRecord::new(assertion.clone(), times, write)).await? {
                Create::Created(_) => Ok(()),
                Create::Exists | Create::Buried(_) => {
                    Err(self.unavailable("a new session already has an assertion of that id"))
                }
            }
        });
        try_join_all(writes).await?;
        Ok(noted)
    }

    /// Removes the assertions of a session that is over, beside the request.
    pub(crate) fn forget_assertions(&self, session: &Session) {
        let Ok(keys) = keys(session) else { return };
        drop(Noted { storage: Arc::clone(&self.storage), keys, now: self.clock.now() });
    }
}

/// Assertions that were written; they are removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Noted {
    storage: Arc<dyn Storage>,
    keys: Vec<Key>,
    now: Millis,
}

impl Noted {
    /// Their session is there.
    pub(crate) fn stay(mut self) {
        self.keys.clear();
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let (storage, keys) = (Arc::clone(&self.storage), std::mem::take(&mut self.keys));
        let ending = Ending::new(self.now, Why::Emptied, "");
        // A caller may be dropped with its runtime: then they go with their time.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            for key in keys {
                let burial = Burial { until: None, ending: ending.clone(), expected: None };
                if let Err(error) = storage.bury(&key, burial).await {
                    tracing::debug!(%error, "an assertion of a session that is over was not removed; it goes with its time");
                    return;
                }
            }
        });
    }
}

/// Where the assertions of a session lie, in their order.
pub(crate) fn keys(session: &Session) -> Result<Vec<Key>, KeyError> {
    session.assertions.iter().map(|id| key(&session.handle, id)).collect()
}

/// Ids are any text, and names of records are short.
fn key(handle: &Handle, id: &str) -> Result<Key, KeyError> {
    let name = URL_SAFE_NO_PAD.encode(digest(&SHA256, id.as_bytes()));
    Key::new(&format!("{CONTEXT}.{handle}"), name.as_bytes())
}

/// The session whose assertion lies at `key`, if one does.
pub(crate) fn session_of(key: &Key) -> Option<Handle> {
    key.context().strip_prefix(CONTEXT)?.strip_prefix('.')?.parse().ok()
}

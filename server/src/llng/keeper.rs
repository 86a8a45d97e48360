//! Who keeps the sessions of LemonLDAP::NG, as its protocols ask for them.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use dialects::llng::json::Search;
use dialects::llng::{Changes, Id, Kind};
use session::{Session, Value};
use storage::Unavailable;

use super::echoes::BEFORE;
use crate::clients::{Caller, Client};

/// On whose behalf something is done: for the limits that a client has, and for the audit.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) client: &'a Client,
    pub(crate) caller: &'a Caller,
}

/// A session of LemonLDAP::NG.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) kind: Kind,
    /// What LemonLDAP::NG has among the attributes and is not among the entries: the id, and what follows from the session.
    pub(crate) facts: Vec<(&'static str, Value)>,
    pub(crate) session: Arc<Session>,
}

/// Shows no id and no value.
impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Kept({}, {})", self.kind, self.session.handle)
    }
}

impl Kept {
    /// All attributes, each name once.
    pub(crate) fn attributes(&self) -> impl Iterator<Item = (&str, &Value)> + Clone {
        let is_fact = |name: &str| name == BEFORE || self.facts.iter().any(|(fact, _)| *fact == name);
        let facts = self.facts.iter().map(|(name, value)| (*name, value));
        let live = self.session.entries.live().iter().map(|entry| (&*entry.name, &entry.value));
        facts.chain(live.filter(move |(name, _)| !is_fact(name)))
    }

    pub(crate) fn attribute(&self, name: &str) -> Option<&Value> {
        let fact = self.facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| value);
        fact.or_else(|| self.session.entries.get(name).filter(|_| name != BEFORE))
    }
}

/// What became of a session that was to be made.
#[derive(Debug)]
pub(crate) enum Made {
    /// It is there.
    Made(Kept),
    /// There is one of that id, or was one that ended, or its person is logged out: nothing was made.
    Refused,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    /// It is made.
    Done,
    /// There is no such session.
    Absent,
    /// The session would be larger than storage takes.
    TooLarge,
}

/// Who keeps the sessions. None of this finds a session that is over, or that does not exist for the client.
#[async_trait]
pub(crate) trait Keeper: fmt::Debug + Send + Sync {
    /// The session of this id, of whatever kind.
    async fn find(&self, by: By<'_>, id: &Id) -> Result<Option<Kept>, Unavailable>;

    /// The persistent session of this id. Such ids can be guessed, so that nobody gets one who did not ask for one.
    async fn find_persistent(&self, by: By<'_>, id: &Id) -> Result<Option<Kept>, Unavailable>;

    /// Changes attributes of a session of this kind.
    async fn change(&self, by: By<'_>, id: &Id, kind: Kind, changes: Changes)
    -> Result<Changed, Unavailable>;

    /// Makes a session of this kind, under this id where one is wished.
    async fn make(
        &self,
        by: By<'_>,
        id: Option<Id>,
        kind: Kind,
        changes: Changes,
    ) -> Result<Made, Unavailable>;

    /// Ends a session of this kind. Whether there was one.
    async fn end(&self, by: By<'_>, id: &Id, kind: Kind) -> Result<bool, Unavailable>;

    /// Has `each` look at all sessions until it says no more, or at least at those that are looked for.
    async fn list(
        &self,
        by: By<'_>,
        search: Option<&Search>,
        each: &mut (dyn for<'i, 'k> FnMut(&'i Id, &'k Kept) -> bool + Send),
    ) -> Result<(), Unavailable>;
}

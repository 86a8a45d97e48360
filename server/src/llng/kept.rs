//! A session of LemonLDAP::NG as its protocols see it, and what becomes of what they ask.

use std::fmt;
use std::sync::Arc;

use dialects::llng::json::Search;
use dialects::llng::{Changes, Id, Kind};
use session::{Entries, Session, Value};

use super::echoes::BEFORE;
use super::sessions::is_ours;
use crate::clients::{Caller, Client};

/// On whose behalf something is done: for the limits that a client has, and for the audit.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) client: &'a Client,
    pub(crate) caller: &'a Caller,
}

impl By<'_> {
    /// The first of these attributes that does not exist for the client: it can neither see nor set it.
    pub(crate) fn missing<'c>(&self, changes: &'c Changes) -> Option<&'c str> {
        let mut names = changes.iter().map(|(name, _)| &**name).filter(|name| !is_ours(name));
        names.find(|name| !self.client.attributes.shows(name))
    }
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
    pub(crate) fn view(&self) -> View<'_> {
        View { kind: self.kind, facts: &self.facts, entries: &self.session.entries }
    }
}

/// The attributes of a session of LemonLDAP::NG.
#[derive(Clone, Copy)]
pub(crate) struct View<'k> {
    pub(crate) kind: Kind,
    /// As [`Kept::facts`].
    pub(crate) facts: &'k [(&'static str, Value)],
    pub(crate) entries: &'k Entries,
}

impl<'k> View<'k> {
    /// All attributes, each name once.
    pub(crate) fn attributes(self) -> impl Iterator<Item = (&'k str, &'k Value)> + Clone {
        let is_fact = move |name: &str| name == BEFORE || self.facts.iter().any(|(fact, _)| *fact == name);
        let facts = self.facts.iter().map(|(name, value)| (*name, value));
        let live = self.entries.live().iter().map(|entry| (&*entry.name, &entry.value));
        facts.chain(live.filter(move |(name, _)| !is_fact(name)))
    }

    pub(crate) fn attribute(self, name: &str) -> Option<&'k Value> {
        let fact = self.facts.iter().find(|(fact, _)| *fact == name).map(|(_, value)| value);
        fact.or_else(|| self.entries.get(name).filter(|_| name != BEFORE))
    }
}

/// Looks at a session of a list; whether to go on.
pub(crate) type Each<'e> = dyn for<'i, 'k> FnMut(&'i Id, View<'k>) -> bool + Send + 'e;

/// Which sessions are listed, and what is looked at of each: whatever is not is neither read nor deciphered.
#[derive(Clone, Copy)]
pub(crate) struct Listed<'a> {
    /// What is looked for.
    pub(crate) search: Option<&'a Search>,
    /// The attributes that are looked at; all, if none are named.
    pub(crate) names: Option<&'a [Box<str>]>,
    /// Whether a session is one of those, as far as it can be said without its id.
    pub(crate) is_chosen: &'a (dyn for<'k> Fn(View<'k>) -> bool + Sync),
}

impl Listed<'_> {
    /// Whether this attribute of a session is looked at.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.is_none_or(|names| names.iter().any(|wanted| **wanted == *name))
            || self.search.is_some_and(|search| *search.name == *name)
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

/// What became of a login.
#[derive(Debug)]
pub(crate) enum LoggedIn {
    /// There is a session.
    In {
        /// The session.
        kept: Kept,
        /// What the cookie is to hold: where sessions lie under hashes, not what the session is called.
        cookie: Id,
    },
    /// There is no such user, or it is not their password.
    Wrong,
    /// The password was not tried: there were too many attempts.
    NotTried,
    /// Nobody can log in here.
    NoLogins,
    /// The session could not be made: its id is taken, or was that of one that is over, or its person is logged out.
    Refused,
}

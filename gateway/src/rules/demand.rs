//! Who must be there before an application sees a request.

use session::{Entries, Principal, Value};

/// Who must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Whether a session will do, or somebody must be logged in.
    pub who: Who,
    /// By these names only; none is any.
    pub users: Box<[Box<str>]>,
    /// The session must hold each of these: an entry of the name whose text it is, or a list in which it stands.
    pub entries: Box<[(Box<str>, Box<str>)]>,
}

/// What must be there at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// A session, be it nobody's.
    Session,
    /// Somebody who is logged in.
    User,
}

/// Why a demand is not met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unmet {
    /// There is no session.
    NoSession,
    /// Nobody is logged in.
    NobodyLoggedIn,
    /// Somebody is there, and not the right one.
    SomebodyElse,
}

impl Demand {
    /// Somebody must be logged in, whoever it is.
    #[must_use]
    pub fn of_user() -> Self {
        Self { who: Who::User, users: Box::default(), entries: Box::default() }
    }

    /// Whether a visitor with this session meets it. Allocates nothing.
    ///
    /// # Errors
    /// What is missing.
    pub fn meets(&self, session: Option<(Option<&Principal>, &Entries)>) -> Result<(), Unmet> {
        let Some((principal, entries)) = session else {
            return Err(match self.who {
                Who::Session => Unmet::NoSession,
                Who::User => Unmet::NobodyLoggedIn,
            });
        };
        if principal.is_none() && self.who == Who::User {
            return Err(Unmet::NobodyLoggedIn);
        }
        let is_named = self.users.is_empty()
            || principal.is_some_and(|principal| self.users.iter().any(|user| **user == *principal.name));
        let has = |(name, wanted): &(Box<str>, Box<str>)| {
            entries.get(name).is_some_and(|value| match value {
                Value::List(values) => values.iter().any(|value| value.as_text() == Some(wanted)),
                value => value.as_text() == Some(wanted),
            })
        };
        if is_named && self.entries.iter().all(has) { Ok(()) } else { Err(Unmet::SomebodyElse) }
    }
}

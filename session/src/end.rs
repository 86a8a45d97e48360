//! How a session ended.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::Millis;

/// Between who ended something and from where, in one text.
const FROM: char = '\u{1f}';

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// The person logged out.
    Logout,
    /// Nobody used it for the idle time-out of every application of its realm.
    Idle,
    /// It reached its lifetime in every application of its realm, or the end that was set for it.
    Lifetime,
    /// Somebody else took its place: another person logged in with the same ticket.
    Replaced,
    /// Its application removed everything that it held, and it belonged to nobody.
    Emptied,
    /// An operator or an event ended it, or its person left everywhere at once.
    Revoked,
    /// It was used from another address than those that it is tied to.
    Address,
    /// It grew too large for its visitor to carry, and lives on the server since.
    Moved,
    /// Somebody used a ticket that the visitor has not had for long: it may have been stolen.
    Theft,
    /// Its person has others, and may not have so many.
    Limit,
}

impl Why {
    /// Every reason, in the order of its declaration.
    pub const ALL: [Self; 10] = [
        Self::Logout,
        Self::Idle,
        Self::Lifetime,
        Self::Replaced,
        Self::Emptied,
        Self::Revoked,
        Self::Address,
        Self::Moved,
        Self::Theft,
        Self::Limit,
    ];

    /// The stable name in storage, logs, metrics and API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Idle => "idle",
            Self::Lifetime => "lifetime",
            Self::Replaced => "replaced",
            Self::Emptied => "emptied",
            Self::Revoked => "revoked",
            Self::Address => "address",
            Self::Moved => "moved",
            Self::Theft => "theft",
            Self::Limit => "limit",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Why {
    type Err = ();

    /// Reads the stable name; a name of a newer build is not known.
    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|why| why.as_str() == name).ok_or(())
    }
}

/// When, why, by whom and from where a session was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: Millis,
    /// Why.
    pub why: Why,
    /// By whom: an application's id, an operator's name; for people who read the audit, at most 255 bytes.
    pub by: Box<str>,
    /// From which address, if somebody knows.
    pub from: Option<IpAddr>,
}

impl Ending {
    /// From nowhere that anybody knows.
    #[must_use]
    pub fn new(at: Millis, why: Why, by: &str) -> Self {
        Self { at, why, by: by.into(), from: None }
    }

    /// By whom and from where, as one text. Storage has a place for who it was, and had it before it was asked from where: so an
    /// older build reads this as well, and what that wrote is read here.
    #[must_use]
    pub fn actor(&self) -> Cow<'_, str> {
        match self.from {
            Some(from) => Cow::Owned(format!("{}{FROM}{from}", self.by)),
            None => Cow::Borrowed(&self.by),
        }
    }

    /// The ending whose [`actor`](Self::actor) is this.
    #[must_use]
    pub fn of_actor(at: Millis, why: Why, actor: &str) -> Self {
        let known = actor.rsplit_once(FROM).and_then(|(by, from)| Some((by, from.parse().ok()?)));
        match known {
            Some((by, from)) => Self { at, why, by: by.into(), from: Some(from) },
            None => Self::new(at, why, actor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ended_it_and_from_where_is_one_text_and_two_again() {
        let anonymous = Ending::new(Millis(1), Why::Logout, "");
        let somebody = Ending { by: "ops\u{1f}x".into(), ..anonymous.clone() };
        let here = Ending { from: Some("2001:db8::1".parse().unwrap()), ..somebody.clone() };
        let nameless = Ending { from: Some("192.0.2.7".parse().unwrap()), ..anonymous.clone() };
        for ending in [anonymous, somebody, here, nameless] {
            assert_eq!(Ending::of_actor(ending.at, ending.why, &ending.actor()), ending);
        }
    }
}

//! How a session ended.

use std::fmt;
use std::str::FromStr;

use crate::Millis;

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
}

impl Why {
    /// Every reason, in the order of its declaration.
    pub const ALL: [Self; 8] = [
        Self::Logout,
        Self::Idle,
        Self::Lifetime,
        Self::Replaced,
        Self::Emptied,
        Self::Revoked,
        Self::Address,
        Self::Moved,
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

/// When, why and by whom a session was ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub at: Millis,
    /// Why.
    pub why: Why,
    /// By whom: an application's id, an operator's name; for people who read the audit, at most 255 bytes.
    pub by: Box<str>,
}

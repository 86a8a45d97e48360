//! What the records are that the cache keeps in a storage service, for whoever looks into one without being a cache.

use session::record::{self, Malformed};
use session::{Handle, Session};
use storage::Key;

use crate::revocations::{GONE, RENEWED, read_gone};
use crate::scope::{self, Mark, Scope};
use crate::{assertions, cache, heads, index, nodes, once, recovery, roll_call, token};

/// The context of the counters that end all sessions of a principal, or of many: sessions remember their versions, so that all that is
/// drawn here must be above all that ever was, wherever the records move.
pub const COUNTERS: &str = scope::COUNTERS;

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A session whose visitor has a ticket.
    Session,
    /// What was written of a session that its visitor carries, in the last minute.
    Head,
    /// A session that its visitor carries, or can bring back, and that is over; or a moment, before which sessions of somebody
    /// began that are over.
    Revoked,
    /// A ticket that was renewed: what was sealed beside it brings its session back no more.
    Renewed,
    /// The counter by which all sessions of a principal end, or of many.
    Counter,
    /// That a session belongs to somebody.
    Entry,
    /// What a login was proved by, kept beside its session.
    Assertion,
    /// What was opened under a key by which somebody may ask again.
    Once,
    /// A token that allows something once, within seconds.
    Token,
    /// A gateway that uses the storage, or what gateways ask each other about an end. It is of no use in another storage.
    Node,
    /// None of the cache's.
    Other,
}

/// Why a record is not what its key says.
#[derive(Debug, thiserror::Error)]
pub enum Strange {
    /// Its name is none of its kind.
    #[error("its name is not that of a {}", .0.as_str())]
    Name(Kind),
    /// Its value holds no session.
    #[error("its value cannot be read: {0}")]
    Value(#[from] Malformed),
    /// It holds another session than its key says.
    #[error("it holds the session {0}")]
    Another(Handle),
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 11] = [
        Self::Session,
        Self::Head,
        Self::Revoked,
        Self::Renewed,
        Self::Counter,
        Self::Entry,
        Self::Assertion,
        Self::Once,
        Self::Token,
        Self::Node,
        Self::Other,
    ];

    /// As people read it, and scripts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Head => "head",
            Self::Revoked => "revoked",
            Self::Renewed => "renewed",
            Self::Counter => "counter",
            Self::Entry => "index",
            Self::Assertion => "assertion",
            Self::Once => "once",
            Self::Token => "token",
            Self::Node => "node",
            Self::Other => "other",
        }
    }

    /// What lies at `key`, by its context.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self::of_context(key.context())
    }

    /// What lies in a context.
    pub(crate) fn of_context(context: &str) -> Self {
        if [nodes::NODES, roll_call::CALLS, roll_call::ANSWERS].contains(&context) {
            return Self::Node;
        }
        let (first, _) = context.split_once('.').unwrap_or((context, ""));
        match first {
            cache::SESSIONS => Self::Session,
            heads::CONTEXT => Self::Head,
            GONE | scope::MARKS => Self::Revoked,
            RENEWED => Self::Renewed,
            scope::COUNTERS => Self::Counter,
            index::CONTEXT => Self::Entry,
            assertions::CONTEXT => Self::Assertion,
            once::CONTEXT => Self::Once,
            token::CONTEXT => Self::Token,
            _ => Self::Other,
        }
    }

    /// Reads a live record with that key and value, not sealed: the session in it, if it is to hold one.
    ///
    /// # Errors
    /// It is not what its key says.
    pub fn read(key: &Key, value: &[u8]) -> Result<Option<Session>, Strange> {
        let kind = Self::of(key);
        match kind {
            Self::Session | Self::Head => {
                let name = std::str::from_utf8(key.name()).map_err(|_| Strange::Name(kind))?;
                let handle: Handle = name.parse().map_err(|_| Strange::Name(kind))?;
                let session = record::decode(value)?;
                if session.handle != handle {
                    return Err(Strange::Another(session.handle));
                }
                Ok(Some(session))
            }
            Self::Revoked if read_gone(key).is_none() && Mark::of(key).is_none() => Err(Strange::Name(kind)),
            Self::Renewed if !recovery::is_name(key.name()) => Err(Strange::Name(kind)),
            Self::Counter if Scope::of(key).is_none() => Err(Strange::Name(kind)),
            Self::Entry if !matches!(index::entry(key), Some(Some(_))) => Err(Strange::Name(kind)),
            Self::Assertion if assertions::session_of(key).is_none() => Err(Strange::Name(kind)),
            Self::Revoked
            | Self::Renewed
            | Self::Counter
            | Self::Entry
            | Self::Assertion
            | Self::Once
            | Self::Token
            | Self::Node
            | Self::Other => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_is_follows_from_its_context() {
        for (context, kind) in [
            ("s0a", Kind::Other),
            (cache::SESSIONS, Kind::Session),
            (&*format!("{}.0a", cache::SESSIONS), Kind::Session),
            (&*format!("{}.0a", heads::CONTEXT), Kind::Head),
            (&*format!("{GONE}.0a"), Kind::Revoked),
            (RENEWED, Kind::Renewed),
            (scope::COUNTERS, Kind::Counter),
            (scope::MARKS, Kind::Revoked),
            (&*format!("{}.0a", index::CONTEXT), Kind::Entry),
            (&*format!("{}.0a", assertions::CONTEXT), Kind::Assertion),
            (once::CONTEXT, Kind::Once),
            (token::CONTEXT, Kind::Token),
            (nodes::NODES, Kind::Node),
            (roll_call::CALLS, Kind::Node),
            (roll_call::ANSWERS, Kind::Node),
            ("roll", Kind::Other),
        ] {
            assert_eq!(Kind::of(&Key::new(context, b"a").unwrap()), kind, "{context}");
        }
    }
}

//! What lists keep of a session.

use std::fmt;
use std::sync::OnceLock;

use cache::Surveyed;
use dialects::llng::{Id, Kind, LAST_SEEN};
use session::{Entries, Handle, Millis, Principal, Revision, Session, block};

use super::edit::seconds;
use super::kind_of;

/// A session of LemonLDAP::NG, as far as lists look at it.
pub(super) struct Line {
    pub(super) handle: Handle,
    pub(super) kind: Kind,
    /// Whose it is, if it is a login.
    pub(super) whose: Option<Box<Principal>>,
    pub(super) revision: Revision,
    /// When its handlers say that it was used.
    pub(super) last_seen: Option<Millis>,
    /// Those at least that are looked at.
    pub(super) entries: Entries,
    /// The id, once it was deciphered; none, if it cannot be.
    id: OnceLock<Option<Id>>,
}

impl Line {
    /// The id, which `decipher` finds in the entries.
    pub(super) fn id(&self, decipher: impl FnOnce(&Entries) -> Option<Id>) -> Option<&Id> {
        self.id.get_or_init(|| decipher(&self.entries)).as_ref()
    }
}

impl Surveyed for Line {
    fn of(session: Session) -> Option<Self> {
        let kind = kind_of(&session)?;
        let mut entries = session.entries;
        entries.shrink();
        Some(Self {
            handle: session.handle,
            kind,
            whose: session.principal.map(Box::new),
            revision: session.revision,
            last_seen: entries.get(LAST_SEEN).and_then(seconds),
            entries,
            id: OnceLock::new(),
        })
    }

    fn bytes(&self) -> usize {
        /// What the id will take, which the entries hold ciphered.
        const ID: usize = 64;
        let whose =
            self.whose.as_ref().map_or(0, |whose| block(size_of::<Principal>()) + whose.owned_bytes());
        size_of::<Self>() + self.entries.owned_bytes() + whose + ID
    }
}

/// Shows no id and no value.
impl fmt::Debug for Line {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Line({})", self.kind)
    }
}

//! What a session is looked for.

/// What a find does to the session beside finding it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// It is a use of the session, which is not idle then; and who uses a new ticket is known to have it.
    pub(crate) is_use: bool,
    /// A visitor presents the ticket: if it is an old one, somebody has stolen it or was robbed of it.
    pub(crate) accuses: bool,
}

impl Purpose {
    /// A visitor comes with it.
    pub const USE: Self = Self { is_use: true, accuses: true };
    /// A visitor's page asks in the background whether there is news: nobody may be there.
    pub const POLL: Self = Self { is_use: false, accuses: true };
    /// Nobody presents it: it is asked for ourselves, before it is handed out.
    pub const LOOK: Self = Self { is_use: false, accuses: false };

    /// The same for a ticket that comes beside another one of the same session: a browser may have kept an old cookie under
    /// another path.
    #[must_use]
    pub const fn beside_another(self) -> Self {
        Self { accuses: false, ..self }
    }
}

//! The audit: who did what, from where, on whose session.
//!
//! Each act is one event of the target [`AUDIT`], so that it is in the log, and in a file of its own where one is
//! configured. Sessions are named by their handles. Tickets, entries and names of people are in none.

use session::Handle;

use crate::clients::{Caller, Client};

/// The target of these events.
pub const AUDIT: &str = "audit";

/// On what something was done.
#[derive(Clone, Copy, Default)]
pub(crate) struct Upon<'a> {
    /// One session.
    pub(crate) handle: Option<Handle>,
    /// Several, as far as they are known.
    pub(crate) handles: &'a [Handle],
    /// The application, the realm, or the selector that was meant.
    pub(crate) of: Option<&'a str>,
    /// How many sessions, in words where nobody has counted them.
    pub(crate) sessions: Option<&'a dyn std::fmt::Display>,
}

impl Upon<'_> {
    /// On this session.
    pub(crate) fn one(handle: Handle) -> Self {
        Self { handle: Some(handle), ..Self::default() }
    }
}

/// A client has done something.
pub(crate) fn done(client: &Client, caller: &Caller, what: &str, upon: Upon<'_>) {
    let Upon { handle, handles, of, sessions } = upon;
    tracing::info!(
        target: AUDIT,
        client = &*client.id,
        from = %caller.address.to_canonical(),
        handle = handle.map(display),
        handles = (!handles.is_empty()).then(|| debug(handles)),
        of,
        sessions = sessions.map(display),
        "{what}"
    );
}

/// Somebody was not let in.
pub(crate) fn denied(caller: &Caller, what: &str, why: &str) {
    tracing::warn!(
        target: AUDIT,
        from = %caller.address.to_canonical(),
        why,
        "somebody was not let into {what}"
    );
}

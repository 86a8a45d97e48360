//! What brings a session back.

use std::sync::Arc;

use crate::{Millis, Session};

/// What a visitor holds, sealed, beside their ticket: a session on the server as it can come back after storage has lost it.
///
/// It proves nothing without the ticket, of whose secret it has the hash, as storage does.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The session as it was when this was sealed, with some of its entries.
    pub session: Arc<Session>,
    /// When it was last used then.
    pub touched: Millis,
    /// Until when it can be worth anything, whatever the time-outs are by then: so long an end of its session is remembered.
    pub good_until: Millis,
}

impl Recovery {
    /// What `session` becomes if it comes back: with the entries of these names, and without what is about requests under way.
    /// `None` if it has none of them.
    #[must_use]
    pub fn of(session: &Session, names: &[Box<str>]) -> Option<Session> {
        let entries = session.entries.only(names);
        let kept = || Session {
            entries,
            previous: None,
            lineage: None,
            conflicts: Vec::new(),
            // They are lost with the storage.
            assertions: Box::default(),
            ..session.clone()
        };
        names.iter().any(|name| session.entries.get(name).is_some()).then(kept)
    }

    /// Whether `session` would come back as it is, by this and with the entries of these names.
    #[must_use]
    pub fn is_of(&self, session: &Session, names: &[Box<str>]) -> bool {
        let known = &self.session;
        known.handle == session.handle
            && known.secret == session.secret
            && known.realm == session.realm
            && known.principal == session.principal
            && known.authentication == session.authentication
            && (known.begun, known.ends) == (session.begun, session.ends)
            && (known.epochs, known.addresses) == (session.epochs, session.addresses)
            && names.iter().all(|name| known.entries.get(name) == session.entries.get(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Handle, OnConflict, Patch, Revision, Secret};

    fn session(entries: &[(&str, &str)]) -> Session {
        let secret = Secret::from_bytes([1; 32]);
        let mut session = Session::new(Handle::from_bytes([1; 16]), secret.hash(), "shop", Millis(5));
        let mut patch = Patch::new(Revision::default());
        for (name, value) in entries {
            patch.set(name, (*value).into());
        }
        session.apply(&patch, OnConflict::Overwrite);
        session
    }

    #[test]
    fn a_session_comes_back_with_what_was_chosen_and_not_without_any_of_it() {
        let names: Vec<Box<str>> = vec!["eppn".into(), "groups".into()];
        assert_eq!(Recovery::of(&session(&[("basket", "1")]), &names), None);
        let kept = Recovery::of(&session(&[("basket", "1"), ("eppn", "ada")]), &names).unwrap();
        assert_eq!(kept.entries.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["eppn"]);
    }

    #[test]
    fn what_is_kept_is_out_of_date_once_what_would_come_back_differs() {
        let names: Vec<Box<str>> = vec!["eppn".into()];
        let whole = session(&[("basket", "1"), ("eppn", "ada")]);
        let kept = Arc::new(Recovery::of(&whole, &names).unwrap());
        let recovery = Recovery { session: kept, touched: Millis(5), good_until: Millis(9) };
        assert!(recovery.is_of(&whole, &names));
        assert!(recovery.is_of(&session(&[("basket", "2"), ("eppn", "ada")]), &names));
        assert!(!recovery.is_of(&session(&[("eppn", "eve")]), &names));
        assert!(!recovery.is_of(&session(&[]), &names));
        let renewed = Session { secret: Secret::from_bytes([2; 32]).hash(), ..whole.clone() };
        assert!(!recovery.is_of(&renewed, &names));
        let later = Session { ends: Some(Millis(7)), ..whole };
        assert!(!recovery.is_of(&later, &names));
    }
}

//! What a client's message makes of a session.
//!
//! Clients write sessions whole, so most of what they send is an [echo](super::echoes) of what they read. Whatever others changed
//! since stays as those made it (law 2), what was masked stays as it is, and what is missing in an echo was removed.

use std::collections::HashSet;

use cache::Rewriting;
use dialects::llng::received::settle;
use dialects::llng::{BEGAN, Changes, LAST_SEEN, WHOSE};
use session::{Millis, Patch, Revision, Session, Value};

use super::Settings;
use super::echoes::{BEFORE, Before, REVISION, writer};
use super::kept::By;
use super::sessions::is_ours;
use crate::clients::{Attributes, Right};

/// The name of an attribute, and what it becomes; nothing where it is to go.
type Asked = (Box<str>, Option<Value>);

/// What a client wants of a session.
pub(super) struct Edit {
    changes: Changes,
    /// At which revision the client read the session, if it sends it back whole.
    seen: Option<Revision>,
    /// The names that were sent, if the client was given all of a session and what is missing was removed.
    sent: Option<HashSet<Box<str>>>,
    /// Who writes.
    writer: u64,
    now: Millis,
}

impl Edit {
    /// From what somebody has sent.
    pub(super) fn of(by: By<'_>, settings: &Settings, changes: Changes, now: Millis) -> Self {
        let seen = changes.iter().find(|(name, _)| **name == *REVISION);
        let seen = seen.and_then(|(_, received)| received.clone().into_text()?.parse().ok()).map(Revision);
        // Of a part, or of what was left out, nobody can say what was removed.
        let sees_all = matches!(by.client.attributes, Attributes::All | Attributes::Usual)
            && by.client.may.contains(&Right::Secrets);
        let sent =
            (sees_all && seen.is_some()).then(|| changes.iter().map(|(name, _)| name.clone()).collect());
        let is_change = |(name, received): &(Box<str>, _)| {
            !is_ours(name) && !settings.hidden.is_unchanged(name, received)
        };
        let changes = changes.into_iter().filter(is_change).collect();
        Self { changes, seen, sent, writer: writer(&by.client.id, by.caller.address.to_canonical()), now }
    }

    /// To whom the session belongs, if it says so.
    pub(super) fn whose(&self) -> Option<Value> {
        let (_, received) = self.changes.iter().find(|(name, _)| **name == *WHOSE)?;
        received.clone().settle(None)
    }

    /// What becomes of the session as it is now.
    pub(super) fn made_to(&self, current: &Session) -> Rewriting {
        let mut rewriting = Rewriting { patch: Patch::new(current.revision), begun: None };
        let mut before = Before::of(current, self.now);
        let (next, mut is_noted) = (current.revision.next(), false);
        for (name, value) in self.changes_of(current, &before) {
            if *name == *BEGAN {
                rewriting.begun = value.as_ref().and_then(seconds);
                if rewriting.begun.is_none() {
                    // Without it nobody could say when the session is over.
                    continue;
                }
            }
            if let Some(was) = current.entries.get(&name) {
                before.note(&name, was, next, self.writer, self.now);
                is_noted = true;
            }
            match value {
                Some(value) => rewriting.patch.set(&name, value),
                None => rewriting.patch.remove(&name),
            }
        }
        if is_noted && let Some(value) = before.into_value() {
            rewriting.patch.set(BEFORE, value);
        }
        rewriting
    }

    /// What is asked of each attribute that somebody means to change.
    fn changes_of(&self, current: &Session, before: &Before) -> Vec<Asked> {
        let (mut news, mut taken_back) = (Vec::new(), Vec::new());
        for (name, value) in self.settled(current) {
            let is = current.entries.get(&name);
            if is == value.as_ref() || (*name == *LAST_SEEN && is_earlier(value.as_ref(), is)) {
                continue;
            }
            let echoed = self.seen.zip(value.as_ref());
            match echoed.and_then(|(seen, value)| before.changed_by(&name, value, seen)) {
                None => news.push((name, value)),
                Some(writer) if writer == self.writer => taken_back.push((name, value)),
                // Somebody else has changed it, and this client has not seen that.
                Some(_) => {}
            }
        }
        if news.is_empty() { taken_back } else { news }
    }

    /// What is asked of each attribute; nothing where it is to go.
    fn settled(&self, current: &Session) -> Vec<Asked> {
        let mut settled = settle(self.changes.clone(), &current.entries);
        if let Some((sent, seen)) = self.sent.as_ref().zip(self.seen) {
            let is_removed = |entry: &&session::Entry| {
                entry.written <= seen
                    && !is_ours(&entry.name)
                    && *entry.name != *BEGAN
                    && !sent.contains(&entry.name)
                    && !settled.iter().any(|(name, _)| *name == entry.name)
            };
            let removed =
                current.entries.live().iter().filter(is_removed).map(|entry| (entry.name.clone(), None));
            let removed: Vec<_> = removed.collect();
            settled.extend(removed);
        }
        settled
    }
}

/// Whether a moment lies before another one: of two that say when a session was last used, the later is right.
fn is_earlier(value: Option<&Value>, than: Option<&Value>) -> bool {
    value.and_then(seconds).zip(than.and_then(seconds)).is_some_and(|(value, than)| value < than)
}

/// The moment that a client means by a number of seconds.
pub(super) fn seconds(value: &Value) -> Option<Millis> {
    let seconds: u64 = value.as_text()?.parse().ok()?;
    Some(Millis(seconds.checked_mul(1000)?).min(Millis::NEVER))
}

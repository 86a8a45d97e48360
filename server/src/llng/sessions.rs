//! LemonLDAP::NG's sessions in the session cache.
//!
//! An id is name and proof at once, so its session lies under the ticket that it stands for: storage does not know the id. For
//! lists, which tell ids, it is kept among the entries, ciphered with the key that whoever may ask for a list must know.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cache::{Application, Cache, Ended, Find, OpenForeign, Opening, Realm, Rewriting, Rewritten};
use dialects::llng::received::settle;
use dialects::llng::{BEGAN, Changes, Id, Kind, SESSION_ID, SESSION_KIND, WHOSE};
use session::{Ending, Millis, Patch, Principal, Secret, Session, Ticket, Timeouts, Value, Why};
use storage::{Scanned, Unavailable};

use super::Settings;
use super::keeper::{By, Keeper, Kept, Made};
use crate::audit::{self, Upon};

/// The realm of these sessions, and the space of their ids.
const REALM: &str = "llng";

/// The issuer of those to whom they belong.
const ISSUER: &str = "llng";

/// How often the last use of a session is written, at most.
const TOUCH_INTERVAL: Duration = Duration::from_mins(1);

/// How many records are looked at together.
const PAGE: usize = 512;

/// The sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    cache: Arc<Cache>,
    application: Application,
    settings: Arc<Settings>,
}

impl Sessions {
    pub(super) fn new(cache: Arc<Cache>, settings: Arc<Settings>) -> Self {
        let timeouts = Timeouts { idle: settings.timeout_activity, lifetime: settings.timeout };
        let realm = Arc::new(Realm {
            id: REALM.into(),
            timeouts: vec![timeouts],
            touch_interval: TOUCH_INTERVAL,
            // Last uses are gathered.
            lateness: TOUCH_INTERVAL * 2,
            allowance: Duration::ZERO,
        });
        cache.reckon_with(&realm);
        let application =
            Application { realm, timeouts, touch_interval: TOUCH_INTERVAL, renew_interval: Duration::ZERO };
        Self { cache, application, settings }
    }

    fn ticket(id: &Id) -> Ticket {
        Ticket::of_foreign(REALM, id.as_str())
    }

    /// The live session of an id, if it exists for the client.
    async fn session(&self, by: By<'_>, id: &Id) -> Result<Option<(Kind, Arc<Session>)>, Unavailable> {
        match self.cache.find(&Self::ticket(id), &self.application).await? {
            Find::Found(found) => Ok(kind_for(by, &found.session).map(|kind| (kind, found.session))),
            Find::Absent(_) | Find::Ended(_) => Ok(None),
        }
    }

    fn kept(id: &Id, kind: Kind, session: Arc<Session>) -> Kept {
        Kept { kind, facts: vec![(SESSION_ID, id.as_str().into())], session }
    }

    /// The id of a session, which its entries hold ciphered.
    fn id_of(&self, session: &Session) -> Option<Id> {
        let ciphered = session.entries.get(SESSION_ID)?.as_text()?;
        let id = self.settings.cipher.as_ref()?.decrypt(ciphered)?;
        std::str::from_utf8(&id).ok()?.parse().ok()
    }

    /// What a new session begins with.
    fn opening(&self, id: &Id, kind: Kind, begun: Millis, changes: Changes) -> Opening {
        let mut opening = Opening::default();
        let mut entries = Patch::new(opening.entries.seen);
        for (name, received) in changes.into_iter().filter(|(name, _)| !is_ours(name)) {
            if let Some(value) = received.settle(None) {
                if *name == *WHOSE {
                    opening.principal = owner(&value);
                }
                entries.set(&name, value);
            }
        }
        entries.set(SESSION_KIND, kind.as_str().into());
        entries.set(BEGAN, (begun.0 / 1000).to_string().into());
        let ciphered = self.settings.cipher.as_ref().map(|cipher| cipher.encrypt(id.as_str().as_bytes()));
        if let Some(Ok(ciphered)) = ciphered {
            entries.set(SESSION_ID, ciphered.into());
        }
        opening.entries = entries;
        opening
    }
}

#[async_trait]
impl Keeper for Sessions {
    async fn find(&self, by: By<'_>, id: &Id) -> Result<Option<Kept>, Unavailable> {
        let found = self.session(by, id).await?;
        Ok(found.map(|(kind, session)| Self::kept(id, kind, session)))
    }

    async fn change(&self, by: By<'_>, id: &Id, kind: Kind, changes: Changes) -> Result<bool, Unavailable> {
        let Some((found, session)) = self.session(by, id).await? else { return Ok(false) };
        if found != kind {
            return Ok(false);
        }
        let changes: Changes = changes.into_iter().filter(|(name, _)| !is_fixed(name)).collect();
        let owner = changes
            .iter()
            .find(|(name, _)| **name == *WHOSE)
            .and_then(|(_, received)| owner(&received.clone().settle(None)?));
        let rewritten = self
            .cache
            .rewrite(&Self::ticket(id), owner.as_ref(), &self.application, |current| {
                let mut rewriting = Rewriting { patch: Patch::new(current.revision), begun: None };
                for (name, value) in settle(changes.clone(), &current.entries) {
                    if *name == *BEGAN {
                        rewriting.begun = value.as_ref().and_then(seconds);
                    }
                    match value {
                        Some(value) => rewriting.patch.set(&name, value),
                        None => rewriting.patch.remove(&name),
                    }
                }
                rewriting
            })
            .await?;
        let is_done = match rewritten {
            Rewritten::Written(_) => true,
            Rewritten::Absent | Rewritten::Ended(_) | Rewritten::LoggedOut(_) => false,
            Rewritten::TooLarge(_) => {
                tracing::warn!(handle = %session.handle, "a session of LemonLDAP::NG would be larger than storage takes");
                false
            }
        };
        if is_done {
            audit::done(
                by.client,
                by.caller,
                "a session of LemonLDAP::NG was changed",
                Upon::one(session.handle),
            );
        }
        Ok(is_done)
    }

    async fn make(
        &self,
        by: By<'_>,
        id: Option<Id>,
        kind: Kind,
        changes: Changes,
    ) -> Result<Made, Unavailable> {
        if !by.client.kinds.has(kind.as_str()) || !by.client.realms.has(REALM) {
            return Ok(Made::Refused);
        }
        let id = match id {
            Some(id) => id,
            None => match Secret::random() {
                Ok(random) => Id::from_random(random.expose()),
                Err(error) => {
                    tracing::error!(%error, "no session of LemonLDAP::NG can be made");
                    return Ok(Made::Refused);
                }
            },
        };
        // LemonLDAP::NG counts in seconds.
        let begun = Millis(self.cache.now().0 / 1000 * 1000);
        let opening = self.opening(&id, kind, begun, changes);
        let opened = self.cache.open_foreign(&Self::ticket(&id), begun, &opening, &self.application).await?;
        Ok(match opened {
            OpenForeign::Opened(session) => {
                audit::done(
                    by.client,
                    by.caller,
                    "a session of LemonLDAP::NG was made",
                    Upon::one(session.handle),
                );
                Made::Made(Self::kept(&id, kind, session))
            }
            OpenForeign::Exists | OpenForeign::Ended(_) | OpenForeign::LoggedOut(_) => Made::Refused,
        })
    }

    async fn end(&self, by: By<'_>, id: &Id) -> Result<bool, Unavailable> {
        let Some((_, session)) = self.session(by, id).await? else { return Ok(false) };
        let from = Some(by.caller.address.to_canonical());
        let ending = Ending { from, ..Ending::new(self.cache.now(), Why::Logout, &by.client.id) };
        let ended = self.cache.end(&session, ending, &self.application).await?;
        audit::done(by.client, by.caller, "a session of LemonLDAP::NG was ended", Upon::one(session.handle));
        Ok(ended == Ended::Now)
    }

    async fn list(
        &self,
        by: By<'_>,
        each: &mut (dyn for<'i, 'k> FnMut(&'i Id, &'k Kept) -> bool + Send),
    ) -> Result<(), Unavailable> {
        let mut cursor = None;
        loop {
            let scan = self.cache.storage().scan(cursor.as_deref(), PAGE).await?;
            for (key, scanned) in scan.found {
                let Scanned::Live(record) = scanned else { continue };
                let Ok(Some(session)) = cache::Kind::read(&key, &record.value) else { continue };
                if *session.realm != *REALM {
                    continue;
                }
                let Some((kind, id)) = kind_for(by, &session).zip(self.id_of(&session)) else { continue };
                // Whether it is over is not for its record alone to say.
                let Some(shown) = self.cache.show(&session.handle).await? else { continue };
                if !each(&id, &Self::kept(&id, kind, shown.session)) {
                    return Ok(());
                }
            }
            cursor = scan.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// The kind of a session, if it exists for the client.
fn kind_for(by: By<'_>, session: &Session) -> Option<Kind> {
    let kind: Kind = session.entries.get(SESSION_KIND)?.as_text()?.parse().ok()?;
    (by.client.kinds.has(kind.as_str()) && by.client.realms.has(REALM)).then_some(kind)
}

/// Whose session it is that says so.
fn owner(value: &Value) -> Option<Principal> {
    value.as_text().filter(|name| !name.is_empty()).map(|name| Principal::named(ISSUER, name))
}

/// The moment that a client means by a number of seconds.
fn seconds(value: &Value) -> Option<Millis> {
    let seconds: u64 = value.as_text()?.parse().ok()?;
    Some(Millis(seconds.checked_mul(1000)?).min(Millis::NEVER))
}

/// What no client changes.
fn is_fixed(name: &str) -> bool {
    name == SESSION_ID || name == SESSION_KIND
}

/// What no client says of a new session.
fn is_ours(name: &str) -> bool {
    is_fixed(name) || name == BEGAN
}

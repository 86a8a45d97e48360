//! LemonLDAP::NG's sessions in the session cache.
//!
//! An id is name and proof at once, so its session lies under the ticket that it stands for: storage does not know the id. For
//! lists, which tell ids, it is kept among the entries, ciphered with the key that whoever may ask for a list must know.

mod listing;
mod people;

use std::sync::Arc;
use std::time::Duration;

use cache::{AFTERLIFE, Application, Cache, Ended, Find, OpenForeign, Opening, Realm, Rewritten, Survey};
use dialects::llng::{BEGAN, Changes, Id, Kind, LAST_SEEN, SESSION_ID, SESSION_KIND, WHOSE};
use session::{Ending, Entries, Millis, Patch, Principal, Secret, Session, Ticket, Timeouts, Value, Why};
use storage::Unavailable;

use super::echoes::{BEFORE, REVISION};
use super::edit::{Edit, seconds};
use super::kept::{By, Changed, Kept, Made};
use super::line::Line;
use super::lists::Lists;
use super::{Settings, kind_of};
use crate::audit::{self, Upon};

/// The realm of these sessions, and the space of their ids.
pub(super) const REALM: &str = "llng";

/// The same for persistent ones, which are no logins: they have no time-outs, ids that can be guessed and come back, and do not
/// end with whom they are about.
pub(super) const PERSISTENT: &str = "llng.persistent";

/// The issuer of those to whom they belong.
const ISSUER: &str = "llng";

/// How often the last use of a session is written, at most. Nothing is judged by it: handlers that keep sessions in caches of
/// their own say in an attribute when one was used.
const TOUCH_INTERVAL: Duration = Duration::from_mins(10);

/// LemonLDAP::NG counts in seconds, and a session may be as old as the time-out says.
const SECOND: Duration = Duration::from_secs(1);

/// The sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    cache: Arc<Cache>,
    usual: Application,
    persistent: Application,
    settings: Arc<Settings>,
    /// Room for lists, by whatever protocol.
    lists: Lists,
    /// What they keep.
    survey: Arc<Survey<Line>>,
}

impl Sessions {
    pub(super) fn new(cache: Arc<Cache>, settings: Arc<Settings>) -> Self {
        let lifetime = if settings.timeout.is_zero() { Duration::ZERO } else { settings.timeout + SECOND };
        let application = |realm: &str, lifetime| {
            let timeouts = Timeouts { idle: Duration::ZERO, lifetime };
            let realm = Arc::new(Realm {
                id: realm.into(),
                timeouts: vec![timeouts],
                touch_interval: TOUCH_INTERVAL,
                lateness: TOUCH_INTERVAL * 2,
                allowance: AFTERLIFE,
            });
            cache.reckon_with(&realm);
            Application { realm, timeouts, touch_interval: TOUCH_INTERVAL, renew_interval: Duration::ZERO }
        };
        let (usual, persistent) = (application(REALM, lifetime), application(PERSISTENT, Duration::ZERO));
        Self { cache, usual, persistent, settings, lists: Lists::default(), survey: Arc::default() }
    }

    /// The room in which lists are made.
    pub(super) const fn lists(&self) -> &Lists {
        &self.lists
    }

    const fn application(&self, kind: Kind) -> &Application {
        match kind {
            Kind::Persistent => &self.persistent,
            _ => &self.usual,
        }
    }

    /// The live session of an id in the space of a kind, if it exists for the client.
    async fn session(&self, by: By<'_>, id: &Id, kind: Kind) -> Result<Option<Kept>, Unavailable> {
        self.session_of(by, id, &ticket(self.application(kind), id), kind).await
    }

    /// The same for who has the ticket of the id: it costs two hashes.
    async fn session_of(
        &self,
        by: By<'_>,
        id: &Id,
        ticket: &Ticket,
        kind: Kind,
    ) -> Result<Option<Kept>, Unavailable> {
        let application = self.application(kind);
        let found = match self.cache.find(ticket, application).await? {
            Find::Found(found) => found.session,
            Find::Absent(_) | Find::Ended(_) => return Ok(None),
        };
        let Some(kind) = kind_for(by, &found) else { return Ok(None) };
        if self.is_idle(found.entries.get(LAST_SEEN).and_then(seconds)) {
            let ending = Ending::new(self.cache.now(), Why::Idle, "timeout_activity");
            self.cache.end(&found, ending, application).await?;
            return Ok(None);
        }
        Ok(Some(Self::kept(id, kind, found)))
    }

    /// Whether a session was not used for too long, as LemonLDAP::NG's handlers judge it: what says nothing of its last use, as
    /// offline sessions of OpenID Connect do, is never idle.
    fn is_idle(&self, last_seen: Option<Millis>) -> bool {
        !self.settings.timeout_activity.is_zero()
            && last_seen
                .is_some_and(|at| self.cache.now().since(at) >= self.settings.timeout_activity + SECOND)
    }

    fn kept(id: &Id, kind: Kind, session: Arc<Session>) -> Kept {
        let facts = vec![(SESSION_ID, id.as_str().into()), (REVISION, session.revision.0.to_string().into())];
        Kept { kind, facts, session }
    }

    /// The id of a session, which its entries hold ciphered.
    fn id_in_entries(&self, entries: &Entries) -> Option<Id> {
        let ciphered = entries.get(SESSION_ID)?.as_text()?;
        let id = self.settings.cipher.as_ref()?.decrypt(ciphered)?;
        std::str::from_utf8(&id).ok()?.parse().ok()
    }

    /// What a new session begins with.
    fn opening(&self, id: &Id, kind: Kind, begun: Millis, changes: Changes) -> Opening {
        let mut opening = Opening::default();
        let mut entries = Patch::new(opening.entries.seen);
        for (name, received) in changes.into_iter().filter(|(name, _)| !is_ours(name) && **name != *BEGAN) {
            if let Some(value) = received.settle(None) {
                if *name == *WHOSE && kind != Kind::Persistent {
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

/// What the protocols ask for. None of this finds a session that is over, or that does not exist for the client.
impl Sessions {
    /// The session of this id, of whatever kind that is no persistent one.
    pub(super) async fn find(&self, by: By<'_>, id: &Id) -> Result<Option<Kept>, Unavailable> {
        self.session(by, id, Kind::Sso).await
    }

    /// The persistent session of this id. Such ids can be guessed, so that nobody gets one who did not ask for one.
    pub(super) async fn find_persistent(&self, by: By<'_>, id: &Id) -> Result<Option<Kept>, Unavailable> {
        self.session(by, id, Kind::Persistent).await
    }

    /// Changes attributes of a session of this kind.
    pub(super) async fn change(
        &self,
        by: By<'_>,
        id: &Id,
        kind: Kind,
        changes: Changes,
    ) -> Result<Changed, Unavailable> {
        let application = self.application(kind);
        let ticket = ticket(application, id);
        let Some(kept) = self.session_of(by, id, &ticket, kind).await? else { return Ok(Changed::Absent) };
        if kept.kind != kind {
            return Ok(Changed::Absent);
        }
        let edit = Edit::of(by, &self.settings, changes, self.cache.now());
        let owner = edit.whose().filter(|_| kind != Kind::Persistent).and_then(|value| owner(&value));
        let edited = |session: &Session| edit.made_to(session);
        let rewritten = self.cache.rewrite(&ticket, owner.as_ref(), application, edited).await?;
        Ok(match rewritten {
            Rewritten::Written(_) => {
                let upon = Upon::one(kept.session.handle);
                audit::done(by.client, by.caller, "a session of LemonLDAP::NG was changed", upon);
                Changed::Done
            }
            Rewritten::Absent | Rewritten::Ended(_) | Rewritten::LoggedOut(_) => Changed::Absent,
            Rewritten::TooLarge(_) => {
                tracing::warn!(
                    handle = %kept.session.handle, client = &*by.client.id,
                    "a session of LemonLDAP::NG would be larger than storage takes, and was not changed"
                );
                Changed::TooLarge
            }
        })
    }

    /// Makes a session of this kind, under this id where one is wished.
    pub(super) async fn make(
        &self,
        by: By<'_>,
        id: Option<Id>,
        kind: Kind,
        changes: Changes,
    ) -> Result<Made, Unavailable> {
        let application = self.application(kind);
        if !by.client.kinds.has(kind.as_str()) || !by.client.realms.has(&application.realm.id) {
            return Ok(Made::Refused);
        }
        // Whoever chooses the id says when the session began as well: what is to last shorter began earlier.
        let told = changes.iter().find(|(name, _)| id.is_some() && **name == *BEGAN);
        let told = told.and_then(|(_, received)| seconds(&received.clone().settle(None)?));
        let Some(id) = id.or_else(random_id) else { return Ok(Made::Refused) };
        // LemonLDAP::NG counts in seconds.
        let begun = told.unwrap_or(Millis(self.cache.now().0 / 1000 * 1000));
        let opening = self.opening(&id, kind, begun, changes);
        let ticket = ticket(application, &id);
        Ok(match self.cache.open_foreign(&ticket, begun, &opening, application).await? {
            OpenForeign::Opened(session) => {
                let upon = Upon::one(session.handle);
                audit::done(by.client, by.caller, "a session of LemonLDAP::NG was made", upon);
                Made::Made(Self::kept(&id, kind, session))
            }
            OpenForeign::Exists | OpenForeign::Ended(_) | OpenForeign::LoggedOut(_) => Made::Refused,
        })
    }

    /// Ends a session of this kind. Whether there was one.
    pub(super) async fn end(&self, by: By<'_>, id: &Id, kind: Kind) -> Result<bool, Unavailable> {
        let Some(kept) = self.session(by, id, kind).await? else { return Ok(false) };
        let from = Some(by.caller.address.to_canonical());
        let ending = Ending { from, ..Ending::new(self.cache.now(), Why::Logout, &by.client.id) };
        let application = self.application(kind);
        let ended = match kind {
            Kind::Persistent => self.cache.end_life(&ticket(application, id), ending).await?,
            _ => self.cache.end(&kept.session, ending, application).await?,
        };
        audit::done(
            by.client,
            by.caller,
            "a session of LemonLDAP::NG was ended",
            Upon::one(kept.session.handle),
        );
        Ok(ended == Ended::Now)
    }

    /// The id of the session whose cookie holds this.
    pub(super) fn id_in(&self, cookie: &Id) -> Id {
        if self.settings.hashed { cookie.hashed() } else { cookie.clone() }
    }
}

fn ticket(application: &Application, id: &Id) -> Ticket {
    Ticket::of_foreign(&application.realm.id, id.as_str())
}

/// An id that nobody can guess.
fn random_id() -> Option<Id> {
    match Secret::random() {
        Ok(random) => Some(Id::from_random(random.expose())),
        Err(error) => {
            tracing::error!(%error, "no session of LemonLDAP::NG can be made");
            None
        }
    }
}

/// The kind of a session, if it exists for the client.
fn kind_for(by: By<'_>, session: &Session) -> Option<Kind> {
    kind_of(session).filter(|_| by.client.knows(session))
}

/// Whose session it is that says so.
fn owner(value: &Value) -> Option<Principal> {
    value.as_text().filter(|name| !name.is_empty()).map(|name| Principal::named(ISSUER, name))
}

/// What no client sets.
pub(super) fn is_ours(name: &str) -> bool {
    matches!(name, SESSION_ID | SESSION_KIND | REVISION | BEFORE)
}

//! Sessions that come back after storage has lost them.
//!
//! Beside its ticket a visitor may hold a sealed [`Recovery`]. It counts for something only where storage says that the
//! session is *absent*: not where it was ended, and not where storage cannot say. Then logout data is asked, which must not
//! be lost with the sessions, and what is not over there is written anew, under its handle, for the same ticket.
//!
//! **Absent is not over.** A copy of a session whose record is gone is dropped, and nothing else: nobody writes that the
//! session ended because its record is missing, however many nodes have copies of it.
//!
//! **What an end leaves.** The tombstone of a session lies with the sessions, and is lost with them. So the end of one that
//! may come back is noted in logout data too, before its tombstone is there, for as long as anything that its visitor holds
//! could be worth something. An end and a recovery that meet: the recovery looks again after it has written the record.
//!
//! **What a renewal leaves.** What was sealed beside an older ticket must not bring it back: who planted or stole that ticket
//! may have both. So a renewal notes the older ticket, by its hash, before it is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use parking_lot::RwLock;
use session::{Ending, Handle, Millis, Recovery, SecretHash, Session, Ticket, Why};
use storage::{Burial, Create, Key, NewRecord, Read, Times, Unavailable, WriteId};

use crate::Cache;
use crate::application::{Application, Realm};
use crate::find::{Absence, Find, Standing, standing};
use crate::outbox::due::{Target, Waiting};
use crate::purpose::Purpose;
use crate::revocations::RENEWED;

/// How many bytes of the hash of a secret name it.
const NAMED_BY: usize = 8;

/// The realms whose sessions may come back.
#[derive(Debug, Default)]
pub(crate) struct Recoverable {
    realms: RwLock<Vec<Arc<str>>>,
    /// Spares the lock those who have none.
    is_any: AtomicBool,
    /// Whether they do so, and are served, also while logout data cannot be asked.
    is_soft: AtomicBool,
}

impl Recoverable {
    pub(crate) fn is_any(&self) -> bool {
        self.is_any.load(Ordering::Acquire)
    }

    pub(crate) fn is_realm(&self, realm: &str) -> bool {
        self.is_any() && self.realms.read().iter().any(|known| **known == *realm)
    }
}

impl Cache {
    /// Sessions of this realm may come back from what their visitors hold, from now on. `danger_is_soft`: of any realm, also
    /// while nobody can say whether they were ended.
    pub fn allow_recovery(&self, realm: &Realm, danger_is_soft: bool) {
        let mut realms = self.recoverable.realms.write();
        if !realms.contains(&realm.id) {
            realms.push(Arc::clone(&realm.id));
        }
        self.recoverable.is_any.store(true, Ordering::Release);
        self.recoverable.is_soft.store(danger_is_soft, Ordering::Release);
    }

    /// What a visitor holds from now on so that `session`, last used at `touched`, can come back, with the entries of these
    /// names. `None` if nothing is worth it: it has none of them, or its end would not be remembered.
    #[must_use]
    pub fn recovery_of(
        &self,
        session: &Session,
        names: &[Box<str>],
        touched: Millis,
        application: &Application,
    ) -> Option<Recovery> {
        let kept = Recovery::of(session, names).filter(|kept| kept.is_recoverable)?;
        let good_until = application.realm.buried_until(session.begun, touched);
        Some(Recovery { session: kept.into(), touched, good_until })
    }

    /// As [`Cache::find`]; if storage has lost the session, it comes back by what `look` finds that its visitor holds. That
    /// is only looked for then.
    pub async fn find_or_recover(
        &self,
        purpose: Purpose,
        ticket: &Ticket,
        application: &Application,
        look: impl Future<Output = Option<Recovery>>,
    ) -> Result<Find, Unavailable> {
        // A copy that goes because the record is gone knows of later uses.
        let used = self.tier.held(&ticket.handle).map(|held| held.seen.last());
        let answer = self.find_for(purpose, ticket, application).await?;
        if !matches!(answer, Find::Absent(Absence::Unknown)) {
            return Ok(answer);
        }
        match look.await {
            Some(recovery) if proves(&recovery.session, ticket) => {
                self.recover(purpose, ticket, &recovery, used, application).await
            }
            _ => Ok(answer),
        }
    }

    async fn recover(
        &self,
        purpose: Purpose,
        ticket: &Ticket,
        recovery: &Recovery,
        used: Option<Millis>,
        application: &Application,
    ) -> Result<Find, Unavailable> {
        let (session, realm) = (&recovery.session, &application.realm);
        self.outbox.check_ticket(ticket, self.storage.id())?;
        self.outbox.check_session(session, self.storage.id())?;
        match self.past(session).await? {
            Past::Open => {}
            Past::Renewed => return Ok(Find::Absent(Absence::WrongSecret)),
            Past::Over(ending) => return Ok(Find::Ended(ending)),
        }
        let now = self.clock.now();
        let touched = used.map_or(recovery.touched, |used| used.max(recovery.touched));
        // Between two seals it may have been used without a trace.
        match standing(session, touched, realm.touch_interval, &self.revocations, application, now) {
            // The time-outs were shorter when it was sealed, and nobody remembers any more whether it was ended since.
            Standing::Live if now >= recovery.good_until => return Ok(Find::Absent(Absence::Unknown)),
            Standing::Live => {}
            Standing::OtherRealm => return Ok(Find::Absent(Absence::OtherRealm)),
            Standing::OverHere => return Ok(Find::Absent(Absence::OverHere)),
            Standing::Over(why) => {
                let ending = Ending::new(now, why, "time");
                self.end_now(
                    &Session { is_recoverable: true, ..Session::clone(session) },
                    realm,
                    ending.clone(),
                )
                .await?;
                return Ok(Find::Ended(ending));
            }
        }
        let touched = if purpose.is_use { now } else { touched };
        if let Some(ending) = self.write_anew(session, application, touched).await? {
            return Ok(Find::Ended(ending));
        }
        // As everybody finds it, whoever wrote it.
        self.find_for(purpose, ticket, application).await
    }

    /// Writes the record, unless somebody was faster; how the session ended, if it did meanwhile.
    async fn write_anew(
        &self,
        session: &Session,
        application: &Application,
        touched: Millis,
    ) -> Result<Option<Ending>, Unavailable> {
        let (handle, realm, now) = (&session.handle, &application.realm, self.clock.now());
        let session = Session { is_recoverable: true, ..session.clone() };
        let times = Self::times(realm, &session, touched);
        if let Err(error) = self.enter_all(&session, realm, times.expires).await {
            self.overlook(&session, error)?;
        }
        let (key, value) = (self.key(handle)?, Bytes::from(session::record::encode(&session)));
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        let create = self.storage.create(&key, NewRecord::new(value, times, write));
        let version = match self.tier.attempt(handle, create).await? {
            Create::Created(version) => version,
            Create::Exists => return Ok(None),
            Create::Buried(tombstone) => return Ok(Some(tombstone.ending)),
        };
        // It may have been ended, and storage have lost that too, since logout data was asked.
        let until = Some(realm.buried_until(session.begun, now));
        match self.past(&session).await {
            Ok(Past::Open) => {}
            Ok(Past::Over(ending)) => {
                self.bury(handle, Burial { until, ending: ending.clone(), expected: None }).await?;
                return Ok(Some(ending));
            }
            answer @ (Ok(Past::Renewed) | Err(_)) => {
                // Nobody was told of it: it goes as it came, and is not over.
                let ending = Ending::new(now, Why::Replaced, "");
                let burial = Burial { until: None, ending, expected: Some(version) };
                self.tier.attempt(handle, self.storage.bury(&key, burial)).await?;
                self.tier.end(handle);
                return answer.map(|_| None);
            }
        }
        self.confirm_entry(&session, realm, now).await;
        self.counters.recovered.inc();
        tracing::info!(%handle, "storage had lost a session, and it came back from its visitor's recovery cookie");
        Ok(None)
    }

    /// What logout data says of a session that storage has lost.
    async fn past(&self, session: &Session) -> Result<Past, Unavailable> {
        let asked = async {
            self.ask_about(session).await?;
            self.was_renewed(&session.handle, &session.secret).await
        };
        let was_renewed = match asked.await {
            Ok(was_renewed) => was_renewed,
            Err(error) => {
                self.overlook(session, error)?;
                false
            }
        };
        let gone = self.revocations.gone(&session.handle).filter(|gone| gone.why != Why::Moved);
        Ok(match gone.map(crate::revocations::Gone::ending).or_else(|| self.left_behind(session)) {
            Some(ending) => Past::Over(ending),
            None if was_renewed => Past::Renewed,
            None => Past::Open,
        })
    }

    /// Goes on without logout data, with what is known of it, where that is what was chosen.
    pub(crate) fn overlook(&self, session: &Session, error: Unavailable) -> Result<(), Unavailable> {
        if !self.recoverable.is_soft.load(Ordering::Acquire) || !self.recoverable.is_realm(&session.realm) {
            return Err(error);
        }
        tracing::warn!(
            %error, handle = %session.handle,
            "nobody can say whether a session was ended; it is served all the same (`danger_soft_revocation`)"
        );
        Ok(())
    }

    /// Before anything is buried of which it is not known whose it is.
    pub(crate) async fn note_any_end(&self, handle: &Handle, burial: &Burial) -> Result<(), Unavailable> {
        if self.recoverable.is_any() { self.note_end(handle, burial).await } else { Ok(()) }
    }

    /// Before a session is buried that may come back.
    pub(crate) async fn mark_end(&self, session: &Session, burial: &Burial) -> Result<(), Unavailable> {
        if session.is_recoverable || self.recoverable.is_realm(&session.realm) {
            self.note_end(&session.handle, burial).await?;
        }
        Ok(())
    }

    /// After a session was buried that may come back. If it cannot be noted the end waits, and nobody is told of it.
    pub(crate) async fn remember_end(&self, session: &Session, burial: Burial) -> Result<(), Unavailable> {
        let Err(failed) = self.mark_end(session, &burial).await else { return Ok(()) };
        self.tier.end(&session.handle);
        let waiting = Waiting::Burial(Burial { expected: None, ..burial });
        Err(self.wait(Target::Session(session.handle), waiting, failed).await)
    }

    pub(crate) async fn note_end(&self, handle: &Handle, burial: &Burial) -> Result<(), Unavailable> {
        match burial.until {
            Some(until) => self.revoke(handle, &burial.ending, until).await.map(drop),
            None => Ok(()),
        }
    }

    /// Before a ticket is renewed: what was sealed beside it brings nothing back any more.
    pub(crate) async fn outdate_recovery(
        &self,
        handle: &Handle,
        secret: &SecretHash,
        realm: &str,
    ) -> Result<(), Unavailable> {
        if !self.recoverable.is_realm(realm) {
            return Ok(());
        }
        let now = self.clock.now();
        let times = Times { touched: now, expires: self.all_over_at(now) };
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        let new = NewRecord { is_end: true, ..NewRecord::new(Bytes::new(), times, write) };
        self.storage.create(&self.renewed_key(handle, secret)?, new).await.map(drop)
    }

    async fn was_renewed(&self, handle: &Handle, secret: &SecretHash) -> Result<bool, Unavailable> {
        Ok(match self.storage.read(&self.renewed_key(handle, secret)?, None).await? {
            Read::Found(_) | Read::Unchanged(_) | Read::Buried(_) => true,
            Read::Absent => false,
        })
    }

    fn renewed_key(&self, handle: &Handle, secret: &SecretHash) -> Result<Key, Unavailable> {
        let named_by: String =
            secret.as_bytes().iter().take(NAMED_BY).map(|byte| format!("{byte:02x}")).collect();
        Key::new(RENEWED, format!("{handle}.{named_by}").as_bytes()).map_err(|error| self.unavailable(error))
    }
}

/// What became of a session before storage lost it.
enum Past {
    /// Nothing that anybody knows of.
    Open,
    /// It has another ticket since.
    Renewed,
    Over(Ending),
}

/// Whether a ticket is the one for this session.
fn proves(session: &Session, ticket: &Ticket) -> bool {
    session.handle == ticket.handle && session.secret == ticket.secret.hash()
}

/// Whether a record of a renewed ticket can have this name.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let parts = std::str::from_utf8(name).ok().and_then(|name| name.split_once('.'));
    parts.is_some_and(|(handle, secret)| {
        handle.parse::<Handle>().is_ok()
            && secret.len() == 2 * NAMED_BY
            && secret.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

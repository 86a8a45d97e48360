//! Finding the session of a ticket.

use std::sync::Arc;
use std::time::Duration;

use session::{Carried, Ending, Judgement, Kinship, Millis, Secret, SecretHash, Session, Ticket, Why};
use storage::{Read, Unavailable};

use crate::Cache;
use crate::application::Application;
use crate::held::Held;
use crate::purpose::Purpose;
use crate::renew::SUCCESSOR;
use crate::revocations::Revocations;
use crate::tier::Kept;

/// How often a session that changes all the time is read again before it is served as it was read.
const MAX_READS: usize = 16;

/// What a ticket is worth.
#[derive(Debug)]
pub enum Find {
    /// It opens this session.
    Found(Found),
    /// It opens nothing here.
    Absent(Absence),
    /// Its session was ended, and is over everywhere.
    Ended(Ending),
}

/// A session that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The session as it is now; nothing changes it under its reader.
    pub session: Arc<Session>,
    /// The ticket that followed the one that was presented: tell the visitor.
    pub successor: Option<Ticket>,
    /// What the visitor carries from now on, if that is not what they came with.
    pub refreshed: Option<Arc<Carried>>,
}

/// Why a ticket opens nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// Nobody knows its handle, or no longer.
    Unknown,
    /// The handle is right and the secret is not.
    WrongSecret,
    /// It belongs to another realm.
    OtherRealm,
    /// It is over for this application, but not for another one of its realm.
    OverHere,
    /// Its visitor has logged in since, and carries another session.
    Replaced,
}

impl Absence {
    /// Every one.
    pub const ALL: [Self; 5] =
        [Self::Unknown, Self::WrongSecret, Self::OtherRealm, Self::OverHere, Self::Replaced];

    /// The name of the reason in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::OtherRealm => "other_realm",
            Self::OverHere => "over_here",
            Self::Replaced => "replaced",
        }
    }
}

/// What a session that is there is worth to who asks.
enum Verdict {
    Found(Found, Proof),
    Absent(Absence),
    /// Over for all of its realm, for this reason.
    Over(Why),
}

/// What somebody holds of a session that they may use.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// Its ticket.
    Current,
    /// The one before.
    Previous,
}

impl Cache {
    /// Finds the session of `ticket` for `application`, and counts as a use of it.
    ///
    /// From the first tier this takes no lock of its own, allocates nothing, and does no I/O.
    pub async fn find(&self, ticket: &Ticket, application: &Application) -> Result<Find, Unavailable> {
        self.find_for(Purpose::USE, ticket, application).await
    }

    /// As [`Cache::find`], for another purpose.
    pub async fn find_for(
        &self,
        purpose: Purpose,
        ticket: &Ticket,
        application: &Application,
    ) -> Result<Find, Unavailable> {
        let now = self.clock.now();
        self.outbox.check_ticket(ticket, self.storage.id())?;
        let held = self.tier.held(&ticket.handle);
        if let Some(held) = &held
            && self.is_believed(held)
            && let Some(found) = self.find_held(held, ticket, application, now, purpose)
        {
            self.outbox.check_session(&found.session, self.storage.id())?;
            return Ok(Find::Found(found));
        }
        let has_copy = held.as_ref().is_some_and(|held| self.is_good(held, now));
        let asking = self.find_in_storage(ticket, application, now, held, purpose);
        let answer = if has_copy { self.ask_briefly(asking).await } else { asking.await };
        if answer.is_err() {
            self.trust.ask_in_vain();
            // While storage was asked it may have ended here.
            self.outbox.check_ticket(ticket, self.storage.id())?;
            if self.may_go_by_what_was_heard()
                && let Some(held) = self.tier.held(&ticket.handle)
                && let Some(found) = self.find_held(&held, ticket, application, now, purpose)
            {
                self.outbox.check_session(&found.session, self.storage.id())?;
                return Ok(Find::Found(found));
            }
        }
        self.counters.count_find(&answer);
        answer
    }

    /// What a copy is worth that nobody has doubted.
    fn find_held(
        &self,
        held: &Held,
        ticket: &Ticket,
        application: &Application,
        now: Millis,
        purpose: Purpose,
    ) -> Option<Found> {
        let is_good = self.is_good(held, now);
        match is_good.then(|| judge(held, ticket, &self.revocations, application, now, purpose))? {
            Verdict::Found(found, proof) => {
                self.counters.found_first.inc();
                if purpose.is_use {
                    self.mark(held, proof, application, now);
                }
                Some(found)
            }
            Verdict::Absent(_) | Verdict::Over(_) => None,
        }
    }

    /// Whether a copy is one that nobody has doubted.
    fn is_good(&self, held: &Held, now: Millis) -> bool {
        held.is_current()
            && now.since(held.seen.last()) < self.settings.inproc_timeout
            && self.revocations.is_known()
    }

    async fn find_in_storage(
        &self,
        ticket: &Ticket,
        application: &Application,
        now: Millis,
        mut earlier: Option<Held>,
        purpose: Purpose,
    ) -> Result<Find, Unavailable> {
        let key = self.key(&ticket.handle)?;
        for attempt in 1.. {
            let registration = self.tier.register(ticket.handle);
            let record = match self.storage.read(&key, None).await? {
                Read::Found(record) => record,
                // Before anybody is told: what one request was told is over must not be found by the next.
                Read::Buried(tombstone) => {
                    self.tier.end(&ticket.handle);
                    // If it was carried before, this node may not have heard yet that older cookies of it are worthless.
                    self.heads.doubt_about(&ticket.handle);
                    return Ok(Find::Ended(tombstone.ending));
                }
                Read::Absent | Read::Unchanged(_) => {
                    self.tier.end(&ticket.handle);
                    return Ok(Find::Absent(Absence::Unknown));
                }
            };
            if let Some(ending) = self.ended_lately(&ticket.handle).await? {
                self.tier.end(&ticket.handle);
                return Ok(Find::Ended(ending));
            }
            let held = Held::read(&record, self.storage.id())?;
            let mut held = self.tier.fitted(held, &application.realm);
            if let Err(error) = self.know_revocations_of(&held.session).await {
                self.overlook(&held.session, error)?;
            }
            if let Some(earlier) = &earlier {
                // This process knows of every use, if nobody else serves the session.
                held.is_exact = earlier.is_exact && self.is_alone();
                held.seen = Arc::clone(&earlier.seen);
                held.seen.mark(record.times.touched);
            } else {
                // Whoever wrote that may have done so only now.
                held.seen.was_written_at(record.times.touched.plus(self.gathers_at_most(application)));
            }
            match judge(&held, ticket, &self.revocations, application, now, purpose) {
                Verdict::Found(found, proof) => {
                    if purpose.is_use {
                        // From now on this process knows of every use, if nobody else serves it.
                        held.seen.mark(now);
                        held.is_exact = self.is_alone();
                    }
                    // Only who proved to have the ticket brings a session into memory.
                    let (held, kept) = registration.keep(held);
                    match kept {
                        Kept::Yes => {}
                        Kept::Older if attempt >= MAX_READS => {}
                        // The next read sees what this copy did not: the newer version, or the tombstone.
                        Kept::Older | Kept::Ended => continue,
                    }
                    self.outbox.check_ticket(ticket, self.storage.id())?;
                    self.outbox.check_session(&held.session, self.storage.id())?;
                    if purpose.is_use {
                        self.mark(&held, proof, application, now);
                    }
                    return Ok(Find::Found(found));
                }
                Verdict::Absent(absence) => return Ok(Find::Absent(absence)),
                Verdict::Over(why) => {
                    drop(registration);
                    // Somebody may have used it while storage was asked: that one was told that it is live.
                    if why != Why::Theft
                        && let Some(used) = self.tier.held(&ticket.handle)
                        && used.seen.last() > held.seen.last()
                    {
                        earlier = Some(used);
                        continue;
                    }
                    let ending = match why {
                        Why::Theft => Ending::new(now, why, "an old ticket"),
                        _ => {
                            let (_, over_at) = self.bounds_of(&held);
                            self.ending_for(&held.session, why, over_at).await
                        }
                    };
                    if why == Why::Theft {
                        tracing::warn!(
                            handle = %ticket.handle, realm = &*application.realm.id,
                            "an old ticket was used after the one that followed it: one of both is in other hands than its \
                             visitor's. The session is ended"
                        );
                    }
                    self.end_now(&held.session, &application.realm, ending.clone()).await?;
                    return Ok(Find::Ended(ending));
                }
            }
        }
        // Only to end the loop for the compiler: attempts are not that many.
        Ok(Find::Absent(Absence::Unknown))
    }

    /// Notes a use, and has it written if that is due.
    fn mark(&self, held: &Held, proof: Proof, application: &Application, now: Millis) {
        held.seen.mark(now);
        if proof == Proof::Current {
            self.note_ticket(&held.session, application);
        }
        if held.seen.is_due(now, application.touch_interval) {
            self.touch(&held.session, &held.seen, application, now);
        }
    }
}

fn judge(
    held: &Held,
    ticket: &Ticket,
    revocations: &Revocations,
    application: &Application,
    now: Millis,
    purpose: Purpose,
) -> Verdict {
    let session = &held.session;
    let (proof, successor) = match session.kinship(ticket.secret.hash(), now) {
        Kinship::Current => (Some(Proof::Current), None),
        Kinship::Previous([]) => (Some(Proof::Previous), None),
        Kinship::Previous(sealed) => match unseal(session, &ticket.secret, sealed) {
            Some(successor) => (Some(Proof::Previous), Some(successor)),
            None => return Verdict::Absent(Absence::WrongSecret),
        },
        Kinship::Outlived if purpose.accuses => (None, None),
        Kinship::Outlived | Kinship::None => return Verdict::Absent(Absence::WrongSecret),
    };
    let grace = if held.is_exact { Duration::ZERO } else { application.realm.lateness };
    match (standing(session, held.seen.last(), grace, revocations, application, now), proof) {
        (Standing::Live, Some(proof)) => {
            let session = Arc::clone(session);
            Verdict::Found(Found { session, successor, refreshed: None }, proof)
        }
        (Standing::Live | Standing::OverHere, None) => Verdict::Over(Why::Theft),
        (Standing::OtherRealm, _) => Verdict::Absent(Absence::OtherRealm),
        (Standing::OverHere, Some(_)) => Verdict::Absent(Absence::OverHere),
        (Standing::Over(why), _) => Verdict::Over(why),
    }
}

/// What a session is worth to an application, whoever asks.
pub(crate) enum Standing {
    Live,
    OtherRealm,
    /// Over for this application only.
    OverHere,
    /// Over for all of its realm.
    Over(Why),
}

/// Judges a session that was last used at `touched`, or so much later as `grace`.
pub(crate) fn standing(
    session: &Session,
    touched: Millis,
    grace: Duration,
    revocations: &Revocations,
    application: &Application,
    now: Millis,
) -> Standing {
    if !application.realm.has(session) {
        return Standing::OtherRealm;
    }
    if revocations.behind(session).is_some() {
        return Standing::Over(Why::Revoked);
    }
    // Its tombstone may be lost, and the record be back, as after a failover.
    if session.is_recoverable
        && let Some(gone) = revocations.gone(&session.handle).filter(|gone| gone.why != Why::Moved)
    {
        return Standing::Over(gone.why);
    }
    if session.ends.is_some_and(|ends| now >= ends) {
        return Standing::Over(Why::Lifetime);
    }
    let why = match application.timeouts.judge(session.begun, touched, now, grace) {
        Judgement::Live => return Standing::Live,
        Judgement::Idle => Why::Idle,
        Judgement::Lifetime => Why::Lifetime,
    };
    if now >= application.realm.over_at(session.begun, touched, grace) {
        Standing::Over(why)
    } else {
        Standing::OverHere
    }
}

/// Whether this was the hash of a ticket of the session at that time.
pub(crate) fn is_ticket_at(session: &Session, presented: &SecretHash, at: Millis) -> bool {
    matches!(session.kinship(*presented, at), Kinship::Current | Kinship::Previous(_))
}

/// The ticket that follows the one with this secret.
pub(crate) fn unseal(session: &Session, secret: &Secret, sealed: &[u8]) -> Option<Ticket> {
    let opened = seal::open_under(secret.expose(), SUCCESSOR, sealed).ok()?;
    let successor = Secret::from_bytes(opened.try_into().ok()?);
    Some(Ticket { handle: session.handle, secret: successor })
}

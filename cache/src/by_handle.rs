//! Changing, keeping and renewing a session by its handle: for programs that were given no ticket.
//!
//! They act for the realm of the session, and not for one of its applications. Only what is live is changed.

use std::sync::Arc;
use std::time::Duration;

use session::{Handle, OnConflict, Patch, Previous, Revision, Secret, Session, Ticket, Timeouts};
use storage::{Touch, Unavailable};

use crate::Cache;
use crate::application::Application;
use crate::held::Seen;
use crate::patch::{Changed, Step, TooLarge};
use crate::show::Shown;

/// How often a ticket is renewed against others who renew it too.
const MAX_ROUNDS: usize = 8;

/// What became of a change by handle.
#[derive(Debug)]
pub enum Amended {
    /// The session is this now.
    Done(Arc<Session>),
    /// It was not done: the session is this, and at no revision that was expected.
    Behind(Arc<Session>),
    /// It was not done: the session is this, and somebody else has changed these names meanwhile.
    Conflict(Arc<Session>, Box<[Box<str>]>),
    /// It was not done: there is no room for so many entries.
    Full,
    /// It was not done: the session would be larger than storage takes.
    TooLarge(TooLarge),
    /// No live session on the server has this handle, or its realm has no application here.
    Gone,
}

/// What became of a renewal by handle.
#[derive(Debug)]
pub enum Reissued {
    /// The session has this ticket now.
    Renewed(Ticket),
    /// No live session on the server has this handle, or its realm has no application here.
    Gone,
}

impl Cache {
    /// Makes all of the changes that `patch` makes of the session as it is, or none; only if it is at one of the
    /// revisions `expected`, if any are. Who changes a session uses it.
    pub async fn amend(
        &self,
        handle: &Handle,
        expected: Option<&[Revision]>,
        patch: impl Fn(&Session) -> Patch,
    ) -> Result<Amended, Unavailable> {
        let Some((_, judge)) = self.shown_with_judge(handle).await? else { return Ok(Amended::Gone) };
        let changed = self.change(handle, &judge, |current| {
            if expected.is_some_and(|expected| !expected.contains(&current.revision)) {
                return Step::Leave(Outcome::Behind);
            }
            let mut next = Session::clone(current);
            let merge = next.apply(&patch(current), OnConflict::Refuse);
            if !merge.conflicts.is_empty() {
                // Whoever asked is told with the answer, and nobody else need be.
                Step::Leave(Outcome::Conflict(merge.conflicts.into()))
            } else if !merge.refused.is_empty() {
                Step::Leave(Outcome::Full)
            } else if merge.changed {
                Step::Write(Box::new(next), Outcome::Done)
            } else {
                Step::Leave(Outcome::Done)
            }
        });
        Ok(match changed.await? {
            Changed::Done(session, Outcome::Done) => {
                self.counters.patched.inc();
                Amended::Done(session)
            }
            Changed::Done(session, Outcome::Behind) => Amended::Behind(session),
            Changed::Done(session, Outcome::Conflict(names)) => {
                self.counters.conflicts.inc_by(names.len() as u64);
                Amended::Conflict(session, names)
            }
            Changed::Done(_, Outcome::Full) => Amended::Full,
            Changed::TooLarge(too_large) => Amended::TooLarge(too_large),
            // Only what is carried moves.
            Changed::Moved(..) | Changed::Absent | Changed::Ended(_) => Amended::Gone,
        })
    }

    /// Counts as a use of a session: it is not idle from now on, and storage knows. `None` if no live one has this handle.
    pub async fn keep(&self, handle: &Handle) -> Result<Option<Shown>, Unavailable> {
        let Some((shown, judge)) = self.shown_with_judge(handle).await? else { return Ok(None) };
        let now = self.clock.now().max(shown.last_seen);
        let times = Self::times(&judge.realm, &shown.session, now);
        let held = self.tier.held(handle);
        let seen = held.map_or_else(|| Arc::new(Seen::at(now)), |held| Arc::clone(&held.seen));
        // Before the record, so that its time says what the entry has.
        if let Some(prolongation) = self.prolongation(&shown.session, &seen, times.expires, &judge.realm) {
            prolongation.write().await;
        }
        let key = self.key(handle)?;
        match self.tier.attempt(handle, self.storage.touch(&key, times)).await? {
            Touch::Touched => {
                seen.mark(now);
                seen.wrote(now);
                self.counters.touched.inc();
                Ok(Some(Shown { last_seen: now, ..shown }))
            }
            Touch::Absent | Touch::Buried(_) => {
                self.tier.end(handle);
                Ok(None)
            }
        }
    }

    /// Gives a session another ticket. The one before is good for `renew_window`, for requests that are under way, and is
    /// told nothing; not at all, if it `is_revoked`.
    pub async fn reissue(&self, handle: &Handle, is_revoked: bool) -> Result<Reissued, Unavailable> {
        for _ in 0..MAX_ROUNDS {
            let Some((shown, judge)) = self.shown_with_judge(handle).await? else {
                return Ok(Reissued::Gone);
            };
            let before = shown.session.secret;
            let secret = Secret::random().map_err(|error| self.unavailable(error))?;
            let (hash, now) = (secret.hash(), self.clock.now());
            let until = now.plus(self.settings.renew_window);
            self.outdate_recovery(handle, &before, &judge.realm.id).await?;
            let changed = self.change(handle, &judge, |current| {
                if current.secret != before {
                    return Step::Leave(false);
                }
                let mut next = Session::clone(current);
                let previous = || Previous { secret: before, until, successor: Box::default() };
                next.previous = (!is_revoked).then(previous);
                next.lineage = None;
                next.secret = hash;
                next.revision = current.revision.next();
                Step::Write(Box::new(next), true)
            });
            match changed.await? {
                Changed::Done(_, true) => {
                    self.counters.renewed.inc();
                    return Ok(Reissued::Renewed(Ticket { handle: *handle, secret }));
                }
                // Somebody else has renewed it meanwhile.
                Changed::Done(_, false) => {}
                Changed::Moved(..) | Changed::Absent | Changed::Ended(_) => return Ok(Reissued::Gone),
                Changed::TooLarge(error) => return Err(self.unavailable(error)),
            }
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} others renewed this ticket meanwhile")))
    }

    /// A live session, and the bounds of its realm by which it is changed.
    async fn shown_with_judge(&self, handle: &Handle) -> Result<Option<(Shown, Application)>, Unavailable> {
        let Some(shown) = self.show(handle).await? else { return Ok(None) };
        let judge = self.judges(&shown.session.realm).into_iter().next();
        Ok(judge.map(|judge| (shown, judge)))
    }

    /// Everybody by whom sessions of a realm are judged here: a session is live if it is so for one of them. Nobody, if the realm
    /// has no application here.
    #[must_use]
    pub fn judges(&self, realm: &str) -> Vec<Application> {
        let Some(realm) = self.realm(realm) else { return Vec::new() };
        let touch_interval = realm.touch_interval;
        let judge = |timeouts: &Timeouts| Application {
            realm: Arc::clone(&realm),
            timeouts: *timeouts,
            touch_interval,
            renew_interval: Duration::ZERO,
        };
        realm.timeouts.iter().map(judge).collect()
    }
}

enum Outcome {
    Done,
    Behind,
    Conflict(Box<[Box<str>]>),
    Full,
}

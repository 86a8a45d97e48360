//! Changing what a session holds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use session::{Conflict, Ending, Handle, Merge, OnConflict, Patch, Session, Ticket, Why};
use storage::{Burial, Bury, NewValue, Read, Unavailable, Update, WriteId};
use tokio::time::sleep;

use crate::Cache;
use crate::application::Application;
use crate::carried::Fit;
use crate::held::Held;

/// How often a write is tried against others. In each round one of them wins, so that many writers are served.
pub(crate) const MAX_ROUNDS: usize = 256;

/// After so many rounds that others won, a writer waits a little before it reads again: of several that write without pause,
/// one could lose all its rounds otherwise, and all of them would spend their time on losing.
const FAST_ROUNDS: usize = 8;

/// The longest such pause.
const LONGEST_PAUSE: Duration = Duration::from_millis(16);

/// What a patch did.
#[derive(Debug)]
pub enum Patched {
    /// It was merged; the session is now this. What was not taken is in the merge, and is told to the application
    /// with its next request.
    Merged(Arc<Session>, Merge),
    /// It was merged, and the session is on the server from now on: its visitor has this ticket.
    Moved(Arc<Session>, Ticket, Merge),
    /// It left nothing of a session that belonged to nobody: the session was ended.
    Emptied,
    /// The session is not there, or no longer.
    Absent,
    /// The session was ended meanwhile. Late writes bring nothing back (law 1).
    Ended(Ending),
    /// The session would not fit, by the caller's own measure. It stays as it is.
    Unfit,
    /// The session would be larger than storage takes.
    TooLarge(TooLarge),
}

/// What becomes of a session that a patch was applied to.
pub(crate) enum Fate {
    Kept,
    Emptied,
    Refused,
}

/// A session would be larger than storage takes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the session would have {bytes} bytes, and its storage takes {max}")]
pub struct TooLarge {
    bytes: usize,
    max: usize,
}

/// What to do with a session that was read in order to change it.
pub(crate) enum Step<T> {
    /// Write it, and answer this.
    Write(Box<Session>, T),
    /// Write it on the server, where its visitor carries it now, and answer this.
    Move(Box<Session>, T),
    /// End this version of it, and answer this.
    End(Ending, T),
    /// Leave it, and answer this.
    Leave(T),
}

/// What became of a change.
pub(crate) enum Changed<T> {
    Done(Arc<Session>, T),
    /// It was carried, and is on the server now.
    Moved(Arc<Session>, Ticket, T),
    Absent,
    Ended(Ending),
    TooLarge(TooLarge),
}

impl Cache {
    /// Applies `patch` to a session that was found for `application`.
    pub async fn patch(
        &self,
        handle: &Handle,
        patch: &Patch,
        on_conflict: OnConflict,
        application: &Application,
    ) -> Result<Patched, Unavailable> {
        self.patch_if(handle, patch, on_conflict, application, |_| true).await
    }

    /// As [`Cache::patch`], unless the session would become one that does not fit: then it stays as it is, and its
    /// application is told of every name in the patch with its next request.
    pub async fn patch_if(
        &self,
        handle: &Handle,
        patch: &Patch,
        on_conflict: OnConflict,
        application: &Application,
        fits: impl Fn(&Session) -> bool,
    ) -> Result<Patched, Unavailable> {
        let fits = |session: &Session| if fits(session) { Fit::Fits } else { Fit::Unfit };
        let changed = self.change(handle, application, self.patching(patch, on_conflict, fits)).await?;
        Ok(self.patched(changed))
    }

    /// What a patch makes of a session.
    pub(crate) fn patching(
        &self,
        patch: &Patch,
        on_conflict: OnConflict,
        fits: impl Fn(&Session) -> Fit,
    ) -> impl FnMut(&Session) -> Step<(Merge, Fate)> {
        move |current| {
            let mut next = Session::clone(current);
            let merge = next.apply(patch, on_conflict);
            if !merge.changed {
                return Step::Leave((merge, Fate::Kept));
            }
            if next.is_void() && !current.is_void() && next.conflicts.is_empty() {
                // A conflict that was not told yet keeps it: its writer learns of it with the next request.
                let ending = Ending::new(self.clock.now(), Why::Emptied, "the application");
                return Step::End(ending, (merge, Fate::Emptied));
            }
            match fits(&next) {
                Fit::Moves if current.is_carried() => Step::Move(Box::new(next), (merge, Fate::Kept)),
                Fit::Unfit if fits(current) == Fit::Fits => {
                    let mut told = Session::clone(current);
                    told.refuse(patch);
                    Step::Write(Box::new(told), (merge, Fate::Refused))
                }
                Fit::Fits | Fit::Moves | Fit::Unfit => Step::Write(Box::new(next), (merge, Fate::Kept)),
            }
        }
    }

    pub(crate) fn patched(&self, changed: Changed<(Merge, Fate)>) -> Patched {
        let count = |merge: &Merge| {
            self.counters.patched.inc();
            self.counters.conflicts.inc_by(merge.conflicts.len() as u64);
        };
        match changed {
            Changed::Done(_, (_, Fate::Emptied)) => {
                self.counters.count_end(Why::Emptied);
                Patched::Emptied
            }
            Changed::Done(_, (_, Fate::Refused)) => Patched::Unfit,
            Changed::Done(session, (merge, Fate::Kept)) => {
                count(&merge);
                Patched::Merged(session, merge)
            }
            Changed::Moved(session, ticket, (merge, _)) => {
                count(&merge);
                Patched::Moved(session, ticket, merge)
            }
            Changed::Absent => Patched::Absent,
            Changed::Ended(ending) => Patched::Ended(ending),
            Changed::TooLarge(too_large) => Patched::TooLarge(too_large),
        }
    }

    /// The application was told of these conflicts: they need not be told again.
    pub async fn settle(
        &self,
        handle: &Handle,
        told: &[Conflict],
        application: &Application,
    ) -> Result<(), Unavailable> {
        self.change(handle, application, |current| {
            let mut next = Session::clone(current);
            if next.settle(told) { Step::Write(Box::new(next), ()) } else { Step::Leave(()) }
        })
        .await
        .map(drop)
    }

    /// Reads a session, has `step` say what it becomes, and writes that; again if somebody else was faster.
    pub(crate) async fn change<T>(
        &self,
        handle: &Handle,
        application: &Application,
        mut step: impl FnMut(&Session) -> Step<T>,
    ) -> Result<Changed<T>, Unavailable> {
        self.outbox.check(handle, self.storage.id())?;
        let key = self.key(handle)?;
        let registration = self.tier.register(*handle);
        let earlier = self.tier.held(handle);
        let mut current = earlier.clone().filter(|held| self.is_believed(held));
        // A write from a copy is measured against storage by its version; what writes nothing needs another measure,
        // if others may have written there and we have not heard of it yet.
        let mut is_measured = current.is_none() || self.is_alone();
        for round in 0..MAX_ROUNDS {
            let held = match current.take() {
                Some(held) => held,
                None => match self.storage.read(&key, None).await? {
                    Read::Found(record) => Held::read(&record, self.storage.id())?,
                    Read::Buried(tombstone) => return Ok(self.gone(handle, Changed::Ended(tombstone.ending))),
                    Read::Absent | Read::Unchanged(_) => return Ok(self.gone(handle, Changed::Absent)),
                },
            };
            self.outbox.check_session(&held.session, self.storage.id())?;
            self.know_revocations_of(&held.session).await?;
            if let Some(ending) = self.left_behind(&held.session) {
                return Ok(Changed::Ended(ending));
            }
            let (next, answer) = match step(&held.session) {
                Step::Leave(_) if !is_measured => {
                    is_measured = true;
                    continue;
                }
                Step::Leave(answer) => return Ok(Changed::Done(Arc::clone(&held.session), answer)),
                // It is there already.
                Step::Write(mut next, answer) | Step::Move(mut next, answer) => {
                    next.is_recoverable |= self.recoverable.is_realm(&next.realm);
                    (*next, answer)
                }
                Step::End(ending, answer) => {
                    let now = self.clock.now();
                    let until = Some(application.realm.buried_until(held.session.begun, now));
                    let burial = Burial { until, ending, expected: Some(held.version) };
                    match self.tier.attempt(handle, self.storage.bury(&key, burial.clone())).await? {
                        Bury::Buried(_) => {
                            self.remember_end(&held.session, burial).await?;
                            let done = Changed::Done(Arc::clone(&held.session), answer);
                            return Ok(self.gone(handle, done));
                        }
                        Bury::Conflict(_) => continue,
                    }
                }
            };
            let now = self.clock.now();
            let value = Bytes::from(session::record::encode(&next));
            let (bytes, max) = (value.len(), self.storage.capabilities().max_value);
            if bytes > max {
                return Ok(Changed::TooLarge(TooLarge { bytes, max }));
            }
            let times = Self::times(&application.realm, &next, now);
            // In each round: whoever was faster may have taken the value away, and its entry been found stale.
            self.enter_values(&next, Some(&held.session), &application.realm, times.expires).await?;
            let write = WriteId::random().map_err(|error| self.unavailable(error))?;
            let new = NewValue { expected: held.version, value, times: Some(times), write, is_end: false };
            match self.tier.attempt(handle, self.storage.update(&key, new)).await? {
                Update::Updated(version) => {
                    self.confirm_entry(&next, &application.realm, now).await;
                    let seen = earlier
                        .as_ref()
                        .map_or_else(|| Arc::clone(&held.seen), |held| Arc::clone(&held.seen));
                    seen.mark(now);
                    seen.wrote(now);
                    if held.session.principal.is_none() && next.principal.is_some() {
                        // Whoever logs in has entered it in the index before, for as long as it began to live then.
                        seen.enter(application.realm.record_expires(next.begun, next.begun));
                    }
                    if let Some(prolongation) =
                        self.prolongation(&next, &seen, times.expires, &application.realm)
                    {
                        tokio::spawn(prolongation.write());
                    }
                    let written = Held::new(next, version, seen);
                    let mut written = self.tier.fitted(written, &application.realm);
                    // Who writes a session uses it: from now on every use is known, if nobody else serves it.
                    written.is_exact = self.is_alone();
                    let (written, _) = registration.keep(written);
                    return Ok(Changed::Done(Arc::clone(&written.session), answer));
                }
                Update::Conflict(_) if round >= FAST_ROUNDS => give_way(round).await,
                Update::Conflict(record) => current = Some(Held::read(&record, self.storage.id())?),
                Update::Absent => return Ok(self.gone(handle, Changed::Absent)),
                Update::Buried(tombstone) => return Ok(self.gone(handle, Changed::Ended(tombstone.ending))),
            }
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} other writers of this session were faster")))
    }

    /// Takes the copy out before anybody is told that the session is gone: the next request must not find it.
    fn gone<T>(&self, handle: &Handle, changed: Changed<T>) -> Changed<T> {
        self.tier.end(handle);
        changed
    }
}

/// Waits for a moment that is another one for each writer, and may be longer the more rounds were lost.
async fn give_way(round: usize) {
    let bound = Duration::from_micros(250).saturating_mul(u32::try_from(round).unwrap_or(u32::MAX));
    sleep(bound.min(LONGEST_PAUSE).mul_f64(fastrand::f64())).await;
}

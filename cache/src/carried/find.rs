//! Finding the session that a visitor carries.

use std::sync::Arc;

use session::{Carried, Handle, Ticket, Why};
use storage::Unavailable;

use super::{follow, latest};
use crate::Cache;
use crate::application::Application;
use crate::find::{Absence, Find, Found, Standing, standing};
use crate::heads::Head;
use crate::purpose::Purpose;
use crate::revocations::Gone;

impl Cache {
    /// Finds the session that a visitor carries, for `application`, and counts as a use of it.
    ///
    /// This asks no storage but for what was written of the session in the last minute, where that is shared, and can do
    /// without for `trust_window`; and none at all where it is not. If the cookie is not up to date any more, [`Found::refreshed`] is what follows it.
    pub async fn find_carried(
        &self,
        carried: &Arc<Carried>,
        application: &Application,
    ) -> Result<Find, Unavailable> {
        self.find_carried_for(Purpose::USE, carried, application).await
    }

    /// As [`Cache::find_carried`], for another purpose.
    pub async fn find_carried_for(
        &self,
        purpose: Purpose,
        carried: &Arc<Carried>,
        application: &Application,
    ) -> Result<Find, Unavailable> {
        let answer = self.judge_carried(carried, application, purpose).await;
        self.counters.count_carried(&answer);
        answer
    }

    async fn judge_carried(
        &self,
        carried: &Arc<Carried>,
        application: &Application,
        purpose: Purpose,
    ) -> Result<Find, Unavailable> {
        let now = self.clock.now();
        let handle = &carried.session.handle;
        self.know_revocations_of(&carried.session).await?;
        let head = match self.head_of(handle).await? {
            Head::Found(session, version, _) if !session.is_carried() => {
                self.finish_move(&session, version, application).await?;
                let gone = Gone { why: Why::Moved, at: now };
                return self.departed(carried, gone, application, purpose).await;
            }
            Head::Found(session, _, times) => Some((session, times.touched)),
            Head::Buried(ending) => {
                self.outbox.check(handle, self.storage.id())?;
                self.confirm(&carried.session, &application.realm, &ending).await?;
                let gone = Gone { why: ending.why, at: ending.at };
                return self.departed(carried, gone, application, purpose).await;
            }
            Head::None => None,
        };
        // After the head was read: an end that was acknowledged meanwhile is seen here, one that waits as well.
        if let Some(gone) = self.revocations.gone(handle) {
            return self.departed(carried, gone, application, purpose).await;
        }
        self.outbox.check_session(&carried.session, self.storage.id())?;
        let written = head.as_ref().map_or(carried.touched, |(_, touched)| *touched);
        let session = latest(carried, head.map(|(session, _)| session));
        let touched = carried.touched.max(written);
        // Between two seals of its cookie a session may have been used without a trace.
        let grace = application.realm.touch_interval;
        let judge = |touched| standing(&session, touched, grace, &self.revocations, application, now);
        let mut verdict = judge(touched);
        if matches!(verdict, Standing::Over(Why::Idle) | Standing::OverHere)
            && let Some(later) = self.uses.get(handle).filter(|later| *later > touched)
        {
            // A cookie that was sealed since did not reach its visitor.
            verdict = judge(later);
        }
        match verdict {
            // The time-outs were shorter when it was sealed, and nobody remembers any more whether it was ended since.
            Standing::Live if now >= carried.good_until => Ok(Find::Absent(Absence::Unknown)),
            Standing::Live => {
                let is_due = purpose.is_use && now.since(carried.touched) >= application.touch_interval;
                let is_stale = is_due || session.revision > carried.session.revision;
                let used = if purpose.is_use { now } else { touched };
                let refreshed =
                    is_stale.then(|| follow(carried, Arc::clone(&session), used, &application.realm));
                if is_due {
                    self.uses.insert(*handle, now);
                }
                Ok(Find::Found(Found { session, successor: None, refreshed }))
            }
            Standing::OtherRealm => Ok(Find::Absent(Absence::OtherRealm)),
            Standing::OverHere => Ok(Find::Absent(Absence::OverHere)),
            Standing::Over(why) => {
                let used = self.uses.get(handle).map_or(touched, |later| later.max(touched));
                let over_at = application.realm.over_at(session.begun, used, grace);
                let over_at = session.ends.map_or(over_at, |ends| ends.min(over_at));
                let ending = self.ending_for(&session, why, over_at).await;
                self.end_carried(&session, &application.realm, ending.clone()).await?;
                Ok(Find::Ended(ending))
            }
        }
    }

    /// What was written of it lately. Where storage cannot say, and what was heard is good enough without, the cookie is all
    /// there is: that the session is over is known otherwise, and what this cookie is missing it will get later.
    async fn head_of(&self, handle: &Handle) -> Result<Head, Unavailable> {
        let must_ask = self.must_ask();
        if self.is_deaf() && !must_ask {
            return Ok(Head::None);
        }
        match self.ask_briefly(self.heads.read(handle, must_ask)).await {
            // One that cannot be read will not get better: somebody must look at it.
            Err(error) if error.retry_after.is_some() && self.may_go_by_what_was_heard() => Ok(Head::None),
            answer => answer,
        }
    }

    /// What a cookie is worth whose session is not carried any more.
    async fn departed(
        &self,
        carried: &Carried,
        gone: Gone,
        application: &Application,
        purpose: Purpose,
    ) -> Result<Find, Unavailable> {
        match gone.why {
            // For a while the cookie is as good as the ticket before the one that took its place.
            Why::Moved => {
                let ticket = Ticket { handle: carried.session.handle, secret: carried.secret.clone() };
                self.find_for(purpose, &ticket, application).await
            }
            Why::Replaced => Ok(Find::Absent(Absence::Replaced)),
            _ => Ok(Find::Ended(gone.ending())),
        }
    }
}

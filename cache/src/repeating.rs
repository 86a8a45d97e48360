//! Ends that wait are repeated until storage confirms them.

use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session::{Ending, Handle, SecretHash, Session, Ticket, Why};
use storage::{Burial, Read, Unavailable};
use tokio::time::sleep;

use crate::application::Application;
use crate::end_where::End;
use crate::find::is_ticket_at;
use crate::housekeeping::Pause;
use crate::outbox::due::{Target, Unseen, Waiting};
use crate::scope::Scope;
use crate::{Cache, Ended};

/// After how many failures without a success storage is taken to be down, and left alone for a while.
const FAILURES_IN_A_ROW: usize = 8;
/// How often it is looked for ends that the process before this one, or after it, could not have confirmed.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

impl Cache {
    /// Writes ends that storage does not confirm into a folder, and takes over what is there from the processes before this
    /// one. To be called once, before anybody is served, and after [`Cache::begin_sharing`] if there is a predecessor.
    ///
    /// # Errors
    /// The folder cannot be used: the operator is to blame.
    pub async fn keep_ends_in(&self, folder: &Path) -> io::Result<()> {
        self.outbox.open(folder).await?;
        let taken = self.outbox.adopt(!self.is_sharing()).await?;
        if taken > 0 {
            tracing::warn!(
                ends = taken,
                "sessions were to be ended before this process began, and storage had not confirmed it: they are refused until it has"
            );
        }
        Ok(())
    }

    /// How many ends storage has not confirmed yet.
    #[must_use]
    pub fn ends_waiting(&self) -> usize {
        self.outbox.len()
    }

    /// Whether all of them are written down, so that the end of this process forgets none.
    #[must_use]
    pub fn are_ends_kept(&self) -> bool {
        self.outbox.is_kept()
    }

    /// Somebody leaves with a ticket of which nobody can say what it is worth, for storage has no answer. It is refused here
    /// from now on. Once storage is back its secret is compared, and if it is the right one the session is ended; with
    /// `is_everywhere` all others of its owner as well. A wrong one ends nothing.
    ///
    /// Anybody can make tickets up: `from` whom it comes, if that is known, bounds how many are remembered. What comes
    /// back is for the answer, with a [`Promise`](crate::Promise).
    pub async fn end_unseen(
        &self,
        ticket: &Ticket,
        is_everywhere: bool,
        ending: Ending,
        application: &Application,
        from: Option<IpAddr>,
    ) -> Unavailable {
        let unseen = self.unavailable("it could not be asked whether there is such a session");
        let promised = self.outbox.promised(&Target::Session(ticket.handle));
        if let Some(promise) = promised.filter(|_| !is_everywhere) {
            return promise.after(unseen);
        }
        let realm = Arc::clone(&application.realm.id);
        let target = Target::Ticket(ticket.handle, *ticket.secret.hash().as_bytes());
        let waiting = Waiting::Unseen(Unseen { ending, realm, is_everywhere, from });
        self.wait(target, waiting, unseen).await
    }

    /// An end that failed waits until storage confirms it; this node refuses what it is for meanwhile.
    pub(crate) async fn wait(&self, target: Target, waiting: Waiting, failed: Unavailable) -> Unavailable {
        self.counters.ends_waiting.inc();
        self.outbox.put(target, waiting).await.after(failed)
    }

    /// Tries once more to end what waits, and says what is left.
    pub(crate) async fn end_what_waits(&self) {
        for (target, waiting) in self.outbox.all() {
            if let Err(error) = self.end_waiting(&target, &waiting).await {
                self.outbox.write_out().await;
                let left: Vec<String> =
                    self.outbox.all().iter().map(|(target, _)| target.to_string()).collect();
                if self.outbox.is_kept() {
                    tracing::warn!(%error, sessions = ?left, "sessions are still to be ended, and storage does not confirm it: the next start goes on with it");
                } else {
                    tracing::error!(%error, sessions = ?left, "sessions were to be ended, storage did not confirm it, and it is not written down: they live on");
                }
                return;
            }
        }
        self.outbox.write_out().await;
    }

    /// Does what waits for all sessions of this scope, if anything does: what is opened from now on is not meant.
    pub(crate) async fn end_all_before(&self, scope: Scope) -> Result<(), Unavailable> {
        let target = Target::Scope(scope);
        match self.outbox.of(&target) {
            Some(waiting) => self.end_waiting(&target, &waiting).await,
            None => Ok(()),
        }
    }

    async fn end_waiting(&self, target: &Target, waiting: &Waiting) -> Result<(), Unavailable> {
        match (target, waiting) {
            (Target::Session(handle), Waiting::Burial(burial)) => {
                self.bury(handle, burial.clone()).await?;
                self.counters.count_end(burial.ending.why);
            }
            (Target::Session(handle), Waiting::Carried(ending, until)) => {
                self.revoke_carried(handle, ending, *until).await?;
                self.counters.count_end(ending.why);
            }
            (Target::Ticket(handle, hash), Waiting::Unseen(unseen)) => {
                self.end_if_theirs(handle, &SecretHash::from_bytes(*hash), unseen).await?;
            }
            (Target::Scope(scope), Waiting::All(end)) => {
                self.write_end(*scope, end).await?;
                // After a crash it would be done once more, and end what was opened since.
                self.outbox.remove(target, waiting);
                self.outbox.write_out().await;
            }
            // Nobody puts such a pair together.
            (Target::Session(_) | Target::Ticket(..) | Target::Scope(_), _) => {}
        }
        self.outbox.remove(target, waiting);
        Ok(())
    }

    /// Ends the session of a ticket, if it was one when somebody left with it.
    async fn end_if_theirs(
        &self,
        handle: &Handle,
        presented: &SecretHash,
        unseen: &Unseen,
    ) -> Result<(), Unavailable> {
        let Read::Found(record) = self.storage.read(&self.key(handle)?, None).await? else {
            // Storage may have lost it, and what the visitor holds must not bring it back.
            return self.outdate_recovery(handle, presented, &unseen.realm).await;
        };
        let session = match session::record::decode(&record.value) {
            Ok(session) => session,
            Err(error) => {
                // It will not get better, and nobody finds it.
                tracing::error!(%error, %handle, "somebody left with a session that cannot be read");
                return Ok(());
            }
        };
        if session.realm != unseen.realm || !is_ticket_at(&session, presented, unseen.ending.at) {
            tracing::info!(%handle, "somebody left with a ticket that was none: nothing is ended");
            return Ok(());
        }
        self.end_seen(&session, unseen.ending.clone()).await?;
        if let Some(principal) = session.principal.as_ref().filter(|_| unseen.is_everywhere) {
            // What fails waits by itself.
            let ending = Ending { why: Why::Revoked, ..unseen.ending.clone() };
            let end = End { ending, before: None, late: None };
            let _ = self.end_scope(Scope::person(&self.as_known(principal.clone())), &end).await;
        }
        Ok(())
    }

    async fn end_seen(&self, session: &Session, ending: Ending) -> Result<(), Unavailable> {
        let now = self.clock.now();
        let until = match self.realm(&session.realm) {
            Some(realm) => realm.buried_until(session.begun, now),
            None => self.all_over_at(now),
        };
        let why = ending.why;
        let burial = Burial { until: Some(until), ending, expected: None };
        if self.bury(&session.handle, burial).await? == Ended::Now {
            self.counters.count_end(why);
        }
        self.leave_index(session);
        self.forget_assertions(session);
        Ok(())
    }

    pub(crate) async fn repeat_ends(&self) {
        loop {
            let mut pause = Pause::default();
            let mut tried = 0;
            loop {
                let mut waiting = self.outbox.all();
                if waiting.is_empty() {
                    break;
                }
                // Each round goes on where the one before gave up, so that one that never succeeds is in nobody's way.
                let begin = tried % waiting.len();
                waiting.rotate_left(begin);
                let mut failures = 0;
                for (target, waiting) in waiting {
                    tried += 1;
                    match self.end_waiting(&target, &waiting).await {
                        Ok(()) => failures = 0,
                        Err(error) => {
                            failures += 1;
                            tracing::warn!(%error, %target, "the end of a session is not confirmed; it will be repeated");
                        }
                    }
                    if failures >= FAILURES_IN_A_ROW {
                        break;
                    }
                }
                self.outbox.write_out().await;
                pause.wait().await;
            }
            self.outbox.arrived.notified().await;
        }
    }

    /// While another process works beside this one, what waits there is refused and repeated here as well; when it is gone
    /// this one has it all.
    pub(crate) async fn adopt_ends(&self) {
        loop {
            self.shared.notified().await;
            while self.is_sharing() {
                self.adopt(false).await;
                sleep(LOOK_AGAIN).await;
            }
            self.adopt(true).await;
        }
    }

    async fn adopt(&self, are_gone: bool) {
        if let Err(error) = self.outbox.adopt(are_gone).await {
            tracing::error!(%error, "ends that wait for storage in another process are not known here");
        }
    }
}

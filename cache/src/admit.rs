//! What must be before a session is somebody's.
//!
//! It must be in the index, remember the counters of [all that it may end with](crate::scope), and no logout may have come before it.
//! Storage is asked for all of this at once: whoever opens a session waits for one round, however many sessions the person has.
//! Of an end that comes meanwhile either the counter is seen here, with the logout in it, or the session remembers an earlier
//! one and is over when it is first asked for.

use session::{Authentication, EndedBy, Ending, Epoch, Epochs, Handle, Millis, Principal};
use storage::{Record, Unavailable};
use tokio::try_join;

use crate::Cache;
use crate::application::Realm;
use crate::scope::Scope;

/// A logout came before the session that it is for, and holds for it as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedOut {
    /// The logout.
    pub ending: Ending,
    /// Until when it refuses logins that were proved before it.
    pub until: Millis,
}

/// Whether a session may be somebody's.
pub(crate) enum Admission {
    /// It must remember these counters.
    Admitted(Epochs),
    LoggedOut(LoggedOut),
}

impl Cache {
    /// The principal with what our own name says left out, as all of this process's sessions have theirs.
    pub(crate) fn as_known(&self, principal: Principal) -> Principal {
        match &self.entity_id {
            Some(entity_id) => principal.as_named_to(entity_id),
            None => principal,
        }
    }

    /// Admits a session that begins at `begun`, and enters it into the index.
    pub(crate) async fn admit(
        &self,
        principal: Option<&Principal>,
        authentication: Option<&Authentication>,
        handle: &Handle,
        realm: &Realm,
        begun: Millis,
    ) -> Result<Admission, Unavailable> {
        let enter = async {
            let Some(principal) = principal else { return Ok(()) };
            self.enter(principal, handle, realm, realm.record_expires(begun, begun)).await
        };
        let (admission, ()) = try_join!(self.admit_unlisted(principal, authentication, realm), enter)?;
        if let (Admission::LoggedOut(_), Some(principal)) = (&admission, principal) {
            self.leave_index_of(principal, handle);
        }
        Ok(admission)
    }

    /// Admits a session that is in no index, or stays in it.
    pub(crate) async fn admit_unlisted(
        &self,
        principal: Option<&Principal>,
        authentication: Option<&Authentication>,
        realm: &Realm,
    ) -> Result<Admission, Unavailable> {
        let person = principal.map(Scope::person);
        let (index, issued) = (principal.and_then(Scope::index_of), principal.and_then(Scope::issued_to));
        for scope in person.into_iter().chain(index).chain(issued) {
            // Or this session would be ended with those before it.
            self.end_all_before(scope).await?;
        }
        let ask = async |scope: Option<Scope>| match scope {
            Some(scope) => self.counter(scope).await,
            None => Ok(None),
        };
        let wide = self.wide_epochs(&realm.id);
        let (person, index, issued, (realm, everybody)) =
            try_join!(ask(person), ask(index), ask(issued), wide)?;
        let (proved, now) = (authentication.map(|authentication| authentication.at), self.clock.now());
        for record in [&person, &index, &issued].into_iter().flatten() {
            let ended_by = self.ended_by(record)?;
            if let Some(late) = ended_by.refuses(proved, now) {
                return Ok(Admission::LoggedOut(LoggedOut { ending: ended_by.ending, until: late.until }));
            }
        }
        let epoch =
            |record: Option<Record>| record.map_or(Epoch::default(), |record| Epoch(record.version.0));
        let (person, index, issued) = (epoch(person), epoch(index), epoch(issued));
        Ok(Admission::Admitted(Epochs { person, index, realm, everybody, issued }))
    }

    /// The counters of a realm and of everybody. They are known, once they were read and as long as changes are heard. If not,
    /// storage is asked, and if that has no answer, an earlier counter does no harm: it can only end the session too soon.
    async fn wide_epochs(&self, realm: &str) -> Result<(Epoch, Epoch), Unavailable> {
        let realm = Scope::realm(realm);
        if let Err(error) = self.know_revocations().await
            && !self.revocations.was_known()
        {
            return Err(error);
        }
        if self.must_ask() {
            let ask = async { try_join!(self.counter(realm), self.counter(Scope::Everybody)) };
            if let Err(error) = self.ask_briefly(ask).await {
                tracing::debug!(%error, "a session is opened under counters that may have been raised since");
            }
        }
        Ok((self.revocations.epoch(&realm), self.revocations.epoch(&Scope::Everybody)))
    }

    /// What a counter holds. One that cannot be read is an outage: nobody is let in past a logout that may be in it.
    pub(crate) fn ended_by(&self, record: &Record) -> Result<EndedBy, Unavailable> {
        EndedBy::decode(&record.value, record.times.touched)
            .map_err(|malformed| Unavailable { retry_after: None, ..self.unavailable(malformed) })
    }
}

//! Ending sessions by what they have in common.
//!
//! Whoever ends sessions of which they hold none comes through [`Cache::end_where`]: a logout by name, an event, an operator, and
//! the visitor who logs out everywhere. It costs one read and one write for each [scope](crate::scope), whether there is one
//! session or a hundred thousand, and never depends on the index. The index only says how many there were, and which: it is read
//! beside the end, and looked at afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::iter;
use session::{EndedBy, Ending, Epoch, Handle, Late, Millis, Principal, Selector, Session, Whose, Why};
use storage::{
    Applied, Burial, Create, Key, NewRecord, NewValue, Page, Read, Times, Unavailable, Update, WriteId,
};
use tokio::time::{Instant, timeout_at};
use tracing::Instrument as _;

use crate::end::Ended;
use crate::heads::Head;
use crate::held::Held;
use crate::outbox::due::{Target, Waiting};
use crate::receipt::{Acknowledged, Tally};
use crate::recent;
use crate::roll_call::Subject;
use crate::scope::{Mark, Scope};
use crate::{Cache, Count, MAX_LISTED};

/// How often a counter is raised against others who raise it.
const MAX_ROUNDS: usize = 64;
/// How many counters are raised, sessions ended, or looked at, at once.
const WIDTH: usize = 32;
/// How long it may hold up an end to list what it is for, and to look at that afterwards.
const COUNTING: Duration = Duration::from_millis(500);

/// Sessions are ended, and will not be found again.
#[derive(Debug, Clone)]
pub struct EndedWhere {
    /// Those on the server that were live until then, as far as the index, or whoever ended them, has named them: at most
    /// [`MAX_LISTED`]. How many there were is in [`Acknowledged::sessions`].
    pub handles: Vec<Handle>,
    /// For which [a receipt](Cache::receipt) can be asked.
    pub end: Acknowledged,
}

/// What was written for a scope, and what had been there.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Made {
    Counter { scope: Scope, before: Epoch, now: Epoch },
    Mark { mark: Mark, before: Option<Millis> },
}

impl Cache {
    /// Ends the sessions that `selector` selects, carried and on the server alike. When this returns `Ok`, no request finds one
    /// of them on this node, and on others as soon as they hear of it. That there was none, or none any more, is success.
    ///
    /// `Err` claims nothing but what it says: of several sessions or indexes some may be over where it says
    /// [`Applied::Unknown`]. What storage did not confirm is refused on this node from now on, and repeated until storage does,
    /// as far as the [`Promise`](crate::Promise) in it says.
    pub async fn end_where(
        self: &Arc<Self>,
        selector: Selector,
        ending: Ending,
    ) -> Result<EndedWhere, Unavailable> {
        let cache = Arc::clone(self);
        // In a task of its own: whoever logs out and closes the window meanwhile is logged out.
        let end = async move { cache.end_selected(selector, ending).await };
        tokio::spawn(end.in_current_span()).await.map_err(|error| self.unavailable(error))?
    }

    async fn end_selected(&self, selector: Selector, mut ending: Ending) -> Result<EndedWhere, Unavailable> {
        if ending.why == Why::Moved {
            // Of a cookie that would mean that its session lives on the server.
            ending.why = Why::Revoked;
        }
        let end = End { ending, before: selector.begun_before, late: selector.late };
        match selector.whose {
            Whose::Handles(handles) => self.end_handles(&handles, &end).await,
            Whose::Person { principal, indexes } => self.end_person(principal, &indexes, &end).await,
            Whose::Issued { issuer, indexes } => {
                let indexes: BTreeSet<Box<str>> = indexes.into_iter().collect();
                let scopes = indexes.iter().map(|index| Scope::issued(&issuer, index)).collect();
                self.end_unlisted(scopes, &end).await
            }
            // There is no name to wait for.
            Whose::Realm(realm) => {
                self.end_unlisted(vec![Scope::realm(&realm)], &End { late: None, ..end }).await
            }
            Whose::Everybody => self.end_unlisted(vec![Scope::Everybody], &End { late: None, ..end }).await,
        }
    }

    /// Ends those of which there is no list.
    async fn end_unlisted(&self, scopes: Vec<Scope>, end: &End) -> Result<EndedWhere, Unavailable> {
        let made = self.end_scopes(scopes, end).await?;
        Ok(ended(Vec::new(), Tally::Unknown, made.iter().map(Made::subject).collect()))
    }

    async fn end_person(
        &self,
        principal: Principal,
        indexes: &[Box<str>],
        end: &End,
    ) -> Result<EndedWhere, Unavailable> {
        let principal = self.as_known(principal);
        let person = principal.fingerprint();
        let wanted: BTreeSet<&str> = indexes.iter().map(|index| &**index).collect();
        let scopes = match wanted.is_empty() {
            true => vec![Scope::Person(person)],
            false => wanted.iter().map(|index| Scope::index(&person, index)).collect(),
        };
        let until = Instant::now() + COUNTING;
        let list = timeout_at(until, self.entries_of(&principal));
        let (page, made) = tokio::join!(list, self.end_scopes(scopes, end));
        let made = made?;
        let is_selected = |session: &Session| {
            let index = session.principal.as_ref().and_then(|principal| principal.session_index.as_deref());
            (wanted.is_empty() || index.is_some_and(|index| wanted.contains(index)))
                && end.before.is_none_or(|before| session.begun < before)
                && self.was_open_until(session, &made)
        };
        let (handles, tally) = match page {
            Ok(Ok(page)) => self.count_ended(page, is_selected).await,
            Ok(Err(_)) | Err(_) => (Vec::new(), Tally::Unknown),
        };
        Ok(ended(handles, tally, made.iter().map(Made::subject).collect()))
    }

    /// Which of the sessions that the entries of `page` are for were ended.
    async fn count_ended(&self, page: Page, is_selected: impl Fn(&Session) -> bool) -> (Vec<Handle>, Tally) {
        let (looked_at, has_more) = (page.records.len(), page.has_more);
        let is_selected = &is_selected;
        let look = |key: Key| async move { self.live_entry(&key, is_selected).await };
        let mut looks = iter(page.records).map(|listed| look(listed.key)).buffered(WIDTH);
        let (mut handles, mut looked) = (Vec::new(), 0);
        let until = Instant::now() + COUNTING;
        while let Ok(Some(looked_at)) = timeout_at(until, looks.next()).await {
            let Ok(live) = looked_at else { break };
            looked += 1;
            handles.extend(live);
        }
        let or_more = has_more || looked < looked_at;
        let tally = Tally::OnServer(Count { sessions: handles.len(), or_more });
        (handles, tally)
    }

    /// Whether a session was not over before `made` was.
    fn was_open_until(&self, session: &Session, made: &[Made]) -> bool {
        let counter = |scope: &Scope| {
            made.iter().find_map(|made| match made {
                Made::Counter { scope: raised, before, .. } if raised == scope => Some(*before),
                _ => None,
            })
        };
        let mark = |scope: &Scope| {
            made.iter().find_map(|made| match made {
                Made::Mark { mark, before } if mark.scope == *scope => Some(before.unwrap_or(Millis(0))),
                _ => None,
            })
        };
        // And not opened since.
        let index = session.principal.as_ref().and_then(Scope::index_of);
        let is_since = made.iter().any(|made| match made {
            Made::Counter { scope: Scope::Person(_), now, .. } => session.epochs.person >= *now,
            Made::Counter { scope, now, .. } => Some(*scope) == index && session.epochs.index >= *now,
            Made::Mark { .. } => false,
        });
        !is_since && self.revocations.behind_but(session, counter, mark).is_none()
    }

    /// Ends all of these scopes. If some are ended and another cannot be, that is not known to be nothing.
    async fn end_scopes(&self, scopes: Vec<Scope>, end: &End) -> Result<Vec<Made>, Unavailable> {
        let ends = iter(scopes).map(|scope| self.end_scope(scope, end)).buffer_unordered(WIDTH);
        whole(ends.collect().await)
    }

    /// Ends a scope. What storage does not confirm is refused here from now on, and repeated until storage does.
    pub(crate) async fn end_scope(&self, scope: Scope, end: &End) -> Result<Made, Unavailable> {
        match self.write_end(scope, end).await {
            Ok(made) => Ok(made),
            Err(failed) => Err(self.wait(Target::Scope(scope), Waiting::All(end.clone()), failed).await),
        }
    }

    pub(crate) async fn write_end(&self, scope: Scope, end: &End) -> Result<Made, Unavailable> {
        let began = self.clock.now();
        let made = match end.before.filter(|before| *before < self.clock.now()) {
            Some(before) => self.write_mark(Mark { scope, before }, end).await?,
            None => self.raise(scope, end).await?,
        };
        self.counters.ended_all.inc();
        if end.before.is_none() && end.late.is_none() {
            // What waited for less is done with it.
            self.outbox.remove_plain(&Target::Scope(scope), began);
        }
        Ok(made)
    }

    /// Raises a counter: each session that remembers an earlier one is over when it is next asked for.
    async fn raise(&self, scope: Scope, end: &End) -> Result<Made, Unavailable> {
        let key = scope.key().map_err(|error| self.unavailable(error))?;
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        for _ in 0..MAX_ROUNDS {
            let now = self.clock.now();
            let there = match self.storage.read(&key, None).await? {
                Read::Found(record) => Some(record),
                Read::Absent | Read::Unchanged(_) | Read::Buried(_) => None,
            };
            let mut ended_by = EndedBy::new(end.ending.clone());
            // What cannot be read keeps nobody from ending more.
            let known = there.as_ref().and_then(|record| self.ended_by(record).ok());
            ended_by.wait(end.late, known.as_ref().map_or(&[], EndedBy::late), now);
            let expires = self.all_over_at(now).max(ended_by.until());
            let times = Times { touched: now, expires };
            let value = Bytes::from(ended_by.encode());
            let before = there.as_ref().map_or(Epoch::default(), |record| Epoch(record.version.0));
            let written = match there {
                Some(record) => {
                    let expected = record.version;
                    let new = NewValue { expected, value, times: Some(times), write, is_end: true };
                    match self.storage.update(&key, new).await? {
                        Update::Updated(version) => Some(version),
                        Update::Conflict(_) | Update::Absent | Update::Buried(_) => None,
                    }
                }
                None => {
                    let new = NewRecord { is_end: true, ..NewRecord::new(value, times, write) };
                    match self.storage.create(&key, new).await? {
                        Create::Created(version) => Some(version),
                        Create::Exists | Create::Buried(_) => None,
                    }
                }
            };
            if let Some(version) = written {
                let epoch = Epoch(version.0);
                self.revocations.raise_epoch(scope, epoch, expires);
                let end = End { before: None, ..end.clone() };
                self.recent.made(recent::EndOf::Counter(scope), end, Some(expires), epoch);
                return Ok(Made::Counter { scope, before, now: epoch });
            }
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} others ended the same sessions meanwhile")))
    }

    /// Writes a mark: each session that began before its moment is over.
    pub(crate) async fn write_mark(&self, mark: Mark, end: &End) -> Result<Made, Unavailable> {
        let key = mark.key().map_err(|error| self.unavailable(error))?;
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        let now = self.clock.now();
        let times = Times { touched: now, expires: self.all_over_at(now) };
        let value = Bytes::from(EndedBy::new(end.ending.clone()).encode());
        let new = NewRecord { is_end: true, ..NewRecord::new(value, times, write) };
        match self.storage.create(&key, new).await? {
            // What is there says the same.
            Create::Created(_) | Create::Exists => {}
            Create::Buried(_) => return Err(self.unavailable("somebody has taken back an end like this one")),
        }
        let before = self.revocations.mark(&mark.scope);
        self.revocations.raise_mark(mark, times.expires);
        self.recent.made(recent::EndOf::Mark(mark), end.clone(), Some(times.expires), Epoch::default());
        Ok(Made::Mark { mark, before })
    }

    async fn end_handles(&self, handles: &[Handle], end: &End) -> Result<EndedWhere, Unavailable> {
        let handles: BTreeSet<Handle> = handles.iter().copied().collect();
        let ends = iter(handles).map(|handle| self.end_handle(handle, end)).buffered(WIDTH);
        let done: Vec<(Option<Handle>, Option<Subject>)> = whole(ends.collect().await)?;
        let (live, subjects): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        let mut live: Vec<Handle> = live.into_iter().flatten().collect();
        let tally = Tally::Exactly(live.len() as u64);
        live.truncate(MAX_LISTED);
        Ok(ended(live, tally, subjects.into_iter().flatten().collect()))
    }

    /// Ends a session that may be carried, by whom and since when nobody here knows.
    async fn revoke_handle(&self, handle: &Handle, end: &End, now: Millis) -> Result<(), Unavailable> {
        let until = self.all_over_at(now);
        match self.revoke_carried(handle, &end.ending, until).await {
            Ok(_) => Ok(()),
            Err(failed) => Err(self.wait_to_revoke(handle, end.ending.clone(), until, failed).await),
        }
    }

    /// Ends a session of which only the handle is known: the handle if it was live on the server, and what other nodes may be
    /// asked about, if anything was ended.
    async fn end_handle(
        &self,
        handle: Handle,
        end: &End,
    ) -> Result<(Option<Handle>, Option<Subject>), Unavailable> {
        let now = self.clock.now();
        let known = match self.storage.read(&self.key(&handle)?, None).await? {
            Read::Found(record) => Some(Held::read(&record, self.storage.id())),
            Read::Buried(_) => {
                // Whoever ended it may not have come to that yet.
                self.tier.end(&handle);
                // Nor, if it has moved there, to the note that older cookies are worthless.
                if self.is_deaf() || matches!(self.heads.ask(&handle).await?, Head::Buried(_)) {
                    self.revoke_handle(&handle, end, now).await?;
                }
                return Ok((None, Some(Subject::Session(handle))));
            }
            Read::Absent | Read::Unchanged(_) => None,
        };
        let Some(known) = known else {
            // If it is anywhere, its visitor carries it.
            self.revoke_handle(&handle, end, now).await?;
            return Ok((None, Some(Subject::Carried(handle, end.ending.why))));
        };
        let held = match known {
            Ok(held) => Some(held),
            // What cannot be read can be ended all the same, unless somebody must know when it began.
            Err(error) if end.before.is_some() => return Err(error),
            Err(_) => None,
        };
        let session = held.as_ref().map(|held| &*held.session);
        if let (Some(before), Some(session)) = (end.before, session)
            && session.begun >= before
        {
            return Ok((None, None));
        }
        let was_live = held.as_ref().is_some_and(|held| {
            self.is_live_by_time(held) && self.revocations.behind(&held.session).is_none()
        });
        let until = session
            .and_then(|session| Some(self.realm(&session.realm)?.buried_until(session.begun, now)))
            .unwrap_or_else(|| self.all_over_at(now));
        let burial = Burial { until: Some(until), ending: end.ending.clone(), expected: None };
        match self.bury(&handle, burial.clone()).await {
            Ok(done) => {
                if let Some(session) = session {
                    self.leave_index(session);
                    self.forget_assertions(session);
                }
                let is_ended = done == Ended::Now;
                if is_ended {
                    self.counters.count_end(end.ending.why);
                }
                Ok(((is_ended && was_live).then_some(handle), Some(Subject::Session(handle))))
            }
            Err(failed) => {
                self.tier.end(&handle);
                Err(self.wait(Target::Session(handle), Waiting::Burial(burial), failed).await)
            }
        }
    }
}

/// How sessions are ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) ending: Ending,
    /// Only those that began before.
    pub(crate) before: Option<Millis>,
    /// Whether it holds for those that come late as well.
    pub(crate) late: Option<Late>,
}

impl Made {
    fn subject(&self) -> Subject {
        match self {
            Self::Counter { scope, now, .. } => Subject::Counter(*scope, *now),
            Self::Mark { mark, .. } => Subject::Mark(*mark),
        }
    }
}

fn ended(handles: Vec<Handle>, sessions: Tally, subjects: Vec<Subject>) -> EndedWhere {
    EndedWhere { handles, end: Acknowledged { subjects, sessions } }
}

/// All, or the first failure; which says that something may be done if something is.
fn whole<T>(done: Vec<Result<T, Unavailable>>) -> Result<Vec<T>, Unavailable> {
    let is_anything_done = done
        .iter()
        .any(|done| done.as_ref().map_or_else(|error| error.applied == Applied::Unknown, |_| true));
    done.into_iter().collect::<Result<_, _>>().map_err(|error| match is_anything_done {
        true => Unavailable { applied: Applied::Unknown, ..error },
        false => error,
    })
}

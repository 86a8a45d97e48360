//! Ends that storage has not confirmed yet.
//!
//! Whoever leaves while storage is away is told that it is not certain yet (law 3): this process refuses the session from
//! then on, and repeats the end until storage confirms it. So that neither a crash nor a restart forgets it, it is written
//! to the [`journal`] before anybody is answered; a [`Promise`] says how much of that was possible.
//!
//! What nobody could look at waits as well: a ticket whose session is not known here, or every session of a person. A ticket
//! is only as good as its secret, which is compared once storage is back. Anybody can make tickets up, so of these few are
//! remembered, and fewer for one address.

pub(crate) mod due;
mod journal;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use session::{Handle, Millis, Session, Ticket};
use storage::{BoxError, Unavailable};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use self::due::{Target, Waiting, encode_done, encode_waiting};
use self::journal::{Found, Journal, Lines};
use crate::end_where::End;
use crate::scope::{Scope, Scopes};
use crate::sync::{AtomicUsize, Mutex};

/// How many ends wait at most: more than a storage that is away for ten minutes leaves behind on a busy node.
const MAX_WAITING: usize = 1 << 16;
/// How many of these at most are of tickets at which nobody could look, and how many for one address: an office behind one
/// has room.
const MAX_UNSEEN: usize = 4096;
const MAX_UNSEEN_FROM_ONE: usize = 64;

/// What is certain of an end that storage did not confirm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promise {
    /// Nothing: there is no room for it.
    None,
    /// It is refused here, and repeated until storage confirms it, as long as this process runs: it could not be written down.
    WhileRunning,
    /// The same over crashes and restarts.
    Kept,
}

impl Promise {
    /// What is certain of an end that failed so.
    #[must_use]
    pub fn of(failed: &Unavailable) -> Self {
        failed.cause.downcast_ref().map_or(Self::None, |Unconfirmed { promise, .. }| *promise)
    }

    /// The failure after which this was promised.
    pub(crate) fn after(self, failed: Unavailable) -> Unavailable {
        Unavailable { cause: Box::new(Unconfirmed { promise: self, cause: failed.cause }), ..failed }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "there is no room to repeat it later",
            Self::WhileRunning => {
                "it will be repeated, unless this process ends before: it could not be written down"
            }
            Self::Kept => "it will be repeated",
        })
    }
}

/// Why storage did not confirm an end, and what becomes of it.
#[derive(Debug, thiserror::Error)]
#[error("{cause}; {promise}")]
struct Unconfirmed {
    promise: Promise,
    #[source]
    cause: BoxError,
}

/// What this node must still end. It refuses these sessions meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// How many there are: so that finds pay for the lock only while storage is in trouble.
    waiting: AtomicUsize,
    /// The same for whoever watches this process.
    pub(crate) pending: Gauge,
    state: Mutex<State>,
    pub(crate) arrived: Notify,
    journal: OnceLock<Arc<tokio::sync::Mutex<Journal>>>,
    /// What was found in the files of others: it is taken once, or it would come back until they are done with it as well.
    adopted: Mutex<BTreeSet<(PathBuf, Target, Millis)>>,
}

#[derive(Debug, Default)]
struct State {
    ends: BTreeMap<Target, Entry>,
    /// What the journal must be told, in this order.
    unwritten: Lines,
    /// The number of the last of these, and of the last that is on the disk.
    last: u64,
    written: u64,
}

#[derive(Debug)]
struct Entry {
    waiting: Waiting,
    number: u64,
}

impl Outbox {
    /// Writes to this folder from now on, and takes over what is there. Nobody else may write there, but the process whose
    /// place this one takes.
    pub(crate) async fn open(&self, folder: &Path) -> io::Result<()> {
        let folder = folder.to_owned();
        let journal = spawn_blocking(move || Journal::open(&folder)).await.map_err(io::Error::other)??;
        // Whoever was faster has one as good.
        let _ = self.journal.set(Arc::new(tokio::sync::Mutex::new(journal)));
        Ok(())
    }

    /// Takes over what other processes have left here. If they are gone for good their files go as well, once what was in
    /// them is in the file of this one.
    pub(crate) async fn adopt(&self, are_gone: bool) -> io::Result<usize> {
        let Some(journal) = self.journal.get() else { return Ok(0) };
        let turn = Arc::clone(journal).lock_owned().await;
        let found = spawn_blocking(move || turn.others()).await.map_err(io::Error::other)??;
        let (mut taken, mut is_all) = (0, true);
        for Found { path, ends, is_whole } in &found {
            if !is_whole && are_gone {
                tracing::warn!(file = %path.display(), "this file of the outbox ends within a line: if a crash did that, what is missing was promised to nobody");
            }
            for (target, waiting) in ends {
                if self.adopted.lock().insert((path.clone(), *target, waiting.ending().at)) {
                    let is_taken = self.add(*target, waiting.clone()).is_some();
                    is_all &= is_taken;
                    taken += usize::from(is_taken);
                }
            }
        }
        self.write_out().await;
        if are_gone && is_all && self.is_kept() && !found.is_empty() {
            let paths: Vec<_> = found.into_iter().map(|other| other.path).collect();
            let turn = Arc::clone(journal).lock_owned().await;
            spawn_blocking(move || turn.forget(&paths)).await.map_err(io::Error::other)??;
            self.adopted.lock().clear();
        }
        Ok(taken)
    }

    /// Refuses this from now on, and has it repeated. When this returns, it is on the disk if that is possible at all.
    pub(crate) async fn put(&self, target: Target, waiting: Waiting) -> Promise {
        let Some(number) = self.add(target, waiting) else { return Promise::None };
        self.write_out().await;
        self.promise_at(number, &self.state.lock())
    }

    /// What was promised of an end that waits.
    pub(crate) fn promised(&self, target: &Target) -> Option<Promise> {
        let state = self.state.lock();
        state.ends.get(target).map(|entry| self.promise_at(entry.number, &state))
    }

    /// What is certain of the line of this number.
    fn promise_at(&self, number: u64, state: &State) -> Promise {
        let is_kept = self.journal.get().is_some() && number <= state.written;
        if is_kept { Promise::Kept } else { Promise::WhileRunning }
    }

    /// The number of the line for the journal that says so; none if there is no room.
    fn add(&self, target: Target, waiting: Waiting) -> Option<u64> {
        let mut state = self.state.lock();
        match state.ends.get(&target) {
            Some(there) if waiting.is_said_by(&there.waiting) => return Some(there.number),
            None if !state.has_room(&waiting) => {
                tracing::error!(%target, "too many ends wait for storage: one more could not be remembered");
                return None;
            }
            _ => {}
        }
        let number = self.write(&mut state, || encode_waiting(&target, &waiting));
        state.ends.insert(target, Entry { waiting, number });
        self.count(&state);
        self.arrived.notify_one();
        Some(number)
    }

    /// This is done, unless something else waits there by now. The journal is told with the next [`Outbox::write_out`]: to do
    /// it once more does no harm.
    pub(crate) fn remove(&self, target: &Target, done: &Waiting) {
        self.remove_if(target, |waiting| waiting == done);
    }

    /// The same for what has waited since then, or longer, unless it also waits for those that come late.
    pub(crate) fn remove_plain(&self, target: &Target, began: Millis) {
        self.remove_if(target, |waiting| {
            let is_late = matches!(waiting, Waiting::All(End { late: Some(_), .. }));
            !is_late && waiting.ending().at <= began
        });
    }

    fn remove_if(&self, target: &Target, is_done: impl FnOnce(&Waiting) -> bool) {
        if self.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        if state.ends.get(target).is_some_and(|entry| is_done(&entry.waiting)) {
            state.ends.remove(target);
            self.write(&mut state, || encode_done(target));
            self.count(&state);
        }
    }

    /// Notes a line for the journal, if there is one; its number.
    fn write(&self, state: &mut State, line: impl FnOnce() -> Vec<u8>) -> u64 {
        if self.journal.get().is_some() {
            state.unwritten.push(&line());
        }
        state.last += 1;
        state.last
    }

    fn count(&self, state: &State) {
        self.waiting.store(state.ends.len(), Ordering::SeqCst);
        self.pending.set(i64::try_from(state.ends.len()).unwrap_or(i64::MAX));
    }

    /// Puts on the disk what is not there yet. Many who come at once wait for it together.
    pub(crate) async fn write_out(&self) {
        let Some(journal) = self.journal.get() else { return };
        let mut turn = Arc::clone(journal).lock_owned().await;
        let (lines, last, is_all) = {
            let mut state = self.state.lock();
            if state.written == state.last {
                return;
            }
            let unwritten = std::mem::take(&mut state.unwritten);
            let is_all = turn.must_begin_anew(state.ends.len());
            (if is_all { state.all_lines() } else { unwritten }, state.last, is_all)
        };
        // Whoever goes away meanwhile does not stop it.
        let writing = spawn_blocking(move || if is_all { turn.replace(&lines) } else { turn.append(&lines) });
        match writing.await.map_err(io::Error::other).flatten() {
            Ok(()) => {
                let mut state = self.state.lock();
                state.written = state.written.max(last);
            }
            Err(error) => {
                tracing::error!(%error, "ends that wait for storage could not be written down: a restart would forget them");
            }
        }
    }

    /// Whether all that waits is on the disk.
    pub(crate) fn is_kept(&self) -> bool {
        let state = self.state.lock();
        state.ends.values().all(|entry| self.promise_at(entry.number, &state) == Promise::Kept)
    }

    pub(crate) fn all(&self) -> Vec<(Target, Waiting)> {
        let state = self.state.lock();
        state.ends.iter().map(|(target, entry)| (*target, entry.waiting.clone())).collect()
    }

    pub(crate) fn of(&self, target: &Target) -> Option<Waiting> {
        if self.is_empty() {
            return None;
        }
        self.state.lock().ends.get(target).map(|entry| entry.waiting.clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses a session whose end waits. Not as ended: nobody may be told so before storage has it, or the loss of this
    /// machine would bring back what somebody was told is over.
    pub(crate) fn check(&self, handle: &Handle, storage: &Arc<str>) -> Result<(), Unavailable> {
        if self.is_empty() || !self.state.lock().ends.contains_key(&Target::Session(*handle)) {
            return Ok(());
        }
        Err(refused(storage))
    }

    /// The same before anybody knows whether there is such a session: also refuses the ticket with which somebody left while
    /// nobody could look, and no other ticket of the same session.
    pub(crate) fn check_ticket(&self, ticket: &Ticket, storage: &Arc<str>) -> Result<(), Unavailable> {
        if self.is_empty() {
            return Ok(());
        }
        self.check(&ticket.handle, storage)?;
        let (first, last) = Target::tickets(ticket.handle);
        if self.state.lock().ends.range(first..=last).next().is_none() {
            return Ok(());
        }
        let left = Target::Ticket(ticket.handle, *ticket.secret.hash().as_bytes());
        if self.state.lock().ends.contains_key(&left) { Err(refused(storage)) } else { Ok(()) }
    }

    /// The same for a session that was found: also refuses those of a person who left everywhere, or of another scope, if they
    /// were opened before.
    pub(crate) fn check_session(&self, session: &Session, storage: &Arc<str>) -> Result<(), Unavailable> {
        if self.is_empty() {
            return Ok(());
        }
        self.check(&session.handle, storage)?;
        let state = self.state.lock();
        // In their order these are the last.
        if !matches!(state.ends.last_key_value(), Some((Target::Scope(_), _))) {
            return Ok(());
        }
        let is_meant = |scope: Scope| match state.ends.get(&Target::Scope(scope)).map(|entry| &entry.waiting)
        {
            Some(Waiting::All(End { before: Some(before), .. })) => session.begun < *before,
            Some(waiting) => session.begun <= waiting.ending().at,
            None => false,
        };
        if Scopes::of(session).all().any(is_meant) { Err(refused(storage)) } else { Ok(()) }
    }
}

impl State {
    fn all_lines(&self) -> Lines {
        let mut lines = Lines::default();
        for (target, entry) in &self.ends {
            lines.push(&encode_waiting(target, &entry.waiting));
        }
        lines
    }

    fn has_room(&self, waiting: &Waiting) -> bool {
        let Waiting::Unseen(comes) = waiting else { return self.ends.len() < MAX_WAITING };
        let from = comes.from.map(network);
        let unseen = self.ends.range(Target::FIRST_TICKET..=Target::LAST_TICKET).filter_map(|(_, entry)| {
            if let Waiting::Unseen(unseen) = &entry.waiting { Some(unseen.from.map(network)) } else { None }
        });
        let (all, from_one) = unseen.fold((0, 0), |(all, from_one), other| {
            (all + 1, from_one + usize::from(from.is_some() && other == from))
        });
        all < MAX_UNSEEN && from_one < MAX_UNSEEN_FROM_ONE && self.ends.len() < MAX_WAITING
    }
}

/// Who counts as one: of IPv6 a network of 64 bits, which a single machine has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

fn refused(storage: &Arc<str>) -> Unavailable {
    Unavailable {
        retry_after: Some(Duration::from_secs(1)),
        ..Unavailable::failed(storage, "the end of this session waits until storage has confirmed it")
    }
}

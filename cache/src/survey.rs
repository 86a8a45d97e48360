//! What lists looked at, kept for the next one.
//!
//! Whoever lists all sessions reads every record, and of each needs little. That is kept here until nobody has asked for a while:
//! the next list reads what [changed] since, and nothing else. What it shows is judged as by a list that reads everything: by
//! what ended, by time, and by storage, where others work on it unheard. Only where sessions are over when they are idle may one
//! be shown up to `lateness` longer, as where another node could know of a later use.

mod changed;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use session::{Handle, Millis, Session};
use storage::Unavailable;
use tokio::runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{spawn, yield_now};
use tokio::time::{Instant, sleep};

pub(crate) use self::changed::Followers;
use self::changed::{Changed, PARTS, part_of};
use crate::Cache;
use crate::sync::{AtomicBool, AtomicUsize, Mutex};
use crate::walk::{AT_ONCE, Looked, Unreadable};

/// The most bytes that a survey takes. Where there is more to keep, nothing is kept.
const MOST_BYTES: usize = 128 << 20;
/// What a session takes beside what the lister keeps of it, in bytes: its place in the table, which is half full on average.
const IN_TABLE: usize = 3 * size_of::<(Handle, Kept<()>)>();
/// The most names that are kept for several lists; one list may have more.
const MOST_NAMES: usize = 32;
/// A survey of which nothing was asked for so long goes; it may take twice as long.
const REST: Duration = Duration::from_mins(5);

/// What a lister keeps of a session.
pub trait Surveyed: Send + Sync + Sized + 'static {
    /// Of this session; nothing, if it is none for such lists. It has those entries at least that are wanted.
    fn of(session: Session) -> Option<Self>;

    /// How many bytes it takes.
    fn bytes(&self) -> usize;
}

/// What the lists of one kind keep.
#[derive(Debug)]
pub struct Survey<T: Surveyed> {
    latest: Mutex<Option<Arc<Whole<T>>>>,
    /// One list at a time keeps what it reads.
    keeping: Arc<Semaphore>,
    was_used: AtomicBool,
    /// Whether somebody looks now and then whether it is used.
    is_resting: AtomicBool,
    /// There was more than is kept: when that is tried again.
    again_at: Mutex<Option<Instant>>,
    /// The most that is kept, in bytes.
    room: usize,
}

impl<T: Surveyed> Default for Survey<T> {
    fn default() -> Self {
        Self::of(MOST_BYTES)
    }
}

impl<T: Surveyed> Survey<T> {
    /// One that keeps so many bytes and no more.
    pub(crate) fn of(room: usize) -> Self {
        Self {
            room,
            latest: Mutex::default(),
            keeping: Arc::new(Semaphore::new(1)),
            was_used: AtomicBool::new(false),
            is_resting: AtomicBool::new(false),
            again_at: Mutex::default(),
        }
    }
}

/// All sessions, as somebody looked at them.
#[derive(Debug)]
struct Whole<T: Surveyed> {
    /// The entries that were wanted.
    names: BTreeSet<Box<str>>,
    parts: Box<[Part<T>]>,
    turn: tokio::sync::Mutex<()>,
    bytes: AtomicUsize,
    /// The most of them.
    room: usize,
    changed: Arc<Changed>,
    followers: Arc<Followers>,
}

/// Those whose handles begin alike.
type Part<T> = Mutex<HashMap<Handle, Kept<T>>>;

#[derive(Debug)]
struct Kept<T> {
    told: Arc<T>,
    /// When the session is over by time, unless it is used once more.
    over_at: Millis,
}

impl Cache {
    /// Has `each` look at what is [kept](Surveyed) of all live sessions on the server, in no order, until it says no more. Of
    /// their entries those of these names were there, or all, if none are named; then nothing is kept for the next list. What
    /// visitors carry themselves is not among them.
    ///
    /// # Errors
    /// Storage has no answer.
    pub async fn survey<T: Surveyed>(
        &self,
        survey: &Arc<Survey<T>>,
        names: Option<&[&str]>,
        mut each: impl FnMut(&T) -> bool + Send,
    ) -> Result<(), Unavailable> {
        // While others work unheard, or ends wait for storage, each session is judged by what storage says now.
        let names_to_keep = names.filter(|_| !self.is_deaf() && self.outbox.is_empty());
        if let Some(names) = names_to_keep {
            self.know_revocations().await?;
            if let Some(whole) = survey.whole(names) {
                return self.show_whole(&whole, each).await;
            }
        }
        let keeping = names_to_keep.and_then(|names| Keeping::begin(survey, names, &self.tier.followers));
        let wanted = |name: &str| match &keeping {
            Some(keeping) => keeping.whole.names.contains(name),
            None => names.is_none_or(|names| names.contains(&name)),
        };
        let mut is_all = true;
        self.walk(wanted, |session, over_at| {
            let handle = session.handle;
            let Some(told) = T::of(session).map(Arc::new) else { return true };
            is_all = each(&told);
            if let Some(keeping) = &keeping
                && !keeping.whole.changed.is_outdated()
            {
                keeping.whole.put(handle, Kept { told, over_at });
            }
            is_all
        })
        .await?;
        if let Some(keeping) = keeping.filter(|_| is_all) {
            keeping.finish();
        }
        Ok(())
    }

    async fn show_whole<T: Surveyed>(
        &self,
        whole: &Whole<T>,
        mut each: impl FnMut(&T) -> bool + Send,
    ) -> Result<(), Unavailable> {
        self.refresh(whole).await?;
        for part in &whole.parts {
            let told: Vec<Arc<T>> = part.lock().values().map(|kept| Arc::clone(&kept.told)).collect();
            if !told.iter().all(|told| each(told)) {
                return Ok(());
            }
            yield_now().await;
        }
        Ok(())
    }

    /// Reads again what changed, and what is over by time unless somebody used it since.
    async fn refresh<T: Surveyed>(&self, whole: &Whole<T>) -> Result<(), Unavailable> {
        // One at a time: what one read before must not be put over what another one has read since.
        let _turn = whole.turn.lock().await;
        let changed = whole.changed.all();
        let over = whole.over(self.clock.now());
        let handles: Vec<Handle> = changed.iter().map(|(handle, _)| *handle).chain(over).collect();
        let mut unreadable = Unreadable::default();
        for some in handles.chunks(AT_ONCE) {
            let looked = self.look_at_some(some, |name| whole.names.contains(name)).await?;
            for (handle, (key, looked)) in some.iter().zip(looked) {
                let told = match looked {
                    Looked::Live(session, over_at) => {
                        T::of(Arc::unwrap_or_clone(session)).map(|told| (Arc::new(told), over_at))
                    }
                    Looked::Over => None,
                    // It may stay all the same.
                    Looked::Leaving => {
                        whole.changed.outdate();
                        None
                    }
                    Looked::Unreadable(why) => {
                        unreadable.note(&key, why);
                        None
                    }
                };
                match told {
                    Some((told, over_at)) => whole.put(*handle, Kept { told, over_at }),
                    None => whole.remove(handle),
                }
            }
        }
        changed.iter().for_each(|(handle, times)| whole.changed.settle(handle, *times));
        Ok(())
    }
}

impl<T: Surveyed> Survey<T> {
    /// What is kept, if it has what is wanted, and nothing else must be read but what changed.
    fn whole(&self, names: &[&str]) -> Option<Arc<Whole<T>>> {
        let mut latest = self.latest.lock();
        if latest.as_ref().is_some_and(|whole| whole.changed.is_outdated()) {
            *latest = None;
        }
        let whole = latest.as_ref().filter(|whole| whole.has(names))?;
        self.was_used.store(true, Ordering::Relaxed);
        Some(Arc::clone(whole))
    }

    /// Forgets what nobody asks for any more. Ends when there is nothing left.
    async fn rest(survey: Weak<Self>) {
        loop {
            sleep(REST).await;
            let Some(survey) = survey.upgrade() else { return };
            let mut latest = survey.latest.lock();
            if latest.is_none() || !survey.was_used.swap(false, Ordering::Relaxed) {
                *latest = None;
                survey.is_resting.store(false, Ordering::Relaxed);
                return;
            }
        }
    }

    /// Whether anything is kept.
    #[cfg(test)]
    pub(crate) fn keeps_any(&self) -> bool {
        self.latest.lock().is_some()
    }
}

impl<T: Surveyed> Whole<T> {
    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.names.contains(*name))
    }

    fn put(&self, handle: Handle, kept: Kept<T>) {
        let added = IN_TABLE + kept.told.bytes();
        let before = self.part(&handle).and_then(|part| part.lock().insert(handle, kept));
        let taken = before.map_or(0, |before| IN_TABLE + before.told.bytes());
        let bytes = self.bytes.fetch_add(added, Ordering::Relaxed) + added;
        self.bytes.fetch_sub(taken, Ordering::Relaxed);
        if bytes - taken > self.room {
            self.changed.outdate();
        }
    }

    fn remove(&self, handle: &Handle) {
        if let Some(kept) = self.part(handle).and_then(|part| part.lock().remove(handle)) {
            self.bytes.fetch_sub(IN_TABLE + kept.told.bytes(), Ordering::Relaxed);
        }
    }

    /// Those that are over by time, as far as is known here.
    fn over(&self, now: Millis) -> Vec<Handle> {
        let mut over = Vec::new();
        for part in &self.parts {
            let part = part.lock();
            over.extend(part.iter().filter(|(_, kept)| kept.over_at <= now).map(|(handle, _)| *handle));
        }
        over
    }

    fn part(&self, handle: &Handle) -> Option<&Part<T>> {
        self.parts.get(part_of(handle))
    }
}

impl<T: Surveyed> Drop for Whole<T> {
    fn drop(&mut self) {
        self.followers.leave(&self.changed);
        // Many small blocks: to give them back takes a while.
        let parts = std::mem::take(&mut self.parts);
        if let Ok(runtime) = runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(parts));
        }
    }
}

/// A list that keeps what it reads.
struct Keeping<'s, T: Surveyed> {
    survey: &'s Arc<Survey<T>>,
    whole: Arc<Whole<T>>,
    _alone: OwnedSemaphorePermit,
}

impl<'s, T: Surveyed> Keeping<'s, T> {
    /// Follows what changes, from before anything is read; none, if another list does already.
    fn begin(survey: &'s Arc<Survey<T>>, names: &[&str], followers: &Arc<Followers>) -> Option<Self> {
        let alone = Arc::clone(&survey.keeping).try_acquire_owned().ok()?;
        if survey.again_at.lock().is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let mut wanted: BTreeSet<Box<str>> = names.iter().map(|name| (*name).into()).collect();
        if let Some(before) = survey.latest.lock().as_ref() {
            let both: BTreeSet<Box<str>> = wanted.union(&before.names).cloned().collect();
            if both.len() <= MOST_NAMES {
                wanted = both;
            }
        }
        let whole = Arc::new(Whole {
            names: wanted,
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
            turn: tokio::sync::Mutex::default(),
            bytes: AtomicUsize::new(0),
            room: survey.room,
            changed: followers.follow(),
            followers: Arc::clone(followers),
        });
        Some(Self { survey, whole, _alone: alone })
    }

    /// All was read.
    fn finish(self) {
        let is_too_much = self.whole.bytes.load(Ordering::Relaxed) > self.survey.room;
        *self.survey.again_at.lock() = is_too_much.then(|| Instant::now() + REST);
        if self.whole.changed.is_outdated() {
            return;
        }
        let mut latest = self.survey.latest.lock();
        *latest = Some(self.whole);
        self.survey.was_used.store(true, Ordering::Relaxed);
        if !self.survey.is_resting.swap(true, Ordering::Relaxed) {
            spawn(Survey::rest(Arc::downgrade(self.survey)));
        }
    }
}

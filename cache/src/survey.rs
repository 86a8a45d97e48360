//! What lists looked at, kept for the next one.
//!
//! Whoever lists all sessions reads every record, and of each needs little. That is kept here until nobody has asked for a while:
//! the next list reads what [changed] since, and nothing else. What it shows is judged as by a list that reads everything: by
//! what ended, by time, and by storage, where others work on it unheard. Only where sessions are over when they are idle may one
//! be shown up to `lateness` longer, as where another node could know of a later use.

mod changed;
mod lines;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use session::{Handle, Millis, Session};
use storage::Unavailable;
use tokio::sync::{OwnedSemaphorePermit, RwLock, Semaphore};
use tokio::task::{spawn, yield_now};
use tokio::time::{Instant, sleep};

use self::changed::Changed;
pub(crate) use self::changed::Followers;
use self::lines::Lines;
use crate::Cache;
use crate::sync::{AtomicBool, Mutex};
use crate::walk::{AT_ONCE, Looked, TURN, Unreadable};

/// The most bytes that a survey takes. Where there is more to keep, nothing is kept.
const MOST_BYTES: usize = 128 << 20;
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
    names: Arc<Names>,
    /// Whoever reads sessions again does so alone: what one read before must not be put over what another one has read since.
    lines: RwLock<Lines<T>>,
    /// The most bytes of them.
    room: usize,
    following: Following,
}

/// Names of entries.
type Names = BTreeSet<Box<str>>;

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
        let mut keeping = names_to_keep.and_then(|names| Keeping::begin(survey, names, &self.tier.followers));
        let kept_names = keeping.as_ref().map(|keeping| Arc::clone(&keeping.names));
        let wanted = |name: &str| match &kept_names {
            Some(kept) => kept.contains(name),
            None => names.is_none_or(|names| names.contains(&name)),
        };
        let mut is_all = true;
        self.walk(wanted, |session, over_at| {
            let handle = session.handle;
            let Some(told) = T::of(session) else { return true };
            is_all = each(&told);
            if let Some(keeping) = &mut keeping {
                keeping.keep(handle, told, over_at);
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
        let lines = whole.lines.read().await;
        for mut some in lines.some_by_some(TURN) {
            if !some.all(&mut each) {
                return Ok(());
            }
            yield_now().await;
        }
        Ok(())
    }

    /// Reads again what changed, and what is over by time unless somebody used it since.
    async fn refresh<T: Surveyed>(&self, whole: &Whole<T>) -> Result<(), Unavailable> {
        let (now, following) = (self.clock.now(), &whole.following);
        if following.changed.is_none() && whole.lines.read().await.over(now).is_empty() {
            return Ok(());
        }
        let mut lines = whole.lines.write().await;
        let (changed, over) = (following.changed.all(), lines.over(now));
        let handles: Vec<Handle> =
            changed.iter().map(|(handle, _)| *handle).chain(over.iter().copied()).collect();
        let mut unreadable = Unreadable::default();
        for some in handles.chunks(AT_ONCE) {
            let looked = self.look_at_some(some, |name| whole.names.contains(name)).await?;
            for (handle, (key, looked)) in some.iter().zip(looked) {
                lines.remove(handle);
                match looked {
                    Looked::Live(session, over_at) => {
                        if let Some(told) = T::of(Arc::unwrap_or_clone(session)) {
                            lines.put(*handle, told, over_at);
                        }
                    }
                    Looked::Over => {}
                    // It may stay all the same.
                    Looked::Leaving => following.changed.outdate(),
                    Looked::Unreadable(why) => unreadable.note(&key, why),
                }
            }
        }
        changed.iter().for_each(|(handle, times)| following.changed.settle(handle, *times));
        if !over.is_empty() {
            lines.settle();
        }
        if lines.bytes() > whole.room {
            following.changed.outdate();
        }
        Ok(())
    }
}

impl<T: Surveyed> Survey<T> {
    /// What is kept, if it has what is wanted, and nothing else must be read but what changed.
    fn whole(&self, names: &[&str]) -> Option<Arc<Whole<T>>> {
        let mut latest = self.latest.lock();
        if latest.as_ref().is_some_and(|whole| whole.following.changed.is_outdated()) {
            *latest = None;
        }
        let whole = latest.as_ref().filter(|whole| names.iter().all(|name| whole.names.contains(*name)))?;
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

/// A list that keeps what it reads.
struct Keeping<'s, T: Surveyed> {
    survey: &'s Arc<Survey<T>>,
    names: Arc<Names>,
    lines: Lines<T>,
    following: Following,
    _alone: OwnedSemaphorePermit,
}

impl<'s, T: Surveyed> Keeping<'s, T> {
    /// Follows what changes, from before anything is read; none, if another list does already.
    fn begin(survey: &'s Arc<Survey<T>>, names: &[&str], followers: &Arc<Followers>) -> Option<Self> {
        let alone = Arc::clone(&survey.keeping).try_acquire_owned().ok()?;
        if survey.again_at.lock().is_some_and(|at| Instant::now() < at) {
            return None;
        }
        let mut wanted: Names = names.iter().map(|name| (*name).into()).collect();
        if let Some(before) = survey.latest.lock().as_ref() {
            let both: Names = wanted.union(&before.names).cloned().collect();
            if both.len() <= MOST_NAMES {
                wanted = both;
            }
        }
        let following = Following { changed: followers.follow(), followers: Arc::clone(followers) };
        Some(Self { survey, names: Arc::new(wanted), lines: Lines::default(), following, _alone: alone })
    }

    fn keep(&mut self, handle: Handle, told: T, over_at: Millis) {
        if self.following.changed.is_outdated() {
            return;
        }
        self.lines.put(handle, told, over_at);
        if self.lines.bytes() > self.survey.room {
            self.following.changed.outdate();
        }
    }

    /// All was read.
    fn finish(self) {
        let Self { survey, names, mut lines, following, .. } = self;
        *survey.again_at.lock() = (lines.bytes() > survey.room).then(|| Instant::now() + REST);
        if following.changed.is_outdated() {
            return;
        }
        lines.shrink();
        let whole = Arc::new(Whole { names, lines: RwLock::new(lines), room: survey.room, following });
        let mut latest = survey.latest.lock();
        *latest = Some(whole);
        survey.was_used.store(true, Ordering::Relaxed);
        if !survey.is_resting.swap(true, Ordering::Relaxed) {
            spawn(Survey::rest(Arc::downgrade(survey)));
        }
    }
}

/// What changes is followed, until this is dropped.
#[derive(Debug)]
struct Following {
    changed: Arc<Changed>,
    followers: Arc<Followers>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.followers.leave(&self.changed);
    }
}

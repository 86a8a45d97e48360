//! The first tier: parsed sessions in this process, bounded in bytes.
//!
//! The danger of every cache is the copy that is put in after it was declared wrong. Here whoever will put a copy in
//! registers *before* reading or writing storage. An end or a notice from elsewhere marks what is registered for the
//! session at that moment, under the same lock that puts copies in; a marked copy is not put in. So once
//! [`FirstTier::end`] has returned, no copy is there and none can come that was read before it.
//!
//! A copy that may be out of date is not thrown away but doubted: it is not served before storage was asked. It may be
//! all that knows of uses in an outage, and who was there must not be called idle after it.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use session::{Handle, Millis};
use storage::{Applied, Unavailable, Version};

use crate::application::Realm;
use crate::held::Held;
use crate::survey::Followers;
use crate::sync::{Mutex, step};

const STRIPES: usize = 64;
const AVERAGE_BYTES: usize = 1024;

/// Copies of sessions, and who is about to make one.
#[derive(Debug)]
pub(crate) struct FirstTier {
    /// `None` where storage is this process's memory: nothing is gained by a copy of a copy.
    copies: Option<Cache<Handle, Held, Bytes>>,
    registered: Vec<Mutex<HashMap<Handle, Registered>>>,
    /// Told of each session that changed.
    pub(crate) followers: Arc<Followers>,
    hasher: RandomState,
}

#[derive(Debug, Clone)]
struct Bytes;

impl Weighter<Handle, Held> for Bytes {
    fn weight(&self, _: &Handle, held: &Held) -> u64 {
        held.bytes.into()
    }
}

/// Somebody is about to put in a copy.
#[derive(Debug)]
struct Registered {
    makers: usize,
    /// Copies of less than this version are out of date.
    least: Version,
    /// How often copies under way were declared wrong, whatever their version.
    ends: u64,
}

impl FirstTier {
    pub(crate) fn new(is_needed: bool, max_bytes: usize, followers: Arc<Followers>) -> Self {
        Self {
            followers,
            copies: is_needed
                .then(|| Cache::with_weighter(max_bytes / AVERAGE_BYTES, max_bytes as u64, Bytes)),
            registered: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
        }
    }

    /// The copy of a session.
    pub(crate) fn held(&self, handle: &Handle) -> Option<Held> {
        self.copies()?.get(handle)
    }

    /// The same as it is kept here, if copies are: for whoever just made it, and shows it to nobody else before.
    pub(crate) fn fitted(&self, held: Held, realm: &Realm) -> Held {
        if self.copies.is_some() { held.fitted(realm) } else { held }
    }

    /// Says that a copy will be put in. Must come before whatever the copy is made from.
    pub(crate) fn register(&self, handle: Handle) -> Registration<'_> {
        let mut stripe = self.stripe(&handle).lock();
        let registered = stripe.entry(handle).or_insert(Registered { makers: 0, least: Version(0), ends: 0 });
        registered.makers += 1;
        Registration { tier: self, handle, ends: registered.ends }
    }

    /// The session is ended: its copy goes, and those that are being made are lost.
    pub(crate) fn end(&self, handle: &Handle) {
        let mut stripe = self.stripe(handle).lock();
        if let Some(registered) = stripe.get_mut(handle) {
            registered.ends += 1;
        }
        self.remove(handle);
        self.followers.note(handle);
    }

    /// Storage has this version of the session: older copies are out of date.
    pub(crate) fn outdate(&self, handle: &Handle, version: Version) {
        let mut stripe = self.stripe(handle).lock();
        if let Some(registered) = stripe.get_mut(handle) {
            registered.least = registered.least.max(version);
        }
        if let Some(copies) = self.copies() {
            copies.remove_if(handle, |held| held.version < version);
        }
        self.followers.note(handle);
    }

    /// The session may be another one by now: it must be asked for before it is served.
    pub(crate) fn doubt(&self, handle: &Handle) {
        let mut stripe = self.stripe(handle).lock();
        if let Some(registered) = stripe.get_mut(handle) {
            registered.ends += 1;
        }
        let copies = self.copies();
        if let Some((copies, held)) = copies.and_then(|copies| Some((copies, copies.peek(handle)?))) {
            // It weighs as much as before. Should there be no room for it all the same, nobody is served it either.
            let _ = copies.replace(*handle, held.doubted(), true);
        }
        self.followers.note(handle);
    }

    /// Nothing is known to be current any more.
    pub(crate) fn doubt_all(&self) {
        for stripe in &self.registered {
            let mut stripe = stripe.lock();
            // What is being read now may be out of date as well; it is read again.
            stripe.values_mut().for_each(|registered| registered.ends += 1);
        }
        self.followers.outdate();
        self.all().iter().for_each(|held| self.doubt(&held.session.handle));
    }

    /// Waits for a write of the session. If nobody will know whether it was done, what was known before is doubted:
    /// the answer is lost, or the future is dropped, because a visitor went away.
    pub(crate) async fn attempt<T>(
        &self,
        handle: &Handle,
        write: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let mut attempt = Attempt { tier: self, handle, is_open: true };
        let answer = write.await;
        attempt.is_open = answer.as_ref().is_err_and(|error| error.applied == Applied::Unknown);
        answer
    }

    /// All copies, for writing down what they know of the last use.
    pub(crate) fn all(&self) -> Vec<Held> {
        self.copies().into_iter().flat_map(Cache::iter).map(|(_, held)| held).collect()
    }

    /// Takes out the copies that nobody used since `since`. What they know of the last use storage knows as well, but for less
    /// than a touch interval, which every judge allows for; unless a touch failed: that stays until it is made good.
    pub(crate) fn forget_unused(&self, since: Millis) {
        if let Some(copies) = self.copies() {
            copies.retain(|_, held| held.seen.last() >= since || held.seen.is_late());
        }
    }

    /// How many bytes the copies take, about, and how many there are.
    pub(crate) fn size(&self) -> (u64, usize) {
        self.copies().map_or((0, 0), |copies| (copies.weight(), copies.len()))
    }

    /// How many sessions somebody is about to put in.
    #[cfg(test)]
    pub(crate) fn registrations(&self) -> usize {
        self.registered.iter().map(|stripe| stripe.lock().len()).sum()
    }

    fn remove(&self, handle: &Handle) {
        if let Some(copies) = self.copies() {
            copies.remove(handle);
        }
    }

    fn copies(&self) -> Option<&Cache<Handle, Held, Bytes>> {
        step();
        self.copies.as_ref()
    }

    fn stripe(&self, handle: &Handle) -> &Mutex<HashMap<Handle, Registered>> {
        let index = self.hasher.hash_one(handle) as usize % STRIPES;
        #[expect(
            clippy::indexing_slicing,
            reason = "there are STRIPES of them, and this is a remainder of it"
        )]
        &self.registered[index]
    }
}

/// A write that may have been done.
struct Attempt<'a> {
    tier: &'a FirstTier,
    handle: &'a Handle,
    /// Whether nobody knows.
    is_open: bool,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.tier.doubt(self.handle);
        } else {
            self.tier.followers.note(self.handle);
        }
    }
}

/// The right to put in one copy, unless something happens to the session before.
#[derive(Debug)]
pub(crate) struct Registration<'a> {
    tier: &'a FirstTier,
    handle: Handle,
    /// What [`Registered::ends`] was at the registration.
    ends: u64,
}

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// It is the one that everybody gets now, or needs none.
    Yes,
    /// A newer one is there.
    Older,
    /// The session was ended, or nothing is known any more: storage must be asked again.
    Ended,
}

impl Registration<'_> {
    /// Puts in a copy, unless it is known to be wrong already. Of several accounts of the last use one remains.
    pub(crate) fn keep(&self, held: Held) -> (Held, Kept) {
        let mut held = if self.tier.copies.is_some() { held.weighed() } else { held };
        let mut stripe = self.tier.stripe(&self.handle).lock();
        let there = self.tier.copies().and_then(|copies| copies.peek(&self.handle));
        if let Some(there) = &there
            && !Arc::ptr_eq(&there.seen, &held.seen)
        {
            there.seen.learn(&held.seen);
            held.seen = Arc::clone(&there.seen);
        }
        let kept = match stripe.get_mut(&self.handle) {
            // That there is none cannot be: this registration is counted. Not to keep the copy is the safe side.
            None => Kept::Ended,
            Some(registered) if registered.ends != self.ends => Kept::Ended,
            Some(registered) if held.version < registered.least => Kept::Older,
            // Of a doubted one nobody knows whether storage still has it: what was read since is what there is.
            Some(_) if there.is_some_and(|there| there.is_current() && there.version > held.version) => {
                Kept::Older
            }
            Some(registered) => {
                registered.least = held.version;
                if let Some(copies) = self.tier.copies() {
                    copies.insert(self.handle, held.clone());
                }
                Kept::Yes
            }
        };
        (held, kept)
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        let mut stripe = self.tier.stripe(&self.handle).lock();
        if let Some(registered) = stripe.get_mut(&self.handle) {
            registered.makers -= 1;
            if registered.makers == 0 {
                stripe.remove(&self.handle);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use session::{Millis, Session, Ticket};

    use super::*;
    use crate::held::Seen;

    fn held(handle: Handle, version: u64) -> Held {
        let session = Session::new(handle, Ticket::random().unwrap().secret.hash(), "r", Millis(0));
        Held::new(session, Version(version), Arc::new(Seen::at(Millis(0))))
    }

    #[test]
    fn a_copy_that_was_read_before_an_end_is_not_put_in_after_it() {
        let tier = FirstTier::new(true, 1 << 20, Arc::default());
        let handle = Handle::random().unwrap();
        let registration = tier.register(handle);
        let copy = held(handle, 1);
        tier.end(&handle);
        assert_eq!(registration.keep(copy).1, Kept::Ended);
        assert!(tier.held(&handle).is_none());
    }

    #[test]
    fn an_older_copy_does_not_replace_a_newer_one() {
        let tier = FirstTier::new(true, 1 << 20, Arc::default());
        let handle = Handle::random().unwrap();
        let (reader, writer) = (tier.register(handle), tier.register(handle));
        assert_eq!(writer.keep(held(handle, 2)).1, Kept::Yes);
        drop(writer);
        // Even if the newer one was evicted meanwhile.
        tier.remove(&handle);
        assert_eq!(reader.keep(held(handle, 1)).1, Kept::Older);
        assert!(tier.held(&handle).is_none());
    }

    #[test]
    fn a_notice_outdates_what_is_there_and_what_is_under_way() {
        let tier = FirstTier::new(true, 1 << 20, Arc::default());
        let handle = Handle::random().unwrap();
        tier.register(handle).keep(held(handle, 1));
        let reader = tier.register(handle);
        tier.outdate(&handle, Version(2));
        assert!(tier.held(&handle).is_none());
        assert_eq!(reader.keep(held(handle, 1)).1, Kept::Older);
        assert_eq!(reader.keep(held(handle, 2)).1, Kept::Yes);
        tier.outdate(&handle, Version(2));
        assert!(tier.held(&handle).is_some());
    }

    #[test]
    fn a_gap_makes_everything_doubtful() {
        let tier = FirstTier::new(true, 1 << 20, Arc::default());
        let (there, coming) = (Handle::random().unwrap(), Handle::random().unwrap());
        tier.register(there).keep(held(there, 1));
        let registration = tier.register(coming);
        tier.doubt_all();
        assert!(!tier.held(&there).unwrap().is_current());
        assert_eq!(registration.keep(held(coming, 1)).1, Kept::Ended);
        // Whoever asks storage now puts in what is right again.
        assert_eq!(tier.register(there).keep(held(there, 1)).1, Kept::Yes);
        assert!(tier.held(&there).unwrap().is_current());
    }

    #[test]
    fn of_two_accounts_of_the_last_use_one_remains_and_knows_all() {
        let tier = FirstTier::new(true, 1 << 20, Arc::default());
        let handle = Handle::random().unwrap();
        let (early, late) = (tier.register(handle), tier.register(handle));
        let (first, second) = (held(handle, 1), held(handle, 1));
        first.seen.mark(Millis(9));
        second.seen.mark(Millis(5));
        let ((first, _), (second, _)) = (early.keep(first), late.keep(second));
        assert!(Arc::ptr_eq(&first.seen, &second.seen));
        assert_eq!(second.seen.last(), Millis(9));
    }

    #[tokio::test]
    async fn a_write_of_unknown_fate_is_doubted_and_a_refused_one_is_not() {
        let tier = FirstTier::new(true, 1 << 20, Arc::default());
        let handle = Handle::random().unwrap();
        let storage = "s".into();
        for (answer, is_current) in [
            (Ok(()), true),
            (Err(Unavailable::failed(&storage, "refused")), true),
            (Err(Unavailable::unknown(&storage, "lost")), false),
        ] {
            tier.register(handle).keep(held(handle, 1));
            let _ = tier.attempt(&handle, async { answer }).await;
            assert_eq!(tier.held(&handle).unwrap().is_current(), is_current);
        }
        tier.register(handle).keep(held(handle, 1));
        drop(tier.attempt(&handle, std::future::pending::<Result<(), _>>()));
        assert!(tier.held(&handle).unwrap().is_current(), "what never began changed nothing");
    }

    #[test]
    fn who_registers_leaves_nothing_behind() {
        let tier = FirstTier::new(true, 1 << 20, Arc::default());
        let handle = Handle::random().unwrap();
        drop((tier.register(handle), tier.register(handle)));
        assert!(tier.registered.iter().all(|stripe| stripe.lock().is_empty()));
    }

    #[test]
    fn the_tier_is_bounded_in_bytes() {
        let tier = FirstTier::new(true, 100_000, Arc::default());
        for _ in 0..10_000 {
            let handle = Handle::random().unwrap();
            tier.register(handle).keep(held(handle, 1));
        }
        let (bytes, count) = tier.size();
        assert!(bytes <= 100_000 && count > 10, "{bytes} bytes, {count} sessions");
    }
}

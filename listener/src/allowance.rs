//! How often something may be done by one and the same, of whom anybody can make up as many as they like.
//!
//! The memory for this is bounded: keys are kept as hashes, and when too many are kept, the ones that have
//! their full allowance again are forgotten. Should that not be enough, newcomers share a few allowances.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;

/// How many attempts may follow each other quickly, and how soon one more is allowed after that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// That many at once.
    pub burst: NonZeroU32,
    /// Then one more each time this has passed. Below a millisecond counts as a millisecond.
    pub every: Duration,
}

/// How many keys are kept before old ones are forgotten. One takes about 50 bytes.
pub const MAX_KEYS: usize = 100_000;

/// How many allowances newcomers share when there are too many of them.
pub const SHARED: u64 = 1024;

/// How often the kept keys are gone through, at most, so that a flood does not make each attempt go through all.
const FORGET_AGAIN: Duration = Duration::from_secs(1);

/// The allowances of many.
pub struct Bounded<C: Clock = DefaultClock> {
    limiter: RateLimiter<u64, DefaultKeyedStateStore<u64>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    /// Seeded at random: nobody can find a name that shares the allowance of another.
    hasher: RandomState,
    most: usize,
    forgot: Mutex<Option<C::Instant>>,
}

impl Bounded {
    /// With the same allowance for each, and [`MAX_KEYS`] of them.
    #[must_use]
    pub fn of_many(allowance: Allowance) -> Self {
        Self::new(allowance, DefaultClock::default(), MAX_KEYS)
    }
}

impl<C: Clock + Clone> Bounded<C> {
    /// With the same allowance for each, by this clock, of whom `most` are kept.
    pub fn new(allowance: Allowance, clock: C, most: usize) -> Self {
        let quota = Quota::with_period(allowance.every.max(Duration::from_millis(1)))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(allowance.burst);
        let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone());
        Self { limiter, clock, hasher: RandomState::new(), most, forgot: Mutex::new(None) }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// It is one too many: how long to wait for the next.
    pub fn attempt<K: Hash + ?Sized>(&self, key: &K) -> Result<(), Duration> {
        let mut key = self.hasher.hash_one(key) | 1 << 63;
        if self.limiter.len() >= self.most && !self.forget() {
            key %= SHARED;
        }
        self.limiter.check_key(&key).map_err(|refused| refused.wait_time_from(self.clock.now()))
    }

    /// How many are kept.
    #[must_use]
    pub fn kept(&self) -> usize {
        self.limiter.len()
    }

    /// Whether there is room again.
    fn forget(&self) -> bool {
        let now = self.clock.now();
        let mut forgot = self.forgot.lock();
        let due = forgot.is_none_or(|last| {
            Duration::from(governor::clock::Reference::duration_since(&now, last)) >= FORGET_AGAIN
        });
        if due {
            self.limiter.retain_recent();
            *forgot = Some(now);
        }
        self.limiter.len() < self.most
    }
}

impl<C: Clock> std::fmt::Debug for Bounded<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounded").field("most", &self.most).finish_non_exhaustive()
    }
}

/// Whom an address stands for: itself, or the 64 bits of an IPv6 network that one customer gets.
#[must_use]
pub fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

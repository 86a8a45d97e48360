//! Who brings wrong proofs, by address: after [`AT_ONCE`] one may be tried each [`EVERY`].
//!
//! Only wrong ones count, so that a client with the right one may call as often as it likes. Memory is bounded.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use listener::allowance::{Allowance, Bounded, network};
use quick_cache::sync::Cache;

/// How many wrong proofs may follow each other quickly.
pub(super) const AT_ONCE: u32 = 10;
/// How soon there may be one more after that.
const EVERY: Duration = Duration::from_secs(6);
/// How many addresses are remembered that have to wait.
const WAITING: usize = 16_384;

/// Wrong proofs.
#[derive(Debug)]
pub(super) struct Guesses {
    wrong: Bounded,
    /// Until when nobody there is listened to.
    waiting: Cache<IpAddr, Instant>,
}

impl Default for Guesses {
    fn default() -> Self {
        let burst = NonZeroU32::new(AT_ONCE).unwrap_or(NonZeroU32::MIN);
        Self { wrong: Bounded::of_many(Allowance { burst, every: EVERY }), waiting: Cache::new(WAITING) }
    }
}

impl Guesses {
    /// How long this address has to wait, if it has to.
    pub(super) fn waiting(&self, address: IpAddr) -> Option<Duration> {
        let until = self.waiting.get(&network(address))?;
        let wait = until.saturating_duration_since(Instant::now());
        (!wait.is_zero()).then_some(wait)
    }

    /// It has brought a wrong proof; how long it has to wait now, if it has to.
    pub(super) fn failed(&self, address: IpAddr) -> Option<Duration> {
        let address = network(address);
        let wait = self.wrong.attempt(&address).err()?;
        self.waiting.insert(address, Instant::now() + wait);
        Some(wait)
    }
}

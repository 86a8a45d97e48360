//! How often one may try to log in: from one address, and as one user.
//!
//! The first keeps one machine from guessing through all users, the second keeps many machines from guessing
//! at one of them. Guessing at somebody keeps that person out while it goes on, so the second must be the more
//! generous: one address is out of attempts long before the name is. Both forgive quickly.
//!
//! The memory for this is bounded ([`listener::allowance`]).

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};

use listener::allowance::{Allowance, Bounded, MAX_KEYS, network};

/// The allowances of one login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitSettings {
    /// For one IPv4 address, or one IPv6 network of 64 bits, which is what one customer gets.
    pub per_address: Allowance,
    /// For one user name, known or not. More, and sooner again, than [`LimitSettings::per_address`]: else one address
    /// can keep any user out.
    pub per_user: Allowance,
}

impl Default for LimitSettings {
    /// Ten at once from an address and one more every six seconds; sixty at once for a name and one more every second.
    fn default() -> Self {
        let burst = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self {
            per_address: Allowance { burst: burst(10), every: Duration::from_secs(6) },
            per_user: Allowance { burst: burst(60), every: Duration::from_secs(1) },
        }
    }
}

/// Counts attempts.
#[derive(Debug)]
pub(super) struct Limits<C: Clock = DefaultClock> {
    addresses: Bounded<C>,
    users: Bounded<C>,
}

impl Limits {
    pub(super) fn new(settings: LimitSettings) -> Self {
        Self::with_clock(settings, DefaultClock::default(), MAX_KEYS)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(settings: LimitSettings, clock: C, most: usize) -> Self {
        Self {
            addresses: Bounded::new(settings.per_address, clock.clone(), most),
            users: Bounded::new(settings.per_user, clock, most),
        }
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// It is one too many: how long to wait for the next.
    pub(super) fn attempt(&self, client: IpAddr, user: &str) -> Result<(), Duration> {
        self.addresses.attempt(&network(client))?;
        self.users.attempt(user)
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use listener::allowance::SHARED;

    fn limits(most: usize) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let allowance = |burst, seconds| Allowance {
            burst: NonZeroU32::new(burst).unwrap(),
            every: Duration::from_secs(seconds),
        };
        let settings = LimitSettings { per_address: allowance(5, 2), per_user: allowance(3, 10) };
        (Limits::with_clock(settings, clock.clone(), most), clock)
    }

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_an_allowance_whatever_the_user() {
        let (limits, clock) = limits(1000);
        for user in 0..5 {
            assert_eq!(limits.attempt(from("192.0.2.1"), &user.to_string()), Ok(()));
        }
        let wait = limits.attempt(from("192.0.2.1"), "another").unwrap_err();
        assert!(wait <= Duration::from_secs(2) && wait > Duration::from_secs(1), "{wait:?}");
        assert_eq!(limits.attempt(from("192.0.2.2"), "another"), Ok(()));
        clock.advance(wait);
        assert_eq!(limits.attempt(from("192.0.2.1"), "another"), Ok(()));
        assert!(limits.attempt(from("192.0.2.1"), "another").is_err());
    }

    #[test]
    fn a_user_has_an_allowance_whatever_the_address() {
        let (limits, clock) = limits(1000);
        for host in 1..=3 {
            assert_eq!(limits.attempt(from(&format!("192.0.2.{host}")), "ada"), Ok(()));
        }
        assert!(limits.attempt(from("192.0.2.9"), "ada").is_err());
        assert_eq!(limits.attempt(from("192.0.2.9"), "grace"), Ok(()));
        clock.advance(Duration::from_secs(10));
        assert_eq!(limits.attempt(from("192.0.2.9"), "ada"), Ok(()));
    }

    #[test]
    fn one_address_keeps_nobody_else_out() {
        let clock = FakeRelativeClock::default();
        let limits = Limits::with_clock(LimitSettings::default(), clock.clone(), 1000);
        for second in 0..600 {
            for _ in 0..20 {
                let _ = limits.attempt(from("192.0.2.1"), "ada");
            }
            if second % 10 == 0 {
                assert_eq!(limits.attempt(from("192.0.2.2"), "ada"), Ok(()), "after {second} seconds");
            }
            clock.advance(Duration::from_secs(1));
        }
        assert!(limits.attempt(from("192.0.2.1"), "ada").is_ok());
        assert!(limits.attempt(from("192.0.2.1"), "ada").is_err());
    }

    #[test]
    fn a_network_counts_as_one_address() {
        assert_eq!(network(from("2001:db8:1:2:aaaa::1")), network(from("2001:db8:1:2:bbbb::9")));
        assert_ne!(network(from("2001:db8:1:2::1")), network(from("2001:db8:1:3::1")));
        assert_eq!(network(from("::ffff:192.0.2.1")), from("192.0.2.1"));
        assert_ne!(network(from("192.0.2.1")), network(from("192.0.2.2")));
    }

    #[test]
    fn a_flood_of_names_takes_bounded_memory_and_passes() {
        let (limits, clock) = limits(100);
        for n in 0..20_000_u32 {
            let _ = limits.attempt(IpAddr::from(n.to_be_bytes()), &n.to_string());
        }
        let most = 100 + usize::try_from(SHARED).unwrap();
        assert!(limits.addresses.kept() <= most && limits.users.kept() <= most);
        clock.advance(Duration::from_secs(3600));
        assert_eq!(limits.attempt(from("192.0.2.1"), "ada"), Ok(()));
        assert!(limits.users.kept() < 100, "what has its full allowance again is forgotten");
    }

    #[test]
    fn no_time_between_attempts_is_still_some() {
        let none = Allowance { burst: NonZeroU32::MIN, every: Duration::ZERO };
        let limits = Limits::new(LimitSettings { per_address: none, per_user: none });
        assert_eq!(limits.attempt(from("192.0.2.1"), "ada"), Ok(()));
    }
}

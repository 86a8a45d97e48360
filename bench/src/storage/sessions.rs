//! The sessions that are kept: as many and as large as a site has them, and the same for everybody.

use std::sync::LazyLock;

use bytes::Bytes;
use session::Millis;
use storage::Times;

/// Bytes of a session, as the design counts them.
pub(super) const VALUE_BYTES: usize = 600;

/// How long they live.
const LIFETIME: u64 = 8 * 3_600_000;

/// What each of them holds. It cannot be compressed, as little as what is sealed.
static VALUE: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(600);
    (0..VALUE_BYTES).map(|_| random.u8(..)).collect()
});

/// What each of them holds.
pub(super) fn value() -> Bytes {
    VALUE.clone()
}

/// Context and name of the session with that number. As with real handles the contexts are 256, and what comes next lies
/// anywhere.
pub(super) fn place(number: u64) -> (String, String) {
    let (first, rest) = (mixed(number), mixed(!number));
    (format!("session.{:02x}", first >> 56), format!("{first:016x}{:06x}", rest >> 40))
}

/// When a session was used that is used now, and when it ends.
pub(super) fn times(now: Millis) -> Times {
    Times { touched: now, expires: Millis(now.0 + LIFETIME) }
}

/// Another number for each number (splitmix64).
const fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn sessions_are_spread_over_all_contexts_and_none_is_there_twice() {
        let places: HashSet<_> = (0..10_000).map(place).collect();
        assert_eq!(places.len(), 10_000);
        let contexts: HashSet<_> = places.iter().map(|(context, _)| context).collect();
        assert_eq!(contexts.len(), 256);
        assert!(places.iter().all(|(_, name)| name.len() == 22));
        assert_eq!(value().len(), VALUE_BYTES);
    }
}

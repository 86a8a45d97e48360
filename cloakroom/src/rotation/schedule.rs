//! What state a key is in, from time alone.
//!
//! Each key says when it begins to seal. From that follows all else, so that nodes which see the same files agree
//! without talking:
//!
//! ```text
//!  made      active                next one active            + keep + announce
//!   |announced |       active        |         retiring           | over: removed
//!   '-announce-'-------every---------'
//! ```
//!
//! `announce` is what covers the differences between nodes: their clocks may differ by half of it, and a quarter each is
//! for a node that has not looked yet and for one that is late to change the key. `keep` is the longest life of what is
//! sealed; the `announce` after it is for values that a node whose clock is behind sealed with the key a little longer.

use std::time::Duration;

use seal::KeyState;
use session::Millis;

/// How keys follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How long a key seals.
    pub every: Duration,
    /// How long every node can open with a key before the first one seals with it.
    pub announce: Duration,
    /// The longest life of what is sealed; zero: keys are kept for ever.
    pub keep: Duration,
}

/// What a key says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dates {
    /// From when on it seals.
    pub active: Millis,
    /// Its place among all keys ever made in the folder, from 1. Of two with the same beginning the later one counts.
    pub number: u32,
    /// When it was made.
    pub made: Millis,
}

/// The state of a key at a moment, and how long it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// The state; nothing: all that it sealed is dead, and it can be removed.
    pub state: Option<KeyState>,
    /// Since when.
    pub since: Millis,
    /// Until when, as far as that is known. An active key stays active while there is no next one.
    pub until: Millis,
}

impl Schedule {
    /// How far apart the clocks of two nodes may be.
    #[must_use]
    pub fn skew(&self) -> Duration {
        self.announce / 2
    }

    /// How often a node looks for new keys. Ten seconds cost nothing, and a folder can come back at any time.
    #[must_use]
    pub fn interval(&self) -> Duration {
        (self.announce / 4).min(Duration::from_secs(10))
    }

    /// The stage at `now` of the key that `next` follows.
    #[must_use]
    pub fn stage(&self, key: &Dates, next: Option<&Dates>, now: Millis) -> Stage {
        if now < key.active {
            return Stage { state: Some(KeyState::Announced), since: key.made, until: key.active };
        }
        let Some(next) = next else {
            return Stage { state: Some(KeyState::Active), since: key.active, until: Millis::NEVER };
        };
        if now < next.active {
            return Stage { state: Some(KeyState::Active), since: key.active, until: next.active };
        }
        let over =
            if self.keep.is_zero() { Millis::NEVER } else { next.active.plus(self.keep).plus(self.announce) };
        let state = (now < over).then_some(KeyState::Retiring);
        Stage { state, since: if state.is_some() { next.active } else { over }, until: over }
    }

    /// The stages of all keys, which are in the order of [`Dates`].
    pub fn stages<'a>(
        &'a self,
        keys: &'a [Dates],
        now: Millis,
    ) -> impl Iterator<Item = (&'a Dates, Stage)> + 'a {
        let next = keys.iter().skip(1).map(Some).chain([None]);
        keys.iter().zip(next).map(move |(key, next)| (key, self.stage(key, next, now)))
    }

    /// When the next key begins to seal, if it is to be made now. `last` is the last one there is.
    #[must_use]
    pub fn due(&self, last: &Dates, now: Millis) -> Option<Millis> {
        let planned = last.active.plus(self.every);
        let soonest = now.plus(self.announce);
        (soonest >= planned).then_some(planned.max(soonest))
    }
}

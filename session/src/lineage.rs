//! The tickets that a session has had, and what an old one says about who holds it.
//!
//! A ticket that is renewed as time goes by (`renew_interval`) has a successor, and a browser has one jar for its
//! cookies: once it has sent the successor, no tab of it sends the old one again, but for requests that were under way.
//! Who does so later is somebody else, or has been robbed by somebody else. Until the successor was used nothing of the
//! kind can be said: its answer may be lost, the tab asleep, the browser gone. So
//!
//! - the previous ticket is good, for however long, until the current one was used, and for a window from then on;
//! - after that it, and every ticket before it that is remembered, accuses whoever presents it;
//! - a secret that the session never had is a guess, and accuses nobody: everybody may know the handle.

use std::fmt;
use std::time::Duration;

use crate::{Millis, SecretHash, Session};

/// How many tickets before the previous one are remembered.
pub const MAX_ANCESTORS: usize = 8;

/// The ticket that a renewal replaced.
#[derive(Clone, PartialEq, Eq)]
pub struct Previous {
    /// The hash of its secret.
    pub secret: SecretHash,
    /// Until when it is good; [`Millis::NEVER`] as long as nobody used its successor.
    pub until: Millis,
    /// The secret that followed, sealed under the previous secret: only who holds that one can be told the new one.
    /// Empty where nobody is to be told, as after a login: who held the ticket before is not who proved themselves now.
    pub successor: Box<[u8]>,
}

/// Since when a session has its ticket, and which ones it had before the previous one. A login begins it anew: nobody is
/// accused for a ticket of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lineage {
    /// When the current ticket was made.
    pub renewed: Millis,
    /// The hashes of the secrets before the previous one, the latest first, at most [`MAX_ANCESTORS`].
    pub ancestors: Vec<SecretHash>,
}

/// What a secret is to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinship<'s> {
    /// It opens the session.
    Current,
    /// It opens the session for a while. What is sealed under it is its successor, if who holds it may know that.
    Previous(&'s [u8]),
    /// It was the session's, and whoever has it now should have a later one.
    Outlived,
    /// It is not, or not any more.
    None,
}

impl Session {
    /// What the secret with this hash is to this session.
    #[must_use]
    pub fn kinship(&self, presented: SecretHash, now: Millis) -> Kinship<'_> {
        if presented == self.secret {
            return Kinship::Current;
        }
        match (&self.previous, &self.lineage) {
            (Some(previous), _) if presented == previous.secret && now < previous.until => {
                Kinship::Previous(&previous.successor)
            }
            (Some(previous), Some(_)) if presented == previous.secret => Kinship::Outlived,
            (_, Some(lineage)) if lineage.ancestors.contains(&presented) => Kinship::Outlived,
            _ => Kinship::None,
        }
    }

    /// When its ticket was made.
    #[must_use]
    pub fn renewed(&self) -> Millis {
        self.lineage.as_ref().map_or(self.begun, |lineage| lineage.renewed)
    }

    /// Whether its ticket can be renewed at `now`: not while the one before is good, for then there would be a third; nor
    /// for a `rest` after that, in which the last answers that tell the current one arrive. Later they would put it in the
    /// place of its successor.
    #[must_use]
    pub fn is_renewable(&self, now: Millis, rest: Duration) -> bool {
        !self.is_carried() && self.previous.as_ref().is_none_or(|previous| previous.until.plus(rest) <= now)
    }

    /// Gives it the next ticket, as time goes by: `successor` is its secret, sealed under the one until now.
    pub fn succeed(&mut self, secret: SecretHash, successor: Box<[u8]>, now: Millis) {
        let outlived = self.lineage.take().map(|lineage| lineage.ancestors);
        // Those of before a login, or of before it moved here, had rules of their own.
        let outlived = outlived.zip(self.previous.take());
        let mut ancestors = Vec::new();
        if let Some((before, previous)) = outlived {
            ancestors.push(previous.secret);
            ancestors.extend(before);
            ancestors.truncate(MAX_ANCESTORS);
        }
        self.previous = Some(Previous { secret: self.secret, until: Millis::NEVER, successor });
        self.lineage = Some(Lineage { renewed: now, ancestors });
        self.secret = secret;
        self.revision = self.revision.next();
    }

    /// Whether it is not known yet that its current ticket reached its visitor.
    #[must_use]
    pub fn awaits_use(&self) -> bool {
        self.lineage.is_some()
            && self.previous.as_ref().is_some_and(|previous| previous.until == Millis::NEVER)
    }

    /// Its current ticket was used: the one before is good until then.
    pub fn confirm_use(&mut self, until: Millis) {
        if self.awaits_use()
            && let Some(previous) = &mut self.previous
        {
            previous.until = until;
        }
    }
}

impl fmt::Debug for Previous {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Previous").field("until", &self.until).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Handle, Secret};

    const LATER: Millis = Millis(900);
    const REST: Duration = Duration::from_millis(100);

    fn hash(number: u8) -> SecretHash {
        Secret::from_bytes([number; 32]).hash()
    }

    /// A session whose tickets were renewed so often, each after the one before was used.
    fn after(renewals: u8) -> Session {
        let mut session = Session::new(Handle::from_bytes([1; 16]), hash(0), "shop", Millis(0));
        for number in 1..=renewals {
            session.confirm_use(Millis(500));
            session.succeed(hash(number), [number].into(), Millis(number.into()));
        }
        session
    }

    #[test]
    fn a_previous_ticket_is_good_until_its_successor_was_used() {
        let mut session = after(1);
        assert!(session.awaits_use() && !session.is_renewable(LATER, REST));
        assert_eq!(session.kinship(hash(0), LATER), Kinship::Previous(&[1]));
        session.confirm_use(LATER);
        assert_eq!(session.kinship(hash(0), Millis(899)), Kinship::Previous(&[1]));
        assert_eq!(session.kinship(hash(0), LATER), Kinship::Outlived);
        assert!(!session.awaits_use() && !session.is_renewable(Millis(999), REST));
        assert!(session.is_renewable(Millis(1_000), REST));
        // What was told once is not put off by the next use.
        session.confirm_use(Millis(2_000));
        assert_eq!(session.kinship(hash(0), LATER), Kinship::Outlived);
    }

    #[test]
    fn so_many_old_tickets_accuse_and_a_guess_never_does() {
        let session = after(20);
        assert_eq!(session.kinship(hash(20), LATER), Kinship::Current);
        assert_eq!(session.kinship(hash(19), LATER), Kinship::Previous(&[20]));
        for number in 11..=18 {
            assert_eq!(session.kinship(hash(number), LATER), Kinship::Outlived, "{number}");
        }
        for number in [0, 10, 21, 99] {
            assert_eq!(session.kinship(hash(number), LATER), Kinship::None, "{number}");
        }
        assert_eq!(session.renewed(), Millis(20));
    }

    #[test]
    fn the_ticket_before_a_login_accuses_nobody() {
        let mut session = after(0);
        session.previous = Some(Previous { secret: hash(9), until: Millis(500), successor: Box::default() });
        assert_eq!(session.kinship(hash(9), Millis(499)), Kinship::Previous(&[]));
        assert_eq!(session.kinship(hash(9), LATER), Kinship::None);
        session.succeed(hash(1), [1].into(), LATER);
        session.confirm_use(LATER);
        session.succeed(hash(2), [2].into(), LATER);
        assert_eq!(session.kinship(hash(9), LATER), Kinship::None);
        assert_eq!(session.kinship(hash(0), LATER), Kinship::Outlived);
    }
}

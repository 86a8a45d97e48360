//! By which bounds sessions are judged.

use std::sync::Arc;
use std::time::Duration;

use session::{Millis, Session, Timeouts, record_expiry};

/// How much longer than the session its record stays at least. Nobody is told that a session is live because of it; but an
/// outage of storage that is shorter than this cannot let the record of a session expire that memory knows to be used.
pub const AFTERLIFE: Duration = Duration::from_hours(1);

/// The longest that browsers keep a cookie (RFC 6265bis section 5.5): so long a ticket without bounds could come back.
const LONGEST_COOKIE: Duration = Duration::from_secs(400 * 86_400);

/// How much longer than the record of its session an entry of the index may stay, where touches are 24 minutes apart or
/// less. Of 100 000 sessions in use seven entries a second are written then.
pub(crate) const SHORTEST_SLACK: Duration = Duration::from_hours(4);

/// Applications that share sessions.
#[derive(Debug)]
pub struct Realm {
    /// Its name, which each session carries.
    pub id: Arc<str>,
    /// The time-outs of all its applications: a session ends when it is over for all of them.
    pub timeouts: Vec<Timeouts>,
    /// The longest of its applications' `touch_interval`s.
    pub touch_interval: Duration,
    /// How old what storage says of the last use may be: `touch_interval`, or twice that where last uses are gathered.
    pub lateness: Duration,
    /// How much longer than the session its record stays, and its tombstone: so long it can be told how it ended.
    /// [`AFTERLIFE`] where this is less.
    pub allowance: Duration,
}

impl Realm {
    /// Whether it is its applications that share this session. A session in the first tier has the very name that is here, so
    /// that nothing more must be read.
    pub(crate) fn has(&self, session: &Session) -> bool {
        Arc::ptr_eq(&self.id, &session.realm) || *self.id == *session.realm
    }

    /// When a session is over for all of this realm, [`Millis::NEVER`] if it has no bound.
    pub(crate) fn over_at(&self, begun: Millis, touched: Millis, grace: Duration) -> Millis {
        record_expiry(&self.timeouts, begun, touched, grace)
    }

    /// When the record of a session may go.
    pub(crate) fn record_expires(&self, begun: Millis, touched: Millis) -> Millis {
        self.over_at(begun, touched, self.lateness).plus(self.afterlife())
    }

    fn afterlife(&self) -> Duration {
        self.allowance.max(AFTERLIFE)
    }

    /// The longest that one of its sessions may live, counted from its last use: after it no cookie of a session that was
    /// ended could come back.
    #[must_use]
    pub fn longest_session(&self) -> Duration {
        let longest = self.over_at(Millis(0), Millis(0), self.lateness);
        if longest == Millis::NEVER { LONGEST_COOKIE } else { Duration::from_millis(longest.0) }
    }

    /// How much longer than the record of its session an entry of the index may stay: at least ten touches, so that it is
    /// written so much more rarely. A power of two times the shortest, so that the marks of a shorter one are those of a longer.
    pub(crate) fn index_slack(&self) -> Duration {
        let hours = (self.touch_interval * 10).as_secs().div_ceil(SHORTEST_SLACK.as_secs());
        let times = u32::try_from(hours.max(1).next_power_of_two()).unwrap_or(u32::MAX);
        SHORTEST_SLACK.saturating_mul(times)
    }

    /// Until when the tombstone of a session must stand: as long as its ticket could come back.
    pub(crate) fn buried_until(&self, begun: Millis, now: Millis) -> Millis {
        let over = self.over_at(begun, now, self.lateness);
        if over == Millis::NEVER { now.plus(LONGEST_COOKIE) } else { over.plus(self.afterlife()) }
    }
}

/// An application as it judges sessions.
#[derive(Debug, Clone)]
pub struct Application {
    /// Whose sessions it shares.
    pub realm: Arc<Realm>,
    /// Its own time-outs.
    pub timeouts: Timeouts,
    /// How often, at most, the last use of a session is written.
    pub touch_interval: Duration,
    /// How old a ticket may be before the next answer brings another one; zero: of any age.
    pub renew_interval: Duration,
}

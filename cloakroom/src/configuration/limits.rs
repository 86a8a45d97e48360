//! How many sessions there may be.

use super::application::Carrier;
use super::cache::Cache;
use super::form::{Choice, Count};
use super::section::Section;

/// `[application.limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most sessions of one person.
    pub sessions_per_person: Option<u32>,
    /// What happens to a login that would open one more.
    pub when_full: OnFull,
    /// The most live sessions that were opened from one address.
    pub sessions_per_address: Option<u32>,
    /// The most that are opened from one address in a minute.
    pub new_sessions_per_minute: Option<u32>,
}

/// What happens to a login of somebody who has as many sessions as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// It is refused.
    Refuse,
    /// Their oldest session ends.
    EndOldest,
    /// They are asked.
    Ask,
}

const ON_FULL: Choice<OnFull> = Choice {
    words: &[("refuse", OnFull::Refuse), ("end_oldest", OnFull::EndOldest), ("ask", OnFull::Ask)],
    later: &[],
};
const SESSIONS: Count = Count(1..=1000);
const OF_ADDRESS: Count = Count(1..=10_000);
const A_MINUTE: Count = Count(1..=100_000);

impl Limits {
    pub(crate) fn read(section: &mut Section<'_>, carrier: Carrier, cache: &Cache) -> Self {
        let limits = Self {
            sessions_per_person: section.optional(
                "sessions_per_person",
                &SESSIONS,
                3,
                "The most sessions that one person may have at once in the realm of the application, counted at each login.",
            ),
            when_full: section.value(
                "when_full",
                &ON_FULL,
                OnFull::EndOldest,
                "What happens to a login of somebody who has as many. `end_oldest`: the session ends that began first; `ask`: they \
                 are shown their sessions, and asked whether it should; `refuse`: the login is refused with 409, and who has lost \
                 a cookie waits for `idle_timeout`.",
            ),
            sessions_per_address: section.optional(
                "sessions_per_address",
                &OF_ADDRESS,
                100,
                "The most live sessions, of somebody or nobody, that were opened from one address, an IPv6 network of 64 bits \
                 being one. What would open more is answered with 429. Each node counts its own.",
            ),
            new_sessions_per_minute: section.optional(
                "new_sessions_per_minute",
                &A_MINUTE,
                60,
                "The most sessions that are opened from one address in a minute, as many at once included. Each node counts its \
                 own.",
            ),
        };
        limits.check(section, carrier, cache);
        limits
    }

    fn check(&self, section: &mut Section<'_>, carrier: Carrier, cache: &Cache) {
        if carrier == Carrier::Sealed && self.sessions_per_address.is_some() {
            let message = "`sessions_per_address` has no effect with `carrier = \"sealed\"`: nobody knows which of what visitors \
                           carry is live";
            section.warn(
                "sessions_per_address",
                message,
                "say `new_sessions_per_minute`, or remove this line",
            );
        }
        if carrier == Carrier::None {
            for key in ["sessions_per_address", "new_sessions_per_minute"] {
                if section.given(key) {
                    let message = format!("`{key}` has no effect with `carrier = \"none\"`");
                    section.warn(key, message, "remove it, or say `carrier = \"ticket\"`");
                }
            }
        }
        if self.sessions_per_person.is_none() {
            if section.given("when_full") {
                let message = "`when_full` has no effect without `sessions_per_person`";
                section.warn(
                    "when_full",
                    message,
                    "say how many sessions one person may have, or remove this line",
                );
            }
            section.without_effect(&["when_full"]);
            return;
        }
        let key = "sessions_per_person";
        match carrier {
            Carrier::Sealed => {
                let message = "`sessions_per_person` has no effect with `carrier = \"sealed\"`: what visitors carry is in no list, \
                               so nobody can count it";
                section.warn(key, message, "say `carrier = \"ticket\"`, or remove this line");
            }
            Carrier::None => {
                let message = "`sessions_per_person` has no effect with `carrier = \"none\"`";
                section.warn(key, message, "remove it, or say `carrier = \"ticket\"`");
            }
            Carrier::Ticket if !cache.maintain_reverse_index => {
                let message = "nobody could count the sessions of one person: `[cache]` says `maintain_reverse_index = false`";
                section.wrong(key, message, "remove that line, or this one");
            }
            Carrier::Ticket => {}
        }
    }
}

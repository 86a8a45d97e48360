//! Time-outs by assurance level, as NIST SP 800-63B-4 has them.
//!
//! The standard says SHALL and SHOULD. What it says an application shall do is an error of `check` where the file does
//! otherwise; what it should do is a warning.

use std::time::Duration;

use super::form::{Choice, shown_duration};
use super::section::Section;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// An authentication assurance level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// Some confidence.
    Aal1,
    /// High confidence: two factors.
    Aal2,
    /// Very high confidence: a key that cannot be phished.
    Aal3,
}

pub(crate) const ASSURANCE: Choice<Assurance> = Choice {
    words: &[("aal1", Assurance::Aal1), ("aal2", Assurance::Aal2), ("aal3", Assurance::Aal3)],
    later: &[],
};

impl Assurance {
    /// The longest that nobody need be there; zero: the standard asks for no such bound.
    pub(crate) const fn idle_timeout(self) -> Duration {
        match self {
            Self::Aal1 => Duration::ZERO,
            Self::Aal2 => HOUR,
            Self::Aal3 => MINUTE.saturating_mul(15),
        }
    }

    /// The longest from one login to the next.
    pub(crate) const fn lifetime(self) -> Duration {
        match self {
            Self::Aal1 => HOUR.saturating_mul(24 * 30),
            Self::Aal2 => HOUR.saturating_mul(24),
            Self::Aal3 => HOUR.saturating_mul(12),
        }
    }

    /// Holds an application's own time-outs, and how long browsers keep its cookie, against the level.
    pub(crate) fn check(self, section: &Section<'_>, idle_timeout: Duration, lifetime: Duration) {
        let name = ASSURANCE.word(&self);
        let longest = self.lifetime();
        let cure = format!("say `lifetime = \"{}\"` or less", shown_duration(longest));
        if lifetime.is_zero() {
            let message = format!("at `{name}` there shall be a time at which people log in again");
            section.wrong("lifetime", message, cure);
        } else if lifetime > longest {
            let bound = shown_duration(longest);
            if self == Self::Aal3 {
                let message = format!("at `{name}` people shall log in again after {bound} at the latest");
                section.wrong("lifetime", message, cure);
            } else {
                let message = format!("at `{name}` people should log in again after {bound} at the latest");
                section.warn("lifetime", message, cure);
            }
        }
        let longest = self.idle_timeout();
        if !longest.is_zero() && (idle_timeout.is_zero() || idle_timeout > longest) {
            let bound = shown_duration(longest);
            let message = format!("at `{name}` a session that nobody uses should be over after {bound}");
            section.warn("idle_timeout", message, format!("say `idle_timeout = \"{bound}\"` or less"));
        }
    }

    /// What is to be said of a cookie that browsers keep beyond their own end.
    pub(crate) fn kept_cookie(self) -> String {
        format!("at `{}` a cookie should not outlive the browser (`max_age`)", ASSURANCE.word(&self))
    }
}

//! Whether somebody who is logged in as often as they may be wants their oldest session to end.
//!
//! They have just entered their password, and are not asked for it once more: the page holds a token that says who they are and when they
//! proved it, sealed, bound to this browser as the tokens of all our forms are, and good for a few minutes. What they prove with it
//! is from when they entered the password: a logout everywhere that came since refuses it.

use std::time::Duration;

use bytes::Bytes;
use http::header::SET_COOKIE;
use http::request::Parts;
use http::{Response, StatusCode};
use session::Millis;

use super::answers::Refusal;
use super::form::Form;
use super::return_to::ReturnTo;
use super::{Login, Submission, origin};
use crate::pages::{FullPage, ListedSession};

/// The field that holds the token.
pub(super) const FIELD: &str = "end_oldest";

/// How many sessions the page shows.
const SHOWN: usize = 10;

/// A session as its person is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere {
    /// When its person logged in.
    pub since: Millis,
    /// When it was last used, as far as is known.
    pub last_seen: Millis,
}

impl Login {
    /// The page that offers `user`, who was [accepted](Submission::Accepted) and has these sessions already, to end the oldest.
    #[must_use]
    pub fn offer(
        &self,
        request: &Parts,
        user: &str,
        return_to: &str,
        sessions: &[Elsewhere],
        now: Millis,
    ) -> Response<Bytes> {
        let return_to = self.usable(ReturnTo::parse(return_to));
        let Ok(issued) = self.tokens.issue_to(user, &request.headers, &return_to, now) else {
            return self.broken(request);
        };
        let shown: Vec<ListedSession> = sessions
            .iter()
            .take(SHOWN)
            .map(|session| ListedSession {
                since: ago(now.since(session.since)),
                last_seen: ago(now.since(session.last_seen)),
            })
            .collect();
        let page = FullPage {
            application: &self.title,
            action: &self.own_pages.login,
            token: &issued.token,
            sessions: &shown,
            return_to: self.home.as_str(),
        };
        let mut response = self.pages.full(StatusCode::CONFLICT, &page);
        response.headers_mut().insert(SET_COOKIE, issued.cookie);
        response.extensions_mut().insert(Refusal::Full);
        response
    }

    /// Somebody wants that.
    pub(super) fn consent(
        &self,
        request: &Parts,
        form: &Form,
        now: Millis,
    ) -> Result<Submission, (Refusal, ReturnTo)> {
        let known = self.tokens.check_of(&request.headers, form.field(FIELD), now);
        match known {
            Some((user, return_to, proved)) if !origin::is_foreign(&request.headers) => {
                let return_to = self.usable(Some(return_to)).to_string();
                Ok(Submission::Accepted { user, return_to, proved, may_end_oldest: true })
            }
            _ => Err((Refusal::Token, self.home.clone())),
        }
    }
}

/// How long ago, for people.
fn ago(since: Duration) -> String {
    let minutes = since.as_secs() / 60;
    let (count, unit) = match minutes {
        0 => return "a moment ago".to_owned(),
        1..60 => (minutes, "minute"),
        60..1440 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_told_about_how_long_ago_it_was() {
        for (seconds, told) in [
            (59, "a moment ago"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (7_200, "2 hours ago"),
            (86_400, "1 day ago"),
        ] {
            assert_eq!(ago(Duration::from_secs(seconds)), told);
        }
    }
}

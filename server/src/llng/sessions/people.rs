//! People who log in with a password, and who log out everywhere else.

use std::net::IpAddr;

use cache::{Count, Tally};
use dialects::llng::{Changes, Id, Kind, Received, WHOSE};
use session::{Ending, Selector, Session, Whose, Why};
use storage::Unavailable;

use super::super::kept::{By, LoggedIn, Made};
use super::super::line::Line;
use super::super::logins::Verdict;
use super::listing::{NEEDED, search_for};
use super::{Sessions, random_id};
use crate::audit::{self, Upon};

impl Sessions {
    /// Logs somebody in who is there, with a password, into a session whose cookie holds this where that is wished.
    pub(in crate::llng) async fn log_in(
        &self,
        by: By<'_>,
        from: IpAddr,
        user: &str,
        password: &str,
        cookie: Option<Id>,
    ) -> Result<LoggedIn, Unavailable> {
        let Some(logins) = &self.settings.logins else { return Ok(LoggedIn::NoLogins) };
        match logins.verify(from, user, password).await {
            Verdict::Right => {}
            Verdict::Wrong => return Ok(LoggedIn::Wrong),
            Verdict::Unknown => return Ok(LoggedIn::NotTried),
        }
        let Some(cookie) = cookie.or_else(random_id) else { return Ok(LoggedIn::Refused) };
        let id = self.id_in(&cookie);
        Ok(match self.make(by, Some(id), Kind::Sso, self.attributes_of(from, user)).await? {
            Made::Made(kept) => LoggedIn::In { kept, cookie },
            Made::Refused => LoggedIn::Refused,
        })
    }

    /// What is known of somebody who logged in with a password, as a portal writes it.
    fn attributes_of(&self, from: IpAddr, user: &str) -> Changes {
        let seconds = (self.cache.now().0 / 1000).to_string();
        let address = from.to_canonical().to_string();
        [
            ("_user", user),
            ("uid", user),
            (WHOSE, user),
            ("_auth", "Htpasswd"),
            ("_userDB", "Null"),
            ("authenticationLevel", "2"),
            ("_lastAuthnUTime", &seconds),
            ("ipAddr", &address),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), Received::Text(value.into())))
        .collect()
    }

    /// Ends the other logins of whoever has this one; how many there were.
    pub(in crate::llng) async fn end_others(&self, by: By<'_>, mine: &Session) -> Result<u64, Unavailable> {
        let Some(whose) = &mine.principal else { return Ok(0) };
        let mut others = Vec::new();
        let each = |line: &Line| {
            let is_theirs = line.whose.as_deref() == Some(whose) && line.handle != mine.handle;
            if is_theirs && line.kind == Kind::Sso && by.client.knows_kind(line.kind) {
                others.push(line.handle);
            }
            true
        };
        self.look(search_for(whose), Some(&NEEDED), each).await?;
        if others.is_empty() {
            return Ok(0);
        }
        let from = Some(by.caller.address.to_canonical());
        let ending = Ending { from, ..Ending::new(self.cache.now(), Why::Logout, &by.client.id) };
        // Not by the person: that would be all of theirs, with this one.
        let ended = self.cache.end_where(Selector::all(Whose::Handles(others)), ending).await?;
        let (handles, sessions) = (&*ended.handles, &ended.end.sessions);
        let upon = Upon { handles, sessions: Some(sessions), ..Upon::default() };
        audit::done(by.client, by.caller, "the other sessions of somebody in LemonLDAP::NG were ended", upon);
        Ok(match ended.end.sessions {
            Tally::Exactly(count) => count,
            Tally::OnServer(Count { sessions, .. }) => sessions as u64,
            Tally::Unknown => handles.len() as u64,
        })
    }
}

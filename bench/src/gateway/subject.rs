//! What one measurement is about: a server, and the requests that it gets.

use std::net::SocketAddr;

use interop::{Apache, Cloakroom, Haproxy, Nginx, Process, raw};

use super::upstream::{BODY, PLAIN, SESSION, SHOW, Upstream};
use crate::error::{Error, Result};
use crate::load::{Client, Load, Requests};

/// A running server and what will be asked of it. It stops when this is dropped.
pub(crate) struct Subject {
    pub(crate) server: Box<dyn Server>,
    pub(crate) load: Load,
    pub(crate) session: Session,
}

/// What the upstream sees of a session with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// Nothing.
    None,
    /// The one that was opened, as it was.
    Read,
    /// One that its own answers change.
    Changed,
    /// The one that was opened; every answer gives the visitor another, in a cookie.
    Carried,
}

/// A server that can be measured.
pub(crate) trait Server {
    /// Where it takes requests.
    fn address(&self) -> SocketAddr;
    /// What is counted: the process and its children.
    fn process(&self) -> &Process;
}

impl Subject {
    /// A server without sessions, or one for visitors who have none.
    pub(crate) fn plain(server: impl Server + 'static) -> Self {
        Self::under(server, Load::Clear(Requests::to(PLAIN)), Session::None)
    }

    /// A server that is asked so.
    pub(crate) fn under(server: impl Server + 'static, load: Load, session: Session) -> Self {
        Self { server: Box::new(server), load, session }
    }

    /// A server for visitors with that cookie.
    pub(crate) fn reading(server: impl Server + 'static, cookie: String) -> Self {
        Self::under(server, Load::Clear(Requests::with(PLAIN, vec![cookie])), Session::Read)
    }

    /// Makes sure of what a row says before it is measured: each request is answered by the upstream, which sees
    /// the session that it should.
    pub(crate) fn check(&self, row: &'static str) -> Result<()> {
        match &self.load {
            Load::Clear(requests) => self.check_session(row, requests),
            Load::Tls(_, path) | Load::Handshakes(path) => {
                let body = Client::tls(self.server.address())?.get(path)?;
                if body == BODY {
                    return Ok(());
                }
                Err(Error::Wrong { row, what: format!("expected `{BODY}`, got `{body}`") })
            }
            // Each message looks at its answer.
            Load::Messages => Ok(()),
        }
    }

    fn check_session(&self, row: &'static str, requests: &Requests) -> Result<()> {
        let ask = |path| {
            let cookie = requests.cookies.first().map(|cookie| format!("Cookie: {cookie}\r\n"));
            raw::get(self.server.address(), path, &cookie.unwrap_or_default())
        };
        let answer = ask(requests.path)?;
        if answer.text() != BODY {
            return Err(wrong(row, BODY, &answer));
        }
        let gives = answer.cookie("session");
        if (self.session == Session::Carried)
            != gives.is_some_and(|cookie| !requests.cookies.iter().any(|one| one == cookie))
        {
            return Err(Error::Wrong { row, what: format!("the answer sets this cookie: {gives:?}") });
        }
        let shown = ask(SHOW)?;
        let (expected, is_as_expected) = match self.session {
            Session::None => ("", shown.text().is_empty()),
            Session::Read => (SESSION, shown.text() == SESSION),
            Session::Changed => ("seen=", shown.text().contains("&seen=")),
            Session::Carried => (SESSION, shown.text().starts_with(SESSION)),
        };
        if is_as_expected { Ok(()) } else { Err(wrong(row, expected, &shown)) }
    }
}

fn wrong(row: &'static str, expected: &str, answer: &raw::Response) -> Error {
    Error::Wrong { row, what: format!("expected `{expected}`, got {} `{}`", answer.status, answer.text()) }
}

impl Server for Upstream {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn process(&self) -> &Process {
        self.process()
    }
}

impl Server for Nginx {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn process(&self) -> &Process {
        self.process()
    }
}

impl Server for Haproxy {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn process(&self) -> &Process {
        self.process()
    }
}

impl Server for Apache {
    fn address(&self) -> SocketAddr {
        self.address()
    }

    fn process(&self) -> &Process {
        self.process()
    }
}

impl Server for Cloakroom {
    fn address(&self) -> SocketAddr {
        self.gateway()
    }

    fn process(&self) -> &Process {
        self.process()
    }
}

/// A server, and what has to be there as long as it runs.
pub(crate) struct With<S, T> {
    pub(crate) server: S,
    /// Dropped after the server.
    pub(crate) _beside: T,
}

impl<S: Server, T> Server for With<S, T> {
    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    fn process(&self) -> &Process {
        self.server.process()
    }
}

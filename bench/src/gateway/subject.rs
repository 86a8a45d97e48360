//! What one measurement is about: a server, and the requests that it gets.

use std::net::SocketAddr;

use interop::{Apache, Cloakroom, Haproxy, Nginx, Process, raw};

use super::upstream::{BODY, PLAIN, SESSION, SHOW, Upstream};
use crate::error::{Error, Result};
use crate::load::Requests;

/// A running server and what will be asked of it. It stops when this is dropped.
pub(crate) struct Subject {
    pub(crate) server: Box<dyn Server>,
    pub(crate) requests: Requests,
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
        Self { server: Box::new(server), requests: Requests::to(PLAIN), session: Session::None }
    }

    /// A server for visitors with that cookie.
    pub(crate) fn reading(server: impl Server + 'static, cookie: String) -> Self {
        let requests = Requests::with(PLAIN, vec![cookie]);
        Self { server: Box::new(server), requests, session: Session::Read }
    }

    /// Makes sure of what a row says before it is measured: each request is answered by the upstream, which sees
    /// the session that it should.
    pub(crate) fn check(&self, row: &'static str) -> Result<()> {
        let ask = |path| {
            let cookie = self.requests.cookies.first().map(|cookie| format!("Cookie: {cookie}\r\n"));
            raw::get(self.server.address(), path, &cookie.unwrap_or_default())
        };
        let answer = ask(self.requests.path)?;
        if answer.text() != BODY {
            return Err(wrong(row, BODY, &answer));
        }
        let shown = ask(SHOW)?;
        let (expected, is_as_expected) = match self.session {
            Session::None => ("", shown.text().is_empty()),
            Session::Read => (SESSION, shown.text() == SESSION),
            Session::Changed => ("seen=", shown.text().contains("&seen=")),
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

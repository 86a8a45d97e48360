//! What is measured: the rows of the table, in its order.

use super::subject::Subject;
use super::upstream::Upstream;
use super::{ours, peers};
use crate::error::Result;

/// A server in one situation.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name, in JSON and on the command line.
    pub(crate) id: &'static str,
    /// What the table says.
    pub(crate) what: &'static str,
    /// nginx in the same place.
    pub(crate) peer: &'static str,
    /// Starts the server before that upstream and checks that it does what the row says.
    pub(crate) start: fn(&Upstream) -> Result<Subject>,
}

impl Row {
    /// Whether it measures Cloakroom.
    pub(crate) fn is_ours(&self) -> bool {
        self.id.starts_with("cloakroom-")
    }
}

/// All rows.
pub(crate) const ROWS: [Row; 23] = [
    Row { id: "upstream", what: "the upstream alone (nginx)", peer: "nginx", start: peers::upstream_alone },
    Row { id: "nginx", what: "nginx, plain proxy", peer: "nginx", start: peers::nginx },
    Row {
        id: "nginx-forwarding",
        what: "nginx, proxy that sets the forwarding headers",
        peer: "nginx",
        start: peers::nginx_forwarding,
    },
    Row { id: "haproxy", what: "HAProxy, plain proxy", peer: "nginx", start: peers::haproxy },
    Row {
        id: "cloakroom-none",
        what: "**Cloakroom**, plain proxy (`carrier = \"none\"`)",
        peer: "nginx",
        start: ours::without_sessions,
    },
    Row {
        id: "cloakroom-no-cookie",
        what: "**Cloakroom**, `ticket`, visitor without a session",
        peer: "nginx",
        start: ours::without_cookie,
    },
    Row {
        id: "cloakroom-ticket",
        what: "**Cloakroom**, `ticket`, session read",
        peer: "nginx",
        start: ours::reading,
    },
    Row {
        id: "cloakroom-update",
        what: "**Cloakroom**, `ticket`, session changed by every response",
        peer: "nginx",
        start: ours::updating,
    },
    Row {
        id: "cloakroom-sealed",
        what: "**Cloakroom**, `sealed`, session read",
        peer: "nginx",
        start: ours::reading_sealed,
    },
    Row {
        id: "cloakroom-sealed-update",
        what: "**Cloakroom**, `sealed`, session changed by every response",
        peer: "nginx",
        start: ours::updating_sealed,
    },
    Row { id: "apache", what: "Apache, plain proxy", peer: "nginx", start: peers::apache },
    Row {
        id: "apache-cookie",
        what: "Apache, session in a plain cookie, read",
        peer: "nginx",
        start: peers::apache_cookie,
    },
    Row {
        id: "apache-sqlite",
        what: "Apache, session in SQLite (mod_session_dbd), read",
        peer: "nginx",
        start: peers::apache_sqlite,
    },
    Row {
        id: "apache-crypto",
        what: "Apache, session in an encrypted cookie (mod_session_crypto), read",
        peer: "nginx",
        start: peers::apache_crypto,
    },
    Row {
        id: "apache-crypto-update",
        what: "Apache, session in an encrypted cookie, changed by every response",
        peer: "nginx",
        start: peers::apache_crypto_update,
    },
    Row { id: "nginx-tls", what: "nginx over TLS, HTTP/1.1", peer: "nginx-tls", start: peers::nginx_tls },
    Row {
        id: "cloakroom-tls",
        what: "**Cloakroom** over TLS, HTTP/1.1",
        peer: "nginx-tls",
        start: ours::tls,
    },
    Row { id: "nginx-http2", what: "nginx over TLS, HTTP/2", peer: "nginx-http2", start: peers::nginx_http2 },
    Row {
        id: "cloakroom-http2",
        what: "**Cloakroom** over TLS, HTTP/2",
        peer: "nginx-http2",
        start: ours::http2,
    },
    Row {
        id: "nginx-handshake",
        what: "nginx, a new connection over TLS for each request",
        peer: "nginx-handshake",
        start: peers::nginx_handshakes,
    },
    Row {
        id: "cloakroom-handshake",
        what: "**Cloakroom**, a new connection over TLS for each request",
        peer: "nginx-handshake",
        start: ours::handshakes,
    },
    Row {
        id: "nginx-message",
        what: "nginx, a message over WebSocket and its echo",
        peer: "nginx-message",
        start: peers::nginx_messages,
    },
    Row {
        id: "cloakroom-message",
        what: "**Cloakroom**, a message over WebSocket and its echo",
        peer: "nginx-message",
        start: ours::messages,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_rows_have_one_name() {
        let names: HashSet<_> = ROWS.iter().map(|row| row.id).collect();
        assert_eq!(names.len(), ROWS.len());
        assert!(ROWS.iter().all(|row| names.contains(row.peer)));
    }

    #[test]
    fn every_row_does_what_it_says() {
        if interop::available(interop::find("nginx", "nginx-light")).unwrap().is_none() {
            return;
        }
        let upstream = Upstream::start().unwrap();
        for row in &ROWS {
            match (row.start)(&upstream) {
                Ok(subject) => subject.check(row.id).unwrap(),
                Err(error) if error.missing().is_some() => eprintln!("skipped: {error}"),
                Err(error) => panic!("{}: {error}", row.id),
            }
        }
    }
}

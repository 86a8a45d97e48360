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
pub(crate) const ROWS: [Row; 11] = [
    Row { id: "upstream", what: "the upstream alone (nginx)", start: peers::upstream_alone },
    Row { id: "nginx", what: "nginx, plain proxy", start: peers::nginx },
    Row {
        id: "nginx-forwarding",
        what: "nginx, proxy that sets the forwarding headers",
        start: peers::nginx_forwarding,
    },
    Row { id: "haproxy", what: "HAProxy, plain proxy", start: peers::haproxy },
    Row {
        id: "cloakroom-none",
        what: "**Cloakroom**, plain proxy (`carrier = \"none\"`)",
        start: ours::without_sessions,
    },
    Row {
        id: "cloakroom-no-cookie",
        what: "**Cloakroom**, `ticket`, visitor without a session",
        start: ours::without_cookie,
    },
    Row { id: "cloakroom-ticket", what: "**Cloakroom**, `ticket`, session read", start: ours::reading },
    Row {
        id: "cloakroom-update",
        what: "**Cloakroom**, `ticket`, session changed by every response",
        start: ours::updating,
    },
    Row { id: "apache", what: "Apache, plain proxy", start: peers::apache },
    Row { id: "apache-cookie", what: "Apache, session in a plain cookie, read", start: peers::apache_cookie },
    Row {
        id: "apache-sqlite",
        what: "Apache, session in SQLite (mod_session_dbd), read",
        start: peers::apache_sqlite,
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
        assert_eq!(ROWS.iter().filter(|row| row.is_ours()).count(), 4);
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

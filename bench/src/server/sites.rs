//! The two servers.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use interop::raw::{self, Connection, Response};
use interop::{Cloakroom, LemonLdap};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// How long one answer about all sessions may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// One session of so many is of each person.
const PEOPLE: usize = 4;
/// A token that a client of ours shows.
const TOKEN: &str = "a-token-of-the-benchmark-0123456789abcdef";
const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
server = \"{server}\"
[log]
level = \"error\"
[llng]
soap = true
rest = true
key_file = \"llng.key\"
[[client]]
id = \"portal\"
bearer_file = \"portal.token\"
may = [\"sessions\", \"admin_sessions\", \"secrets\"]
";

/// What is asked about all sessions: its name, and the query.
pub(super) const QUESTIONS: [(&str, &str); 4] = [
    ("list one attribute of all", "all=1"),
    ("search by `_user`, which no index has", "all=1&search=_user,user7"),
    ("search by `mail`, which an index has", "all=1&search=mail,user7@example.org"),
    ("search by `_whatToTrace`", "all=1&search=_whatToTrace,user7"),
];

/// How many connections fill ours at once: writes that come together are synced together.
const FILLERS: usize = 32;
/// How many sessions change between one question and the next.
pub(super) const CHANGED: usize = 500;
/// How many sessions are made before another secret is.
const FILLING: usize = 5_000;

/// A server with one session of somebody who logged in.
pub(super) trait Site {
    fn address(&self) -> SocketAddr;
    /// The process with whose children it serves.
    fn process(&self) -> u32;
    /// Who asks, as a line of the head; may be empty.
    fn proof(&self) -> String;
    /// The id of the session that this connection asks for: each has one, or they would wait for each other.
    fn session(&self, connection: usize) -> &str;
    /// What shows that who asks knows the shared key.
    fn secret(&self) -> Result<String>;
    /// Has it keep so many sessions more.
    fn fill(&self, sessions: usize) -> Result<()>;

    /// Has [some](CHANGED) of them change.
    fn change(&self, sessions: usize) -> Result<()>;

    /// Asks something about all sessions.
    fn ask(&self, query: &str) -> Result<Response> {
        let body = json!({"data": ["uid"], "__secret": self.secret()?}).to_string();
        let mut connection = Connection::open(self.address())?;
        connection.patience(PATIENCE)?;
        connection.send(format!(
            "POST /sessions/global/?{query} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\n\
             Connection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.address(),
            self.proof(),
            body.len()
        ))?;
        Ok(connection.response()?)
    }
}

/// Whether that is an answer to the question about so many sessions.
pub(super) fn check(query: &str, answer: &Response, sessions: usize) -> Result<()> {
    let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let count = told.as_object().map_or(0, serde_json::Map::len);
    let is_answered =
        if query.contains("search") { count == PEOPLE.min(sessions) } else { count >= sessions };
    if !is_answered {
        let what = format!("{count} of {sessions} sessions: {} {:.200}", answer.status, answer.text());
        return Err(Error::Wrong { row: "all sessions", what });
    }
    Ok(())
}

/// A real portal.
pub(super) struct Portal {
    portal: LemonLdap,
    ids: Vec<String>,
    /// What it keeps of the session.
    kept: Value,
}

impl Portal {
    pub(super) fn start(connections: usize) -> Result<Self> {
        let portal = LemonLdap::start()?;
        let ids: Vec<String> =
            (0..connections).map(|_| portal.log_in(LemonLdap::USER)).collect::<interop::Result<_>>()?;
        let first = ids.first().map_or("", String::as_str);
        let answer = raw::get(portal.address(), &format!("/sessions/global/{first}"), "")?;
        let kept = serde_json::from_slice(&answer.body).unwrap_or_default();
        Ok(Self { portal, ids, kept })
    }
}

impl Site for Portal {
    fn address(&self) -> SocketAddr {
        self.portal.address()
    }

    fn process(&self) -> u32 {
        self.portal.process().id()
    }

    fn proof(&self) -> String {
        String::new()
    }

    fn session(&self, connection: usize) -> &str {
        self.ids.get(connection).map_or("", String::as_str)
    }

    fn secret(&self) -> Result<String> {
        Ok(self.portal.secret()?)
    }

    /// Its storage is files, a session each.
    fn fill(&self, sessions: usize) -> Result<()> {
        let directory = self.portal.directory().join("sessions");
        for (id, session) in filling(&self.kept, sessions) {
            let path = directory.join(&id);
            fs::write(&path, session.to_string()).map_err(Error::file(&path))?;
        }
        Ok(())
    }

    fn change(&self, sessions: usize) -> Result<()> {
        self.fill(CHANGED.min(sessions))
    }
}

/// Ours, with the same session.
pub(super) struct Ours {
    cloakroom: Cloakroom,
    ids: Vec<String>,
    kept: Value,
    secret: Box<dyn Fn() -> Result<String>>,
}

impl Ours {
    pub(super) fn start(portal: &Portal) -> Result<Self> {
        let files = [("llng.key", LemonLdap::KEY), ("portal.token", TOKEN)];
        let cloakroom = Cloakroom::start_with(CONFIGURATION, &files)?;
        let cipher = dialects::llng::Cipher::new(LemonLdap::KEY.as_bytes());
        let cipher = cipher.map_err(|error| Error::Load(error.to_string()))?;
        let secret = Box::new(move || {
            let now = jiff::Timestamp::now().as_second().to_string();
            cipher.encrypt(now.as_bytes()).map_err(|error| Error::Load(error.to_string()))
        });
        let ours = Self { cloakroom, ids: portal.ids.clone(), kept: portal.kept.clone(), secret };
        let mut connection = Connection::open(ours.address())?;
        for id in &ours.ids {
            ours.put(&mut connection, id, ours.kept.clone())?;
        }
        Ok(ours)
    }

    fn put(&self, connection: &mut Connection, id: &str, session: Value) -> Result<()> {
        put(connection, &self.proof(), &self.secret()?, id, session)
    }
}

/// Has ours keep a session, by whoever has this proof and this secret.
fn put(connection: &mut Connection, proof: &str, secret: &str, id: &str, mut session: Value) -> Result<()> {
    if let Some(members) = session.as_object_mut() {
        members.insert("__secret".to_owned(), secret.into());
    }
    let body = session.to_string();
    connection.send(format!(
        "PUT /sessions/global/{id} HTTP/1.1\r\nHost: a\r\n{proof}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    ))?;
    let answer = connection.response()?;
    if answer.status != 200 {
        let what = format!("{} {}", answer.status, answer.text());
        return Err(Error::Wrong { row: "a new session", what });
    }
    Ok(())
}

impl Site for Ours {
    fn address(&self) -> SocketAddr {
        self.cloakroom.server()
    }

    fn process(&self) -> u32 {
        self.cloakroom.process().id()
    }

    fn proof(&self) -> String {
        format!("Authorization: Bearer {TOKEN}\r\n")
    }

    fn session(&self, connection: usize) -> &str {
        self.ids.get(connection).map_or("", String::as_str)
    }

    fn secret(&self) -> Result<String> {
        (self.secret)()
    }

    fn change(&self, sessions: usize) -> Result<()> {
        let mut connection = Connection::open(self.address())?;
        let (proof, secret, now) = (self.proof(), self.secret()?, jiff::Timestamp::now().to_string());
        (0..CHANGED.min(sessions)).try_for_each(|number| {
            put(&mut connection, &proof, &secret, &id_of(number), json!({"changed": now}))
        })
    }

    fn fill(&self, sessions: usize) -> Result<()> {
        let (address, proof) = (self.address(), self.proof());
        let mut filling = filling(&self.kept, sessions);
        loop {
            // A secret is good for seconds only.
            let (secret, some) = (self.secret()?, filling.by_ref().take(FILLING));
            let some: Vec<(String, Value)> = some.collect();
            if some.is_empty() {
                return Ok(());
            }
            thread::scope(|scope| {
                let (proof, secret) = (&proof, &secret);
                let fillers: Vec<_> = some
                    .chunks(some.len().div_ceil(FILLERS))
                    .map(|share| {
                        scope.spawn(move || {
                            let mut connection = Connection::open(address)?;
                            let mut share = share.iter();
                            share.try_for_each(|(id, session)| {
                                put(&mut connection, proof, secret, id, session.clone())
                            })
                        })
                    })
                    .collect();
                fillers.into_iter().try_for_each(|filler| {
                    filler.join().map_err(|_| Error::Load("a client of our own failed".to_owned()))?
                })
            })?;
        }
    }
}

fn id_of(number: usize) -> String {
    format!("{number:064x}")
}

/// Sessions like that one, of other people.
fn filling(kept: &Value, sessions: usize) -> impl Iterator<Item = (String, Value)> {
    (0..sessions).map(move |number| {
        let (id, user) = (id_of(number), format!("user{}", number / PEOPLE));
        let mut session = kept.clone();
        if let Some(members) = session.as_object_mut() {
            members.remove("_session_revision");
            members.insert("_session_id".to_owned(), id.clone().into());
            members.insert("mail".to_owned(), format!("{user}@example.org").into());
            for name in ["uid", "_user", "_whatToTrace"] {
                members.insert(name.to_owned(), user.clone().into());
            }
        }
        (id, session)
    })
}

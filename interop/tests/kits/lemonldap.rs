//! The same kits against LemonLDAP::NG's portal and its REST session server, with files as Debian sets it.
//!
//! Its own client reads a session, and writes the whole of it, with the proof that it knows the key: with that a session
//! which is not there is made anew. The server can also be told of one key, without the proof.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{LemonLdap, available};
use serde_json::{Value, json};

use super::{Keeper, MARK, TAKES, run};

/// Its `__secret` is good for 15 s.
const FRESH: Duration = Duration::from_secs(8);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writes {
    /// As `Lemonldap::NG::Common::Apache::Session::REST` does.
    All,
    OneKey,
}

struct Portal {
    name: &'static str,
    portal: LemonLdap,
    writes: Writes,
    secret: Mutex<(Instant, String)>,
}

impl Portal {
    fn start(name: &'static str, writes: Writes) -> Option<Self> {
        let portal = available(LemonLdap::start()).unwrap()?;
        let secret = Mutex::new((Instant::now(), portal.secret().unwrap()));
        Some(Self { name, portal, writes, secret })
    }

    fn ask(&self, method: &str, path: &str, lines: &str, body: &str) -> Response {
        let address = self.portal.address();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n{lines}\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        raw::exchange(address, request).unwrap()
    }

    fn secret(&self) -> String {
        let mut secret = self.secret.lock().unwrap();
        if secret.0.elapsed() > FRESH {
            *secret = (Instant::now(), self.portal.secret().unwrap());
        }
        secret.1.clone()
    }

    /// The session as a client of the session server reads it.
    fn read(&self, id: &str) -> Option<Value> {
        let answer = self.ask("GET", &format!("/sessions/global/{id}"), "", "");
        (answer.status == 200).then(|| serde_json::from_slice(&answer.body).ok()).flatten()
    }

    fn write(&self, id: &str, body: &Value) -> bool {
        let answer = self.ask("PUT", &format!("/sessions/global/{id}"), "", &body.to_string());
        answer.status == 200
    }
}

impl Keeper for Portal {
    fn name(&self) -> &str {
        self.name
    }

    fn open(&self) -> String {
        let id = self.portal.log_in(LemonLdap::USER).unwrap();
        let (name, value) = MARK.split_once('=').unwrap();
        assert!(self.write(&id, &json!({ name: value })), "{}", self.portal.process().log());
        id
    }

    fn put(&self, _door: usize, key: &str, held: &str) -> (bool, Option<String>) {
        let mut body = match self.writes {
            Writes::OneKey => json!({}),
            Writes::All => match self.read(held) {
                Some(all) => all,
                None => return (false, None),
            },
        };
        body[key] = json!("1");
        thread::sleep(TAKES);
        if self.writes == Writes::All {
            body["__secret"] = json!(self.secret());
        }
        (self.write(held, &body), None)
    }

    fn leave(&self, _door: usize, held: &str) -> bool {
        let answer =
            self.ask("DELETE", "/session/my", &format!("Cookie: {}={held}\r\n", LemonLdap::COOKIE), "");
        answer.status == 200
    }

    /// What it knows, of somebody whom the portal takes for logged in.
    fn shown(&self, _door: usize, held: &str) -> Vec<String> {
        let cookie = format!("Cookie: {}={held}\r\n", LemonLdap::COOKIE);
        if self.ask("GET", "/session/my/global", &cookie, "").status != 200 {
            return Vec::new();
        }
        let all = self.read(held).unwrap_or_default();
        let pairs = all.as_object().into_iter().flatten();
        pairs.filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?))).collect()
    }
}

#[test]
fn lemonldaps_own_client_undoes_logouts_and_loses_changes() {
    let name = "LemonLDAP::NG 2.16, REST as its own client does, files";
    let Some(portal) = Portal::start(name, Writes::All) else { return };
    let found = run(&portal, 20);
    assert!(found.undone > 0 && found.lost > 0, "{found:?}\n{}", portal.portal.process().log());
}

#[test]
fn lemonldap_loses_changes_of_different_keys() {
    let name = "LemonLDAP::NG 2.16, REST with one key at a time, files";
    let Some(portal) = Portal::start(name, Writes::OneKey) else { return };
    let found = run(&portal, 20);
    assert!(found.lost > 0, "{found:?}\n{}", portal.portal.process().log());
}

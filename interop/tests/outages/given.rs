//! Two gateways over a storage that can die, and people who visit them.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use interop::raw::{self, Response};
use interop::{Answer, Capture, Cloakroom, MariaDb, Postgres, Redis};

use crate::given;
use crate::shared_cloakroom::TOKEN;
use crate::shared_database::LOGIN;

/// With which all gateways seal.
const KEY: &str = "Y2xvYWtyb29tLXRlc3RzLWtleS0yMDI2LTExLTAwMDE=\n";

/// How a session is kept: behind which host, and in which cookie.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    host: &'static str,
    cookie: &'static str,
}

/// On the server.
pub(super) const TICKET: How = How { host: "shop.example.org", cookie: "session" };
/// In the cookie.
pub(super) const SEALED: How = How { host: "sealed.example.org", cookie: "sealed" };

/// Where sessions are kept.
pub(super) enum Kept {
    Redis(Redis),
    Postgres(Postgres),
    MariaDb(MariaDb),
    Cloakroom(Box<Cloakroom>),
}

/// Gateways that reach it on their own.
pub(super) struct House {
    pub(super) kept: Kept,
    pub(super) one: Cloakroom,
    pub(super) other: Cloakroom,
    upstream: Capture,
}

/// Somebody with a session.
pub(super) struct Visitor {
    how: How,
    cookie: String,
    shows: String,
}

/// As the other tests have it, whatever the host.
pub(super) fn application() -> Capture {
    Capture::answering(|request| {
        let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        match target.strip_prefix("/put/") {
            Some(update) => Answer::with(&format!("X-Replace-Session: {update}\r\n"), "put"),
            None => Answer::ok(&request.header("x-session").unwrap_or_default()),
        }
    })
    .unwrap()
}

impl Kept {
    pub(super) fn address(&self) -> SocketAddr {
        match self {
            Self::Redis(redis) => redis.address(),
            Self::Postgres(postgres) => postgres.address(),
            Self::MariaDb(mariadb) => mariadb.address(),
            Self::Cloakroom(keeper) => keeper.server(),
        }
    }

    /// Its part of the configuration, where it is reached by that address.
    fn lines(&self, address: SocketAddr) -> String {
        let at = |url: String| url.replace(&self.address().to_string(), &address.to_string());
        match self {
            Self::Redis(_) => format!("engine = \"redis\"\nurl = \"redis://{address}\"\n"),
            Self::Postgres(postgres) => {
                format!("engine = \"sql\"\nurl = \"{}\"\n", at(postgres.url("postgres")))
            }
            Self::MariaDb(mariadb) => {
                format!("engine = \"sql\"\nurl = \"{}\"\n", at(mariadb.url("sessions")))
            }
            Self::Cloakroom(_) => {
                format!("engine = \"remote\"\nurl = \"http://{address}\"\nbearer_file = \"storage.token\"\n")
            }
        }
    }

    pub(super) fn kill(&mut self) {
        match self {
            Self::Redis(redis) => redis.kill().unwrap(),
            Self::Postgres(postgres) => postgres.kill().unwrap(),
            Self::MariaDb(mariadb) => mariadb.kill().unwrap(),
            Self::Cloakroom(keeper) => drop(keeper.kill().unwrap()),
        }
    }

    pub(super) fn restart(&mut self) {
        match self {
            Self::Redis(redis) => redis.restart().unwrap(),
            Self::Postgres(postgres) => postgres.restart().unwrap(),
            Self::MariaDb(mariadb) => mariadb.restart().unwrap(),
            Self::Cloakroom(keeper) => keeper.restart().unwrap(),
        }
    }
}

impl House {
    pub(super) fn over(kept: Kept, window: Duration) -> Self {
        let upstream = application();
        let [one, other] = [0; 2].map(|_| gateway(&upstream, &kept, kept.address(), window, ""));
        Self { kept, one, other, upstream }
    }

    /// One more gateway, which reaches the storage by that address.
    pub(super) fn gateway(&self, storage: SocketAddr, window: Duration) -> Cloakroom {
        gateway(&self.upstream, &self.kept, storage, window, "")
    }

    /// The same with more lines in its `[cache]`.
    pub(super) fn gateway_with(&self, storage: SocketAddr, window: Duration, lines: &str) -> Cloakroom {
        gateway(&self.upstream, &self.kept, storage, window, lines)
    }

    /// Somebody who has put something into a session.
    pub(super) fn visitor(&self, how: How, basket: &str) -> Visitor {
        let shows = format!("basket={basket}");
        let nobody = Visitor { how, cookie: String::new(), shows: shows.clone() };
        let put = nobody.asks(&self.other, &format!("GET /put/{shows}"), "");
        assert_eq!(put.status, 200, "{}\n{}", put.text(), self.other.log());
        let cookie = put.cookie(how.cookie).expect("a new session comes with a cookie").to_owned();
        Visitor { how, cookie, shows }
    }
}

/// `gateway.toml` with its sessions in that storage, which it does not wait for as long as usual; and beside its
/// application one whose sessions are sealed.
fn gateway(upstream: &Capture, kept: &Kept, storage: SocketAddr, window: Duration, lines: &str) -> Cloakroom {
    let replaced = [
        ("engine = \"embedded\" ", format!("{}# ", kept.lines(storage))),
        ("[cache]\n", format!("[cache]\ndeadline = \"1s\"\n{lines}")),
        ("keys/2026-11.key", "keys/shared.key".to_owned()),
        ("trust_window = \"10s\"", format!("trust_window = \"{}s\"", window.as_secs())),
    ];
    let example = include_str!("../examples/gateway.toml").to_owned();
    let text = replaced.into_iter().fold(example, |text, (from, to)| {
        assert!(text.contains(from), "the example no longer says {from}");
        text.replace(from, &to)
    });
    let How { host, cookie } = SEALED;
    let sealed = format!(
        "\n[[application]]\nid = \"sealed\"\nhosts = [\"{host}\"]\nupstream = \"{}\"\ncarrier = \"sealed\"\n\
         [application.cookie]\nname = \"{cookie}\"\nsecure = false\n",
        upstream.url()
    );
    let text = given::example(&text, &upstream.url()) + LOGIN + &sealed + LOGIN;
    let files = [("users.htpasswd", &*given::htpasswd()), ("storage.token", TOKEN), ("keys/shared.key", KEY)];
    Cloakroom::start_with(&text, &files).unwrap()
}

impl Visitor {
    pub(super) fn visits(&self, gateway: &Cloakroom) -> Response {
        self.asks(gateway, "GET /", "")
    }

    /// Whether the gateway shows what the visitor put in. If not it has to say that it cannot tell; or, of somebody who may
    /// have left, that there is nothing. Where nobody knows, no cookie is touched, and it is said when to come again.
    pub(super) fn is_served(&self, gateway: &Cloakroom, may_have_left: bool) -> bool {
        let answer = self.visits(gateway);
        let (status, text) = (answer.status, answer.text());
        if status == 503 {
            assert!(answer.all("set-cookie").is_empty(), "{self:?}: {:?}", answer.all("set-cookie"));
            assert_eq!(answer.all("retry-after").len(), 1, "{self:?}: {:?}", answer.headers);
            return false;
        }
        assert_eq!(status, 200, "{self:?}: {text}\n{}", gateway.log());
        assert!(text == self.shows || may_have_left && text.is_empty(), "{self:?}: {text:?}");
        text == self.shows
    }

    /// Logs out, which is acknowledged.
    pub(super) fn leaves(&self, gateway: &Cloakroom) {
        let left = self.logs_out(gateway);
        assert_eq!(left.status, 303, "{self:?}: {}\n{}", left.text(), gateway.log());
    }

    /// Logs out, and is told that it is not certain yet, and that it will be.
    pub(super) fn leaves_in_an_outage(&self, gateway: &Cloakroom) {
        let left = self.logs_out(gateway);
        assert_eq!(left.status, 503, "{self:?}: {}\n{}", left.text(), gateway.log());
        assert!(left.text().contains("from now on, and goes on trying."), "{self:?}: {}", left.text());
        assert!(left.all("set-cookie").is_empty(), "{self:?}: {:?}", left.all("set-cookie"));
        assert_eq!(left.all("retry-after").len(), 1, "{self:?}: {:?}", left.headers);
    }

    fn logs_out(&self, gateway: &Cloakroom) -> Response {
        let form = "Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n";
        self.asks(gateway, "POST /.cloakroom/logout", form)
    }

    /// Somebody who knows the public half of this visitor's ticket, and made up the other.
    pub(super) fn impostor(&self) -> Self {
        let (before, secret) = self.cookie.split_once('.').expect("a ticket has two halves");
        let mut secret: String = secret.chars().map(|letter| if letter == 'a' { 'b' } else { 'a' }).collect();
        // Of the last letter not all bits count, and those must be zero.
        secret.pop();
        let cookie = format!("{before}.{secret}A");
        Self { how: self.how, cookie, shows: self.shows.clone() }
    }

    fn asks(&self, gateway: &Cloakroom, line: &str, more: &str) -> Response {
        let host = self.how.host;
        let cookie = match &*self.cookie {
            "" => String::new(),
            cookie => format!("Cookie: {cookie}\r\n"),
        };
        let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{cookie}{more}\r\n");
        raw::exchange(gateway.gateway(), request).unwrap()
    }
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the visitor at {} with {}", self.how.host, self.shows)
    }
}

//! Rotates the keys of three nodes every minute, under load, and counts what does not open.
//!
//! `cargo xtask nightly` runs it for ten minutes. The nodes are three processes that share nothing but the folder of the
//! keys. Each form of a login carries a sealed token: it is sent to all three nodes at once, and again when it is
//! older, up to the whole time. Each node also reads a session of its sealed storage every second. A token that opens
//! is answered with 400, since the form was sent without a password; one that does not with 403.
//!
//! Beside them visitors carry sessions in sealed cookies: each is brought to all three nodes at once, and again when it is
//! older. One that is older than `touch_interval` must be answered with a cookie that is sealed anew, and that one opens
//! on the next node.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use interop::{Answer, Capture, Cloakroom, raw};

const NODES: usize = 3;
/// Between two forms of a node: a load that leaves room on a machine that does other things too.
const PAUSE: Duration = Duration::from_millis(30);

const CONFIGURATION: &str = r#"
data_dir = "{directory}/data"
[listen]
gateway = "{gateway}"
server = "{server}"
[log]
level = "warn"
[[storage]]
id = "local"
engine = "embedded"
seal = true
[cache]
storage = "local"
inproc_timeout = "1s"
[key_rotation]
folder = "{ring}"
every = "1m"
announce = "10s"
[[application]]
id = "shop"
hosts = ["127.0.0.1"]
upstream = "{upstream}"
lifetime = "30m"
[application.cookie]
name = "session"
secure = false
[application.login]
file = "users"
require = ["/account"]
[[application]]
id = "carried"
hosts = ["127.0.0.1"]
path = "/carried"
upstream = "{upstream}"
carrier = "sealed"
lifetime = "30m"
[application.cookie]
name = "carried"
secure = false
"#;

/// The `touch_interval` of these applications, which is the default.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// A token, with the cookie that belongs to it.
#[derive(Clone)]
struct Token {
    text: String,
    cookie: String,
    issued: Instant,
}

/// A session that its visitor carries.
#[derive(Clone)]
struct Carried {
    /// Name and value.
    cookie: String,
    /// What is in it.
    basket: String,
    sealed: Instant,
}

#[derive(Default)]
struct Counts {
    issued: AtomicU64,
    opened_at_once: AtomicU64,
    opened_after_a_minute: AtomicU64,
    opened_after_five: AtomicU64,
    sessions_read: AtomicU64,
    carried: AtomicU64,
    carried_at_once: AtomicU64,
    carried_after_a_minute: AtomicU64,
    carried_after_five: AtomicU64,
    sealed_anew: AtomicU64,
    failed: AtomicU64,
}

struct World {
    nodes: Vec<Cloakroom>,
    sessions: Vec<String>,
    counts: Counts,
    old: Mutex<Vec<Token>>,
    old_carried: Mutex<Vec<Carried>>,
    is_over: AtomicBool,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|seconds| seconds.parse().ok()).unwrap_or(600);
    let report = arguments.next().map(PathBuf::from);
    match run(Duration::from_secs(seconds), report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the rotation: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(time: Duration, report: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let ring = tempfile::tempdir()?;
    let upstream = Capture::answering(|request| match request.line().split(' ').nth(1) {
        Some("/put") => Answer::with("X-Replace-Session: basket=apples\r\n", "put"),
        Some(path) if path.starts_with("/carried/put/") => {
            let basket = path.trim_start_matches("/carried/put/");
            Answer::with(&format!("X-Replace-Session: basket={basket}\r\n"), "put")
        }
        _ => Answer::ok(&request.header("x-session").unwrap_or_default()),
    })?;
    let configuration = CONFIGURATION
        .replace("{ring}", &ring.path().display().to_string())
        .replace("{upstream}", &upstream.url());
    let nodes: Vec<Cloakroom> = (0..NODES)
        .map(|_| {
            Cloakroom::start_with(
                &configuration,
                &[("users", "ada:$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe\n")],
            )
        })
        .collect::<Result<_, _>>()?;
    let mut sessions = Vec::new();
    for node in &nodes {
        let opened = raw::get(node.gateway(), "/put", "")?;
        sessions.push(opened.cookie("session").ok_or("no session was opened")?.to_owned());
    }
    let world = World {
        nodes,
        sessions,
        counts: Counts::default(),
        old: Mutex::default(),
        old_carried: Mutex::default(),
        is_over: AtomicBool::new(false),
    };
    let began = Instant::now();
    thread::scope(|scope| {
        for node in 0..NODES {
            let world = &world;
            scope.spawn(move || world.forms(node));
            scope.spawn(move || world.session(node));
            scope.spawn(move || world.carried(node));
        }
        while began.elapsed() < time {
            thread::sleep(Duration::from_secs(1));
            // What it remembers of requests is of no use here.
            upstream.take();
        }
        world.is_over.store(true, Ordering::Relaxed);
    });
    let text = world.told(time);
    println!("{text}");
    if let Some(file) = report {
        std::fs::write(file, &text)?;
    }
    if world.counts.failed.load(Ordering::Relaxed) > 0 {
        return Err("something did not open".into());
    }
    Ok(())
}

impl World {
    /// Has a node make tokens, and sends each to all nodes, and one that is older.
    fn forms(&self, node: usize) {
        let mut number = node;
        while !self.is_over.load(Ordering::Relaxed) {
            match self.issue(node) {
                Some(token) => {
                    (0..NODES).for_each(|to| self.open(&token, to));
                    let mut old = self.old.lock().unwrap_or_else(PoisonError::into_inner);
                    // Some of every minute, so that there are as many of each age.
                    if number.is_multiple_of(20) {
                        old.push(token);
                    }
                    // Spread over all that there are, without chance.
                    let again = old.get(number.wrapping_mul(7919) % old.len().max(1)).cloned();
                    drop(old);
                    if let Some(again) = again {
                        self.open(&again, number % NODES);
                    }
                }
                None => self.fail(node, "made no form"),
            }
            number += 1;
            thread::sleep(PAUSE);
        }
    }

    fn issue(&self, node: usize) -> Option<Token> {
        let issued = Instant::now();
        let page =
            raw::get(self.nodes.get(node)?.gateway(), "/.cloakroom/login", "Accept: text/html\r\n").ok()?;
        let text = page.text();
        let (_, rest) = text.split_once("name=\"token\" value=\"")?;
        let (token, _) = rest.split_once('"')?;
        let cookie = page.cookie("cloakroom-login")?.to_owned();
        self.counts.issued.fetch_add(1, Ordering::Relaxed);
        Some(Token { text: token.to_owned(), cookie, issued })
    }

    fn open(&self, token: &Token, node: usize) {
        let Some(address) = self.nodes.get(node).map(Cloakroom::gateway) else { return };
        let body = format!("token={}&user=&password=", token.text);
        let request = format!(
            "POST /.cloakroom/login HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\nCookie: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\nAccept: text/html\r\n\
             Connection: close\r\n\r\n{body}",
            token.cookie,
            body.len()
        );
        let age = token.issued.elapsed();
        match raw::exchange(address, request) {
            Ok(answer) if answer.status == 400 => {
                let counts = &self.counts;
                let counter = match age.as_secs() {
                    0..60 => &counts.opened_at_once,
                    60..300 => &counts.opened_after_a_minute,
                    300.. => &counts.opened_after_five,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) => {
                self.fail(node, &format!("answered {} to a form of {} s ago", answer.status, age.as_secs()))
            }
            Err(error) => self.fail(node, &error.to_string()),
        }
    }

    /// Reads a session of the sealed storage, again and again.
    fn session(&self, node: usize) {
        let (Some(cloakroom), Some(cookie)) = (self.nodes.get(node), self.sessions.get(node)) else { return };
        while !self.is_over.load(Ordering::Relaxed) {
            match raw::get(cloakroom.gateway(), "/", &format!("Cookie: {cookie}\r\n")) {
                Ok(answer) if answer.text() == "basket=apples" => {
                    self.counts.sessions_read.fetch_add(1, Ordering::Relaxed);
                }
                Ok(answer) => self.fail(node, &format!("answered {} to a session", answer.status)),
                Err(error) => self.fail(node, &error.to_string()),
            }
            // Longer than the first tier holds it: the next read is of storage.
            thread::sleep(Duration::from_millis(1_500));
        }
    }

    /// Has a node make sessions that are carried, and brings each to all nodes, and one that is older.
    fn carried(&self, node: usize) {
        let mut number = node;
        while !self.is_over.load(Ordering::Relaxed) {
            match self.seal(node, &format!("{node}-{number}")) {
                Some(carried) => {
                    (0..NODES).for_each(|to| self.bring(&carried, to));
                    let mut old = self.old_carried.lock().unwrap_or_else(PoisonError::into_inner);
                    if number.is_multiple_of(10) {
                        old.push(carried);
                    }
                    let again = old.get(number.wrapping_mul(7919) % old.len().max(1)).cloned();
                    drop(old);
                    if let Some(again) = again {
                        self.bring(&again, number % NODES);
                    }
                }
                None => self.fail(node, "sealed no session"),
            }
            number += 1;
            thread::sleep(PAUSE * 2);
        }
    }

    fn seal(&self, node: usize, basket: &str) -> Option<Carried> {
        let sealed = Instant::now();
        let path = format!("/carried/put/{basket}");
        let put = raw::get(self.nodes.get(node)?.gateway(), &path, "").ok()?;
        let cookie = put.cookie("carried")?.to_owned();
        self.counts.carried.fetch_add(1, Ordering::Relaxed);
        Some(Carried { cookie, basket: basket.to_owned(), sealed })
    }

    fn bring(&self, carried: &Carried, node: usize) {
        let age = carried.sealed.elapsed();
        let Some(answer) = self.visit(&carried.cookie, &carried.basket, age, node) else { return };
        let counts = &self.counts;
        let counter = match age.as_secs() {
            0..60 => &counts.carried_at_once,
            60..300 => &counts.carried_after_a_minute,
            300.. => &counts.carried_after_five,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if let Some(cookie) = answer.cookie("carried") {
            // Not at the node that has just sealed it.
            if self.visit(cookie, &carried.basket, Duration::ZERO, (node + 1) % NODES).is_some() {
                counts.sealed_anew.fetch_add(1, Ordering::Relaxed);
            }
        } else if age > TOUCH_INTERVAL + Duration::from_secs(1) {
            // A second for the way there.
            self.fail(node, &format!("left a cookie of {} s ago as it was", age.as_secs()));
        }
    }

    fn visit(&self, cookie: &str, basket: &str, age: Duration, node: usize) -> Option<raw::Response> {
        let address = self.nodes.get(node).map(Cloakroom::gateway)?;
        match raw::get(address, "/carried/", &format!("Cookie: {cookie}\r\n")) {
            Ok(answer) if answer.text() == format!("basket={basket}") => return Some(answer),
            Ok(answer) => {
                let (status, age) = (answer.status, age.as_secs());
                self.fail(
                    node,
                    &format!("answered {status}, without the session, to a cookie of {age} s ago"),
                );
            }
            Err(error) => self.fail(node, &error.to_string()),
        }
        None
    }

    fn fail(&self, node: usize, what: &str) {
        self.counts.failed.fetch_add(1, Ordering::Relaxed);
        eprintln!("node {node} {what}");
    }

    fn told(&self, time: Duration) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = &self.counts;
        let sealing = self.nodes.first().map(|node| {
            let metrics =
                raw::get(node.server(), "/metrics", "").map(|answer| answer.text()).unwrap_or_default();
            let value = |state: &str| {
                let name = format!("cloakroom_seal_keys{{state=\"{state}\"}} ");
                metrics.lines().find_map(|line| line.strip_prefix(&*name)?.parse::<u64>().ok()).unwrap_or(0)
            };
            value("retiring") + value("active")
        });
        format!(
            "\
# Keys that change every minute, under load

Three processes that share only the folder of the keys, `every = \"1m\"`, `announce = \"10s\"`, for {} s. Written by
`cargo xtask nightly`.

| what | how many |
|---|---|
| keys that have sealed | {} |
| tokens sealed | {} |
| opened at once or within a minute, on every node | {} |
| opened after one to five minutes | {} |
| opened after more than five minutes | {} |
| sessions read from sealed storage | {} |
| sessions sealed into cookies | {} |
| brought at once or within a minute, to every node | {} |
| brought after one to five minutes | {} |
| brought after more than five minutes | {} |
| of these cookies sealed anew, and brought to another node | {} |
| **not opened, or not answered** | **{}** |
",
            time.as_secs(),
            sealing.unwrap_or(0),
            of(&counts.issued),
            of(&counts.opened_at_once),
            of(&counts.opened_after_a_minute),
            of(&counts.opened_after_five),
            of(&counts.sessions_read),
            of(&counts.carried),
            of(&counts.carried_at_once),
            of(&counts.carried_after_a_minute),
            of(&counts.carried_after_five),
            of(&counts.sealed_anew),
            of(&counts.failed),
        )
    }
}

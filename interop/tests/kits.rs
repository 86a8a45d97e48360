//! The zombie kit and the lost-update kit, black box: two gateways on one Redis, and what they take over from.
//!
//! A round of the first opens a session, has four answers that change it under way, and logs out in the middle of them. Then
//! every cookie that there ever was is shown to every gateway. The second has 64 answers under way that each set another entry.
//! `KIT_ROUNDS` makes it more rounds than every test run has time for, and `KIT_TABLE` names the file that tells the outcome.

mod peers;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{Answer, Capture, Cloakroom, Redis, available};

use crate::given;
use crate::shared_redis::gateway_with;

/// How many write at once.
const WRITERS: usize = 64;
/// How many changes are under way when somebody logs out.
const UNDER_WAY: usize = 4;
/// How long an application takes to answer with a change.
const TAKES: u64 = 10;
/// How long a gateway may serve what it has not heard of.
const TRUST_WINDOW: Duration = Duration::from_secs(10);
const KEY: &str = "Y2xvYWtyb29tLXRlc3RzLWtleS0yMDI2LTExLTAwMDE=\n";

/// Something that keeps sessions, behind one or several addresses.
pub(crate) struct Kept {
    name: &'static str,
    addresses: Vec<SocketAddr>,
    /// How an application of it says what to change: the entry, or all that the session holds then.
    says_all: bool,
    /// Logs out; whether that was acknowledged.
    leave: fn(SocketAddr, &str) -> bool,
}

/// What the kits found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Logouts that were acknowledged.
    acknowledged: usize,
    /// Those of them after which a cookie of the session opened it.
    undone: usize,
    /// Those of 64 acknowledged changes that are not there.
    lost: usize,
}

/// An application that answers `GET /put/KEY=VALUE` after a while with an update, `/all/KEY=VALUE` with the whole session as it
/// is after that, `/leave` by emptying it, and shows what it was presented for anything else.
pub(crate) fn application() -> Capture {
    Capture::answering(|request| {
        let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        let presented = request.header("x-session").unwrap_or_default();
        let presented = presented.replace("(null)", "");
        let update = match target.split_once('/').and_then(|(_, path)| path.split_once('/')) {
            Some(("put", pair)) => pair.to_owned(),
            Some(("all", pair)) if presented.is_empty() => pair.to_owned(),
            Some(("all", pair)) => format!("{presented}&{pair}"),
            _ if target == "/leave" => String::new(),
            _ => return Answer::ok(&presented),
        };
        match Answer::with(&format!("X-Replace-Session: {update}\r\n"), "put") {
            Answer::Bytes(bytes) => Answer::Later(Duration::from_millis(TAKES), bytes),
            other => other,
        }
    })
    .unwrap()
}

fn visit(address: SocketAddr, path: &str, cookie: &str) -> Response {
    let line = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    raw::get(address, path, &line).unwrap()
}

impl Kept {
    fn at(&self, number: usize) -> SocketAddr {
        self.addresses[number % self.addresses.len()]
    }

    /// Sends a change; the cookie that comes with its answer, and whether it was acknowledged.
    fn put(&self, number: usize, pair: &str, cookie: &str) -> (bool, Option<String>) {
        let verb = if self.says_all { "all" } else { "put" };
        let answer = visit(self.at(number), &format!("/{verb}/{pair}"), cookie);
        (answer.status == 200, answer.cookie("session").map(str::to_owned))
    }

    fn open(&self) -> String {
        let (is_put, cookie) = self.put(0, "who=ada", "");
        assert!(is_put, "{}: no session was opened", self.name);
        cookie.expect("a new session comes with a cookie")
    }

    /// Whether the logout was acknowledged, and whether anything undid it.
    fn round(&self, round: usize) -> (bool, bool) {
        let first = self.open();
        let (told, cookies) = thread::scope(|threads| {
            let writers: Vec<_> = (0..UNDER_WAY)
                .map(|number| {
                    let first = &first;
                    threads.spawn(move || self.put(number, &format!("k{number}=1"), first).1)
                })
                .collect();
            // Before, while and after they come back.
            thread::sleep(Duration::from_millis(round as u64 % (2 * TAKES)));
            let told = (self.leave)(self.at(round), &first);
            let cookies: Vec<_> = writers.into_iter().filter_map(|writer| writer.join().unwrap()).collect();
            (told, cookies)
        });
        // One that came with an answer after the logout may be of a new session, of nobody: it must not be Ada's.
        let cookies: Vec<_> = std::iter::once(first).chain(cookies).collect();
        let is_found = |address: SocketAddr| {
            cookies.iter().any(|cookie| visit(address, "/", cookie).text().contains("who=ada"))
        };
        let here = self.at(round);
        // Where it was told it holds at once; the others hear of it.
        let is_undone = is_found(here)
            || self.addresses.iter().filter(|there| **there != here).any(|there| {
                let began = Instant::now();
                while is_found(*there) {
                    if began.elapsed() > TRUST_WINDOW {
                        return true;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                false
            })
            || is_found(here);
        (told, is_undone)
    }

    fn lost(&self) -> usize {
        let cookie = self.open();
        let acknowledged: Vec<_> = thread::scope(|threads| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|number| {
                    let cookie = &cookie;
                    threads.spawn(move || (number, self.put(number, &format!("n{number}=1"), cookie)))
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        // What a visitor holds in the end is the cookie of the answer that came last.
        let last = acknowledged.iter().rev().find_map(|(_, (_, cookie))| cookie.clone()).unwrap_or(cookie);
        thread::sleep(Duration::from_millis(100));
        let shown = visit(self.at(0), "/", &last).text();
        let entries: Vec<_> = shown.split('&').collect();
        let is_lost = |number: usize| !entries.contains(&&*format!("n{number}=1"));
        acknowledged.iter().filter(|(number, (is_put, _))| *is_put && is_lost(*number)).count()
    }

    /// Runs both kits, and tells.
    pub(crate) fn run(&self, few: usize) -> Found {
        let rounds = std::env::var("KIT_ROUNDS").map_or(few, |rounds| rounds.parse().expect("a number"));
        let (mut acknowledged, mut undone) = (0, 0);
        for round in 0..rounds {
            let (told, is_undone) = self.round(round);
            acknowledged += usize::from(told);
            undone += usize::from(told && is_undone);
        }
        let found = Found { acknowledged, undone, lost: self.lost() };
        let line = format!(
            "| {} | {} of {} | {} of {WRITERS} |\n",
            self.name, found.undone, found.acknowledged, found.lost
        );
        eprint!("{line}");
        if let Some(table) = std::env::var_os("KIT_TABLE") {
            let mut file = OpenOptions::new().append(true).create(true).open(table).unwrap();
            file.write_all(line.as_bytes()).unwrap();
        }
        found
    }
}

/// Two gateways on one Redis, with sessions that travel so.
fn gateways(name: &'static str, carrier: &str) -> Option<(Kept, Vec<Cloakroom>, Redis, Arc<Capture>)> {
    let redis = available(Redis::start()).unwrap()?;
    let upstream = Arc::new(application());
    let gateways: Vec<_> = (0..2)
        .map(|_| {
            let files = [("users.htpasswd", &*given::htpasswd()), ("keys/kit.key", KEY)];
            // Both seal with the same key.
            let change = |text: String| {
                text.replace("= \"ticket\"", &format!("= \"{carrier}\""))
                    .replace("keys/2026-11.key", "keys/kit.key")
            };
            gateway_with(&upstream, &redis.url(), change, &files)
        })
        .collect();
    let addresses = gateways.iter().map(Cloakroom::gateway).collect();
    Some((Kept { name, addresses, says_all: false, leave: log_out }, gateways, redis, upstream))
}

fn log_out(address: SocketAddr, cookie: &str) -> bool {
    let request = format!(
        "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n"
    );
    matches!(raw::exchange(address, request).unwrap().status, 200 | 303)
}

fn holds(name: &'static str, carrier: &str) {
    let Some((kept, gateways, _redis, _upstream)) = gateways(name, carrier) else { return };
    let found = kept.run(50);
    let logs: Vec<_> = gateways.iter().map(Cloakroom::log).collect();
    assert_eq!((found.undone, found.lost), (0, 0), "{found:?}\n{}", logs.join("\n"));
    assert!(found.acknowledged > 40, "{found:?}");
}

#[test]
fn tickets_over_two_gateways_on_one_redis() {
    holds("Cloakroom, ticket, two gateways, Redis", "ticket");
}

#[test]
fn sealed_sessions_over_two_gateways_on_one_redis() {
    holds("Cloakroom, sealed cookie, two gateways, Redis", "sealed");
}

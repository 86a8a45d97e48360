//! The kits against our own gateways: there is nothing to be found.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw;
use interop::{Answer, Capture, Cloakroom, Postgres, Redis, available};

use super::{Found, Keeper, MARK, TAKES, TRUST_WINDOW, run, visit};
use crate::form::Form;
use crate::given::{self, PASSWORD, USER};
use crate::nodes::start;
use crate::shared_redis::gateway_with;

const KEY: &str = "Y2xvYWtyb29tLXRlc3RzLWtleS0yMDI2LTExLTAwMDE=\n";
/// Everybody comes from one address.
const ATTEMPTS: &str = "attempts_per_address = 1000\nattempts_per_user = 2000\n";
/// How long one of two waits for the other. Generous: the machine may be building meanwhile.
const MEETING: Duration = Duration::from_secs(20);
/// How many times two change the same.
const MEETINGS: usize = 20;

/// Gateways that share a storage, and an application behind them.
struct Gateways {
    name: &'static str,
    gateways: Vec<Mutex<Cloakroom>>,
    doors: Vec<SocketAddr>,
    /// Whether its process dies after every logout.
    dies: bool,
    /// Whether its sessions have tickets, and those of people who are logged in.
    is_renewed: bool,
    _application: Arc<Capture>,
}

/// An application that answers `GET /put/KEY=VALUE` after a while with an update, `/meet/KEY=VALUE` when another such request has come,
/// `/told` with the keys that it is told it did not change, and anything else with the session that it was presented.
fn application() -> Arc<Capture> {
    let meeting = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let answer = move |request: &interop::Request| {
        let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        let path = target.trim_start_matches('/');
        let (verb, pair) = path.split_once('/').unwrap_or((path, ""));
        match verb {
            "put" => thread::sleep(TAKES),
            "meet" => {
                let (came, comes) = &*meeting;
                let mut came = came.lock().unwrap();
                *came += 1;
                let pair = came.div_ceil(2);
                comes.notify_all();
                drop(comes.wait_timeout_while(came, MEETING, |came| *came < 2 * pair).unwrap());
            }
            "told" => return Answer::ok(&request.header("x-session-conflict").unwrap_or_default()),
            _ => return Answer::ok(&request.header("x-session").unwrap_or_default()),
        }
        Answer::with(&format!("X-Replace-Session: {pair}\r\n"), verb)
    };
    Arc::new(Capture::answering(answer).unwrap())
}

impl Gateways {
    fn new(name: &'static str, application: Arc<Capture>, gateways: Vec<Cloakroom>) -> Self {
        let doors = gateways.iter().map(Cloakroom::gateway).collect();
        let gateways = gateways.into_iter().map(Mutex::new).collect();
        Self { name, gateways, doors, dies: false, is_renewed: true, _application: application }
    }

    /// Two gateways on one Redis, with sessions that travel so.
    fn on_redis(name: &'static str, redis: &Redis, carrier: &str) -> Self {
        let application = application();
        let gateways = [0; 2].map(|_| {
            let files = [("users.htpasswd", &*given::htpasswd()), ("keys/kit.key", KEY)];
            // Both seal with the same key.
            let change = |text: String| {
                text.replace("= \"ticket\"", &format!("= \"{carrier}\""))
                    .replace("keys/2026-11.key", "keys/kit.key")
            };
            gateway_with(&application, &redis.url(), change, &files)
        });
        Self::new(name, application, gateways.into())
    }

    /// Two gateways on one PostgreSQL.
    fn on_postgres(name: &'static str, postgres: &Postgres) -> Self {
        postgres.sql("postgres", "CREATE DATABASE sessions ENCODING 'UTF8'").unwrap();
        let engine = format!("engine = \"sql\"\nurl = \"{}\"\n# ", postgres.url("sessions"));
        let application = application();
        let gateways = [0; 2].map(|_| start(&application, &engine, ATTEMPTS));
        Self::new(name, application, gateways.into())
    }

    fn said(&self) -> String {
        let logs: Vec<_> = self.gateways.iter().map(|gateway| gateway.lock().unwrap().log()).collect();
        logs.join("\n")
    }

    fn holds(&self, few: usize) {
        let found @ Found { acknowledged, undone, renewed, lost } = run(self, few);
        assert_eq!((undone, lost), (0, 0), "{found:?}\n{}", self.said());
        assert!(acknowledged > few * 4 / 5 && (renewed > 0) == self.is_renewed, "{found:?}\n{}", self.said());
    }

    /// Two answers under way at once set the same entry to different values, each relative to the same view: of each pair one is
    /// kept, and of the other the application is told with its next request, once.
    fn tell_who_is_stale(&self) {
        for number in 0..MEETINGS {
            let held = self.open();
            thread::scope(|threads| {
                let held = &held;
                for (door, value) in ["tea", "milk"].into_iter().enumerate() {
                    threads.spawn(move || {
                        let door = self.doors[door % self.doors.len()];
                        let answer = visit(door, &format!("/meet/cup{number}={value}"), held);
                        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.said());
                    });
                }
            });
            let cup = format!("cup{number}");
            let began = Instant::now();
            while visit(self.doors[0], "/told", &held).text() != cup {
                assert!(began.elapsed() < TRUST_WINDOW, "nobody is told\n{}", self.said());
            }
            assert_eq!(visit(self.doors[0], "/told", &held).text(), "", "it is told once");
            let kept = self.shown(0, &held);
            let cups = ["tea", "milk"].map(|value| kept.contains(&format!("{cup}={value}")));
            assert!(cups[0] != cups[1], "{kept:?}");
        }
    }
}

impl Keeper for Gateways {
    fn name(&self) -> &str {
        self.name
    }

    fn doors(&self) -> usize {
        self.doors.len()
    }

    fn open(&self) -> String {
        let answer = visit(self.doors[0], &format!("/put/{MARK}"), "");
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), self.said());
        let held = answer.cookie("session").expect("a new session comes with a cookie").to_owned();
        if !self.is_renewed {
            return held;
        }
        // Whoever logs in for the first time leaves a ticket behind that is worthless, whoever does so again one that is not.
        self.renew(0, &held).unwrap_or_else(|| panic!("nobody is logged in\n{}", self.said()))
    }

    fn put(&self, door: usize, key: &str, held: &str) -> (bool, Option<String>) {
        let answer = visit(self.doors[door], &format!("/put/{key}=1"), held);
        (answer.status == 200, answer.cookie("session").map(str::to_owned))
    }

    /// A login is one. What is carried becomes another session by it, which is not the one that is attacked here.
    fn renew(&self, door: usize, held: &str) -> Option<String> {
        if !self.is_renewed {
            return None;
        }
        let lines = format!(
            "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nCookie: {held}\r\n"
        );
        let page = raw::get(self.doors[door], "/.cloakroom/login", &lines).unwrap();
        if page.status != 200 {
            return None;
        }
        let form = Form::of(&page).fill("user", USER).fill("password", PASSWORD);
        let answer = form.send(self.doors[door], held);
        answer.cookie("session").filter(|_| answer.status == 303).map(str::to_owned)
    }

    fn leave(&self, door: usize, held: &str) -> bool {
        let address = self.doors[door];
        let request = format!(
            "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {held}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n"
        );
        matches!(raw::exchange(address, request).unwrap().status, 200 | 303)
    }

    fn shown(&self, door: usize, held: &str) -> Vec<String> {
        visit(self.doors[door], "/", held).text().split('&').map(str::to_owned).collect()
    }

    fn crash(&self) {
        for gateway in self.gateways.iter().filter(|_| self.dies) {
            let mut gateway = gateway.lock().unwrap();
            gateway.kill().unwrap();
            gateway.restart().unwrap();
        }
    }
}

#[test]
fn tickets_over_two_gateways_on_one_redis() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let gateways = Gateways::on_redis("Cloakroom, ticket, two gateways, Redis", &redis, "ticket");
    gateways.holds(40);
    gateways.tell_who_is_stale();
}

#[test]
fn sealed_sessions_over_two_gateways_on_one_redis() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let mut gateways = Gateways::on_redis("Cloakroom, sealed cookie, two gateways, Redis", &redis, "sealed");
    gateways.is_renewed = false;
    gateways.holds(40);
}

#[test]
fn tickets_over_two_gateways_on_one_postgres() {
    let Some(postgres) = available(Postgres::start()).unwrap() else { return };
    let gateways = Gateways::on_postgres("Cloakroom, ticket, two gateways, PostgreSQL", &postgres);
    gateways.holds(20);
    gateways.tell_who_is_stale();
}

#[test]
fn tickets_on_a_disk_with_a_gateway_that_is_killed_after_every_logout() {
    let application = application();
    let gateway = start(&application, "engine = \"embedded\" ", ATTEMPTS);
    let name = "Cloakroom, ticket, embedded engine, killed after every logout";
    let mut gateways = Gateways::new(name, application, vec![gateway]);
    gateways.tell_who_is_stale();
    gateways.dies = true;
    gateways.holds(10);
}

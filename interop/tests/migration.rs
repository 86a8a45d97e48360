//! Sessions move to another storage while visitors are there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{Answer, Capture, Cloakroom, Postgres, Redis, available};

use crate::form::Form;
use crate::given::{self, PASSWORD, USER, visit};

const BROWSER: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
/// How long a small storage may take to move, after which the log says so.
const MOVED: Duration = Duration::from_secs(20);

/// Two applications before `upstream`: one with tickets under `/`, one whose sessions are in their cookies under `/sealed`.
fn configuration(upstream: &Capture, storage: &str) -> String {
    let application = |id: &str, path: &str, more: &str| {
        format!(
            "[[application]]\nid = \"{id}\"\npath = \"{path}\"\nupstream = \"{}\"\nidle_timeout = \"0s\"\nlifetime = \"8h\"\n{more}\n\
             [application.cookie]\nname = \"{id}\"\nsecure = false\n\
             [application.login]\nfile = \"users.htpasswd\"\nrequire = [\"{}/account\"]\n",
            upstream.url(),
            path.trim_end_matches('/')
        )
    };
    format!(
        "data_dir = \"data\"\n[listen]\ngateway = \"{{gateway}}\"\nserver = \"{{server}}\"\n{storage}{}{}",
        application("shop", "/", ""),
        application("letters", "/sealed", "carrier = \"sealed\"")
    )
}

/// As [`given::application`], wherever it lies.
fn application() -> Capture {
    Capture::answering(|request| {
        let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        match target.split_once("/put/") {
            Some((_, update)) => Answer::with(&format!("X-Replace-Session: {update}\r\n"), "put"),
            None => Answer::ok(&request.header("x-session").unwrap_or_default()),
        }
    })
    .unwrap()
}

fn start(upstream: &Capture, storage: &str) -> Cloakroom {
    let text = configuration(upstream, storage);
    Cloakroom::start_with(&text, &[("users.htpasswd", &*given::htpasswd())]).unwrap()
}

const OLD: &str = "[[storage]]\nid = \"old\"\nengine = \"embedded\"\n";

fn redis_storage(redis: &Redis, more: &str) -> String {
    format!("[[storage]]\nid = \"new\"\nengine = \"redis\"\nurl = \"{}\"\n{more}\n", redis.url())
}

/// An application and where it is.
#[derive(Clone, Copy)]
struct Place {
    cookie: &'static str,
    path: &'static str,
}

const SHOP: Place = Place { cookie: "shop", path: "" };
const LETTERS: Place = Place { cookie: "letters", path: "/sealed" };

impl Place {
    fn open(self, cloakroom: &Cloakroom, update: &str) -> String {
        let opened = visit(cloakroom, &format!("{}/put/{update}", self.path), "");
        opened.cookie(self.cookie).expect("a new session comes with a cookie").to_owned()
    }

    fn log_in(self, cloakroom: &Cloakroom) -> String {
        let target = format!("{}/.cloakroom/login", self.path);
        let page = raw::get(cloakroom.gateway(), &target, BROWSER).unwrap();
        let form = Form::of(&page).fill("user", USER).fill("password", PASSWORD);
        let welcome = form.send(cloakroom.gateway(), "");
        assert_eq!(welcome.status, 303, "{}\n{}", welcome.text(), cloakroom.log());
        welcome.cookie(self.cookie).unwrap().to_owned()
    }

    /// What it shows of the session; 401 without one.
    fn account(self, cloakroom: &Cloakroom, cookie: &str) -> Response {
        let lines = format!("Accept: application/json\r\nCookie: {cookie}\r\n");
        raw::get(cloakroom.gateway(), &format!("{}/account", self.path), &lines).unwrap()
    }

    fn leave(self, cloakroom: &Cloakroom, cookie: &str, body: &str) {
        let address = cloakroom.gateway();
        let request = format!(
            "POST {}/.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.path,
            body.len()
        );
        let left = raw::exchange(address, request).unwrap();
        assert_eq!(left.status, 303, "{}\n{}", left.text(), cloakroom.log());
    }
}

/// Waits until the log says that everything has moved.
fn moved(cloakroom: &Cloakroom) {
    let began = Instant::now();
    while !cloakroom.log().contains("everything of `old` is in `new`; `migrate_from` can be removed") {
        assert!(began.elapsed() < MOVED, "{}", cloakroom.log());
        thread::sleep(Duration::from_millis(50));
    }
}

/// Whoever came before the move, and what must hold for them.
struct Visitors {
    stay: Vec<(String, String)>,
    sealed: Vec<(String, String)>,
    /// Logged in again after a logout everywhere.
    again: [(Place, String); 2],
    left: Vec<(Place, String)>,
}

impl Visitors {
    fn come(cloakroom: &Cloakroom) -> Self {
        let open = |place: Place, count: usize| {
            let opened = (0..count).map(|number| format!("basket={number}"));
            opened.map(|update| (place.open(cloakroom, &update), update)).collect::<Vec<_>>()
        };
        let (stay, sealed) = (open(SHOP, 150), open(LETTERS, 5));
        let mut left = Vec::new();
        for place in [SHOP, LETTERS] {
            let cookie = place.log_in(cloakroom);
            place.leave(cloakroom, &cookie, "");
            left.push((place, cookie));
            let [desk, phone] = [0; 2].map(|_| place.log_in(cloakroom));
            place.leave(cloakroom, &desk, "everywhere=1");
            left.extend([(place, desk), (place, phone)]);
        }
        let again = [SHOP, LETTERS].map(|place| (place, place.log_in(cloakroom)));
        Self { stay, sealed, again, left }
    }

    fn are_as_they_were(&self, cloakroom: &Cloakroom) {
        for (place, visitors) in [(SHOP, &self.stay), (LETTERS, &self.sealed)] {
            for (cookie, shown) in visitors {
                let answer = visit(cloakroom, &format!("{}/", place.path), cookie);
                assert_eq!((answer.status, &answer.text()), (200, shown), "{}", cloakroom.log());
            }
        }
        for (place, cookie) in &self.again {
            let answer = place.account(cloakroom, cookie);
            assert_eq!((answer.status, &*answer.text()), (200, "user=ada"), "{}", cloakroom.log());
        }
        for (place, cookie) in &self.left {
            assert_eq!(place.account(cloakroom, cookie).status, 401, "somebody came back");
        }
    }
}

#[test]
fn sessions_move_from_the_embedded_engine_to_redis_and_the_old_folder_can_go() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let upstream = application();
    let mut cloakroom = start(&upstream, OLD);
    let mut visitors = Visitors::come(&cloakroom);
    visitors.are_as_they_were(&cloakroom);

    let both = redis_storage(&redis, "migrate_from = \"old\"") + OLD;
    cloakroom.configure(&configuration(&upstream, &both)).unwrap();
    cloakroom.restart().unwrap();
    visitors.are_as_they_were(&cloakroom);
    // What is done while it moves holds as well.
    let (cookie, shown) = visitors.stay.first_mut().unwrap();
    *shown = "basket=rum".to_owned();
    assert_eq!(visit(&cloakroom, "/put/basket=rum", cookie).status, 200);
    let (leaves, _) = visitors.stay.pop().unwrap();
    SHOP.leave(&cloakroom, &leaves, "");
    visitors.left.push((SHOP, leaves));
    let refused = cloakroom.execute(&["run", "--config", "cloakroom.toml", "--take-over"]).unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("can take over from another"), "{told}");
    moved(&cloakroom);
    let metrics = raw::get(cloakroom.server(), "/metrics", "").unwrap().text();
    for sample in [r#"{state="left"} 0"#, r#"{state="stuck"} 0"#] {
        assert!(metrics.contains(&format!("cloakroom_storage_migration_records{sample}")), "{metrics}");
    }
    visitors.are_as_they_were(&cloakroom);

    cloakroom.configure(&configuration(&upstream, &redis_storage(&redis, ""))).unwrap();
    cloakroom.terminate().unwrap();
    cloakroom.wait(Duration::from_secs(60)).unwrap();
    std::fs::remove_dir_all(cloakroom.directory().join("data/storage/old")).unwrap();
    cloakroom.start_to_take_over().unwrap();
    visitors.are_as_they_were(&cloakroom);
    // The counters go on above what sessions remember.
    for (place, cookie) in &visitors.again {
        let desk = place.log_in(&cloakroom);
        place.leave(&cloakroom, &desk, "everywhere=1");
        assert_eq!(place.account(&cloakroom, cookie).status, 401);
    }
}

/// Comes with each cookie, again and again, and must find what is there.
fn come_again_and_again(
    gateway: &str,
    visitors: &[(String, String)],
    over: &AtomicBool,
    asked: &AtomicUsize,
) {
    let address = gateway.parse().unwrap();
    while !over.load(Ordering::Relaxed) {
        for (cookie, shown) in visitors {
            // It may just be starting again.
            let Ok(answer) = raw::get(address, "/", &format!("Cookie: {cookie}\r\n")) else {
                thread::sleep(Duration::from_millis(20));
                continue;
            };
            assert!(answer.all("set-cookie").is_empty(), "{:?}", answer.all("set-cookie"));
            assert!(answer.status == 503 || answer.text() == *shown, "{}: {}", answer.status, answer.text());
            asked.fetch_add(usize::from(answer.status == 200), Ordering::Relaxed);
        }
    }
}

#[test]
fn three_gateways_move_from_postgresql_to_redis_one_after_the_other() {
    let (Some(postgres), Some(redis)) =
        (available(Postgres::start()).unwrap(), available(Redis::start()).unwrap())
    else {
        return;
    };
    let upstream = application();
    let old =
        format!("[[storage]]\nid = \"old\"\nengine = \"sql\"\nurl = \"{}\"\n", postgres.url("postgres"));
    let both = redis_storage(&redis, "migrate_from = \"old\"") + &old;
    let mut gateways = [0; 3].map(|_| start(&upstream, &old));
    let [first, ..] = &gateways;
    let stay: Vec<_> = (0..30).map(|number| format!("basket={number}")).collect();
    let stay: Vec<_> = stay.into_iter().map(|update| (SHOP.open(first, &update), update)).collect();
    let mut left = Vec::new();
    let mut leaving: Vec<String> = (0..6).map(|_| SHOP.log_in(first)).collect();
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let addresses = gateways.each_ref().map(|gateway| gateway.gateway().to_string());
    thread::scope(|scope| {
        for address in &addresses {
            let (stay, over, asked) = (&stay, &over, &asked);
            scope.spawn(move || come_again_and_again(address, stay, over, asked));
        }
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for index in 0..gateways.len() {
                gateways[index].configure(&configuration(&upstream, &both)).unwrap();
                gateways[index].restart().unwrap();
                // Somebody leaves at one that moves, and somebody at one that does not, or not any more.
                for at in [index, (index + 1) % gateways.len()] {
                    let cookie = leaving.pop().unwrap();
                    assert_eq!(SHOP.account(&gateways[index], &cookie).status, 200);
                    SHOP.leave(&gateways[at], &cookie, "");
                    left.push(cookie);
                }
                let since = Instant::now();
                for gateway in &gateways {
                    for cookie in &left {
                        while SHOP.account(gateway, cookie).status != 401 {
                            assert!(since.elapsed() < Duration::from_secs(10), "it is still served");
                            thread::sleep(Duration::from_millis(10));
                        }
                    }
                }
            }
            gateways.iter().for_each(moved);
        }));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(asked.load(Ordering::Relaxed) > 200, "there was no load: {asked:?}");
    drop(postgres);
    for gateway in &mut gateways {
        gateway.configure(&configuration(&upstream, &redis_storage(&redis, ""))).unwrap();
        gateway.restart().unwrap();
        for (cookie, shown) in &stay {
            assert_eq!(visit(gateway, "/", cookie).text(), *shown, "{}", gateway.log());
        }
        for cookie in &left {
            assert_eq!(SHOP.account(gateway, cookie).status, 401, "somebody came back");
        }
    }
}

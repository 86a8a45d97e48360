//! `cloakroom store`: the records of one storage in another one, with the program before and behind it, and real servers.

mod dumps;
mod looking;
mod moves;

use std::path::PathBuf;
use std::process::Output;

use interop::raw::{self, Response};
use interop::{Capture, Cloakroom};

use crate::form::Form;
use crate::given::{self, PASSWORD, USER};

/// Who logs in. No base64 has such a name in it by chance.
const PERSON: &str = "ada-of-the-tests";
/// Whoever has an account is asked for it there.
const LOGIN: &str = "[application.login]\nfile = \"users.htpasswd\"\nrequire = [\"/account\"]\n";
/// What a session holds, and no file may.
const ENTRY: &str = "canary-in-the-basket";
const BROWSER: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";

/// A gateway with one application whose sessions are in storage, and one whose visitors carry them.
struct Site {
    cloakroom: Cloakroom,
    text: String,
}

/// Two sessions that go on, and what was ended.
struct Visitors {
    /// A ticket, and a sealed cookie; both of somebody who is logged in.
    stays: [String; 2],
    /// The same, logged out.
    left: [String; 2],
    /// A ticket and a sealed cookie of the person before all of hers were ended.
    ended_everywhere: [String; 2],
}

/// `ticket` or `sealed`: by the name of the host.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];
const COOKIES: [&str; 2] = ["session", "sealed"];

impl Site {
    /// The sessions are in the first of these storages; the program knows the second one too.
    fn start(upstream: &Capture, old: &str, new: &str, more: &str) -> Self {
        let url = upstream.url();
        let application = |id: &str, host: &str, carrier: &str, cookie: &str| {
            format!(
                "[[application]]\nid = \"{id}\"\nhosts = [\"{host}\"]\nupstream = \"{url}\"\ncarrier = \"{carrier}\"\n\
                 [application.cookie]\nname = \"{cookie}\"\nsecure = false\n[application.handoff]\nrequest_header = \"X-Session\"\n\
                 update_header = \"X-Replace-Session\"\n{LOGIN}"
            )
        };
        let text = format!(
            "data_dir = \"{{directory}}/data\"\n[listen]\ngateway = \"{{gateway}}\"\nserver = \"{{server}}\"\n\
             [[storage]]\nid = \"old\"\n{old}\n[[storage]]\nid = \"new\"\n{new}\n[cache]\nstorage = \"old\"\n\
             [[keys]]\nid = \"2026-11\"\nfile = \"keys/2026-11.key\"\n{}{}{more}",
            application("ticket", HOSTS[0], "ticket", COOKIES[0]),
            application("sealed", HOSTS[1], "sealed", COOKIES[1]),
        );
        let files = [("users.htpasswd", &*given::htpasswd().replace(USER, PERSON)), ("storage.token", TOKEN)];
        let cloakroom = Cloakroom::start_with(&text, &files).unwrap();
        Self { cloakroom, text }
    }

    /// Goes on with its sessions in the other storage.
    fn change(&mut self) {
        let text = self.text.replace("storage = \"old\"", "storage = \"new\"");
        self.cloakroom.configure(&text).unwrap();
        self.cloakroom.restart().unwrap();
    }

    fn stop(&mut self) {
        self.cloakroom.terminate().unwrap();
        self.cloakroom.wait(std::time::Duration::from_secs(60)).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.cloakroom.directory().join(name)
    }

    /// Calls `cloakroom store`, and gives what it did.
    fn store(&self, arguments: &[&str]) -> Output {
        let with = ["store", arguments[0], "--config", "cloakroom.toml"];
        self.cloakroom.execute(&[&with, &arguments[1..]].concat()).unwrap()
    }

    /// The same, which must succeed; what it printed.
    fn stored(&self, arguments: &[&str]) -> String {
        let output = self.store(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", printed(&output));
        printed(&output)
    }

    fn get(&self, which: usize, path: &str, cookie: &str) -> Response {
        let line = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
        self.ask(which, &format!("GET {path} HTTP/1.1\r\n{line}Accept: application/json\r\n\r\n"))
    }

    /// What the application was shown of the session.
    fn shown(&self, which: usize, cookie: &str) -> String {
        let answer = self.get(which, "/", cookie);
        assert_eq!(answer.status, 200, "{}", self.cloakroom.log());
        answer.text().to_owned()
    }

    fn ask(&self, which: usize, request: &str) -> Response {
        let host = HOSTS[which];
        let port = self.cloakroom.gateway().port();
        let request = request.replacen("\r\n", &format!("\r\nHost: {host}:{port}\r\n"), 1);
        raw::exchange(self.cloakroom.gateway(), request).unwrap()
    }

    /// A session of the person with something in it.
    fn log_in(&self, which: usize) -> String {
        let page = self.ask(which, &format!("GET /.cloakroom/login HTTP/1.1\r\n{BROWSER}\r\n"));
        let form = Form::of(&page).fill("user", PERSON).fill("password", PASSWORD);
        let port = self.cloakroom.gateway().port();
        let welcome = form.send_to(self.cloakroom.gateway(), &format!("{}:{port}", HOSTS[which]), "");
        assert_eq!(welcome.status, 303, "{}\n{}", welcome.text(), self.cloakroom.log());
        let cookie = welcome.cookie(COOKIES[which]).unwrap().to_owned();
        let answer = self.get(which, &format!("/put/basket={ENTRY}"), &cookie);
        answer.cookie(COOKIES[which]).map_or(cookie, str::to_owned)
    }

    fn log_out(&self, which: usize, cookie: &str, body: &str) {
        let request = format!(
            "POST /.cloakroom/logout HTTP/1.1\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = self.ask(which, &request);
        assert_eq!(answer.status, 303, "{}\n{}", answer.text(), self.cloakroom.log());
    }

    /// Everybody who is needed to see what became of them.
    fn visitors(&self) -> Visitors {
        let both = || [0, 1].map(|which| self.log_in(which));
        let ended_everywhere = both();
        for which in [0, 1] {
            self.log_out(which, &self.log_in(which), "everywhere=1");
        }
        let (left, stays) = (both(), both());
        for (which, cookie) in left.iter().enumerate() {
            self.log_out(which, cookie, "");
        }
        let visitors = Visitors { stays, left, ended_everywhere };
        self.sees(&visitors);
        visitors
    }

    /// Whether each of them is where they were.
    fn sees(&self, visitors: &Visitors) {
        for which in [0, 1] {
            let shown = self.shown(which, &visitors.stays[which]);
            assert!(shown.contains(ENTRY), "{which}: {shown}: {}", self.cloakroom.log());
            assert_eq!(self.get(which, "/account", &visitors.stays[which]).status, 200, "{which}");
            for over in [&visitors.left[which], &visitors.ended_everywhere[which]] {
                assert!(!self.shown(which, over).contains(ENTRY), "{which}: it came back");
                assert_eq!(self.get(which, "/account", over).status, 401, "{which}: it came back");
            }
        }
    }

    /// All sessions of the person end, and a new one begins.
    fn ends_everywhere(&self, visitors: &Visitors) {
        for which in [0, 1] {
            self.log_out(which, &self.log_in(which), "everywhere=1");
            assert_eq!(self.get(which, "/account", &visitors.stays[which]).status, 401, "{which}");
            let again = self.log_in(which);
            assert_eq!(self.get(which, "/account", &again).status, 200, "{which}");
        }
    }
}

const TOKEN: &str = "a-token-of-the-tests-0123456789abcdef";

/// What a command printed, as one line of words: lines of an error are broken where there is no room.
fn printed(output: &Output) -> String {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let text = String::from_utf8_lossy(&text).replace('│', " ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

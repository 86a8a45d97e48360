//! What several tests start from.

use std::time::{Duration, Instant};

use bcrypt::Version;
use interop::raw::{self, Response};
use interop::{Answer, Capture, Cloakroom, Request};

/// Who may log in.
pub(crate) const USER: &str = "ada";
/// And with what.
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// The example as it is, with this machine's ports in the place of its own.
pub(crate) fn example(text: &str, upstream: &str) -> String {
    let replaced = [
        ("127.0.0.1:8080", "{gateway}"),
        ("127.0.0.1:8081", "{server}"),
        ("http://127.0.0.1:9000", upstream),
    ];
    replaced.into_iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example no longer names {from}");
        text.replace(from, to)
    })
}

/// A password file as `htpasswd -B` writes it. The lowest cost: nobody attacks it.
pub(crate) fn htpasswd() -> String {
    let hash = bcrypt::hash_with_result(PASSWORD, 4).unwrap().format_for_version(Version::TwoY);
    format!("{USER}:{hash}\n")
}

/// An application that answers `GET /put/KEY=VALUE` with an update of the session, and shows the session that it
/// was presented for anything else.
pub(crate) fn application() -> Capture {
    Capture::answering(|request| {
        let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        match target.strip_prefix("/put/") {
            Some(update) => Answer::with(&format!("X-Replace-Session: {update}\r\n"), "put"),
            None => Answer::ok(&request.header("x-session").unwrap_or_default()),
        }
    })
    .unwrap()
}

/// The example `gateway.toml` before [`application`].
pub(crate) fn gateway(upstream: &Capture) -> Cloakroom {
    let configuration = example(include_str!("examples/gateway.toml"), &upstream.url());
    Cloakroom::start(&configuration).unwrap()
}

/// Opens a session by putting something into it, and gives the cookie as `name=value`.
pub(crate) fn session_with(cloakroom: &Cloakroom, update: &str) -> String {
    let response = visit(cloakroom, &format!("/put/{update}"), "");
    assert_eq!(response.status, 200, "{}\n{}", response.text(), cloakroom.log());
    response.cookie("session").expect("a new session comes with a cookie").to_owned()
}

/// Visits the gateway with that cookie, or without one.
pub(crate) fn visit(cloakroom: &Cloakroom, path: &str, cookie: &str) -> Response {
    let line = match cookie {
        "" => String::new(),
        cookie => format!("Cookie: {cookie}\r\n"),
    };
    raw::get(cloakroom.gateway(), path, &line).unwrap()
}

/// The first answer that is one: for as long as nobody can say, it is asked again.
pub(crate) fn answered(cloakroom: &Cloakroom, cookie: &str) -> Response {
    let began = Instant::now();
    loop {
        let answer = visit(cloakroom, "/", cookie);
        if answer.status != 503 {
            return answer;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{}\n{}", answer.text(), cloakroom.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The only request that came since the last look.
pub(crate) fn only(upstream: &Capture) -> Request {
    let mut requests = upstream.take();
    assert_eq!(requests.len(), 1, "{requests:?}");
    requests.remove(0)
}

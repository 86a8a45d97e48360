//! What a client sends never passes for ours, and what is ours never reaches the application or, from it, the browser.

use crate::application::{status, update};
use crate::house::House;
use crate::plan::{ADA, Plan, plan};
use crate::visitor::{Request, Visitor};

/// Names that some application reads as one of those that we present.
const SPELLINGS: [&str; 13] = [
    "X-Session",
    "x_session",
    "X_SESSION",
    "x.session",
    "x~session",
    "x-session-conflict",
    "X_Session_Conflict",
    "X-Session_Conflict",
    "X-Replace-Session",
    "x_replace_session",
    "X-Mail",
    "x_mail",
    "x!mail",
];

fn strict() -> Plan {
    Plan { entry_headers: &[("x-mail", "mail")], exclude: &["/static"], login: Some(&["/account"]), ..plan() }
}

fn spoofed(request: Request) -> Request {
    SPELLINGS.into_iter().fold(request, |request, name| {
        // Repeats, too.
        request.header(name, "user=mallory").header(name, "user=root")
    })
}

#[tokio::test]
async fn no_spelling_of_what_we_present_passes() {
    let house = House::with(strict()).await;
    let stranger = house.visitor();
    let known = house.visitor();
    known.get("/").answered(update("mail=ada")).await;
    for (who, session, mail) in [(&stranger, None, None), (&known, Some("mail=ada"), Some("ada"))] {
        for path in ["/", "/static/x", "/static"] {
            let reply = spoofed(who.get(path)).await;
            let is_handed = path == "/";
            let seen = reply.seen();
            assert_eq!(seen.header("x-session"), session.filter(|_| is_handed), "{path}");
            assert_eq!(seen.header("x-mail"), mail.filter(|_| is_handed), "{path}");
            assert_eq!(seen.spellings("x-session").len(), usize::from(is_handed && session.is_some()));
            assert_eq!(seen.spellings("x-mail").len(), usize::from(is_handed && mail.is_some()));
            assert!(seen.spellings("x-session-conflict").is_empty());
            assert!(seen.spellings("x-replace-session").is_empty());
        }
    }
}

#[tokio::test]
async fn no_spoof_passes_with_an_upgrade() {
    let house = House::with(strict()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("mail=ada")).await;
    for (path, session) in [("/", Some("mail=ada")), ("/static", None)] {
        let answer = status(101).header("Connection", "upgrade").header("Upgrade", "echo");
        let request = visitor.get(path).header("connection", "upgrade").header("upgrade", "echo");
        let reply = spoofed(request).answered(answer).await;
        assert_eq!(reply.status, 101);
        assert_eq!(reply.seen().header("upgrade"), Some("echo"));
        assert_eq!(reply.seen().header("x-session"), session);
        assert!(reply.seen().spellings("x-replace-session").is_empty());
    }
}

#[tokio::test]
async fn a_client_cannot_have_our_headers_taken_away() {
    let visitor = House::with(strict()).await.visitor();
    visitor.get("/").answered(update("mail=ada")).await;
    let names = "close, X-Session, x-mail, x-session-conflict, cookie";
    let reply = visitor.get("/").header("connection", names).await;
    assert_eq!(reply.session(), None, "the client took its own cookie away, and nothing else");
    let reply = visitor.get("/").header("connection", "keep-alive, X-Session, X-Mail").await;
    assert_eq!(reply.session(), Some("mail=ada"));
    assert_eq!(reply.seen().header("x-mail"), Some("ada"));
}

#[tokio::test]
async fn our_cookies_are_hidden_and_the_others_pass_byte_for_byte() {
    let house = House::with(strict()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let ticket = visitor.ticket();
    for path in ["/", "/static/x"] {
        for (sent, passed) in [
            ("session=T", None),
            ("session=T; cloakroom-login=x; __Host-cloakroom-login=y", None),
            ("a=1;  b=\"x y\" ; session=T;c", Some("a=1;  b=\"x y\" ;c")),
            ("session=T; session2=x; Session=y; xsession=z", Some("session2=x; Session=y; xsession=z")),
            ("a=1,session=x; session=T", Some("a=1,session=x")),
            ("a=1; session=garbage; session = T; session=", Some("a=1")),
        ] {
            let reply = visitor.get(path).cookies(sent.replace('T', &ticket)).await;
            assert_eq!(reply.seen().header("cookie"), passed, "{sent} at {path}");
        }
        let raw = [b"a=\xff\xc3; session=".as_slice(), ticket.as_bytes(), b"; b=\xe9"].concat();
        let reply = visitor.get(path).cookies(raw).await;
        assert_eq!(reply.seen().header("cookie"), Some("a=\u{ff}\u{c3}; b=\u{e9}"));
        let reply = visitor.get(path).cookies(format!("session={ticket}")).cookies("b=2").await;
        assert_eq!(reply.seen().header("cookie"), Some("b=2"));
    }
}

#[tokio::test]
async fn an_application_cannot_set_our_cookie() {
    let house = House::with(strict()).await;
    let visitor = house.visitor();
    for path in ["/", "/static"] {
        let impostors = ["session=evil; Path=/", " session =evil", "=session=evil", "cloakroom-login=evil"];
        let answer = impostors
            .into_iter()
            .fold(status(200), |answer, cookie| answer.header("Set-Cookie", cookie))
            .header("Set-Cookie", "own=1; Path=/x")
            .header("Set-Cookie", "session2=2");
        let reply = visitor.get(path).answered(answer.clone()).await;
        assert_eq!(reply.set_cookies(), ["own=1; Path=/x", "session2=2"], "{path}");
    }
    // Beside a real one of ours, which comes last.
    let reply = visitor
        .get("/")
        .answered(update("a=1").header("Set-Cookie", "session=evil").header("Set-Cookie", "own=1"))
        .await;
    let ticket = visitor.ticket();
    assert_eq!(
        reply.set_cookies(),
        ["own=1".to_owned(), format!("session={ticket}; Path=/; HttpOnly; SameSite=Lax")]
    );
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
}

#[tokio::test]
async fn an_entry_cannot_pass_for_who_is_logged_in() {
    let house = House::with(strict()).await;
    let visitor: Visitor = house.visitor();
    let reply = visitor.get("/").answered(update("user=root&a=1")).await;
    assert_eq!(reply.status, 200);
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
    assert_eq!(house.counted("updates", "login_refused"), 1);
    assert_eq!(visitor.get("/account").navigating().await.status, 303, "nobody is logged in");
    visitor.log_in(ADA).await;
    visitor.get("/").answered(update("user=root&user=&b=2")).await;
    assert_eq!(visitor.get("/account").await.session(), Some("user=ada&a=1&b=2"));
}

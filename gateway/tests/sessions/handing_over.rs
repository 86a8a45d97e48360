//! How the application reads a session and changes it.

use gateway::handoff::Format;
use http::Method;

use crate::application::{status, update};
use crate::house::House;
use crate::plan::{Plan, plan};

#[tokio::test]
async fn an_empty_value_removes_and_headers_apply_in_their_order() {
    let visitor = House::with(plan()).await.visitor();
    visitor.get("/").answered(update("a=1&b=2&c=3")).await;
    visitor.get("/").answered(update("a=&b").update("a=4&d=5").update("d=6&c=")).await;
    assert_eq!(visitor.get("/").await.session(), Some("a=4&d=6"));
}

#[tokio::test]
async fn what_the_form_text_can_hold_comes_back() {
    for (sent, presented) in [
        ("a=x+y&b=%2B", "a=x+y&b=%2b"),
        ("a=b=c", "a=b%3dc"),
        ("&&a=1&&", "a=1"),
        ("a=1&a=2&b=9&a=3", "a=3&b=9"),
        ("KEY=1&key=2", "KEY=1&key=2"),
        ("k%C3%A9y=%C3%A9", "k%c3%a9y=%c3%a9"),
        ("bytes=%ff%fe", "bytes=%ff%fe"),
        ("tilde=~&cr=%0d%0aX-Evil:1", "tilde=%7e&cr=%0d%0aX-Evil%3a1"),
        ("raw=\u{e9}", "raw=%c3%a9"),
        // What cannot be read is left out, and the rest counts.
        ("a=1&b=%zz&c=%2&d=%&e=x%00y&=x&f=2", "a=1&f=2"),
        ("a=1&%ff=2", "a=1"),
    ] {
        let visitor = House::with(plan()).await.visitor();
        visitor.get("/").answered(update(sent)).await;
        assert_eq!(visitor.get("/").await.session(), Some(presented), "{sent}");
    }
}

#[tokio::test]
async fn a_malformed_update_is_counted_and_loses_nothing() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    visitor.get("/").answered(update("a=%zz&b=%00")).await;
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
    assert_eq!(house.counted("updates", "malformed"), 2);
}

#[tokio::test]
async fn a_key_that_needs_encoding_can_be_removed() {
    let visitor = House::with(plan()).await.visitor();
    for removal in ["my+key=", "my%20key=", "my+key", "my%20key", "%6dy+key="] {
        visitor.get("/").answered(update("my+key=1&other=2")).await;
        assert_eq!(visitor.get("/").await.session(), Some("my+key=1&other=2"), "before {removal}");
        visitor.get("/").answered(update(removal)).await;
        assert_eq!(visitor.get("/").await.session(), Some("other=2"), "{removal}");
        visitor.get("/").answered(update("other=")).await;
    }
}

#[tokio::test]
async fn json_holds_lists_and_maps() {
    let visitor = House::with(Plan { format: Format::Json, ..plan() }).await.visitor();
    let first = r#"{"basket":["tea","milk"],"address":{"city":"Köln","zip":"50667"},"count":3}"#;
    visitor.get("/").answered(update(first)).await;
    assert_eq!(
        visitor.get("/").await.session(),
        Some(r#"{"basket":["tea","milk"],"address":{"city":"K\u00f6ln","zip":"50667"},"count":"3"}"#)
    );
    visitor.get("/").answered(update(r#"{"basket":null,"count":"4"}"#).update(r#"{"address":null}"#)).await;
    assert_eq!(visitor.get("/").await.session(), Some(r#"{"count":"4"}"#));
    // Not JSON: nothing of it is done.
    visitor.get("/").answered(update("count=5")).await;
    assert_eq!(visitor.get("/").await.session(), Some(r#"{"count":"4"}"#));
}

#[tokio::test]
async fn single_entries_have_headers_of_their_own() {
    let entry_headers = &[("x-mail", "mail"), ("x-city", "city")];
    let visitor = House::with(Plan { entry_headers, ..plan() }).await.visitor();
    visitor.get("/").answered(update("mail=ada%40example.org&other=1")).await;
    let reply = visitor.get("/").await;
    assert_eq!(reply.seen().header("x-mail"), Some("ada@example.org"));
    assert_eq!(reply.seen().header("x-city"), None);
    visitor.get("/").answered(update("mail=&city=K%c3%b6ln")).await;
    let reply = visitor.get("/").await;
    assert_eq!(reply.seen().header("x-mail"), None);
    assert_eq!(reply.seen().header("x-city"), Some("K%C3%B6ln"));
}

#[tokio::test]
async fn an_update_counts_on_every_status_and_never_reaches_the_client() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("latest=nothing")).await;
    for code in [200, 201, 204, 206, 302, 304, 400, 401, 404, 500, 503] {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
            let done = format!("{method}-{code}");
            let answer = status(code)
                .update(&format!("latest={done}"))
                .header("X_Replace_Session", "latest=impostor")
                .header("x.replace.session", "latest=impostor");
            let reply = visitor.request(method, "/").answered(answer).await;
            assert_eq!(reply.status, code);
            assert_no_update_header(&reply.headers);
            assert_eq!(visitor.get("/").await.session(), Some(&*format!("latest={done}")));
        }
    }
}

#[tokio::test]
async fn outside_of_its_paths_an_update_does_nothing_and_stays_inside() {
    let house = House::with(Plan { include: &["/app"], exclude: &["/app/static"], ..plan() }).await;
    let visitor = house.visitor();
    visitor.get("/app").answered(update("a=1")).await;
    for path in ["/", "/elsewhere", "/application", "/app/static", "/app/static/x.css", "/app/./static/"] {
        let reply = visitor.get(path).answered(update("a=2")).await;
        assert_no_update_header(&reply.headers);
        assert_eq!(reply.session(), None, "{path}");
        assert_eq!(reply.seen().header("cookie"), None, "the cookie is hidden on {path}");
    }
    for path in ["/app", "/app/", "/app/x", "/app/statics", "//app", "/x/../app", "/%61pp", "/./app/x"] {
        let reply = visitor.get(path).await;
        assert_eq!(reply.session(), Some("a=1"), "{path}");
    }
}

#[tokio::test]
async fn an_update_in_an_interim_answer_or_in_a_trailer_goes_nowhere() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let answer = update("b=2")
        .after_interim("103 Early Hints", "X-Replace-Session: a=9\r\nLink: </style.css>\r\n")
        .after_interim("102 Processing", "X-Replace-Session: a=9\r\n")
        .trailer("X-Replace-Session", "a=9");
    let text = visitor.get("/").answered(answer).into_text().await;
    assert!(text.contains("the application"), "{text}");
    assert!(!text.to_ascii_lowercase().contains("replace-session"), "{text}");
    assert_eq!(visitor.get("/").await.session(), Some("a=1&b=2"));
}

#[tokio::test]
async fn an_update_on_a_change_of_protocol_counts_and_stays_inside() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let answer = status(101).header("Connection", "upgrade").header("Upgrade", "echo").update("a=2");
    let request = visitor.get("/").header("connection", "upgrade").header("upgrade", "echo");
    let reply = request.answered(answer).await;
    assert_eq!(reply.status, 101);
    assert_no_update_header(&reply.headers);
    assert_eq!(reply.session(), Some("a=1"));
    assert_eq!(visitor.get("/").await.session(), Some("a=2"));
}

#[tokio::test]
async fn plain_proxying_knows_nothing_of_sessions() {
    let house = House::with(Plan { is_plain: true, ..plan() }).await;
    let reply = house
        .visitor()
        .get("/")
        .header("x-session", "mine")
        .header("cookie", "session=mine")
        .answered(update("a=1"))
        .await;
    assert_eq!(reply.session(), Some("mine"));
    assert_eq!(reply.seen().header("cookie"), Some("session=mine"));
    assert_eq!(reply.header("x-replace-session"), Some("a=1"));
    assert!(reply.set_cookies().is_empty());
    assert_eq!(house.stored().await, 0);
}

fn assert_no_update_header(headers: &http::HeaderMap) {
    let leaked: Vec<&str> =
        headers.keys().map(http::HeaderName::as_str).filter(|name| name.contains("replace")).collect();
    assert!(leaked.is_empty(), "{leaked:?} reached the client");
}

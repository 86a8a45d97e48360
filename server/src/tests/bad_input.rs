//! What no client sends that means well, to each protocol of the session server: the answer is an error in the protocol's own form, nothing
//! is changed, and nobody else waits for it.
//!
//! | what | here |
//! |---|---|
//! | malformed, deep, huge | `what_is_malformed_or_deep_...`, `what_is_huge_...` |
//! | slow | `a_body_that_drips_...` |
//! | entity tricks | `no_entity_is_read_...` |
//! | wrong content types, unknown methods | `another_type_or_method_...` |
//! | bad id shapes | `an_id_of_another_shape_...` |

use serde_json::{Value as Json, json};
use tokio::time::{Instant, sleep};

use super::house::House;
use super::rest::ID;
use super::soap::{ADMIN, message, string};
use super::*;

/// What speaks to the session server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Soap,
    Rest,
    Own,
}

use Protocol::{Own, Rest, Soap};

impl Protocol {
    const ALL: [Self; 3] = [Soap, Rest, Own];

    /// A request that takes a body.
    fn line(self) -> String {
        match self {
            Soap => "POST /adminSessions".to_owned(),
            Rest => format!("PUT /sessions/global/{ID}"),
            Own => "POST /v1/find".to_owned(),
        }
    }

    fn headers(self) -> String {
        let more = match self {
            Soap => "SOAPAction: \"\"\r\nContent-Type: text/xml\r\n",
            Rest | Own => "Accept: application/json\r\nContent-Type: application/json\r\n",
        };
        format!("Authorization: Bearer {ADMIN}\r\n{more}")
    }

    /// What the largest body has in bytes.
    const fn largest(self) -> usize {
        match self {
            Soap => dialects::llng::soap::MAX_BODY,
            Rest => dialects::llng::json::MAX_BODY,
            Own => 16 << 20,
        }
    }

    /// The status of an error in its own form, and what it says.
    #[track_caller]
    fn error(self, (status, head, body): &(u16, String, String)) -> (u16, String) {
        let is_of = |kind: &str| head.to_ascii_lowercase().contains(&format!("content-type: {kind}"));
        let member = |name: &str| {
            let read: Json = serde_json::from_str(body).unwrap();
            read.get(name).and_then(Json::as_str).unwrap_or_else(|| panic!("{body}")).to_owned()
        };
        let says = match self {
            Soap => {
                assert!(is_of("text/xml"), "{head}\n{body}");
                let (_, rest) = body.split_once("<faultstring>").unwrap_or_else(|| panic!("{body}"));
                rest.split_once("</faultstring>").unwrap().0.to_owned()
            }
            Rest => {
                assert!(is_of("application/json"), "{head}\n{body}");
                member("error")
            }
            Own => {
                assert!(is_of("application/problem+json"), "{head}\n{body}");
                member("detail")
            }
        };
        assert!(!says.is_empty());
        (*status, says)
    }
}

impl House {
    async fn sends(&self, to: Protocol, body: &str) -> (u16, String) {
        to.error(&self.answer(&to.line(), &to.headers(), body).await)
    }
}

/// Begins a request, of which the body is left to the caller.
async fn begun(house: &House, to: Protocol, framing: &str) -> TcpStream {
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    let (line, headers) = (to.line(), to.headers());
    let head = format!("{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}{framing}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

/// The rest of what comes, as an answer.
async fn answer(socket: &mut TcpStream) -> (u16, String, String) {
    let mut text = Vec::new();
    // A server that reads no more may reset the connection behind its answer.
    let _ = socket.read_to_end(&mut text).await;
    let text = String::from_utf8(text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{text}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

#[tokio::test]
async fn what_is_malformed_or_deep_is_refused_in_the_protocols_own_form() {
    let house = House::new().await;
    let call = message("newSession", "");
    for body in
        ["<a><b>", "no markup", "\u{fffe}", call.strip_suffix("Envelope>").unwrap(), &"<a>".repeat(200_000)]
    {
        assert_eq!(house.sends(Soap, body).await.0, 500, "{}", body.get(..20).unwrap_or(body));
    }
    let (open, close) = ("[".repeat(200_000), "{\"a\":".repeat(100_000));
    for body in ["{", "}", "[]", "\"text\"", "null", "{\"a\":}", "{\"a\":1", "\u{0}", &open, &close] {
        for to in [Rest, Own] {
            assert_eq!(house.sends(to, body).await.0, 400, "{to:?} {}", body.get(..20).unwrap_or(body));
        }
    }
}

#[tokio::test]
async fn no_entity_is_read_and_none_is_made_longer() {
    let house = House::new().await;
    let call = message("newSession", "<c-gensym4><uid>&x9;</uid></c-gensym4>");
    let bombs: String =
        (1..10).map(|n| format!("<!ENTITY x{n} \"{}\">", format!("&x{};", n - 1).repeat(10))).collect();
    for declared in [
        format!("<!DOCTYPE a [<!ENTITY x0 \"lol\">{bombs}]>"),
        "<!DOCTYPE a [<!ENTITY x9 SYSTEM \"file:///etc/passwd\">]>".to_owned(),
        "<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://127.0.0.1:1/x\"> %x;]>".to_owned(),
        "<!DOCTYPE a PUBLIC \"-//x//y\" \"http://127.0.0.1:1/x\">".to_owned(),
        String::new(),
    ] {
        let body = call.replace("?>", &format!("?>{declared}"));
        let (status, says) = house.sends(Soap, &body).await;
        assert!(status == 500 && !says.contains("root:") && !says.contains("lollol"), "{declared}: {says}");
    }
    // JSON has none: what looks like one is text.
    let (status, _, told) = house.answer(&Own.line(), &Own.headers(), "{\"entries\":{\"a\":\"&x9;\"}}").await;
    assert_eq!(status, 200, "{told}");
}

#[tokio::test]
async fn what_is_huge_is_refused_by_what_it_says_of_itself_and_by_what_comes() {
    let house = House::new().await;
    for to in Protocol::ALL {
        let length = to.largest() + 1;
        let mut socket = begun(&house, to, &format!("Content-Length: {length}")).await;
        assert_eq!(to.error(&answer(&mut socket).await).0, 413, "{to:?}");
    }
    // Nobody knows how long one is that comes in pieces.
    for to in [Soap, Rest] {
        let mut socket = begun(&house, to, "Transfer-Encoding: chunked").await;
        let piece = format!("10000\r\n{}\r\n", " ".repeat(0x1_0000));
        for _ in 0..=to.largest() / 0x1_0000 + 1 {
            if socket.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
        }
        assert_eq!(to.error(&answer(&mut socket).await).0, 413, "{to:?}");
    }
}

#[tokio::test]
async fn another_type_or_method_is_refused_and_says_what_would_be_right() {
    let house = House::new().await;
    for kind in
        ["text/plain", "application/json;", "multipart/form-data; boundary=x", "application/xml", "x", ""]
    {
        let headers =
            format!("Authorization: Bearer {ADMIN}\r\nSOAPAction: \"\"\r\nContent-Type: {kind}\r\n");
        let call = message("newSession", "");
        let told = Soap.error(&house.answer(&Soap.line(), &headers, &call).await);
        assert!(told.0 == 500 && told.1.contains("text/xml"), "{kind}: {}", told.1);
        if !kind.starts_with("application/json") {
            let told = Own.error(&house.answer(&Own.line(), &headers, "{}").await);
            assert!(told.0 == 415 && told.1.contains("application/json"), "{kind}: {}", told.1);
        }
    }
    for method in ["fooBar", "", "newSession2", "n\u{e9}"] {
        let (status, _) = house.sends(Soap, &message(method, "")).await;
        assert_eq!(status, 500, "{method}");
    }
    for method in ["PUT", "DELETE", "TRACE", "PROPFIND", "FROBNICATE"] {
        let (status, ..) = house.answer(&format!("{method} /adminSessions"), &Soap.headers(), "").await;
        assert_eq!(status, 405, "{method}");
        let found = house.answer(&format!("{method} /v1/find"), &Own.headers(), "").await;
        assert_eq!(Own.error(&found).0, 405, "{method}");
        assert!(found.1.contains("allow: POST"), "{}", found.1);
    }
    for method in ["PATCH", "TRACE", "FROBNICATE"] {
        let line = format!("{method} /sessions/global/{ID}");
        assert_eq!(Rest.error(&house.answer(&line, &Rest.headers(), "").await).0, 400, "{method}");
    }
}

#[tokio::test]
async fn an_id_of_another_shape_names_nothing() {
    let house = House::new().await;
    let long = "0".repeat(4_000);
    for id in ["", "x", "../../etc/passwd", "' OR 1=1 --", "0123456789abcdeg", "é", "%00", "*", &long] {
        let told = house.call(ADMIN, "/adminSessions", "getAttributes", &string(id)).await;
        let is_absent = told.0 == 200 && told.2.contains("<error xsi:type=\"xsd:int\">1</error>");
        assert!(is_absent || told.2.contains("<faultstring>"), "{id}: {}", told.2);
    }
    for id in ["x", "%2e%2e%2f%2e%2e", "%27%20OR", "0123456789abcdeg", "%c3%a9", "%00", "%ff", "*", &long] {
        for (to, path) in [(Rest, "/sessions/global"), (Own, "/v1/sessions")] {
            let found = house.answer(&format!("GET {path}/{id}"), &to.headers(), "").await;
            // Below what LemonLDAP::NG has, a path with escapes leads nowhere.
            let status = if to == Rest && id.contains('%') { found.0 } else { to.error(&found).0 };
            assert!(matches!(status, 400 | 404), "{to:?} {id}: {}", found.2);
            assert!(!found.2.contains("%27") && !found.2.contains("0123456789abcdeg"), "{}", found.2);
        }
    }
    let body = json!({"handles": ["../x"]}).to_string();
    let told = Own.error(&house.answer("POST /v1/end", &Own.headers(), &body).await);
    assert_eq!(told.0, 422, "{}", told.1);
}

/// Time passes as fast as there is nothing else to do.
#[tokio::test(start_paused = true)]
async fn a_body_that_drips_ends_in_an_error_of_its_own_and_holds_nothing_up() {
    let house = House::new().await;
    for to in Protocol::ALL {
        let began = Instant::now();
        let socket = begun(&house, to, "Content-Length: 60000").await;
        let (mut reading, mut writing) = socket.into_split();
        let dripping = tokio::spawn(async move {
            while writing.write_all(b" ").await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        sleep(Duration::from_secs(5)).await;
        // Others are answered meanwhile, of whatever protocol.
        for other in Protocol::ALL {
            let (status, _) = house.sends(other, "x").await;
            assert_eq!(status, if other == Soap { 500 } else { 400 }, "{other:?}");
        }
        let mut text = Vec::new();
        let _ = reading.read_to_end(&mut text).await;
        dripping.abort();
        let text = String::from_utf8(text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{to:?}: {text}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let told = to.error(&(status, head.to_owned(), body.to_owned()));
        assert_eq!(told.0, 400, "{to:?} {}", told.1);
        assert!(began.elapsed() < Duration::from_mins(1), "{to:?}");
    }
}

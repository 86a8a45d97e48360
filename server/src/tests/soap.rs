//! The SOAP end points of LemonLDAP::NG, through real sockets: calls as its client writes them (captures/llng/soap and soapraw),
//! and what must hold beside the real one (spec/llng.md 12).

use dialects::llng::soap::{Charset, Uri};
use dialects::llng::{Cipher, Exported, Hidden};

use super::house::{House, client};
use super::*;

pub(super) const ADMIN: &str = "the-token-of-a-portal-0123456789abcdef";
pub(super) const READER: &str = "the-token-of-a-handler-0123456789abcdef";
pub(super) const OPERATOR: &str = "the-token-of-an-operator-0123456789abcdef";
pub(super) const OTHER_KINDS: &str = "the-token-of-one-for-other-kinds-01234567";
pub(super) const KEY: &[u8] = b"qwertyuiop123456";
pub(super) const NOW: u64 = 1_795_321_143_000;
pub(super) const HOUR: Duration = Duration::from_hours(1);

impl House {
    pub(super) async fn new() -> Self {
        Self::with(of_tests()).await
    }

    pub(super) async fn with(llng: LemonLdap) -> Self {
        Self::open(NOW, |_, server| furnish(server, llng)).await
    }

    /// Another node over the same storage.
    pub(super) async fn beside(&self) -> Self {
        let (storage, clock) = (Arc::clone(&self.storage), Arc::clone(&self.clock));
        Self::over(storage, clock, |cache| cache, |_, server| furnish(server, of_tests())).await
    }

    /// One that finds sessions quickly by `ipAddr`.
    pub(super) async fn indexed() -> Self {
        let clock = Arc::new(ManualClock::at(Millis(NOW)));
        let memory = Memory::new("local", Arc::clone(&clock) as _, 64 << 20);
        let storage = Arc::new(Faulty::new(Arc::new(memory)));
        let keep = |cache: Cache| cache.with_index_of_entries(["ipAddr".into()]);
        Self::over(storage, clock, keep, |_, server| furnish(server, of_tests())).await
    }

    /// Calls a method as the real client does.
    pub(super) async fn call(
        &self,
        token: &str,
        path: &str,
        method: &str,
        arguments: &str,
    ) -> (u16, String, String) {
        let headers = format!(
            "Authorization: Bearer {token}\r\nContent-Type: text/xml; charset=utf-8\r\n\
             SOAPAction: \"urn:Lemonldap/NG/Common/PSGI/SOAPService#{method}\"\r\n"
        );
        self.answer(&format!("POST {path}"), &headers, &message(method, arguments)).await
    }

    /// What stands in the response to a portal, of a call that succeeds.
    pub(super) async fn says(&self, method: &str, arguments: &str) -> String {
        payload(method, self.call(ADMIN, "/adminSessions", method, arguments).await)
    }

    /// Makes a session with these attributes; its id.
    pub(super) async fn session(&self, attributes: &str) -> String {
        let told = self.says("newSession", &format!("<c-gensym4>{attributes}</c-gensym4>")).await;
        text_of(&told, "_session_id").to_owned()
    }

    pub(super) async fn attributes(&self, id: &str) -> String {
        self.says("getAttributes", &string(id)).await
    }

    pub(super) async fn token(&self) -> String {
        let told = self.says("getCipheredToken", "").await;
        let plain = Cipher::new(KEY).unwrap().decrypt(text_of(&told, "result")).unwrap();
        String::from_utf8(plain).unwrap()
    }
}

/// With clients of all rights.
fn furnish(server: &mut Server, llng: LemonLdap) {
    let everything = vec![Right::Sessions, Right::AdminSessions];
    let kinds = Names::Only(Box::new(["Persistent".into()]));
    server.clients = vec![
        client("portal", ADMIN, everything.clone()),
        client("handler", READER, vec![Right::Sessions]),
        client("operator", OPERATOR, [everything.clone(), vec![Right::Secrets]].concat()),
        Client { kinds, ..client("other", OTHER_KINDS, everything) },
    ];
    server.llng = Some(llng);
}

pub(super) fn of_tests() -> LemonLdap {
    let rule = |path: &str, allow| Rule { host: "test1.example.com".into(), path: path.into(), allow };
    let admins = Allow::Attribute { name: "groups".into(), value: "timelords".into() };
    LemonLdap {
        soap: true,
        rest: true,
        hashed: false,
        cipher: Some(Cipher::new(KEY).unwrap()),
        timeout: HOUR * 20,
        timeout_activity: Duration::ZERO,
        cookie: SessionCookie {
            name: "lemonldap".into(),
            domain: Some("example.com".into()),
            is_secure: true,
        },
        exported: Exported::parse("uid cn"),
        hidden: Hidden::default(),
        charset: Charset::Octets,
        logins: Some(Logins::new(|_, user, password| async move {
            match (&*user, &*password) {
                ("dwho", "dwho") => Verdict::Right,
                ("many", _) => Verdict::Unknown,
                _ => Verdict::Wrong,
            }
        })),
        rules: vec![rule("/", Allow::Everybody), rule("/admin", admins)],
        scheme: "http",
    }
}

pub(super) fn message(method: &str, arguments: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope \
         soap:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\" \
         xmlns:namesp1=\"urn:Lemonldap/NG/Common/PSGI/SOAPService\" \
         xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soap:Body><namesp1:{method}>{arguments}\
         </namesp1:{method}></soap:Body></soap:Envelope>"
    )
}

pub(super) fn string(text: &str) -> String {
    format!("<c-gensym9 xsi:type=\"xsd:string\">{text}</c-gensym9>")
}

#[track_caller]
pub(super) fn payload(method: &str, (status, head, body): (u16, String, String)) -> String {
    assert_eq!(status, 200, "{body}");
    assert!(head.contains("content-type: text/xml; charset=utf-8"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    let start = format!("<{method}Response xmlns=\"urn:Lemonldap/NG/Common/PSGI/SOAPService\">");
    let (_, rest) = body.split_once(&start).unwrap();
    rest.strip_suffix(&format!("</{method}Response></soap:Body></soap:Envelope>")).unwrap().to_owned()
}

#[track_caller]
pub(super) fn text_of<'p>(payload: &'p str, name: &str) -> &'p str {
    let (_, rest) = payload.split_once(&format!("<{name} xsi:type=\"xsd:string\">")).unwrap();
    rest.split_once('<').unwrap().0
}

#[track_caller]
pub(super) fn fault((status, _, body): (u16, String, String), expected: u16) -> String {
    assert_eq!(status, expected, "{body}");
    let (_, rest) = body.split_once("<faultstring>").unwrap();
    rest.split_once("</faultstring>").unwrap().0.to_owned()
}

pub(super) const DONE: &str = "<result xsi:type=\"xsd:int\">1</result>";
pub(super) const NOT_DONE: &str = "<result xsi:type=\"xsd:int\">0</result>";
pub(super) const NO_SESSION: &str = "<session><error xsi:type=\"xsd:int\">1</error></session>";
pub(super) const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[tokio::test]
async fn a_session_is_made_read_changed_and_ended() {
    let house = House::new().await;
    let told = house.says("newSession", "<a><foo xsi:type=\"xsd:string\">bar</foo><_utime xsi:type=\"xsd:int\">12</_utime>\
        <_session_id xsi:type=\"xsd:string\">aaaa</_session_id><_session_kind xsi:type=\"xsd:string\">Evil</_session_kind></a>").await;
    let id = text_of(&told, "_session_id");
    assert_eq!(id.len(), 64);
    assert_eq!((text_of(&told, "_session_kind"), text_of(&told, "_utime")), ("SSO", "1795321143"));
    // captures/llng/soap, 02-setAttributes.
    let changes = "<c-gensym6><uid xsi:type=\"xsd:string\">dwho</uid><cn xsi:type=\"xsd:base64Binary\">RMO2Y3RvciBX0YXQviA8Jj4iJw==</cn>\
        <foo xsi:nil=\"true\" /><num xsi:type=\"xsd:int\">42</num></c-gensym6>";
    assert_eq!(house.says("setAttributes", &(string(id) + changes)).await, DONE);
    let told = house.attributes(id).await;
    assert!(told.starts_with("<session><error xsi:type=\"xsd:int\">0</error><attributes>"), "{told}");
    assert!(told.contains("<num xsi:type=\"xsd:string\">42</num>") && !told.contains("<foo"), "{told}");
    assert_eq!(text_of(&told, "cn"), "D\u{c3}\u{b6}ctor W\u{d1}\u{85}\u{d0}\u{be} &lt;&amp;&gt;\"'");
    let (status, head, body) = house.call(ADMIN, "/adminSessions", "deleteSession", &string(id)).await;
    assert!(status == 200 && body.contains(DONE), "{body}");
    assert!(
        head.contains("set-cookie: lemonldap=0; domain=.example.com; path=/; expires=Wed, 21 Oct 2015 00:00:00 GMT; HttpOnly=1; \
             SameSite=Lax; secure"),
        "{head}"
    );
    assert_eq!(house.attributes(id).await, NO_SESSION);
}

#[tokio::test]
async fn the_dead_stay_dead() {
    // spec/llng.md 12.5.
    let house = House::new().await;
    let id = house.session("<uid>dwho</uid>").await;
    assert_eq!(house.says("deleteSession", &string(&id)).await, DONE);
    assert_eq!(house.says("deleteSession", &string(&id)).await, NOT_DONE);
    assert_eq!(house.says("setAttributes", &(string(&id) + "<a><uid>dwho</uid></a>")).await, NOT_DONE);
    let forced = [string("dwho"), string("dwho"), string(&id)].concat();
    assert!(
        house.says("getCookies", &forced).await.contains("<errorCode xsi:type=\"xsd:int\">8</errorCode>")
    );
    assert_eq!(house.attributes(&id).await, NO_SESSION);
}

#[tokio::test]
async fn who_is_not_there_is_not_found() {
    // captures/llng/soap, 05, 06, 30, 46 and 48.
    let house = House::new().await;
    for id in [ZEROS, "../../etc/passwd"] {
        assert_eq!(house.attributes(id).await, NO_SESSION);
        assert_eq!(house.says("deleteSession", &string(id)).await, NOT_DONE);
        assert_eq!(house.says("setAttributes", &(string(id) + "<a><b>1</b></a>")).await, NOT_DONE);
        let asked = string(id) + &string("http://test1.example.com/");
        assert_eq!(house.says("isAuthorizedURI", &asked).await, NOT_DONE);
    }
}

#[tokio::test]
async fn a_session_is_over_by_its_utime() {
    let house = House::new().await;
    let id = house.session("<uid>dwho</uid>").await;
    house.clock.advance(HOUR * 19);
    assert!(house.attributes(&id).await.contains("dwho"));
    // What was given less time is over earlier: `_utime = now + ttl - timeout`.
    let short = house.session("<uid>dwho</uid>").await;
    let utime = (NOW / 1000 + 60).to_string();
    assert_eq!(
        house.says("setAttributes", &format!("{}<a><_utime>{utime}</_utime></a>", string(&short))).await,
        DONE
    );
    assert!(house.attributes(&short).await.contains("dwho"));
    house.clock.advance(HOUR + Duration::from_secs(61));
    assert_eq!(house.attributes(&short).await, NO_SESSION);
    assert_eq!(house.attributes(&id).await, NO_SESSION);
    assert_eq!(house.says("setAttributes", &(string(&id) + "<a><b>1</b></a>")).await, NOT_DONE);
}

#[tokio::test]
async fn readers_get_what_is_exported_and_nobody_the_hidden_without_the_right() {
    // spec/llng.md 12.1.
    let house = House::new().await;
    let id = house.session("<uid>dwho</uid><cn>Who</cn><mail>m</mail><_password>secret</_password>").await;
    let told = payload("getAttributes", house.call(READER, "/sessions", "getAttributes", &string(&id)).await);
    assert!(told.contains("<uid") && told.contains("<cn") && told.contains("<_session_id"), "{told}");
    for kept_back in ["mail", "_password", "_utime", "_session_kind"] {
        assert!(!told.contains(&format!("<{kept_back}")), "{told}");
    }
    let told = house.attributes(&id).await;
    assert!(told.contains("<mail") && told.contains("<_utime") && !told.contains("<_password"), "{told}");
    let told =
        payload("getAttributes", house.call(OPERATOR, "/adminSessions", "getAttributes", &string(&id)).await);
    assert_eq!(text_of(&told, "_password"), "secret");
    // Who got no password sends none back, and it stays.
    let told = house.says("setAttributes", &(string(&id) + "<a><_password>**********</_password></a>")).await;
    assert_eq!(told, DONE);
    let told =
        payload("getAttributes", house.call(OPERATOR, "/adminSessions", "getAttributes", &string(&id)).await);
    assert_eq!(text_of(&told, "_password"), "secret");
}

#[tokio::test]
async fn text_does_not_grow_and_awkward_values_survive() {
    // spec/llng.md 12.3, 12.8, 12.9, 12.11 and 12.26: what the real client sends back of what it read.
    let house = House::new().await;
    let id = house
        .session(
            "<cn xsi:type=\"xsd:base64Binary\">RMO2</cn><on xsi:type=\"xsd:string\">TRUE</on>\
             <one soapenc:arrayType=\"xsd:string[1]\" xsi:type=\"soapenc:Array\"><item xsi:type=\"xsd:string\">a</item></one>\
             <x xsi:type=\"xsd:base64Binary\">AQID</x>\
             <odd xmlns:m=\"http://xml.apache.org/xml-soap\" xsi:type=\"m:Map\"><item><key xsi:type=\"xsd:string\">1 b</key>\
             <value xsi:type=\"xsd:string\">v</value></item></odd>",
        )
        .await;
    let first = house.attributes(&id).await;
    assert_eq!(text_of(&first, "cn"), "D\u{c3}\u{b6}");
    for _ in 0..3 {
        let sent =
            "<a><cn xsi:type=\"xsd:base64Binary\">RMODwrY=</cn><on xsi:type=\"xsd:boolean\">true</on></a>";
        assert_eq!(house.says("setAttributes", &(string(&id) + sent)).await, DONE);
        assert_eq!(house.attributes(&id).await, first);
    }
    assert!(first.contains("<x xsi:type=\"xsd:base64Binary\">AQID</x>"), "{first}");
    assert!(first.contains("soapenc:arrayType=\"xsd:string[1]\""), "{first}");
    assert!(first.contains("<key xsi:type=\"xsd:string\">1 b</key>"), "{first}");
    assert_eq!(text_of(&first, "on"), "TRUE");
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    // spec/llng.md 12.4.
    let house = House::new().await;
    let id = house.session("<uid>dwho</uid>").await;
    let writing = (0..60).map(|number| {
        let arguments = format!("{}<a><k{number}>{number}</k{number}></a>", string(&id));
        let house = &house;
        async move { house.says("setAttributes", &arguments).await }
    });
    let done = futures_util::future::join_all(writing).await;
    assert!(done.iter().all(|told| told == DONE));
    let told = house.attributes(&id).await;
    assert!((0..60).all(|number| text_of(&told, &format!("k{number}")) == number.to_string()));
}

#[tokio::test]
async fn what_an_end_point_does_not_have_is_not_authorized() {
    // captures/llng/soap, 07, 08, 09, 32, 35, 37 and 39.
    let house = House::new().await;
    for method in [
        "setAttributes",
        "newSession",
        "deleteSession",
        "getCipheredToken",
        "get_key_from_all_sessions",
        "fooBar",
    ] {
        let told = fault(house.call(ADMIN, "/sessions", method, "").await, 500);
        assert_eq!(told, format!("{method} is not an authorized function"));
    }
    assert_eq!(fault(house.call(ADMIN, "/adminSessions", "getAttributes", "").await, 500), "id is required");
    let told = fault(house.call(ADMIN, "/sessions", "getMenuApplications", &string(ZEROS)).await, 500);
    assert!(told.contains("Failed to locate method"), "{told}");
    let told = payload("error", house.call(READER, "/sessions", "error", "<a>5</a><b>en</b>").await);
    assert_eq!(text_of(&told, "result"), "Wrong credentials");
}

#[tokio::test]
async fn the_list_of_all_sessions_takes_a_token_that_is_good_once() {
    // captures/llng/soap, 36 to 45.
    let house = House::new().await;
    let first = house.session("<uid>dwho</uid><_password>secret</_password>").await;
    let second = house.session("<uid>rtyler</uid><cn>Rose</cn>").await;
    let ended = house.session("<uid>gone</uid>").await;
    assert_eq!(house.says("deleteSession", &string(&ended)).await, DONE);
    let list = |arguments: String| {
        house.call(ADMIN, "/adminSessions", "get_key_from_all_sessions", Box::leak(arguments.into()))
    };
    assert_eq!(fault(list(string("bad")).await, 500), "Bad token");
    assert_eq!(fault(list(String::new()).await, 500), "Bad token");
    let token = house.token().await;
    let told = payload("get_key_from_all_sessions", list(string(&token)).await);
    assert!(
        told.starts_with("<result xsi:type=\"apachens:Map\"><item><key xsi:type=\"xsd:string\">"),
        "{told}"
    );
    assert!(told.contains(&first) && told.contains(&second) && !told.contains(&ended), "{told}");
    assert!(told.contains("<_utime xsi:type=\"xsd:int\">1795321143</_utime>"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    assert_eq!(fault(list(string(&token)).await, 500), "Bad token");
    let token = house.token().await;
    let told = payload("get_key_from_all_sessions", list(string(&token) + &string("uid")).await);
    assert!(told.contains("<value><uid xsi:type=\"xsd:string\">rtyler</uid></value>"), "{told}");
    let token = house.token().await;
    let names = "<soapenc:Array soapenc:arrayType=\"xsd:string[2]\" xsi:type=\"soapenc:Array\">\
        <item xsi:type=\"xsd:string\">uid</item><item xsi:type=\"xsd:string\">cn</item></soapenc:Array>";
    let told = payload("get_key_from_all_sessions", list(string(&token) + names).await);
    assert!(
        told.contains("<uid xsi:type=\"xsd:string\">rtyler</uid><cn xsi:type=\"xsd:string\">Rose</cn>"),
        "{told}"
    );
    let late = house.token().await;
    house.clock.advance(Duration::from_secs(6));
    assert_eq!(fault(list(string(&late)).await, 500), "Bad token");
    // A load balancer sends a client's second call to another node.
    let there = house.beside().await;
    let token = house.token().await;
    let ask = async |node: &House| {
        let arguments = string(&token) + &string("uid");
        node.call(ADMIN, "/adminSessions", "get_key_from_all_sessions", &arguments).await
    };
    assert!(payload("get_key_from_all_sessions", ask(&there).await).contains("rtyler"));
    for node in [&house, &there] {
        assert_eq!(fault(ask(node).await, 500), "Bad token");
    }
}

#[tokio::test]
async fn somebody_logs_in_or_learns_why_not() {
    // captures/llng/soap, 20 to 24.
    let house = House::new().await;
    let log_in = |arguments: &[&str]| {
        let arguments: String = arguments.iter().map(|argument| string(argument)).collect();
        house.call(READER, "/sessions", "getCookies", Box::leak(arguments.into()))
    };
    let (_, head, _) = log_in(&["dwho", "dwho"]).await;
    let told = payload("getCookies", log_in(&["dwho", "dwho"]).await);
    let id = text_of(&told, "lemonldap");
    assert!(
        told.starts_with("<session><errorCode xsi:type=\"xsd:int\">0</errorCode><cookies><lemonldap"),
        "{told}"
    );
    assert!(
        head.contains("set-cookie: lemonldap=")
            && head.contains("; domain=.example.com; path=/; HttpOnly=1; SameSite=Lax; secure\r\n"),
        "{head}"
    );
    let attributes = house.attributes(id).await;
    assert_eq!(
        (text_of(&attributes, "_whatToTrace"), text_of(&attributes, "_session_kind")),
        ("dwho", "SSO")
    );
    for (arguments, code) in
        [(vec!["dwho", "bad"], 5), (vec!["dwho"], 2), (vec!["nobody", "x"], 5), (vec!["many", "x"], 24)]
    {
        let told = payload("getCookies", log_in(&arguments).await);
        assert_eq!(
            told,
            format!("<session><errorCode xsi:type=\"xsd:int\">{code}</errorCode><cookies /></session>")
        );
    }
    let forced = "deadbeef".repeat(8);
    let told = payload("getCookies", log_in(&["dwho", "dwho", &forced]).await);
    assert_eq!(text_of(&told, "lemonldap"), forced);
    let again = payload("getCookies", log_in(&["dwho", "dwho", &forced]).await);
    assert!(
        again.contains("<errorCode xsi:type=\"xsd:int\">8</errorCode>"),
        "an id that is taken is nobody else's"
    );
}

#[tokio::test]
async fn an_address_is_allowed_by_its_rule_or_not_at_all() {
    // captures/llng/soap, 27 to 31.
    let house = House::new().await;
    let id = house.session("<uid>dwho</uid><groups>users; timelords</groups>").await;
    let other = house.session("<uid>rtyler</uid><groups>users</groups>").await;
    let may = async |id: &str, uri: &str| {
        let asked = string(id) + &format!("<u xsi:type=\"xsd:anyURI\">{uri}</u>");
        payload("isAuthorizedURI", house.call(READER, "/sessions", "isAuthorizedURI", &asked).await) == DONE
    };
    assert!(Uri::parse("http://test1.example.com/admin/x").is_some());
    assert!(
        may(&id, "http://test1.example.com/admin/x").await && may(&other, "http://test1.example.com/").await
    );
    assert!(!may(&other, "http://test1.example.com/admin/x").await);
    assert!(!may(&id, "http://unknown.example.com/").await);
    assert!(!may(&other, "http://test1.example.com//admin/x").await);
    let bad = string(&id) + &string("notauri");
    assert_eq!(fault(house.call(READER, "/sessions", "isAuthorizedURI", &bad).await, 500), "Bad uri");
}

#[tokio::test]
async fn one_prefix_is_taken_away_and_bypasses_go_nowhere() {
    // spec/llng.md 2.1 and CVE-2019-19791.
    let house = House::new().await;
    for path in [
        "/sessions",
        "/sessions/",
        "/adminSessions",
        "/adminSessions/foo",
        "/index.fcgi/sessions",
        "/index.psgi/adminSessions",
        "/index.fcgi/adminSessions/",
    ] {
        let told = payload("getAttributes", house.call(ADMIN, path, "getAttributes", &string(ZEROS)).await);
        assert_eq!(told, NO_SESSION, "{path}");
    }
    for path in [
        "//sessions",
        "//adminSessions",
        "/index.fcgi/index.fcgi/sessions",
        "/index.fcgi//sessions",
        "/index.fcgi%2Fsessions",
        "/%73essions",
        "/x/../sessions",
        "/./sessions",
        "/Sessions",
        "/sessions%2F..%2FadminSessions",
        "/index.fcgi",
    ] {
        let (status, _, body) = house.call(ADMIN, path, "getAttributes", &string(ZEROS)).await;
        assert_eq!((status, &*body), (404, ""), "{path}");
    }
}

#[tokio::test]
async fn nothing_is_open_to_who_may_not() {
    let house = House::new().await;
    let told = fault(house.call("nobody", "/sessions", "getAttributes", &string(ZEROS)).await, 401);
    assert!(told.contains("no `[[client]]`"), "{told}");
    let told = fault(house.call(READER, "/adminSessions", "getAttributes", &string(ZEROS)).await, 403);
    assert!(told.contains("`handler` has no such right"), "{told}");
    // Who may see only other kinds sees none of these, and makes none.
    let id = house.session("<uid>dwho</uid>").await;
    let told = payload(
        "getAttributes",
        house.call(OTHER_KINDS, "/adminSessions", "getAttributes", &string(&id)).await,
    );
    assert_eq!(told, NO_SESSION);
    assert_eq!(
        payload("newSession", house.call(OTHER_KINDS, "/adminSessions", "newSession", "").await),
        NOT_DONE
    );
    assert_eq!(
        payload(
            "deleteSession",
            house.call(OTHER_KINDS, "/adminSessions", "deleteSession", &string(&id)).await
        ),
        NOT_DONE
    );
}

#[tokio::test]
async fn what_is_no_call_is_told_so() {
    // captures/llng/soapraw, 01, 05, 06, 07, 09, 12 and 13.
    let house = House::new().await;
    let admin = format!("Authorization: Bearer {ADMIN}\r\n");
    let with = |more: &str| format!("{admin}{more}");
    let call = message("newSession", "");
    let (status, head, body) =
        house.answer("POST /adminSessions", &with("Content-Type: text/xml\r\n"), &call).await;
    assert!(status == 400 && head.contains("text/html") && body.contains("SOAP requests only"), "{body}");
    let (status, _, body) =
        house.answer("POST /adminSessions", &with("Accept: application/json\r\n"), &call).await;
    assert_eq!((status, &*body), (400, "{\"error\":\"SOAP requests only\"}"));
    let soap = with("SOAPAction: \"\"\r\nContent-Type: text/xml\r\n");
    let (status, _, body) = house.answer("POST /adminSessions", &soap, "").await;
    assert_eq!((status, &*body), (411, ""));
    let told = fault(house.answer("POST /adminSessions", &soap, "<a><b>").await, 500);
    assert!(told.starts_with("Application failed during request deserialization"), "{told}");
    let doctype = call.replace("?>", "?><!DOCTYPE foo [<!ENTITY e SYSTEM \"file:///etc/hostname\">]>");
    let told = fault(house.answer("POST /adminSessions", &soap, &doctype).await, 500);
    assert!(told.contains("a DOCTYPE is not allowed"), "{told}");
    // Of what SOAP::Lite's server takes beside, with attachments, its client sends nothing.
    for other in ["application/json", "multipart/related; type=\"text/xml\"; boundary=b", "application/dime"]
    {
        let headers = with(&format!("SOAPAction: \"\"\r\nContent-Type: {other}\r\n"));
        let told = fault(house.answer("POST /adminSessions", &headers, &call).await, 500);
        assert!(told.starts_with("Content-Type must be 'text/xml'"), "{told}");
    }
    let (status, _, _) = house.answer("PUT /adminSessions", &soap, &call).await;
    assert_eq!(status, 405);
    // It is refused by what it says of itself, before anything of it is read.
    let large = format!("{soap}Expect: 100-continue\r\nContent-Length: 5000000\r\n");
    let mut socket = TcpStream::connect(house.address).await.unwrap();
    let request = format!("POST /adminSessions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{large}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("larger than 4194304 bytes"), "{answer}");
}

#[tokio::test]
async fn an_outage_is_not_the_end_of_a_session() {
    let house = House::new().await;
    let id = house.session("<uid>dwho</uid>").await;
    house.storage.fail(Which::Any, Fault::Refuse);
    let unseen = string(ZEROS);
    let told = fault(house.call(ADMIN, "/adminSessions", "getAttributes", &unseen).await, 503);
    assert!(told.contains("try again"), "{told}");
    assert_eq!(house.call(ADMIN, "/adminSessions", "deleteSession", &string(&id)).await.0, 503);
    house.storage.heal();
}

#[tokio::test]
async fn the_description_is_there_with_a_plus_too() {
    // spec/llng.md 12.2.
    let house = House::new().await;
    let token = format!("Authorization: Bearer {READER}\r\n");
    let (status, head, body) = house.answer("GET /portal.wsdl", &token, "").await;
    assert!(status == 200 && head.contains("application/wsdl+xml"), "{head}");
    assert!(
        body.contains("location=\"http://house.example/sessions\"") && body.contains("name=\"uid\""),
        "{body}"
    );
    assert_eq!(house.answer("GET /portal.wsdl", "", "").await.0, 401);
}

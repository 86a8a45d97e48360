//! The shop as a gateway meets it: over a socket, with and without the header.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::*;

struct Shop {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Shop {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve(listener, async { drop(stopped.await) }));
        Self { address, stop, serving }
    }

    async fn ask(&self, method: &str, target: &str, headers: &[&str], body: &str) -> Answer {
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let request = format!(
            "{method} {target} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        Answer(answer)
    }

    async fn get(&self, target: &str, session: Option<&str>) -> Answer {
        let header = session.map(|session| format!("X-Session: {session}"));
        self.ask("GET", target, &header.as_deref().into_iter().collect::<Vec<_>>(), "").await
    }

    async fn post(&self, target: &str, session: &str, body: &str) -> Answer {
        let session = format!("X-Session: {session}");
        self.ask("POST", target, &[&session, "Content-Type: application/x-www-form-urlencoded"], body).await
    }
}

struct Answer(String);

impl Answer {
    fn status(&self) -> u16 {
        self.0.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    fn says(&self, text: &str) -> bool {
        self.0.contains(text)
    }
}

#[tokio::test]
async fn without_a_session_the_shop_is_empty_and_says_so() {
    let shop = Shop::open().await;
    let page = shop.get("/", None).await;
    assert_eq!(page.status(), 200);
    assert!(page.says("Nothing in it yet.") && page.says("You have no session") && page.says("Log in"));
    assert_eq!(page.header("x-replace-session"), None, "looking changes nothing");
    assert_eq!(page.header("set-cookie"), None);
}

#[tokio::test]
async fn the_basket_is_what_the_header_says() {
    let shop = Shop::open().await;
    let page = shop.get("/", Some("user=ada&basket.tea=2&basket.hat=1")).await;
    assert!(page.says("€ 7.00") && page.says("€ 31.00") && page.says("<span class=\"count\">3</span>"));
    assert!(page.says("user=ada&amp;basket.tea=2&amp;basket.hat=1"), "and it is shown");
    for nonsense in ["basket.tea=-1", "basket.tea=x", "basket.tea=", "basket.gold=5", "basket.tea=1.5"] {
        assert!(shop.get("/", Some(nonsense)).await.says("Nothing in it yet."), "{nonsense}");
    }
    assert!(shop.get("/", Some("basket.tea=4000000000")).await.says("<span class=\"count\">99</span>"));
}

#[tokio::test]
async fn a_form_is_answered_with_the_change_and_nothing_else() {
    let shop = Shop::open().await;
    for (session, body, change) in [
        ("", "article=tea&add=1", "basket.tea=1"),
        ("basket.tea=2&basket.hat=1", "article=tea&add=1", "basket.tea=3"),
        ("basket.tea=99", "article=tea&add=1", "basket.tea=99"),
        ("basket.tea=1", "article=tea&add=-1", "basket.tea="),
        ("basket.tea=5", "article=tea&amount=2", "basket.tea=2"),
        ("basket.tea=5", "article=tea&amount=0", "basket.tea="),
        ("", "article=tea&amount=4000000000", "basket.tea=99"),
    ] {
        let answer = shop.post("/basket", session, body).await;
        assert_eq!(answer.status(), 303);
        assert_eq!(answer.header("x-replace-session"), Some(change), "{session} {body}");
        assert_eq!(answer.header("location"), Some("/?changed=basket.tea#basket"));
    }
    let emptied = shop.post("/basket/empty", "user=ada&basket.tea=2&basket.hat=1&note=x", "").await;
    assert_eq!(emptied.header("x-replace-session"), Some("basket.tea=&basket.hat="));
    assert_eq!(shop.post("/basket/empty", "note=x", "").await.header("x-replace-session"), None);
}

#[tokio::test]
async fn a_form_that_makes_no_sense_changes_nothing() {
    let shop = Shop::open().await;
    for (target, body, status) in [
        ("/basket", "article=gold&add=1", 404),
        ("/basket", "article=tea", 400),
        ("/basket", "article=tea&amount=many", 422),
        ("/basket", "", 422),
        ("/note", "text=x", 422),
        ("/note", &format!("note={}", "x".repeat(20_000)), 413),
        ("/nowhere", "", 404),
    ] {
        let answer = shop.post(target, "basket.tea=1", body).await;
        assert_eq!((answer.status(), answer.header("x-replace-session")), (status, None), "{target} {body}");
    }
    let form = "Content-Type: application/x-www-form-urlencoded";
    let foreign = shop.ask("POST", "/note", &[form, "Sec-Fetch-Site: cross-site"], "note=x").await;
    assert_eq!((foreign.status(), foreign.header("x-replace-session")), (403, None));
}

#[tokio::test]
async fn a_note_is_saved_and_cleared() {
    let shop = Shop::open().await;
    let saved = shop.post("/note", "", "note=+a+%26+b%0D%0Ac%C3%A9+").await;
    assert_eq!(saved.header("x-replace-session"), Some("note=a%20%26%20b%0Ac%C3%A9"));
    assert!(!saved.header("location").unwrap().contains("%26"), "what was written is not in the address");
    let shown = shop.get("/?changed=note", Some("note=a%20%26%20b%0Ac%C3%A9")).await;
    assert!(shown.says("a &amp; b\ncé</textarea>"));
    assert!(shown.says("note=a%20%26%20b%0Ac%C3%A9</code>"), "the page shows what was answered");
    assert_eq!(shop.post("/note", "note=x", "note=").await.header("x-replace-session"), Some("note="));
    let long = shop.post("/note", "", &format!("note={}", "%F0%9F%A7%A5".repeat(1000))).await;
    assert_eq!(long.header("x-replace-session").unwrap().len(), "note=".len() + 500 * 12);
}

#[tokio::test]
async fn an_address_that_somebody_made_up_shows_nothing_of_theirs() {
    let shop = Shop::open().await;
    let page = shop.get("/?changed=note,evil,basket.gold,%3Cscript%3E", Some("note=mine&evil=x")).await;
    assert!(page.says("X-Replace-Session:</b> note=mine</code>"));
    assert!(!page.says("<script>") && !page.says("basket.gold"));
}

#[tokio::test]
async fn whatever_the_header_holds_is_text_and_not_markup() {
    let shop = Shop::open().await;
    let hostile = "user=%3Cscript%3Ealert(1)%3C/script%3E&note=%3C/textarea%3E%22%27&<b>=<i>";
    for target in ["/", "/whoami", "/account", "/nowhere%3Cscript%3E"] {
        let page = shop.get(target, Some(hostile)).await;
        assert!(!page.says("<script>") && !page.says("</textarea>\"") && !page.says("<b>=<i>"), "{target}");
        assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    }
    let large = format!("note={}", "x".repeat(10_000));
    assert!(shop.get("/whoami", Some(&large)).await.0.len() < 12_000, "and not more of it than can be read");
}

#[tokio::test]
async fn who_am_i_shows_the_header_and_the_ways_in_and_out() {
    let shop = Shop::open().await;
    let out = shop.get("/whoami", Some("note=hi")).await;
    assert!(out.says("Nobody is logged in") && out.says("<pre tabindex=\"0\">X-Session: note=hi</pre>"));
    assert!(out.says("href=\"/.cloakroom/login?return=/whoami\""));
    let logged_in = shop.get("/whoami", Some("user=ada&note=hi")).await;
    assert!(logged_in.says("logged in as <strong>ada</strong>"));
    assert!(logged_in.says("<form method=\"post\" action=\"/.cloakroom/logout\">"));
}

#[tokio::test]
async fn the_account_greets_whom_the_gateway_let_through() {
    let shop = Shop::open().await;
    let page = shop.get("/account", Some("user=ada&basket.tea=1")).await;
    assert!(page.says("Welcome, <strong>ada</strong>") && page.says("1 thing in it"));
    assert!(shop.get("/account", None).await.says("you are nobody"));
}

#[tokio::test]
async fn the_rest_is_served_and_the_shop_closes_when_told() {
    let shop = Shop::open().await;
    assert!(shop.get("/healthz", None).await.says("\r\n\r\nok\n"));
    let style = shop.get("/static/style.css", None).await;
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert_eq!(shop.get("/missing", None).await.status(), 404);
    assert_eq!(shop.ask("DELETE", "/note", &[], "").await.status(), 405);
    shop.stop.send(()).unwrap();
    shop.serving.await.unwrap().unwrap();
    assert!(TcpStream::connect(shop.address).await.is_err());
}

//! A visitor: a browser as far as cookies are concerned, without the politeness.

use std::collections::BTreeMap;
use std::future::IntoFuture;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use crate::application::{Answer, SCRIPT, Seen, status};
use crate::house::House;

/// Where the gateway's own pages are.
pub(crate) const LOGIN: &str = "/.cloakroom/login";
pub(crate) const LOGOUT: &str = "/.cloakroom/logout";

/// Somebody with a jar for cookies.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    house: House,
    host: &'static str,
    /// Which address of this machine is theirs, and whether they come to a socket for IPv6.
    source: Option<(IpAddr, bool)>,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Visitor {
    pub(crate) fn new(house: House) -> Self {
        Self { house, host: "gateway.example", source: None, jar: Arc::default() }
    }

    /// The same visitor at another host, which here gets the same cookies.
    pub(crate) fn at(&self, host: &'static str) -> Self {
        Self { host, ..self.clone() }
    }

    /// The same visitor, at another address of this machine: of 127.0.0.0/8, or `::1`.
    pub(crate) fn from(&self, address: &str) -> Self {
        let address: IpAddr = address.parse().unwrap();
        Self { source: Some((address, address.is_ipv6())), ..self.clone() }
    }

    /// The same visitor, whose IPv4 address the gateway sees written as IPv6.
    pub(crate) fn mapped(&self) -> Self {
        Self { source: self.source.map(|(address, _)| (address, true)), ..self.clone() }
    }

    async fn connect(&self) -> TcpStream {
        let Some((source, is_dual)) = self.source else {
            return TcpStream::connect(self.house.address()).await.unwrap();
        };
        let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.bind((source, 0).into()).unwrap();
        let gateway = match source {
            IpAddr::V4(_) if !is_dual => self.house.address(),
            IpAddr::V4(_) => (Ipv4Addr::LOCALHOST, self.house.dual().port()).into(),
            IpAddr::V6(_) => (Ipv6Addr::LOCALHOST, self.house.dual().port()).into(),
        };
        socket.connect(gateway).await.unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Request {
        self.request(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str, fields: &[(&str, &str)]) -> Request {
        let escape = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
        };
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        let request = self.request(Method::POST, path);
        let request = request.header(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded");
        Request { body: pairs.join("&").into(), ..request }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> Request {
        Request {
            visitor: self.clone(),
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            answer: None,
        }
    }

    /// What the jar holds under this name.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.jar.lock().get(name).cloned()
    }

    /// The ticket that the visitor has.
    pub(crate) fn ticket(&self) -> String {
        self.cookie("session").expect("the visitor has a session")
    }

    pub(crate) fn has_session_cookie(&self) -> bool {
        self.cookie("session").is_some()
    }

    pub(crate) fn put_cookie(&self, name: &str, value: &str) {
        self.jar.lock().insert(name.to_owned(), value.to_owned());
    }

    /// Whoever has this ticket, and nothing else.
    pub(crate) fn with_ticket(&self, ticket: &str) -> Self {
        let other = Self { jar: Arc::default(), ..self.clone() };
        other.put_cookie("session", ticket);
        other
    }

    /// Logs in through the gateway's own form, and must succeed.
    pub(crate) async fn log_in(&self, who: (&str, &str)) -> Reply {
        let reply = self.try_to_log_in(who).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        reply
    }

    pub(crate) async fn try_to_log_in(&self, (user, password): (&str, &str)) -> Reply {
        let token = self.get(LOGIN).navigating().await.token();
        self.post(LOGIN, &[("token", &token), ("user", user), ("password", password)]).await
    }

    /// Logs out with the form's own token.
    pub(crate) async fn log_out(&self) -> Reply {
        let token = self.get(LOGOUT).navigating().await.token();
        self.post(LOGOUT, &[("token", &token)]).await
    }

    fn keep(&self, headers: &HeaderMap) {
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.jar.lock().remove(name);
            } else {
                self.put_cookie(name, value);
            }
        }
    }

    fn jar(&self) -> Option<HeaderValue> {
        let jar = self.jar.lock();
        let pairs: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        (!pairs.is_empty()).then(|| HeaderValue::try_from(pairs.join("; ")).unwrap())
    }
}

/// A request that somebody makes once it is awaited.
#[derive(Debug)]
pub(crate) struct Request {
    visitor: Visitor,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Bytes,
    answer: Option<Answer>,
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
        self
    }

    /// In the place of what is in the jar.
    pub(crate) fn cookies(mut self, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(COOKIE, HeaderValue::from_bytes(value.as_ref()).unwrap());
        self
    }

    /// As a browser that goes to a page.
    pub(crate) fn navigating(self) -> Self {
        self.header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("accept", "text/html")
    }

    /// As a script in a page.
    pub(crate) fn fetching(self) -> Self {
        self.header("sec-fetch-mode", "cors").header("sec-fetch-dest", "empty").header("accept", "*/*")
    }

    /// What the application will answer.
    pub(crate) fn answered(self, answer: Answer) -> Self {
        Self { answer: Some(answer), ..self }
    }

    /// Makes the request beside whatever the test does meanwhile.
    pub(crate) fn underway(self) -> JoinHandle<Reply> {
        tokio::spawn(self.into_future())
    }

    /// Everything that comes back, as it comes.
    pub(crate) async fn into_text(self) -> String {
        let Self { visitor, method, path, headers, answer, .. } = self;
        let script = visitor.house.scripts().add(answer.unwrap());
        let mut text =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{SCRIPT}: {script}\r\n", visitor.host);
        for (name, value) in &headers {
            text += &format!("{name}: {}\r\n", value.to_str().unwrap());
        }
        if let Some(jar) = visitor.jar() {
            text += &format!("Cookie: {}\r\n", jar.to_str().unwrap());
        }
        let mut socket = visitor.connect().await;
        socket.write_all(format!("{text}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn reply(self) -> Reply {
        let Self { visitor, method, path, mut headers, body, answer } = self;
        // Without a script the application could not tell this request from others.
        let script = visitor.house.scripts().add(answer.unwrap_or_else(|| status(200)));
        headers.insert(SCRIPT, HeaderValue::from_str(&script).unwrap());
        headers.entry(HOST).or_insert(HeaderValue::from_static(visitor.host));
        if !headers.contains_key(COOKIE)
            && let Some(jar) = visitor.jar()
        {
            headers.insert(COOKIE, jar);
        }
        let mut request = http::Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = headers;
        let socket = visitor.connect().await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
        // Whoever drops this future hangs up.
        let connection = Hangup(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = match parts.status {
            StatusCode::SWITCHING_PROTOCOLS => Bytes::new(),
            _ => body.collect().await.unwrap().to_bytes(),
        };
        drop(connection);
        visitor.keep(&parts.headers);
        Reply {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
            seen: visitor.house.scripts().seen(&script),
        }
    }
}

impl IntoFuture for Request {
    type Output = Reply;
    type IntoFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.reply())
    }
}

/// A connection that is closed with this.
struct Hangup(JoinHandle<()>);

impl Drop for Hangup {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    seen: Option<Seen>,
}

impl Reply {
    /// What the application saw.
    pub(crate) fn seen(&self) -> &Seen {
        self.seen.as_ref().expect("the application was asked")
    }

    /// Whether the application never heard of the request.
    pub(crate) fn is_ours(&self) -> bool {
        self.seen.is_none()
    }

    /// The session that the application was presented.
    pub(crate) fn session(&self) -> Option<&str> {
        self.seen().header("x-session")
    }

    /// The only value of a header, if it is there.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map(|value| value.to_str().unwrap());
        assert!(values.next().is_none(), "{name} came more than once");
        value
    }

    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Whether the session's cookie is deleted with this.
    pub(crate) fn deletes_cookie(&self) -> bool {
        self.set_cookies().iter().any(|cookie| cookie.starts_with("session=; Max-Age=0"))
    }

    pub(crate) fn location(&self) -> Option<&str> {
        self.header(LOCATION.as_str())
    }

    /// The token of the form that this page holds.
    pub(crate) fn token(&self) -> String {
        self.field("token")
    }

    /// What a hidden field of the form holds that is in the page.
    pub(crate) fn field(&self, name: &str) -> String {
        let (_, rest) =
            self.body.split_once(&format!("name=\"{name}\" value=\"")).expect("the page has a form");
        rest.split('"').next().unwrap().to_owned()
    }
}

//! Requests of LemonLDAP::NG's protocols, and of our own, by hand.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use dialects::llng::Cipher;
use interop::raw::{self, Response};
use serde_json::{Value, json};

use super::KEY;

/// Somebody who asks, with the lines that prove it.
#[derive(Clone, Copy)]
pub(super) struct Asks<'a> {
    pub(super) server: SocketAddr,
    pub(super) proof: &'a str,
}

impl Asks<'_> {
    pub(super) fn of(&self, line: &str, headers: &str, body: &str) -> Response {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}{headers}Content-Length: {length}\r\n\r\n{body}",
            self.proof
        );
        raw::exchange(self.server, request).unwrap()
    }

    /// By REST, or by our own API.
    pub(super) fn json(&self, line: &str, body: &Value) -> Response {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.of(line, "Accept: application/json\r\nContent-Type: application/json\r\n", &body)
    }

    /// The same, of somebody who shows that they know the key.
    pub(super) fn with_secret(&self, line: &str, mut body: Value) -> Response {
        body["__secret"] = secret().into();
        self.json(line, &body)
    }

    /// What is read there, which must be JSON.
    pub(super) fn reads(&self, path: &str) -> Value {
        let answer = self.json(&format!("GET {path}"), &Value::Null);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    }

    /// A call by SOAP, with these texts.
    pub(super) fn calls(&self, path: &str, method: &str, arguments: &[&str]) -> Response {
        let arguments: String =
            arguments.iter().map(|text| format!("<a xsi:type=\"xsd:string\">{text}</a>")).collect();
        self.calls_with(path, method, &arguments)
    }

    pub(super) fn calls_with(&self, path: &str, method: &str, arguments: &str) -> Response {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\" \
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
             <soap:Body><n:{method} xmlns:n=\"urn:Lemonldap/NG/Common/PSGI/SOAPService\">{arguments}</n:{method}></soap:Body></soap:Envelope>"
        );
        let action = format!("SOAPAction: \"urn:Lemonldap/NG/Common/PSGI/SOAPService#{method}\"\r\n");
        self.of(&format!("POST {path}"), &format!("{action}Content-Type: text/xml; charset=utf-8\r\n"), &body)
    }

    /// A token with which all sessions can be asked for, deciphered.
    pub(super) fn token(&self) -> String {
        let told = self.calls("/adminSessions", "getCipheredToken", &[]).text();
        let (_, rest) = told.split_once("<result xsi:type=\"xsd:string\">").unwrap();
        String::from_utf8(cipher().decrypt(rest.split_once('<').unwrap().0).unwrap()).unwrap()
    }

    /// Everything that our own API finds.
    pub(super) fn finds(&self, what: &Value) -> Vec<Value> {
        let told: Value = serde_json::from_str(&self.json("POST /v1/find", what).text()).unwrap();
        told["sessions"].as_array().unwrap().clone()
    }
}

fn cipher() -> Cipher {
    Cipher::new(KEY.as_bytes()).unwrap()
}

/// What shows that somebody knows the key, for some seconds.
pub(super) fn secret() -> String {
    cipher().encrypt(now().to_string().as_bytes()).unwrap()
}

/// In seconds.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// What REST answers where there is no such session.
pub(super) fn missing() -> String {
    json!({"error": "Session Id does not exist"}).to_string()
}

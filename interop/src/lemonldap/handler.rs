//! The handler of LemonLDAP::NG under Starman: it protects an application, and asks whoever keeps the sessions.
//!
//! It is the one that authorizes for web servers: who may pass is answered with 200 and the headers that an application
//! would be given, and who has no session is sent to the portal. It keeps nothing of sessions itself, neither in a cache of files
//! nor between requests, so that each request asks.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::LemonLdap;
use crate::error::Result;
use crate::raw;

/// A running handler.
#[derive(Debug)]
pub struct LemonLdapHandler(LemonLdap);

impl LemonLdapHandler {
    /// The host that it protects. Whoever is logged in may pass; the application learns who that is from `Auth-User` and
    /// `Auth-Mail`.
    pub const HOST: &'static str = "application.example.com";

    /// Starts a handler whose sessions are kept by `module`, one of its own classes, with these options.
    pub fn start(module: &str, options: Value) -> Result<Self> {
        Self::start_with(module, options, json!({}))
    }

    /// The same, with these members of its configuration.
    pub fn start_with(module: &str, options: Value, settings: Value) -> Result<Self> {
        let mut all = json!({
            "locationRules": { Self::HOST: { "default": "accept" } },
            "exportedHeaders": { Self::HOST: { "Auth-User": "$uid", "Auth-Mail": "$mail" } },
            "globalStorage": module,
            "globalStorageOptions": options,
            "localSessionStorage": "",
            "localSessionStorageOptions": {},
            "handlerInternalCache": 0,
        });
        if let (Value::Object(all), Value::Object(settings)) = (&mut all, settings) {
            all.extend(settings);
        }
        LemonLdap::serve(all, HANDLER, |address| {
            Self::ask(address, "").is_ok_and(|answer| answer.status == 302)
        })
        .map(Self)
    }

    /// What it answers to whoever has the cookie of this session.
    pub fn asked_with(&self, id: &str) -> Result<raw::Response> {
        Self::ask(self.0.address(), &format!("Cookie: {}={id}\r\n", LemonLdap::COOKIE))
    }

    /// Everything that it printed.
    pub fn log(&self) -> String {
        self.0.log()
    }

    fn ask(address: SocketAddr, more: &str) -> Result<raw::Response> {
        let host = Self::HOST;
        raw::exchange(address, format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{more}\r\n"))
    }
}

/// The application, as its documentation has it.
const HANDLER: &str = "use Lemonldap::NG::Handler::Server;\nLemonldap::NG::Handler::Server->run({});\n";

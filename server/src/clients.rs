//! Who may call what. Nothing is open to anybody by default.
//!
//! A client is known by where it comes from, by a proof, or by both: where it has networks it must come from one of
//! them, and where it has proofs it must bring one of them. Tokens are kept as SHA-256 and compared in constant time.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use ipnet::IpNet;
use listener::tls::ClientCertificate;
use session::{Millis, SecretHash};

/// A program that may call the session server.
#[derive(Debug, Clone)]
pub struct Client {
    /// What the log calls it.
    pub id: Box<str>,
    /// Networks from one of which it comes; empty: from anywhere.
    pub from: Box<[IpNet]>,
    /// SHA-256 of the token that proves it.
    pub token: Option<SecretHash>,
    /// To whom the certificate is made out that proves it, as RFC 4514 writes it.
    pub subject: Option<Box<str>>,
    /// What it may call.
    pub may: Vec<Right>,
}

/// What a client may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Storage services, as another Cloakroom uses them: everything that is in them.
    Storage,
    /// Sessions: to look at them, and to be told why they are over.
    Sessions,
    /// Sessions: to open and to end them.
    AdminSessions,
    /// What is shown to nobody else: the assertions that are kept beside sessions.
    Secrets,
}

/// Who calls, as far as their connection tells.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Where they come from. Whoever comes by a socket in the file system is on this machine.
    pub(crate) address: IpAddr,
    /// Their certificate, verified.
    pub(crate) certificate: Option<Arc<ClientCertificate>>,
}

/// Why a call is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Denied {
    /// Nobody knows who calls.
    Unknown,
    /// That client may not, for this reason.
    Forbidden(String),
}

/// How often it is logged that somebody was not let in, at most.
const DENIED_EVERY: Duration = Duration::from_secs(1);

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    all: Box<[Client]>,
    /// When it was last logged that somebody was not let in, in milliseconds.
    denied: AtomicU64,
}

impl Clients {
    pub(crate) fn new(clients: Vec<Client>) -> Self {
        Self { all: clients.into(), denied: AtomicU64::new(0) }
    }

    /// Whether anybody may call this at all.
    pub(crate) fn any_may(&self, right: Right) -> bool {
        self.all.iter().any(|client| client.may.contains(&right))
    }

    /// The client that calls, if it may.
    pub(crate) fn admit(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        right: Right,
    ) -> Result<&Client, Denied> {
        let token = bearer(headers).map(SecretHash::of);
        let mut denied = Denied::Unknown;
        for client in self.all.iter().filter(|client| client.is_proven(caller, token.as_ref())) {
            if !client.may.contains(&right) {
                denied = Denied::Forbidden(format!("`{}` has no such right in `may`", client.id));
            } else if !client.comes_from(caller.address) {
                // Somebody without a proof is nobody, wherever they come from.
                if client.has_proof() {
                    let address = caller.address;
                    denied = Denied::Forbidden(format!("`{}` may not come from {address}", client.id));
                }
            } else {
                return Ok(client);
            }
        }
        Err(denied)
    }

    /// Logs that somebody was not let into `what`, unless that was just said of another one.
    pub(crate) fn note(&self, caller: &Caller, denied: &Denied, now: Millis, what: &str) {
        let last = self.denied.load(Ordering::Relaxed);
        if u128::from(now.0.abs_diff(last)) >= DENIED_EVERY.as_millis() {
            self.denied.store(now.0, Ordering::Relaxed);
            let why = match denied {
                Denied::Unknown => "nobody knows them: there is no such token, certificate or network",
                Denied::Forbidden(why) => why,
            };
            tracing::warn!(from = %caller.address, why, "somebody was not let into {what}");
        }
    }
}

impl Client {
    const fn has_proof(&self) -> bool {
        self.token.is_some() || self.subject.is_some()
    }

    fn is_proven(&self, caller: &Caller, token: Option<&SecretHash>) -> bool {
        let by_token = self.token.as_ref().zip(token).is_some_and(|(known, token)| known == token);
        let by_subject = self.subject.is_some()
            && caller.certificate.as_ref().is_some_and(|shown| shown.subject == self.subject);
        by_token || by_subject || !self.has_proof()
    }

    fn comes_from(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&address))
    }
}

/// The token of a request; the name of the scheme is in any case (RFC 9110, 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

//! Who may call what. Nothing is open to anybody by default.
//!
//! A client is known by where it comes from, by a proof, or by both: where it has networks it must come from one of
//! them, and where it has proofs it must bring one of them. Tokens and passwords are kept as SHA-256 and compared in
//! constant time. Whoever brings a proof is the client that it proves, and not one that is known by its network alone.
//!
//! A password may be guessed, a token not: so an address that has brought wrong ones too often is told to wait, and of
//! its passwords none is looked at meanwhile.

mod guesses;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dialects::llng::Kind;
use ipnet::IpNet;
use listener::tls::ClientCertificate;
use session::{Millis, SecretHash, Session};

use self::guesses::Guesses;
use crate::audit;
use crate::llng::{has_kinds, kind_of, realm_of};

/// A program that may call the session server.
#[derive(Debug, Clone)]
pub struct Client {
    /// What the log calls it.
    pub id: Box<str>,
    /// Networks from one of which it comes; empty: from anywhere.
    pub from: Box<[IpNet]>,
    /// SHA-256 of the token that proves it.
    pub token: Option<SecretHash>,
    /// SHA-256 of `name:password` that prove it, as RFC 7617 joins them.
    pub basic: Option<SecretHash>,
    /// To whom the certificate is made out that proves it, as RFC 4514 writes it.
    pub subject: Option<Box<str>>,
    /// What it may call.
    pub may: Vec<Right>,
    /// Kinds of LemonLDAP::NG's sessions that exist for it, such as `SSO`.
    pub kinds: Names,
    /// Realms whose sessions exist for it.
    pub realms: Names,
    /// Entries of sessions that it sees.
    pub attributes: Attributes,
}

/// What a client may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Storage services, as another Cloakroom uses them: everything that is in them.
    Storage,
    /// Sessions: to look at them, and to be told why they are over.
    Sessions,
    /// Sessions: to open, to change and to end them.
    AdminSessions,
    /// What is shown to nobody else: the assertions that are kept beside sessions, and LemonLDAP::NG's hidden attributes.
    Secrets,
}

/// Names out of many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// All.
    All,
    /// These.
    Only(Box<[Box<str>]>),
}

/// Which entries of a session are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes {
    /// Those that its end point shows to everybody: over SOAP and REST of LemonLDAP::NG the exported ones, over our own API all.
    Usual,
    /// All.
    All,
    /// These.
    Only(Box<[Box<str>]>),
    /// Those of [`Attributes::Usual`], and these.
    Further(Box<[Box<str>]>),
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
    Unknown {
        /// Whether a password might prove it.
        by_password: bool,
    },
    /// That client may not, for this reason.
    Forbidden(String),
    /// There were too many wrong proofs from there; how long to wait.
    TooMany(Duration),
}

/// How often it is logged that somebody was not let in, at most.
const DENIED_EVERY: Duration = Duration::from_secs(1);
/// The schemes by which a client may prove itself.
const BEARER: HeaderValue = HeaderValue::from_static("Bearer realm=\"cloakroom\"");
const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"cloakroom\", charset=\"UTF-8\"");

/// All clients.
#[derive(Debug)]
pub(crate) struct Clients {
    all: Box<[Client]>,
    guesses: Guesses,
    /// When it was last logged that somebody was not let in, in milliseconds.
    denied: AtomicU64,
}

impl Clients {
    pub(crate) fn new(clients: Vec<Client>) -> Self {
        Self { all: clients.into(), guesses: Guesses::default(), denied: AtomicU64::new(0) }
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
        let mut shown = Shown::in_headers(headers);
        let has_shown = shown.is_any();
        let waiting = if has_shown { self.guesses.waiting(caller.address) } else { None };
        if waiting.is_some() {
            shown.password = None;
        }
        let proven = self.all.iter().filter(|client| client.is_proven(caller, &shown));
        let mut denied = None;
        let mut is_proven = false;
        for client in proven {
            is_proven = true;
            if !client.comes_from(caller.address) {
                let address = caller.address;
                denied = Some(Denied::Forbidden(format!("`{}` may not come from {address}", client.id)));
            } else if client.may.contains(&right) {
                return Ok(client);
            } else {
                denied = Some(client.lacks());
            }
        }
        let neighbours =
            self.all.iter().filter(|client| !client.has_proof() && client.comes_from(caller.address));
        for client in neighbours {
            if client.may.contains(&right) {
                return Ok(client);
            }
            // Whoever has shown nothing yet may have something to show.
            if !self.may_be_proven(caller, right) {
                denied = denied.or_else(|| Some(client.lacks()));
            }
        }
        if !is_proven && has_shown {
            let wait = waiting.or_else(|| self.guesses.failed(caller.address));
            if let Some(wait) = wait {
                return Err(Denied::TooMany(wait));
            }
        }
        let by_password = self.all.iter().any(|client| client.basic.is_some());
        Err(denied.unwrap_or(Denied::Unknown { by_password }))
    }

    /// Whether somebody who calls from there might prove to be one that may.
    fn may_be_proven(&self, caller: &Caller, right: Right) -> bool {
        let is_one = |client: &Client| {
            client.has_proof() && client.may.contains(&right) && client.comes_from(caller.address)
        };
        self.all.iter().any(is_one)
    }

    /// Logs that somebody was not let into `what`, unless that was just said of another one.
    pub(crate) fn note(&self, caller: &Caller, denied: &Denied, now: Millis, what: &str) {
        let last = self.denied.load(Ordering::Relaxed);
        if u128::from(now.0.abs_diff(last)) >= DENIED_EVERY.as_millis() {
            self.denied.store(now.0, Ordering::Relaxed);
            audit::denied(caller, what, denied.why());
        }
    }
}

impl Client {
    /// A client that comes from anywhere and has no proof yet, before which nothing is hidden that its rights allow.
    #[must_use]
    pub fn new(id: &str, may: Vec<Right>) -> Self {
        Self {
            id: id.into(),
            from: Box::default(),
            token: None,
            basic: None,
            subject: None,
            may,
            kinds: Names::All,
            realms: Names::All,
            attributes: Attributes::Usual,
        }
    }

    /// What is kept of a name and a password of HTTP Basic.
    #[must_use]
    pub fn basic(name: &str, password: &str) -> SecretHash {
        let joined = zeroize::Zeroizing::new(format!("{name}:{password}"));
        SecretHash::of(joined.as_bytes())
    }

    /// The hash of what proves it: of its token, its password, or the name in its certificate; nothing, if its network is all.
    pub(crate) fn proof(&self) -> Option<SecretHash> {
        let subject = || self.subject.as_ref().map(|subject| SecretHash::of(subject.as_bytes()));
        self.token.or(self.basic).or_else(subject)
    }

    /// Whether every session exists for it.
    pub(crate) fn knows_all(&self) -> bool {
        self.realms == Names::All && self.kinds == Names::All
    }

    /// Whether a session exists for it.
    pub(crate) fn knows(&self, session: &Session) -> bool {
        let is_of_kinds = |session| kind_of(session).is_some_and(|kind| self.kinds.has(kind.as_str()));
        self.realms.has(&session.realm)
            && (self.kinds == Names::All || !has_kinds(&session.realm) || is_of_kinds(session))
    }

    /// Whether LemonLDAP::NG's sessions of a kind exist for it.
    pub(crate) fn knows_kind(&self, kind: Kind) -> bool {
        self.realms.has(realm_of(kind)) && self.kinds.has(kind.as_str())
    }

    const fn has_proof(&self) -> bool {
        self.token.is_some() || self.basic.is_some() || self.subject.is_some()
    }

    fn is_proven(&self, caller: &Caller, shown: &Shown) -> bool {
        let is = |known: &Option<SecretHash>, shown: &Option<SecretHash>| {
            known.as_ref().zip(shown.as_ref()).is_some_and(|(known, shown)| known == shown)
        };
        let by_subject = self.subject.is_some()
            && caller.certificate.as_ref().is_some_and(|shown| shown.subject == self.subject);
        is(&self.token, &shown.token) || is(&self.basic, &shown.password) || by_subject
    }

    fn comes_from(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.from.is_empty() || self.from.iter().any(|network| network.contains(&address))
    }

    fn lacks(&self) -> Denied {
        Denied::Forbidden(format!("`{}` has no such right in `may`", self.id))
    }
}

impl Names {
    /// Whether this is one of them. Case counts.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|known| **known == *name),
        }
    }
}

impl Attributes {
    /// Whether an end point shows this one that usually shows all.
    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        match self {
            Self::Usual | Self::All | Self::Further(_) => true,
            Self::Only(names) => names.iter().any(|known| **known == *name),
        }
    }
}

impl Denied {
    /// What the caller is told.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Unknown { .. } => "no `[[client]]` has such a token, password, certificate or network",
            Self::Forbidden(why) => why,
            Self::TooMany(_) => "there were too many wrong proofs from this address; wait",
        }
    }

    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::Unknown { .. } => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::TooMany(_) => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    /// Says in the headers of an answer what would help: a proof, or to wait.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        match self {
            Self::Unknown { by_password } => {
                headers.append(WWW_AUTHENTICATE, BEARER);
                if *by_password {
                    headers.append(WWW_AUTHENTICATE, BASIC);
                }
            }
            Self::Forbidden(_) => {}
            Self::TooMany(wait) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
            }
        }
    }
}

/// What a request brings as a proof, hashed.
struct Shown {
    token: Option<SecretHash>,
    password: Option<SecretHash>,
}

impl Shown {
    /// The names of the schemes are in any case (RFC 9110, 11.1).
    fn in_headers(headers: &HeaderMap) -> Self {
        let mut shown = Self { token: None, password: None };
        let Some(said) = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes) else { return shown };
        let after = |scheme: &[u8]| {
            let (name, proof) = said.split_at_checked(scheme.len())?;
            name.eq_ignore_ascii_case(scheme).then(|| proof.trim_ascii())
        };
        if let Some(token) = after(b"bearer ") {
            shown.token = Some(SecretHash::of(token));
        } else if let Some(joined) = after(b"basic ") {
            // What is no base64 proves nobody, and counts as a wrong proof.
            let joined = zeroize::Zeroizing::new(STANDARD.decode(joined).unwrap_or_default());
            shown.password = Some(SecretHash::of(&joined));
        }
        shown
    }

    const fn is_any(&self) -> bool {
        self.token.is_some() || self.password.is_some()
    }
}

#[cfg(test)]
mod tests;

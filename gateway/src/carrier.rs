//! How a session travels between a visitor and us.
//!
//! As a *ticket*: the cookie names a session on the server. Or *sealed*: the cookie is the session, encrypted, and opens
//! only for the realm and the cookie name that it was made for. The rest of the gateway handles a [`Credential`] and does
//! not care which.
//!
//! A sealed session is not compressed: how long a compressed text is tells what is in it to whoever can have some text of
//! their own put beside it and watch the length of the cookie.

mod base64url;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;

use std::sync::Arc;

use base64::Engine as _;
use cache::{Application as Judge, Cache, Credential, Find, Fit, Purpose};
use seal::Keys;
use session::{Carried, Session, Ticket};
use storage::Unavailable;

pub(crate) use self::base64url::BASE64URL;
use crate::cookies::{Cookie, MAX_COOKIE};
use crate::settings;

/// What is before the realm and the name in the data that a sealed session is bound to. Another form gets another number.
const FORMAT: &[u8] = b"cloakroom sealed session 1";

/// How the sessions of an application travel.
#[derive(Debug)]
pub(crate) enum Carrier {
    Ticket,
    Sealed(Sealed),
}

/// How sessions are sealed into the cookie of an application.
#[derive(Debug)]
pub(crate) struct Sealed {
    keys: Arc<Keys>,
    /// Format, realm and cookie name, each behind its length.
    associated_data: Box<[u8]>,
    /// Whether a session that is too large for a cookie moves to the server.
    may_spill: bool,
    /// Bytes that a session will need beyond those that it has, for the addresses that it is tied to later.
    reserve: usize,
}

impl Carrier {
    /// Those of a realm, in `cookie`. `reserve`: how many bytes a session will need that it has not yet.
    pub(crate) fn new(settings: settings::Carrier, realm: &str, cookie: &Cookie, reserve: usize) -> Self {
        match settings {
            settings::Carrier::Ticket | settings::Carrier::RecoverableTicket { .. } => Self::Ticket,
            settings::Carrier::Sealed { keys, may_spill } => {
                let associated_data = bound_to(FORMAT, realm, cookie.name());
                Self::Sealed(Sealed { keys, associated_data, may_spill, reserve })
            }
        }
    }

    /// What the value of a cookie of our name is, if it is anything.
    pub(crate) async fn read(&self, value: &[u8]) -> Option<Credential> {
        if let Some(ticket) = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()) {
            return Some(Credential::Ticket(ticket));
        }
        match self {
            Self::Ticket => None,
            Self::Sealed(sealed) => {
                sealed.open(value).await.map(|carried| Credential::Carried(Arc::new(carried)))
            }
        }
    }

    /// What gives `credential` to the visitor: the value of a cookie.
    pub(crate) fn value(&self, cookie: &Cookie, credential: &Credential) -> Option<String> {
        match (credential, self) {
            (Credential::Ticket(ticket), _) => Some(ticket.expose()),
            (Credential::Carried(carried), Self::Sealed(sealed)) => sealed.seal(cookie, carried),
            // Only a carrier that is sealed makes such sessions.
            (Credential::Carried(_), Self::Ticket) => None,
        }
    }

    /// The cookie that gives `credential` to the visitor.
    #[cfg(any(test, feature = "fuzzing", feature = "measuring"))]
    pub(crate) fn set(&self, cookie: &Cookie, credential: &Credential) -> Option<http::HeaderValue> {
        cookie.set(&self.value(cookie, credential)?).ok()
    }

    /// Whether a session fits where this carrier has it.
    pub(crate) fn fit(&self, cookie: &Cookie, session: &Session) -> Fit {
        match self {
            Self::Sealed(sealed) if session.is_carried() && !fits(cookie, session, sealed.reserve) => {
                if sealed.may_spill {
                    Fit::Moves
                } else {
                    Fit::Unfit
                }
            }
            Self::Ticket | Self::Sealed(_) => Fit::Fits,
        }
    }

    /// Whether visitors carry the sessions that are opened.
    pub(crate) const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }
}

impl Sealed {
    async fn open(&self, value: &[u8]) -> Option<Carried> {
        if value.len() > MAX_COOKIE {
            return None;
        }
        let sealed = BASE64URL.decode(value).ok()?;
        let plain = self.keys.open_or_look(&self.associated_data, &sealed).await.ok()?;
        match session::record::decode_carried(&plain) {
            Ok(carried) => Some(carried),
            Err(error) => {
                // We have sealed it ourselves.
                tracing::error!(%error, "a sealed session cannot be read; its visitor has none here");
                None
            }
        }
    }

    fn seal(&self, cookie: &Cookie, carried: &Carried) -> Option<String> {
        let encoded = session::record::encode_carried(carried);
        let plain = if is_short_enough(cookie, encoded.len()) {
            encoded
        } else {
            // The notes about changes that were not made are told from the head record as well.
            let session = Session { conflicts: Vec::new(), ..Session::clone(&carried.session) };
            session::record::encode_carried(&Carried { session: Arc::new(session), ..carried.clone() })
        };
        match self.keys.seal(&self.associated_data, &plain) {
            Ok(sealed) => Some(BASE64URL.encode(sealed)),
            Err(error) => {
                tracing::error!(%error, "a session cannot be sealed");
                None
            }
        }
    }
}

/// What `credential` is worth to an application.
pub(crate) async fn find(
    cache: &Cache,
    purpose: Purpose,
    credential: &Credential,
    judge: &Judge,
) -> Result<Find, Unavailable> {
    match credential {
        Credential::Ticket(ticket) => cache.find_for(purpose, ticket, judge).await,
        Credential::Carried(carried) => cache.find_carried_for(purpose, carried, judge).await,
    }
}

/// The ticket that opens a session that is on the server: of one that has moved there the cookie holds the secret.
pub(crate) fn ticket(credential: &Credential) -> Ticket {
    match credential {
        Credential::Ticket(ticket) => ticket.clone(),
        Credential::Carried(carried) => {
            Ticket { handle: carried.session.handle, secret: carried.secret.clone() }
        }
    }
}

/// To what the value of a cookie is bound: its form, the realm and its name.
pub(crate) fn bound_to(format: &[u8], realm: &str, cookie: &str) -> Box<[u8]> {
    let mut data = Vec::new();
    for part in [format, realm.as_bytes(), cookie.as_bytes()] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part);
    }
    data.into()
}

fn fits(cookie: &Cookie, session: &Session, reserve: usize) -> bool {
    // The secret and two times, as long as they get.
    const PROOF: usize = 56;
    let is_short =
        |session: &Session| is_short_enough(cookie, session::record::encode(session).len() + PROOF + reserve);
    // The notes about changes that were not made are left out if they do not fit. What was too large is not let in for
    // having been refused once.
    let is_bare = session.conflicts.is_empty();
    is_short(session) || (!is_bare && is_short(&Session { conflicts: Vec::new(), ..session.clone() }))
}

/// Whether browsers keep so many bytes once they are sealed.
pub(crate) fn is_short_enough(cookie: &Cookie, plain: usize) -> bool {
    let sealed = plain + seal::KeyRing::OVERHEAD;
    (sealed * 4).div_ceil(3) <= cookie.room()
}

#[cfg(test)]
mod tests;

//! The recovery cookie: what brings the session of a ticket back, should storage lose it.
//!
//! It stands beside the ticket's cookie, under its name and `-recovery`, with the same attributes, and holds the
//! session with the entries that were chosen, sealed. It opens only for the realm and the name that it was made for, and is
//! worth nothing without the ticket. Nobody reads it but to see whether it is up to date, unless the session is not there.
//!
//! It is sealed anew when what it holds has changed, and for the last use at most once a `touch_interval`; it goes with the
//! ticket, and where none of the entries is left.

mod keeping;

use std::sync::Arc;

use base64::Engine as _;
use cache::{Application as Judge, Cache};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};
use seal::Keys;
use session::{Handle, Millis, Recovery, Session, Ticket};

pub(crate) use self::keeping::Keeping;
use crate::carrier::{BASE64URL, bound_to, is_short_enough};
use crate::cookies::{Cookie, CookieError, CookieSettings, MAX_COOKIE};

/// What is before the realm and the name in the data that it is bound to. Another form gets another number.
const FORMAT: &[u8] = b"cloakroom recovery 1";

/// The recovery cookie of an application.
#[derive(Debug)]
pub(crate) struct RecoveryCookie {
    keys: Arc<Keys>,
    associated_data: Box<[u8]>,
    cookie: Cookie,
    /// The entries that come back.
    names: Box<[Box<str>]>,
}

/// What becomes of the cookie.
#[derive(Debug)]
pub(crate) enum Recovering {
    /// It stays as it is, or there is none.
    Stays,
    /// It is this from now on, also for browsers that need another line.
    Set(HeaderValue, Option<HeaderValue>),
    /// Nothing would come back by it.
    Goes,
    /// A browser would not keep it.
    TooLarge,
}

/// The recovery cookie beside a ticket's.
pub(crate) fn beside(ticket: &CookieSettings) -> CookieSettings {
    CookieSettings { name: format!("{}-recovery", ticket.name), ..ticket.clone() }
}

impl RecoveryCookie {
    /// The one beside `ticket`, for the entries of these names.
    pub(crate) fn beside(
        ticket: &Cookie,
        realm: &str,
        keys: Arc<Keys>,
        names: Box<[Box<str>]>,
    ) -> Result<Self, CookieError> {
        let cookie = Cookie::new(beside(ticket.settings()))?;
        let associated_data = bound_to(FORMAT, realm, cookie.name());
        Ok(Self { keys, associated_data, cookie, names })
    }

    /// The latest that the request holds for this session.
    pub(crate) async fn find(&self, headers: &HeaderMap, handle: &Handle) -> Option<Recovery> {
        self.latest(headers, |session| session.handle == *handle).await
    }

    /// The latest that the request holds for the session of this very ticket.
    pub(crate) async fn find_for(&self, headers: &HeaderMap, ticket: &Ticket) -> Option<Recovery> {
        let secret = ticket.secret.hash();
        self.latest(headers, |session| session.handle == ticket.handle && session.secret == secret).await
    }

    async fn latest(&self, headers: &HeaderMap, is_meant: impl Fn(&Session) -> bool) -> Option<Recovery> {
        let mut latest: Option<Recovery> = None;
        for value in self.cookie.find(headers).values() {
            if let Some(recovery) = self.open(value).await
                && is_meant(&recovery.session)
                && latest.as_ref().is_none_or(|latest| recovery.touched > latest.touched)
            {
                latest = Some(recovery);
            }
        }
        latest
    }

    /// Whether what the visitor holds is what they should hold for this session, if it was `used` just now.
    pub(crate) fn is_current(
        &self,
        held: Option<&Recovery>,
        session: &Session,
        used: Option<Millis>,
        judge: &Judge,
    ) -> bool {
        match held {
            Some(held) => {
                held.is_of(session, &self.names)
                    && used.is_none_or(|used| used.since(held.touched) < judge.touch_interval)
            }
            None => {
                !session.is_recoverable || !self.names.iter().any(|name| session.entries.get(name).is_some())
            }
        }
    }

    /// What the visitor gets for this session.
    pub(crate) fn of(
        &self,
        session: &Session,
        (held, used): (Option<&Recovery>, Option<Millis>),
        cache: &Cache,
        judge: &Judge,
    ) -> Recovering {
        // What is no use must not look like one. The first time it can wait for one.
        let Some(touched) = used.or(held.map(|held| held.touched)) else { return Recovering::Stays };
        let Some(recovery) = cache.recovery_of(session, &self.names, touched, judge) else {
            return if held.is_some() { Recovering::Goes } else { Recovering::Stays };
        };
        let plain = session::record::encode_recovery(&recovery);
        if !is_short_enough(&self.cookie, plain.len()) {
            return Recovering::TooLarge;
        }
        let sealed = self.keys.seal(&self.associated_data, &plain).ok();
        let value = sealed.map(|sealed| BASE64URL.encode(sealed));
        let lines = value
            .and_then(|value| Some((self.cookie.set(&value).ok()?, self.cookie.set_fallback(&value).ok()?)));
        match lines {
            Some((set, fallback)) => Recovering::Set(set, fallback),
            None => {
                tracing::error!("a session could not be put into a recovery cookie; it goes on without");
                Recovering::Stays
            }
        }
    }

    /// Adds the lines that delete it.
    pub(crate) fn delete(&self, headers: &mut HeaderMap) {
        self.cookie.delete(headers);
    }

    /// Does to an answer what becomes of the cookie.
    pub(crate) fn apply(&self, recovering: Recovering, headers: &mut HeaderMap) {
        match recovering {
            Recovering::Stays | Recovering::TooLarge => {}
            Recovering::Set(set, fallback) => {
                for line in std::iter::once(set).chain(fallback) {
                    headers.append(SET_COOKIE, line);
                }
            }
            Recovering::Goes => self.delete(headers),
        }
    }

    async fn open(&self, value: &[u8]) -> Option<Recovery> {
        if value.len() > MAX_COOKIE {
            return None;
        }
        let sealed = BASE64URL.decode(value).ok()?;
        let plain = self.keys.open_or_look(&self.associated_data, &sealed).await.ok()?;
        match session::record::decode_recovery(&plain) {
            Ok(recovery) => Some(recovery),
            Err(error) => {
                // We have sealed it ourselves.
                tracing::error!(%error, "a recovery cookie cannot be read; nothing comes back by it here");
                None
            }
        }
    }
}

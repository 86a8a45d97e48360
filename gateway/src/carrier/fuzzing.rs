//! See [`crate::fuzzing`].

use std::sync::Arc;

use base64::Engine as _;
use cache::Credential;
use futures_util::FutureExt as _;
use seal::Keys;

use super::base64url::BASE64URL;
use super::{Carrier, FORMAT, Sealed, bound_to};
use crate::cookies::{Cookie, CookieError, CookieSettings};

/// How sessions travel sealed in a cookie.
#[derive(Debug)]
pub struct SealedCookie {
    cookie: Cookie,
    carrier: Carrier,
    keys: Arc<Keys>,
    associated_data: Box<[u8]>,
}

impl SealedCookie {
    /// That of a realm, under keys that are all there is.
    ///
    /// # Errors
    /// The cookie cannot be so.
    pub fn new(keys: Arc<Keys>, realm: &str, settings: CookieSettings) -> Result<Self, CookieError> {
        let cookie = Cookie::new(settings)?;
        let associated_data = bound_to(FORMAT, realm, cookie.name());
        let sealed = Sealed {
            keys: Arc::clone(&keys),
            associated_data: associated_data.clone(),
            may_spill: false,
            reserve: 0,
        };
        Ok(Self { cookie, carrier: Carrier::Sealed(sealed), keys, associated_data })
    }

    /// What the value of the cookie is, if it is anything.
    #[must_use]
    pub fn read(&self, value: &[u8]) -> Option<Credential> {
        // Keys that are looked for elsewhere are waited for, and there are none.
        self.carrier.read(value).now_or_never().flatten()
    }

    /// The value of the cookie that gives `credential` to the visitor.
    #[must_use]
    pub fn value(&self, credential: &Credential) -> Option<String> {
        let set = self.carrier.set(&self.cookie, credential)?;
        let (_, rest) = set.to_str().ok()?.split_once('=')?;
        Some(rest.split(';').next()?.to_owned())
    }

    /// A value that holds these bytes and was sealed as ours are.
    #[must_use]
    pub fn around(&self, plain: &[u8]) -> Option<String> {
        let sealed = self.keys.seal(&self.associated_data, plain).ok()?;
        Some(BASE64URL.encode(sealed))
    }
}

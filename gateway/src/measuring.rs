//! What a request with a sealed session costs, as single steps, for the benchmark in `bench/`.
//!
//! Only with the feature `measuring`, which nothing that is shipped turns on. Everything does no more than the module
//! behind it.

use std::sync::Arc;

use cache::Credential;
use seal::Keys;
use session::Carried;

use crate::carrier::Carrier;
use crate::cookies::{Cookie, CookieError, CookieSettings};
use crate::settings;

/// Sealed sessions in a cookie with the settings of the default.
#[derive(Debug)]
pub struct SealedCookie {
    carrier: Carrier,
    cookie: Cookie,
}

impl SealedCookie {
    /// Of a realm.
    ///
    /// # Errors
    /// The cookie of the default is always a good one.
    pub fn new(keys: Arc<Keys>, realm: &str) -> Result<Self, CookieError> {
        let cookie = Cookie::new(CookieSettings::default())?;
        let carrier = Carrier::new(settings::Carrier::Sealed { keys, may_spill: false }, realm, &cookie, 0);
        Ok(Self { carrier, cookie })
    }

    /// What a request that brings this value is taken for.
    pub async fn open(&self, value: &[u8]) -> Option<Credential> {
        self.carrier.read(value).await
    }

    /// The whole `Set-Cookie` that gives a session to its visitor.
    #[must_use]
    pub fn seal(&self, carried: &Arc<Carried>) -> Option<http::HeaderValue> {
        self.carrier.set(&self.cookie, &Credential::Carried(Arc::clone(carried)))
    }
}

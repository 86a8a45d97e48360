//! The Content-Security-Policy of our pages.
//!
//! A nonce, not a hash: a template that an operator wrote has other styles than ours, and the nonce fits both.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;

/// The nonce of the one `<style>` of a page, new for each answer.
pub(crate) struct StyleNonce(String);

impl StyleNonce {
    pub(crate) fn draw() -> Self {
        let mut bytes = [0; 16];
        // Without randomness there is no nonce: the page shows without its style rather than not at all, and
        // nobody can guess the nonce of a page that allows none.
        match getrandom::fill(&mut bytes) {
            Ok(()) => Self(URL_SAFE_NO_PAD.encode(bytes)),
            Err(_) => Self(String::new()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Nothing is loaded from anywhere, forms go to us only, nobody frames the page. `data:` images are for
    /// the icon, and for the logo that an operator's template may carry in itself.
    pub(crate) fn policy(&self) -> HeaderValue {
        let style = match self.0.as_str() {
            "" => "'none'".to_owned(),
            nonce => format!("'nonce-{nonce}'"),
        };
        let policy = format!(
            "default-src 'none'; style-src {style}; img-src data:; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'"
        );
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
        ))
    }
}

//! The two headers between Cloakroom and an application, as an application sees them.
//!
//! `X-Session: user=ada&note=hi&basket.tea=2` says what the session holds. `X-Replace-Session: note=&basket.tea=3`
//! asks for a change: the pairs are set, an empty value removes its key, what is not named stays as it is.

use std::borrow::Cow;
use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What Cloakroom hands us.
pub const SESSION: HeaderName = HeaderName::from_static("x-session");

/// What we hand back.
pub const REPLACE_SESSION: HeaderName = HeaderName::from_static("x-replace-session");

/// How much of the header is looked at, in bytes, and how many pairs. A gateway of ours sends less.
const MAX_HEADER: usize = 16 << 10;
const MAX_PAIRS: usize = 256;

/// What stays readable in a pair.
const IN_PAIR: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// The session of a request: what came in its header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Session {
    raw: Option<String>,
    pairs: Vec<(String, String)>,
}

impl Session {
    /// Reads the text of the header. Nothing is refused: bytes that are no text are shown as `�`, pairs beyond
    /// the 256th are left out.
    #[must_use]
    pub fn parse(raw: &str) -> Self {
        let pairs = raw
            .split('&')
            .filter(|pair| !pair.is_empty())
            .take(MAX_PAIRS)
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(key), decode(value))
            })
            .collect();
        Self { raw: Some(raw.to_owned()), pairs }
    }

    /// The header as it came; none if there was none, that is, no session.
    #[must_use]
    pub fn raw(&self) -> Option<&str> {
        self.raw.as_deref()
    }

    /// The value of a key; of several the first.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// All pairs, in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// Every handler can ask for the session of its request.
impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let Some(value) = parts.headers.get(SESSION) else {
            return Ok(Self::default());
        };
        let bytes = value.as_bytes();
        let text = String::from_utf8_lossy(bytes.get(..MAX_HEADER).unwrap_or(bytes));
        Ok(Self::parse(&text))
    }
}

/// A change that we ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update(String);

impl Update {
    /// Sets a key. An empty value removes it.
    #[must_use]
    pub fn set(mut self, key: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(utf8_percent_encode(key, IN_PAIR));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, IN_PAIR));
        self
    }

    /// Removes a key.
    #[must_use]
    pub fn remove(self, key: &str) -> Self {
        self.set(key, "")
    }

    /// The text of the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        // Everything but visible ASCII is escaped.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

fn decode(text: &str) -> String {
    let spaced: Cow<'_, str> = if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_what_the_header_says() {
        let session = Session::parse("user=ada&note=a%26b+c%c3%a9&&basket.tea=2&user=eve&bare&bad=%zz%ff");
        for (key, value) in [
            ("user", Some("ada")),
            ("note", Some("a&b cé")),
            ("basket.tea", Some("2")),
            ("bare", Some("")),
            ("bad", Some("%zz\u{fffd}")),
            ("missing", None),
        ] {
            assert_eq!(session.value(key), value, "{key}");
        }
        assert_eq!(Session::parse(&"a=1&".repeat(10_000)).pairs().count(), MAX_PAIRS);
    }

    #[test]
    fn an_update_reads_back_as_it_was_meant() {
        let update = Update::default().set("a note", "1+1=2 & é\r\nX: y").remove("basket.tea");
        assert!(update.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        assert_eq!(update.header(), update.as_str());
        let read = Session::parse(update.as_str());
        assert_eq!(read.value("a note"), Some("1+1=2 & é\r\nX: y"));
        assert_eq!(read.value("basket.tea"), Some(""));
    }
}

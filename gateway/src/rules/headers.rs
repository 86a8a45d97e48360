//! Changes of headers: of requests on their way to the application, of responses on their way to the client.
//!
//! Values are literals. What frames a message, routes it, or carries a session is not to be changed here, whatever a
//! configuration says: [`may_change`].

use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, COOKIE, EXPECT, HOST, SET_COOKIE, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::hygiene::Presented;

/// What happens to the headers of a message, in this order: some are removed, some are set, some are added.
#[derive(Debug, Clone, Default)]
pub struct HeaderChanges {
    set: Box<[(HeaderName, HeaderValue)]>,
    add: Box<[(HeaderName, HeaderValue)]>,
    remove: Box<[HeaderName]>,
    /// Of what is set or removed: who reads `X_Tier` as `X-Tier` must not find the client's.
    spellings: Presented,
}

impl HeaderChanges {
    /// Removes `remove` and sets `set`, in the place of every spelling that was there; and leaves what was there beside
    /// what it `add`s.
    ///
    /// # Errors
    /// A name that is [not to be changed](may_change).
    pub fn new(
        set: Vec<(HeaderName, HeaderValue)>,
        add: Vec<(HeaderName, HeaderValue)>,
        remove: Vec<HeaderName>,
    ) -> Result<Self, HeaderName> {
        let spellings = Presented::new(set.iter().map(|(name, _)| name).chain(&remove));
        let changes = Self { set: set.into(), add: add.into(), remove: remove.into(), spellings };
        let wrong = changes.names().find(|name| !may_change(name)).cloned();
        wrong.map_or(Ok(changes), Err)
    }

    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    /// Every name that is changed, and how: for people.
    pub fn described(&self) -> impl Iterator<Item = (&'static str, &HeaderName)> {
        let set = self.set.iter().map(|(name, _)| ("set", name));
        let add = self.add.iter().map(|(name, _)| ("add", name));
        self.remove.iter().map(|name| ("remove", name)).chain(set).chain(add)
    }

    /// The names that are set: what is under them is our word, and nobody else's.
    pub(crate) fn asserted(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().map(|(name, _)| name).filter(|name| !is_said_by_clients(name))
    }

    /// Every name that is changed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.described().map(|(_, name)| name)
    }

    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        self.spellings.remove(headers);
        for (name, value) in &self.set {
            headers.append(name.clone(), value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// Whether a rule may change a header of this name, in any of its spellings: not one that belongs to a connection, frames
/// the message, says for whom it is and from where it comes, or carries cookies.
#[must_use]
pub fn may_change(name: &HeaderName) -> bool {
    let taken = Presented::new(&[
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_RANGE,
        COOKIE,
        EXPECT,
        HOST,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ])
    .and_beginning([
        "forwarded",
        "x-forwarded-",
        "proxy",
        "keep-alive",
        "http2-settings",
        "sec-websocket-",
        "sec-fetch-",
    ]);
    !taken.covers(name)
}

/// Whether clients send a header of this name for themselves, so that it cannot be taken for our word where no rule sets
/// it.
fn is_said_by_clients(name: &HeaderName) -> bool {
    const BEGINNINGS: [&str; 6] = ["accept", "content-", "if-", "sec-", "cache-", "access-control-request-"];
    const NAMES: [&str; 12] = [
        "authorization",
        "date",
        "dnt",
        "from",
        "origin",
        "pragma",
        "priority",
        "range",
        "referer",
        "save-data",
        "upgrade-insecure-requests",
        "user-agent",
    ];
    let name = name.as_str();
    NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> HeaderName {
        name.parse().unwrap()
    }

    fn pair(header: &str, value: &str) -> (HeaderName, HeaderValue) {
        (name(header), value.parse().unwrap())
    }

    #[test]
    fn what_was_there_goes_in_every_spelling_unless_it_is_added_to() {
        let changes = HeaderChanges::new(
            vec![pair("x-tier", "gold")],
            vec![pair("x-note", "b")],
            vec![name("x-debug")],
        )
        .unwrap();
        let mut headers = HeaderMap::new();
        for (known, value) in [
            ("x-tier", "1"),
            ("x_tier", "2"),
            ("X.Tier", "3"),
            ("x-debug", "4"),
            ("x_debug", "5"),
            ("x-note", "a"),
            ("accept", "*/*"),
        ] {
            let (known, value) = pair(known, value);
            headers.append(known, value);
        }
        changes.apply(&mut headers);
        let mut left: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept: */*", "x-note: a", "x-note: b", "x-tier: gold"]);
    }

    #[test]
    fn what_carries_a_message_or_a_session_is_not_to_be_changed() {
        for (header, may) in [
            ("X-Tier", true),
            ("Authorization", true),
            ("Cache-Control", true),
            ("Content-Security-Policy", true),
            ("Strict-Transport-Security", true),
            ("Vary", true),
            ("Connection", false),
            ("Transfer-Encoding", false),
            ("Transfer_Encoding", false),
            ("Content-Length", false),
            ("Content-Encoding", false),
            ("Host", false),
            ("Cookie", false),
            ("Set-Cookie", false),
            ("Proxy", false),
            ("Proxy-Authorization", false),
            ("Keep-Alive", false),
            ("X-Forwarded-For", false),
            ("x_forwarded_for", false),
            ("Forwarded", false),
            ("Upgrade", false),
            ("Sec-WebSocket-Key", false),
        ] {
            assert_eq!(may_change(&name(header)), may, "{header}");
            for wrong in [
                HeaderChanges::new(vec![pair(header, "x")], vec![], vec![]),
                HeaderChanges::new(vec![], vec![pair(header, "x")], vec![]),
                HeaderChanges::new(vec![], vec![], vec![name(header)]),
            ] {
                assert_eq!(wrong.is_ok(), may, "{header}");
            }
        }
    }

    #[test]
    fn what_we_assert_is_what_no_client_says_for_itself() {
        let set = vec![pair("x-tier", "gold"), pair("accept-encoding", "identity"), pair("remote-user", "x")];
        let changes = HeaderChanges::new(set, vec![pair("x-note", "a")], vec![]).unwrap();
        assert_eq!(changes.asserted().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-tier", "remote-user"]);
    }
}

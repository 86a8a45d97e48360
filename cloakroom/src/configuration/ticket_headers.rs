//! Headers in which what a visitor holds travels beside the cookie.

use http::HeaderName;
use ipnet::IpNet;

use super::form::{Switch, Text};
use super::handoff::Handoff;
use super::section::Section;
use super::web::Header;

/// What `[[application]]` says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketHeaders {
    /// Of requests.
    pub inbound: Option<HeaderName>,
    /// Whether anybody may send it.
    pub danger_inbound_from_anyone: bool,
    /// Of answers.
    pub outbound: Option<HeaderName>,
}

/// The keys, for who has no sessions.
pub(crate) const KEYS: [&str; 3] = ["inbound_header", "danger_inbound_header_from_anyone", "outbound_header"];

impl TicketHeaders {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let name = || HeaderName::from_static("x-session-key");
        Self {
            inbound: section.optional(
                "inbound_header",
                &Text(Header),
                name(),
                "What the visitor holds may come in this header of a request, from `trusted_proxies` only. It wins over the \
                 cookie, be it worth nothing. The application never sees it.",
            ),
            danger_inbound_from_anyone: section.value(
                "danger_inbound_header_from_anyone",
                &Switch,
                false,
                "Everybody may send `inbound_header`, not only `trusted_proxies`: what protects a cookie in browsers \
                 does not protect it.",
            ),
            outbound: section.optional(
                "outbound_header",
                &Text(Header),
                name(),
                "What a visitor is given in a cookie is also answered in this header, to `trusted_proxies` only. What the \
                 application answers under this name is removed.",
            ),
        }
    }

    pub(crate) fn check(&self, section: &Section<'_>, handoff: &Handoff, trusted: &[IpNet]) {
        let folded = |name: &HeaderName| name.as_str().replace('_', "-");
        for (key, name) in [("inbound_header", &self.inbound), ("outbound_header", &self.outbound)] {
            let Some(name) = name else { continue };
            if handoff.headers().any(|other| folded(other) == folded(name)) {
                let message =
                    format!("`{key}` names the header `{name}`, and so does `[application.handoff]`");
                section.wrong(key, message, "give each a header of its own");
            }
            let is_open = key == "inbound_header" && self.danger_inbound_from_anyone;
            if trusted.is_empty() && !is_open {
                let message = format!("`{key}` has no effect: there are no `trusted_proxies`");
                section.warn(key, message, "name the proxies that use it, or remove this line");
            }
        }
        let key = "danger_inbound_header_from_anyone";
        match (&self.inbound, self.danger_inbound_from_anyone) {
            (Some(name), true) => {
                let message = format!(
                    "anybody may send a ticket in `{name}`: pages of other sites can have browsers use one that they \
                     chose, and scripts that got hold of one can use it"
                );
                section.warn(
                    key,
                    message,
                    "name the proxies that send it in `trusted_proxies`, and remove this line",
                );
            }
            (None, true) => {
                section.warn(key, format!("`{key}` has no effect without `inbound_header`"), "remove it");
            }
            (_, false) => {}
        }
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.inbound.iter().chain(&self.outbound)
    }
}

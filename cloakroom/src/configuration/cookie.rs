//! The cookie that carries a ticket. What a browser would refuse, we refuse first and say why (RFC 6265bis).

use std::time::Duration;

use gateway::cookies::{CookieError, CookieSettings};

use super::document::Place;
use super::form::{Choice, Span, Switch, Text, Wording, Wrong};
use super::section::Section;
use super::web::{self, Host, UrlPath};

/// `[application.cookie]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// The cookie's name.
    pub name: String,
    /// The paths on which the browser sends it.
    pub path: String,
    /// With a domain, its subdomains get the cookie too; without, only the host that set it.
    pub domain: Option<String>,
    /// Whether it comes with requests from other sites.
    pub same_site: SameSite,
    /// A second cookie without `SameSite`, for browsers that do not know `None`.
    pub same_site_fallback: bool,
    /// Only over TLS.
    pub secure: bool,
    /// Out of reach of scripts.
    pub http_only: bool,
    /// Kept apart for each site that embeds the application.
    pub partitioned: bool,
    /// How long the browser keeps it; zero: until the browser is closed.
    pub max_age: Duration,
    /// The application does not see it.
    pub hide_from_upstream: bool,
}

/// Which requests from other sites carry the cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// Links that are followed, nothing else.
    Lax,
    /// None.
    Strict,
    /// All.
    None,
}

const SAME_SITE: Choice<SameSite> = Choice {
    words: &[("Lax", SameSite::Lax), ("Strict", SameSite::Strict), ("None", SameSite::None)],
    later: &[],
};

/// Browsers cut a longer life down to this.
const LONGEST: Duration = Duration::from_hours(24 * 400);

impl Cookie {
    /// Reads the section; the place of the name is for whoever compares cookies with each other.
    pub(crate) fn read(section: &mut Section<'_>) -> (Self, Place) {
        let cookie = Self {
            name: section.value(
                "name",
                &Text(CookieName),
                "__Host-session".to_owned(),
                "With `__Host-` before it, browsers take the cookie only from this very host and over TLS: no other \
                 host can plant one.",
            ),
            path: section.value("path", &Text(UrlPath), "/".to_owned(), "The browser sends the cookie on this path and below."),
            domain: section.optional(
                "domain",
                &Text(Host),
                "example.org".to_owned(),
                "Subdomains of this domain get the cookie too. Left out, only the host that set it.",
            ),
            same_site: section.value(
                "same_site",
                &SAME_SITE,
                SameSite::Lax,
                "Whether requests that other sites cause carry the cookie: `Lax`: when a link is followed; `Strict`: \
                 never; `None`: always.",
            ),
            same_site_fallback: section.value(
                "same_site_fallback",
                &Switch,
                false,
                "With `same_site = \"None\"`: a second cookie, with `-fallback` behind its name, holds the same without \
                 `SameSite`, for browsers of 2019 and before, which take `None` for `Strict` or drop the cookie.",
            ),
            secure: section.value("secure", &Switch, true, "The cookie travels over TLS only. Browsers count loopback as safe."),
            http_only: section.value("http_only", &Switch, true, "Scripts in the page cannot read the cookie."),
            partitioned: section.value(
                "partitioned",
                &Switch,
                false,
                "For an application that other sites embed: each of them gets a cookie of its own (CHIPS).",
            ),
            max_age: section.value(
                "max_age",
                &Span::between(Duration::from_secs(1), LONGEST).or_zero("until the browser is closed"),
                Duration::ZERO,
                "How long the browser keeps the cookie. The session's own time-outs hold whatever this says.",
            ),
            hide_from_upstream: section.value("hide_from_upstream", &Switch, true, "The application does not see the ticket."),
        };
        cookie.check(section);
        (cookie, section.place("name"))
    }

    /// The combinations that browsers refuse, each at the key that could mend it.
    fn check(&self, section: &Section<'_>) {
        let Self { name, secure, http_only, .. } = self;
        let prefix = PREFIXES.into_iter().find(|prefix| has_prefix(name, prefix)).unwrap_or("");
        let (host, http) = (prefix.contains("Host-"), prefix.contains("Http-"));
        let cure = match section.given("name") {
            true => format!("remove this line, or name the cookie without `{prefix}`"),
            false => "add `name = \"session\"` to this section, or remove this line".to_owned(),
        };
        let promise = |says: &str| format!("{says}: browsers refuse the cookie `{name}` then");
        let secure_or =
            |says: &str| format!("{says} without `secure = true`: browsers refuse the cookie then");
        let refused = [
            (!secure && !prefix.is_empty(), "secure", promise("`secure = false`"), cure.clone()),
            (host && self.path != "/", "path", promise("the path is not `/`"), cure.clone()),
            (host && self.domain.is_some(), "domain", promise("`domain` is set"), cure.clone()),
            (http && !http_only, "http_only", promise("`http_only = false`"), cure),
            (
                !secure && self.same_site == SameSite::None,
                "same_site",
                secure_or("`same_site = \"None\"`"),
                "say \"Lax\", or use TLS and `secure = true`".to_owned(),
            ),
            (
                !secure && self.partitioned,
                "partitioned",
                secure_or("`partitioned`"),
                "remove this line, or use TLS and `secure = true`".to_owned(),
            ),
        ];
        let mut refused = refused.into_iter().filter(|(refused, ..)| *refused).peekable();
        if refused.peek().is_none() {
            self.check_as_gateway(section);
        }
        for (_, key, message, cure) in refused {
            section.wrong(key, message, cure);
        }
        if self.same_site_fallback && self.same_site != SameSite::None {
            let message = "`same_site_fallback` has no effect without `same_site = \"None\"`";
            section.warn("same_site_fallback", message, "remove this line");
        }
        if !http_only {
            let message = "`http_only = false`: any script in a page can read the ticket and send it away";
            section.warn("http_only", message, "remove this line");
        }
        if !self.hide_from_upstream {
            let message = "`hide_from_upstream = false`: the application sees the ticket, and may log it";
            section.warn("hide_from_upstream", message, "remove this line, unless the application needs it");
        }
    }

    /// The gateway has the last word, with all that it refuses beyond these combinations.
    fn check_as_gateway(&self, section: &Section<'_>) {
        let Err(error) = self.settings().check() else { return };
        let key = match &error {
            CookieError::Path(_) => "path",
            CookieError::Domain(_) => "domain",
            CookieError::MaxAgeZero | CookieError::MaxAgeTooLong => "max_age",
            _ => "name",
        };
        let text = error.to_string();
        let (message, cure) = text.split_once(": ").unwrap_or((&text, "choose another"));
        section.wrong(key, message, cure);
    }

    /// As the gateway wants to know it.
    pub fn settings(&self) -> CookieSettings {
        CookieSettings {
            name: self.name.clone(),
            path: self.path.clone(),
            domain: self.domain.clone(),
            same_site: match self.same_site {
                SameSite::Lax => gateway::cookies::SameSite::Lax,
                SameSite::Strict => gateway::cookies::SameSite::Strict,
                SameSite::None => gateway::cookies::SameSite::None,
            },
            same_site_fallback: self.same_site_fallback,
            secure: self.secure,
            http_only: self.http_only,
            partitioned: self.partitioned,
            max_age: (!self.max_age.is_zero()).then_some(self.max_age),
        }
    }

    /// Whether browsers would keep the cookie for these hosts, and send it to this path.
    pub(crate) fn check_reach(&self, section: &Section<'_>, place: &Place, hosts: &[String], path: &str) {
        let document = section.document();
        if !web::is_below(path, &self.path) {
            let message = format!(
                "the cookie's path `{}` does not hold the application's path `{path}`: the browser would not send it",
                self.path
            );
            document.wrong(
                place,
                message,
                format!("in `[application.cookie]`, say `path = \"{path}\"` or `path = \"/\"`"),
            );
        }
        let Some(domain) = &self.domain else { return };
        for host in hosts.iter().filter(|host| !web::host_is_in(host, domain)) {
            let message = format!(
                "the cookie's domain `{domain}` does not hold the host `{host}`: browsers refuse the cookie there"
            );
            document.wrong(
                place,
                message,
                "in `[application.cookie]`, remove `domain`, or name one that holds every host",
            );
        }
    }

    /// Whether a browser could send both to one place.
    pub(crate) fn meets(&self, hosts: &[String], other: &Self, other_hosts: &[String]) -> bool {
        let holds = |cookie: &Self, host: &String| {
            cookie.domain.as_ref().is_some_and(|domain| web::host_is_in(host, domain))
        };
        let hosts_meet = hosts.is_empty()
            || other_hosts.is_empty()
            || hosts.iter().any(|host| other_hosts.contains(host) || holds(other, host))
            || other_hosts.iter().any(|host| holds(self, host));
        let paths_meet = web::is_below(&self.path, &other.path) || web::is_below(&other.path, &self.path);
        let (own, others) = (self.settings(), other.settings());
        let names_meet = own.names().any(|name| others.names().any(|other| other == name));
        names_meet && hosts_meet && paths_meet
    }
}

/// What a name may promise, the longest first.
const PREFIXES: [&str; 4] = ["__Host-Http-", "__Host-", "__Http-", "__Secure-"];

/// Browsers compare these prefixes without regard to case (RFC 6265bis, 5.7).
fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The name of a cookie: a token of RFC 6265.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CookieName;

impl Wording for CookieName {
    type Value = String;
    const NAME: &'static str = "cookie name";
    const RULES: &'static str = "at most 128 of: letters, digits, !#$%&'*+-.^_`|~";

    fn parse(text: &str) -> Result<String, Wrong> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if !text.bytes().all(token) {
            return Err(Wrong::new(
                "is no name for a cookie",
                "say letters, digits, `-` and `_`, such as \"session\"",
            ));
        }
        if text.len() > 128 {
            return Err(Wrong::new("is too long", "a name has at most 128 characters"));
        }
        Ok(text.to_owned())
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

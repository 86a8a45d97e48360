//! Nobody else's cache keeps what was made for one visitor.
//!
//! A response to a request with a session, or one that sets a cookie, is private whatever the application says: shared
//! caches must not keep it, and must not answer the next visitor with it. What the application says about the browser's
//! own cache stays as it is.

use std::fmt::Write;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, COOKIE, EXPIRES, Entry, PRAGMA, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::list::{Unclosed, members, unquote};

/// For whom a response was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audience {
    /// A visitor without a session, where one with a session would have got another answer.
    Anybody,
    /// A visitor with a session, or one who gets one with this response, or another cookie of ours.
    Visitor,
    /// Somebody who is logged in.
    Person,
}

/// Fields that tell a content delivery network or a cache beside us other things than `Cache-Control` does, and that
/// it would believe before it (RFC 9213, and those of single vendors). Also all that end in `-cdn-cache-control`.
static TARGETED: [HeaderName; 6] = [
    HeaderName::from_static("cdn-cache-control"),
    HeaderName::from_static("surrogate-control"),
    HeaderName::from_static("edge-control"),
    HeaderName::from_static("akamai-cache-control"),
    HeaderName::from_static("x-accel-expires"),
    HeaderName::from_static("x-litespeed-cache-control"),
];

/// Makes the caching headers of a response safe for its audience.
///
/// - `Vary` names `Cookie`, for every audience.
/// - For a visitor: `public`, `s-maxage` and what is meant for shared caches go, `private` is there. `Expires`, which old
///   shared caches believe alone, and the fields for content delivery networks go.
/// - Where the application said nothing: `private, no-cache`; an HTML page for somebody who is logged in gets `no-store`, so
///   that the Back button shows nothing after the logout.
/// - A `Cache-Control` that cannot be read becomes `no-store`.
///
/// Allocates only where a header that the application sent must be rewritten.
pub fn make_safe(headers: &mut HeaderMap, audience: Audience) {
    vary_by_cookie(headers);
    if audience == Audience::Anybody {
        return;
    }
    // An empty vector takes no memory.
    let shared: Vec<HeaderName> = headers.keys().filter(|name| is_for_shared(name)).cloned().collect();
    for name in &shared {
        headers.remove(name);
    }
    // `Pragma: no-cache` is what some pages still say instead (RFC 9111, 5.4).
    let silent = HeaderValue::from_static(match audience {
        Audience::Person if is_page(headers) && !headers.contains_key(PRAGMA) => "no-store",
        _ => "private, no-cache",
    });
    let value = match verdict(headers) {
        Ok(Verdict::Silent) => silent,
        Ok(Verdict::Safe) => return,
        Ok(Verdict::Rewritten(value)) => value,
        Err(Unclosed) => HeaderValue::from_static("no-store"),
    };
    headers.insert(CACHE_CONTROL, value);
}

/// Whether a header of this name speaks to shared caches beside `Cache-Control`, or is the one that old ones believe.
fn is_for_shared(name: &HeaderName) -> bool {
    *name == EXPIRES || TARGETED.contains(name) || name.as_str().ends_with("-cdn-cache-control")
}

/// What is to become of the `Cache-Control` of a response that is private.
enum Verdict {
    /// There is none.
    Silent,
    /// It says so already.
    Safe,
    /// It must say this.
    Rewritten(HeaderValue),
}

fn verdict(headers: &HeaderMap) -> Result<Verdict, Unclosed> {
    let (mut is_silent, mut is_private, mut is_shared) = (true, false, false);
    let (mut is_stored, mut is_conditional) = (true, false);
    for directive in directives(headers) {
        let directive = directive?;
        is_silent = false;
        is_private |= directive.audience() == Meant::Private;
        is_shared |= directive.audience() == Meant::Shared;
        is_stored &= directive.has_argument || !directive.is("no-store");
        // With it, a cache that knows the status may ignore `no-store` (RFC 9111, 5.2.2.3).
        is_conditional |= directive.is("must-understand");
    }
    if is_silent {
        return Ok(Verdict::Silent);
    }
    if !is_shared && (is_private || !(is_stored || is_conditional)) {
        return Ok(Verdict::Safe);
    }
    let mut kept = String::from("private");
    for directive in directives(headers) {
        let directive = directive?;
        if directive.audience() == Meant::Both {
            // Writing to a string does not fail.
            let _ = write!(kept, ", {}", directive.text);
        }
    }
    HeaderValue::try_from(kept).map(Verdict::Rewritten).map_err(|_| Unclosed)
}

/// One directive of `Cache-Control`.
#[derive(Debug)]
struct Directive<'h> {
    text: &'h str,
    name: &'h str,
    has_argument: bool,
}

/// For whom a directive is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meant {
    /// It is `private`, without names of fields: those would leave the rest of the response to everybody.
    Private,
    /// It lets shared caches keep the response, or speaks to them only.
    Shared,
    Both,
}

impl Directive<'_> {
    const fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn audience(&self) -> Meant {
        if self.is("private") && !self.has_argument {
            Meant::Private
        } else if ["private", "public", "s-maxage", "proxy-revalidate"].into_iter().any(|name| self.is(name))
        {
            Meant::Shared
        } else {
            Meant::Both
        }
    }
}

/// The directives of every `Cache-Control`, in order (RFC 9111, 5.2).
fn directives(headers: &HeaderMap) -> impl Iterator<Item = Result<Directive<'_>, Unclosed>> {
    headers.get_all(CACHE_CONTROL).iter().flat_map(|value| {
        // What is no ASCII is no directive: read as a quote that never ends.
        members(value.to_str().unwrap_or("\""), ',').map(|member| {
            let text = member?;
            let (name, argument) = match text.split_once('=') {
                Some((name, argument)) => (name.trim_end(), Some(argument.trim_start())),
                None => (text, None),
            };
            let is_directive = !name.contains(['"', ' ', '\t'])
                && argument.is_none_or(|argument| unquote(argument).is_some());
            if is_directive {
                Ok(Directive { text, name, has_argument: argument.is_some() })
            } else {
                Err(Unclosed)
            }
        })
    })
}

/// Whether the body is a page that the Back button would show.
fn is_page(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return false };
    let essence = kind.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    [&b"text/html"[..], b"application/xhtml+xml"].iter().any(|page| essence.eq_ignore_ascii_case(page))
}

/// Adds `Cookie` to `Vary`, as one header: some caches read only the first.
fn vary_by_cookie(headers: &mut HeaderMap) {
    let mut entry = match headers.entry(VARY) {
        Entry::Occupied(entry) => entry,
        Entry::Vacant(entry) => {
            entry.insert(HeaderValue::from_static("Cookie"));
            return;
        }
    };
    let names = || entry.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    if names().map(str::trim).any(|name| name == "*" || name.eq_ignore_ascii_case(COOKIE.as_str())) {
        return;
    }
    let mut all =
        names().map(str::trim).filter(|name| !name.is_empty()).fold(String::new(), |mut all, name| {
            all.push_str(name);
            all.push_str(", ");
            all
        });
    let value = if all.is_empty() {
        HeaderValue::from_static("Cookie")
    } else {
        all.push_str("Cookie");
        // Parts of legal values. `*` keeps every cache from using the response again.
        HeaderValue::try_from(all).unwrap_or_else(|_| HeaderValue::from_static("*"))
    };
    entry.insert(value);
}

#[cfg(test)]
mod tests;

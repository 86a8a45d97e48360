//! How an application reads and changes a session: headers of requests and of responses.
//!
//! [`Presentation`] writes a session into request headers; [`receive`] reads update headers into one patch against the
//! revision that the application saw. Two formats carry everything, and headers for single entries carry one each:
//!
//! | | form | JSON | a header of its own |
//! |---|---|---|---|
//! | text | escaped as `mod_session` does | a string, non-ASCII as `\uXXXX` | as it is; `%` and what no header can hold as `%XX` |
//! | bytes | escaped | `{"$base64": "..."}` | as `%XX` |
//! | list | its key repeated, or joined by a separator | an array | joined by the separator, or `, ` |
//! | map | `key.name`, nested likewise | an object | as JSON |
//!
//! Form is flat: an application that changes what is nested uses JSON. In both, `expiry` (in any case) is the end of the
//! session in microseconds since 1970, as in `mod_session`, and never an entry.

mod entry_header;
mod form;
mod json;
mod update;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use session::{Entries, Value};

pub use update::{Note, Problem, Received, receive};

/// How entries are written in the header that holds them all, and in the update header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `application/x-www-form-urlencoded`.
    #[default]
    Form,
    /// A JSON object in ASCII.
    Json,
}

/// How a session is presented to one application.
#[derive(Debug, Clone)]
pub struct Presentation {
    /// The header that holds everything.
    pub header: HeaderName,
    /// How it is written there.
    pub format: Format,
    /// Joins the members of a list. Where a member holds the separator or a backslash, a backslash is put before it.
    /// Without one, a key is repeated for each member.
    pub list_separator: Option<Box<str>>,
    /// Entries that have headers of their own as well.
    pub entry_headers: Vec<(HeaderName, Box<str>)>,
    /// The name under which applications are told who is logged in. Only a [`Fact`] is shown under it, and nothing
    /// where there is no fact: an entry of this name, whoever wrote it, would pass for a login.
    pub reserved: Option<Box<str>>,
    /// The longest value of a header that is made, in bytes.
    pub max_header_bytes: usize,
}

/// What the gateway itself says of a session, such as who is logged in. It stands before the entries, and hides an
/// entry of the same name: what an application writes cannot pass for it.
pub type Fact<'a> = (&'a str, &'a str);

/// A session does not fit into a header. The application is to blame, for what it keeps there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooLarge {
    /// The header.
    pub header: HeaderName,
    /// How long its value would be, in bytes.
    pub bytes: usize,
    /// How long it may be.
    pub limit: usize,
    /// The largest entries, the largest first, with the bytes that each takes.
    pub largest: Vec<(Box<str>, usize)>,
}

impl Presentation {
    /// The headers that it makes, to be removed from what a client sends.
    pub fn headers(&self) -> impl Iterator<Item = &HeaderName> {
        std::iter::once(&self.header).chain(self.entry_headers.iter().map(|(header, _)| header))
    }

    /// Inserts the session into a request, from which every spelling of [`Presentation::headers`] was removed before.
    ///
    /// # Errors
    /// A header would be too long. Then nothing is inserted.
    pub fn insert(
        &self,
        facts: &[Fact<'_>],
        entries: &Entries,
        headers: &mut HeaderMap,
    ) -> Result<(), TooLarge> {
        let all = self.value(facts, entries)?;
        let single = self.entry_values(facts, entries)?;
        headers.insert(&self.header, all);
        for (header, value) in single {
            headers.insert(header, value);
        }
        Ok(())
    }

    /// The value of the header that holds everything, marked as sensitive so that no log shows it. It depends on nothing
    /// but its arguments, and allocates: keep it as long as the session does not change.
    ///
    /// In a form, entries that it cannot name are left out: one without a name, and `expiry`.
    ///
    /// # Errors
    /// It would be too long.
    pub fn value(&self, facts: &[Fact<'_>], entries: &Entries) -> Result<HeaderValue, TooLarge> {
        let separator = self.list_separator.as_deref();
        let hidden = self.hidden(facts);
        let text = match self.format {
            Format::Form => form::text(facts, hidden.rest(entries), separator, hidden),
            Format::Json => json::object(facts, hidden.rest(entries)).into_bytes(),
        };
        if text.len() <= self.max_header_bytes {
            return Ok(sensitive(text));
        }
        let mut largest: Vec<(Box<str>, usize)> = hidden
            .rest(entries)
            .map(|(name, value)| {
                let bytes = match self.format {
                    Format::Form => form::text(&[], std::iter::once((name, value)), separator, hidden).len(),
                    Format::Json => json::value(value).len() + name.len(),
                };
                (name.into(), bytes)
            })
            .collect();
        largest.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        largest.truncate(3);
        let (header, limit) = (self.header.clone(), self.max_header_bytes);
        Err(TooLarge { header, bytes: text.len(), limit, largest })
    }

    /// The headers of single entries, for those that there are. Allocates.
    ///
    /// # Errors
    /// One would be too long.
    pub fn entry_values(
        &self,
        facts: &[Fact<'_>],
        entries: &Entries,
    ) -> Result<Vec<(&HeaderName, HeaderValue)>, TooLarge> {
        let separator = self.list_separator.as_deref();
        let hidden = self.hidden(facts);
        let mut values = Vec::new();
        for (header, name) in &self.entry_headers {
            let fact = facts.iter().find(|(fact, _)| *fact == &**name);
            let text = match (fact, entries.get(name).filter(|_| !hidden.holds(name))) {
                (Some((_, fact)), _) => entry_header::escaped(fact.as_bytes()),
                (None, Some(value)) => entry_header::text(value, separator),
                (None, None) => continue,
            };
            if text.len() > self.max_header_bytes {
                return Err(TooLarge {
                    header: header.clone(),
                    bytes: text.len(),
                    limit: self.max_header_bytes,
                    largest: vec![(name.clone(), text.len())],
                });
            }
            values.push((header, sensitive(text.into_bytes())));
        }
        Ok(values)
    }

    fn hidden<'a>(&'a self, facts: &'a [Fact<'a>]) -> Hidden<'a> {
        Hidden { facts, reserved: self.reserved.as_deref() }
    }
}

/// The names that are not for entries.
#[derive(Clone, Copy)]
struct Hidden<'a> {
    facts: &'a [Fact<'a>],
    reserved: Option<&'a str>,
}

impl Hidden<'_> {
    fn holds(self, name: &str) -> bool {
        self.reserved == Some(name) || self.facts.iter().any(|(fact, _)| *fact == name)
    }

    /// The entries that may be shown.
    fn rest(self, entries: &Entries) -> impl Iterator<Item = (&str, &Value)> {
        entries.iter().filter(move |(name, _)| !self.holds(name))
    }
}

/// A text of ours in a header of its own, written as an entry's would be.
#[must_use]
pub fn escaped(text: &str) -> HeaderValue {
    sensitive(entry_header::escaped(text.as_bytes()).into_bytes())
}

/// The value of a header that tells an application which of its changes were not made: names, escaped as in a form and
/// separated by commas, or a JSON array; and how many of them, from the first, were told by that. The others did not fit
/// into `max_bytes`, and are told another time. A name that would fit into no header at all counts as told, or nothing
/// behind it ever would be. Allocates.
#[must_use]
pub fn conflicts(names: &[Box<str>], format: Format, max_bytes: usize) -> (HeaderValue, usize) {
    let (text, told) = match format {
        Format::Form => form::names(names, max_bytes),
        Format::Json => {
            let (text, told) = json::names(names, max_bytes);
            (text.into_bytes(), told)
        }
    };
    (sensitive(text), told)
}

impl std::fmt::Display for TooLarge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { header, bytes, limit, largest } = self;
        write!(
            formatter,
            "the session takes {bytes} bytes as the header `{header}`, and at most {limit} are sent"
        )?;
        for (index, (name, bytes)) in largest.iter().enumerate() {
            let before = if index == 0 { "; the largest entries are" } else { "," };
            write!(formatter, "{before} `{}` ({bytes} bytes)", name.escape_debug())?;
        }
        write!(formatter, ": let the application keep less in them, or raise `max_header_bytes`")
    }
}

impl std::error::Error for TooLarge {}

/// Text of ours is printable ASCII, so always a legal value.
fn sensitive(text: Vec<u8>) -> HeaderValue {
    let mut value =
        HeaderValue::from_maybe_shared(Bytes::from(text)).unwrap_or_else(|_| HeaderValue::from_static(""));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests;

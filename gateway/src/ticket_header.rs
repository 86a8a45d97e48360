//! A ticket, or a sealed session, that comes in a header and not in a cookie.
//!
//! A proxy in front that keeps cookies for its clients, or a client that has none, may send what the visitor holds in a
//! header of its own. It is looked at before the cookies and wins over them, be it worth nothing: of two things that a
//! request says of its session only one can be meant, and a proxy knows better than a browser. Whoever else sends the
//! header is not heard, and the application never sees it, in any spelling.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};

use crate::application::Application;

/// What a request has in the inbound header of its application.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing that counts: its cookies do.
    Nothing,
    /// This, whatever it is worth.
    Value(HeaderValue),
    /// More than one value: nobody knows which is meant, so none is.
    Several,
}

impl Shown {
    /// Takes out of `headers` what `peer` shows to an application. If it is not to be heard, that stays, to be stripped with
    /// whatever else passes for ours.
    pub(crate) fn take(application: &Application, headers: &mut HeaderMap, peer: IpAddr) -> Self {
        let Some(sessions) = &application.sessions else { return Self::Nothing };
        let settings = &sessions.ticket_headers;
        match &settings.inbound {
            Some(name) if settings.inbound_from_anyone || application.trust.covers(peer) => {
                let shown = Self::of(headers.get_all(name).iter());
                headers.remove(name);
                shown
            }
            _ => Self::Nothing,
        }
    }

    fn of<'h>(mut values: impl Iterator<Item = &'h HeaderValue>) -> Self {
        let is_empty = |value: &HeaderValue| value.as_bytes().trim_ascii().is_empty();
        let Some(first) = values.next() else { return Self::Nothing };
        match (is_empty(first), values.next()) {
            (true, None) => Self::Nothing,
            (true, Some(second)) if is_empty(second) && values.all(is_empty) => Self::Nothing,
            (false, None) => Self::Value(first.clone()),
            _ => Self::Several,
        }
    }
}

/// Never what is in it.
impl fmt::Debug for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Value(_) => "Value(..)",
            Self::Several => "Several",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_counts_and_of_several_none() {
        let value = |text| HeaderValue::from_static(text);
        for (values, expected) in [
            (vec![], Shown::Nothing),
            (vec![""], Shown::Nothing),
            (vec!["", " "], Shown::Nothing),
            (vec!["a"], Shown::Value(value("a"))),
            // Nonsense, but it is what was shown.
            (vec!["a, b"], Shown::Value(value("a, b"))),
            (vec!["a", "b"], Shown::Several),
            (vec!["a", "a"], Shown::Several),
            (vec!["", "a"], Shown::Several),
            (vec!["a", ""], Shown::Several),
            (vec!["", "", "a"], Shown::Several),
        ] {
            let values: Vec<HeaderValue> = values.into_iter().map(value).collect();
            assert_eq!(Shown::of(values.iter()), expected, "{values:?}");
        }
        assert!(!format!("{:?}", Shown::Value(value("secret"))).contains("secret"));
    }
}

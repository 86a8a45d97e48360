//! What the proxies in front of us wrote, counted from the right: 0 is what our peer wrote.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};

use super::{X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, parse_node};
use crate::list::{members, unquote};

/// Longer lists are not believed at all.
pub(super) const MAX_HOPS: usize = 64;

/// The lists of one request, from the left to the right. What cannot be read is an empty list.
pub(super) enum Elements<'h> {
    /// `X-Forwarded-For`, `-Proto`, `-Host`.
    XForwarded([Vec<&'h str>; 3]),
    /// `Forwarded`.
    Forwarded(Vec<Element<'h>>),
}

/// One element of `Forwarded`.
#[derive(Default)]
pub(super) struct Element<'h> {
    node: Option<Cow<'h, str>>,
    scheme: Option<Cow<'h, str>>,
    host: Option<Cow<'h, str>>,
}

impl<'h> Elements<'h> {
    pub(super) fn of_x_forwarded(headers: &'h HeaderMap) -> Self {
        let list = |name: &HeaderName| plain_list(headers, name).unwrap_or_default();
        Self::XForwarded([list(&X_FORWARDED_FOR), list(&X_FORWARDED_PROTO), list(&X_FORWARDED_HOST)])
    }

    pub(super) fn of_forwarded(headers: &'h HeaderMap) -> Self {
        Self::Forwarded(forwarded_list(headers).unwrap_or_default())
    }

    /// The address that the proxy at `index` saw.
    pub(super) fn node(&self, index: usize) -> Option<IpAddr> {
        let node = match self {
            Self::XForwarded([nodes, ..]) => nodes.iter().nth_back(index).copied(),
            Self::Forwarded(elements) => elements.iter().nth_back(index)?.node.as_deref(),
        };
        parse_node(node?)
    }

    /// The scheme by which the proxy at `index` was asked.
    pub(super) fn scheme(&self, index: usize) -> Option<&str> {
        match self {
            Self::XForwarded([nodes, schemes, _]) => beside(nodes, schemes, index),
            Self::Forwarded(elements) => elements.iter().nth_back(index)?.scheme.as_deref(),
        }
    }

    /// The host for which the proxy at `index` was asked.
    pub(super) fn host(&self, index: usize) -> Option<&str> {
        match self {
            Self::XForwarded([nodes, _, hosts]) => beside(nodes, hosts, index),
            Self::Forwarded(elements) => elements.iter().nth_back(index)?.host.as_deref(),
        }
    }
}

/// What belongs to the node at `index`, if every proxy added to both lists; else what our peer wrote.
fn beside<'h>(nodes: &[&'h str], list: &[&'h str], index: usize) -> Option<&'h str> {
    let index = if nodes.len() == list.len() { index } else { 0 };
    list.iter().nth_back(index).copied()
}

fn plain_list<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Vec<&'h str>> {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        for member in value.to_str().ok()?.split(',') {
            if list.len() == MAX_HOPS {
                return None;
            }
            list.push(member.trim());
        }
    }
    Some(list)
}

fn forwarded_list(headers: &HeaderMap) -> Option<Vec<Element<'_>>> {
    let mut list = Vec::new();
    for value in headers.get_all(FORWARDED) {
        for member in members(value.to_str().ok()?, ',') {
            if list.len() == MAX_HOPS {
                return None;
            }
            list.push(element(member.ok()?)?);
        }
    }
    Some(list)
}

fn element(text: &str) -> Option<Element<'_>> {
    let mut element = Element::default();
    for parameter in members(text, ';') {
        let (name, value) = parameter.ok()?.split_once('=')?;
        let known = [("for", &mut element.node), ("proto", &mut element.scheme), ("host", &mut element.host)];
        let value = unquote(value)?;
        if let Some((_, slot)) = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
            // Each parameter stands once in an element (RFC 7239, 4).
            if slot.replace(value).is_some() {
                return None;
            }
        }
    }
    Some(element)
}

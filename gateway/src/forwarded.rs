//! Who the client is, when others stand in between, and how we tell the application.
//!
//! A proxy appends the address that it saw to what it was sent, and anybody can send anything. So a list is read
//! from the right, from our peer on, and only as far as those who wrote it are trusted. What the application
//! gets begins with the client that we found: what stood left of it was never verified, and is dropped.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;

use crate::hygiene::{Host, Presented};

mod element;

use element::Elements;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Other headers that applications believe about the client, its address or the path that it asked for.
const BELIEVED: [&str; 9] = [
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];

/// Room for what is told about a client without proxies, so that it seldom grows.
const USUAL_BYTES: usize = 128;

/// Which headers a trusted proxy writes.
///
/// Only one kind is read: a proxy that writes the one usually passes the other on as a client sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writes {
    /// `X-Forwarded-For`, `-Proto` and `-Host`, as nearly all do.
    #[default]
    XForwarded,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The proxies in front of us, and what of a request's headers is believed.
#[derive(Debug, Clone)]
pub struct Trust {
    proxies: Box<[IpNet]>,
    writes: Writes,
    /// What we set.
    ours: Presented,
    /// What only a trusted proxy may set.
    others: Presented,
}

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The address of the nearest party that we do not trust as a proxy. IPv4 addresses are never written as IPv6.
    pub address: IpAddr,
    /// Whether that party speaks TLS, to us or to the trusted proxy that it reached.
    pub secure: bool,
    /// The host that it asked for, perhaps with a port.
    pub host: Option<HeaderValue>,
    /// Who is at the other end of our connection.
    pub peer: IpAddr,
    /// The trusted proxies on the way, the last of them our peer.
    pub proxies: Vec<IpAddr>,
}

impl Client {
    /// The scheme of the origin as the client sees it.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// The host of the origin as the client sees it, perhaps with a port.
    #[must_use]
    pub fn host(&self) -> Option<Host<'_>> {
        self.host.as_ref().and_then(|host| host.to_str().ok()).and_then(|host| Host::parse(host).ok())
    }
}

impl Trust {
    /// Trusts the proxies in these networks to write these headers.
    #[must_use]
    pub fn new(proxies: impl IntoIterator<Item = IpNet>, writes: Writes) -> Self {
        let others = BELIEVED.map(HeaderName::from_static);
        Self {
            proxies: proxies.into_iter().collect(),
            writes,
            ours: Presented::new([&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST, &FORWARDED]),
            others: Presented::new(&others).and_beginning(["x-forwarded-"]),
        }
    }

    /// Whether this is the address of a trusted proxy.
    #[must_use]
    pub fn covers(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|network| network.contains(&address))
    }

    /// Who sent the request: our `peer`, or whom trusted proxies name. `secure` says whether our own connection is
    /// TLS. Call it once [`crate::hygiene::host`] has accepted the request.
    ///
    /// What is malformed is not believed, nor is what stands left of it, nor a list of more than 64 members.
    /// Without a trusted peer it allocates nothing.
    #[must_use]
    pub fn client(&self, headers: &HeaderMap, peer: IpAddr, secure: bool) -> Client {
        let peer = peer.to_canonical();
        let mut client =
            Client { address: peer, secure, host: headers.get(HOST).cloned(), peer, proxies: Vec::new() };
        if !self.covers(peer) {
            return client;
        }
        let elements = match self.writes {
            Writes::XForwarded => Elements::of_x_forwarded(headers),
            Writes::Forwarded => Elements::of_forwarded(headers),
        };
        while self.covers(client.address)
            && let Some(node) = elements.node(client.proxies.len())
        {
            client.proxies.push(client.address);
            client.address = node;
        }
        // The proxy that named the client also says how it was asked.
        let told = client.proxies.len().saturating_sub(1);
        client.proxies.reverse();
        match elements.scheme(told).map(str::to_ascii_lowercase).as_deref() {
            Some("https" | "wss") => client.secure = true,
            Some("http" | "ws") => client.secure = false,
            _ => {}
        }
        if let Some(host) = elements.host(told).filter(|host| Host::parse(host).is_ok())
            && let Ok(host) = HeaderValue::from_str(host)
        {
            client.host = Some(host);
        }
        client
    }

    /// Tells the application where the request comes from, and removes what others said about it. Returns how many
    /// headers of others were removed. Allocates the two lists of addresses, and writes each address once.
    pub fn forward(&self, client: &Client, headers: &mut HeaderMap) -> usize {
        let mut removed = self.ours.remove(headers);
        // A trusted proxy may say more than we read; a look-alike of its headers came from somebody else.
        let trusted = self.covers(client.peer);
        removed += self.others.remove_unless(headers, |name| trusted && is_plain(name));

        let mut listed = String::with_capacity(USUAL_BYTES);
        let mut forwarded = String::with_capacity(USUAL_BYTES);
        push_address(client.address, &mut listed, &mut forwarded);
        forwarded.push_str(";proto=");
        forwarded.push_str(client.scheme());
        let host = client.host();
        if let Some(host) = &host {
            let quote = if host.as_str().contains(':') { "\"" } else { "" };
            forwarded.extend([";host=", quote, host.as_str(), quote]);
        }
        for proxy in &client.proxies {
            listed.push_str(", ");
            forwarded.push_str(", ");
            push_address(*proxy, &mut listed, &mut forwarded);
        }
        insert(headers, &X_FORWARDED_FOR, &listed);
        insert(headers, &FORWARDED, &forwarded);
        headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(client.scheme()));
        // What is no host could be read as a list of several.
        if let (Some(value), Some(_)) = (&client.host, host) {
            headers.insert(&X_FORWARDED_HOST, value.clone());
        }
        removed
    }
}

fn insert(headers: &mut HeaderMap, name: &HeaderName, value: &str) {
    // Addresses and a host that was checked: always a legal value.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Whether the name is spelled as usual, so that it is the header itself and no look-alike.
fn is_plain(name: &HeaderName) -> bool {
    name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Adds an address to both lists: as it is, and as RFC 7239, section 6, writes it, IPv6 in brackets and quotes.
fn push_address(address: IpAddr, listed: &mut String, forwarded: &mut String) {
    let start = listed.len();
    match address {
        IpAddr::V4(address) => push_ipv4(address, listed),
        // Writing to a string does not fail.
        IpAddr::V6(address) => drop(write!(listed, "{address}")),
    }
    let written = listed.get(start..).unwrap_or_default();
    let (open, close) = if address.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
    forwarded.extend(["for=", open, written, close]);
}

/// As its `Display`, at a tenth of the cost: each request has it.
fn push_ipv4(address: Ipv4Addr, text: &mut String) {
    let digit = |value: u8| char::from(b'0' + value % 10);
    for (index, octet) in address.octets().into_iter().enumerate() {
        if index > 0 {
            text.push('.');
        }
        if octet >= 100 {
            text.push(digit(octet / 100));
        }
        if octet >= 10 {
            text.push(digit(octet / 10));
        }
        text.push(digit(octet));
    }
}

/// The address in a list: with or without a port, IPv6 with or without brackets. `unknown` and names are none.
fn parse_node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>()
        .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
        .ok()
        .map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests;

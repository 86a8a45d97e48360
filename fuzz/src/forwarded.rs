//! Who the client is, behind proxies: nobody whom no trusted proxy named, and the next gateway sees the same one.
//!
//! The first byte of the input chooses our peer and how its address is spelled, what proxies write, and whether our
//! connection is TLS; each further line is a header, `name: value`.

use std::net::{IpAddr, Ipv4Addr};

use gateway::forwarded::{Client, Trust, Writes};
use http::header::{FORWARDED, HOST, HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::message::headers;

const XFF: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Longer lists are not believed, so the next gateway would not see as far.
const SEEN_BY_THE_NEXT: usize = 60;

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"\0\nHost: shop.example\nX-Forwarded-For: 192.0.2.1, 10.0.0.2\nX-Forwarded-Proto: https\nX-Forwarded-Host: a.example",
    b"\x08\nX-Forwarded-For: 192.0.2.1",
    b"\x01\nX-Forwarded-For: 6.6.6.6",
    b"\x02\nForwarded: for=\"[2001:db8::1]:4711\";proto=https;host=\"shop.example:8443\", for=10.0.0.3",
    b"\x02\nForwarded: for=unknown;for=6.6.6.6\nForwarded: for=\"_hidden\", for=10.0.0.1;by=x",
    b"\x02\nForwarded: for=\"10.0.0.1, for=6.6.6.6\nForwarded: FOR=\"1\\0.0.0.1\"",
    b"\0\nX-Forwarded-For: 6.6.6.6\nX-Forwarded-For: 10.0.0.2\nX_Forwarded_For: 7.7.7.7\nX-Real-IP: 8.8.8.8",
    b"\0\nX-Forwarded-For: ::ffff:10.0.0.2, [::1]:80, 10.0.0.2:8080\nX-Forwarded-Proto: http, https, wss",
    b"\0\nX-Forwarded-For: 10.0.0.1,10.0.0.2,,10.0.0.3 , evil\nX-Forwarded-Host: a b\nTrue-Client-IP: 1.1.1.1",
    b"\x04\nX-Forwarded-For: \xff\nX-Original-URL: /admin\nX.Forwarded.For: 9.9.9.9",
    b"\0\nX-Forwarded-For: 010.0.0.1, 0x0a.0.0.1, 10.1\nHost: [::1]:8080",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"X-Forwarded-For: ",
    b"X-Forwarded-Proto: ",
    b"X-Forwarded-Host: ",
    b"X_Forwarded_For: ",
    b"Forwarded: ",
    b"Host: ",
    b"for=",
    b";proto=https",
    b";host=",
    b"\"",
    b"\\",
    b", ",
    b"10.0.0.1",
    b"192.0.2.1",
    b"[2001:db8::1]",
    b":80",
    b"unknown",
    b"\n",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Some((choice, rest)) = bytes.split_first() else { return };
    let before = headers(rest);
    let peer: Ipv4Addr = if choice & 1 == 0 { [10, 0, 0, 9].into() } else { [203, 0, 113, 1].into() };
    let writes = if choice & 2 == 0 { Writes::XForwarded } else { Writes::Forwarded };
    let secure = choice & 4 != 0;
    let trust = Trust::new(["10.0.0.0/8".parse().expect("a network")], writes);

    // A socket for both families says the same of both, and so may a proxy by the PROXY protocol.
    let as_ipv6 = if choice & 8 == 0 { peer.into() } else { peer.to_ipv6_mapped().into() };
    let client = trust.client(&before, as_ipv6, secure);
    let peer = peer.into();
    only_trusted_proxies_are_believed(&trust, &client, &before, peer, secure);

    let mut after = before.clone();
    trust.forward(&client, &mut after);
    if client.proxies.len() < SEEN_BY_THE_NEXT {
        for writes in [Writes::XForwarded, Writes::Forwarded] {
            the_next_gateway_sees_the_same(&client, &after, writes);
        }
    }
    let mut again = after.clone();
    trust.forward(&client, &mut again);
    assert_eq!(again, after);
}

fn only_trusted_proxies_are_believed(
    trust: &Trust,
    client: &Client,
    headers: &HeaderMap,
    peer: IpAddr,
    secure: bool,
) {
    assert_eq!(client.peer, peer);
    assert!(client.proxies.iter().all(|proxy| trust.covers(*proxy)) && client.proxies.len() <= 64);
    assert!(client.proxies.last().is_none_or(|proxy| *proxy == peer));
    assert_eq!(client.address, client.address.to_canonical());
    if !trust.covers(peer) {
        assert!(client.proxies.is_empty() && client.address == peer && client.secure == secure);
        assert_eq!(client.host.as_ref(), headers.get(HOST));
    }
    if client.proxies.is_empty() {
        assert_eq!(client.address, peer);
    }
}

/// One that trusts us and those whom we trusted, and hears from us over plain HTTP, finds the client that we found.
fn the_next_gateway_sees_the_same(client: &Client, sent: &HeaderMap, writes: Writes) {
    let us = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let networks = client.proxies.iter().copied().chain([us]).map(IpNet::from);
    let seen = Trust::new(networks, writes).client(sent, us, false);
    assert_eq!(seen.address, client.address, "by {writes:?}");
    assert_eq!(seen.secure, client.secure);
    assert_eq!(
        seen.host().map(|host| host.as_str().to_owned()),
        client.host().map(|host| host.as_str().to_owned())
    );
    for name in [&XFF, &FORWARDED] {
        assert_eq!(sent.get_all(name).iter().count(), 1, "one line, from us");
    }
    let is_lookalike = |name: &&HeaderName| {
        let plain: String =
            name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        plain == XFF.as_str() && **name != XFF
    };
    assert_eq!(sent.keys().find(is_lookalike), None);
}

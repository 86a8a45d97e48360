use proptest::prelude::*;

use super::element::MAX_HOPS;
use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
    }
    headers
}

fn trust(writes: Writes) -> Trust {
    Trust::new(["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()], writes)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Address, scheme and host as found.
fn found(writes: Writes, peer: &str, pairs: &[(&str, &str)]) -> (String, String) {
    let client = trust(writes).client(&headers(pairs), address(peer), false);
    let host = client.host().map_or(String::new(), |host| host.as_str().to_owned());
    (client.address.to_string(), format!("{}://{host}", client.scheme()))
}

#[test]
fn a_stranger_is_not_believed() {
    let sent = [
        ("Host", "here"),
        ("X-Forwarded-For", "9.9.9.9"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil"),
        ("Forwarded", "for=9.9.9.9;proto=https;host=evil"),
    ];
    for writes in [Writes::XForwarded, Writes::Forwarded] {
        let expected = ("1.2.3.4".to_owned(), "http://here".to_owned());
        assert_eq!(found(writes, "1.2.3.4", &sent), expected);
        assert_eq!(found(writes, "::ffff:1.2.3.4", &sent), expected);
    }
}

#[test]
fn the_client_is_the_rightmost_that_is_no_trusted_proxy() {
    for (list, expected) in [
        (&["1.1.1.1"][..], "1.1.1.1"),
        (&["9.9.9.9, 1.1.1.1"], "1.1.1.1"),
        (&["9.9.9.9, 1.1.1.1, 10.0.0.2"], "1.1.1.1"),
        (&["9.9.9.9", "1.1.1.1,10.0.0.2", "10.0.0.3"], "1.1.1.1"),
        (&["10.0.0.9, 10.0.0.8"], "10.0.0.9"),
        (&["1.1.1.1:4711"], "1.1.1.1"),
        (&["2001:db8::1"], "2001:db8::1"),
        (&["[2001:db8::1]"], "2001:db8::1"),
        (&["[2001:db8::1]:4711, fd00::1"], "2001:db8::1"),
        (&["::ffff:1.1.1.1"], "1.1.1.1"),
        // What is malformed ends the reading: left of it stands what anybody may have sent.
        (&["9.9.9.9, unknown"], "10.0.0.1"),
        (&["9.9.9.9, "], "10.0.0.1"),
        (&["9.9.9.9, nonsense, 10.0.0.2"], "10.0.0.2"),
        (&[""], "10.0.0.1"),
        (&[], "10.0.0.1"),
    ] {
        let sent: Vec<_> = list.iter().map(|value| ("X-Forwarded-For", *value)).collect();
        assert_eq!(found(Writes::XForwarded, "10.0.0.1", &sent).0, expected, "{list:?}");
    }
}

#[test]
fn a_list_without_end_is_not_believed() {
    let list = vec!["1.1.1.1"; MAX_HOPS].join(",");
    assert_eq!(found(Writes::XForwarded, "10.0.0.1", &[("X-Forwarded-For", &list)]).0, "1.1.1.1");
    let list = format!("{list},1.1.1.1");
    assert_eq!(found(Writes::XForwarded, "10.0.0.1", &[("X-Forwarded-For", &list)]).0, "10.0.0.1");
}

#[test]
fn the_origin_is_what_the_outermost_trusted_proxy_saw() {
    for (sent, expected) in [
        (&[("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "shop.example")][..], "https://shop.example"),
        (&[("X-Forwarded-Proto", "HTTPS")], "https://here"),
        (&[("X-Forwarded-Proto", "gopher"), ("X-Forwarded-Host", "a b")], "http://here"),
        (&[("X-Forwarded-For", "1.1.1.1, 10.0.0.2"), ("X-Forwarded-Proto", "https, http")], "https://here"),
        (&[("X-Forwarded-For", "9.9.9.9, 1.1.1.1"), ("X-Forwarded-Proto", "https, http")], "http://here"),
        (&[("X-Forwarded-For", "1.1.1.1, 10.0.0.2"), ("X-Forwarded-Proto", "https")], "https://here"),
        (
            &[("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-Host", "evil, shop.example:444")],
            "http://shop.example:444",
        ),
    ] {
        let sent = [&[("Host", "here")], sent].concat();
        assert_eq!(found(Writes::XForwarded, "10.0.0.1", &sent).1, expected, "{sent:?}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    for (value, expected) in [
        ("for=1.1.1.1", ("1.1.1.1", "http://here")),
        ("For=1.1.1.1 ; Proto=https;;by=10.0.0.1; HOST=shop.example", ("1.1.1.1", "https://shop.example")),
        ("For=1.1.1.1;Proto=https;by=10.0.0.1;HOST=shop.example", ("1.1.1.1", "https://shop.example")),
        (r#"for="[2001:db8::1]:47";host="shop.example:444""#, ("2001:db8::1", "http://shop.example:444")),
        ("for=9.9.9.9, for=1.1.1.1;proto=https, for=10.0.0.2;proto=http", ("1.1.1.1", "https://here")),
        ("for=9.9.9.9;proto=https, for=unknown", ("10.0.0.1", "http://here")),
        ("for=9.9.9.9, for=_hidden", ("10.0.0.1", "http://here")),
        (r#"for="9.9.9.9, for=1.1.1.1"#, ("10.0.0.1", "http://here")),
        ("for=9.9.9.9;for=8.8.8.8", ("10.0.0.1", "http://here")),
        ("for", ("10.0.0.1", "http://here")),
    ] {
        let (client, origin) =
            found(Writes::Forwarded, "10.0.0.1", &[("Host", "here"), ("Forwarded", value)]);
        assert_eq!((&*client, &*origin), expected, "{value}");
    }
    // The kind that is not read makes no difference.
    let sent = [("X-Forwarded-For", "1.1.1.1"), ("Forwarded", "for=9.9.9.9")];
    assert_eq!(found(Writes::XForwarded, "10.0.0.1", &sent).0, "1.1.1.1");
    assert_eq!(found(Writes::Forwarded, "10.0.0.1", &sent).0, "9.9.9.9");
}

/// All headers that the application gets, sorted.
fn forwarded(peer: &str, secure: bool, sent: &[(&str, &str)]) -> Vec<String> {
    let trust = trust(Writes::XForwarded);
    let mut headers = headers(sent);
    let client = trust.client(&headers, address(peer), secure);
    trust.forward(&client, &mut headers);
    let mut lines: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    lines.sort();
    lines
}

#[test]
fn nothing_of_a_stranger_is_passed_on() {
    let lines = forwarded(
        "1.2.3.4",
        true,
        &[
            ("Host", "here:444"),
            ("X-Forwarded-For", "9.9.9.9"),
            ("X_Forwarded_For", "9.9.9.9"),
            ("X-Forwarded-Server", "x"),
            ("X_Forwarded_Prefix", "/x"),
            ("X-Real-IP", "9.9.9.9"),
            ("X_REAL_IP", "9.9.9.9"),
            ("X-Original-URL", "/admin"),
            ("Forwarded", "for=9.9.9.9"),
            ("Accept", "*/*"),
        ],
    );
    assert_eq!(
        lines,
        [
            "accept: */*",
            r#"forwarded: for=1.2.3.4;proto=https;host="here:444""#,
            "host: here:444",
            "x-forwarded-for: 1.2.3.4",
            "x-forwarded-host: here:444",
            "x-forwarded-proto: https",
        ]
    );
}

#[test]
fn a_trusted_proxy_is_listed_and_its_other_headers_stay() {
    let lines = forwarded(
        "fd00::1",
        false,
        &[
            ("Host", "inner"),
            ("X-Forwarded-For", "9.9.9.9, 2001:db8::7, 10.0.0.2"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "shop.example"),
            ("X-Forwarded-Prefix", "/shop"),
            ("X_Forwarded_Prefix", "/evil"),
            ("X-Real-IP", "2001:db8::7"),
        ],
    );
    assert_eq!(
        lines,
        [
            r#"forwarded: for="[2001:db8::7]";proto=https;host=shop.example, for=10.0.0.2, for="[fd00::1]""#,
            "host: inner",
            "x-forwarded-for: 2001:db8::7, 10.0.0.2, fd00::1",
            "x-forwarded-host: shop.example",
            "x-forwarded-prefix: /shop",
            "x-forwarded-proto: https",
            "x-real-ip: 2001:db8::7",
        ]
    );
}

#[test]
fn what_is_no_host_is_told_to_nobody() {
    // Another gateway would take the last of such a list for the host.
    let lines = forwarded("1.2.3.4", false, &[("Host", "[:80, evil.example")]);
    assert!(!lines.iter().any(|line| line.starts_with("x-forwarded-host")), "{lines:?}");
}

proptest! {
    /// Another gateway of ours behind this one finds the same client, in either kind of header.
    #[test]
    fn what_is_told_is_what_was_found(
        list in prop::collection::vec(prop::sample::select(vec!["1.1.1.1", "10.0.0.2", "fd00::2", "2001:db8::7", "x"]), 0..6),
        https in any::<bool>(),
    ) {
        let list = list.join(", ");
        let mut sent = headers(&[("Host", "here:8080"), ("X-Forwarded-For", &list)]);
        let first = trust(Writes::XForwarded);
        let client = first.client(&sent, address("10.0.0.1"), https);
        first.forward(&client, &mut sent);
        for writes in [Writes::XForwarded, Writes::Forwarded] {
            let again = trust(writes).client(&sent, address("10.0.0.99"), !https);
            prop_assert_eq!(again.address, client.address);
            prop_assert_eq!(again.secure, client.secure);
            prop_assert_eq!(&again.host, &client.host);
        }
    }

    #[test]
    fn an_ipv4_address_is_written_as_ever(octets in any::<[u8; 4]>()) {
        let mut text = String::new();
        push_ipv4(octets.into(), &mut text);
        prop_assert_eq!(text, Ipv4Addr::from(octets).to_string());
    }

    /// Whatever is sent, a client is found, and it is our peer or stands in the list.
    #[test]
    fn no_list_makes_it_fail(list in "[0-9a-f.:\\[\\],;=\" forun]{0,40}") {
        for (writes, name) in [(Writes::XForwarded, "x-forwarded-for"), (Writes::Forwarded, "forwarded")] {
            let client = trust(writes).client(&headers(&[(name, &list)]), address("10.0.0.1"), false);
            prop_assert!(client.proxies.is_empty() || client.proxies.last() == Some(&address("10.0.0.1")));
        }
    }
}

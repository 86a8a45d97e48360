use proptest::prelude::*;

use super::*;

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn rule(unreliable: &[&str]) -> AddressRule {
    AddressRule::new(true, true, unreliable.iter().map(|network| network.parse().unwrap()))
}

fn tied(addresses: &[&str]) -> Addresses {
    let mut all = Addresses::default();
    addresses.iter().for_each(|address| all.tie(at(address)));
    all
}

#[test]
fn a_session_has_one_address_of_each_family() {
    let rule = rule(&[]);
    let both = tied(&["192.0.2.1", "2001:db8::1"]);
    for (addresses, from, expected) in [
        (Addresses::default(), "192.0.2.1", Origin::New),
        (tied(&["192.0.2.1"]), "192.0.2.1", Origin::Known),
        (tied(&["192.0.2.1"]), "192.0.2.2", Origin::Other),
        (tied(&["192.0.2.1"]), "2001:db8::1", Origin::New),
        (tied(&["2001:db8::1"]), "192.0.2.1", Origin::New),
        (both, "192.0.2.1", Origin::Known),
        (both, "2001:db8::1", Origin::Known),
        (both, "2001:db8::2", Origin::Other),
        // However it is written.
        (both, "2001:0db8:0:0:0:0:0:1", Origin::Known),
        // What is mapped is IPv4.
        (tied(&["192.0.2.1"]), "::ffff:192.0.2.1", Origin::Known),
        (tied(&["::ffff:192.0.2.1"]), "192.0.2.1", Origin::Known),
        (tied(&["::ffff:192.0.2.1"]), "::ffff:192.0.2.2", Origin::Other),
        // What is only compatible is not.
        (tied(&["192.0.2.1"]), "::192.0.2.1", Origin::New),
    ] {
        assert_eq!(rule.judge(&addresses, at(from)), expected, "{addresses:?} from {from}");
    }
}

#[test]
fn the_first_address_of_a_family_stays() {
    let addresses = tied(&["192.0.2.1", "192.0.2.2"]);
    assert_eq!(addresses, tied(&["192.0.2.1"]));
}

#[test]
fn one_network_must_hold_both() {
    let rule =
        rule(&["10.0.0.0/8", "192.0.2.0/25", "192.0.2.128/25", "2001:db8:1::/48", "::ffff:198.51.100.0/120"]);
    for (known, from, expected) in [
        ("10.0.0.0", "10.255.255.255", Origin::Known),
        ("10.0.0.1", "11.0.0.0", Origin::Other),
        ("10.0.0.1", "9.255.255.255", Origin::Other),
        // Each is in one, and none holds both.
        ("192.0.2.127", "192.0.2.128", Origin::Other),
        ("192.0.2.0", "192.0.2.127", Origin::Known),
        ("192.0.2.128", "192.0.2.255", Origin::Known),
        ("10.0.0.1", "192.0.2.1", Origin::Other),
        ("2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", Origin::Known),
        ("2001:db8:1::1", "2001:db8:2::", Origin::Other),
        ("198.51.100.0", "198.51.100.255", Origin::Known),
        ("198.51.100.0", "198.51.101.0", Origin::Other),
        ("::ffff:10.0.0.1", "10.0.0.2", Origin::Known),
    ] {
        assert_eq!(rule.judge(&tied(&[known]), at(from)), expected, "{known} from {from}");
    }
}

#[test]
fn a_session_that_is_awaited_somewhere_is_used_from_there_first() {
    let awaited = Addresses::awaiting(at("::ffff:192.0.2.1"));
    let rule = rule(&["10.0.0.0/8"]);
    assert_eq!(rule.judge(&awaited, at("192.0.2.2")), Origin::Other);
    // Another family says nothing of the one that is awaited.
    assert_eq!(rule.judge(&awaited, at("2001:db8::1")), Origin::Other);
    assert_eq!(rule.judge(&awaited, at("192.0.2.1")), Origin::New);
    assert_eq!(rule.judge(&Addresses::awaiting(at("10.0.0.1")), at("10.9.9.9")), Origin::New);
    let mut used = awaited;
    used.tie(at("192.0.2.1"));
    assert_eq!(used, tied(&["192.0.2.1"]));
}

#[test]
fn what_is_not_demanded_is_not_judged() {
    let (neither, only_first) = (AddressRule::default(), AddressRule::new(false, true, []));
    let awaited = Addresses::awaiting(at("192.0.2.1"));
    for addresses in [Addresses::default(), tied(&["192.0.2.1", "2001:db8::1"]), awaited] {
        assert_eq!(neither.judge(&addresses, at("192.0.2.9")), Origin::Known);
    }
    assert_eq!(only_first.judge(&awaited, at("192.0.2.9")), Origin::Other);
    assert_eq!(only_first.judge(&awaited, at("192.0.2.1")), Origin::New);
    assert_eq!(only_first.judge(&tied(&["192.0.2.1"]), at("192.0.2.9")), Origin::Known);
    // Who does not check ties it to whoever comes first.
    let only_consistent = AddressRule::new(true, false, []);
    assert_eq!(only_consistent.judge(&awaited, at("192.0.2.9")), Origin::New);
}

#[test]
fn what_a_newer_build_says_of_addresses_is_passed_over() {
    let mut reader = Reader::new(&[4, 192, 0, 2, 1, 40, 1, 2, 3]);
    assert_eq!(Addresses::read(&mut reader).unwrap(), tied(&["192.0.2.1"]));
    assert!(Addresses::read(&mut Reader::new(&[6, 1, 2])).is_err());
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    (any::<Option<Ipv4Addr>>(), any::<Option<Ipv6Addr>>(), any::<Option<IpAddr>>()).prop_map(
        |(v4, v6, awaited)| {
            let mut addresses = Addresses::default();
            v4.into_iter().for_each(|address| addresses.tie(address.into()));
            v6.into_iter().for_each(|address| addresses.tie(address.into()));
            Addresses { awaited: awaited.map(|address| address.to_canonical()), ..addresses }
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read(addresses in any_addresses()) {
        let mut writer = Writer::new(&[]);
        addresses.write(&mut writer);
        let bytes = writer.into_bytes();
        prop_assert_eq!(Addresses::read(&mut Reader::new(&bytes)).unwrap(), addresses);
        if addresses.awaited.is_none() {
            prop_assert!(bytes.len() + 2 <= Addresses::MAX_BYTES);
        }
    }

    /// Once it is tied it stays usable from there, whatever else it was.
    #[test]
    fn who_is_let_in_once_is_let_in_again(addresses in any_addresses(), address in any::<IpAddr>()) {
        let rule = AddressRule::new(true, true, []);
        if rule.judge(&addresses, address) != Origin::Other {
            let mut after = addresses;
            after.tie(address);
            prop_assert_eq!(rule.judge(&after, address), Origin::Known);
        }
    }
}

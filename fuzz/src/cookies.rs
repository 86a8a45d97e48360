//! `Cookie`: ours are found, and hidden from the application; the others reach it as they came.
//!
//! A line of the input is one header.

use gateway::cookies::{MAX_VALUES, find, hide};
use http::HeaderMap;
use http::header::COOKIE;

use crate::message::{headers_of, values};

const OURS: [&str; 2] = ["session", "__Host-login"];

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"session=a; other=b",
    // CVE-2021-26690: `=` alone crashed mod_session.
    b"=",
    b"=; session==; =a",
    // Apache splits at `,` first, and so finds a session that nobody set.
    b"foo=x,session=a=1",
    // Two of one name with different values: which is meant?
    b"session=a; session=b; session=a; session=c; session=d; session=e",
    b"session=a\nsession=b; x=y\n other=1 ;session = c",
    // Quotes do not protect a semicolon (RFC 6265bis), though some servers read them so.
    b"a=\"1; session=x\"; session=\"x;y\"",
    b"$Version=1; session=a; $Path=/; $Domain=example.org",
    b"__Host-login=n; __host-login=n; __Host-login; __Host-login =\t n \t",
    b" ; ;; session=; \t;a=1;  b=2 ;\xff=\xfe",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"session", b"__Host-login", b"=", b"; ", b";", b"\n", b"\t", b"\"", b",", b"$Path"];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let before = headers_of(&COOKIE, bytes);
    for name in OURS {
        what_is_found_is_what_came(&before, name);
    }
    let mut after = before.clone();
    hide(&mut after, &OURS);
    ours_are_gone_and_the_others_as_they_came(&before, &after);

    let mut again = after.clone();
    hide(&mut again, &OURS);
    assert_eq!(again, after, "hiding twice hides no more");
}

fn what_is_found_is_what_came(headers: &HeaderMap, name: &str) {
    let mut expected: Vec<&[u8]> = Vec::new();
    for (known, value) in pairs(headers) {
        if known == Some(name.as_bytes()) && !expected.contains(&value) {
            expected.push(value);
        }
    }
    let found = find(headers, name);
    assert_eq!(found.too_many(), expected.len() > MAX_VALUES);
    let (count, too_many) = (expected.len().min(MAX_VALUES), found.too_many());
    assert_eq!(found.values().collect::<Vec<_>>(), expected[..count]);
    assert_eq!(found.is_empty(), expected.is_empty());
    // They are tickets, and nothing else than their number shows.
    assert_eq!(format!("{found:?}"), format!("Found {{ count: {count}, too_many: {too_many} }}"));
}

fn ours_are_gone_and_the_others_as_they_came(before: &HeaderMap, after: &HeaderMap) {
    let is_ours = |name: Option<&[u8]>| OURS.iter().any(|ours| name == Some(ours.as_bytes()));
    let others = |headers| -> Vec<(Option<Vec<u8>>, Vec<u8>)> {
        pairs(headers)
            .filter(|(name, value)| !(is_ours(*name) || name.is_none() && value.is_empty()))
            .map(|(name, value)| (name.map(<[u8]>::to_vec), value.to_vec()))
            .collect()
    };
    assert_eq!(others(after), others(before));
    assert!(pairs(after).all(|(name, _)| !is_ours(name)));
    let (came, left) = (values(before, &COOKIE), values(after, &COOKIE));
    if came.len() == 1 && pairs(before).all(|(name, _)| !is_ours(name)) {
        assert_eq!(left, came, "byte for byte");
    } else {
        assert!(left.len() <= 1, "many applications read only the first");
    }
    let length = |values: &[&[u8]]| values.iter().map(|value| value.len() + 2).sum::<usize>();
    assert!(length(&left) <= length(&came));
}

/// The cookies of a request as section 4.2 of RFC 6265bis writes them, read in the simplest way: name and value, or a
/// value without a name.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (Option<&[u8]>, &[u8])> {
    values(headers, &COOKIE).into_iter().flat_map(|value| value.split(|byte| *byte == b';')).map(|pair| {
        match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (Some(pair[..at].trim_ascii()), pair[at + 1..].trim_ascii()),
            None => (None, pair.trim_ascii()),
        }
    })
}

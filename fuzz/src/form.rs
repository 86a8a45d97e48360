//! The form text of `mod_session`, and the body of our own login form.

use std::collections::BTreeMap;

use dialects::apache::form::{EXPIRY, Form, Limits, decode, is_expiry, push_pair};
use gateway::fuzzing::LoginForm;
use percent_encoding::percent_decode;
use session::Value;

const LIMITS: Limits = Limits { bytes: 4096, pairs: 64 };

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"user=ada&expiry=1700000000000000&note=a+b%26c",
    // CVE-2021-26690: a key without a name.
    b"=&=a&a&a=&==&&",
    // mod_session compares before it decodes: this removes nothing there.
    b"caf%C3%A9=1&caf%c3%a9=",
    // A session that lost its end by writing it in another case.
    b"EXPIRY=9999999999999999&Expiry=&expiry=-1&eXp%69ry=1",
    b"expiry=9223372036854775807&expiry=9223372036854775808&expiry=+1",
    b"a=%&b=%2&c=%zz&%=d&e=%+1",
    b"a=%00&%00=b&c=\0",
    b"a=1&a=2&a=&a=3",
    b"bytes=%ff%fe&%ff=1",
    // CVE-2021-26691: many pairs, each counted one byte short.
    b"a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=0&k=1&l=2&m=3&n=4&o=5&p=6&q=7&r=8&s=9&t=0&u=1&v=2&w=3&x=4&y=5&z=6",
    b"user=ada&user=eve&password=%3d%26&token=",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"expiry=", b"EXPIRY", b"&", b"=", b"+", b"%00", b"%25", b"%26", b"%3D", b"%ff", b"%c3%a9"];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    check_session(bytes);
    check_login(bytes);
}

fn check_session(bytes: &[u8]) {
    let count = bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count();
    let is_too_large = bytes.len() > LIMITS.bytes || count > LIMITS.pairs;
    let form = match decode(bytes, LIMITS) {
        Ok(form) => form,
        Err(error) => return assert!(is_too_large, "{error}"),
    };
    assert!(!is_too_large);
    assert!(form.pairs.len() + form.notes.len() <= count);
    for pair in &form.pairs {
        assert!(!pair.key.is_empty() && !is_expiry(&pair.key) && !pair.key.contains(&0));
        let value = pair.value.as_ref().map(plain).unwrap_or_default();
        assert_eq!(value.is_empty(), pair.value.is_none(), "an empty value is a removal");
        assert!(!value.contains(&0));
    }
    agrees_with_a_simple_reader(bytes, &form);
    what_is_written_reads_back(&form);
}

/// What each key is at the end, read with the library for escapes.
fn agrees_with_a_simple_reader(bytes: &[u8], form: &Form) {
    let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut expiry = None;
    for pair in bytes.split(|byte| *byte == b'&') {
        let mut parts = pair.splitn(2, |byte| *byte == b'=');
        let mut part = || unescaped(parts.next().unwrap_or_default());
        let (Some(key), Some(value)) = (part(), part()) else { continue };
        if key.eq_ignore_ascii_case(EXPIRY.as_bytes()) {
            let number = String::from_utf8(value).ok();
            let number = number.and_then(|text| if text.is_empty() { Some(0) } else { text.parse().ok() });
            expiry = number.or(expiry);
        } else if !key.is_empty() {
            expected.insert(key, value);
        }
    }
    let found: BTreeMap<Vec<u8>, Vec<u8>> = form
        .pairs
        .iter()
        .map(|pair| (pair.key.clone(), pair.value.as_ref().map(plain).unwrap_or_default().to_vec()))
        .collect();
    assert_eq!(found.len(), form.pairs.len(), "each key once");
    assert_eq!(found, expected);
    assert_eq!(form.expiry, expiry);
}

fn what_is_written_reads_back(form: &Form) {
    let mut text = Vec::new();
    for pair in &form.pairs {
        push_pair(&mut text, &pair.key, pair.value.as_ref().map(plain).unwrap_or_default());
    }
    assert!(text.iter().all(u8::is_ascii_graphic), "it goes into a header");
    let limits = Limits { bytes: usize::MAX, ..LIMITS };
    let again = decode(&text, limits).expect("what we write is no longer than its parts");
    assert_eq!(again.pairs, form.pairs);
    assert!(again.notes.is_empty() && again.expiry.is_none());
}

fn check_login(bytes: &[u8]) {
    let fields: Option<Vec<(String, String)>> = bytes
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let mut part = || String::from_utf8(decoded(parts.next().unwrap_or_default())?).ok();
            Some((part()?, part()?))
        })
        .collect();
    let form = LoginForm::parse(bytes);
    assert_eq!(form.is_some(), fields.is_some());
    for (name, _) in fields.iter().flatten() {
        let first = fields.iter().flatten().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(form.as_ref().map(|form| form.field(name)), first, "the first counts");
    }
}

fn plain(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) => text.as_bytes(),
        Value::Bytes(bytes) => {
            assert!(std::str::from_utf8(bytes).is_err(), "bytes that are text are text");
            bytes
        }
        Value::List(_) | Value::Map(_) => panic!("a form is flat"),
    }
}

/// As [`decoded`], and there is no NUL in it.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    decoded(text).filter(|plain| !plain.contains(&0))
}

/// Without escapes; `None` where one is malformed, which the library would leave as it is.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let is_well_formed = text.iter().enumerate().filter(|(_, byte)| **byte == b'%').all(|(at, _)| {
        text.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    is_well_formed.then(|| percent_decode(&spaced).collect())
}

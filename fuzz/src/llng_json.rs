//! Bodies of LemonLDAP::NG's REST interface, against `serde_json`'s own reading of them.

use dialects::llng::Received;
use dialects::llng::json::{Unread, read_list, read_update, session};
use serde_json::Value as Json;
use session::{MAX_DEPTH, Value};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    // captures/llng/rest, 18-NGSession-create.
    br#"{"__secret":"n4NqnqOIztSf8GuKCQMl","_session_kind":"SSO","_session_id":"e286","foo":"bar","uid":"viaNG","_utime":1795321242}"#,
    br#"{"uid":"y","new":{"k":[1,2.50,-0,1e5]},"a":null,"on":true,"off":false}"#,
    br#"{"data":["uid","_utime"],"__secret":"sLYr"}"#,
    br#"{"data":"uid"}"#,
    b"{\"bytes\":\"D\xc3\xb6\",\"latin\":\"caf\xe9 \\\"\\\\\",\"\xe9\":\"\\u00e9\"}",
    br#"{"a":1,"a":null,"m":{"x":1,"x":[]},"":""}"#,
    br#"{"deep":[[[[[[[[[[[[[[[[["17"]]]]]]]]]]]]]]]]]}"#,
    br#"{"n":1e999,"m":-0.0,"o":123456789012345678901234567890}"#,
    br#"{"s":"\ud83d\ude00","lone":"\ud800"}"#,
    b"[]",
    b"{bad",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"__secret", b"data", b"null", b"\":", b"[[", b"]]", b"\\u00e9", b"\xe9", b"1.50", b"true"];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let read = read_update(Some("application/json"), bytes);
    let _ = read_list(Some("application/json"), bytes);
    if std::str::from_utf8(bytes).is_ok() {
        let is_object = match serde_json::from_slice::<Json>(bytes) {
            Ok(json) => json.is_object(),
            // Numbers that fit nowhere are text to us.
            Err(error) if error.to_string().starts_with("number out of range") => return,
            Err(_) => false,
        };
        // What is deeper or more than a session can hold is the only object that is refused.
        assert!(is_object || read.is_err());
        assert!(!is_object || read.is_ok() || is_too_much(&read));
    }
    let Ok(update) = read else { return };
    let stored: Vec<(Box<str>, Value)> = update
        .changes
        .into_iter()
        .filter_map(|(name, received)| Some((name, received.settle(None)?)))
        .collect();
    assert!(stored.iter().all(|(_, value)| value.is_at_most(MAX_DEPTH)));
    let body = session(stored.iter().map(|(name, value)| (&**name, value)));
    let again = read_update(Some("application/json"), &body).expect("what we write");
    assert_eq!(again.changes.len(), stored.len());
    for ((name, sent), (known, value)) in again.changes.into_iter().zip(&stored) {
        assert_eq!(&name, known);
        assert!(!matches!(sent, Received::Nil));
        assert_eq!(sent.settle(Some(value)).as_ref(), Some(value));
    }
}

fn is_too_much<T>(read: &Result<T, Unread>) -> bool {
    match read {
        Err(Unread::TooMuch) => true,
        Err(Unread::Malformed(text)) => text.contains("too many values"),
        _ => false,
    }
}

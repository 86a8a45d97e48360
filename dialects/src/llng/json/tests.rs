//! Bodies as they were captured between real clients and a real portal (spec/llng.md 3, captures/llng/rest and restraw),
//! and what must hold for others.

use proptest::prelude::*;

use super::*;
use crate::llng::Received;
use session::{MAX_DEPTH, Value};

const JSON: Option<&str> = Some("application/json");

fn update(body: &str) -> Result<Update, Unread> {
    read_update(JSON, body.as_bytes())
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

#[test]
fn numbers_stay_the_text_that_they_were_and_null_removes() {
    // captures/llng/restraw, 30-post-create and 50-put.
    let read = update(r#"{"uid":"x","a":[1,2.50],"n":null,"_utime":1795321242,"e":1e5,"t":true,"f":false}"#)
        .unwrap();
    let expected = [
        ("uid", text("x")),
        ("a", Received::List(vec![text("1"), text("2.50")])),
        ("n", Received::Nil),
        ("_utime", text("1795321242")),
        ("e", text("1e5")),
        ("t", text("1")),
        ("f", text("0")),
    ];
    assert!(
        read.changes.iter().map(|(name, value)| (&**name, value)).eq(expected.iter().map(|(n, v)| (*n, v)))
    );
    assert_eq!(read.secret, None);
}

#[test]
fn the_secret_is_taken_out_of_what_is_stored() {
    // captures/llng/rest, 18-NGSession-create.
    let read =
        update(r#"{"__secret":"n4NqXTw==","_session_kind":"SSO","hash":{"n":1},"uid":"viaNG"}"#).unwrap();
    assert_eq!(read.secret.as_deref(), Some("n4NqXTw=="));
    let names: Vec<&str> = read.changes.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["_session_kind", "hash", "uid"]);
    assert_eq!(format!("{read:?}"), "Update(3 changes)", "nothing that was sent is shown");
}

#[test]
fn a_list_is_asked_for_in_three_forms() {
    // captures/llng/rest, 09-list-all, 10-list-keys and 11-list-key.
    let list = |body: &str| read_list(JSON, body.as_bytes()).unwrap();
    assert_eq!(list(r#"{"data":null,"__secret":"S"}"#), (Wanted::All, Some("S".into())));
    assert_eq!(list("{}"), (Wanted::All, None));
    assert_eq!(list(r#"{"data":["uid","_utime"]}"#).0, Wanted::These(vec!["uid".into(), "_utime".into()]));
    assert_eq!(list(r#"{"data":"uid"}"#).0, Wanted::One("uid".into()));
    assert_eq!(read_list(JSON, br#"{"data":{}}"#), Err(Unread::NoObject));
}

#[test]
fn what_is_no_object_of_json_is_refused() {
    // captures/llng/restraw, 32, 33, 34 and 57.
    assert_eq!(read_update(None, b"{}"), Err(Unread::NotJson));
    assert_eq!(read_update(Some("application/x-www-form-urlencoded"), b"a=b"), Err(Unread::NotJson));
    assert_eq!(update(""), Err(Unread::NotJson));
    assert_eq!(Unread::NotJson.to_string(), "Data is not JSON");
    assert_eq!(update("[1]"), Err(Unread::NoObject));
    for bad in ["{bad", "{\"a\":1}x", "{\"a\":01}", "{1:2}", "{\"a\":NaN}", "{\"a\":\"\\ud800\"}", "\u{1}"] {
        assert!(matches!(update(bad), Err(Unread::Malformed(_))), "{bad}");
    }
    assert_eq!(read_update(JSON, &vec![b' '; MAX_BODY + 1]), Err(Unread::TooLarge));
    assert!(read_update(Some("Application/JSON; charset=utf-8"), b"{}").is_ok());
}

#[test]
fn values_are_as_deep_as_any_and_no_deeper() {
    let nested = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels), "]".repeat(levels));
    let mut fits = update(&nested(MAX_DEPTH)).unwrap().changes;
    assert!(fits.remove(0).1.settle(None).unwrap().is_at_most(MAX_DEPTH));
    assert_eq!(update(&nested(MAX_DEPTH + 1)), Err(Unread::TooMuch));
    assert!(update(&nested(100_000)).is_err());
    assert!(update(&format!("{{\"a\":[{}1]}}", "1,".repeat(1 << 16))).is_err());
    assert!(update(&format!("{{\"a\":[{}1]}}", "[],".repeat(1 << 15))).is_ok());
}

#[test]
fn a_string_that_is_no_utf_8_is_latin_1_and_the_others_are_not() {
    // captures/llng/rest, 26-delete-missing: both in one body.
    let body = b"{\"bytes\":\"D\xc3\xb6\",\"latin\":\"caf\xe9 \\\"\\\\\",\"k\xe9y\":\"\xc3\"}";
    let read = read_update(JSON, body).unwrap();
    let expected = [("bytes", "Dö"), ("latin", "café \"\\"), ("kéy", "Ã")];
    for ((name, value), (expected_name, expected)) in read.changes.iter().zip(expected) {
        assert_eq!(&**name, expected_name);
        assert!(*value == text(expected));
    }
    assert!(matches!(read_update(JSON, b"{\"a\":1}\xe9"), Err(Unread::Malformed(_))));
    assert!(matches!(read_update(JSON, b"{\"a\xe9"), Err(Unread::Malformed(_))));
}

#[test]
fn of_a_name_that_comes_again_the_last_counts() {
    let read = update(r#"{"a":1,"b":2,"a":null,"__secret":"x","__secret":"y"}"#).unwrap();
    assert!(read.changes == [("a".into(), Received::Nil), ("b".into(), text("2"))]);
    assert_eq!(read.secret.as_deref(), Some("y"));
}

#[test]
fn one_value_is_json_where_it_says_so() {
    assert!(read_value(JSON, b"[1]").unwrap() == Received::List(vec![text("1")]));
    assert!(read_value(None, b"[1]").unwrap() == Received::Octets((*b"[1]").into()));
}

#[test]
fn the_word_of_a_path_is_one_key_or_some() {
    // captures/llng/restraw, 11 to 15.
    assert_eq!(Wanted::of_path("uid"), Wanted::One("uid".into()));
    assert_eq!(Wanted::of_path("[uid,mail]"), Wanted::These(vec!["uid".into(), "mail".into()]));
    assert_eq!(Wanted::of_path("uid,mail"), Wanted::One("uid,mail".into()));
    assert_eq!(Wanted::of_path("["), Wanted::One("[".into()));
}

#[test]
fn a_search_compares_text_and_its_value_may_hold_commas() {
    let search = Search::parse("groups,a, b").unwrap();
    assert_eq!((&*search.name, search.value()), ("groups", "a, b"));
    assert!(search.finds(Some(&"a, b".into())));
    assert!(!search.finds(Some(&"a".into())) && !search.finds(None));
    assert!(!search.finds(Some(&Value::List(vec!["a, b".into()]))));
    assert_eq!(Search::parse("groups"), None);
    assert_eq!(Search::parse(",x"), None);
}

#[test]
fn answers_are_those_of_the_real_one() {
    // captures/llng/restraw, 11, 13, 27, 30 and 39; rest, 12-searchOn.
    let groups = Value::Map(vec![("users".into(), Value::Map(vec![("name".into(), "users".into())]))]);
    let values = [("cn", Value::from("Dö <&>\"'\u{1}")), ("hGroups", groups.clone())];
    let session = session(values.iter().map(|(name, value)| (*name, value)));
    let expected = r#"{"cn":"Dö <&>\"'\u0001","hGroups":{"users":{"name":"users"}}}"#;
    assert_eq!(std::str::from_utf8(&session).unwrap(), expected);
    let made = created([("uid", &Value::from("x"))].into_iter());
    assert_eq!(made, br#"{"result":1,"session":{"uid":"x"}}"#);
    assert_eq!(key(Some(&"dwho".into())), b"dwho");
    assert_eq!(key(Some(&groups)), br#"{"users":{"name":"users"}}"#);
    assert_eq!(key(Some(&Value::Bytes([0xe9].into()))), [0xe9]);
    assert_eq!(key(None), b"");
    assert_eq!(keys([("uid", Some(&"x".into())), ("none", None)].into_iter()), br#"{"uid":"x","none":null}"#);
    let mut listing = Listing::new();
    assert!(listing.is_empty());
    listing.push("21f4", [("uid", Some(&"dwho".into()))].into_iter());
    listing.push("3322", [("uid", None)].into_iter());
    assert_eq!(listing.finish(), br#"{"21f4":{"uid":"dwho"},"3322":{"uid":null}}"#);
    assert_eq!(Listing::new().finish(), b"{}");
}

#[test]
fn an_error_is_json_for_who_accepts_that_and_a_page_for_others() {
    // captures/llng/restraw, 16, 25 and 26.
    assert_eq!(
        error(Some("application/json"), "a \"b\""),
        (CONTENT_TYPE, br#"{"error":"a \"b\""}"#.to_vec())
    );
    for accept in [None, Some("text/html"), Some("text/xml")] {
        let (kind, page) = error(accept, "<b>");
        assert_eq!(kind, "text/html; charset=utf-8");
        assert!(String::from_utf8(page).unwrap().contains("<p>&lt;b&gt;</p>"));
    }
}

/// Any value that a session may hold. Octets come back as octets only beside those that are stored.
fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(Value::from_bytes),
    ];
    text.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| {
                Value::Map(map.into_iter().map(|(name, value)| (name.into(), value)).collect())
            }),
        ]
    })
}

proptest! {
    /// A client that reads a session and sends back all of it changes nothing.
    #[test]
    fn what_is_read_and_sent_back_stays_as_it_is(value in any_value(), name in any::<String>()) {
        let body = session([(&*name, &value)].into_iter());
        let mut changes = read_update(JSON, &body).unwrap().changes;
        prop_assume!(name != "__secret");
        let (read, sent) = changes.remove(0);
        prop_assert_eq!(&*read, &*name);
        prop_assert_eq!(sent.settle(Some(&value)), Some(value));
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read_update(JSON, &body);
    }
}

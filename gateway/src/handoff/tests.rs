use dialects::apache::form::{FormError, Limits, Note as PairNote, Problem as PairProblem};
use proptest::prelude::*;
use session::{Change, MAX_DEPTH, Millis, OnConflict, Patch, Revision};

use super::*;

fn entries(values: &[(&str, Value)]) -> Entries {
    let mut patch = Patch::new(Revision(0));
    for (name, value) in values {
        patch.set(name, value.clone());
    }
    let mut entries = Entries::default();
    entries.merge(&patch, Revision(1), OnConflict::KeepFirst);
    entries
}

fn list(values: &[&str]) -> Value {
    Value::List(values.iter().map(|value| (*value).into()).collect())
}

fn map(values: &[(&str, Value)]) -> Value {
    Value::Map(values.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

fn presentation(format: Format, separator: Option<&str>) -> Presentation {
    Presentation {
        header: HeaderName::from_static("x-session"),
        format,
        list_separator: separator.map(Into::into),
        entry_headers: vec![(HeaderName::from_static("x-user"), "user".into())],
        reserved: None,
        max_header_bytes: 200,
    }
}

fn shown_as(format: Format, separator: Option<&str>, values: &[(&str, Value)]) -> String {
    let value = presentation(format, separator).value(&[], &entries(values)).unwrap();
    value.to_str().unwrap().to_owned()
}

fn read(format: Format, headers: &[&str]) -> Received {
    let values: Vec<HeaderValue> =
        headers.iter().map(|value| HeaderValue::from_bytes(value.as_bytes()).unwrap()).collect();
    receive(&values, format, Revision(7), Limits::default())
}

fn changes(received: &Received) -> Vec<(&str, Option<&Value>)> {
    received
        .patch
        .changes()
        .map(|(name, change)| match change {
            Change::Set(value) => (name, Some(value)),
            Change::Remove => (name, None),
        })
        .collect()
}

#[test]
fn a_session_is_presented_as_a_form() {
    let nested =
        map(&[("city", "Berlin".into()), ("phone", list(&["1", "2"])), ("at", map(&[("x", "y".into())]))]);
    for (separator, values, expected) in [
        (None, &[][..], ""),
        (None, &[("key1", "foo".into()), ("my key", "a&b=é".into())], "key1=foo&my+key=a%26b%3d%c3%a9"),
        (None, &[("b", Value::Bytes([0xff, 0].into()))], "b=%ff%00"),
        (None, &[("l", list(&["1", "2"])), ("e", list(&[]))], "l=1&l=2"),
        (None, &[("a", nested.clone())], "a.city=Berlin&a.phone=1&a.phone=2&a.at.x=y"),
        (
            None,
            &[("i", Value::List(vec![map(&[("n", "1".into())]), map(&[("n", "2".into())])]))],
            "i.n=1&i.n=2",
        ),
        (Some(";"), &[("l", list(&["1", "2;3", "4\\"])), ("e", list(&[]))], "l=1%3b2%5c%3b3%3b4%5c%5c"),
        (Some(", "), &[("a", nested)], "a.city=Berlin&a.phone=1%2c+2&a.at.x=y"),
        (Some(";"), &[("l", Value::List(vec!["1".into(), list(&["2", "3"])]))], "l=1&l=2%3b3"),
        // These have no name in a form.
        (None, &[("expiry", "1".into()), ("EXPIRY", "1".into()), ("", "1".into()), ("a", "1".into())], "a=1"),
    ] {
        assert_eq!(shown_as(Format::Form, separator, values), expected, "{values:?}");
    }
}

#[test]
fn a_session_is_presented_as_json_in_ascii() {
    let nested = map(&[("city", "Köln".into()), ("phone", list(&["1", "2"]))]);
    for (values, expected) in [
        (&[][..], "{}"),
        (&[("a", "é\u{1f600}\"\\\n\u{7f}".into())], r#"{"a":"\u00e9\ud83d\ude00\"\\\n\u007f"}"#),
        (&[("ü", nested), ("e", list(&[]))], r#"{"\u00fc":{"city":"K\u00f6ln","phone":["1","2"]},"e":[]}"#),
        (&[("b", Value::Bytes([0xff, 0].into()))], r#"{"b":{"$base64":"/wA="}}"#),
    ] {
        assert_eq!(shown_as(Format::Json, None, values), expected, "{values:?}");
    }
}

#[test]
fn an_entry_can_have_a_header_of_its_own() {
    for (separator, value, expected) in [
        (None, "alice".into(), "alice"),
        (None, " a b%c\té ".into(), "%20a b%25c%09%C3%A9%20"),
        (None, Value::Bytes([0xff].into()), "%FF"),
        (None, list(&["a", "b,c"]), "a, b%2Cc"),
        (Some(";"), list(&["a", "b;c"]), r"a;b\;c"),
        (None, list(&[]), ""),
        (None, map(&[("n", "50%".into())]), r#"{"n":"50%25"}"#),
        (Some(";"), Value::List(vec!["a".into(), list(&["b"])]), r#"["a",["b"]]"#),
        (None, "a\r\nX-Admin: yes".into(), "a%0D%0AX-Admin: yes"),
    ] {
        let presentation = presentation(Format::Form, separator);
        let values =
            presentation.entry_values(&[], &entries(&[("user", value)])).map(|values| values[0].1.clone());
        assert_eq!(values.unwrap(), expected);
    }
    let none = presentation(Format::Form, None);
    assert_eq!(none.entry_values(&[], &entries(&[("other", "1".into())])).unwrap(), []);
}

#[test]
fn an_entry_cannot_pass_for_what_the_gateway_says() {
    let entries = entries(&[("user", "admin".into()), ("note", "1".into())]);
    for (format, expected) in
        [(Format::Form, "user=alice&note=1"), (Format::Json, r#"{"user":"alice","note":"1"}"#)]
    {
        let mut headers = HeaderMap::new();
        presentation(format, None).insert(&[("user", "alice")], &entries, &mut headers).unwrap();
        assert_eq!(headers.get("x-session").unwrap(), expected);
        assert_eq!(headers.get("x-user").unwrap(), "alice");
        assert!(headers.get("x-session").unwrap().is_sensitive());
    }
}

#[test]
fn what_is_too_large_is_named() {
    let entries =
        entries(&[("small", "1".into()), ("basket", "x".repeat(250).into()), ("note", "é".repeat(9).into())]);
    let mut headers = HeaderMap::new();
    let error = presentation(Format::Form, None).insert(&[], &entries, &mut headers).unwrap_err();
    assert!(headers.is_empty());
    assert_eq!(
        error.to_string(),
        "the session takes 325 bytes as the header `x-session`, and at most 200 are sent; the largest entries are \
         `basket` (257 bytes), `note` (59 bytes), `small` (7 bytes): let the application keep less in them, or raise \
         `max_header_bytes`"
    );
    let error = presentation(Format::Json, None).value(&[], &entries).unwrap_err();
    assert_eq!(&*error.largest[0].0, "basket");
    let user = self::entries(&[("user", "x".repeat(201).into())]);
    let error = presentation(Format::Form, None).entry_values(&[], &user).unwrap_err();
    assert_eq!((error.header.as_str(), error.bytes, error.limit), ("x-user", 201, 200));
}

#[test]
fn nothing_but_a_fact_is_shown_under_the_reserved_name() {
    let forged =
        entries(&[("user", "admin".into()), ("a", "1".into()), ("user2", map(&[("name", "admin".into())]))]);
    for (format, reserved, shown, single, with_fact) in [
        (Format::Form, "user", "a=1&user2.name=admin", None, "user=ada&a=1&user2.name=admin"),
        (Format::Form, "user2.name", "user=admin&a=1", Some("admin"), "user2.name=ada&user=admin&a=1"),
        (
            Format::Json,
            "user",
            r#"{"a":"1","user2":{"name":"admin"}}"#,
            None,
            r#"{"user":"ada","a":"1","user2":{"name":"admin"}}"#,
        ),
    ] {
        let presentation = Presentation { reserved: Some(reserved.into()), ..presentation(format, None) };
        assert_eq!(presentation.value(&[], &forged).unwrap(), shown);
        let values = presentation.entry_values(&[], &forged).unwrap();
        assert_eq!(values.first().map(|(_, value)| value.to_str().unwrap()), single, "{reserved}");
        assert_eq!(presentation.value(&[(reserved, "ada")], &forged).unwrap(), with_fact);
    }
    let presentation = Presentation { reserved: Some("user".into()), ..presentation(Format::Form, None) };
    let mut headers = HeaderMap::new();
    presentation.insert(&[("user", "ada")], &forged, &mut headers).unwrap();
    assert_eq!(headers["x-user"], "ada");
}

#[test]
fn conflicts_are_told_as_far_as_they_fit() {
    let names = ["a,b".into(), "é c".into(), "third".into()];
    let told = |names: &[Box<str>], format, most| {
        let (value, told) = conflicts(names, format, most);
        assert!(value.len() <= most, "{value:?}");
        (value.to_str().unwrap().to_owned(), told)
    };
    for (format, most, value, count) in [
        (Format::Form, 100, "a%2cb,%c3%a9+c,third", 3),
        (Format::Form, 20, "a%2cb,%c3%a9+c,third", 3),
        (Format::Form, 19, "a%2cb,%c3%a9+c", 2),
        (Format::Json, 100, r#"["a,b","\u00e9 c","third"]"#, 3),
        (Format::Json, 26, r#"["a,b","\u00e9 c","third"]"#, 3),
        (Format::Json, 25, r#"["a,b","\u00e9 c"]"#, 2),
    ] {
        assert_eq!(told(&names, format, most), (value.to_owned(), count), "{most}");
    }
    assert_eq!(told(&[], Format::Json, 20), ("[]".to_owned(), 0));
    let names = ["a".into(), "x".repeat(30).into(), "b".into()];
    assert_eq!(told(&names, Format::Form, 20), ("a,b".to_owned(), 3), "what fits nowhere holds nothing up");
    assert_eq!(told(&names, Format::Json, 20), (r#"["a","b"]"#.to_owned(), 3));
}

#[test]
fn an_update_is_one_patch_against_what_the_application_saw() {
    let received = read(Format::Form, &["key1=foo&key2=&my+key=", "key3=bar&key1=&=x&a=%zz"]);
    assert_eq!(received.patch.seen, Revision(7));
    assert_eq!(
        changes(&received),
        [("key1", None), ("key2", None), ("my key", None), ("key3", Some(&"bar".into()))]
    );
    let pair = |pair, problem| Note { header: 2, problem: Problem::Pair(PairNote { pair, problem }) };
    assert_eq!(received.notes, [pair(3, PairProblem::NoKey), pair(4, PairProblem::Escape)]);
}

#[test]
fn an_update_may_come_as_json() {
    let received = read(
        Format::Json,
        &[
            r#"{"a":"é","b":null,"c":[1,null,true,"x",-2,1.5],"d":{"n":{"m":null,"k":"v"}},"e":""}"#,
            r#" {"a":"2","f":{"$base64":"/wA="},"g":{"$base64":"?"},"h":"\u00e9"} "#,
        ],
    );
    assert_eq!(received.notes, []);
    assert_eq!(
        changes(&received),
        [
            ("a", Some(&"2".into())),
            ("b", None),
            ("c", Some(&list(&["1", "true", "x", "-2", "1.5"]))),
            ("d", Some(&map(&[("n", map(&[("k", "v".into())]))]))),
            ("e", Some(&"".into())),
            ("f", Some(&Value::Bytes([0xff, 0].into()))),
            ("g", Some(&map(&[("$base64", "?".into())]))),
            ("h", Some(&"é".into())),
        ]
    );
}

#[test]
fn the_last_of_a_name_counts_in_json_at_every_depth() {
    let received =
        read(Format::Json, &[r#"{"a":1,"a":null,"m":{"x":1,"x":null,"y":null,"y":2,"z":1,"z":3}}"#]);
    let nested = map(&[("y", "2".into()), ("z", "3".into())]);
    assert_eq!(changes(&received), [("a", None), ("m", Some(&nested))]);
}

#[test]
fn an_update_that_cannot_be_read_changes_nothing_and_the_others_count() {
    for (text, at) in
        [("", 0), ("[]", 0), ("\"secret\"", 0), ("{\"a\":1", 6), ("{\"a\":1} x", 9), ("{a:1}", 2)]
    {
        let received = read(Format::Json, &["{\"a\":\"1\"}", text, "{\"b\":\"2\"}"]);
        assert_eq!(received.notes.len(), 1, "{text}");
        let note = &received.notes[0];
        assert!(note.header == 2 && matches!(note.problem, Problem::Json { .. }), "{text}: {note}");
        assert!(at == 0 || note.problem == Problem::Json { at }, "{text}: {note}");
        assert!(!note.to_string().contains("secret"));
        assert_eq!(changes(&received).len(), 2);
    }
    let deep = format!(
        "{{\"a\":{}{},\"b\":\"1\",\"\":\"2\"}}",
        "[".repeat(MAX_DEPTH + 1),
        "]".repeat(MAX_DEPTH + 1)
    );
    let received = read(Format::Json, &[&deep]);
    let problems: Vec<_> = received.notes.iter().map(|note| note.problem).collect();
    assert_eq!(problems, [Problem::Depth { member: 1 }, Problem::Name { member: 3 }]);
    assert_eq!(changes(&received), [("b", Some(&"1".into()))]);

    assert_eq!(read(Format::Form, &["%ff=1&a=1"]).notes[0].problem, Problem::Name { member: 1 });
    let values = [HeaderValue::from_static("aaaaa=1")];
    for format in [Format::Form, Format::Json] {
        let received = receive(&values, format, Revision(0), Limits { bytes: 6, pairs: 9 });
        assert_eq!(received.notes[0].problem, Problem::Form(FormError::TooLong { bytes: 7, limit: 6 }));
    }
    let values = [HeaderValue::from_static(r#"{"a":1,"b":2}"#)];
    let received = receive(&values, Format::Json, Revision(0), Limits { bytes: 99, pairs: 1 });
    assert_eq!(received.notes[0].problem, Problem::Form(FormError::TooManyPairs { limit: 1 }));
    assert!(received.patch.is_empty());
}

#[test]
fn all_headers_of_an_answer_share_one_budget() {
    let values =
        |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<HeaderValue>>();
    let read = |texts: &[&str], format, bytes, pairs| {
        let received = receive(&values(texts), format, Revision(0), Limits { bytes, pairs });
        let names: Vec<String> = changes(&received).iter().map(|(name, _)| (*name).to_owned()).collect();
        (names.join(" "), received.notes.iter().map(|note| note.header).collect::<Vec<_>>())
    };
    for (format, texts) in [
        (Format::Form, ["a=1&b=2", "c=3&d=4", "e=5"]),
        (Format::Json, [r#"{"a":1,"b":2}"#, r#"{"c":[3]}"#, r#"{"e":5}"#]),
    ] {
        let length = texts[0].len();
        let all = if format == Format::Form { "a b c d e" } else { "a b c e" };
        assert_eq!(read(&texts, format, 99, 5), (all.to_owned(), vec![]));
        assert_eq!(read(&texts, format, 99, 4).1, [3], "{format:?}");
        assert_eq!(read(&texts, format, 99, 3), ("a b".to_owned(), vec![2, 3]));
        assert_eq!(read(&texts, format, length, 99), ("a b".to_owned(), vec![2, 3]));
    }
}

#[test]
fn nested_values_count_and_too_many_are_not_read_to_the_end() {
    let members = |count| (0..count).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>().join(",");
    let received = read(Format::Json, &[&format!("{{\"a\":{{{}}}}}", members(1023))]);
    assert_eq!(received.notes, []);
    // What follows the last that is read is no JSON, and nobody notices.
    for text in [
        format!("{{\"a\":{{{} nonsense", members(1025)),
        format!("{{\"a\":[{}] nonsense", "1,".repeat(1025)),
        format!("{{\"a\":[{}] nonsense", "{},".repeat(1025)),
        format!("{{{} nonsense", members(1025)),
    ] {
        let received = read(Format::Json, &[&text]);
        let problems: Vec<_> = received.notes.iter().map(|note| note.problem).collect();
        assert_eq!(problems, [Problem::Form(FormError::TooManyPairs { limit: 1024 })]);
        assert!(received.patch.is_empty());
    }
}

#[test]
fn expiry_brings_the_end_nearer_and_is_no_entry() {
    for (format, headers, ends, notes) in [
        (Format::Form, &["a=1"][..], None, 0),
        (Format::Form, &["expiry=1700000000000999"], Some(1_700_000_000_000), 0),
        (Format::Form, &["EXPIRY=5000", "expiry=6000"], Some(6), 0),
        (Format::Form, &["expiry=5000", "expiry="], None, 0),
        (Format::Form, &["expiry=-1"], Some(0), 0),
        (Format::Form, &["expiry=abc"], None, 1),
        (Format::Json, &[r#"{"Expiry":5000}"#], Some(5), 0),
        (Format::Json, &[r#"{"expiry":"5000"}"#], Some(5), 0),
        (Format::Json, &[r#"{"expiry":null}"#], None, 0),
        (Format::Json, &[r#"{"expiry":[5000]}"#], None, 1),
        (Format::Json, &[r#"{"expiry":1.5}"#], None, 1),
    ] {
        let received = read(format, headers);
        assert_eq!(received.patch.ends, ends.map(Millis), "{headers:?}");
        assert_eq!(received.notes.len(), notes, "{headers:?}");
        assert!(received.patch.changes().all(|(name, _)| name == "a"));
    }
}

/// Values of every kind, nested.
fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<String>().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..8).prop_map(Value::from_bytes),
    ];
    scalar.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
            prop::collection::btree_map("[a-cé\"]{1,2}", inner, 0..4).prop_map(|map| Value::Map(
                map.into_iter().map(|(name, value)| (name.into(), value)).collect()
            )),
        ]
    })
}

proptest! {
    /// What is presented as JSON and sent back unchanged changes nothing.
    #[test]
    fn json_carries_everything_there_and_back(
        all in prop::collection::btree_map("[ -~é\u{1f600}]{1,6}", values(), 0..5),
    ) {
        let all: Vec<(String, Value)> = all.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("expiry")).collect();
        let borrowed: Vec<(&str, Value)> = all.iter().map(|(name, value)| (&**name, value.clone())).collect();
        let presentation = Presentation { max_header_bytes: usize::MAX, ..presentation(Format::Json, None) };
        let header = presentation.value(&[], &entries(&borrowed)).unwrap();
        prop_assert!(header.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
        let received = receive(&[header], Format::Json, Revision(0), Limits::default());
        prop_assert_eq!(received.notes.len(), 0);
        let expected: Vec<_> = all.iter().map(|(name, value)| (&**name, Some(value))).collect();
        prop_assert_eq!(changes(&received), expected);
    }

    /// Flat entries come back from a form as they were.
    #[test]
    fn a_form_carries_text_there_and_back(all in prop::collection::btree_map("[ -~é]{1,6}", "[ -~é\u{1}]{1,12}", 0..6)) {
        let all: Vec<(String, String)> = all.into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("expiry")).collect();
        let borrowed: Vec<(&str, Value)> = all.iter().map(|(name, value)| (&**name, (&**value).into())).collect();
        let presentation = Presentation { max_header_bytes: usize::MAX, ..presentation(Format::Form, None) };
        let header = presentation.value(&[], &entries(&borrowed)).unwrap();
        let received = receive(&[header], Format::Form, Revision(0), Limits::default());
        let values: Vec<(&str, Option<Value>)> =
            changes(&received).into_iter().map(|(name, value)| (name, value.cloned())).collect();
        let expected: Vec<_> = borrowed.into_iter().map(|(name, value)| (name, Some(value))).collect();
        prop_assert_eq!(values, expected);
    }

    /// Whatever an entry holds, its header decodes to it.
    #[test]
    fn an_entry_header_carries_any_bytes(value in prop::collection::vec(any::<u8>(), 0..24)) {
        let header = HeaderValue::try_from(entry_header::escaped(&value)).unwrap();
        prop_assert_eq!(percent_encoding::percent_decode(header.as_bytes()).collect::<Vec<u8>>(), value);
    }

    /// Any bytes that a header can hold are read without failing.
    #[test]
    fn receiving_is_total(text in "[{}\\[\\]\":,a=&%0é\\\\u$.-]{0,40}") {
        for format in [Format::Form, Format::Json] {
            read(format, &[&text, &text]);
        }
    }
}

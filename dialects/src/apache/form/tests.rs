use proptest::prelude::*;

use super::*;

/// Keys and values as text, `None` for a removal.
fn read(text: &str) -> Vec<(String, Option<String>)> {
    let form = decode(text.as_bytes(), Limits::default()).unwrap();
    let value = |value: Value| match value {
        Value::Text(text) => text.into(),
        other => format!("{other:?}"),
    };
    form.pairs.into_iter().map(|pair| (pair.name().unwrap().to_owned(), pair.value.map(value))).collect()
}

fn problems(text: &[u8]) -> Vec<(usize, Problem)> {
    let notes = decode(text, Limits::default()).unwrap().notes;
    notes.into_iter().map(|note| (note.pair, note.problem)).collect()
}

/// What `mod_session` reads, where it is right, and what it should read where it is not.
#[test]
fn forms_are_read_as_the_module_writes_them() {
    for (text, expected) in [
        ("", &[][..]),
        ("key1=foo&key3=bar", &[("key1", Some("foo")), ("key3", Some("bar"))]),
        ("%2fadmin-user=alice", &[("/admin-user", Some("alice"))]),
        ("a=1&a=2&b=9&a=3", &[("a", Some("3")), ("b", Some("9"))]),
        ("a=", &[("a", None)]),
        ("a", &[("a", None)]),
        ("a=1&a=", &[("a", None)]),
        ("a=&a=1", &[("a", Some("1"))]),
        // The module compares the key before it decodes it, and removes nothing.
        ("my%20key=", &[("my key", None)]),
        ("my+key=", &[("my key", None)]),
        ("my+key", &[("my key", None)]),
        ("a=b=c", &[("a", Some("b=c"))]),
        ("a==b", &[("a", Some("=b"))]),
        ("&&a=1&&b=2&", &[("a", Some("1")), ("b", Some("2"))]),
        ("a=x+y", &[("a", Some("x y"))]),
        ("a=x%2By", &[("a", Some("x+y"))]),
        ("a=%C3%a9", &[("a", Some("é"))]),
        ("a=\u{1}é", &[("a", Some("\u{1}é"))]),
        ("a=\"x\"", &[("a", Some("\"x\""))]),
        // The module takes these for one key.
        ("key1=a&KEY1=b", &[("key1", Some("a")), ("KEY1", Some("b"))]),
    ] {
        let expected: Vec<_> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
        assert_eq!(read(text), expected, "{text}");
        assert_eq!(problems(text.as_bytes()), [], "{text}");
    }
}

#[test]
fn a_pair_that_cannot_be_read_is_left_out_and_told() {
    for (text, problem) in [
        (&b"a=%zz"[..], Problem::Escape),
        (b"a=%2", Problem::Escape),
        (b"a=%", Problem::Escape),
        (b"%zz=1", Problem::Escape),
        (b"a=%+1", Problem::Escape),
        (b"a=x%00y", Problem::Nul),
        (b"a=x\0y", Problem::Nul),
        (b"a%00=x", Problem::Nul),
        (b"=x", Problem::NoKey),
        (b"==x", Problem::NoKey),
        (b"=", Problem::NoKey),
        (b"expiry=abc", Problem::Expiry),
        (b"expiry=1x", Problem::Expiry),
        (b"expiry=99999999999999999999", Problem::Expiry),
        (b"expiry=\xff", Problem::Expiry),
    ] {
        let around = [b"a=old&expiry=7&", text, b"&b=2"].concat();
        assert_eq!(problems(&around), [(3, problem)], "{}", text.escape_ascii());
        let form = decode(&around, Limits::default()).unwrap();
        assert_eq!(form.pairs.len(), 2);
        assert_eq!(form.pairs[0].value, Some("old".into()));
        assert_eq!(form.expiry, Some(7));
    }
    // CVE-2021-26690 was a pair without a key.
    assert_eq!(read("key1=foo&=&expiry=1"), [("key1".to_owned(), Some("foo".to_owned()))]);
}

#[test]
fn an_expiry_is_never_an_entry() {
    for (text, expiry) in [
        ("a=1", None),
        ("a=1&expiry=1700000000000000", Some(1_700_000_000_000_000)),
        ("EXPIRY=5&a=1", Some(5)),
        ("expiry=5&a=1&eXpiry=6", Some(6)),
        ("a=1&%65xpiry=5", Some(5)),
        ("a=1&expiry=-1", Some(-1)),
        ("a=1&expiry=", Some(0)),
        ("a=1&expiry", Some(0)),
    ] {
        let form = decode(text.as_bytes(), Limits::default()).unwrap();
        assert_eq!(form.expiry, expiry, "{text}");
        assert_eq!(form.pairs.len(), 1, "{text}");
    }
}

#[test]
fn values_that_are_no_text_are_bytes() {
    let form = decode(b"a=%ff&%fe=1", Limits::default()).unwrap();
    assert_eq!(form.pairs[0].value, Some(Value::Bytes(Box::new([0xff]))));
    assert_eq!(form.pairs[1].name(), None);
    assert_eq!(form.pairs[1].key, [0xfe]);
}

#[test]
fn a_form_that_is_too_large_is_not_read() {
    let limits = Limits { bytes: 7, pairs: 2 };
    assert!(decode(b"a=1&b=2", limits).is_ok());
    assert_eq!(decode(b"a=1&b=22", limits), Err(FormError::TooLong { bytes: 8, limit: 7 }));
    assert!(decode(b"&a&&&a&", limits).is_ok());
    assert_eq!(decode(b"a&a&a", limits), Err(FormError::TooManyPairs { limit: 2 }));
    assert_eq!(decode(b"=&=&=", limits), Err(FormError::TooManyPairs { limit: 2 }));
}

#[test]
fn pairs_are_written_as_the_module_writes_them() {
    let mut text = Vec::new();
    push_pair(&mut text, b"key1", b"foo");
    push_pair(&mut text, b"/admin user", b"a.b-c*d_e~f/+&=%");
    push_pair(&mut text, "é".as_bytes(), b"\x00\xff\"");
    assert_eq!(text, b"key1=foo&%2fadmin+user=a.b-c*d_e%7ef%2f%2b%26%3d%25&%c3%a9=%00%ff%22");
}

#[test]
fn each_byte_is_written_as_the_module_writes_it_wherever_it_stands() {
    for byte in 0..=u8::MAX {
        let expected = match byte {
            b' ' => "+".to_owned(),
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-' | b'*' | b'_' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02x}"),
        };
        for before in [0, 1, 31, 32, 63, 70] {
            let mut text = Vec::new();
            push_pair(&mut text, &[byte], &[&vec![b'x'; before][..], &[byte], b"yz"].concat());
            let written = format!("{expected}={}{expected}yz", "x".repeat(before));
            assert_eq!(text, written.as_bytes(), "byte {byte} after {before}");
        }
    }
}

proptest! {
    /// What is written is read.
    #[test]
    fn written_pairs_are_read_again(
        pairs in prop::collection::vec(
            (prop::collection::vec(1u8.., 1..12), prop::collection::vec(1u8.., 1..24)),
            0..8,
        ),
    ) {
        let mut text = Vec::new();
        let mut expected: Vec<Pair> = Vec::new();
        for (key, value) in pairs.into_iter().filter(|(key, _)| !is_expiry(key)) {
            push_pair(&mut text, &key, &value);
            let value = Some(Value::from_bytes(value));
            match expected.iter_mut().find(|known| known.key == key) {
                Some(known) => known.value = value,
                None => expected.push(Pair { key, value }),
            }
        }
        prop_assert!(text.iter().all(u8::is_ascii_graphic));
        let form = decode(&text, Limits::default()).unwrap();
        prop_assert_eq!(form, Form { pairs: expected, expiry: None, notes: vec![] });
    }

    /// Any bytes are a form, and every pair is either read or told.
    #[test]
    fn reading_is_total(text in prop::collection::vec(prop::sample::select(b"a=&%+2f0\0\xffexpiry".to_vec()), 0..64)) {
        let form = decode(&text, Limits::default()).unwrap();
        prop_assert!(form.pairs.iter().all(|pair| !pair.key.is_empty() && !is_expiry(&pair.key)));
        let written = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count();
        prop_assert!(form.pairs.len() + form.notes.len() <= written);
    }
}

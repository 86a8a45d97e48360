//! Keys, their names and files, and rings of them.

use crate::{IdError, Key, KeyId, KeyRing, KeyState, RingError, SealError, TextError};

fn id(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn from_text(text: &str) -> Result<Key, TextError> {
    Key::from_text(id("test"), KeyState::Active, text)
}

const TEXT: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn a_generated_key_can_be_read_back() {
    let text = Key::generate_text().unwrap();
    assert_eq!(text.expose().len(), 45);
    assert!(from_text(text.expose()).is_ok());
    assert_ne!(Key::generate_text().unwrap().expose(), text.expose());
}

#[test]
fn white_space_and_missing_padding_do_not_matter() {
    let tag = from_text(TEXT).unwrap().tag().unwrap();
    for text in [format!("  {TEXT}\r\n"), TEXT.trim_end_matches('=').to_owned()] {
        assert_eq!(from_text(&text).unwrap().tag().unwrap(), tag);
    }
}

#[test]
fn a_wrong_text_is_explained_and_not_repeated() {
    let cases = [
        ("", TextError::Empty),
        (" \n", TextError::Empty),
        ("AAECAwQF*gcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", TextError::NotBase64 { position: 9 }),
        ("AAECAwQF\nBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", TextError::NotBase64 { position: 9 }),
        ("AAECAwQFé", TextError::NotBase64 { position: 9 }),
        ("AAECAwQFBgcICQoLDA0ODw==", TextError::Length { length: 16 }),
        ("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIj", TextError::Length { length: 36 }),
        ("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", TextError::Hexadecimal),
        ("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", TextError::Weak),
    ];
    for (text, expected) in cases {
        let error = from_text(text).unwrap_err();
        assert_eq!(error, expected, "{text}");
        assert!(text.get(..8).is_none_or(|start| !error.to_string().contains(start)));
    }
    assert!(matches!(from_text(&"AAEC".repeat(10_000)), Err(TextError::Length { .. })));
}

#[test]
fn a_key_shows_its_name_and_not_its_bytes() {
    let key = from_text(TEXT).unwrap();
    assert_eq!(format!("{key:?}"), "Key { id: KeyId(\"test\"), state: Active, .. }");
    assert_eq!(format!("{:?}", Key::generate_text().unwrap()), "KeyText(..)");
    let ring = KeyRing::new(vec![key]).unwrap();
    let shown = format!("{ring:?}").replace(' ', "");
    assert!(!shown.contains("0,1,2,3,4") && !shown.contains(TEXT), "{shown}");
}

#[test]
fn names_are_short_and_plain() {
    for good in ["2026-11", "a", "A.b_c-9", &"x".repeat(64)] {
        assert_eq!(id(good).as_str(), good);
    }
    assert_eq!("".parse::<KeyId>(), Err(IdError::Empty));
    assert_eq!("x".repeat(65).parse::<KeyId>(), Err(IdError::TooLong { length: 65 }));
    for (bad, character) in [("a b", ' '), ("../key", '/'), ("schlüssel", 'ü'), ("a\0", '\0')] {
        assert_eq!(bad.parse::<KeyId>(), Err(IdError::Character { character }));
    }
}

#[test]
fn a_ring_needs_an_active_key() {
    assert_eq!(KeyRing::new(vec![]).unwrap_err(), RingError::NoneActive { keys: 0 });
    let announced = Key::from_text(id("next"), KeyState::Announced, TEXT).unwrap();
    assert_eq!(KeyRing::new(vec![announced]).unwrap_err(), RingError::NoneActive { keys: 1 });
}

#[test]
fn a_ring_holds_no_name_and_no_key_twice() {
    let other = Key::generate_text().unwrap();
    let first = || Key::from_text(id("a"), KeyState::Active, TEXT).unwrap();
    let same_id = Key::from_text(id("a"), KeyState::Retiring, other.expose()).unwrap();
    assert_eq!(KeyRing::new(vec![first(), same_id]).unwrap_err(), RingError::SameId { id: id("a") });
    let same_key = Key::from_text(id("b"), KeyState::Retiring, TEXT).unwrap();
    assert_eq!(
        KeyRing::new(vec![first(), same_key]).unwrap_err(),
        RingError::SameKey { first: id("a"), second: id("b") }
    );
}

#[test]
fn the_first_active_key_seals() {
    let key =
        |name: &str, state| Key::from_text(id(name), state, Key::generate_text().unwrap().expose()).unwrap();
    let ring = KeyRing::new(vec![
        key("next", KeyState::Announced),
        key("now", KeyState::Active),
        key("also", KeyState::Active),
        key("old", KeyState::Retiring),
    ])
    .unwrap();
    let sealing = ring.sealing_key().unwrap();
    assert_eq!(sealing.id, id("now"));
    let sealed = ring.seal(b"", b"").unwrap();
    let tag = sealed[1..5].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(tag, sealing.tag.to_string());
    assert_eq!(ring.keys().count(), 4);
}

#[test]
fn what_is_too_large_is_refused() {
    let ring = KeyRing::new(vec![from_text(TEXT).unwrap()]).unwrap();
    let large = vec![0; crate::MAX_PLAIN_LEN + 1];
    assert_eq!(ring.seal(b"", &large), Err(SealError::TooLarge { length: large.len() }));
}

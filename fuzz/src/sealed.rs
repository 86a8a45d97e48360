//! Sealed values: nothing opens but what was sealed, for what it was sealed for; and the text of keys.
//!
//! An input that begins with `o` is opened as it is. Any other is the plain text of a value that is sealed and then
//! changed: its first bytes say how.

use std::sync::LazyLock;

use seal::{Key, KeyId, KeyRing, KeyState, TextError, open_under, seal_under};
use zeroize::Zeroizing;

/// Inputs to begin with. The first was sealed with the first key for `purpose` by 0.1.0, and opens for ever.
pub const SEEDS: &[&[u8]] = &[
    FROM_0_1_0,
    b"o\x01",
    b"o\x01aaaanonceNONCEnotagnotagnotagno",
    b"o",
    b"\0\0\0\0\0hello",
    b"\x01\x04\0\x80\0the last bit",
    b"\x02\x10\0\0\x03cut off",
    b"\x03\0\0\0\x05one purpose for another",
    b"kAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    b"k000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f",
    b"kAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[b"o\x01", b"o\x81", b"k", b"=", b"AAAA"];

const FROM_0_1_0: &[u8] =
    b"o\x01\xbe\x36\x62\xd2\xa3\xf4\x1a\xe3\xe4\x51\x3d\x39\x07\x91\xbc\xaf\x8c\x6a\x7c\x17\xfa\x51\xaf\x1f\
\x0a\x63\xbf\x34\xbd\xe5\x8c\x80\xad\x41\xb5\x6b\xf2\xbe\xca\x82\xca\x17\x0b\xfc\x5a\x81\x66";

/// Format, key tag, nonce and authentication tag.
const OVERHEAD: usize = 1 + 4 + 12 + 16;

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let key = |id: &str, state, byte: u8| {
        let mut bytes = Zeroizing::new([byte; 32]);
        bytes[0] = 0;
        Key::new(id.parse::<KeyId>().expect("a name"), state, bytes)
    };
    let keys = vec![
        key("old", KeyState::Retiring, 1),
        key("now", KeyState::Active, 2),
        key("next", KeyState::Announced, 3),
    ];
    KeyRing::new(keys).expect("one is active")
});

static MESSAGES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let all = [
        TextError::Empty,
        TextError::NotBase64 { position: 0 },
        TextError::Hexadecimal,
        TextError::Length { length: 0 },
        TextError::Weak,
    ];
    all.iter().map(|error| without_digits(&error.to_string())).collect()
});

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    match bytes {
        [b'o', sealed @ ..] => what_opens_was_sealed(sealed),
        [b'k', text @ ..] => a_key_is_32_bytes(text),
        [how, low, high, flip, purpose, plain @ ..] => {
            let at = usize::from(u16::from_le_bytes([*low, *high]));
            what_was_changed_does_not_open(*how, at, *flip, *purpose, plain);
        }
        _ => {}
    }
}

/// Whoever does not have the keys makes nothing that opens, but what we once made ourselves.
fn what_opens_was_sealed(sealed: &[u8]) {
    let opened = RING.open(b"purpose", sealed);
    assert_eq!(
        opened.is_ok(),
        FROM_0_1_0.strip_prefix(b"o") == Some(sealed),
        "forged: {}",
        sealed.escape_ascii()
    );
    assert!(RING.open(b"another purpose", sealed).is_err());
    assert!(open_under(&[7; 32], "label", sealed).is_err());
}

fn what_was_changed_does_not_open(how: u8, at: usize, flip: u8, purpose: u8, plain: &[u8]) {
    let (purpose, plain) = plain.split_at(usize::from(purpose).min(plain.len()));
    let sealed = RING.seal(purpose, plain).expect("it is small");
    assert_eq!(sealed.len(), plain.len() + OVERHEAD);
    assert_eq!(RING.open(purpose, &sealed).as_deref(), Ok(plain));

    let under = seal_under(&[7; 32], "label", plain).expect("it is small");
    assert_eq!(open_under(&[7; 32], "label", &under).as_deref(), Ok(plain));
    assert!(open_under(&[7; 32], "other", &under).is_err() && open_under(&[8; 32], "label", &under).is_err());
    // Each way of sealing keeps to itself.
    assert!(RING.open(purpose, &under).is_err() && open_under(&[7; 32], "label", &sealed).is_err());

    let (mut changed, mut for_what) = (sealed.clone(), purpose.to_vec());
    let at = at % sealed.len();
    match how % 4 {
        0 => changed[at] ^= flip,
        1 => changed.truncate(at),
        2 => changed.insert(at, flip),
        _ => for_what.insert(at % (purpose.len() + 1), flip),
    }
    let is_the_same = changed == sealed && for_what == purpose;
    assert_eq!(RING.open(&for_what, &changed).is_ok(), is_the_same);
}

fn a_key_is_32_bytes(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else { return };
    let _ = text.parse::<KeyId>().map(|id| assert_eq!(id.as_str(), text));
    match Key::from_text("key".parse().expect("a name"), KeyState::Active, text) {
        Ok(key) => {
            assert!((43..=44).contains(&text.trim_ascii().len()));
            assert_eq!(format!("{key:?}"), "Key { id: KeyId(\"key\"), state: Active, .. }");
        }
        // Numbers are all that it says of the text.
        Err(error) => assert!(MESSAGES.contains(&without_digits(&error.to_string())), "{error}"),
    }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_digit()).collect()
}

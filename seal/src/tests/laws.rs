//! What sealing promises, stated over arbitrary values.

use crate::{Key, KeyRing, KeyState, OpenError, open_under, seal_under};
use proptest::prelude::*;
use zeroize::Zeroizing;

fn key(id: &str, state: KeyState, byte: u8) -> Key {
    let mut bytes = [byte; 32];
    bytes[0] = 0xA5;
    Key::new(id.parse().unwrap(), state, Zeroizing::new(bytes))
}

fn ring(keys: Vec<Key>) -> KeyRing {
    KeyRing::new(keys).unwrap()
}

fn one() -> KeyRing {
    ring(vec![key("one", KeyState::Active, 1)])
}

proptest! {
    #[test]
    fn what_is_sealed_opens_for_the_same_purpose(purpose: Vec<u8>, plain: Vec<u8>) {
        let ring = one();
        let sealed = ring.seal(&purpose, &plain).unwrap();
        prop_assert_eq!(sealed.len(), plain.len() + 33);
        prop_assert_eq!(ring.open(&purpose, &sealed), Ok(plain));
    }

    #[test]
    fn it_does_not_open_for_another_purpose(purpose: Vec<u8>, other: Vec<u8>, plain: Vec<u8>) {
        prop_assume!(purpose != other);
        let ring = one();
        let sealed = ring.seal(&purpose, &plain).unwrap();
        prop_assert_eq!(ring.open(&other, &sealed), Err(OpenError));
    }

    #[test]
    fn a_change_of_any_byte_is_noticed(plain in prop::collection::vec(any::<u8>(), 0..64), flip in 1u8..) {
        let ring = one();
        let sealed = ring.seal(b"purpose", &plain).unwrap();
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= flip;
            prop_assert_eq!(ring.open(b"purpose", &changed), Err(OpenError), "byte {}", place);
        }
    }

    #[test]
    fn neither_a_shorter_nor_a_longer_value_opens(plain in prop::collection::vec(any::<u8>(), 0..64), more in 1usize..40) {
        let ring = one();
        let sealed = ring.seal(b"purpose", &plain).unwrap();
        for length in 0..sealed.len() {
            prop_assert_eq!(ring.open(b"purpose", &sealed[..length]), Err(OpenError));
        }
        let mut longer = sealed;
        longer.resize(longer.len() + more, 0);
        prop_assert_eq!(ring.open(b"purpose", &longer), Err(OpenError));
    }

    #[test]
    fn arbitrary_bytes_do_not_open(bytes: Vec<u8>) {
        prop_assert_eq!(one().open(b"purpose", &bytes), Err(OpenError));
        prop_assert_eq!(open_under(&[7; 32], "label", &bytes), Err(OpenError));
    }

    #[test]
    fn under_a_secret_only_that_secret_and_label_open(secret: [u8; 32], other: [u8; 32], label: String, another: String, plain: Vec<u8>) {
        let sealed = seal_under(&secret, &label, &plain).unwrap();
        prop_assert_eq!(open_under(&secret, &label, &sealed), Ok(plain.clone()));
        if other != secret {
            prop_assert_eq!(open_under(&other, &label, &sealed), Err(OpenError));
        }
        if another != label {
            prop_assert_eq!(open_under(&secret, &another, &sealed), Err(OpenError));
        }
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            prop_assert_eq!(open_under(&secret, &label, &changed), Err(OpenError));
        }
    }

    /// Nodes are updated one after the other. At each step of a rotation, whatever any of them sealed, before
    /// or after it took the step, opens on all.
    #[test]
    fn a_rotation_never_strands_a_value(plain: Vec<u8>) {
        use KeyState::{Active, Announced, Retiring};
        let steps = [
            vec![key("old", Active, 1)],
            vec![key("old", Active, 1), key("new", Announced, 2)],
            vec![key("new", Active, 2), key("old", Active, 1)],
            vec![key("new", Active, 2), key("old", Retiring, 1)],
        ].map(ring);
        for pair in steps.windows(2) {
            for (from, to) in [(0, 1), (1, 0)] {
                let sealed = pair[from].seal(b"purpose", &plain).unwrap();
                prop_assert_eq!(pair[to].open(b"purpose", &sealed), Ok(plain.clone()));
            }
        }
        let by_old = steps[0].seal(b"purpose", &plain).unwrap();
        prop_assert_eq!(steps[3].open(b"purpose", &by_old), Ok(plain.clone()));
        let without_old = ring(vec![key("new", Active, 2)]);
        prop_assert_eq!(without_old.open(b"purpose", &by_old), Err(OpenError));
    }
}

#[test]
fn equal_values_look_different_each_time() {
    let ring = one();
    let first = ring.seal(b"", b"same").unwrap();
    let second = ring.seal(b"", b"same").unwrap();
    assert_ne!(first, second);
    assert_eq!(first[..5], second[..5], "format and key tag are the same");
}

/// A value made by an earlier build: whoever changes the format in passing hears of it here.
#[test]
fn the_formats_of_today_open_tomorrow() {
    let hex = |text: &str| -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    assert_eq!(one().open(b"purpose", &hex(RING_VALUE)), Ok(b"coat 42".to_vec()));
    assert_eq!(open_under(&[7; 32], "label", &hex(UNDER_VALUE)), Ok(b"coat 42".to_vec()));
}

const RING_VALUE: &str = "014ee438bb41cec608e9186891bbe87045b6e15689d06d90b7d15bc23fdba69c5dd9f68ea7c8efe7";
const UNDER_VALUE: &str = "818b7f491c20c5e3071cd5e7041a310cb48200b6df8a875dbdbe369ec499d5d61a2c912e";

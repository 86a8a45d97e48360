//! What is written is read; and nothing that was changed is.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use seal::{Key as SealingKey, KeyRing, KeyState};
use zeroize::Zeroizing;

use super::*;

const DUMP: &str = "a dump";

fn keys() -> Keys {
    let bytes = Zeroizing::new(std::array::from_fn(|index| index as u8));
    Keys::new(KeyRing::new(vec![SealingKey::new("one".parse().unwrap(), KeyState::Active, bytes)]).unwrap())
}

fn time() -> impl Strategy<Value = Millis> {
    option::of(0..1_u64 << 53).prop_map(|time| time.map_or(Millis::NEVER, Millis))
}

fn key() -> impl Strategy<Value = Key> {
    ("[a-z.\"\u{e9}\u{1}]{1,60}", vec(any::<u8>(), 1..=255))
        .prop_map(|(context, name)| Key::new(&context, &name).unwrap())
}

fn record() -> impl Strategy<Value = Record> {
    (vec(any::<u8>(), 0..300), 0..=Version::MOST_MOVED.0, 0..1_u64 << 53, time()).prop_map(
        |(value, version, touched, expires)| {
            let times = Times { touched: Millis(touched), expires };
            Record { value: value.into(), version: Version(version), times }
        },
    )
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    (0..1_u64 << 53, proptest::sample::select(Why::ALL.to_vec()), ".{0,40}", time())
        .prop_map(|(at, why, by, until)| Tombstone { ending: Ending::new(Millis(at), why, &by), until })
}

/// Through the text of a file.
fn through(line: &Line, dump: &str) -> Result<Option<Content>, NotOurs> {
    let text = serde_json::to_string(line).unwrap();
    assert!(!text.contains('\n'), "{text}");
    serde_json::from_str::<Line>(&text).unwrap().open(dump, &keys())
}

proptest! {
    #[test]
    fn a_record_survives_and_belongs_to_its_dump(key in key(), record in record()) {
        let line = Line::of_record(&key, &record, DUMP, &keys()).unwrap();
        let Ok(Some(Content::Live(found, read))) = through(&line, DUMP) else { panic!("it does not open") };
        prop_assert_eq!((found, read), (key, record));
        prop_assert!(matches!(through(&line, "another dump"), Err(NotOurs::Changed)));
    }

    #[test]
    fn a_tombstone_survives_and_belongs_to_its_dump(key in key(), tombstone in tombstone()) {
        let line = Line::of_tombstone(&key, &tombstone, DUMP, &keys()).unwrap();
        let Ok(Some(Content::Buried(found, read))) = through(&line, DUMP) else { panic!("it does not open") };
        prop_assert_eq!((found, read), (key, tombstone));
        prop_assert!(matches!(through(&line, "another dump"), Err(NotOurs::Changed)));
    }

    /// Whatever one writes into one of its fields.
    #[test]
    fn a_changed_line_does_not_open(key in key(), record in record(), field in 0..4_usize, by in 1..1_000_u64) {
        let Line::Record(line) = Line::of_record(&key, &record, DUMP, &keys()).unwrap() else { panic!("no record") };
        let mut changed = line.clone();
        match field {
            0 => changed.version += by,
            1 => changed.touched += by,
            2 => changed.expires = changed.expires.map_or(Some(by), |expires| Some(expires + by)),
            _ => changed.address.context.push('x'),
        }
        prop_assert!(through(&Line::Record(line), DUMP).is_ok());
        prop_assert!(matches!(through(&Line::Record(changed), DUMP), Err(NotOurs::Changed)));
    }
}

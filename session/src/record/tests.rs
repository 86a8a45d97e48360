use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{OnConflict, Patch, Ticket};

fn full_session() -> Session {
    let ticket = Ticket::random().unwrap();
    let mut session = Session::new(ticket.handle, ticket.secret.hash(), "shop", Millis(1_700_000_000_000));
    let mut patch = Patch::new(Revision(1));
    patch.set("name", "Ada Löwe".into());
    patch.set("bytes", Value::from_bytes(vec![0xff, 0, 1]));
    patch.set("nested", Value::List(vec!["a".into(), Value::Map(vec![("k".into(), Value::List(vec![]))])]));
    patch.set("gone", "1".into());
    session.apply(&patch, OnConflict::KeepFirst);
    let mut removal = Patch::new(session.revision);
    removal.remove("gone");
    removal.ends = Some(Millis(1_800_000_000_000));
    session.apply(&removal, OnConflict::KeepFirst);
    session.principal =
        Some(Principal { session_index: Some("i.1".into()), ..Principal::named("idp", "ada") });
    session.authentication = Some(Authentication { at: Millis(1_700_000_000_001), level: "mfa".into() });
    session.previous = Some(Previous {
        secret: ticket.secret.hash(),
        until: session.begun.plus(Duration::from_secs(10)),
        successor: vec![1, 2, 3].into(),
    });
    session.epochs =
        Epochs { person: Epoch(1 << 51), index: Epoch(7), everybody: Epoch(u64::MAX), ..Epochs::default() };
    session.lineage = Some(Lineage {
        renewed: Millis(1_700_000_000_002),
        ancestors: vec![SecretHash::from_bytes([3; 32]), SecretHash::from_bytes([4; 32])],
    });
    session.conflicts = vec![Conflict { name: "name".into(), noted: Revision(3) }];
    session.addresses = Addresses::awaiting([192, 0, 2, 1].into());
    session.assertions = ["_a1".into(), "".into(), "id.with.dots".into()].into();
    session
}

#[test]
fn a_record_reads_back_what_it_wrote() {
    let session = full_session();
    assert_eq!(decode(&encode(&session)).unwrap(), session);
}

#[test]
fn a_session_remembers_each_of_its_counters_and_those_that_were_never_raised_cost_nothing() {
    let mut session = full_session();
    session.epochs = Epochs::default();
    let without = encode(&session);
    for (epochs, bytes) in [
        (Epochs { person: Epoch(9), ..Epochs::default() }, 3),
        (Epochs { index: Epoch(9), ..Epochs::default() }, 6),
        (Epochs { realm: Epoch(9), ..Epochs::default() }, 6),
        (Epochs { everybody: Epoch(9), ..Epochs::default() }, 6),
        (Epochs { issued: Epoch(9), ..Epochs::default() }, 6),
    ] {
        session.epochs = epochs;
        let encoded = encode(&session);
        assert_eq!(encoded.len(), without.len() + bytes, "{epochs:?}");
        assert_eq!(decode(&encoded).unwrap().epochs, epochs);
    }
}

#[test]
fn a_record_of_the_first_format_is_read_for_ever() {
    // Written by 0.1.0. If this fails, the format has changed under those who have sessions.
    let mut session = Session::new(
        Handle::from_bytes([0xab; 16]),
        crate::Secret::from_bytes([7; 32]).hash(),
        "shop",
        Millis(1_700_000_000_000),
    );
    let mut patch = Patch::new(Revision(1));
    patch.set("a", "1".into());
    session.apply(&patch, OnConflict::KeepFirst);
    let stored = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/record/format-1.bin")).unwrap();
    assert_eq!(decode(&stored).unwrap(), session);
    assert_eq!(encode(&session), stored);
}

#[test]
fn text_that_was_written_as_bytes_is_text() {
    let mut bytes = encode(&full_session());
    // Tag and length, written in revision 1, the name `t`, and the byte `x`.
    bytes.extend_from_slice(&[19, 6, 1, 1, b't', 1, 1, b'x']);
    let session = decode(&bytes).unwrap();
    assert_eq!(session.entries.get("t"), Some(&Value::from("x")), "or setting it again would be a conflict");
}

#[test]
fn what_a_newer_build_added_survives_this_one() {
    let mut bytes = encode(&full_session());
    bytes.extend_from_slice(&[200, 1, 3, 9, 9, 9]);
    let mut session = decode(&bytes).unwrap();
    assert_eq!(session.unknown.len(), 1);
    let mut patch = Patch::new(session.revision);
    patch.set("later", "1".into());
    session.apply(&patch, OnConflict::KeepFirst);
    let again = encode(&session);
    assert!(again.ends_with(&[200, 1, 3, 9, 9, 9]));
}

#[test]
fn what_must_be_understood_is_refused_not_guessed() {
    let mut bytes = encode(&full_session());
    bytes.extend_from_slice(&[201, 1, 0]);
    assert_eq!(decode(&bytes), Err(Malformed::Newer { what: "field", number: 201 }));
    assert_eq!(decode(&[MAGIC, 2]), Err(Malformed::Newer { what: "format", number: 2 }));
}

#[test]
fn every_truncation_is_noticed_or_lacks_only_whole_fields() {
    let session = full_session();
    let bytes = encode(&session);
    for length in 0..bytes.len() {
        if let Ok(read) = decode(bytes.get(..length).unwrap()) {
            assert_eq!(read.handle, session.handle, "{length}");
        }
    }
}

#[test]
fn nesting_is_bounded() {
    let mut value = Value::List(vec![]);
    for _ in 0..MAX_DEPTH - 1 {
        value = Value::List(vec![value]);
    }
    assert!(value.is_at_most(MAX_DEPTH));
    let mut session = full_session();
    let set = |session: &mut Session, value: &Value| {
        let mut patch = Patch::new(session.revision);
        patch.set("deep", value.clone());
        session.apply(&patch, OnConflict::KeepFirst);
    };
    set(&mut session, &value);
    assert!(decode(&encode(&session)).is_ok());
    set(&mut session, &Value::List(vec![value]));
    assert_eq!(decode(&encode(&session)), Err(Malformed::Damaged("a value is nested too deeply")));
}

proptest! {
    #[test]
    fn any_bytes_are_a_session_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        let mut headed = vec![MAGIC, FORMAT];
        headed.extend(bytes);
        let _ = decode(&headed);
    }

    #[test]
    fn a_flipped_byte_never_panics(at in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = encode(&full_session());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = decode(&bytes);
    }
}

#[test]
fn of_a_session_that_is_read_in_part_all_is_there_but_the_other_entries() {
    let whole = full_session();
    let bytes = encode(&whole);
    let some = decode_some(&bytes, |name| name == "nested").unwrap();
    let live: Vec<_> = some.entries.iter().collect();
    assert_eq!(live, [("nested", whole.entries.get("nested").unwrap())]);
    let without = |session: &Session| Session {
        entries: Entries::restore(Vec::new(), Vec::new(), whole.entries.floor()),
        conflicts: Vec::new(),
        ..session.clone()
    };
    assert_eq!(without(&some), without(&whole));
    assert_eq!(decode_some(&bytes, |_| true).unwrap().entries.live(), whole.entries.live());
}

#[test]
fn a_session_that_is_read_in_part_is_refused_where_a_newer_build_gave_it_another_meaning() {
    let mut bytes = encode(&full_session());
    bytes.extend([99, 1, 0]);
    let newer = Malformed::Newer { what: "field", number: 99 };
    assert_eq!(decode_some(&bytes, |_| false), Err(newer));
}

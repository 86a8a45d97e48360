//! A session as it lies in storage: what can be read is written back as it was, and can be changed.

use session::{MAX_DEPTH, MAX_ENTRIES, OnConflict, Patch, Revision, Value, record};

/// Inputs to begin with. The first is the record of the first format, which every build reads.
pub const SEEDS: &[&[u8]] = &[
    include_bytes!("../../session/src/record/format-1.bin"),
    b"\xc1\x01",
    b"\xc1\x02",
    // What may stand behind the shortest one.
    b"+",
    b"+\x13\x05\x01\x01a\x00\x00",
    b"+\x13\x09\x01\x01a\x03\x01\x01k\x02\x00",
    b"+\x13\x08\x01\x01a\x02\xff\xff\xff\x7f",
    b"+\x13\x06\x01\x01a\x01\x01a",
    b"+\x13\x16\x01\x01a\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02\x01\x02",
    b"+\x15\x03\x01\x01a\x17\x01\x02\x19\x03\x01\x01b",
    b"+\x0b\x07\x01i\x01n\x00\x00\x00",
    b"+\xc8\x01\x03\x09\x09\x09",
    b"+\xc9\x01\x00",
    b"+\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
    b"+\x0f\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"\xc1\x01", b"\x13", b"\x15", b"\x17", b"\x19", b"\x02\x01", b"\x03\x01\x01k", b"\xff\xff\xff\x7f"];

/// Handle, realm, beginning, secret and revision.
const SHORTEST: &[u8] = b"\xc1\x01\x01\x10HANDLEHANDLE0123\x03\x04shop\x05\x01\x00\
\x07\x200123456789abcdef0123456789ABCDEF\x09\x01\x01";

/// Checks the laws. An input that begins with `+` stands behind a record that is whole.
pub fn check(bytes: &[u8]) {
    match bytes.strip_prefix(b"+") {
        Some(fields) => check_record(&[SHORTEST, fields].concat()),
        None => check_record(bytes),
    }
}

fn check_record(bytes: &[u8]) {
    let session = match record::decode(bytes) {
        Ok(session) => session,
        Err(error) => return assert!(error.to_string().len() < 200),
    };
    assert!(session.entries.len() <= MAX_ENTRIES);
    for (name, value) in session.entries.iter() {
        assert!(value.is_at_most(MAX_DEPTH) && texts_are_texts(value));
        assert_eq!(session.entries.iter().filter(|(other, _)| *other == name).count(), 1);
    }
    let written = record::encode(&session);
    assert_eq!(record::decode(&written).as_ref(), Ok(&session));
    assert!(written.len() <= bytes.len() * 2 + 64, "a damaged record does not grow");
    assert_eq!(format!("{:?}", session.secret), "SecretHash(..)");
    if let Some(previous) = &session.previous {
        assert_eq!(format!("{previous:?}"), format!("Previous {{ until: {:?}, .. }}", previous.until));
    }

    let mut changed = session.clone();
    let mut patch = Patch::new(Revision(session.revision.0));
    patch.set("added", "1".into());
    if let Some((name, _)) = session.entries.iter().next() {
        patch.remove(name);
    }
    changed.apply(&patch, OnConflict::Overwrite);
    assert!(changed.revision >= session.revision);
    assert_eq!(record::decode(&record::encode(&changed)), Ok(changed));
}

/// Equal values must be equal, or a merge finds conflicts where there are none.
fn texts_are_texts(value: &Value) -> bool {
    match value {
        Value::Text(_) => true,
        Value::Bytes(bytes) => std::str::from_utf8(bytes).is_err(),
        Value::List(values) => values.iter().all(texts_are_texts),
        Value::Map(members) => members.iter().all(|(_, value)| texts_are_texts(value)),
    }
}

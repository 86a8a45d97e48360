//! The update header in its form: taken from an answer in every spelling, read within its bounds, and presented as it was
//! read.
//!
//! A line of the input is a header, `name: value`.

use dialects::apache::form::{Limits, is_expiry};
use gateway::handoff::{Format, Presentation, Received, conflicts, receive};
use gateway::hygiene::Update;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use session::{Change, Entries, Handle, Millis, OnConflict, Patch, Revision, Secret, Session, Value, record};

use crate::message;

const NAME: HeaderName = HeaderName::from_static("x-replace-session");

/// What the headers of one answer may have together.
pub(crate) const LIMITS: Limits = Limits { bytes: 2048, pairs: 40 };

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"X-Replace-Session: user=ada&note=a+b%26c&gone=",
    // Every spelling that an application's server might write, and no client may see.
    b"X-Replace-Session: a=1\nx_replace_session: b=2\nX.Replace.Session: c=3\nX-Replace-Sessions: d",
    b"X-Replace-Session: a=1\nX-Replace-Session: a=2&a=&b=1\nX-Replace-Session: b=",
    b"X-Replace-Session: expiry=1\nX-Replace-Session: EXPIRY=1700000000000000&expiry=x",
    b"X-Replace-Session: =&=a&a&%zz=1&%ff=1&b=%00",
    b"X-Replace-Session: \xff=\xfe&caf\xc3\xa9=1",
    b"X-Replace-Session:\nX-Replace-Session: &&&",
    b"X-Replace-Session: 1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17&18&19&20&21\nX-Replace-Session: 1=1&2=1&3=1&4=1&5=1&6=1&7=1&8=1&9=1&10=1&11=1&12=1&13=1&14=1&15=1&16=1&17=1&18=1&19=1&20=1&21=1",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"X-Replace-Session: ",
    b"X_Replace_Session: ",
    b"\n",
    b"expiry=",
    b"&",
    b"=",
    b"+",
    b"%00",
    b"%26",
    b"%ff",
    b"Connection: ",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let before = message::headers(bytes);
    let mut after = before.clone();
    let values = Update::new(NAME).take(&mut after);
    what_is_taken_is_gone_in_every_spelling(&before, &after, &values);

    let received = receive(&values, Format::Form, Revision(7), LIMITS);
    let pairs = values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b'&')).count();
    assert!(received.notes.len() <= pairs);
    what_is_received_is_bounded_and_named(&received);
    each_header_counts_where_all_fit(&values, &received);
    what_was_read_is_presented(&received.patch, Format::Form);
}

fn what_is_taken_is_gone_in_every_spelling(before: &HeaderMap, after: &HeaderMap, taken: &[HeaderValue]) {
    let is_spelling = |name: &HeaderName| {
        let plain = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'-' };
        name.as_str().bytes().map(plain).eq(NAME.as_str().bytes())
    };
    assert!(!after.keys().any(is_spelling));
    assert_eq!(taken.len(), before.get_all(NAME).iter().count());
    let others = |headers: &HeaderMap| headers.iter().filter(|(name, _)| !is_spelling(name)).count();
    assert_eq!(others(after), others(before));
}

pub(crate) fn what_is_received_is_bounded_and_named(received: &Received) {
    let changes: Vec<(&str, &Change)> = received.patch.changes().collect();
    assert!(changes.len() <= LIMITS.pairs);
    for (at, (name, _)) in changes.iter().enumerate() {
        assert!(!name.is_empty() && !is_expiry(name.as_bytes()));
        assert!(!changes[..at].iter().any(|(earlier, _)| earlier == name), "each name once");
    }
}

/// The bounds are for all headers together; within them each is read as if it were alone.
fn each_header_counts_where_all_fit(values: &[HeaderValue], received: &Received) {
    let bytes: usize = values.iter().map(HeaderValue::len).sum();
    let pairs: usize = values.iter().map(|value| value.as_bytes().split(|byte| *byte == b'&').count()).sum();
    if bytes > LIMITS.bytes || pairs > LIMITS.pairs {
        return;
    }
    let mut expected = Patch::new(received.patch.seen);
    for value in values {
        let alone = receive(std::slice::from_ref(value), Format::Form, expected.seen, LIMITS).patch;
        for (name, change) in alone.changes() {
            match change {
                Change::Set(value) => expected.set(name, value.clone()),
                Change::Remove => expected.remove(name),
            }
        }
    }
    assert!(received.patch.changes().eq(expected.changes()));
}

/// A session that got these changes is presented, and who sends the header back changes nothing.
pub(crate) fn what_was_read_is_presented(patch: &Patch, format: Format) {
    let secret = Secret::from_bytes([7; 32]);
    let mut session = Session::new(Handle::from_bytes([1; 16]), secret.hash(), "shop", Millis(0));
    session.apply(patch, OnConflict::KeepFirst);
    assert_eq!(record::decode(&record::encode(&session)).as_ref(), Ok(&session), "it can be kept");

    let header = HeaderName::from_static("x-session");
    let presentation = Presentation {
        header: header.clone(),
        format,
        list_separator: None,
        entry_headers: vec![(HeaderName::from_static("x-session-a"), "a".into())],
        reserved: None,
        max_header_bytes: 64 << 10,
    };
    let mut headers = HeaderMap::new();
    presentation
        .insert(&[], &session.entries, &mut headers)
        .expect("what came in that small is not that large");
    for value in headers.values() {
        assert!(value.is_sensitive() && value.as_bytes().iter().all(|byte| (b' '..=b'~').contains(byte)));
    }
    let values: Vec<HeaderValue> = headers.get_all(&header).iter().cloned().collect();
    let limits = Limits { bytes: 64 << 10, ..LIMITS };
    let again = receive(&values, format, session.revision, limits);
    assert!(again.notes.is_empty(), "{:?}", again.notes);
    let set: Vec<(&str, &Value)> = again
        .patch
        .changes()
        .map(|(name, change)| match change {
            Change::Set(value) => (name, value),
            Change::Remove => panic!("nothing that is presented is a removal"),
        })
        .collect();
    assert!(set.into_iter().eq(session.entries.iter()), "presented otherwise than it was read");
    what_is_too_late_is_told_within_bounds(&session.entries, format);
}

fn what_is_too_late_is_told_within_bounds(entries: &Entries, format: Format) {
    let names: Vec<Box<str>> = entries.iter().map(|(name, _)| name.into()).collect();
    for max in [2, 16, 4096] {
        let (value, told) = conflicts(&names, format, max);
        assert!(value.len() <= max && told <= names.len());
        assert!(told > 0 || names.is_empty(), "else the first would be in the way for ever");
    }
}

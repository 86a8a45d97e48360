//! Which sessions end, and what a counter says of how they ended: what can be read is written back, and no logout is lost.

use session::{EndedBy, Late, Millis, Selector};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"",
    b"the visitor",
    b"the visitor\x1f192.0.2.7",
    b"\xc1\x01",
    b"\xc1\x02",
    b"\xc1\x01\x01\x01\x05\x03\x06logout\x05\x03ops\x07\x02\x07\x09\x07\x02\x08\x08",
    b"\xc1\x01\x01\x01\x05\x03\x08abducted\x05\x00\x08\x00",
    b"\xc1\x01\x01\x10HANDLEHANDLE0123",
    b"\xc1\x01\x01\x00",
    b"\xc1\x01\x03\x0a\x03idp\x03ann\x00\x00\x00\x05\x06id.1.2\x05\x00",
    b"\xc1\x01\x0f\x03idp\x05\x03sid",
    b"\xc1\x01\x07\x04shop\x0b\x01\x07",
    b"\xc1\x01\x09\x00\x0d\x02\x01\x02",
    b"\xc1\x01\x09\x00\x07\x04shop",
    b"\xc1\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
];

/// What it is made of.
pub const WORDS: &[&[u8]] =
    &[b"\xc1\x01", b"\x07\x02", b"\x0d\x02", b"\x05\x01", b"\x03logout", b"\x1f", b"\x09\x00"];

const WRITTEN: Millis = Millis(1_700_000_000_000);

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    if let Ok(selector) = Selector::decode(bytes) {
        let written = selector.encode();
        assert_eq!(Selector::decode(&written), Ok(selector));
        assert!(written.len() <= bytes.len() * 2 + 64, "it does not grow");
    }
    let Ok(ended_by) = EndedBy::decode(bytes, WRITTEN) else { return };
    let written = ended_by.encode();
    let again = EndedBy::decode(&written, Millis(0)).expect("what is written can be read");
    assert_eq!(again, ended_by);
    // The next end keeps what waits, and is in nobody's way.
    let now = Millis(1);
    let mut next = EndedBy::new(ended_by.ending.clone());
    next.wait([Late { issued: Millis(5), until: Millis(9) }], ended_by.late(), now);
    for late in ended_by.late().iter().filter(|late| late.until > now) {
        let still = next.refuses(Some(late.issued), Millis(late.until.0 - 1).max(now));
        assert!(still.is_some(), "{late:?} is forgotten");
    }
    assert!(next.refuses(None, Millis(8)).is_some());
}

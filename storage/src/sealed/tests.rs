//! Sealed values over the memory engine: the contract, and what whoever writes to the storage cannot do.

use proptest::prelude::*;
use seal::KeyState::{Active, Retiring};
use seal::{KeyRing, KeyState};

use super::*;
use crate::kit::{START, key, manual_clock, new_value, record};
use crate::{Blame, Memory};

fn ring(keys: &[(&str, KeyState, u8)]) -> KeyRing {
    let key = |(id, state, byte): &(&str, KeyState, u8)| {
        let mut bytes = [*byte; 32];
        bytes[0] = 0xA5;
        seal::Key::new(id.parse().unwrap(), *state, zeroize::Zeroizing::new(bytes))
    };
    KeyRing::new(keys.iter().map(key).collect()).unwrap()
}

fn keys() -> Arc<Keys> {
    Arc::new(Keys::new(ring(&[("one", Active, 1)])))
}

crate::conformance_tests!(|clock| async move {
    let memory = Arc::new(Memory::new("memory", clock, usize::MAX));
    (Arc::new(Sealed::new(memory, keys(), Plain::Refused)) as Arc<dyn Storage>, ())
});

/// What lies there, and the same through the seal.
struct Both {
    raw: Arc<Memory>,
    keys: Arc<Keys>,
    sealed: Sealed,
}

fn both(plain: Plain) -> Both {
    let raw = Arc::new(Memory::new("local", Arc::new(manual_clock()), usize::MAX));
    let keys = keys();
    Both { sealed: Sealed::new(Arc::clone(&raw) as _, Arc::clone(&keys), plain), raw, keys }
}

async fn raw(storage: &dyn Storage, name: &str) -> Record {
    match storage.read(&key(name), None).await.unwrap() {
        Read::Found(record) => record,
        other => panic!("a record was not found: {other:?}"),
    }
}

/// Somebody else writes to the storage.
async fn plant(both: &Both, name: &str, value: &[u8]) {
    let version = raw(&*both.raw, name).await.version;
    both.raw.update(&key(name), new_value(version, value)).await.unwrap();
}

/// The one sentence that the operator gets.
async fn refusal(both: &Both, name: &str) -> Unavailable {
    both.sealed.read(&key(name), None).await.unwrap_err()
}

#[tokio::test]
async fn what_lies_there_shows_nothing_and_is_35_bytes_longer() {
    let both = both(Plain::Refused);
    both.sealed.create(&key("a"), record(b"basket=apples", Millis::NEVER)).await.unwrap();
    let there = raw(&*both.raw, "a").await.value;
    assert_eq!((there.len(), &there[..3]), (13 + 35, &[0xE5, 1, 1][..]));
    assert!(!there.windows(4).any(|part| part == b"appl" || part == b"bask"));
    assert_eq!(raw(&both.sealed, "a").await.value, "basket=apples");
    let most = both.raw.capabilities().max_value;
    assert_eq!(both.sealed.capabilities().max_value, most - 35);
    let largest = vec![b'x'; most - 35];
    assert!(both.sealed.create(&key("large"), record(&largest, Millis::NEVER)).await.is_ok());
}

#[tokio::test]
async fn a_value_that_was_changed_cut_or_moved_is_refused_and_never_absent() {
    let both = both(Plain::Refused);
    for name in ["a", "b"] {
        both.sealed.create(&key(name), record(name.as_bytes(), Millis::NEVER)).await.unwrap();
    }
    let good = raw(&*both.raw, "a").await.value;
    let mut bad = vec![raw(&*both.raw, "b").await.value.to_vec(), Vec::new(), [&good[..], b"\0"].concat()];
    bad.extend((0..good.len()).map(|length| good[..length].to_vec()));
    bad.extend((0..good.len()).map(|place| {
        let mut flipped = good.to_vec();
        flipped[place] ^= 1;
        flipped
    }));
    for value in bad {
        plant(&both, "a", &value).await;
        let refused = refusal(&both, "a").await;
        assert_eq!((refused.blame, refused.applied), (Blame::Storage, crate::Applied::No));
        // A conflict with what cannot be opened is no answer either, and nothing is overwritten.
        let stale = both.sealed.update(&key("a"), new_value(Version(1), b"new")).await;
        assert!(stale.is_err() && raw(&*both.raw, "a").await.value == value);
    }
    plant(&both, "a", &good).await;
    assert_eq!(raw(&both.sealed, "a").await.value, "a");
}

#[tokio::test]
async fn a_value_is_bound_to_its_context_too_and_no_two_records_look_alike() {
    let both = both(Plain::Refused);
    let name = |context, name: &[u8]| Key::new(context, name).unwrap();
    both.sealed.create(&name("ab", b"c"), record(b"value", Millis::NEVER)).await.unwrap();
    let Read::Found(there) = both.raw.read(&name("ab", b"c"), None).await.unwrap() else {
        panic!("not there")
    };
    for other in [name("a", b"bc"), name("abc", b"c"), name("ab", b"d")] {
        both.raw.create(&other, record(&there.value, Millis::NEVER)).await.unwrap();
        assert!(both.sealed.read(&other, None).await.is_err());
    }
}

#[tokio::test]
async fn the_operator_is_told_which_key_is_missing_and_what_to_do() {
    let both = both(Plain::Refused);
    both.sealed.create(&key("a"), record(b"plain", Millis::NEVER)).await.unwrap();
    let tag = both.keys.ring().sealing_key().unwrap().tag.to_string();
    both.keys.replace(ring(&[("two", Active, 2)]));
    let said = refusal(&both, "a").await.to_string();
    assert!(said.starts_with("storage local is unavailable: ") && said.contains(&tag), "{said}");
    assert!(said.contains("put the file of that key back"), "{said}");
    plant(&both, "a", b"basket=stolen").await;
    let said = refusal(&both, "a").await.to_string();
    assert!(said.contains("is not sealed") && !said.contains("stolen"), "{said}");
}

#[tokio::test]
async fn the_next_write_seals_with_the_key_that_is_active_then() {
    let both = both(Plain::Refused);
    both.sealed.create(&key("a"), record(b"1", Millis::NEVER)).await.unwrap();
    both.keys.replace(ring(&[("two", Active, 2), ("one", Retiring, 1)]));
    let found = raw(&both.sealed, "a").await;
    both.sealed.update(&key("a"), new_value(found.version, b"2")).await.unwrap();
    both.keys.replace(ring(&[("two", Active, 2)]));
    assert_eq!(raw(&both.sealed, "a").await.value, "2");
}

#[tokio::test]
async fn what_was_plain_is_read_only_by_choice_and_sealed_at_its_next_write() {
    let refusing = both(Plain::Refused);
    refusing.raw.create(&key("a"), record(b"old", Millis::NEVER)).await.unwrap();
    assert!(refusal(&refusing, "a").await.to_string().contains("danger_accept_plain"));

    let accepting = both(Plain::DangerAccepted);
    accepting.raw.create(&key("a"), record(b"old", Millis::NEVER)).await.unwrap();
    let found = raw(&accepting.sealed, "a").await;
    assert_eq!(found.value, "old");
    accepting.sealed.update(&key("a"), new_value(found.version, b"new")).await.unwrap();
    assert!(raw(&*accepting.raw, "a").await.value.starts_with(&FORMAT));
    // What is sealed is never taken as plain.
    let mut changed = raw(&*accepting.raw, "a").await.value.to_vec();
    changed[20] ^= 1;
    plant(&accepting, "a", &changed).await;
    refusal(&accepting, "a").await;
}

#[tokio::test]
async fn lists_scans_and_batches_see_what_was_written() {
    let both = both(Plain::Refused);
    let create = |name: &str| Operation::Create(key(name), record(name.as_bytes(), Millis::NEVER));
    both.sealed.batch(vec![create("a"), create("b")]).await.unwrap();
    let scan = both.sealed.scan(None, 100).await.unwrap();
    let values: Vec<&[u8]> = scan
        .found
        .iter()
        .map(|(key, scanned)| match scanned {
            Scanned::Live(record) if record.value == key.name() => &record.value[..],
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(values.len(), 2);
    let stale = vec![create("c"), Operation::Update(key("b"), new_value(Version(1), b"late"))];
    match both.sealed.batch(stale).await.unwrap() {
        Batch::Refused { index: 1, outcome: Outcome::Update(Update::Conflict(current)) } => {
            assert_eq!(current.value, "b");
        }
        other => panic!("a stale batch was not refused: {other:?}"),
    }
}

#[test]
fn nothing_that_is_shown_holds_a_value_or_a_key() {
    let both = both(Plain::Refused);
    let shown = format!("{:?}", both.sealed).replace(' ', "");
    assert!(shown.contains("one") && !shown.contains("1,1,1,1"), "{shown}");
}

proptest! {
    #[test]
    fn whatever_lies_there_is_answered_and_never_believed(value: Vec<u8>, is_marked: bool) {
        let value = if is_marked { [&FORMAT[..], &value].concat() } else { value };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let both = both(Plain::Refused);
            both.raw.create(&key("a"), record(&value, START.plus(std::time::Duration::from_secs(60)))).await.unwrap();
            assert!(both.sealed.read(&key("a"), None).await.is_err());
        });
    }
}

#[tokio::test]
async fn a_value_that_was_changed_hides_no_other_from_who_looks_for_many() {
    let both = both(Plain::Refused);
    for name in ["a", "b", "c"] {
        both.sealed.create(&key(name), record(b"basket=apples", Millis::NEVER)).await.unwrap();
    }
    let moved = raw(&*both.raw, "a").await.value;
    plant(&both, "b", &moved).await;
    let scan = both.sealed.scan_of("", None, 100).await.unwrap();
    let is_plain =
        |scanned: &Scanned| matches!(scanned, Scanned::Live(record) if record.value == "basket=apples");
    let mut plain: Vec<_> =
        scan.found.iter().filter(|(_, found)| is_plain(found)).map(|(key, _)| key.name()).collect();
    plain.sort_unstable();
    assert_eq!((scan.found.len(), plain), (3, vec![&b"a"[..], b"c"]));
    // What was never sealed is nobody's: it is not passed on as if it had been.
    plant(&both, "c", b"basket=poison").await;
    assert!(both.sealed.scan_of("", None, 100).await.is_err());
}

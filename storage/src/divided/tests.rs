//! Two services as one, and what comes along.

use futures_util::{FutureExt as _, StreamExt as _};
use session::ManualClock;

use super::*;
use crate::faulty::{Fault, Faulty, Which};
use crate::kit::{self, START, burial, new_value, record};
use crate::{Memory, last_version};

const COUNTERS: &str = "counter";

fn is_aside(context: &str) -> bool {
    context == COUNTERS || context.len() % 2 == 1
}

/// Two services.
struct Two {
    main: Arc<Faulty>,
    aside: Arc<Faulty>,
    clock: Arc<dyn Clock>,
}

impl Two {
    fn new() -> Self {
        Self::of(Arc::new(kit::manual_clock()))
    }

    fn of(clock: Arc<dyn Clock>) -> Self {
        let memory = |id| Arc::new(Faulty::new(Arc::new(Memory::new(id, Arc::clone(&clock), usize::MAX))));
        Self { main: memory("main"), aside: memory("aside"), clock }
    }

    fn divided(&self) -> Divided {
        let ends = Ends { counters: COUNTERS, is_one: |key| key.context() == COUNTERS };
        let (main, aside) = (Arc::clone(&self.main) as _, Arc::clone(&self.aside) as _);
        let clock = Arc::clone(&self.clock);
        Divided::new(main, aside, Box::new(is_aside), (ends, vec![COUNTERS.to_owned()]), clock)
    }
}

fn counter(name: &str) -> Key {
    Key::new(COUNTERS, name.as_bytes()).unwrap()
}

crate::conformance_tests!(
    |clock| async move { (Arc::new(Two::of(clock).divided()) as Arc<dyn Storage>, ()) }
);

#[tokio::test]
async fn each_context_lies_in_one_and_the_other_may_be_away() {
    let two = Two::new();
    let divided = two.divided();
    let (beside, aside) = (Key::new("even", b"a").unwrap(), Key::new("odd", b"a").unwrap());
    divided.create(&aside, record(b"1", Millis::NEVER)).await.unwrap();
    two.aside.fail(Which::Any, Fault::Refuse);
    divided.create(&beside, record(b"1", Millis::NEVER)).await.unwrap();
    assert!(matches!(divided.read(&beside, None).await.unwrap(), Read::Found(_)));
    let unavailable = divided.read(&aside, None).await.unwrap_err();
    assert_eq!(&*unavailable.storage, "aside", "and it says which one");
    two.aside.heal();
    two.main.fail(Which::Any, Fault::Refuse);
    assert!(matches!(divided.read(&aside, None).await.unwrap(), Read::Found(_)));
    divided.read(&beside, None).await.unwrap_err();
}

#[tokio::test]
async fn a_scan_shows_everything_once_and_nothing_where_it_does_not_lie() {
    let two = Two::new();
    let divided = two.divided();
    let stray = Key::new("even", b"stray").unwrap();
    two.aside.create(&stray, record(b"1", Millis::NEVER)).await.unwrap();
    let mut expected = Vec::new();
    for number in 0..20 {
        let key = Key::new(["even", "odd"][number % 2], format!("{number}").as_bytes()).unwrap();
        divided.create(&key, record(b"1", Millis::NEVER)).await.unwrap();
        expected.push(key);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let scan = divided.scan(cursor.as_deref(), 3).await.unwrap();
        seen.extend(scan.found.into_iter().map(|(key, _)| key).filter(|key| key.context() != COUNTERS));
        cursor = scan.cursor;
        if cursor.is_none() {
            break;
        }
    }
    seen.sort_by(|one, other| one.name().cmp(other.name()));
    expected.sort_by(|one, other| one.name().cmp(other.name()));
    assert_eq!(seen, expected);
    assert!(divided.scan(Some(b"nonsense"), 3).await.is_err());
}

#[tokio::test]
async fn both_are_heard_and_whoever_goes_on_begins_with_a_gap() {
    let two = Two::new();
    let divided = two.divided();
    let mut changes = divided.watch(None).await.unwrap();
    for context in ["even", "odd"] {
        let key = Key::new(context, b"a").unwrap();
        divided.create(&key, record(b"1", Millis::NEVER)).await.unwrap();
        loop {
            match changes.next().await {
                Some(Notice::Change(change)) if change.key == key => break,
                Some(Notice::Change(change)) if change.key.context() == COUNTERS => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let mut going_on = divided.watch(Some(Position(0))).await.unwrap();
    assert_eq!(going_on.next().await, Some(Notice::Gap));
    assert!(going_on.next().now_or_never().is_none());
}

#[tokio::test]
async fn what_ended_sessions_beside_them_comes_along_with_its_version() {
    let two = Two::new();
    let Create::Created(kept) = two.main.create(&counter("kept"), record(b"1", Millis::NEVER)).await.unwrap()
    else {
        panic!("it is new")
    };
    // It lay aside before, and was raised beside the sessions since.
    two.aside.create(&counter("raised"), record(b"0", Millis::NEVER)).await.unwrap();
    two.main.create(&counter("raised"), record(b"1", Millis::NEVER)).await.unwrap();
    for _ in 0..100 {
        let Read::Found(raised) = two.main.read(&counter("raised"), None).await.unwrap() else { panic!() };
        two.main.update(&counter("raised"), new_value(raised.version, b"1")).await.unwrap();
    }
    two.main.create(&counter("over"), record(b"1", Millis(START.0 + 1))).await.unwrap();
    two.main.bury(&counter("over"), burial(None)).await.unwrap();
    let drawn = last_version(&*two.main, COUNTERS, START).await.unwrap();

    let divided = two.divided();
    two.main.fail(Which::Any, Fault::Refuse);
    divided.read(&counter("kept"), None).await.expect_err("nobody knows yet, and that is not: absent");
    two.main.heal();
    let Read::Found(there) = divided.read(&counter("kept"), None).await.unwrap() else {
        panic!("it is lost")
    };
    assert_eq!((there.version, &*there.value), (kept, &b"1"[..]));
    let Read::Found(raised) = divided.read(&counter("raised"), None).await.unwrap() else { panic!("lost") };
    assert!(raised.version > drawn && &*raised.value == b"1");
    assert_eq!(divided.read(&counter("over"), None).await.unwrap(), Read::Absent);
    let Create::Created(new) = divided.create(&counter("new"), record(b"1", Millis::NEVER)).await.unwrap()
    else {
        panic!("it is new")
    };
    assert!(new > drawn, "sessions remember the versions of counters that are forgotten");
    // A second time it finds what is there.
    let again = two.divided();
    let Read::Found(again) = again.read(&counter("raised"), None).await.unwrap() else { panic!("lost") };
    assert_eq!(again.version, raised.version);
}

#[test]
fn two_are_as_shared_and_as_deaf_as_one_of_them() {
    use crate::Shared;

    let two = Two::new();
    let divided = two.divided();
    assert!(!divided.capabilities().is_shared);
    let ends = Ends { counters: COUNTERS, is_one: |_| false };
    let (main, clock) = (Arc::clone(&two.main) as _, Arc::new(ManualClock::at(START)));
    let aside = Arc::new(Shared::new(Arc::clone(&two.aside) as _));
    let divided = Divided::new(main, aside, Box::new(is_aside), (ends, Vec::new()), clock);
    assert!(divided.capabilities().is_shared, "what one of them hears of others, the whole does");
}

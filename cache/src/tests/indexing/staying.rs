//! How long an entry stays, and how rarely it is written for that.

use std::sync::Arc;
use std::time::Duration;

use session::Timeouts;
use storage::faulty::{Fault, Which};
use storage::{Read, Storage as _};

use super::{Fixture, on_every_engine};
use crate::tests::fixture::{IDLE, TOUCH_INTERVAL, application};
use crate::{AFTERLIFE, Application, Realm};

on_every_engine!(
    an_entry_outlives_its_record_and_is_rarely_written
    an_entry_without_bounds_stays_without_being_written
    an_entry_goes_soon_after_its_record
    an_entry_that_was_not_prolonged_is_at_the_next_touch
    a_rare_touch_makes_a_rarer_entry
    another_node_knows_from_the_record_what_was_written
);

impl Fixture {
    /// The entry of ada's session stays at least as long as its record.
    async fn is_covered(&self) {
        let (handle, entry) = self.entries("ada").await[0];
        match self.probe.read(&self.key(&handle), None).await.unwrap() {
            Read::Found(record) => assert!(entry.expires >= record.times.expires),
            other => panic!("the record is not there: {other:?}"),
        }
    }
}

async fn an_entry_outlives_its_record_and_is_rarely_written(f: Fixture) {
    let opened = f.open_for("ada").await;
    let before = f.index_writes();
    const TOUCHES: usize = 240;
    for number in 0..TOUCHES {
        f.advance(TOUCH_INTERVAL);
        if number % 3 == 2 {
            let seen = f.found(&opened.ticket).await;
            f.set(&seen, "b", &number.to_string()).await;
        } else {
            f.found(&opened.ticket).await;
        }
        f.quiet().await;
        f.is_covered().await;
    }
    let writes = f.index_writes() - before;
    assert!((1..=TOUCHES / 40).contains(&writes), "{writes} writes");
}

async fn an_entry_without_bounds_stays_without_being_written(mut f: Fixture) {
    let timeouts = Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO };
    f.application = application("endless", timeouts);
    let opened = f.open_for("ada").await;
    let before = f.index_writes();
    for _ in 0..50 {
        f.advance(Duration::from_hours(24));
        f.found(&opened.ticket).await;
        f.quiet().await;
        f.is_covered().await;
    }
    assert_eq!(f.index_writes(), before);
}

async fn an_entry_goes_soon_after_its_record(f: Fixture) {
    f.open_for("ada").await;
    // Idle, the hour that a record outlives its session, and at most four more.
    f.advance(IDLE + TOUCH_INTERVAL + Duration::from_hours(5));
    assert!(f.entries("ada").await.is_empty());
    f.probe.reap_all(f.clock_now()).await;
    assert_eq!(f.lies_there("index").await, (0, 0));
}

async fn an_entry_that_was_not_prolonged_is_at_the_next_touch(f: Fixture) {
    let opened = f.open_for("ada").await;
    f.lose(&f.entry("ada", &opened.ticket.handle)).await;
    let mut hours = 0;
    while f.entries("ada").await.is_empty() {
        assert!(hours < 8, "it is never written again");
        for _ in 0..3 {
            f.advance(Duration::from_mins(20));
            if f.has_first_tier() {
                // The first touch that would write it again cannot; without a first tier nobody knows of that until the
                // next mark.
                f.faults.fail_once(Which::Create, Fault::Refuse);
            }
            f.found(&opened.ticket).await;
            f.quiet().await;
            f.faults.heal();
            f.advance(TOUCH_INTERVAL);
            f.found(&opened.ticket).await;
            f.quiet().await;
        }
        hours += 1;
    }
    f.is_covered().await;
}

async fn a_rare_touch_makes_a_rarer_entry(mut f: Fixture) {
    let touch_interval = Duration::from_hours(1);
    let timeouts = Timeouts { idle: Duration::from_hours(48), lifetime: Duration::from_hours(24 * 365) };
    let realm = Arc::new(Realm {
        id: "rare".into(),
        timeouts: vec![timeouts],
        touch_interval,
        lateness: touch_interval,
        allowance: AFTERLIFE,
    });
    f.cache.reckon_with(&realm);
    f.application = Application { realm, timeouts, touch_interval, ..f.application.clone() };
    let opened = f.open_for("ada").await;
    let before = f.index_writes();
    const TOUCHES: usize = 100;
    for _ in 0..TOUCHES {
        f.advance(touch_interval);
        f.found(&opened.ticket).await;
        f.quiet().await;
        f.is_covered().await;
    }
    let writes = f.index_writes() - before;
    assert!((2..=TOUCHES / 10).contains(&writes), "{writes} writes");
}

async fn another_node_knows_from_the_record_what_was_written(mut f: Fixture) {
    let opened = f.open_for("ada").await;
    let before = f.index_writes();
    let mut touches = 0;
    while touches < 60 {
        f.advance(TOUCH_INTERVAL);
        f.crash();
        f.found(&opened.ticket).await;
        f.quiet().await;
        f.is_covered().await;
        touches += 1;
    }
    assert!(f.index_writes() - before <= touches / 10, "a node that knows nothing wrote what was there");
}

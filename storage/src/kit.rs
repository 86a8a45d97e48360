//! The conformance kit: what every engine must do, as tests.
//!
//! ```text
//! storage::conformance_tests!(|clock| async move { (Arc::new(MyEngine::open(clock).await) as Arc<dyn Storage>, ()) });
//! ```
//!
//! The closure makes an empty engine whose time comes from the clock, and whatever must live as long as it. Each
//! check is a function of this module too, for who wants to run one by hand. A check panics where the engine is wrong.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod faults;
mod moving;
mod outcomes;
mod pages;
mod races;
mod time;

use std::sync::Arc;

use bytes::Bytes;
use session::{Ending, ManualClock, Millis, Why};

pub use self::faults::*;
pub use self::moving::*;
pub use self::outcomes::*;
pub use self::pages::*;
pub use self::races::*;
pub use self::time::*;
use crate::{
    Burial, Create, Key, NewRecord, NewValue, Read, Record, Storage, Times, Update, Version, WriteId,
};

/// What time it is when a check begins.
pub const START: Millis = Millis(1_700_000_000_000);

/// An engine under test, and its time.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The engine.
    pub storage: Arc<dyn Storage>,
    /// The time it sees.
    pub clock: Arc<ManualClock>,
}

impl Subject {
    /// `storage`, which sees the time of `clock`.
    #[must_use]
    pub const fn new(storage: Arc<dyn Storage>, clock: Arc<ManualClock>) -> Self {
        Self { storage, clock }
    }

    /// `millis` from the start of the check.
    #[must_use]
    pub const fn at(&self, millis: u64) -> Millis {
        Millis(START.0 + millis)
    }

    async fn created(&self, key: &Key, value: &[u8]) -> Version {
        match self.storage.create(key, record(value, self.at(60_000))).await.unwrap() {
            Create::Created(version) => version,
            other => panic!("a new record was not created: {other:?}"),
        }
    }

    async fn updated(&self, key: &Key, expected: Version, value: &[u8]) -> Version {
        match self.storage.update(key, new_value(expected, value)).await.unwrap() {
            Update::Updated(version) => version,
            other => panic!("a record was not updated: {other:?}"),
        }
    }

    async fn found(&self, key: &Key) -> Record {
        match self.storage.read(key, None).await.unwrap() {
            Read::Found(record) => record,
            other => panic!("a live record was not found: {other:?}"),
        }
    }
}

/// A key in a context that all checks share.
#[must_use]
pub fn key(name: &str) -> Key {
    Key::new("kit", name.as_bytes()).unwrap()
}

/// A record that was used at the start of the check.
#[must_use]
pub fn record(value: &[u8], expires: Millis) -> NewRecord {
    let times = Times { touched: START, expires };
    NewRecord::new(Bytes::copy_from_slice(value), times, WriteId::random().unwrap())
}

/// An update that leaves the times.
#[must_use]
pub fn new_value(expected: Version, value: &[u8]) -> NewValue {
    NewValue {
        expected,
        value: Bytes::copy_from_slice(value),
        times: None,
        write: WriteId::random().unwrap(),
        is_end: false,
    }
}

/// A logout by the kit.
#[must_use]
pub fn burial(until: Option<Millis>) -> Burial {
    // With an address, so that every engine shows that it keeps it.
    let from = Some(std::net::Ipv4Addr::new(192, 0, 2, 7).into());
    let ending = Ending { from, ..Ending::new(START, Why::Logout, "kit") };
    Burial { until, ending, expected: None }
}

/// Makes a test of each check of the [`kit`](crate::kit); see there.
#[macro_export]
macro_rules! conformance_tests {
    ($make:expr) => {
        $crate::conformance_tests!(@list tests $make);
    };
    (@list $how:ident $make:expr) => {
        $crate::conformance_tests! {
            @$how $make;
            a_record_is_created_once
            a_record_is_read_as_it_was_written
            an_update_needs_the_version_that_is_there
            an_update_never_creates
            a_touch_takes_the_later_of_each_and_keeps_the_version
            an_end_blocks_what_comes_late
            the_first_end_counts
            an_end_without_a_time_leaves_no_tombstone
            an_end_of_one_version_spares_the_next
            versions_only_grow_over_all_lives
            a_record_that_moves_keeps_its_version
            a_record_that_moves_may_be_behind
            a_version_that_was_here_is_not_brought_back
            a_version_beyond_all_is_refused
            a_context_that_moves_begins_above_all_it_ever_had
            keys_and_values_of_any_bytes
            what_is_too_large_is_refused_and_nothing_is_lost
            contexts_are_apart
            a_record_expires_at_its_millisecond
            a_tombstone_holds_until_its_millisecond
            a_clock_that_jumps_loses_nothing
            never_is_never
            reaping_is_bounded_and_takes_only_what_is_over
            a_list_is_ordered_and_paged
            a_scan_sees_everything
            a_scan_of_a_kind_sees_what_is_live_of_it
            a_batch_is_all_or_nothing
            of_64_creators_one_wins
            of_64_updates_of_one_version_one_wins
            sixty_four_writers_lose_nothing
            an_end_beats_64_writers
            an_end_beats_64_touches
            batches_do_not_interleave
            a_lost_answer_is_recognised_by_its_write
            a_refused_write_changed_nothing
            changes_are_announced_in_order_and_touches_are_not
        }
    };
    (@tests $make:expr; $($check:ident)*) => {
        $(
            #[test]
            fn $check() {
                $crate::kit::run(async {
                    let clock = ::std::sync::Arc::new($crate::kit::manual_clock());
                    let (storage, _guard) = ($make)(::std::sync::Arc::clone(&clock) as $crate::kit::AnyClock).await;
                    $crate::kit::$check(&$crate::kit::Subject::new(storage, clock)).await;
                });
            }
        )*
    };
    (@in_turn $make:expr; $($check:ident)*) => {
        $(
            // Says which check it was when one fails.
            ::std::eprintln!("{}", ::std::stringify!($check));
            let clock = ::std::sync::Arc::new($crate::kit::manual_clock());
            let (storage, _guard) = ($make)(::std::sync::Arc::clone(&clock) as $crate::kit::AnyClock).await;
            ::std::boxed::Box::pin($crate::kit::$check(&$crate::kit::Subject::new(storage, clock))).await;
        )*
    };
}

/// Runs each check of the [`kit`](crate::kit) in turn, within an `async fn`: for engines on a server that takes long to
/// start. Otherwise like [`conformance_tests!`].
#[macro_export]
macro_rules! conformance_in_turn {
    ($make:expr) => {
        $crate::conformance_tests!(@list in_turn $make);
    };
}

/// Runs a check on a runtime of its own with two threads, so that what races does.
pub fn run(check: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.unwrap().block_on(check);
}

/// A clock as engines take it.
pub type AnyClock = Arc<dyn session::Clock>;

/// A clock that shows [`START`].
#[must_use]
pub const fn manual_clock() -> ManualClock {
    ManualClock::at(START)
}

//! What threads share without waiting for each other, in every order that chance can think of.
//!
//! Each test is a model: a few threads that do what requests do between two waits, under thousands of schedules. One that
//! fails says its seed, and `CLOAKROOM_SEED` runs exactly that one again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use session::{Ending, Epoch, Handle, Millis, Principal, Secret, Session, Why};
use shuttle::thread::spawn;
use storage::{Burial, Times, Version};

use crate::expiring::Expiring;
use crate::held::{Held, Seen};
use crate::outbox::Outbox;
use crate::outbox::due::{Target, Waiting};
use crate::revocations::Revocations;
use crate::scope::Scope;
use crate::survey::Followers;
use crate::sync::model::explore;
use crate::sync::{AtomicBool, AtomicU64, Mutex};
use crate::tier::{FirstTier, Kept};
use crate::trust::Trust;

const SCHEDULES: u64 = 1_500;
const ORDER: std::sync::atomic::Ordering = std::sync::atomic::Ordering::SeqCst;
const HANDLE: Handle = Handle::from_bytes([7; 16]);

fn session() -> Session {
    Session::new(HANDLE, Secret::from_bytes([1; 32]).hash(), "r", Millis(0))
}

fn held(version: u64, seen: Arc<Seen>) -> Held {
    Held::new(session(), Version(version), seen)
}

/// A first tier, and the one record that lies in the storage below.
struct Below {
    tier: FirstTier,
    /// Its version; none once it is buried.
    record: Mutex<Option<u64>>,
    /// An end of it was acknowledged.
    is_told: AtomicBool,
    /// The latest version whose write was acknowledged.
    written: AtomicU64,
}

impl Below {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            tier: FirstTier::new(true, 64 << 10, Arc::default()),
            record: Mutex::default(),
            is_told: AtomicBool::new(false),
            written: AtomicU64::new(0),
        })
    }

    /// As a find that has no copy.
    fn fill(&self) {
        let registration = self.tier.register(HANDLE);
        let Some(version) = *self.record.lock() else { return };
        registration.keep(held(version, Arc::new(Seen::at(Millis(0)))));
    }

    /// As a patch.
    fn write(&self) {
        let registration = self.tier.register(HANDLE);
        let version = {
            let mut record = self.record.lock();
            let Some(version) = record.as_mut() else { return };
            *version += 1;
            *version
        };
        registration.keep(held(version, Arc::new(Seen::at(Millis(0)))));
        self.written.fetch_max(version, ORDER);
    }

    /// As an end.
    fn end(&self) {
        *self.record.lock() = None;
        self.tier.end(&HANDLE);
        self.is_told.store(true, ORDER);
    }

    /// As a find: what is served is not older than what was acknowledged before.
    fn look(&self) {
        let (is_told, written) = (self.is_told.load(ORDER), self.written.load(ORDER));
        if let Some(held) = self.tier.held(&HANDLE).filter(|held| held.is_current()) {
            assert!(!is_told, "an ended session is found");
            assert!(held.version.0 >= written, "version {} after {written}", held.version.0);
        }
    }
}

fn all(threads: Vec<shuttle::thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("a thread of the model");
    }
}

#[test]
fn after_an_end_has_returned_no_copy_is_there_and_none_comes() {
    explore(SCHEDULES, || {
        let below = Below::new();
        *below.record.lock() = Some(1);
        let doing = [Below::fill, Below::write, Below::end, Below::look, Below::fill];
        all(doing
            .map(|doing| {
                let below = Arc::clone(&below);
                spawn(move || doing(&below))
            })
            .into());
        below.look();
        assert!(below.tier.held(&HANDLE).is_none());
        assert_eq!(below.tier.registrations(), 0);
    });
}

#[test]
fn a_copy_is_never_older_than_a_write_that_was_acknowledged() {
    explore(SCHEDULES, || {
        let below = Below::new();
        *below.record.lock() = Some(1);
        below.fill();
        let doing = [Below::write, Below::fill, Below::write, Below::look];
        all(doing
            .map(|doing| {
                let below = Arc::clone(&below);
                spawn(move || doing(&below))
            })
            .into());
        below.look();
        assert_eq!(*below.record.lock(), Some(3));
    });
}

#[test]
fn after_a_gap_nothing_is_served_that_was_read_before_it() {
    explore(SCHEDULES, || {
        let below = Below::new();
        *below.record.lock() = Some(1);
        below.fill();
        let gap = {
            let below = Arc::clone(&below);
            spawn(move || {
                // Another node writes, and nothing is heard of it but that something was missed.
                *below.record.lock() = Some(2);
                below.tier.doubt(&HANDLE);
                below.written.store(2, ORDER);
            })
        };
        let (filling, looking) = (Arc::clone(&below), Arc::clone(&below));
        all(vec![gap, spawn(move || filling.fill()), spawn(move || looking.look())]);
        below.look();
    });
}

#[test]
fn after_a_gap_in_the_whole_stream_as_well() {
    // Each goes through all stripes.
    explore(SCHEDULES / 5, || {
        let below = Below::new();
        *below.record.lock() = Some(1);
        below.fill();
        let gap = {
            let below = Arc::clone(&below);
            spawn(move || {
                *below.record.lock() = Some(2);
                below.tier.doubt_all();
                below.written.store(2, ORDER);
            })
        };
        let (filling, looking) = (Arc::clone(&below), Arc::clone(&below));
        all(vec![gap, spawn(move || filling.fill()), spawn(move || looking.look())]);
        below.look();
    });
}

#[test]
fn a_notice_leaves_nothing_that_is_older_than_it_says() {
    explore(SCHEDULES, || {
        let below = Below::new();
        *below.record.lock() = Some(1);
        below.fill();
        let notice = {
            let below = Arc::clone(&below);
            spawn(move || {
                *below.record.lock() = Some(2);
                below.tier.outdate(&HANDLE, Version(2));
                below.written.store(2, ORDER);
            })
        };
        let (filling, looking) = (Arc::clone(&below), Arc::clone(&below));
        all(vec![notice, spawn(move || filling.fill()), spawn(move || looking.look())]);
        below.look();
    });
}

#[test]
fn no_use_is_forgotten_when_copies_meet() {
    explore(SCHEDULES, || {
        let tier = Arc::new(FirstTier::new(true, 64 << 10, Arc::default()));
        all([3, 9, 5]
            .map(|used| {
                let tier = Arc::clone(&tier);
                spawn(move || {
                    let registration = tier.register(HANDLE);
                    let copy = held(1, Arc::new(Seen::at(Millis(1))));
                    copy.seen.mark(Millis(used));
                    let (kept, how) = registration.keep(copy);
                    assert_eq!(how, Kept::Yes);
                    assert!(kept.seen.last() >= Millis(used));
                    // And once more, as the next request of the same visitor.
                    kept.seen.mark(Millis(used + 10));
                })
            })
            .into());
        assert_eq!(tier.held(&HANDLE).unwrap().seen.last(), Millis(19));
    });
}

#[test]
fn of_those_who_use_it_at_once_one_writes_it() {
    explore(SCHEDULES, || {
        let seen = Arc::new(Seen::at(Millis(0)));
        let due = Arc::new(AtomicU64::new(0));
        all([100, 100, 150]
            .map(|now| {
                let (seen, due) = (Arc::clone(&seen), Arc::clone(&due));
                spawn(move || {
                    seen.mark(Millis(now));
                    if seen.is_due(Millis(now), Duration::from_millis(100)) {
                        due.fetch_add(1, ORDER);
                    }
                })
            })
            .into());
        assert_eq!((due.load(ORDER), seen.last()), (1, Millis(150)));
    });
}

#[test]
fn a_touch_that_failed_is_repeated_though_an_earlier_one_is_confirmed_late() {
    explore(SCHEDULES, || {
        let seen = Arc::new(Seen::at(Millis(0)));
        seen.mark(Millis(200));
        let times = |touched| Times { touched: Millis(touched), expires: Millis(touched + 1_000) };
        let (failing, confirmed) = (Arc::clone(&seen), Arc::clone(&seen));
        all(vec![
            spawn(move || failing.failed(times(200), Millis(300), Duration::from_millis(100))),
            spawn(move || confirmed.wrote(Millis(100))),
        ]);
        assert!(seen.is_unwritten() && seen.is_late());
        assert_eq!(seen.times(), times(200).latest(Times { touched: Millis(200), expires: Millis(0) }));
        seen.wrote(Millis(200));
        assert!(!seen.is_late());
    });
}

#[test]
fn what_was_remembered_is_known_to_everybody_until_its_time() {
    explore(SCHEDULES, || {
        let expiring = Arc::new(Expiring::<u64, u64>::default());
        expiring.put(1, 1, Millis(10), u64::max);
        let (prolonging, purging, other) =
            (Arc::clone(&expiring), Arc::clone(&expiring), Arc::clone(&expiring));
        all(vec![
            spawn(move || {
                prolonging.put(1, 2, Millis(30), u64::max);
                assert_eq!(prolonging.of(&1), Some(2));
            }),
            spawn(move || purging.purge(Millis(20))),
            spawn(move || {
                other.put(2, 5, Millis(30), u64::max);
                assert_eq!(other.of(&2), Some(5), "a count of nothing hides what was put");
                other.purge(Millis(20));
                assert_eq!(other.of(&2), Some(5));
            }),
        ]);
        assert_eq!((expiring.of(&1), expiring.of(&2), expiring.len()), (Some(2), Some(5), 2));
        expiring.purge(Millis(30));
        assert_eq!((expiring.of(&1), expiring.len(), expiring.next()), (None, 0, Millis::NEVER));
    });
}

#[test]
fn counters_only_grow_and_once_raised_end_whom_they_are_for() {
    explore(SCHEDULES, || {
        let revocations = Arc::new(Revocations::default());
        let ann = Principal::named("idp", "ann");
        let (person, everybody) = (Scope::person(&ann), Scope::Everybody);
        let mut of_ann = session();
        of_ann.principal = Some(ann);
        let of_ann = Arc::new(of_ann);
        let raising = [(person, 5), (person, 3), (everybody, 4)].map(|(scope, epoch)| {
            let (revocations, of_ann) = (Arc::clone(&revocations), Arc::clone(&of_ann));
            spawn(move || {
                revocations.put_epoch(scope, Epoch(epoch), Millis(100));
                assert!(revocations.behind(&of_ann).is_some(), "an end that was told ends nobody");
            })
        });
        let (looking, purging) = (Arc::clone(&revocations), Arc::clone(&revocations));
        let mut threads: Vec<_> = raising.into();
        threads.push(spawn(move || {
            let seen = [0; 3].map(|_| looking.epoch(&person));
            assert!(seen.is_sorted(), "{seen:?}");
        }));
        threads.push(spawn(move || purging.purge(Millis(50))));
        all(threads);
        assert_eq!((revocations.epoch(&person), revocations.epoch(&everybody)), (Epoch(5), Epoch(4)));
    });
}

#[test]
fn an_end_that_waits_is_refused_whatever_else_comes_and_goes() {
    explore(SCHEDULES, || {
        let (outbox, storage): (_, Arc<str>) = (Arc::new(Outbox::default()), "s".into());
        let other = Handle::from_bytes([8; 16]);
        let ending = Ending::new(Millis(1), Why::Logout, "");
        let burial = Burial { until: Some(Millis(9)), ending, expected: None };
        let (one, two) = (Arc::clone(&outbox), Arc::clone(&outbox));
        let (first, second) = (Waiting::Burial(burial.clone()), Waiting::Burial(burial));
        let name = Arc::clone(&storage);
        all(vec![
            spawn(move || {
                // Without a journal there is nothing to wait for.
                one.put(Target::Session(HANDLE), first).now_or_never().unwrap();
                assert!(one.check(&HANDLE, &name).is_err());
            }),
            spawn(move || {
                two.put(Target::Session(other), second.clone()).now_or_never().unwrap();
                two.remove(&Target::Session(other), &second);
            }),
        ]);
        assert!(outbox.check(&HANDLE, &storage).is_err());
        assert!(outbox.check(&other, &storage).is_ok());
    });
}

#[test]
fn while_the_stream_ends_there_is_no_moment_in_which_nothing_is_good() {
    explore(SCHEDULES, || {
        let trust = Arc::new(Trust::new(Some(Duration::from_secs(3_600)), Duration::ZERO));
        trust.hear();
        let (losing, asking) = (Arc::clone(&trust), Arc::clone(&trust));
        all(vec![
            spawn(move || losing.lose(Duration::from_secs(1))),
            spawn(move || assert!(!asking.is_deaf() || asking.holds())),
        ]);
        assert!(trust.is_deaf() && trust.holds());
    });
}

#[test]
fn whoever_is_told_of_an_end_that_another_one_heard_first_finds_no_list_with_it() {
    explore(SCHEDULES, || {
        let followers = Arc::<Followers>::default();
        let revocations = Arc::new(Revocations::new(Arc::clone(&followers)));
        let is_told = Arc::new(AtomicBool::new(false));
        // A list has read and judged everything before.
        let changed = followers.follow();
        let heard = Arc::clone(&revocations);
        let hearer = spawn(move || heard.put_epoch(Scope::Everybody, Epoch(5), Millis(1_000)));
        let (raised, told) = (Arc::clone(&revocations), Arc::clone(&is_told));
        let raiser = spawn(move || {
            raised.raise_epoch(Scope::Everybody, Epoch(5), Millis(1_000));
            told.store(true, ORDER);
        });
        let list = spawn(move || {
            let is_told = is_told.load(ORDER);
            assert!(!is_told || changed.is_outdated(), "a list shows what was ended");
        });
        all(vec![hearer, raiser, list]);
    });
}

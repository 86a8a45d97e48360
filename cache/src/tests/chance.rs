//! Law 1 and law 2 by chance: seeded schedules of many tasks over few sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use session::{Millis, OnConflict, Ticket};
use storage::faulty::{Fault, Which};

use super::fixture::{SETTINGS, START, setting};
use super::{Fixture, on_every_engine};
use crate::{Cache, Find, Patched, Renew, Settings};

on_every_engine!(
    after_an_end_nothing_is_found_whatever_else_goes_on
    what_was_told_is_over_is_not_found_again_under_faults
);

const TASKS: u64 = 64;
const SESSIONS: usize = 6;

/// The numbers of one seed (SplitMix64, Steele, Lea and Flood 2014): the same on every machine.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A session that many tasks use, and whether somebody was told that it is over.
struct Shared {
    tickets: Mutex<Vec<Ticket>>,
    is_over: AtomicBool,
    session: Arc<session::Session>,
}

impl Shared {
    /// Anybody who asks from now on must not find it.
    fn told(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// One thing that happens to a session, by chance; then the law.
async fn something(f: &Fixture, cache: &Arc<Cache>, shared: &Shared, chance: &mut Chance, ends_too: bool) {
    let ticket = {
        let tickets = shared.tickets.lock();
        tickets[chance.below(tickets.len() as u64) as usize].clone()
    };
    // Looked at before the question is put: an end that is told meanwhile may still miss it.
    let was_over = shared.is_over.load(Ordering::SeqCst);
    match chance.below(if ends_too { 20 } else { 19 }) {
        0..10 => match cache.find(&ticket, &f.application).await {
            Ok(Find::Found(found)) => assert!(!was_over, "an ended session is found: {found:?}"),
            Ok(Find::Ended(_)) => shared.told(),
            Ok(Find::Absent(_)) | Err(_) => {}
        },
        10..14 => {
            let patch =
                setting(&shared.session, &format!("k{}", chance.below(8)), &chance.below(9).to_string());
            match cache.patch(&ticket.handle, &patch, OnConflict::Overwrite, &f.application).await {
                Ok(Patched::Merged(..)) => assert!(!was_over, "an ended session is patched"),
                Ok(Patched::Ended(_)) => shared.told(),
                Ok(other) => panic!("nothing else happens here: {other:?}"),
                Err(_) => {}
            }
        }
        14..16 => {
            let renewed = cache.renew(&ticket.handle, &ticket.secret, &f.renewal(None), &f.application).await;
            if let Ok(Renew::Renewed(_, next, _)) = renewed {
                assert!(!was_over, "an ended session is renewed");
                shared.tickets.lock().push(next);
            }
        }
        16 => cache.tier.doubt_all(),
        17 => f.clock.set(Millis(START.0 + chance.below(600_000))),
        18 => {
            // A visitor goes away in the middle of it.
            let patch = setting(&shared.session, "gone", &chance.below(9).to_string());
            let renewal = f.renewal(None);
            let patience = chance.below(4);
            tokio::select! {
                biased;
                () = async { for _ in 0..patience { tokio::task::yield_now().await } } => {}
                _ = async {
                    let _ = cache.patch(&ticket.handle, &patch, OnConflict::Refuse, &f.application).await;
                    let _ = cache.find(&ticket, &f.application).await;
                    let _ = cache.renew(&ticket.handle, &ticket.secret, &renewal, &f.application).await;
                } => {}
            }
        }
        _ => {
            if cache.end(&shared.session, f.logout(), &f.application).await.is_ok() {
                shared.told();
            }
        }
    }
}

/// 64 tasks do as chance has it; then all sessions whose end was told are over for every ticket there ever was, on
/// this node, after a restart, and at other times.
async fn run(mut f: Fixture, seed: u64, steps: u64) {
    f.cache = f.cache_with(Settings { renew_window: Duration::from_secs(3_600), ..SETTINGS });
    let house = f.keep_house(&f.cache).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let opened = f.open().await;
        sessions.push(Arc::new(Shared {
            tickets: Mutex::new(vec![opened.ticket]),
            is_over: AtomicBool::new(false),
            session: opened.session,
        }));
    }
    let (sessions, mut f) = (Arc::new(sessions), Arc::new(f));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (f, sessions) = (Arc::clone(&f), Arc::clone(&sessions));
            let mut chance = Chance(seed << 32 | task);
            tokio::spawn(async move {
                for step in 0..steps {
                    let shared = &sessions[chance.below(SESSIONS as u64) as usize];
                    // The first half of the time belongs to the living.
                    something(&f, &f.cache, shared, &mut chance, step * 2 >= steps).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    f.faults.heal();
    super::fixture::eventually(async || f.cache.outbox.all().is_empty()).await;
    drop(house);
    let f = Arc::get_mut(&mut f).expect("all tasks are done");
    let over: Vec<_> = sessions.iter().filter(|shared| shared.is_over.load(Ordering::SeqCst)).collect();
    for millis in [0, 600_000, 1_200_000] {
        f.clock.set(Millis(START.0 + millis));
        for _ in 0..2 {
            for shared in &over {
                let tickets = shared.tickets.lock().clone();
                for ticket in tickets {
                    let find = f.find(&ticket).await.unwrap();
                    assert!(matches!(find, Find::Ended(_)), "seed {seed}: {find:?}");
                }
            }
            f.crash();
        }
        assert_eq!(f.cache.tier.registrations(), 0);
    }
}

async fn after_an_end_nothing_is_found_whatever_else_goes_on(f: Fixture) {
    let engine = f.engine;
    drop(f);
    for seed in 1..=4 {
        run(Fixture::over(engine).await, seed, 40).await;
    }
}

async fn what_was_told_is_over_is_not_found_again_under_faults(f: Fixture) {
    let engine = f.engine;
    drop(f);
    for seed in 11..=14 {
        let f = Fixture::over(engine).await;
        let mut chance = Chance(seed);
        for _ in 0..150 {
            let which = [Which::Update, Which::Bury, Which::Touch, Which::Read][chance.below(4) as usize];
            let fault = match chance.below(3) {
                0 => Fault::Refuse,
                1 => Fault::LoseAnswer,
                _ => Fault::Delay(Duration::from_millis(chance.below(5))),
            };
            f.faults.fail_once(which, fault);
        }
        run(f, seed, 30).await;
    }
}

//! What stands in for locks and atomics under test, and the models in which threads run in every order.
//!
//! Within a model all threads are coroutines of one thread of the system: a lock that is taken is no reason to sleep, but
//! one to let others go on.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::Ordering;

use parking_lot::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Replays one schedule, or one simulation, instead of all.
pub(crate) const SEED: &str = "CLOAKROOM_SEED";
/// Says how many are run in place of the few that every test run has time for.
pub(crate) const RUNS: &str = "CLOAKROOM_RUNS";
/// In how many places a schedule of the second kind turns from one thread to another: few are enough for most mistakes
/// (Burckhardt and others, "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", 2010).
const TURNS: usize = 3;
/// A model that takes longer does not end.
const MAX_STEPS: usize = 100_000;

thread_local! {
    static IN_MODEL: Cell<bool> = const { Cell::new(false) };
    static JITTER: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The seeds of a run: the one to replay, or those from one on, `few` of them if nobody says how many.
pub(crate) fn seeds(few: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number(SEED) {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number(RUNS).unwrap_or(few),
    }
}

/// Runs `model`, which spawns threads of [`shuttle::thread`], under `few` schedules: every other one at random, the rest
/// with few turns.
pub(crate) fn explore(few: u64, model: impl Fn() + Send + Sync + Copy + 'static) {
    for seed in seeds(few) {
        let mut config = Config::default();
        config.max_steps = MaxSteps::FailAfter(MAX_STEPS);
        config.failure_persistence = FailurePersistence::None;
        IN_MODEL.set(true);
        let run = catch_unwind(AssertUnwindSafe(|| match seed % 2 {
            0 => Runner::new(RandomScheduler::new_from_seed(seed, 1), config).run(model),
            _ => Runner::new(PctScheduler::new_from_seed(seed, TURNS, 1), config).run(model),
        }));
        IN_MODEL.set(false);
        if let Err(panic) = run {
            eprintln!("this schedule comes again with {SEED}={seed}");
            resume_unwind(panic);
        }
    }
}

/// From now on [`jitter`] follows from `seed`, in this thread.
pub(crate) fn seed_jitter(seed: u64) {
    JITTER.set(Some(seed));
}

pub(crate) fn jitter() -> u32 {
    match JITTER.get() {
        None => getrandom::u32().unwrap_or(0),
        Some(seed) => {
            let next = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            JITTER.set(Some(next));
            (next >> 33) as u32
        }
    }
}

pub(crate) fn step() {
    if IN_MODEL.get() {
        // Whatever a model does to something of its own is such a place.
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}

/// Takes a lock: in a model by letting others go on until it is free.
fn take<G>(attempt: impl Fn() -> Option<G>, wait: impl FnOnce() -> G) -> G {
    if !IN_MODEL.get() {
        return wait();
    }
    step();
    loop {
        match attempt() {
            Some(guard) => return guard,
            None => shuttle::thread::yield_now(),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        take(|| self.0.try_lock(), || self.0.lock())
    }
}

#[derive(Debug, Default)]
pub(crate) struct RwLock<T>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        take(|| self.0.try_read(), || self.0.read())
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        take(|| self.0.try_write(), || self.0.write())
    }
}

/// An atomic whose every operation is a step. Orders weaker than the strongest are not told apart: all of them are
/// explored as if they were that one.
macro_rules! atomic {
    ($name:ident $value:ty { $($operation:ident),* }) => {
        #[derive(Debug, Default)]
        pub(crate) struct $name(std::sync::atomic::$name);

        #[allow(dead_code, reason = "each is as complete as what it stands in for needs to be")]
        impl $name {
            pub(crate) const fn new(value: $value) -> Self {
                Self(std::sync::atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange(current, new, success, failure)
            }

            $(
                pub(crate) fn $operation(&self, value: $value, order: Ordering) -> $value {
                    step();
                    self.0.$operation(value, order)
                }
            )*
        }
    };
}

atomic!(AtomicBool bool { swap });
atomic!(AtomicU64 u64 { fetch_add, fetch_max });
atomic!(AtomicUsize usize { fetch_add, fetch_sub });

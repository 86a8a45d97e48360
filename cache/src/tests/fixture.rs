//! A cache over an engine, its time, and what tests say about sessions.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use session::{
    Authentication, Ending, Handle, ManualClock, Millis, OnConflict, Patch, Principal, Session, Ticket,
    Timeouts, Why,
};
use storage::faulty::{Fault, Faulty, Gate, Which};
use storage::{Capabilities, Deadline, Key, Memory, Storage, Unavailable};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::probe::Probe;
use crate::{
    AFTERLIFE, Absence, Application, Cache, Ended, Find, Open, Opened, Opening, Patched, Realm, Renew,
    Renewal, Settings,
};

/// What time it is when a test begins.
pub(super) const START: Millis = Millis(1_700_000_000_000);
/// The time-outs of [`Fixture::application`].
pub(super) const IDLE: Duration = Duration::from_secs(1_800);
pub(super) const LIFETIME: Duration = Duration::from_secs(36_000);
pub(super) const TOUCH_INTERVAL: Duration = Duration::from_secs(60);
pub(super) const RENEW_WINDOW: Duration = Duration::from_secs(30);
pub(super) const RENEW_INTERVAL: Duration = Duration::from_secs(900);
pub(super) const TRUST_WINDOW: Duration = Duration::from_secs(10);
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
/// How long a test waits for what must happen; never how long it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Over what the cache stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    /// The memory of this process, without a first tier above it.
    Memory,
    /// The memory engine that passes for a foreign one, so that there is a first tier.
    Tiered,
    /// The embedded engine, in a folder of its own.
    Embedded,
}

/// A cache under test.
pub(super) struct Fixture {
    pub(super) engine: Engine,
    pub(super) clock: Arc<ManualClock>,
    /// What fails when the test wants it.
    pub(super) faults: Arc<Faulty>,
    /// What was asked of storage.
    pub(super) probe: Arc<Probe>,
    pub(super) cache: Arc<Cache>,
    /// Of a realm of its own, with both time-outs.
    pub(super) application: Application,
    /// How many tasks there are when nothing is to be done.
    tasks: usize,
    _folder: Option<TempDir>,
}

impl Fixture {
    pub(super) async fn over(engine: Engine) -> Self {
        Self::with(engine, |_| {}).await
    }

    /// Over an engine whose capabilities are said to be others.
    pub(super) async fn with(engine: Engine, say: impl FnOnce(&mut Capabilities)) -> Self {
        let clock = Arc::new(ManualClock::at(START));
        let mut folder = None;
        let storage: Arc<dyn Storage> = match engine {
            Engine::Memory | Engine::Tiered => {
                Arc::new(Memory::new("test", Arc::clone(&clock) as _, 64 << 20))
            }
            Engine::Embedded => {
                let made = TempDir::new().unwrap();
                let storage =
                    engines::embedded::open("test", made.path(), Arc::clone(&clock) as _).await.unwrap();
                folder = Some(made);
                storage
            }
        };
        let mut capabilities = storage.capabilities();
        capabilities.is_memory = engine == Engine::Memory;
        say(&mut capabilities);
        let faults = Arc::new(Faulty::new(storage));
        let probe = Arc::new(Probe::new(Arc::clone(&faults) as _, capabilities));
        let cache = cache_over(Arc::clone(&probe) as _, &clock, SETTINGS);
        let timeouts = Timeouts { idle: IDLE, lifetime: LIFETIME };
        let application = application("shop", timeouts);
        cache.reckon_with(&application.realm);
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        Self { engine, clock, faults, probe, cache, application, tasks, _folder: folder }
    }

    /// Another node over the same storage, or this one after a restart.
    pub(super) fn another_cache(&self) -> Arc<Cache> {
        self.cache_with(SETTINGS)
    }

    pub(super) fn cache_with(&self, settings: Settings) -> Arc<Cache> {
        cache_over(Arc::clone(&self.probe) as _, &self.clock, settings)
    }

    /// A cache that waits for storage no longer than this.
    pub(super) fn impatient_cache(&self, patience: Duration) -> Arc<Cache> {
        cache_over(Arc::new(Deadline::new(Arc::clone(&self.probe) as _, patience)), &self.clock, SETTINGS)
    }

    /// The process dies, without any last word, and another takes its place.
    pub(super) fn crash(&mut self) {
        self.cache = self.another_cache();
    }

    /// Has the house of `cache` kept until the result is dropped; it follows the change stream already.
    pub(super) async fn keep_house(&self, cache: &Arc<Cache>) -> House {
        let before = self.probe.followers();
        let house = House::of(cache);
        eventually(async || self.probe.followers() > before).await;
        house
    }

    /// Waits until all that requests left to be done beside them is done.
    pub(super) async fn quiet(&self) {
        self.quiet_but(0).await;
    }

    /// The same, but for so many tasks of the test's own.
    pub(super) async fn quiet_but(&self, others: usize) {
        let metrics = tokio::runtime::Handle::current().metrics();
        eventually(async || metrics.num_alive_tasks() <= self.tasks + others).await;
    }

    pub(super) fn has_first_tier(&self) -> bool {
        self.engine != Engine::Memory
    }

    pub(super) fn clock_now(&self) -> Millis {
        self.cache.now()
    }

    pub(super) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// A session with `a=1`.
    pub(super) async fn open(&self) -> Opened {
        self.open_with(&[("a", "1")], None).await
    }

    /// A session of a person, with `a=1`.
    pub(super) async fn open_for(&self, name: &str) -> Opened {
        self.open_with(&[("a", "1")], Some(Principal::named("test", name))).await
    }

    pub(super) async fn open_with(&self, entries: &[(&str, &str)], principal: Option<Principal>) -> Opened {
        let mut patch = Patch::new(session::Revision(0));
        for (name, value) in entries {
            patch.set(name, (*value).into());
        }
        let opening = Opening { principal, entries: patch, ..Opening::default() };
        opened(self.cache.open(opening, &self.application).await)
    }

    pub(super) async fn find(&self, ticket: &Ticket) -> Result<Find, Unavailable> {
        self.cache.find(ticket, &self.application).await
    }

    /// The session, which must be there.
    pub(super) async fn found(&self, ticket: &Ticket) -> Arc<Session> {
        found(self.find(ticket).await)
    }

    /// The session must not be there, and nobody must say that it is over.
    pub(super) async fn absence(&self, ticket: &Ticket) -> Absence {
        absent(self.find(ticket).await)
    }

    /// The session must be said to be over.
    pub(super) async fn ending(&self, ticket: &Ticket) -> Ending {
        ended(self.find(ticket).await)
    }

    /// Whether it is there; the answer must be one.
    pub(super) async fn is_found(&self, ticket: &Ticket) -> bool {
        matches!(self.find(ticket).await.unwrap(), Find::Found(_))
    }

    pub(super) async fn end(&self, session: &Session) -> Result<Ended, Unavailable> {
        self.cache.end(session, self.logout(), &self.application).await
    }

    pub(super) fn logout(&self) -> Ending {
        Ending::new(self.clock_now(), Why::Logout, "test")
    }

    pub(super) async fn patch(&self, handle: &Handle, patch: &Patch) -> Result<Patched, Unavailable> {
        self.cache.patch(handle, patch, OnConflict::KeepFirst, &self.application).await
    }

    /// Sets an entry, as somebody who saw `seen`; the session after it.
    pub(super) async fn set(&self, seen: &Session, name: &str, value: &str) -> Arc<Session> {
        merged(self.patch(&seen.handle, &setting(seen, name, value)).await).0
    }

    pub(super) async fn renew(&self, ticket: &Ticket, login: Option<&str>) -> Result<Renew, Unavailable> {
        self.cache.renew(&ticket.handle, &ticket.secret, &self.renewal(login), &self.application).await
    }

    pub(super) fn renewal(&self, login: Option<&str>) -> Renewal {
        let authentication = Authentication { at: self.clock_now(), level: "".into() };
        Renewal {
            login: login.map(|name| (Principal::named("test", name), authentication)),
            patch: Patch::new(session::Revision(0)),
            on_conflict: OnConflict::Overwrite,
        }
    }

    pub(super) fn key(&self, handle: &Handle) -> Key {
        self.cache.key(handle).unwrap()
    }

    /// The next operation of this kind is done, and its answer waits at the gate.
    pub(super) fn hold_after(&self, which: Which) -> Gate {
        let gate = Gate::default();
        self.faults.fail_once(which, Fault::HoldAfter(gate.clone()));
        gate
    }

    /// The next operation of this kind waits at the gate before anything is done.
    pub(super) fn hold_before(&self, which: Which) -> Gate {
        let gate = Gate::default();
        self.faults.fail_once(which, Fault::HoldBefore(gate.clone()));
        gate
    }
}

pub(super) const SETTINGS: Settings = Settings {
    inproc_timeout: Duration::from_secs(900),
    inproc_bytes: 8 << 20,
    trust_window: TRUST_WINDOW,
    outage_window: Duration::ZERO,
    renew_window: RENEW_WINDOW,
    cleanup_interval: Duration::ZERO,
    gather_touches: Duration::ZERO,
    maintain_index: true,
};

/// The house of a cache, kept until this is dropped.
pub(super) struct House(JoinHandle<()>);

impl House {
    pub(super) fn of(cache: &Arc<Cache>) -> Self {
        Self(tokio::spawn(Arc::clone(cache).keep_house()))
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn cache_over(storage: Arc<dyn Storage>, clock: &Arc<ManualClock>, settings: Settings) -> Arc<Cache> {
    Arc::new(Cache::new(storage, Arc::clone(clock) as _, settings, &mut Registry::default()))
}

/// One that shows itself to others.
pub(super) fn cache_with_name(
    storage: Arc<dyn Storage>,
    clock: &Arc<ManualClock>,
    settings: Settings,
    name: &str,
) -> Arc<Cache> {
    let cache = Cache::new(storage, Arc::clone(clock) as _, settings, &mut Registry::default());
    Arc::new(cache.named(name, "1.2.3").unwrap())
}

/// An application that is alone in its realm.
pub(super) fn application(realm: &str, timeouts: Timeouts) -> Application {
    let [application] = applications(realm, [timeouts]);
    application
}

/// Applications that share sessions.
pub(super) fn applications<const N: usize>(realm: &str, timeouts: [Timeouts; N]) -> [Application; N] {
    let realm = Arc::new(Realm {
        id: realm.into(),
        timeouts: timeouts.to_vec(),
        touch_interval: TOUCH_INTERVAL,
        lateness: TOUCH_INTERVAL,
        allowance: AFTERLIFE,
    });
    timeouts.map(|timeouts| Application {
        realm: Arc::clone(&realm),
        timeouts,
        touch_interval: TOUCH_INTERVAL,
        renew_interval: RENEW_INTERVAL,
    })
}

/// What somebody who saw `seen` sends to set an entry.
pub(super) fn setting(seen: &Session, name: &str, value: &str) -> Patch {
    let mut patch = Patch::new(seen.revision);
    patch.set(name, value.into());
    patch
}

/// What somebody who saw `seen` sends to remove an entry.
pub(super) fn removing(seen: &Session, name: &str) -> Patch {
    let mut patch = Patch::new(seen.revision);
    patch.remove(name);
    patch
}

/// All entries, as text.
pub(super) fn entries(session: &Session) -> String {
    let pairs: Vec<_> =
        session.entries.iter().map(|(name, value)| format!("{name}={}", value.as_text().unwrap())).collect();
    pairs.join(" ")
}

pub(super) fn opened(answer: Result<Open, Unavailable>) -> Opened {
    match answer.unwrap() {
        Open::Opened(opened) => opened,
        Open::LoggedOut(logged_out) => panic!("a login was refused: {logged_out:?}"),
    }
}

pub(super) fn found(answer: Result<Find, Unavailable>) -> Arc<Session> {
    match answer.unwrap() {
        Find::Found(found) => found.session,
        other => panic!("a live session was not found: {other:?}"),
    }
}

pub(super) fn absent(answer: Result<Find, Unavailable>) -> Absence {
    match answer.unwrap() {
        Find::Absent(absence) => absence,
        other => panic!("this should be absent: {other:?}"),
    }
}

pub(super) fn ended(answer: Result<Find, Unavailable>) -> Ending {
    match answer.unwrap() {
        Find::Ended(ending) => ending,
        other => panic!("this should be over: {other:?}"),
    }
}

pub(super) fn merged(answer: Result<Patched, Unavailable>) -> (Arc<Session>, session::Merge) {
    match answer.unwrap() {
        Patched::Merged(session, merge) => (session, merge),
        other => panic!("a patch was not merged: {other:?}"),
    }
}

pub(super) fn renewed(answer: Result<Renew, Unavailable>) -> (Arc<Session>, Ticket) {
    match answer.unwrap() {
        Renew::Renewed(session, ticket, _) => (session, ticket),
        other => panic!("a ticket was not renewed: {other:?}"),
    }
}

/// Waits until something is so, and fails if it never becomes so.
pub(super) async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("what should happen did not");
}

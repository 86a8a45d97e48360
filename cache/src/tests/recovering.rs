//! Sessions whose storage has lost them, and logout data that has not.
//!
//! The sessions are in memory that a test can have lost, at once and without a word; their logout data is in the engine of the
//! fixture.

mod endings;
mod lost;

use std::future::ready;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use session::{Clock, ManualClock, Millis, Principal, Recovery, Session, Ticket, Timeouts};
use storage::faulty::{Fault, Faulty, Which};
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, Memory, NewRecord, NewValue, Operation, Page,
    Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

use super::fixture::{
    Engine, Fixture, IDLE, LIFETIME, MILLISECOND, SETTINGS, TOUCH_INTERVAL, absent, application, ended,
    entries, found, merged, removing, renewed, setting,
};
use super::on_every_engine;
use crate::{Absence, Application, Cache, Find, Opened, Purpose, divided};

/// Memory that can lose everything, without a notice.
#[derive(Debug)]
pub(super) struct Forgetful {
    id: Arc<str>,
    clock: Arc<ManualClock>,
    is_memory: bool,
    now: Mutex<Arc<Faulty>>,
}

impl Forgetful {
    fn new(clock: &Arc<ManualClock>, is_memory: bool) -> Self {
        let now = Mutex::new(Self::empty(clock));
        Self { id: "sessions".into(), clock: Arc::clone(clock), is_memory, now }
    }

    fn empty(clock: &Arc<ManualClock>) -> Arc<Faulty> {
        Arc::new(Faulty::new(Arc::new(Memory::new("sessions", Arc::clone(clock) as _, 64 << 20))))
    }

    /// Everything is gone.
    fn forget(&self) {
        self.clock.advance(MILLISECOND);
        *self.now.lock() = Self::empty(&self.clock);
    }

    fn now(&self) -> Arc<Faulty> {
        Arc::clone(&self.now.lock())
    }
}

#[async_trait]
impl Storage for Forgetful {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { is_memory: self.is_memory, ..self.now().capabilities() }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.now().create(key, new).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.now().read(key, known).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.now().update(key, new).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.now().touch(key, times).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.now().bury(key, burial).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.now().list(context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.now().scan(cursor, budget).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.now().batch(operations).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.now().reap(now, budget).await
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.now().watch(from).await
    }
}

/// A cache whose sessions may come back with `eppn` and `groups`.
pub(super) struct Recoverable {
    pub(super) f: Fixture,
    pub(super) sessions: Arc<Forgetful>,
}

impl Recoverable {
    pub(super) fn over(mut f: Fixture) -> Self {
        let sessions = Arc::new(Forgetful::new(&f.clock, f.engine == Engine::Memory));
        f.cache = Self::cache(&f, &sessions, false);
        Self { f, sessions }
    }

    fn cache(f: &Fixture, sessions: &Arc<Forgetful>, is_soft: bool) -> Arc<Cache> {
        let clock: Arc<dyn Clock> = Arc::clone(&f.clock) as _;
        let both = divided(Arc::clone(sessions) as _, Arc::clone(&f.probe) as _, Arc::clone(&clock));
        let cache = Arc::new(Cache::new(Arc::new(both), clock, SETTINGS, &mut Registry::default()));
        cache.reckon_with(&f.application.realm);
        cache.allow_recovery(&f.application.realm, is_soft);
        cache
    }

    /// Another process over the same two.
    pub(super) fn another(&self) -> Arc<Cache> {
        Self::cache(&self.f, &self.sessions, false)
    }

    /// The process dies and takes the sessions along, and another begins.
    pub(super) fn restart(&mut self) {
        self.sessions.forget();
        self.f.cache = self.another();
    }

    /// The same, of one that overlooks what it cannot ask.
    pub(super) fn restart_softly(&mut self) {
        self.sessions.forget();
        self.f.cache = Self::cache(&self.f, &self.sessions, true);
    }

    pub(super) fn logout_data_goes(&self) {
        self.f.faults.fail(Which::Any, Fault::Refuse);
    }

    /// Ada's, with what comes back and what does not.
    pub(super) async fn open(&self) -> (Opened, Recovery) {
        let given = [("eppn", "ada@example.org"), ("basket", "7"), ("groups", "staff")];
        let opened = self.f.open_with(&given, Some(Principal::named("test", "ada"))).await;
        let recovery = self.sealed(&opened.session);
        (opened, recovery)
    }

    /// What the visitor gets for the session as it is.
    pub(super) fn sealed(&self, session: &Session) -> Recovery {
        self.f.cache.recovery_of(session, &names(), self.f.clock_now(), &self.f.application).unwrap()
    }

    pub(super) async fn come(&self, ticket: &Ticket, recovery: &Recovery) -> Result<Find, Unavailable> {
        come(&self.f.cache, ticket, recovery, &self.f.application).await
    }
}

pub(super) fn names() -> Vec<Box<str>> {
    vec!["eppn".into(), "groups".into()]
}

pub(super) async fn come(
    cache: &Cache,
    ticket: &Ticket,
    recovery: &Recovery,
    application: &Application,
) -> Result<Find, Unavailable> {
    cache.find_or_recover(Purpose::USE, ticket, application, ready(Some(recovery.clone()))).await
}

//! The network of a simulation: nodes, each with a line to one storage.
//!
//! What befalls an operation follows from the seed, its node, its record and how often that was asked for, and not from the order
//! in which others come: so a failure comes again though handles are drawn anew.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use parking_lot::Mutex;
use session::{Clock, Handle, Millis};
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, Memory, NewRecord, NewValue, Notice, Operation,
    Page, Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::chance::{Chance, mixed};
use crate::tests::fixture::START;

/// How long a node waits for an answer.
const PATIENCE: Duration = Duration::from_millis(400);
/// How late a notice comes at most, where the line is whole.
const LONGEST_LAG: u64 = 120;
/// Within how long it is noticed that a line is cut.
const NOTICED: u64 = 500;
/// How long a stream may be deaf before it ends.
const UNNOTICED: Duration = Duration::from_millis(NOTICED + LONGEST_LAG);

/// The time of a node, or of the storage: it may be wrong, and never goes back.
#[derive(Debug)]
pub(super) struct Time {
    begun: Instant,
    ahead: AtomicU64,
    latest: AtomicU64,
}

impl Time {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { begun: Instant::now(), ahead: AtomicU64::new(0), latest: AtomicU64::new(0) })
    }

    /// Somebody sets the clock, to so much more than it should show, or less.
    pub(super) fn set(&self, ahead: i64) {
        self.ahead.store(ahead.cast_unsigned(), Ordering::Relaxed);
    }

    /// The process has begun anew, and does not know what it once showed.
    pub(super) fn forget(&self) {
        self.latest.store(0, Ordering::Relaxed);
    }
}

impl Clock for Time {
    fn now(&self) -> Millis {
        let elapsed = self.begun.elapsed().as_millis() as u64;
        let ahead = self.ahead.load(Ordering::Relaxed).cast_signed();
        let shown = (START.0 + elapsed).saturating_add_signed(ahead);
        Millis(self.latest.fetch_max(shown, Ordering::Relaxed).max(shown))
    }
}

/// The storage, and who listens to it.
#[derive(Debug)]
pub(super) struct Network {
    me: Weak<Self>,
    id: Arc<str>,
    memory: Memory,
    seed: u64,
    /// Of a hundred operations so many do not go as they should.
    roughness: u64,
    /// Nothing goes wrong before and after the storm.
    is_calm: AtomicBool,
    state: Mutex<State>,
}

struct State {
    announced: Changes,
    listeners: Vec<Listener>,
    /// Until when the lines of nodes are cut.
    cut: Vec<(usize, Instant)>,
    /// Handles in the order in which they came.
    handles: Vec<Handle>,
    asked: std::collections::HashMap<u64, u64>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("State")
    }
}

struct Listener {
    node: usize,
    told: mpsc::UnboundedSender<(Instant, Notice)>,
    /// Until when it hears nothing, though nobody has noticed yet.
    deaf_until: Option<Instant>,
    missed: Vec<Notice>,
    chance: Chance,
}

/// What befalls an operation.
#[derive(Clone, Copy)]
struct Fate {
    before: Duration,
    after: Duration,
    is_refused: bool,
    is_lost: bool,
}

impl Network {
    pub(super) fn new(seed: u64, roughness: u64) -> Arc<Self> {
        let memory = Memory::new("simulated", Time::new() as _, 64 << 20);
        let announced = memory.watch(None).now_or_never().unwrap().unwrap();
        let state = State {
            announced,
            listeners: Vec::new(),
            cut: Vec::new(),
            handles: Vec::new(),
            asked: std::collections::HashMap::new(),
        };
        Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            id: "simulated".into(),
            memory,
            seed,
            roughness,
            is_calm: AtomicBool::new(true),
            state: Mutex::new(state),
        })
    }

    pub(super) fn calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Relaxed);
    }

    pub(super) fn knows(&self, handle: Handle) {
        self.state.lock().handles.push(handle);
    }

    /// The line of a node is cut until a moment. Its streams end when somebody notices, if that is before.
    pub(super) fn cut(&self, node: usize, until: Instant, chance: &mut Chance) {
        let noticed = Instant::now() + Duration::from_millis(chance.below(NOTICED));
        self.state.lock().cut.push((node, until));
        self.deafen(node, until);
        if noticed < until {
            let me = self.me.upgrade().unwrap();
            tokio::spawn(async move {
                sleep_until(noticed).await;
                me.state.lock().listeners.retain(|listener| listener.node != node);
            });
        }
    }

    /// The streams of a node hear nothing until a moment; then they are told what they missed, or that they did.
    pub(super) fn deafen(&self, node: usize, until: Instant) {
        let mut state = self.state.lock();
        // Deaf twice over would be deaf for too long: that is noticed.
        state.listeners.retain(|listener| listener.node != node || listener.deaf_until.is_none());
        for listener in state.listeners.iter_mut().filter(|listener| listener.node == node) {
            listener.deaf_until = Some(until);
        }
        drop(state);
        let me = self.me.upgrade().unwrap();
        tokio::spawn(async move {
            sleep_until(until).await;
            for listener in &mut me.state.lock().listeners {
                if listener.node == node && listener.deaf_until.is_some_and(|until| until <= Instant::now()) {
                    listener.deaf_until = None;
                    let missed = std::mem::take(&mut listener.missed);
                    if !missed.is_empty() && listener.chance.below(2) == 0 {
                        let _ = listener.told.send((Instant::now(), Notice::Gap));
                    } else {
                        missed
                            .into_iter()
                            .for_each(|notice| drop(listener.told.send((Instant::now(), notice))));
                    }
                }
            }
        });
    }

    fn has_sessions(&self, context: &str) -> bool {
        let first = context.split_once('.').and_then(|(_, first)| u8::from_str_radix(first, 16).ok());
        self.state.lock().handles.iter().any(|handle| handle.as_bytes().first().copied() == first)
    }

    fn is_cut(&self, node: usize) -> bool {
        let now = Instant::now();
        self.state.lock().cut.iter().any(|(cut, until)| *cut == node && now < *until)
    }

    /// Does something to the storage, and tells who listens.
    fn apply<T>(&self, operation: impl FnOnce(&Memory) -> T) -> T {
        let answer = operation(&self.memory);
        let mut state = self.state.lock();
        while let Some(Some(notice)) = state.announced.next().now_or_never() {
            for listener in &mut state.listeners {
                if listener.deaf_until.is_some() {
                    listener.missed.push(notice.clone());
                } else {
                    let lag = Duration::from_millis(listener.chance.below(LONGEST_LAG));
                    let _ = listener.told.send((Instant::now() + lag, notice.clone()));
                }
            }
        }
        answer
    }

    fn fate(&self, node: usize, key: &Key, kind: u8) -> Fate {
        let mut state = self.state.lock();
        let mut hasher = DefaultHasher::new();
        let (context, _) = key.context().split_once('.').unwrap_or((key.context(), ""));
        let name = std::str::from_utf8(key.name()).unwrap_or("");
        let handle = name.split('.').next().and_then(|name| name.parse::<Handle>().ok());
        let session = handle.and_then(|handle| state.handles.iter().position(|known| *known == handle));
        (self.seed, node, context, session, kind).hash(&mut hasher);
        let asked = state.asked.entry(hasher.finish()).or_default();
        *asked += 1;
        let mut chance = Chance(mixed(hasher.finish() ^ *asked));
        let millis = Duration::from_millis;
        let mut fate = Fate { before: millis(0), after: millis(0), is_refused: false, is_lost: false };
        if self.is_calm.load(Ordering::Relaxed) {
            return fate;
        }
        if chance.below(2) == 0 {
            (fate.before, fate.after) = (millis(chance.below(30)), millis(chance.below(30)));
        }
        if chance.below(100) < self.roughness {
            match chance.below(4) {
                0 => fate.is_refused = true,
                1 => fate.is_lost = true,
                // Its answer may come when nobody waits for it any more, and it may be done then.
                2 => fate.before = millis(chance.below(700)),
                _ => fate.after = millis(chance.below(700)),
            }
        }
        fate
    }
}

/// The line of one life of a node.
#[derive(Debug)]
pub(super) struct Line {
    network: Arc<Network>,
    node: usize,
    is_dead: Arc<AtomicBool>,
}

impl Line {
    pub(super) fn new(network: &Arc<Network>, node: usize) -> Self {
        Self { network: Arc::clone(network), node, is_dead: Arc::default() }
    }

    /// The process dies: nothing that it asked for comes back to it; what it sent may still arrive.
    pub(super) fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.network.state.lock().listeners.retain(|listener| listener.node != self.node);
    }

    async fn carry<T: Send + 'static>(
        &self,
        key: &Key,
        kind: u8,
        operation: impl FnOnce(&Memory) -> Result<T, Unavailable> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let network = &self.network;
        let fate = network.fate(self.node, key, kind);
        if self.is_dead.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        let is_plain = fate.before.is_zero() && fate.after.is_zero() && !fate.is_refused && !fate.is_lost;
        if is_plain && !network.is_cut(self.node) {
            return network.apply(operation);
        }
        if fate.is_refused {
            sleep(fate.before).await;
            return self.answer(Err(Unavailable::failed(&network.id, "refused"))).await;
        }
        let (answers, answer) = oneshot::channel();
        let (there, node) = (Arc::clone(network), self.node);
        tokio::spawn(async move {
            sleep(fate.before).await;
            while there.is_cut(node) {
                // It is sent once more when the line is mended, or never.
                if fate.is_lost {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
            let done = there.apply(operation);
            sleep(fate.after).await;
            if !fate.is_lost && !there.is_cut(node) {
                let _ = answers.send(done);
            } else {
                // Kept, so that it is waited for in vain.
                sleep(PATIENCE).await;
                drop(answers);
            }
        });
        let answer = match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Unavailable::deadline(&network.id, PATIENCE)),
        };
        self.answer(answer).await
    }

    async fn answer<T>(&self, answer: Result<T, Unavailable>) -> Result<T, Unavailable> {
        if self.is_dead.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        answer
    }
}

/// Operations of the memory engine are done when they are first asked for.
fn now<T>(operation: impl Future<Output = T>) -> T {
    operation.now_or_never().unwrap()
}

#[async_trait]
impl Storage for Line {
    fn id(&self) -> &Arc<str> {
        &self.network.id
    }

    fn capabilities(&self) -> Capabilities {
        let memory = self.network.memory.capabilities();
        Capabilities { is_shared: true, is_memory: false, is_durable: true, unnoticed: UNNOTICED, ..memory }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        let there = key.clone();
        self.carry(key, 0, move |memory| now(memory.create(&there, new))).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        let there = key.clone();
        self.carry(key, 1, move |memory| now(memory.read(&there, known))).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        let there = key.clone();
        self.carry(key, 2, move |memory| now(memory.update(&there, new))).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        let there = key.clone();
        self.carry(key, 3, move |memory| now(memory.touch(&there, times))).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        let there = key.clone();
        self.carry(key, 4, move |memory| now(memory.bury(&there, burial))).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        let (of, after) = (context.to_owned(), after.map(<[u8]>::to_vec));
        let list = move |memory: &Memory| now(memory.list(&of, after.as_deref(), limit));
        // There are 256 of these, and no session but in one of them: what befalls that one befalls all.
        if context.starts_with("gone.") && !self.network.has_sessions(context) {
            return self.answer(Ok(Page { records: Vec::new(), has_more: false })).await;
        }
        self.carry(&Key::new(context, b"-").unwrap(), 5, list).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let cursor = cursor.map(<[u8]>::to_vec);
        let scan = move |memory: &Memory| now(memory.scan(cursor.as_deref(), budget));
        self.carry(&Key::new("scan", b"-").unwrap(), 7, scan).await
    }

    async fn batch(&self, _: Vec<Operation>) -> Result<Batch, Unavailable> {
        panic!("nobody writes batches here")
    }

    async fn reap(&self, _: Millis, _: usize) -> Result<usize, Unavailable> {
        // What expired is absent, reaped or not.
        Ok(0)
    }

    fn next_expiry(&self) -> Option<Millis> {
        Some(Millis::NEVER)
    }

    async fn watch(&self, _: Option<Position>) -> Result<Changes, Unavailable> {
        let (told, heard) = mpsc::unbounded_channel();
        let (network, node) = (Arc::clone(&self.network), self.node);
        let key = Key::new("watch", b"-").unwrap();
        self.carry(&key, 6, move |_| {
            let chance = Chance(mixed(network.seed ^ node as u64));
            let listener = Listener { node, told, deaf_until: None, missed: Vec::new(), chance };
            network.state.lock().listeners.push(listener);
            Ok(())
        })
        .await?;
        Ok(Box::pin(unfold(heard, |mut heard| async move {
            let (due, notice) = heard.recv().await?;
            sleep_until(due).await;
            Some((notice, heard))
        })))
    }
}

//! One world: its nodes, what happens in it, and what must not.

mod happening;
mod judging;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use session::{Authentication, Carried, Clock as _, Handle, Principal, Session, Ticket, Timeouts};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::chance::{Chance, mixed};
use super::network::{Line, Network, Time};
use crate::sync::model::seed_jitter;
use crate::tests::carrying::{carried, roomy, spills};
use crate::tests::fixture::{IDLE, LIFETIME, SETTINGS, opened};
use crate::{Application, Cache, Fit, Opening, Realm, Settings, Survey, Surveyed};

/// How long a node may serve what it has not heard of.
const WINDOW: Duration = Duration::from_secs(2);
/// How long it storms.
const STORM: Duration = Duration::from_secs(3);
const WHO: &str = "ann";
/// What several change.
const SAME: &str = "same";

/// Of what kind a world is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// Its session is carried by the visitor.
    pub(super) is_carried: bool,
    pub(super) is_rough: bool,
}

/// One life of one node.
#[derive(Clone)]
struct Node {
    life: u32,
    cache: Arc<Cache>,
    line: Arc<Line>,
    house: Arc<JoinHandle<()>>,
    survey: Arc<Survey<Heard>>,
}

/// What was told to somebody, and when.
#[derive(Default)]
struct Told {
    tickets: Vec<Ticket>,
    cookies: Vec<Arc<Carried>>,
    /// Somebody has asked for an end.
    is_end_asked: bool,
    /// An end that storage has was told: on which node, and when.
    over: Vec<(usize, Instant)>,
    /// A life that said that the end waits.
    waiting: Vec<(usize, u32)>,
    /// Entries whose change was acknowledged, and to what.
    merged: Vec<(String, u64)>,
    /// A renewal may have been done whose ticket nobody has.
    is_ticket_lost: bool,
    violations: Vec<String>,
    story: String,
}

/// What lists keep of the session.
pub(super) struct Heard(Handle);

impl Surveyed for Heard {
    fn of(session: Session) -> Option<Self> {
        Some(Self(session.handle))
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

pub(super) struct World {
    kind: Kind,
    network: Arc<Network>,
    times: Vec<Arc<Time>>,
    nodes: Mutex<Vec<Node>>,
    application: Application,
    begun: Mutex<Option<Instant>>,
    session: Mutex<Option<Arc<Session>>>,
    fits: fn(&Session) -> Fit,
    told: Mutex<Told>,
}

impl World {
    pub(super) fn run(seed: u64, kind: Kind) -> Arc<Self> {
        seed_jitter(seed);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut chance = Chance(mixed(seed) ^ u64::from(kind.is_carried));
            let world = Self::new(seed, kind, &mut chance);
            world.open().await;
            world.storm(&mut chance).await;
            world.judge_at_the_end().await;
            // Nothing of it goes on: all of its tasks hold it.
            world.nodes.lock().iter().for_each(|node| node.house.abort());
            world
        })
    }

    fn new(seed: u64, kind: Kind, chance: &mut Chance) -> Arc<Self> {
        let nodes = if chance.comes(30) { 3 } else { 2 };
        let network = Network::new(seed, if kind.is_rough { 10 + chance.below(30) } else { 0 });
        let timeouts = Timeouts { idle: IDLE, lifetime: LIFETIME };
        // Touched at nearly every use.
        let touch_interval = Duration::from_millis(50);
        let realm = Arc::new(Realm {
            id: "shop".into(),
            timeouts: vec![timeouts],
            touch_interval,
            lateness: touch_interval,
            allowance: Duration::from_secs(3_600),
        });
        let fits = if chance.comes(50) { roomy as fn(&Session) -> Fit } else { spills };
        let world = Arc::new(Self {
            kind,
            times: (0..nodes).map(|_| Time::new()).collect(),
            nodes: Mutex::default(),
            application: Application { realm, timeouts, touch_interval, renew_interval: Duration::ZERO },
            begun: Mutex::new(Some(Instant::now())),
            session: Mutex::default(),
            fits,
            told: Mutex::default(),
            network,
        });
        for node in 0..nodes {
            let node = world.start(node, 0);
            world.nodes.lock().push(node);
        }
        world
    }

    fn start(&self, node: usize, life: u32) -> Node {
        let line = Arc::new(Line::new(&self.network, node));
        let settings =
            Settings { inproc_bytes: 64 << 10, trust_window: WINDOW, renew_window: LIFETIME, ..SETTINGS };
        let (storage, clock) = (Arc::clone(&line) as _, Arc::clone(&self.times[node]) as _);
        let cache = Arc::new(Cache::new(storage, clock, settings, &mut Registry::default()));
        cache.reckon_with(&self.application.realm);
        let house = Arc::new(tokio::spawn(Arc::clone(&cache).keep_house()));
        Node { life, cache, line, house, survey: Arc::default() }
    }

    async fn open(&self) {
        let node = self.node(0);
        let principal = Some(Principal::named("test", WHO));
        let authentication = Some(Authentication { at: self.times[0].now(), level: "".into() });
        let opening = Opening { principal, authentication, ..Opening::default() };
        let handle = if self.kind.is_carried {
            let carried = carried(node.cache.open_carried(&opening, &self.application).await);
            *self.session.lock() = Some(Arc::clone(&carried.session));
            self.told.lock().cookies.push(Arc::clone(&carried));
            carried.session.handle
        } else {
            let opened = opened(node.cache.open(opening, &self.application).await);
            *self.session.lock() = Some(opened.session);
            let handle = opened.ticket.handle;
            self.told.lock().tickets.push(opened.ticket);
            handle
        };
        self.network.knows(handle);
    }

    async fn storm(self: &Arc<Self>, chance: &mut Chance) {
        self.network.calm(false);
        let begun = Instant::now();
        // Most happens in a moment.
        let span = if chance.comes(60) { 150 } else { STORM.as_millis() as u64 };
        let count = 8 + chance.below(10);
        let events: Vec<_> = (0..count)
            .map(|number| {
                let at = begun + Duration::from_millis(chance.below(span));
                let event = self.event(chance);
                let node = chance.below(self.times.len() as u64) as usize;
                let (world, mut chance) = (Arc::clone(self), Chance(chance.next()));
                tokio::spawn(async move {
                    sleep_until(at).await;
                    world.happens(number, event, node, &mut chance).await;
                })
            })
            .collect();
        sleep(STORM + WINDOW).await;
        self.network.calm(true);
        sleep(WINDOW).await;
        // Whoever asked on a node that died has no answer.
        events.iter().for_each(JoinHandle::abort);
    }

    fn node(&self, node: usize) -> Node {
        self.nodes.lock()[node].clone()
    }

    fn session(&self) -> Arc<Session> {
        self.session.lock().clone().unwrap()
    }

    fn note(&self, text: impl std::fmt::Display) {
        let now = self.begun.lock().map_or(0, |begun| begun.elapsed().as_millis());
        let _ = writeln!(self.told.lock().story, "{now:>6} ms  {text}");
    }

    fn violate(&self, text: String) {
        self.note(format_args!("!! {text}"));
        self.told.lock().violations.push(text);
    }

    pub(super) fn is_end_acknowledged(&self) -> bool {
        !self.told.lock().over.is_empty()
    }

    pub(super) fn merged(&self) -> u64 {
        self.told.lock().merged.len() as u64
    }

    pub(super) fn violations(&self) -> Vec<String> {
        self.told.lock().violations.clone()
    }

    pub(super) fn story(&self) -> String {
        self.told.lock().story.clone()
    }
}

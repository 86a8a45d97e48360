//! One world: what happens in it, and what must not.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use session::{
    Authentication, Carried, Clock as _, Ending, OnConflict, Patch, Principal, Selector, Session, Ticket,
    Timeouts, Whose, Why,
};
use storage::Unavailable;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use super::chance::{Chance, mixed};
use super::network::{Line, Network, Time};
use crate::sync::model::seed_jitter;
use crate::tests::carrying::{carried, roomy, spills};
use crate::tests::fixture::{IDLE, LIFETIME, SETTINGS, opened};
use crate::{Absence, Application, Cache, Find, Fit, Opening, Patched, Realm, Renew, Renewal, Settings};

/// How long a node may serve what it has not heard of.
const WINDOW: Duration = Duration::from_secs(2);
/// How long it storms.
const STORM: Duration = Duration::from_secs(3);
const WHO: &str = "ann";

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
    /// Names of entries whose change was acknowledged.
    merged: Vec<String>,
    /// A renewal may have been done whose ticket nobody has.
    is_ticket_lost: bool,
    violations: Vec<String>,
    story: String,
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

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Event {
    Find,
    Patch,
    Renew,
    End,
    EndByHandle,
    EndAll,
    Crash,
    Cut,
    Gap,
    Clock,
}

/// What was known when something began: by this it is judged.
struct Begun {
    node: usize,
    life: u32,
    must_be_over: Option<&'static str>,
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
        Node { life, cache, line, house }
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

    fn event(&self, chance: &mut Chance) -> Event {
        let rough = if self.kind.is_rough { 100 } else { 88 };
        match chance.below(rough) {
            0..35 => Event::Find,
            35..60 => Event::Patch,
            60..68 => Event::Renew,
            68..74 => Event::End,
            74..77 => Event::EndByHandle,
            77..82 => Event::EndAll,
            82..85 => Event::Clock,
            85..88 => Event::Gap,
            88..94 => Event::Cut,
            _ => Event::Crash,
        }
    }

    fn node(&self, node: usize) -> Node {
        self.nodes.lock()[node].clone()
    }

    fn session(&self) -> Arc<Session> {
        self.session.lock().clone().unwrap()
    }

    fn begin(&self, node: usize, life: u32) -> Begun {
        let (told, now) = (self.told.lock(), Instant::now());
        let must_be_over = if told.over.iter().any(|(there, _)| *there == node) {
            Some("it was told here that it is over")
        } else if told.over.iter().any(|(_, when)| now >= *when + WINDOW) {
            Some("it was told elsewhere, longer ago than the trust window")
        } else if told.waiting.contains(&(node, life)) {
            Some("its end waits here")
        } else {
            None
        };
        Begun { node, life, must_be_over }
    }

    fn note(&self, text: impl std::fmt::Display) {
        let now = self.begun.lock().map_or(0, |begun| begun.elapsed().as_millis());
        let _ = writeln!(self.told.lock().story, "{now:>6} ms  {text}");
    }

    fn violate(&self, text: String) {
        self.note(format_args!("!! {text}"));
        self.told.lock().violations.push(text);
    }

    /// Something was told by a node; unless that has died meanwhile, it counts.
    fn hears(&self, begun: &Begun, what: &str, answer: Answer) {
        if self.node(begun.node).life != begun.life {
            return;
        }
        self.note(format_args!("node {} {what}: {answer:?}", begun.node));
        match answer {
            Answer::Live => {
                if let Some(why) = begun.must_be_over {
                    self.violate(format!("law 1: {what} on node {} has it live, and {why}", begun.node));
                }
            }
            Answer::Over => {
                let mut told = self.told.lock();
                told.over.push((begun.node, Instant::now()));
                if !told.is_end_asked {
                    drop(told);
                    self.violate(format!("law 3: {what} on node {} says it is over", begun.node));
                }
            }
            Answer::Absent => {
                self.violate(format!("law 3: {what} on node {} says there is none", begun.node));
            }
            Answer::Waits => self.told.lock().waiting.push((begun.node, begun.life)),
            Answer::Unknown => {}
        }
    }

    async fn happens(&self, number: u64, event: Event, node: usize, chance: &mut Chance) {
        let Node { life, cache, line, house } = self.node(node);
        self.note(format_args!("node {node} {event:?} {number}"));
        let begun = self.begin(node, life);
        match event {
            Event::Find => {
                let answer = self.find(&cache, chance).await;
                self.hears(&begun, "find", answer);
            }
            Event::Patch => self.patch(&cache, begun, number, chance).await,
            Event::Renew => self.renew(&cache, begun, chance).await,
            Event::End | Event::EndByHandle | Event::EndAll => self.end(&cache, begun, event).await,
            Event::Crash => {
                line.kill();
                house.abort();
                self.times[node].forget();
                let started = self.start(node, life + 1);
                self.nodes.lock()[node] = started;
            }
            Event::Cut => {
                let until = Instant::now() + Duration::from_millis(chance.below(2_000));
                self.network.cut(node, until, chance);
            }
            Event::Gap => {
                self.network.deafen(node, Instant::now() + Duration::from_millis(chance.below(400)))
            }
            Event::Clock => {
                // What was written of a carried session is kept for a minute, by the clocks of those who wrote it.
                let furthest = if self.kind.is_carried { 10_000 } else { 600_000 };
                let ahead = chance.below(2 * furthest) as i64 - furthest as i64;
                self.times[node].set(ahead);
            }
        }
    }

    async fn find(&self, cache: &Cache, chance: &mut Chance) -> Answer {
        let (tickets, cookies) = {
            let told = self.told.lock();
            (told.tickets.clone(), told.cookies.clone())
        };
        let of_all = tickets.len() + cookies.len();
        let at = chance.below(of_all as u64) as usize;
        match tickets.get(at) {
            Some(ticket) => self.found(cache.find(ticket, &self.application).await),
            None => self.found(cache.find_carried(&cookies[at - tickets.len()], &self.application).await),
        }
    }

    fn found(&self, find: Result<Find, Unavailable>) -> Answer {
        match find {
            Ok(Find::Found(found)) => {
                let mut told = self.told.lock();
                told.tickets.extend(found.successor);
                told.cookies.extend(found.refreshed);
                Answer::Live
            }
            Ok(Find::Ended(_)) => Answer::Over,
            // Of tickets before the last but one nothing is kept.
            Ok(Find::Absent(Absence::WrongSecret)) => Answer::Unknown,
            Ok(Find::Absent(_)) => Answer::Absent,
            Err(_) => Answer::Unknown,
        }
    }

    async fn patch(&self, cache: &Cache, begun: Begun, number: u64, chance: &mut Chance) {
        let name = format!("k{number}");
        let mut patch = Patch::new(self.session().revision);
        patch.set(&name, "1".into());
        let cookies = self.told.lock().cookies.clone();
        let (handle, on_conflict) = (self.session().handle, OnConflict::KeepFirst);
        let patched = if self.kind.is_carried {
            let cookie = chance.one(&cookies);
            let patched =
                cache.patch_carried(cookie, &patch, on_conflict, &self.application, self.fits).await;
            if let Ok(Patched::Merged(session, _)) = &patched {
                let next = cache.carry(cookie, Arc::clone(session), &self.application);
                self.told.lock().cookies.extend(next);
            }
            patched
        } else {
            cache.patch(&handle, &patch, on_conflict, &self.application).await
        };
        let answer = match patched {
            Ok(Patched::Merged(..)) => Answer::Live,
            Ok(Patched::Moved(_, ticket, _)) => {
                self.told.lock().tickets.push(ticket);
                Answer::Live
            }
            Ok(Patched::Ended(_)) => Answer::Over,
            Ok(Patched::Absent) => Answer::Absent,
            Ok(other) => panic!("this does not happen here: {other:?}"),
            Err(_) => Answer::Unknown,
        };
        if answer == Answer::Live && self.node(begun.node).life == begun.life {
            self.told.lock().merged.push(name.clone());
        }
        self.hears(&begun, &format!("patch {name}"), answer);
    }

    async fn renew(&self, cache: &Cache, begun: Begun, chance: &mut Chance) {
        let tickets = self.told.lock().tickets.clone();
        if tickets.is_empty() {
            return;
        }
        let ticket = chance.one(&tickets);
        let renewal = Renewal {
            login: None,
            patch: Patch::new(session::Revision(0)),
            on_conflict: OnConflict::Overwrite,
        };
        let answer = match cache.renew(&ticket.handle, &ticket.secret, &renewal, &self.application).await {
            Ok(Renew::Renewed(_, next, _)) => {
                self.told.lock().tickets.push(next);
                Answer::Live
            }
            Ok(_) => Answer::Unknown,
            Err(_) => {
                self.told.lock().is_ticket_lost = true;
                Answer::Unknown
            }
        };
        self.hears(&begun, "renew", answer);
    }

    async fn end(&self, cache: &Arc<Cache>, begun: Begun, event: Event) {
        self.told.lock().is_end_asked = true;
        let session = self.session();
        let ending = Ending::new(cache.now(), Why::Logout, "test");
        let answer = match event {
            Event::EndAll => {
                let selector = Selector::person(Principal::named("test", WHO));
                // Nothing waits here: whoever asked is told to ask again.
                cache.end_where(selector, ending).await.map_or(Answer::Unknown, |_| Answer::Over)
            }
            Event::EndByHandle => {
                let selector = Selector::all(Whose::Handles(vec![session.handle]));
                cache.end_where(selector, ending).await.map_or(Answer::Unknown, |_| Answer::Over)
            }
            _ => {
                let ended = cache.end(&session, ending, &self.application).await;
                ended.map_or(Answer::Waits, |_| Answer::Over)
            }
        };
        self.hears(&begun, "end", answer);
    }

    /// All is well again: what was told must be so everywhere, also for a node that begins now.
    async fn judge_at_the_end(self: &Arc<Self>) {
        let fresh = self.start(0, u32::MAX);
        let mut nodes = self.nodes.lock().clone();
        nodes.push(fresh.clone());
        let (tickets, cookies, merged, is_over, is_end_asked, is_ticket_lost) = {
            let told = self.told.lock();
            let (is_over, lost) = (!told.over.is_empty(), told.is_ticket_lost);
            (
                told.tickets.clone(),
                told.cookies.clone(),
                told.merged.clone(),
                is_over,
                told.is_end_asked,
                lost,
            )
        };
        for (number, Node { cache, .. }) in nodes.iter().enumerate() {
            let mut finds = Vec::new();
            for ticket in &tickets {
                finds.push(cache.find(ticket, &self.application).await);
            }
            for cookie in &cookies {
                finds.push(cache.find_carried(cookie, &self.application).await);
            }
            let mut is_found = false;
            for find in finds {
                match find {
                    Ok(Find::Found(_)) if is_over => {
                        self.violate(format!("law 1: at the end node {number} has it live"));
                    }
                    Ok(Find::Found(found)) => {
                        is_found = true;
                        for name in &merged {
                            if found.session.entries.iter().all(|(there, _)| there != name) {
                                self.violate(format!("law 2: at the end node {number} has no {name}"));
                            }
                        }
                    }
                    Ok(_) => {}
                    Err(error) => self.violate(format!("at the end node {number} cannot say: {error}")),
                }
            }
            if !is_found && !is_end_asked && !is_ticket_lost {
                self.violate(format!("law 3: at the end node {number} has nothing, and nobody ended it"));
            }
        }
        fresh.house.abort();
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

/// What a node said of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Live,
    Over,
    Absent,
    /// Its end is not confirmed, and it is refused here.
    Waits,
    Unknown,
}

//! Browsers and thieves, simulated: jars, tabs, delays, lost answers, tabs that sleep, nodes that die, storage that fails.
//!
//! What is promised: as long as no request and no answer is on its way for `renew_window`, whoever has the one jar of a
//! browser is never refused and never accused; and who has a copy of a ticket is, at the first renewal between whose ends
//! one of both was away for longer than the window.
//!
//! A schedule is a number: the same on every machine. `CLOAKROOM_SCHEDULES=FIRST..END` runs others than the usual ones, as
//! `cargo xtask nightly` does with a hundred thousand.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use session::{Millis, Ticket, Why};
use storage::faulty::{Fault, Which};

use super::chance::Chance;
use super::fixture::{RENEW_INTERVAL, RENEW_WINDOW, START};
use super::{Engine, Fixture};
use crate::{Cache, Find, Found, Purpose};

/// How many schedules every run of the tests has.
const SCHEDULES: Range<u64> = 0..2_000;
/// The longest that a request or an answer is on its way.
const LONGEST: u64 = RENEW_WINDOW.as_millis() as u64 - 1;
/// How long one who stays away does so: longer than the window, and shorter than the idle time-out.
const AWAY: u64 = 2 * RENEW_WINDOW.as_millis() as u64;

/// What happens, and when: milliseconds from the start.
struct World {
    f: Fixture,
    /// Nodes over the same storage.
    nodes: Vec<Arc<Cache>>,
    chance: Chance,
    now: u64,
    /// By time, then in the order in which they were thought of.
    agenda: BinaryHeap<Reverse<(u64, u64)>>,
    events: Vec<Option<Event>>,
    jars: Vec<Ticket>,
    renewals: u64,
    /// Whether one request in twenty waits for news: who polls is not away.
    has_long_polls: bool,
    /// Who was told that the session was ended for an old ticket.
    accused: Option<usize>,
}

enum Event {
    /// A tab asks: the cookie is taken from the jar now, and arrives later.
    Send { who: usize },
    /// The request arrives at a node.
    Arrive { who: usize, ticket: Ticket, node: usize },
    /// The application has answered it.
    Answer { who: usize, ticket: Ticket, node: usize, found: Box<Found> },
    /// The browser receives a cookie.
    Receive { who: usize, ticket: Ticket },
    /// A node dies and another takes its place.
    Die { node: usize },
    /// Storage fails once.
    Fail,
}

impl World {
    async fn new(seed: u64, people: usize) -> Self {
        // Without a first tier several nodes see the same at once; with one, a node sees what it has seen.
        let engine = if seed.is_multiple_of(2) { Engine::Memory } else { Engine::Tiered };
        let f = Fixture::over(engine).await;
        let opened = f.open_for("ada").await;
        let count = if engine == Engine::Memory { 2 } else { 1 };
        Self {
            nodes: (0..count).map(|_| f.another_cache()).collect(),
            f,
            chance: Chance(seed),
            now: 0,
            agenda: BinaryHeap::new(),
            events: Vec::new(),
            jars: vec![opened.ticket; people],
            renewals: 0,
            has_long_polls: true,
            accused: None,
        }
    }

    fn then(&mut self, after: u64, event: Event) {
        self.agenda.push(Reverse((self.now + after, self.events.len() as u64)));
        self.events.push(Some(event));
    }

    /// Mostly as long as the Internet takes; now and then as long as it may.
    fn delay(&mut self) -> u64 {
        let longest = if self.chance.below(10) == 0 { LONGEST } else { 800 };
        1 + self.chance.below(longest)
    }

    /// Tabs that ask at once, at this moment.
    fn burst(&mut self, after: u64, who: usize, tabs: u64) {
        for _ in 0..tabs {
            let moment = after + self.chance.below(50);
            self.then(moment, Event::Send { who });
        }
    }

    /// All that was planned and what follows from it.
    async fn run(&mut self) {
        while let Some(Reverse((moment, index))) = self.agenda.pop() {
            self.now = moment;
            self.f.clock.set(Millis(START.0 + moment));
            if let Some(event) = self.events[index as usize].take() {
                self.happen(event).await;
                // What requests leave to be done beside them is done: there is one thread.
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    async fn happen(&mut self, event: Event) {
        match event {
            Event::Send { who } => {
                let (delay, node) = (self.delay(), self.chance.below(self.nodes.len() as u64) as usize);
                let ticket = self.jars[who].clone();
                self.then(delay, Event::Arrive { who, ticket, node });
            }
            Event::Arrive { who, ticket, node } => {
                match self.nodes[node].find(&ticket, &self.f.application).await {
                    Ok(Find::Found(found)) => {
                        if self.chance.below(4) > 0 {
                            self.nodes[node].confirm_noted_tickets().await;
                        }
                        let is_poll = self.has_long_polls && self.chance.below(20) == 0;
                        let longest = if is_poll { 600_000 } else { 500 };
                        let after = 1 + self.chance.below(longest);
                        self.then(after, Event::Answer { who, ticket, node, found: found.into() });
                    }
                    Ok(Find::Ended(ending)) if ending.why == Why::Theft => {
                        self.accused.get_or_insert(who);
                    }
                    // In an outage the visitor tries again.
                    Err(_) => {}
                    Ok(other) => panic!("a visitor is refused: {other:?}"),
                }
            }
            Event::Answer { who, ticket, node, found } => {
                if let Some(next) = self.told(&ticket, node, &found).await
                    && self.chance.below(8) > 0
                {
                    let delay = self.delay();
                    self.then(delay, Event::Receive { who, ticket: next });
                }
            }
            Event::Receive { who, ticket } => self.jars[who] = ticket,
            Event::Die { node } => self.nodes[node] = self.f.another_cache(),
            Event::Fail => {
                let fault = if self.chance.below(2) == 0 { Fault::Refuse } else { Fault::LoseAnswer };
                self.f.faults.fail_once(Which::Update, fault);
            }
        }
    }

    /// The ticket that goes with an answer, as the gateway decides it.
    async fn told(&mut self, ticket: &Ticket, node: usize, found: &Found) -> Option<Ticket> {
        let (cache, application) = (&self.nodes[node], &self.f.application);
        if found.successor.is_some() {
            return match cache.find_for(Purpose::LOOK, ticket, application).await {
                Ok(Find::Found(found)) => found.successor,
                _ => None,
            };
        }
        if !cache.is_renewal_due(&found.session, application) {
            return None;
        }
        let before = cache.counters.renewed.get();
        let next = cache.renew_by_age(ticket, application).await.ok().flatten();
        self.renewals += cache.counters.renewed.get() - before;
        next
    }
}

/// A browser over some hours: bursts of one to ten tabs, pauses from a second to nearly the idle time-out.
async fn browser(seed: u64) -> u64 {
    let mut world = World::new(seed, 1).await;
    let mut moment = 0;
    for _ in 0..5 + world.chance.below(6) {
        let longest = [5_000, 60_000, 1_500_000][world.chance.below(3) as usize];
        moment += world.chance.below(longest);
        let tabs = [1, 2, 10][world.chance.below(3) as usize];
        world.burst(moment, 0, tabs);
        let after = moment + world.chance.below(2_000);
        match world.chance.below(8) {
            0 => {
                let node = world.chance.below(world.nodes.len() as u64) as usize;
                world.then(after, Event::Die { node });
            }
            1 => world.then(after, Event::Fail),
            _ => {}
        }
    }
    world.run().await;
    assert_eq!(world.accused, None, "schedule {seed}: a false alarm");
    // Whatever happened to it, the browser is still who it was.
    world.f.faults.heal();
    let found = world.nodes[0].find(&world.jars[0], &world.f.application).await.unwrap();
    assert!(matches!(found, Find::Found(_)), "schedule {seed}: {found:?}");
    world.renewals
}

/// A visitor and a thief with a copy of the ticket, who are never there at the same time.
async fn theft(seed: u64) {
    let mut world = World::new(seed, 2).await;
    world.has_long_polls = false;
    let mut moment = 0;
    let mut who = world.chance.below(2) as usize;
    // Beyond a renewal, and until the one who was away comes back.
    while moment < 4 * RENEW_INTERVAL.as_millis() as u64 {
        // Page after page: each may lose its answer.
        for _ in 0..6 + world.chance.below(6) {
            let tabs = 1 + world.chance.below(3);
            world.burst(moment, who, tabs);
            moment += 1_000 + world.chance.below(3_000);
        }
        moment += AWAY + 600_000 + world.chance.below(200_000);
        who = 1 - who;
    }
    world.run().await;
    assert!(world.accused.is_some(), "schedule {seed}: a thief was not caught");
}

/// Which schedules are run.
fn schedules() -> Range<u64> {
    let Ok(wanted) = std::env::var("CLOAKROOM_SCHEDULES") else { return SCHEDULES };
    let (first, end) = wanted.split_once("..").expect("FIRST..END");
    first.parse().unwrap()..end.parse().unwrap()
}

#[tokio::test]
async fn a_browser_is_never_accused_whatever_its_tabs_do() {
    let (mut count, mut renewals) = (0, 0);
    for seed in schedules() {
        count += 1;
        renewals += browser(seed).await;
    }
    assert!(renewals > count, "{renewals} renewals in {count} schedules: nothing was tried");
}

#[tokio::test]
async fn a_thief_is_caught_whoever_comes_first() {
    let schedules = schedules();
    for seed in schedules.start..schedules.start + (schedules.end - schedules.start) / 10 {
        theft(seed).await;
    }
}

/// The scenarios of the book, one by one.
struct Scenario {
    f: Fixture,
}

impl Scenario {
    /// Somebody who is logged in, and whose ticket is due.
    async fn begin() -> (Self, Ticket) {
        let f = Fixture::over(Engine::Tiered).await;
        let opened = f.open_for("ada").await;
        f.advance(RENEW_INTERVAL);
        (Self { f }, opened.ticket)
    }

    /// A request, from its arrival to its answer: the ticket that the browser has then.
    async fn visit(&self, ticket: &Ticket) -> Ticket {
        let cache = &self.f.cache;
        let Find::Found(found) = self.f.find(ticket).await.unwrap() else { panic!("a visitor is refused") };
        cache.confirm_noted_tickets().await;
        // So that touches are written.
        self.f.quiet().await;
        let due = cache.is_renewal_due(&found.session, &self.f.application);
        let renewed = match due {
            true => cache.renew_by_age(ticket, &self.f.application).await.unwrap(),
            false => None,
        };
        found.successor.or(renewed).unwrap_or_else(|| ticket.clone())
    }

    async fn is_stolen(&self, ticket: &Ticket) -> bool {
        matches!(self.f.find(ticket).await.unwrap(), Find::Ended(ending) if ending.why == Why::Theft)
    }
}

#[tokio::test]
async fn two_tabs_and_ten_tabs_get_one_ticket() {
    for tabs in [2, 10] {
        let (scenario, old) = Scenario::begin().await;
        let mut told = Vec::new();
        for _ in 0..tabs {
            told.push(scenario.visit(&old).await.expose());
        }
        assert!(told.iter().all(|ticket| *ticket == told[0] && *ticket != old.expose()));
        assert_eq!(scenario.f.cache.counters.renewed.get(), 1);
    }
}

#[tokio::test]
async fn a_tab_that_sleeps_wakes_up_logged_in() {
    let (scenario, old) = Scenario::begin().await;
    // The answer with the new ticket is lost: the lid was closed.
    scenario.visit(&old).await;
    scenario.f.advance(Duration::from_mins(29));
    let next = scenario.visit(&old).await;
    assert_ne!(next.expose(), old.expose());
    assert_eq!(scenario.visit(&next).await.expose(), next.expose());
}

#[tokio::test]
async fn a_stolen_cookie_that_the_thief_uses_late_is_noticed() {
    let (scenario, stolen) = Scenario::begin().await;
    let visitors = scenario.visit(&stolen).await;
    scenario.visit(&visitors).await;
    scenario.f.advance(RENEW_WINDOW);
    assert!(scenario.is_stolen(&stolen).await, "the thief");
    assert!(scenario.is_stolen(&visitors).await, "the visitor, who is told");
}

#[tokio::test]
async fn a_stolen_cookie_that_the_thief_uses_first_is_noticed_when_the_visitor_comes() {
    let (scenario, visitors) = Scenario::begin().await;
    let thiefs = scenario.visit(&visitors).await;
    scenario.visit(&thiefs).await;
    scenario.f.advance(RENEW_WINDOW);
    assert!(scenario.is_stolen(&visitors).await);
    assert!(scenario.is_stolen(&thiefs).await);
}

#[tokio::test]
async fn a_client_that_never_takes_a_cookie_is_served_with_its_first_ticket() {
    let (scenario, ticket) = Scenario::begin().await;
    for _ in 0..30 {
        scenario.visit(&ticket).await;
        scenario.f.advance(Duration::from_mins(15));
    }
}

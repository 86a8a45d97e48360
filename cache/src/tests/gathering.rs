//! Law 4 by numbers: what the last uses of many sessions cost, and that none of them is told later than before.

use std::sync::atomic::Ordering;
use std::time::Duration;

use session::{Handle, Principal, Secret, Session, Ticket, Why};
use storage::faulty::{Fault, Which};
use storage::{NewRecord, Read, WriteId};

use super::chance::Chance;
use super::fixture::{IDLE, MILLISECOND, SETTINGS, START, TOUCH_INTERVAL, eventually};
use super::{Engine, Fixture, on_every_engine};
use crate::{Cache, Settings};

on_every_engine!(
    what_waits_is_written_before_it_is_older_than_two_intervals
    no_session_is_written_twice_within_the_interval
    a_session_that_has_ended_is_left_out_and_the_others_are_written
    a_flush_writes_what_waits
);

const GATHER: Duration = Duration::from_secs(30);
const SECOND: Duration = Duration::from_secs(1);
/// By then a session is due whose record was written by somebody else, who may have gathered it.
const DUE: Duration = Duration::from_secs(TOUCH_INTERVAL.as_secs() + GATHER.as_secs());

impl Fixture {
    fn gathering(mut self) -> Self {
        self.cache = self.cache_with(Settings { gather_touches: GATHER, inproc_bytes: 64 << 20, ..SETTINGS });
        self
    }

    /// A second passes, and the house is kept.
    async fn second(&self) {
        self.advance(SECOND);
        self.cache.write_what_waited(self.clock_now()).await;
    }

    async fn written(&self, ticket: &Ticket) -> Duration {
        match self.cache.storage().read(&self.key(&ticket.handle), None).await.unwrap() {
            Read::Found(record) => record.times.touched.since(START),
            other => panic!("the record is not there: {other:?}"),
        }
    }

    /// A session of somebody in one of so many contexts, as it lies in storage.
    async fn lay_down(&self, number: u64, contexts: u8) -> Ticket {
        let mut bytes = *Handle::random().unwrap().as_bytes();
        bytes[0] %= contexts;
        let ticket = Ticket { handle: Handle::from_bytes(bytes), secret: Secret::random().unwrap() };
        let mut session = Session::new(ticket.handle, ticket.secret.hash(), "shop", self.clock_now());
        let principal = Principal::named("test", &format!("person {number}"));
        let realm = &self.application.realm;
        let times = Cache::times(realm, &session, self.clock_now());
        self.cache.enter(&principal, &ticket.handle, realm, times.expires).await.unwrap();
        session.principal = Some(principal);
        let value = session::record::encode(&session).into();
        let new = NewRecord::new(value, times, WriteId::random().unwrap());
        self.cache.storage().create(&self.key(&ticket.handle), new).await.unwrap();
        ticket
    }
}

/// 100 000 sessions of people in 256 contexts and 2 000 requests a second, of which this is a sixteenth: 6 250 sessions in 16
/// contexts. Every session is asked for about once in 50 seconds. A write is what
/// storage is asked to change by one operation: a batch is one, as are a touch and an entry of the index.
#[tokio::test]
async fn a_request_costs_less_than_a_hundredth_of_a_write() {
    const SHARE: u64 = 16;
    let f = Fixture::over(Engine::Tiered).await.gathering();
    let mut tickets = Vec::new();
    for number in 0..100_000 / SHARE {
        tickets.push(f.lay_down(number, (256 / SHARE) as u8).await);
    }
    let mut chance = Chance(7);
    let writes = || f.probe.asked.load(Ordering::SeqCst) - f.probe.reads.load(Ordering::SeqCst);
    let (mut requests, mut before) = (0, 0);
    for second in 0..300 {
        if second == 60 {
            // By now they are as busy as they will be.
            (requests, before) = (0, writes());
        }
        for _ in 0..2_000 / SHARE {
            let ticket = &tickets[chance.below(tickets.len() as u64) as usize];
            f.found(ticket).await;
            requests += 1;
        }
        f.second().await;
    }
    let cost = (writes() - before) as f64 / f64::from(requests);
    assert!(cost < 0.01, "{cost} writes a request");
    // Not for nothing: what was due is written, and the rest is not far behind.
    for _ in 0..GATHER.as_secs() {
        f.second().await;
    }
    for ticket in tickets.iter().step_by(100) {
        let last =
            f.cache.tier.held(&ticket.handle).map(|held| held.seen.last().since(START)).unwrap_or_default();
        assert!(last.saturating_sub(f.written(ticket).await) <= TOUCH_INTERVAL * 2);
    }
}

async fn what_waits_is_written_before_it_is_older_than_two_intervals(f: Fixture) {
    let f = f.gathering();
    let opened = f.open_for("ada").await;
    let mut last = Duration::ZERO;
    for _ in 0..300 {
        f.found(&opened.ticket).await;
        last = f.clock_now().since(START);
        f.second().await;
        assert!(last.saturating_sub(f.written(&opened.ticket).await) <= TOUCH_INTERVAL * 2);
    }
    let batches = f.probe.batches.load(Ordering::SeqCst);
    assert!((2..=5).contains(&batches), "{batches} writes in five minutes");
    assert!(last > Duration::from_mins(4));
}

/// Law 4, to the letter: whatever the schedule, and whoever else is in its context.
async fn no_session_is_written_twice_within_the_interval(f: Fixture) {
    let f = f.gathering();
    let tickets = [f.lay_down(0, 1).await, f.lay_down(1, 1).await, f.lay_down(2, 1).await];
    let mut chance = Chance(11);
    let mut last: [Option<(Duration, Duration)>; 3] = [None; 3];
    for _ in 0..1_500 {
        for ticket in &tickets {
            if chance.below(20) == 0 {
                f.found(ticket).await;
                f.quiet().await;
            }
        }
        f.second().await;
        let now = f.clock_now().since(START);
        for (ticket, last) in tickets.iter().zip(&mut last) {
            let written = f.written(ticket).await;
            if let Some((value, at)) = *last
                && value != written
            {
                assert!(now - at >= TOUCH_INTERVAL, "written at {at:?} and {now:?}");
            }
            if last.is_none_or(|(value, _)| value != written) {
                *last = Some((written, now));
            }
        }
    }
    assert!(last.iter().all(|last| last.is_some_and(|(_, at)| at > Duration::from_mins(20))));
}

async fn a_session_that_has_ended_is_left_out_and_the_others_are_written(f: Fixture) {
    let f = f.gathering();
    let mut tickets = Vec::new();
    for number in 0..12 {
        tickets.push(f.lay_down(number, 1).await);
    }
    f.advance(DUE);
    for ticket in &tickets {
        f.found(ticket).await;
    }
    let another = f.another_cache();
    for ticket in tickets.iter().take(7) {
        let session = f.found(ticket).await;
        another.end(&session, f.logout(), &f.application).await.unwrap();
    }
    for _ in 0..GATHER.as_secs() {
        f.second().await;
    }
    for (number, ticket) in tickets.iter().enumerate() {
        if number < 7 {
            assert_eq!(f.ending(ticket).await.why, Why::Logout);
        } else {
            assert_eq!(f.written(ticket).await, DUE);
        }
    }
}

async fn a_flush_writes_what_waits(mut f: Fixture) {
    f = f.gathering();
    let opened = f.open_for("ada").await;
    f.advance(DUE);
    f.found(&opened.ticket).await;
    f.cache.flush().await;
    assert_eq!(f.written(&opened.ticket).await, DUE);
    f.crash();
    f.advance(IDLE + TOUCH_INTERVAL - MILLISECOND);
    f.found(&opened.ticket).await;
}

#[tokio::test]
async fn what_storage_did_not_take_is_repeated() {
    let f = Fixture::over(Engine::Tiered).await.gathering();
    let opened = f.open_for("ada").await;
    let _house = f.keep_house(&f.cache).await;
    f.advance(DUE);
    f.faults.fail(Which::Other, Fault::Refuse);
    f.found(&opened.ticket).await;
    f.advance(GATHER);
    eventually(async || f.cache.counters.touches_failed.get() > 0).await;
    f.faults.heal();
    eventually(async || f.written(&opened.ticket).await >= TOUCH_INTERVAL).await;
}

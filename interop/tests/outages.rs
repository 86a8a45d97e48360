//! Storage that gateways share goes away, for one of them or for all: whom they serve meanwhile, for how long, and what a
//! logout elsewhere is worth.
//!
//! Each engine that is reached over a network is put before the same table of faults. A gateway may go by what it knew for
//! `trust_window` after the fault began, and not a moment longer; what it says of anybody else then is 503.

mod given;
mod leaving;

use std::thread;
use std::time::{Duration, Instant};

use interop::{Condition, FaultProxy, MariaDb, Postgres, Redis, available};

use self::given::{House, Kept, SEALED, TICKET, Visitor};

/// As short as can be where it may take four seconds until a dead line is noticed.
const WINDOW: Duration = Duration::from_secs(6);
/// How much of it is left when the fault is noticed, and a bit less for a machine that is busy.
const SERVED_AT_LEAST: Duration = Duration::from_secs(1);
/// Connections are tried again within a second, by design; this is for a machine that is busy.
const BACK: Duration = Duration::from_secs(5);

const FAULTS: [Condition; 6] = [
    Condition::Refused,
    Condition::Closed,
    Condition::BlackHole,
    Condition::Slow(Duration::from_secs(2)),
    Condition::RequestsLost,
    Condition::AnswersLost,
];

#[test]
fn redis_goes_away() {
    let lines = "appendonly yes\nappendfsync always\n";
    if let Some(redis) = available(Redis::start_with(lines)).unwrap() {
        goes_away(Kept::Redis(redis));
    }
}

#[test]
fn postgres_goes_away() {
    if let Some(postgres) = available(Postgres::start()).unwrap() {
        goes_away(Kept::Postgres(postgres));
    }
}

#[test]
fn mariadb_goes_away() {
    if let Some(mariadb) = available(MariaDb::start()).unwrap() {
        mariadb.sql("mysql", "CREATE DATABASE sessions").unwrap();
        goes_away(Kept::MariaDb(mariadb));
    }
}

#[test]
fn another_cloakroom_goes_away() {
    let upstream = given::application();
    let keeper = crate::shared_cloakroom::keeper(&upstream);
    goes_away(Kept::Cloakroom(Box::new(keeper)));
}

fn goes_away(kept: Kept) {
    let mut house = House::over(kept, WINDOW);
    thread::scope(|scope| {
        for condition in FAULTS {
            let house = &house;
            scope.spawn(move || for_one_of_two(house, condition));
        }
        scope.spawn(|| and_is_back_within_the_window(&house));
    });
    for_everybody(&mut house);
}

/// The line of one gateway fails so, while people log out at the other one.
fn for_one_of_two(house: &House, condition: Condition) {
    let proxy = FaultProxy::start(house.kept.address()).unwrap();
    let cut_off = house.gateway(proxy.address(), WINDOW);
    let [leaving, staying] = ["tea", "milk"].map(|what| [TICKET, SEALED].map(|how| house.visitor(how, what)));
    for visitor in leaving.iter().chain(&staying) {
        visitor.is_shown(&cut_off, BACK);
    }
    proxy.set(condition);
    let began = Instant::now();
    for visitor in &leaving {
        visitor.leaves(&house.other);
    }
    let mut last_served = Duration::ZERO;
    let mut is_refused = [[false; 2]; 2];
    // Slow is not away: those who stay may be served for as long as changes are heard.
    let is_slow = matches!(condition, Condition::Slow(_));
    while is_refused != [[true; 2]; 2] && !(is_slow && is_refused[0] == [true; 2]) {
        assert!(began.elapsed() < WINDOW + BACK * 3, "{condition:?}: {is_refused:?}\n{}", cut_off.log());
        for (visitor, is_refused) in leaving.iter().zip(&mut is_refused[0]) {
            let asked = began.elapsed();
            let is_served = visitor.is_served(&cut_off, true);
            assert!(!(is_served && asked >= WINDOW), "{condition:?}: {visitor:?} is served after {asked:?}");
            assert!(!(is_served && *is_refused), "{condition:?}: {visitor:?} came back after {asked:?}");
            *is_refused |= !is_served;
        }
        for (visitor, is_refused) in staying.iter().zip(&mut is_refused[1]) {
            let asked = began.elapsed();
            *is_refused = !visitor.is_served(&cut_off, false);
            if !*is_refused {
                last_served = asked;
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(last_served > SERVED_AT_LEAST, "{condition:?}: served until {last_served:?}\n{}", cut_off.log());
    proxy.set(Condition::Passing);
    for visitor in &staying {
        visitor.is_shown(&cut_off, BACK);
    }
    for visitor in &leaving {
        visitor.is_gone(&cut_off, BACK);
    }
}

/// The line is back long before what was known is too old: a logout meanwhile holds at once all the same.
fn and_is_back_within_the_window(house: &House) {
    let proxy = FaultProxy::start(house.kept.address()).unwrap();
    let cut_off = house.gateway(proxy.address(), BACK * 12);
    let leaving = [TICKET, SEALED].map(|how| house.visitor(how, "gin"));
    leaving.iter().for_each(|visitor| visitor.is_shown(&cut_off, BACK));
    proxy.set(Condition::Refused);
    thread::sleep(SERVED_AT_LEAST / 2);
    leaving.iter().for_each(|visitor| visitor.leaves(&house.other));
    for visitor in &leaving {
        assert!(visitor.is_served(&cut_off, true), "{visitor:?} is not served by what was known");
    }
    proxy.set(Condition::Passing);
    leaving.iter().for_each(|visitor| visitor.is_gone(&cut_off, BACK));
}

/// The server dies, and comes back with what it had.
fn for_everybody(house: &mut House) {
    let visitors = [TICKET, SEALED].map(|how| house.visitor(how, "rum"));
    let left = [TICKET, SEALED].map(|how| house.visitor(how, "ale"));
    for gateway in [&house.one, &house.other] {
        visitors.iter().for_each(|visitor| visitor.is_shown(gateway, BACK));
    }
    for visitor in &left {
        visitor.leaves(&house.one);
        visitor.is_gone(&house.other, BACK);
    }
    house.kept.kill();
    let began = Instant::now();
    let mut served = [Duration::ZERO; 2];
    let mut is_over = [false; 2];
    while is_over != [true; 2] {
        assert!(began.elapsed() < WINDOW + BACK * 3, "{}", house.one.log());
        for ((gateway, served), is_over) in
            [&house.one, &house.other].into_iter().zip(&mut served).zip(&mut is_over)
        {
            for visitor in &left {
                assert!(!visitor.is_served(gateway, true), "{visitor:?} came back");
            }
            let asked = began.elapsed();
            let are_served = visitors.iter().filter(|visitor| visitor.is_served(gateway, false)).count();
            assert!(are_served == 0 || asked < WINDOW, "somebody is served after {asked:?}");
            if are_served == visitors.len() {
                *served = asked;
            }
            *is_over = are_served == 0;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(served.iter().all(|served| *served > SERVED_AT_LEAST), "{served:?}\n{}", house.one.log());
    house.kept.restart();
    for gateway in [&house.one, &house.other] {
        visitors.iter().for_each(|visitor| visitor.is_shown(gateway, BACK));
        left.iter().for_each(|visitor| visitor.is_gone(gateway, BACK));
    }
}

impl Visitor {
    /// Waits until the gateway shows what the visitor put in.
    fn is_shown(&self, gateway: &interop::Cloakroom, within: Duration) {
        let began = Instant::now();
        while !self.is_served(gateway, false) {
            let took = began.elapsed();
            assert!(took < within, "{self:?} is not served again after {took:?}\n{}", gateway.log());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the gateway says that the session is over.
    fn is_gone(&self, gateway: &interop::Cloakroom, within: Duration) {
        let began = Instant::now();
        while self.visits(gateway).status == 503 || self.is_served(gateway, true) {
            let took = began.elapsed();
            assert!(took < within, "{self:?} is not told that it is over after {took:?}\n{}", gateway.log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

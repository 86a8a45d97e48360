//! People log out while a gateway cannot reach its storage, and it is killed before the storage is back: each of them has
//! left, and nobody else has.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use interop::{Cloakroom, Condition, FaultProxy, Redis, available, raw};

use super::given::{House, Kept, SEALED, TICKET, Visitor};
use super::{BACK, WINDOW};

/// How much longer than [`WINDOW`] one of the gateways may go by what it knew.
const OUTAGE_WINDOW: Duration = Duration::from_secs(6);
/// How long an outage is that outlasts every window.
const LONG: Duration = Duration::from_secs(15);

#[test]
fn who_leaves_in_a_second_without_storage_has_left() {
    storage_is_away_for(Duration::from_secs(1), Condition::Refused);
}

/// `OUTAGE_SECONDS` makes it longer, for the night: 30 and 600.
#[test]
fn who_leaves_in_a_long_outage_has_left_although_the_gateway_was_killed() {
    let seconds = std::env::var("OUTAGE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    storage_is_away_for(seconds.map_or(LONG, Duration::from_secs).max(LONG), Condition::BlackHole);
}

fn storage_is_away_for(outage: Duration, condition: Condition) {
    let lines = "appendonly yes\nappendfsync always\n";
    let Some(redis) = available(Redis::start_with(lines)).unwrap() else { return };
    let house = House::over(Kept::Redis(redis), WINDOW);
    let proxy = FaultProxy::start(house.kept.address()).unwrap();
    let mut cut_off = house.gateway(proxy.address(), WINDOW);
    let bold = format!("danger_outage_window = \"{}s\"\n", OUTAGE_WINDOW.as_secs());
    let bold = house.gateway_with(proxy.address(), WINDOW, &bold);
    // Given people whom the gateway has served, and people of whom it has never heard,
    let [leaving, staying] = ["tea", "milk"].map(|what| [TICKET, SEALED].map(|how| house.visitor(how, what)));
    let [leaving_unseen, staying_unseen] = ["gin", "rum"].map(|what| house.visitor(TICKET, what));
    for visitor in leaving.iter().chain(&staying) {
        visitor.is_shown(&cut_off, BACK);
        visitor.is_shown(&bold, BACK);
    }
    // when some of them leave in an outage, and somebody tries to make others leave,
    proxy.set(condition);
    let began = Instant::now();
    let gone: Vec<&Visitor> = leaving.iter().chain([&leaving_unseen]).collect();
    gone.iter().for_each(|visitor| visitor.leaves_in_an_outage(&cut_off));
    staying_unseen.impostor().leaves_in_an_outage(&cut_off);
    assert_eq!(ends_pending(&cut_off), 4);
    let mut last_served = Duration::ZERO;
    let is_long = outage > WINDOW + OUTAGE_WINDOW;
    let mut is_killed = false;
    while began.elapsed() < outage {
        let asked = began.elapsed();
        if staying.iter().all(|visitor| visitor.is_served(&bold, false)) {
            assert!(asked < WINDOW + OUTAGE_WINDOW, "somebody is served after {asked:?}");
            last_served = asked;
        }
        if is_long && !is_killed && asked > outage / 2 {
            cut_off.kill().unwrap();
            is_killed = true;
        }
        if !is_killed {
            assert!(
                gone.iter().all(|visitor| !visitor.is_served(&cut_off, false)),
                "somebody is in who left"
            );
            // Whether they are served or told that nobody can say: nothing else.
            staying.iter().for_each(|visitor| _ = visitor.is_served(&cut_off, false));
        }
        thread::sleep(Duration::from_millis(50));
    }
    if is_long {
        assert!(
            last_served > WINDOW,
            "with `danger_outage_window`, served until {last_served:?}\n{}",
            bold.log()
        );
        // Storage knows of nothing yet.
        assert!(leaving_unseen.is_served(&house.other, false) && leaving[0].is_served(&house.other, false));
    }
    proxy.set(Condition::Passing);
    if is_long {
        cut_off.restart().unwrap();
        assert!(gone.iter().all(|visitor| !visitor.is_served(&cut_off, true)), "somebody is in who left");
    }
    // then they have left everywhere, without anybody asking, and nobody else has.
    for gateway in [&cut_off, &bold, &house.one, &house.other] {
        gone.iter().for_each(|visitor| visitor.is_gone(gateway, BACK));
        for visitor in staying.iter().chain([&staying_unseen]) {
            visitor.is_shown(gateway, BACK);
        }
    }
    assert_eq!(ends_pending(&cut_off), 0);
    let outbox = cut_off.directory().join("cloakroom-data/outbox");
    assert_eq!(fs::read_dir(outbox).unwrap().count(), 0, "what is done is not remembered");
}

fn ends_pending(gateway: &Cloakroom) -> u64 {
    let metrics = raw::get(gateway.server(), "/metrics", "").unwrap().text();
    let line = metrics.lines().find_map(|line| line.strip_prefix("cloakroom_sessions_ends_pending "));
    line.expect("it is measured").parse().unwrap()
}

//! The zombie kit and the lost-update kit, black box: our gateways, and what they take over from.
//!
//! A round of the first opens a session, has four answers that change it and a renewal of its ticket under way, and logs out in the
//! middle of them. Then, after a crash where crashes are part of it, everything that the visitor ever held is shown at every door.
//! The second has 64 answers under way that each set another entry.
//! `KIT_ROUNDS` makes it more rounds than every test run has time for, and `KIT_TABLE` names the file that tells the outcome.

mod lemonldap;
mod ours;
mod peers;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Response};

/// How many write at once.
const WRITERS: usize = 64;
/// How many changes are under way when somebody logs out.
const UNDER_WAY: usize = 4;
/// How long an application takes to answer with a change.
const TAKES: Duration = Duration::from_millis(10);
/// How long a gateway may serve what it has not heard of.
const TRUST_WINDOW: Duration = Duration::from_secs(10);
/// What the session that is attacked holds, and no other.
const MARK: &str = "who=ada";

/// Something that keeps sessions, behind one or several doors.
pub(crate) trait Keeper: Sync {
    fn name(&self) -> &str;
    /// How many doors it has. What was told at one holds there at once; at the others when they have heard of it.
    fn doors(&self) -> usize {
        1
    }
    /// Opens a session with [`MARK`] in it: what the visitor holds.
    fn open(&self) -> String;
    /// Has `key=1` put into the session by an application that takes a while: whether that was acknowledged, and what the visitor
    /// holds then, if it is something new.
    fn put(&self, door: usize, key: &str, held: &str) -> (bool, Option<String>);
    /// Has the visitor's ticket renewed, where there is such a thing: what they hold then.
    fn renew(&self, _door: usize, _held: &str) -> Option<String> {
        None
    }
    /// Logs out; whether that was acknowledged.
    fn leave(&self, door: usize, held: &str) -> bool;
    /// The entries that the session has for whoever holds that, each `name=value`; none if there is no session.
    fn shown(&self, door: usize, held: &str) -> Vec<String>;
    /// Its process dies and is started again, where that is part of the test.
    fn crash(&self) {}
}

/// What the kits found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    /// Logouts that were acknowledged.
    acknowledged: usize,
    /// Those of them after which something that the visitor held opened the session.
    undone: usize,
    /// Tickets that came of renewals.
    renewed: usize,
    /// Those of 64 acknowledged changes that are not there.
    lost: usize,
}

/// Runs both kits, and tells.
pub(crate) fn run(keeper: &impl Keeper, few: usize) -> Found {
    let rounds = std::env::var("KIT_ROUNDS").map_or(few, |rounds| rounds.parse().expect("a number"));
    let (mut acknowledged, mut undone, renewed) = (0, 0, AtomicUsize::new(0));
    for number in 0..rounds {
        let (told, is_undone) = round(keeper, number, &renewed);
        acknowledged += usize::from(told);
        undone += usize::from(told && is_undone);
    }
    let found = Found { acknowledged, undone, renewed: renewed.into_inner(), lost: lost(keeper) };
    let line = format!(
        "| {} | {} of {} | {} of {WRITERS} |\n",
        keeper.name(),
        found.undone,
        found.acknowledged,
        found.lost
    );
    eprint!("{line}");
    if let Some(table) = std::env::var_os("KIT_TABLE") {
        let mut file = OpenOptions::new().append(true).create(true).open(table).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }
    found
}

/// Whether the logout was acknowledged, and whether anything undid it.
fn round(keeper: &impl Keeper, round: usize, renewed: &AtomicUsize) -> (bool, bool) {
    let here = round % keeper.doors();
    let first = keeper.open();
    let (told, held) = thread::scope(|threads| {
        let first = &first;
        let mut under_way: Vec<_> = (0..UNDER_WAY)
            .map(|number| {
                let door = number % keeper.doors();
                threads.spawn(move || keeper.put(door, &format!("k{number}"), first).1)
            })
            .collect();
        under_way.push(threads.spawn(move || {
            let next = keeper.renew((round + 1) % keeper.doors(), first);
            renewed.fetch_add(usize::from(next.is_some()), Ordering::Relaxed);
            next
        }));
        // Before, while and after they come back.
        thread::sleep(Duration::from_millis(round as u64 % (2 * TAKES.as_millis() as u64)));
        let told = keeper.leave(here, first);
        let held: Vec<_> = under_way.into_iter().filter_map(|one| one.join().unwrap()).collect();
        (told, held)
    });
    keeper.crash();
    // What came with an answer after the logout may open a new session, of nobody: it must not be this one.
    let held: Vec<_> = std::iter::once(first).chain(held).collect();
    let is_in = |door: usize| held.iter().any(|held| keeper.shown(door, held).iter().any(|one| one == MARK));
    let is_undone = is_in(here)
        || (0..keeper.doors()).filter(|door| *door != here).any(|door| {
            let began = Instant::now();
            while is_in(door) {
                if began.elapsed() > TRUST_WINDOW {
                    return true;
                }
                thread::sleep(Duration::from_millis(5));
            }
            false
        })
        || is_in(here);
    (told, is_undone)
}

fn lost(keeper: &impl Keeper) -> usize {
    let first = keeper.open();
    let acknowledged: Vec<_> = thread::scope(|threads| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|number| {
                let first = &first;
                let door = number % keeper.doors();
                threads.spawn(move || (number, keeper.put(door, &format!("n{number}"), first)))
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    keeper.crash();
    // What a visitor holds in the end is what came with the last answer.
    let last = acknowledged.iter().rev().find_map(|(_, (_, held))| held.clone()).unwrap_or(first);
    thread::sleep(Duration::from_millis(100));
    let shown = keeper.shown(0, &last);
    let is_lost = |number: usize| !shown.contains(&format!("n{number}=1"));
    acknowledged.iter().filter(|(number, (is_put, _))| *is_put && is_lost(*number)).count()
}

fn visit(address: SocketAddr, path: &str, cookie: &str) -> Response {
    let line = if cookie.is_empty() { String::new() } else { format!("Cookie: {cookie}\r\n") };
    raw::get(address, path, &line).unwrap()
}

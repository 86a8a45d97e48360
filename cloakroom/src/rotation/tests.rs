//! What a rotation promises, over real files and a time that the test sets.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

mod laws;
mod running;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use seal::KeyState::{self, Active, Announced, Retiring};
use tempfile::TempDir;

use super::*;

const START: Millis = Millis(1_800_000_000_000);
const SCHEDULE: Schedule = Schedule {
    every: Duration::from_secs(60),
    announce: Duration::from_secs(8),
    keep: Duration::from_secs(30),
};

fn at(seconds: u64) -> Millis {
    START.plus(Duration::from_secs(seconds))
}

/// A node, which has not looked yet.
fn node(folder: &Path) -> Rotation {
    Rotation::new(Folder::at(folder.to_owned()), SCHEDULE, Vec::new())
}

fn opened(folder: &Path, now: Millis) -> Rotation {
    let mut node = node(folder);
    node.open(now).unwrap();
    node
}

/// Looks and does what is due, as the keeper does.
fn attend(node: &mut Rotation, now: Millis) -> Vec<Event> {
    let mut events = node.look(now).unwrap();
    events.extend(node.maintain(now).unwrap());
    events
}

fn states(node: &Rotation, now: Millis) -> Vec<(u32, Option<KeyState>)> {
    node.stages(now).into_iter().map(|(_, dates, stage)| (dates.number, stage.state)).collect()
}

fn names(folder: &TempDir) -> BTreeSet<String> {
    std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn a_key_is_announced_active_retiring_and_removed_in_its_time() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = opened(folder.path(), START);
    assert_eq!(states(&node, START), [(1, Some(Active))], "nobody has to wait for the first key");
    assert_eq!(attend(&mut node, at(51)), []);
    assert_eq!(attend(&mut node, at(52)).len(), 1);
    assert_eq!(states(&node, at(52)), [(1, Some(Active)), (2, Some(Announced))]);
    assert_eq!(node.next_change(at(52)), at(60));
    assert_eq!(states(&node, at(60)), [(1, Some(Retiring)), (2, Some(Active))]);
    assert_eq!(states(&node, at(97)), [(1, Some(Retiring)), (2, Some(Active))]);
    assert_eq!(states(&node, at(98)), [(1, None), (2, Some(Active))]);
    assert!(matches!(attend(&mut node, at(98))[..], [Event::Removed(Dates { number: 1, .. })]));
    assert_eq!(names(&folder), BTreeSet::from(["ring-000002.key".to_owned()]));
}

#[test]
fn a_key_file_says_when_it_was_made_and_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("keys");
    let node = opened(&shared, START);
    let file = node.folder().file(1);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        ["cloakroom key 1", "made 2027-01-15T08:00:00.000Z", "active 2027-01-15T08:00:00.000Z"]
    );
    assert_eq!((lines.len(), lines[3].len()), (4, 44));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(&shared).unwrap().permissions().mode() & 0o777, 0o700);
    let shown = format!("{node:?}");
    assert!(!shown.contains(lines[3]), "{shown}");
}

#[test]
fn all_nodes_at_once_make_one_key() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..20u64 {
        let now = at(round * 60);
        let made: usize = std::thread::scope(|scope| {
            let nodes: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut node = node(folder.path());
                        let events = [node.open(now).unwrap(), node.maintain(now).unwrap()].concat();
                        events.iter().filter(|event| matches!(event, Event::Made(_))).count()
                    })
                })
                .collect();
            nodes.into_iter().map(|node| node.join().unwrap()).sum()
        });
        assert_eq!(made, 1, "round {round}");
    }
    let left: Vec<String> = names(&folder).into_iter().collect();
    assert_eq!(left, ["ring-000019.key", "ring-000020.key"], "and no unfinished file");
}

#[test]
fn by_hand_a_rotation_is_staged_and_two_hands_begin_one() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (opened(folder.path(), START), opened(folder.path(), START));
    let (first, made) = one.rotate(at(5), false).unwrap();
    assert!(made);
    assert_eq!((first.number, first.active), (2, at(13)));
    let (second, made) = other.rotate(at(6), false).unwrap();
    assert_eq!((second, made), (first, false), "the one that is under way is the answer");
    assert_eq!(one.rotate(at(7), false).unwrap(), (first, false));
    assert_eq!(states(&other, at(13)), [(1, Some(Retiring)), (2, Some(Active))]);
    let (third, made) = one.rotate(at(14), false).unwrap();
    assert_eq!((third.number, made), (3, true));
    // The schedule goes on from there.
    let makes = |events: &[Event]| events.iter().any(|event| matches!(event, Event::Made(_)));
    assert!(!makes(&attend(&mut one, at(14 + 8 + 51))) && makes(&attend(&mut one, at(14 + 8 + 52))));
}

#[test]
fn at_once_is_at_once_also_while_another_is_announced() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut other) = (opened(folder.path(), START), opened(folder.path(), START));
    other.rotate(at(5), false).unwrap();
    let (key, made) = one.rotate(at(6), true).unwrap();
    assert_eq!((key.number, key.active, made), (3, at(6), true));
    assert_eq!(states(&one, at(6)), [(1, Some(Retiring)), (3, Some(Active)), (2, Some(Announced))]);
}

#[test]
fn after_a_long_stop_the_next_key_is_announced_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    opened(folder.path(), START);
    let mut node = opened(folder.path(), at(100_000));
    attend(&mut node, at(100_000));
    assert_eq!(states(&node, at(100_000)), [(1, Some(Active)), (2, Some(Announced))]);
    assert_eq!(states(&node, at(100_008)), [(1, Some(Retiring)), (2, Some(Active))]);
}

#[test]
fn keys_of_the_configuration_seal_until_the_first_of_the_folder_does_and_open_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let text = Key::generate_text().unwrap();
    let named = || Key::from_text("2026-11".parse().unwrap(), Active, text.expose()).unwrap();
    let before = KeyRing::new(vec![named()]).unwrap().seal(b"purpose", b"plain").unwrap();
    let mut node = Rotation::new(Folder::at(folder.path().to_owned()), SCHEDULE, vec![named()]);
    node.open(START).unwrap();
    assert_eq!(node.ring(START).unwrap().sealing_key().unwrap().id.as_str(), "2026-11");
    for seconds in [8, 1000] {
        let ring = node.ring(at(seconds)).unwrap();
        assert_eq!(ring.sealing_key().unwrap().id.as_str(), "ring-000001");
        assert_eq!(ring.open(b"purpose", &before).unwrap(), b"plain");
    }
}

#[test]
fn an_outage_of_the_folder_takes_no_key_away() {
    let parent = tempfile::tempdir().unwrap();
    let shared = parent.path().join("keys");
    let mut node = opened(&shared, START);
    let sealed = node.ring(START).unwrap().seal(b"", b"plain").unwrap();
    // Not mounted: an empty folder, or none.
    let away = parent.path().join("away");
    std::fs::rename(&shared, &away).unwrap();
    assert!(node.look(at(1)).is_err());
    std::fs::create_dir(&shared).unwrap();
    assert_eq!(node.attend(at(55)).unwrap(), [Event::Emptied], "and no key is made in there");
    assert_eq!(node.ring(at(55)).unwrap().open(b"", &sealed).unwrap(), b"plain");
    std::fs::remove_dir(&shared).unwrap();
    std::fs::rename(&away, &shared).unwrap();
    assert_eq!(node.look(at(56)).unwrap(), []);
    // One file that cannot be read.
    std::fs::write(node.folder().file(1), "cloakroom key 1\nmade yesterday").unwrap();
    assert!(
        matches!(&node.look(at(57)).unwrap()[..], [Event::Unreadable(why)] if why.contains("ring-000001.key"))
    );
    assert_eq!(node.ring(at(57)).unwrap().open(b"", &sealed).unwrap(), b"plain");
}

#[test]
fn a_key_that_is_taken_out_opens_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = opened(folder.path(), START);
    let sealed = node.ring(START).unwrap().seal(b"", b"plain").unwrap();
    node.rotate(at(5), true).unwrap();
    assert!(node.ring(at(6)).unwrap().open(b"", &sealed).is_ok(), "a rotation alone revokes nothing");
    std::fs::remove_file(node.folder().file(1)).unwrap();
    assert!(matches!(node.look(at(6)).unwrap()[..], [Event::Revoked(Dates { number: 1, .. })]));
    assert!(node.ring(at(6)).unwrap().open(b"", &sealed).is_err());
}

#[test]
fn a_node_with_a_wrong_clock_makes_and_removes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let now = Millis(0).plus(SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap());
    let hours = |hours| Duration::from_hours(hours);
    let mut right = opened(folder.path(), Millis(now.0 - 1000 * 55));
    let mut ahead = opened(folder.path(), now.plus(hours(5)));
    assert!(matches!(ahead.attend(now.plus(hours(5))).unwrap()[..], [Event::Skewed(by)] if by > hours(4)));
    assert_eq!(names(&folder).len(), 1);
    assert!(matches!(right.attend(now).unwrap()[..], [Event::Made(_)]));
    assert!(matches!(ahead.attend(now.plus(hours(5))).unwrap()[..], [Event::Skewed(_)]));
    assert_eq!(names(&folder).len(), 2);
}

#[test]
fn what_a_crash_left_unfinished_is_no_key_and_goes_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = opened(folder.path(), START);
    let left = folder.path().join(".unfinished-abc");
    std::fs::copy(node.folder().file(1), &left).unwrap();
    std::fs::write(folder.path().join("README"), "about these files").unwrap();
    std::fs::write(folder.path().join("ring-1.key"), "another spelling").unwrap();
    assert_eq!(node.look(START).unwrap(), []);
    assert_eq!(states(&node, START).len(), 1);
    node.folder().tidy(SystemTime::now()).unwrap();
    assert!(left.exists(), "somebody may be writing it");
    node.folder().tidy(SystemTime::now() + Duration::from_hours(2)).unwrap();
    assert!(!left.exists() && folder.path().join("README").exists());
}

//! Ends that storage did not confirm: refused at once, over crashes and take-overs, and done when storage is back.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session::{Ticket, Why};
use storage::Unavailable;
use storage::faulty::{Fault, Which};
use tempfile::TempDir;

use super::carrying::end_all_of;
use super::fixture::{Engine, RENEW_WINDOW, ended, eventually, found, renewed};
use super::{Fixture, fixture};
use crate::outbox::due::Target;
use crate::{Cache, Find, Opened, Promise};

/// A node that writes down what waits.
struct Node {
    f: Fixture,
    folder: TempDir,
}

impl Node {
    async fn new() -> Self {
        let (f, folder) = (Fixture::over(Engine::Tiered).await, tempfile::tempdir().unwrap());
        f.cache.keep_ends_in(folder.path()).await.unwrap();
        Self { f, folder }
    }

    /// It dies, and another process takes its place.
    async fn crash(&mut self) {
        self.f.crash();
        self.f.cache.reckon_with(&self.f.application.realm);
        self.f.cache.keep_ends_in(self.folder.path()).await.unwrap();
    }

    fn storage_is_away(&self) {
        self.f.faults.fail(Which::Any, Fault::Refuse);
    }

    async fn is_back_and_all_is_done(&self) {
        self.f.faults.heal();
        let _house = self.f.keep_house(&self.f.cache).await;
        eventually(async || self.f.cache.ends_waiting() == 0 && self.files().is_empty()).await;
    }

    fn files(&self) -> Vec<String> {
        files(self.folder.path())
    }

    /// Somebody leaves with a ticket that this node has no copy of.
    async fn leaves(&self, ticket: &Ticket, is_everywhere: bool) -> Promise {
        self.leaves_from(ticket, is_everywhere, "192.0.2.1").await
    }

    async fn leaves_from(&self, ticket: &Ticket, is_everywhere: bool, from: &str) -> Promise {
        let (f, from): (_, IpAddr) = (&self.f, from.parse().unwrap());
        let unseen = f.cache.end_unseen(ticket, is_everywhere, f.logout(), &f.application, Some(from));
        Promise::of(&unseen.await)
    }

    async fn is_refused(&self, ticket: &Ticket) -> bool {
        is_refused(self.f.find(ticket).await)
    }
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Refused because its end waits, and not because storage is away.
fn is_refused(answer: Result<Find, Unavailable>) -> bool {
    answer.is_err_and(|error| error.to_string().contains("the end of this session waits"))
}

#[tokio::test]
async fn an_end_that_storage_refused_is_refused_here_after_a_crash_and_done_later() {
    let mut node = Node::new().await;
    let (opened, staying) = (node.f.open().await, node.f.open().await);
    let carried = node.f.open_carried(Some("ada")).await;
    node.f.opens(&carried).await;
    node.storage_is_away();
    let error = node.f.end(&opened.session).await.unwrap_err();
    assert_eq!(Promise::of(&error), Promise::Kept, "{error}");
    let error = node.f.end(&carried.session).await.unwrap_err();
    assert_eq!(Promise::of(&error), Promise::Kept, "{error}");
    for _ in 0..2 {
        assert!(node.is_refused(&opened.ticket).await);
        assert_eq!(node.f.cache.ends_waiting(), 2);
        node.crash().await;
    }
    assert_eq!(node.files().len(), 1, "the next process has taken it over");
    // Nobody is told that it is over before storage has it.
    node.f.faults.heal();
    assert!(node.is_refused(&opened.ticket).await);
    assert!(is_refused(node.f.bring(&carried).await));
    node.is_back_and_all_is_done().await;
    assert_eq!(node.f.ending(&opened.ticket).await.why, Why::Logout);
    assert_eq!(ended(node.f.bring(&carried).await).why, Why::Logout);
    node.f.found(&staying.ticket).await;
    // What was confirmed does not come back.
    node.crash().await;
    assert_eq!(node.f.cache.ends_waiting(), 0);
    assert_eq!(node.f.cache.counters.ends_waiting.get(), 0);
}

#[tokio::test]
async fn who_left_with_a_ticket_that_nobody_could_look_at_is_ended_once_somebody_can() {
    let mut node = Node::new().await;
    let (leaving, staying) = (node.f.open().await, node.f.open().await);
    node.crash().await;
    node.storage_is_away();
    assert_eq!(node.leaves(&leaving.ticket, false).await, Promise::Kept);
    assert_eq!(node.leaves(&leaving.ticket, false).await, Promise::Kept);
    assert_eq!(node.f.cache.ends_waiting(), 1, "once is enough");
    node.crash().await;
    node.f.faults.heal();
    assert!(node.is_refused(&leaving.ticket).await);
    node.f.found(&staying.ticket).await;
    node.is_back_and_all_is_done().await;
    assert_eq!(node.f.ending(&leaving.ticket).await.why, Why::Logout);
    node.f.found(&staying.ticket).await;
}

#[tokio::test]
async fn a_wrong_secret_ends_nothing_and_refuses_nobody_else() {
    let node = Node::new().await;
    let opened = node.f.open().await;
    let wrong = Ticket { handle: opened.ticket.handle, secret: Ticket::random().unwrap().secret };
    let nobodys = Ticket::random().unwrap();
    for ticket in [&wrong, &nobodys] {
        assert_eq!(node.leaves(ticket, true).await, Promise::Kept);
        assert!(node.is_refused(ticket).await);
    }
    node.f.found(&opened.ticket).await;
    node.is_back_and_all_is_done().await;
    node.f.found(&opened.ticket).await;
    assert_eq!(node.f.absence(&wrong).await, crate::Absence::WrongSecret);
    assert_eq!(node.f.cache.counters.ended_all.get(), 0);
}

#[tokio::test]
async fn a_ticket_counts_as_what_it_was_when_somebody_left_with_it() {
    let node = Node::new().await;
    let [before, while_away, long_before] = [node.f.open().await, node.f.open().await, node.f.open().await];
    let others = fixture::application("bank", node.f.application.timeouts);
    // Given one ticket that has just been renewed, and one whose successor was used long before,
    let (_, next) = renewed(node.f.renew(&long_before.ticket, None).await);
    node.f.found(&next).await;
    node.f.cache.confirm_noted_tickets().await;
    node.f.advance(RENEW_WINDOW);
    renewed(node.f.renew(&before.ticket, None).await);
    for opened in [&before, &while_away, &long_before] {
        assert_eq!(node.leaves(&opened.ticket, false).await, Promise::Kept);
    }
    // and one that is of another realm,
    let foreign = node.f.open().await;
    let end = node.f.cache.end_unseen(&foreign.ticket, false, node.f.logout(), &others, None);
    assert_eq!(Promise::of(&end.await), Promise::Kept);
    // when the third is renewed at another node before anybody looks,
    let other = node.f.another_cache();
    let (handle, secret) = (&while_away.ticket.handle, &while_away.ticket.secret);
    let answer = other.renew(handle, secret, &node.f.renewal(None), &node.f.application).await;
    let (_, successor) = renewed(answer);
    node.f.advance(RENEW_WINDOW * 20);
    node.is_back_and_all_is_done().await;
    // then those are over who could leave with it.
    node.f.ending(&before.ticket).await;
    node.f.ending(&successor).await;
    node.f.found(&next).await;
    node.f.found(&foreign.ticket).await;
}

#[tokio::test]
async fn who_left_everywhere_has_left_everywhere_and_can_come_back() {
    let mut node = Node::new().await;
    let [desk, phone] = [node.f.open_for("ada").await, node.f.open_for("ada").await];
    let (carried, bob) = (node.f.open_carried(Some("ada")).await, node.f.open_for("bob").await);
    for opened in [&desk, &phone, &bob] {
        node.f.found(&opened.ticket).await;
    }
    node.f.opens(&carried).await;
    node.storage_is_away();
    let error = end_all_of(&node.f.cache, "ada").await.unwrap_err();
    assert_eq!(Promise::of(&error), Promise::Kept);
    for _ in 0..2 {
        for opened in [&desk, &phone] {
            node.f.find(&opened.ticket).await.unwrap_err();
        }
        node.f.bring(&carried).await.unwrap_err();
        node.crash().await;
    }
    node.f.faults.heal();
    for opened in [&desk, &phone] {
        assert!(node.is_refused(&opened.ticket).await);
        let patch = fixture::setting(&opened.session, "a", "2");
        node.f.patch(&opened.ticket.handle, &patch).await.unwrap_err();
    }
    assert!(is_refused(node.f.bring(&carried).await));
    node.f.found(&bob.ticket).await;
    // Who comes back before it is done has it done first, and stays.
    node.f.advance(Duration::from_secs(1));
    let again = node.f.open_for("ada").await;
    assert_eq!(node.f.cache.ends_waiting(), 0);
    node.is_back_and_all_is_done().await;
    for opened in [&desk, &phone] {
        assert_eq!(node.f.ending(&opened.ticket).await.why, Why::Revoked);
    }
    assert_eq!(ended(node.f.bring(&carried).await).why, Why::Revoked);
    node.f.found(&again.ticket).await;
    node.f.found(&bob.ticket).await;
}

#[tokio::test]
async fn who_left_everywhere_with_a_ticket_that_nobody_could_look_at_has_left_everywhere() {
    let mut node = Node::new().await;
    let [desk, phone] = [node.f.open_for("ada").await, node.f.open_for("ada").await];
    node.crash().await;
    node.storage_is_away();
    assert_eq!(node.leaves(&desk.ticket, true).await, Promise::Kept);
    node.is_back_and_all_is_done().await;
    node.f.ending(&desk.ticket).await;
    node.f.ending(&phone.ticket).await;
}

#[tokio::test]
async fn of_tickets_that_anybody_can_make_up_few_are_remembered() {
    let node = Node::new().await;
    let opened = node.f.open().await;
    node.storage_is_away();
    let made_up = || Ticket::random().unwrap();
    for _ in 0..64 {
        assert_eq!(node.leaves_from(&made_up(), false, "192.0.2.1").await, Promise::Kept);
    }
    assert_eq!(node.leaves_from(&made_up(), false, "192.0.2.1").await, Promise::None);
    assert_eq!(node.leaves_from(&made_up(), false, "::ffff:192.0.2.1").await, Promise::None);
    assert_eq!(node.leaves_from(&made_up(), false, "192.0.2.2").await, Promise::Kept);
    // Of IPv6 everybody has a whole network.
    for host in 0..64 {
        assert_eq!(node.leaves_from(&made_up(), false, &format!("2001:db8::{host:x}")).await, Promise::Kept);
    }
    assert_eq!(node.leaves_from(&made_up(), false, "2001:db8::ffff").await, Promise::None);
    // A session that is known here has room.
    assert_eq!(Promise::of(&node.f.end(&opened.session).await.unwrap_err()), Promise::Kept);
    node.is_back_and_all_is_done().await;
    assert_eq!(node.f.cache.counters.ended_all.get(), 0);
}

#[tokio::test]
async fn all_addresses_together_have_a_bound_as_well() {
    let node = Node::new().await;
    // Without waiting for the disk each time.
    let cache = node.f.another_cache();
    let f = &node.f;
    let end = async |number: u32| {
        let from = IpAddr::V4(number.into());
        let ticket = Ticket::random().unwrap();
        Promise::of(&cache.end_unseen(&ticket, false, f.logout(), &f.application, Some(from)).await)
    };
    for number in 0..4096 {
        assert_eq!(end(number).await, Promise::WhileRunning);
    }
    assert_eq!(end(5000).await, Promise::None);
}

#[tokio::test]
async fn what_cannot_be_written_down_is_promised_for_as_long_as_this_process_runs() {
    let node = Node::new().await;
    let [one, other] = [node.f.open().await, node.f.open().await];
    node.storage_is_away();
    let folder = node.folder.path();
    fs::remove_dir(folder).unwrap();
    let error = node.f.end(&one.session).await.unwrap_err();
    assert_eq!(Promise::of(&error), Promise::WhileRunning, "{error}");
    assert!(node.is_refused(&one.ticket).await && !node.f.cache.are_ends_kept());
    // There is room again: what waits is written with the next.
    fs::create_dir(folder).unwrap();
    let error = node.f.end(&other.session).await.unwrap_err();
    assert_eq!(Promise::of(&error), Promise::Kept);
    assert!(node.f.cache.are_ends_kept());
    let next = node.f.another_cache();
    next.keep_ends_in(folder).await.unwrap();
    assert_eq!(next.ends_waiting(), 2);
}

#[tokio::test]
async fn what_is_written_down_is_no_secret_and_grows_with_what_waits_only() {
    let node = Node::new().await;
    let opened = node.f.open_for("ada").await;
    node.storage_is_away();
    node.leaves(&opened.ticket, true).await;
    node.f.end(&opened.session).await.unwrap_err();
    end_all_of(&node.f.cache, "ada").await.unwrap_err();
    let file = node.folder.path().join(&node.files()[0]);
    let bytes = fs::read(&file).unwrap();
    assert!(!bytes.windows(32).any(|window| window == opened.ticket.secret.expose()));
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (_, secret) =
        opened.ticket.expose().split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(!text.contains(&secret) && !text.contains("ada"));
    // The same once more, thousands of times.
    let before = fs::metadata(&file).unwrap().len();
    for _ in 0..100 {
        node.f.end(&opened.session).await.unwrap_err();
        node.leaves(&opened.ticket, false).await;
    }
    assert_eq!(fs::metadata(&file).unwrap().len(), before);
}

#[tokio::test]
async fn whoever_takes_over_refuses_what_waited_and_what_the_one_before_could_not_end_since() {
    let node = Node::new().await;
    let [first, second, left] = [node.f.open().await, node.f.open().await, node.f.open().await];
    node.storage_is_away();
    let before = &node.f.cache;
    before.end(&first.session, node.f.logout(), &node.f.application).await.unwrap_err();
    assert!(before.are_ends_kept());
    // Given two processes with the same folder,
    let next = node.f.another_cache();
    for cache in [before, &next] {
        cache.begin_sharing();
    }
    next.keep_ends_in(node.folder.path()).await.unwrap();
    assert!(is_refused(next.find(&first.ticket, &node.f.application).await), "from the first request");
    let house = fixture::House::of(&next);
    // when the one before cannot end what it is still asked to,
    before.end(&second.session, node.f.logout(), &node.f.application).await.unwrap_err();
    eventually(async || next.ends_waiting() == 2).await;
    assert!(is_refused(next.find(&second.ticket, &node.f.application).await));
    // and its last word comes just before it ends,
    let error = before.end_unseen(&left.ticket, false, node.f.logout(), &node.f.application, None).await;
    assert_eq!(Promise::of(&error), Promise::Kept);
    next.end_sharing();
    // then the next one has it all, and nobody else.
    eventually(async || next.ends_waiting() == 3 && node.files().len() == 1).await;
    node.f.faults.heal();
    eventually(async || next.ends_waiting() == 0 && node.files().is_empty()).await;
    drop(house);
    for opened in [&first, &second, &left] {
        is_over(&node.f, &next, opened).await;
    }
}

async fn is_over(f: &Fixture, cache: &Arc<Cache>, opened: &Opened) {
    assert_eq!(ended(cache.find(&opened.ticket, &f.application).await).why, Why::Logout);
}

#[tokio::test]
async fn what_is_done_elsewhere_meanwhile_is_done() {
    let node = Node::new().await;
    let opened = node.f.open().await;
    node.storage_is_away();
    node.f.end(&opened.session).await.unwrap_err();
    node.f.faults.heal();
    let other = node.f.another_cache();
    other.end(&opened.session, node.f.logout(), &node.f.application).await.unwrap();
    node.is_back_and_all_is_done().await;
    node.f.ending(&opened.ticket).await;
}

#[tokio::test]
async fn without_anything_that_waits_nobody_is_in_the_way() {
    let node = Node::new().await;
    let opened = node.f.open_for("ada").await;
    assert_eq!(node.f.cache.outbox.of(&Target::Session(opened.ticket.handle)), None);
    assert_eq!(*found(node.f.find(&opened.ticket).await), *opened.session);
    assert!(node.files().is_empty() && node.f.cache.are_ends_kept());
}

//! A session that is opened once, however often it is asked for.

use std::sync::Arc;
use std::time::Duration;

use session::{Patch, Principal, Revision};
use storage::faulty::{Fault, Which};

use super::{Fixture, on_every_engine};
use crate::{Once, OpenOnce, Opening, REMEMBERED, Search};

on_every_engine!(
    whoever_asks_again_is_told_of_the_same_session
    another_request_under_the_same_key_opens_nothing
    many_who_ask_at_once_open_one
    what_was_opened_and_is_over_is_not_opened_again
    an_opening_that_failed_is_made_up_for
    after_a_day_a_key_is_as_new
    the_note_does_not_show_the_ticket
);

const PROOF: [u8; 32] = [7; 32];

fn once(request: &str) -> Once {
    Once::new("portal", &PROOF, "8e03978e-40d5-43dd-bc93-6894a57f9324", request.as_bytes())
}

fn opening() -> Opening {
    let mut entries = Patch::new(Revision::default());
    entries.set("mail", "ada@x".into());
    Opening { principal: Some(Principal::named("test", "ada")), entries, ..Opening::default() }
}

impl Fixture {
    async fn ask(&self, once: &Once) -> OpenOnce {
        self.cache.open_once(once, &opening(), &self.application).await.unwrap()
    }

    async fn how_many(&self) -> usize {
        self.cache.search(&Search::default(), None, 100).await.unwrap().sessions.len()
    }
}

async fn whoever_asks_again_is_told_of_the_same_session(mut f: Fixture) {
    let OpenOnce::Opened(opened) = f.ask(&once("a")).await else { panic!("it opens one") };
    for _ in 0..2 {
        let OpenOnce::Again(ticket) = f.ask(&once("a")).await else { panic!("it is there") };
        assert_eq!(ticket.expose(), opened.ticket.expose());
        assert!(f.is_found(&ticket).await);
        f.crash();
    }
    assert_eq!(f.how_many().await, 1);
}

async fn another_request_under_the_same_key_opens_nothing(f: Fixture) {
    assert!(matches!(f.ask(&once("a")).await, OpenOnce::Opened(_)));
    assert!(matches!(f.ask(&once("b")).await, OpenOnce::Another));
    // Nor does the ticket open to whoever proves themselves by something else.
    let key = "8e03978e-40d5-43dd-bc93-6894a57f9324";
    assert!(matches!(f.ask(&Once::new("portal", &[8; 32], key, b"a")).await, OpenOnce::Another));
    assert_eq!(f.how_many().await, 1);
    // Another client has keys of its own.
    assert!(matches!(f.ask(&Once::new("broker", &PROOF, key, b"a")).await, OpenOnce::Opened(_)));
}

async fn many_who_ask_at_once_open_one(f: Fixture) {
    let f = Arc::new(f);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let f = Arc::clone(&f);
            tokio::spawn(async move { f.ask(&once("a")).await })
        })
        .collect();
    let mut opened = 0;
    for asked in asking {
        match asked.await.unwrap() {
            OpenOnce::Opened(_) => opened += 1,
            OpenOnce::Again(_) | OpenOnce::UnderWay => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((opened, f.how_many().await), (1, 1));
}

async fn what_was_opened_and_is_over_is_not_opened_again(f: Fixture) {
    let OpenOnce::Opened(opened) = f.ask(&once("a")).await else { panic!("it opens one") };
    f.end(&opened.session).await.unwrap();
    let OpenOnce::Over(handle) = f.ask(&once("a")).await else { panic!("it is over") };
    assert_eq!(handle, opened.ticket.handle);
    assert_eq!(f.how_many().await, 0);
}

async fn an_opening_that_failed_is_made_up_for(f: Fixture) {
    f.faults.fail(Which::Any, Fault::Refuse);
    assert!(f.cache.open_once(&once("a"), &opening(), &f.application).await.is_err());
    f.faults.heal();
    assert!(matches!(f.ask(&once("a")).await, OpenOnce::Opened(_)));
    assert!(matches!(f.ask(&once("a")).await, OpenOnce::Again(_)));
    assert_eq!(f.how_many().await, 1);
}

async fn after_a_day_a_key_is_as_new(f: Fixture) {
    let OpenOnce::Opened(first) = f.ask(&once("a")).await else { panic!("it opens one") };
    f.advance(REMEMBERED + Duration::from_millis(1));
    let OpenOnce::Opened(second) = f.ask(&once("a")).await else { panic!("it opens another one") };
    assert_ne!(first.ticket.handle, second.ticket.handle);
}

async fn the_note_does_not_show_the_ticket(f: Fixture) {
    let once = once("a");
    let OpenOnce::Opened(opened) = f.ask(&once).await else { panic!("it opens one") };
    assert_eq!(format!("{once:?}"), "Once(..)");
    let page = storage::Storage::list(&*f.probe, crate::once::CONTEXT, None, 10).await.unwrap();
    let [listed] = page.records.as_slice() else { panic!("one note") };
    let storage::Read::Found(record) = storage::Storage::read(&*f.probe, &listed.key, None).await.unwrap()
    else {
        panic!("it is there");
    };
    let secret = opened.ticket.secret.expose();
    assert!(record.value.windows(secret.len()).all(|window| window != secret.as_slice()));
}

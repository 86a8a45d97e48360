//! What was ended does not come back, whenever the end was.

use super::*;
use crate::tests::carrying::end_all_of;
use crate::tests::fixture::opened;

on_every_engine! {
    a_session_that_was_ended_does_not_come_back
    nor_one_whose_person_was_logged_out_everywhere
    nor_one_that_its_application_emptied
    nor_one_that_ends_while_it_comes_back
    nor_one_that_ends_and_is_lost_while_it_comes_back
    nor_by_what_was_sealed_beside_an_older_ticket
    an_end_that_cannot_be_noted_is_no_end_yet_and_is_done_later
    a_record_that_is_back_without_its_tombstone_is_over_all_the_same
    an_end_that_was_noted_beside_the_sessions_holds_when_logout_data_moves_aside
}

async fn a_session_that_was_ended_does_not_come_back(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.f.end(&opened.session).await.unwrap();
    ended(r.come(&opened.ticket, &recovery).await);
    r.restart();
    let ending = ended(r.come(&opened.ticket, &recovery).await);
    assert_eq!(ending.why, session::Why::Logout);
    // For as long as what was sealed last, at the moment of the end, could be worth something.
    r.f.advance(IDLE);
    ended(r.come(&opened.ticket, &recovery).await);
}

async fn nor_one_whose_person_was_logged_out_everywhere(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.f.end_all_of("ada").await;
    let (later, of_later) = r.open().await;
    r.restart();
    assert_eq!(ended(r.come(&opened.ticket, &recovery).await).why, session::Why::Revoked);
    found(r.come(&later.ticket, &of_later).await);
}

async fn nor_one_that_its_application_emptied(f: Fixture) {
    let mut r = Recoverable::over(f);
    let opened = r.f.open_with(&[("eppn", "ada")], None).await;
    let recovery = r.sealed(&opened.session);
    let emptied = r.f.patch(&opened.session.handle, &removing(&opened.session, "eppn")).await.unwrap();
    assert!(matches!(emptied, crate::Patched::Emptied));
    r.restart();
    ended(r.come(&opened.ticket, &recovery).await);
}

async fn nor_one_that_ends_while_it_comes_back(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.restart();
    let gate = storage::faulty::Gate::default();
    r.sessions.now().fail_once(Which::Create, Fault::HoldBefore(gate.clone()));
    let other = r.another();
    let ends = async {
        gate.arrival().await;
        other.end(&opened.session, r.f.logout(), &r.f.application).await.unwrap();
        gate.open();
    };
    let (answer, ()) = tokio::join!(r.come(&opened.ticket, &recovery), ends);
    ended(answer);
    ended(r.come(&opened.ticket, &recovery).await);
}

async fn nor_one_that_ends_and_is_lost_while_it_comes_back(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.restart();
    let gate = storage::faulty::Gate::default();
    // After logout data was asked, and before the record is written.
    r.sessions.now().fail_once(Which::Create, Fault::HoldBefore(gate.clone()));
    let other = r.another();
    let ends = async {
        gate.arrival().await;
        // The tombstone is nowhere: it went into what was lost.
        let lost = Arc::new(Forgetful::new(&r.f.clock, false));
        let elsewhere = Recoverable::cache(&r.f, &lost, false);
        elsewhere.end(&opened.session, r.f.logout(), &r.f.application).await.unwrap();
        gate.open();
    };
    let (answer, ()) = tokio::join!(r.come(&opened.ticket, &recovery), ends);
    ended(answer);
    ended(come(&other, &opened.ticket, &recovery, &r.f.application).await);
}

async fn nor_by_what_was_sealed_beside_an_older_ticket(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    let (session, ticket) = renewed(r.f.renew(&opened.ticket, Some("ada")).await);
    let after = r.sealed(&session);
    r.restart();
    assert_eq!(absent(r.come(&opened.ticket, &recovery).await), Absence::WrongSecret);
    assert_eq!(absent(r.come(&opened.ticket, &after).await), Absence::Unknown);
    found(r.come(&ticket, &after).await);
}

async fn an_end_that_cannot_be_noted_is_no_end_yet_and_is_done_later(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.logout_data_goes();
    r.f.end(&opened.session).await.unwrap_err();
    r.f.find(&opened.ticket).await.expect_err("this node refuses it, and does not say that it is over");
    r.come(&opened.ticket, &recovery).await.unwrap_err();
    r.f.faults.heal();
    r.f.cache.end_what_waits().await;
    r.f.ending(&opened.ticket).await;
    r.restart();
    ended(r.come(&opened.ticket, &recovery).await);
}

async fn a_record_that_is_back_without_its_tombstone_is_over_all_the_same(f: Fixture) {
    let r = Recoverable::over(f);
    let (opened, _) = r.open().await;
    let key = r.f.key(&opened.session.handle);
    let Read::Found(before) = r.sessions.read(&key, None).await.unwrap() else { panic!("it is not there") };
    r.f.end(&opened.session).await.unwrap();
    // A replica that had not heard of the end takes over.
    r.sessions.forget();
    let write = storage::WriteId::random().unwrap();
    let back =
        NewRecord { version: Some(before.version), ..NewRecord::new(before.value, before.times, write) };
    r.sessions.create(&key, back).await.unwrap();
    r.f.ending(&opened.ticket).await;
    let fresh = r.another();
    ended(fresh.find(&opened.ticket, &r.f.application).await);
}

async fn an_end_that_was_noted_beside_the_sessions_holds_when_logout_data_moves_aside(f: Fixture) {
    // Until now everything was in one.
    let clock: Arc<dyn Clock> = Arc::clone(&f.clock) as _;
    let sessions = Arc::new(Forgetful::new(&f.clock, false));
    let one = Arc::new(Cache::new(Arc::clone(&sessions) as _, clock, SETTINGS, &mut Registry::default()));
    one.reckon_with(&f.application.realm);
    let opening = |name: &str| crate::Opening {
        principal: Some(Principal::named("test", name)),
        ..crate::Opening::default()
    };
    let ada = opened(one.open(opening("ada"), &f.application).await);
    let bob = opened(one.open(opening("bob"), &f.application).await);
    end_all_of(&one, "ada").await.unwrap();
    let later = opened(one.open(opening("ada"), &f.application).await);
    let aside = Recoverable::cache(&f, &sessions, false);
    let find = async |opened: &Opened| aside.find(&opened.ticket, &f.application).await;
    assert_eq!(ended(find(&ada).await).why, session::Why::Revoked);
    found(find(&bob).await);
    found(find(&later).await);
    // And what is ended from now on is above all that was.
    end_all_of(&aside, "ada").await.unwrap();
    assert_eq!(ended(find(&later).await).why, session::Why::Revoked);
}

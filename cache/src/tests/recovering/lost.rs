//! What comes back, and what does not for other reasons than an end.

use super::*;

on_every_engine! {
    a_session_comes_back_with_what_was_chosen
    it_comes_back_once_and_is_found_from_then_on
    without_the_ticket_or_what_brings_it_back_it_does_not
    idleness_is_judged_by_the_last_use_that_is_known
    a_lifetime_goes_on_where_it_was
    longer_time_outs_bring_nothing_back
    a_copy_whose_record_is_gone_ends_nothing
    nothing_comes_back_while_nobody_can_say_whether_it_was_ended
    whoever_overlooks_that_has_it_back_and_is_served
    a_session_that_was_never_marked_gets_nothing_to_come_back_by
    logout_data_that_is_away_keeps_nobody_out_who_is_there
}

async fn a_session_comes_back_with_what_was_chosen(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.restart();
    assert_eq!(r.f.absence(&opened.ticket).await, Absence::Unknown, "a ticket alone brings nothing back");
    let back = found(r.come(&opened.ticket, &recovery).await);
    assert_eq!(entries(&back), "eppn=ada@example.org groups=staff");
    assert_eq!((back.handle, back.begun), (opened.session.handle, opened.session.begun));
    assert_eq!(back.principal, opened.session.principal);
    // It is a session like all others: it can be changed, is listed, and can be ended.
    r.f.set(&back, "basket", "1").await;
    let ada = Principal::named("test", "ada");
    let listed = r.f.cache.list(&ada, None, 10).await.unwrap();
    assert_eq!(listed.sessions.len(), 1);
    r.f.end(&back).await.unwrap();
    ended(r.come(&opened.ticket, &recovery).await);
}

async fn it_comes_back_once_and_is_found_from_then_on(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.restart();
    let other = r.another();
    let (one, two) = tokio::join!(
        r.come(&opened.ticket, &recovery),
        come(&other, &opened.ticket, &recovery, &r.f.application)
    );
    let (one, two) = (found(one), found(two));
    assert_eq!(one, two);
    let changed = r.f.set(&one, "basket", "1").await;
    // What is brought back is worth nothing against what is there.
    assert_eq!(found(r.come(&opened.ticket, &recovery).await), changed);
    assert_eq!(r.f.cache.counters.recovered.get() + other.counters.recovered.get(), 1);
}

async fn without_the_ticket_or_what_brings_it_back_it_does_not(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    let (other, others) = r.open().await;
    r.restart();
    let guessed = Ticket { handle: opened.ticket.handle, secret: other.ticket.secret.clone() };
    assert_eq!(absent(r.come(&guessed, &recovery).await), Absence::Unknown);
    assert_eq!(absent(r.come(&opened.ticket, &others).await), Absence::Unknown);
    let elsewhere = application("elsewhere", Timeouts { idle: IDLE, lifetime: LIFETIME });
    let answer = come(&r.f.cache, &opened.ticket, &recovery, &elsewhere).await;
    assert_eq!(absent(answer), Absence::OtherRealm);
    found(r.come(&opened.ticket, &recovery).await);
}

async fn idleness_is_judged_by_the_last_use_that_is_known(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (early, late) = (r.open().await, r.open().await);
    r.restart();
    // Sealed at the last use, and used for up to an interval since without a trace.
    r.f.advance(IDLE + TOUCH_INTERVAL - MILLISECOND * 2);
    found(r.come(&early.0.ticket, &early.1).await);
    r.f.advance(MILLISECOND);
    ended(r.come(&late.0.ticket, &late.1).await);
    // And that is an end like any other.
    r.restart();
    ended(r.come(&late.0.ticket, &late.1).await);
    assert!(matches!(r.come(&early.0.ticket, &early.1).await.unwrap(), Find::Ended(_)));
}

async fn a_lifetime_goes_on_where_it_was(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, _) = r.open().await;
    r.f.advance(LIFETIME - MILLISECOND * 2);
    let recovery = r.sealed(&opened.session);
    r.restart();
    found(r.come(&opened.ticket, &recovery).await);
    r.f.advance(MILLISECOND);
    ended(r.come(&opened.ticket, &recovery).await);
}

async fn longer_time_outs_bring_nothing_back(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    let generous = application("shop", Timeouts { idle: IDLE * 100, lifetime: LIFETIME * 100 });
    r.restart();
    let good = recovery.good_until.since(r.f.clock_now());
    r.f.advance(good - MILLISECOND);
    found(come(&r.f.cache, &opened.ticket, &recovery, &generous).await);
    r.restart();
    // By now nobody remembers whether it was ended under the shorter ones.
    let answer = come(&r.f.cache, &opened.ticket, &recovery, &generous).await;
    assert_eq!(absent(answer), Absence::Unknown);
}

/// Where Shibboleth fails: a process that holds a copy finds that the record is gone, and writes that the session was revoked.
async fn a_copy_whose_record_is_gone_ends_nothing(f: Fixture) {
    let r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    let other = r.another();
    let at_other = async |recovery| come(&other, &opened.ticket, recovery, &r.f.application).await;
    found(at_other(&recovery).await);
    // Both have a copy, where there is a first tier. One notices by a touch, the other by a change.
    r.sessions.forget();
    r.f.advance(TOUCH_INTERVAL);
    let answer = r.come(&opened.ticket, &recovery).await;
    found(answer);
    r.f.quiet().await;
    let patched = other
        .patch(
            &opened.session.handle,
            &setting(&opened.session, "basket", "8"),
            session::OnConflict::KeepFirst,
            &r.f.application,
        )
        .await;
    drop(patched.unwrap());
    let back = found(r.come(&opened.ticket, &recovery).await);
    found(at_other(&recovery).await);
    assert!(r.f.cache.revocations.gone(&back.handle).is_none());
    // Whatever happened on the way, nobody wrote an end.
    let fresh = r.another();
    fresh.know_revocations().await.unwrap();
    assert!(fresh.revocations.gone(&back.handle).is_none());
    found(come(&fresh, &opened.ticket, &recovery, &r.f.application).await);
}

async fn nothing_comes_back_while_nobody_can_say_whether_it_was_ended(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    r.restart();
    r.logout_data_goes();
    r.come(&opened.ticket, &recovery).await.unwrap_err();
    let key = r.f.key(&opened.session.handle);
    assert_eq!(r.sessions.read(&key, None).await.unwrap(), Read::Absent, "nor is anything written");
    r.f.faults.heal();
    found(r.come(&opened.ticket, &recovery).await);
}

async fn whoever_overlooks_that_has_it_back_and_is_served(f: Fixture) {
    let mut r = Recoverable::over(f);
    let (opened, recovery) = r.open().await;
    let (gone, of_gone) = r.open().await;
    r.f.end(&gone.session).await.unwrap();
    r.restart_softly();
    r.logout_data_goes();
    let back = found(r.come(&opened.ticket, &recovery).await);
    assert_eq!(entries(&back), "eppn=ada@example.org groups=staff");
    r.f.found(&opened.ticket).await;
    // That is the danger.
    found(r.come(&gone.ticket, &of_gone).await);
    r.f.faults.heal();
    r.f.ending(&gone.ticket).await;
    r.f.found(&opened.ticket).await;
}

async fn a_session_that_was_never_marked_gets_nothing_to_come_back_by(f: Fixture) {
    let r = Recoverable::over(f);
    let (opened, _) = r.open().await;
    let unmarked = Session { is_recoverable: false, ..Session::clone(&opened.session) };
    assert!(r.f.cache.recovery_of(&unmarked, &names(), r.f.clock_now(), &r.f.application).is_none());
    let empty = r.f.set(&opened.session, "eppn", "x").await;
    let (empty, _) = merged(r.f.patch(&empty.handle, &removing(&empty, "eppn")).await);
    let (empty, _) = merged(r.f.patch(&empty.handle, &removing(&empty, "groups")).await);
    assert!(
        r.f.cache.recovery_of(&empty, &names(), r.f.clock_now(), &r.f.application).is_none(),
        "none of them is there"
    );
}

async fn logout_data_that_is_away_keeps_nobody_out_who_is_there(f: Fixture) {
    let r = Recoverable::over(f);
    let (opened, _) = r.open().await;
    r.f.found(&opened.ticket).await;
    let nobodys = r.f.open().await;
    r.logout_data_goes();
    // What was revoked is known.
    r.f.found(&opened.ticket).await;
    r.f.found(&nobodys.ticket).await;
    r.f.set(&nobodys.session, "b", "2").await;
    // What it must say is not guessed.
    let opening =
        crate::Opening { principal: Some(Principal::named("test", "ada")), ..crate::Opening::default() };
    r.f.cache.open(opening, &r.f.application).await.unwrap_err();
    r.f.open().await;
}

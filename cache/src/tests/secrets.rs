//! Law 6: nothing shows the secret half of a ticket.

use std::fmt::Debug;
use std::time::Duration;

use session::{Secret, Ticket};
use storage::Read;
use storage::faulty::{Fault, Which};

use super::fixture::renewed;
use super::{Fixture, on_every_engine};
use crate::{Find, Renew};

on_every_engine!(
    nothing_that_the_cache_shows_holds_a_secret
    a_stolen_database_holds_no_secret
    no_error_holds_a_secret
);

/// All spellings of a secret that a careless `Debug` could have.
fn spellings(secret: &Secret) -> Vec<String> {
    let bytes = secret.expose();
    let text = Ticket { handle: session::Handle::from_bytes([0; 16]), secret: secret.clone() }.expose();
    vec![
        text.split_once('.').unwrap().1.to_owned(),
        bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        bytes[..6].iter().map(|byte| format!("{byte}, ")).collect(),
        format!("{bytes:?}"),
        String::from_utf8_lossy(bytes).into_owned(),
        format!("{:?}", bytes::Bytes::copy_from_slice(bytes)).trim_matches(['b', '"']).to_owned(),
    ]
}

fn shows_none(thing: &impl Debug, secrets: &[&Secret]) {
    let shown = format!("{thing:?} {thing:#?}");
    for secret in secrets {
        for spelling in spellings(secret) {
            assert!(!shown.contains(&spelling), "a secret is shown: {shown}");
        }
    }
}

async fn nothing_that_the_cache_shows_holds_a_secret(f: Fixture) {
    let opened = f.open_for("ada").await;
    let first = opened.ticket.secret.clone();
    shows_none(&opened, &[&first]);
    shows_none(&f.find(&opened.ticket).await.unwrap(), &[&first]);
    let renewal = f.renew(&opened.ticket, None).await.unwrap();
    let Renew::Renewed(_, ticket, _) = &renewal else { panic!("a ticket was not renewed: {renewal:?}") };
    let second = ticket.secret.clone();
    shows_none(&renewal, &[&first, &second]);
    let with_successor = f.find(&opened.ticket).await.unwrap();
    assert!(matches!(&with_successor, Find::Found(found) if found.successor.is_some()));
    shows_none(&with_successor, &[&first, &second]);
    shows_none(&f.cache, &[&first, &second]);
    shows_none(&f.application, &[&first, &second]);
}

async fn a_stolen_database_holds_no_secret(f: Fixture) {
    let opened = f.open_for("ada").await;
    let (_, next) = renewed(f.renew(&opened.ticket, None).await);
    let Read::Found(record) = f.cache.storage().read(&f.key(&next.handle), None).await.unwrap() else {
        panic!("the record is not there")
    };
    for secret in [&opened.ticket.secret, &next.secret] {
        assert!(!record.value.windows(32).any(|window| window == secret.expose()));
    }
}

async fn no_error_holds_a_secret(f: Fixture) {
    let opened = f.open().await;
    let cache = f.impatient_cache(Duration::from_millis(20));
    f.faults.fail(Which::Any, Fault::Refuse);
    let error = cache.find(&opened.ticket, &f.application).await.unwrap_err();
    shows_none(&error, &[&opened.ticket.secret]);
    assert!(error.to_string().contains("storage test is unavailable"), "{error}");
}

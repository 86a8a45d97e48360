//! Law 6: no ticket, cookie or password, and nothing that a session holds, is in any line of the log.

use std::io::{Result, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use storage::faulty::{Fault as StorageFault, Which};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::application::{Fault, Gate, failing, status, update};
use crate::house::{Engine, House};
use crate::plan::{ADA, BOB, Plan, plan};
use crate::visitor::{LOGIN, LOGOUT, Visitor};

/// Everything that was logged.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn nothing_secret_is_logged() {
    for engine in [Engine::Memory, Engine::Embedded] {
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let dispatch = tracing::Dispatch::new(subscriber);
        let of_thread = dispatch.clone();
        // While there is only one, the library asks the thread that comes to a line first whether anybody listens, and
        // remembers the answer for all threads: that of another test would be no.
        let _another = tracing::Dispatch::new(tracing_subscriber::registry());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            // Threads for blocking work count as well. The guard lives as long as its thread.
            .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&of_thread)))
            .build()
            .unwrap();
        let secrets = tracing::dispatcher::with_default(&dispatch, || runtime.block_on(a_full_day(engine)));
        drop(runtime);
        let log = String::from_utf8(log.0.lock().clone()).unwrap();
        for expected in ["somebody logged in", "a login was refused", "access:", "headers that pass for ours"]
        {
            assert!(log.contains(expected), "the log is not all there: {expected}");
        }
        for (what, secret) in secrets {
            assert!(secret.len() > 3, "{what}");
            let line = log.lines().find(|line| line.contains(&secret));
            assert!(line.is_none(), "{what} is in the log: {line:?}");
        }
    }
}

/// Does what a gateway goes through, good and bad, and says what must not be in the log.
async fn a_full_day(engine: Engine) -> Vec<(String, String)> {
    let guarded =
        Plan { login: Some(&["/account"]), may_login: true, entry_headers: &[("x-note", "note")], ..plan() };
    let house = House::over(engine, vec![guarded]).await;
    let mut secrets = vec![
        ("a password".to_owned(), ADA.1.to_owned()),
        ("a wrong password".to_owned(), "Tr0ub4dor".to_owned()),
        ("an entry".to_owned(), "Kirschwasser".to_owned()),
        ("an escaped entry".to_owned(), "Kirschwasser%21".to_owned()),
        ("a foreign cookie".to_owned(), "Spekulatius".to_owned()),
        ("a spoofed header".to_owned(), "Pumpernickel".to_owned()),
        ("a query".to_owned(), "Sauerkraut".to_owned()),
    ];
    let mut note = |what: &str, visitor: &Visitor| {
        for name in ["session", "cloakroom-login"] {
            let Some(value) = visitor.cookie(name) else { continue };
            let secret = value.split_once('.').map_or(&*value, |(_, secret)| secret).to_owned();
            secrets.push((format!("{name} {what}"), secret));
        }
    };
    let visitor = house.visitor();
    visitor.get("/?q=Sauerkraut").answered(update("note=Kirschwasser%21")).await;
    note("at first", &visitor);
    visitor.try_to_log_in((ADA.0, "Tr0ub4dor")).await;
    visitor.try_to_log_in(("eve", "Tr0ub4dor")).await;
    visitor.log_in(ADA).await;
    note("after the login", &visitor);
    let other_tab = visitor.with_ticket(&visitor.ticket());
    visitor.get("/").answered(update("user=ada")).await;
    note("after a renewal", &visitor);
    other_tab.get("/").await;
    // Writers in each other's way.
    let gate = Gate::closed();
    let held = visitor.get("/").answered(update("note=Kirschwasser2").held_at(&gate)).underway();
    gate.arrivals(1).await;
    visitor.get("/").answered(update("note=Kirschwasser3")).await;
    gate.open();
    held.await.unwrap();
    visitor.get("/").await;
    // Bad input of all kinds.
    visitor
        .get("/")
        .answered(update("Kirschwasser=%zz&x=Kirschwasser%00").header("Set-Cookie", "session=Spekulatius"))
        .await;
    visitor.get("/").answered(update(&format!("Kirschwasser={}", "x".repeat(300_000)))).await;
    let ticket = visitor.ticket();
    let line = format!("session={ticket}x; session=Spekulatius; session={ticket}; other=Spekulatius");
    visitor
        .get("/")
        .cookies(&line)
        .header("x-session", "Pumpernickel")
        .header("x_note", "Pumpernickel")
        .await;
    let bob = house.visitor();
    bob.log_in(BOB).await;
    note("of somebody else", &bob);
    visitor.get("/").cookies(format!("session={ticket}; session={}", bob.ticket())).await;
    visitor.get("/").cookies("session=1;session=2;session=3;session=4;session=Spekulatius").await;
    visitor.get("/").answered(failing(Fault::HangsUp)).await;
    visitor.get("/").answered(failing(Fault::TalksNonsense)).await;
    visitor.get("/").answered(status(101)).await;
    visitor.get("/").answered(update(&format!("large=Kirschwasser{}", "x".repeat(20_000)))).await;
    visitor.get("/").await;
    // Outages, and an end that waits.
    house.storage().fail(Which::Any, StorageFault::Refuse);
    bob.get("/").answered(update("note=Kirschwasser")).await;
    bob.try_to_log_in(ADA).await;
    bob.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await;
    house.storage().heal();
    while bob.get("/").fetching().await.status == 503 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let page = visitor.get(LOGIN).await;
    secrets.push(("a form's token".to_owned(), page.token()));
    assert_eq!(visitor.log_out().await.status, 303);
    visitor.with_ticket(&ticket).get("/account").navigating().await;
    house.cache().flush().await;
    secrets
}

//! The sessions that are kept: as large as a site has them, each of a person of its own or all of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cache::{AFTERLIFE, Application, Cache, Opened, Opening, Realm, Settings};
use prometheus_client::registry::Registry;
use session::{Clock, Patch, Principal, Revision, Timeouts, Value};
use storage::Storage;
use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// About how long the record of a session is, as the design counts them.
pub(super) const SESSION_BYTES: usize = 600;
/// What the first tier may take here: no session has to give way.
pub(super) const ROOMY: usize = 1 << 30;
/// As it is configured where nothing is.
pub(super) const TOUCH_INTERVAL: Duration = Duration::from_mins(1);
/// Longer than any measurement: nothing is written beside it.
pub(super) const SELDOM: Duration = Duration::from_hours(1);

const ISSUER: &str = "https://idp.example.org/idp";
const ENTRIES: [(&str, &str); 9] = [
    ("uid", "ann.example"),
    ("mail", "ann.example@students.example.org"),
    ("display_name", "Ann Example of Example Hall"),
    ("affiliation", "student@example.org;member@example.org"),
    ("entitlement", "urn:mace:dir:entitlement:common-lib-terms"),
    ("language", "en-GB"),
    ("basket", "apples=3&pears=1&last_seen_offer=2026-spring-catalogue"),
    ("return_to", "/courses/2026/spring/physics-101/week-07/exercises?page=3"),
    ("form_token", "0f4a9c5e7b1d48f2a6c3e9d07b5f1a2c5e7b1d48f2a6c3e9d07b5f1a2c0f4a9c"),
];

/// A cache over `storage` whose first tier may take so many bytes.
pub(super) fn cache_over(
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    bytes: usize,
    application: &Application,
) -> Arc<Cache> {
    let settings = Settings {
        inproc_timeout: Duration::from_mins(15),
        inproc_bytes: bytes,
        trust_window: Duration::from_secs(10),
        outage_window: Duration::ZERO,
        renew_window: Duration::from_mins(1),
        cleanup_interval: Duration::ZERO,
        gather_touches: Duration::from_secs(30),
        maintain_index: true,
    };
    let cache = Cache::new(storage, clock, settings, &mut Registry::default());
    cache.reckon_with(&application.realm);
    Arc::new(cache)
}

/// An application with a realm of its own, as it is configured where nothing is but how often uses are written.
pub(super) fn application(touch_interval: Duration) -> Application {
    let timeouts = Timeouts { idle: Duration::from_mins(30), lifetime: Duration::from_hours(8) };
    let realm = Arc::new(Realm {
        id: "shop".into(),
        timeouts: vec![timeouts],
        touch_interval,
        lateness: touch_interval,
        allowance: AFTERLIFE,
    });
    Application { realm, timeouts, touch_interval, renew_interval: Duration::ZERO }
}

/// Whose sessions are opened.
#[derive(Debug, Clone)]
pub(super) enum Whose {
    /// One person's.
    Of(Principal),
    /// Each time somebody's who had none, from a hoard that never gives the same person twice.
    Newcomers(Arc<AtomicU64>),
}

impl Whose {
    pub(super) fn newcomers() -> Self {
        Self::Newcomers(Arc::default())
    }

    pub(super) fn of(name: &str) -> Self {
        Self::Of(Principal::named(ISSUER, name))
    }

    fn next(&self) -> Principal {
        match self {
            Self::Of(principal) => principal.clone(),
            Self::Newcomers(count) => {
                Principal::named(ISSUER, &format!("newcomer-{:010}", count.fetch_add(1, Ordering::Relaxed)))
            }
        }
    }
}

/// What a session begins with.
pub(super) fn opening(whose: &Whose) -> Opening {
    let mut entries = Patch::new(Revision::default());
    for (name, value) in ENTRIES {
        entries.set(name, Value::from(value));
    }
    Opening { principal: Some(whose.next()), entries, ..Opening::default() }
}

/// Opens so many sessions, by so many clients at a time, each of which waits for its answer.
pub(super) async fn open(
    cache: &Arc<Cache>,
    application: &Application,
    whose: &Whose,
    count: u64,
    clients: u64,
) -> Result<Vec<Opened>> {
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (cache, application, whose) = (Arc::clone(cache), application.clone(), whose.clone());
        let mine = count / clients + u64::from(client < count % clients);
        tasks.spawn(async move {
            let mut opened = Vec::new();
            for _ in 0..mine {
                let one = cache.open(opening(&whose), &application).await.map_err(failed)?;
                opened.push(one.opened().ok_or_else(|| failed("a session was refused"))?);
            }
            Ok::<_, Error>(opened)
        });
    }
    let mut all = Vec::new();
    while let Some(opened) = tasks.join_next().await {
        all.extend(opened.map_err(failed)??);
    }
    Ok(all)
}

pub(super) fn failed(error: impl std::fmt::Display) -> Error {
    Error::Load(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use session::SystemClock;
    use storage::Memory;

    #[tokio::test]
    async fn sessions_are_as_long_as_the_page_says_and_newcomers_are_new() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let storage = Arc::new(Memory::new("measured", Arc::clone(&clock), usize::MAX));
        let application = application(TOUCH_INTERVAL);
        let cache = cache_over(storage, clock, ROOMY, &application);
        let opened = open(&cache, &application, &Whose::newcomers(), 7, 3).await.unwrap();
        let mut people = Vec::new();
        for one in &opened {
            let record = session::record::encode(&one.session);
            assert!(record.len().abs_diff(SESSION_BYTES) < 20, "{} bytes", record.len());
            people.push(one.session.principal.clone().unwrap().name);
        }
        people.sort();
        people.dedup();
        assert_eq!(people.len(), 7);
    }
}

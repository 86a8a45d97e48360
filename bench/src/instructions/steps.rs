//! The steps, and what they work on.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cache::{AFTERLIFE, Application, Cache, Credential, Find, Opening, Realm, Settings};
use gateway::handoff::{Format, Presentation};
use gateway::measuring::SealedCookie;
use http::{HeaderMap, HeaderName};
use prometheus_client::registry::Registry;
use seal::{Key, KeyRing, KeyState, Keys};
use session::{
    Carried, Clock, Handle, OnConflict, Patch, Revision, Secret, SecretHash, Session, SystemClock, Ticket,
    Timeouts, Value,
};
use tempfile::TempDir;

use crate::error::{Error, Result};

const REALM: &str = "shop";
/// A kibibyte of form text, in entries of an ordinary size.
const ENTRIES: u32 = 16;
const VALUE: &str = "about fifty bytes of what applications remember.";

/// One of them.
pub(super) struct Step {
    /// The name, on the command line of the process that valgrind runs.
    pub(super) id: &'static str,
    /// What the page says.
    pub(super) what: &'static str,
    pub(super) run: for<'w> fn(&'w Work) -> Done<'w>,
}

type Done<'w> = Pin<Box<dyn Future<Output = Result<()>> + 'w>>;

pub(super) const STEPS: [Step; 6] = [
    Step { id: "open", what: "a sealed cookie opened and parsed", run: |work| Box::pin(work.open()) },
    Step {
        id: "present",
        what: "a session presented as form text in a header",
        run: |work| Box::pin(async { work.present(&work.carried.session) }),
    },
    Step {
        id: "whole",
        what: "both: a sealed cookie opened, parsed, judged and presented",
        run: |work| Box::pin(work.whole()),
    },
    Step {
        id: "seal",
        what: "a session sealed into `Set-Cookie`",
        run: |work| Box::pin(async { work.seal() }),
    },
    Step { id: "ticket", what: "a ticket read from its text", run: |work| Box::pin(async { work.read() }) },
    Step {
        id: "find",
        what: "the session of a ticket found in the first tier",
        run: |work| Box::pin(work.find()),
    },
];

/// A session in both forms, and all that handles it.
pub(super) struct Work {
    sealed: SealedCookie,
    pub(super) carried: Arc<Carried>,
    pub(super) cookie: String,
    presentation: Presentation,
    /// How long the session is as form text.
    pub(super) presented_bytes: usize,
    pub(super) entries: usize,
    cache: Cache,
    application: Application,
    ticket: Ticket,
    /// Of the storage service.
    _folder: TempDir,
}

impl Work {
    pub(super) async fn prepare() -> Result<Self> {
        let sealed = SealedCookie::new(keys()?, REALM).map_err(failed("cookie"))?;
        let entries = entries();
        let handle = Handle::random().map_err(failed("handle"))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let now = clock.now();
        let mut session = Session::new(handle, SecretHash::NOBODYS, REALM, now);
        session.apply(&entries, OnConflict::Overwrite);
        let secret = Secret::random().map_err(failed("secret"))?;
        let carried = Arc::new(Carried {
            session: Arc::new(session),
            secret,
            touched: now,
            good_until: session::Millis::NEVER,
        });
        let set = sealed.seal(&carried).ok_or_else(|| failed("seal")("it was not sealed"))?;
        let cookie = set.to_str().ok().and_then(|set| set.split_once('=')?.1.split_once(';'));
        let cookie = cookie.ok_or_else(|| failed("seal")("it is no cookie"))?.0.to_owned();

        let presentation = Presentation {
            header: HeaderName::from_static("x-session"),
            format: Format::Form,
            list_separator: None,
            entry_headers: Vec::new(),
            reserved: None,
            max_header_bytes: 8 << 10,
        };
        let entries_of_session = &carried.session.entries;
        let presented = presentation.value(&[], entries_of_session).map_err(failed("present"))?.len();

        let folder = tempfile::tempdir().map_err(Error::file("the folder of a storage service"))?;
        let storage = engines::embedded::open("measured", folder.path(), Arc::clone(&clock));
        let storage = storage.await.map_err(failed("storage"))?;
        let settings = Settings {
            inproc_timeout: Duration::from_secs(900),
            inproc_bytes: 1 << 20,
            trust_window: Duration::from_secs(10),
            outage_window: Duration::ZERO,
            renew_window: Duration::from_secs(10),
            cleanup_interval: Duration::ZERO,
            gather_touches: Duration::from_secs(30),
            maintain_index: true,
        };
        let cache = Cache::new(storage, clock, settings, &mut Registry::default());
        let application = application();
        cache.reckon_with(&application.realm);
        let opening = Opening { entries, ..Opening::default() };
        let opened = cache.open(opening, &application).await.map_err(failed("open"))?;
        let opened = opened.opened().ok_or_else(|| failed("open")("it was refused"))?;
        Ok(Self {
            sealed,
            presented_bytes: presented,
            entries: entries_of_session.len(),
            carried,
            cookie,
            presentation,
            cache,
            application,
            ticket: opened.ticket,
            _folder: folder,
        })
    }

    async fn open(&self) -> Result<()> {
        self.opened().await.map(|carried| drop(black_box(carried)))
    }

    async fn opened(&self) -> Result<Arc<Carried>> {
        match self.sealed.open(black_box(self.cookie.as_bytes())).await {
            Some(Credential::Carried(carried)) => Ok(carried),
            _ => Err(failed("open")("it did not open")),
        }
    }

    fn present(&self, session: &Session) -> Result<()> {
        let mut headers = HeaderMap::new();
        self.presentation
            .insert(&[], black_box(&session.entries), &mut headers)
            .map_err(failed("present"))?;
        drop(black_box(headers));
        Ok(())
    }

    async fn whole(&self) -> Result<()> {
        let carried = self.opened().await?;
        match self.cache.find_carried(&carried, &self.application).await.map_err(failed("whole"))? {
            Find::Found(found) => self.present(&found.session),
            _ => Err(failed("whole")("it was not found")),
        }
    }

    fn seal(&self) -> Result<()> {
        let set = self.sealed.seal(black_box(&self.carried));
        black_box(set).map(drop).ok_or_else(|| failed("seal")("it was not sealed"))
    }

    fn read(&self) -> Result<()> {
        let text = black_box(self.ticket.expose());
        let ticket: Ticket = text.parse().map_err(failed("ticket"))?;
        drop(black_box(ticket));
        Ok(())
    }

    async fn find(&self) -> Result<()> {
        let found =
            self.cache.find(black_box(&self.ticket), &self.application).await.map_err(failed("find"))?;
        match black_box(found) {
            Find::Found(_) => Ok(()),
            _ => Err(failed("find")("it was not found")),
        }
    }
}

fn keys() -> Result<Arc<Keys>> {
    let text = Key::generate_text().map_err(failed("keys"))?;
    let id = "measured".parse().map_err(failed("keys"))?;
    let key = Key::from_text(id, KeyState::Active, text.expose()).map_err(failed("keys"))?;
    Ok(Arc::new(Keys::new(KeyRing::new(vec![key]).map_err(failed("keys"))?)))
}

fn entries() -> Patch {
    let mut patch = Patch::new(Revision::default());
    for number in 0..ENTRIES {
        patch.set(&format!("entry-number-{number:02}"), Value::from(VALUE));
    }
    patch
}

fn application() -> Application {
    let timeouts = Timeouts { idle: Duration::from_secs(1800), lifetime: Duration::from_secs(28_800) };
    let touch_interval = Duration::from_secs(60);
    let realm = Arc::new(Realm {
        id: REALM.into(),
        timeouts: vec![timeouts],
        touch_interval,
        lateness: touch_interval,
        allowance: AFTERLIFE,
    });
    Application { realm, timeouts, touch_interval, renew_interval: Duration::ZERO }
}

fn failed<E: std::fmt::Display>(step: &'static str) -> impl FnOnce(E) -> Error {
    move |error| Error::Step { step: step.to_owned(), what: error.to_string() }
}

//! The session cache itself: what its operations share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use session::{Clock, Handle, Millis, Session};
use storage::{BoxError, Key, Storage, Times, Unavailable};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::application::{AFTERLIFE, Realm};
use crate::confirm::Confirmations;
use crate::counters::Counters;
use crate::gather::Gathered;
use crate::heads::Heads;
use crate::held::Held;
use crate::index::Index;
use crate::nodes::Nodes;
use crate::outbox::Outbox;
use crate::recent::RecentEnds;
use crate::recovery::Recoverable;
use crate::renew::Renewing;
use crate::revocations::Revocations;
use crate::survey::Followers;
use crate::tier::FirstTier;
use crate::trust::Trust;

/// Below which contexts the records of sessions are.
pub(crate) const SESSIONS: &str = "session";
/// Of how many carried sessions it is remembered when their cookie was last sealed.
const MAX_USES: usize = 1 << 16;

/// How long storage is waited for by those who can do without its answer: longer would be no help in an outage.
const BRIEFLY: Duration = Duration::from_secs(1);

/// What the cache is told by the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a session that nobody uses is served from this process's copy.
    pub inproc_timeout: Duration,
    /// How many bytes the copies may take, about.
    pub inproc_bytes: usize,
    /// How long copies are served, where storage is shared and neither it nor its change stream can be had. This bounds how
    /// long an end elsewhere is not seen here.
    pub trust_window: Duration,
    /// How much longer than that, where storage has no answer. An end elsewhere is not seen here for as much longer.
    pub outage_window: Duration,
    /// How long the ticket before a renewal is good: after a login from then on, else from the first use of its successor.
    pub renew_window: Duration,
    /// How often the copies are taken out of memory that nobody used for `inproc_timeout`; zero: only when room is needed.
    pub cleanup_interval: Duration,
    /// How long the last use of a session may wait to be written with those of others, half of `touch_interval` at most;
    /// zero: each is written by itself.
    pub gather_touches: Duration,
    /// Whether it is written which sessions are whose, so that they can be listed.
    pub maintain_index: bool,
}

/// The session cache of one process.
#[derive(Debug)]
pub struct Cache {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) settings: Settings,
    pub(crate) tier: Arc<FirstTier>,
    pub(crate) outbox: Outbox,
    /// The ends of the last minutes.
    pub(crate) recent: RecentEnds,
    pub(crate) revocations: Revocations,
    /// Whether what was heard of others is good.
    pub(crate) trust: Trust,
    pub(crate) heads: Heads,
    /// Which sessions are whose.
    pub(crate) index: Arc<Index>,
    /// Whether assertions are kept.
    pub(crate) keeps_assertions: bool,
    /// The realms that there are, or were.
    realms: RwLock<HashMap<Arc<str>, Arc<Realm>>>,
    pub(crate) nodes: Nodes,
    /// What issuers call us, if anybody has said.
    pub(crate) entity_id: Option<Box<str>>,
    /// When cookies of carried sessions were last sealed anew, as far as there was room to remember.
    pub(crate) uses: quick_cache::sync::Cache<Handle, Millis>,
    /// Sessions whose ticket is being renewed.
    pub(crate) renewing: Renewing,
    /// Sessions whose new ticket was used.
    pub(crate) confirmations: Confirmations,
    /// Last uses that wait for others.
    pub(crate) gathered: Gathered,
    /// The longest that a session of any realm may live, in milliseconds.
    longest_session: AtomicU64,
    /// Whose sessions may come back.
    pub(crate) recoverable: Recoverable,
    /// Told when a touch failed.
    pub(crate) late: Arc<Notify>,
    pub(crate) counters: Counters,
    /// Whether another process may change what storage has, for a while. See [`Cache::begin_sharing`].
    sharing: AtomicBool,
    /// Told when that begins.
    pub(crate) shared: Notify,
}

impl Cache {
    /// A cache over `storage`, which counts in `registry`. [`Cache::keep_house`] must run beside it.
    #[must_use]
    pub fn new(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        registry: &mut Registry,
    ) -> Self {
        let is_needed = !storage.capabilities().is_memory;
        let followers = Arc::<Followers>::default();
        let tier = Arc::new(FirstTier::new(is_needed, settings.inproc_bytes, Arc::clone(&followers)));
        let (outbox, nodes) = (Outbox::default(), Nodes::default());
        Self {
            recent: RecentEnds::new(storage.capabilities().is_shared),
            revocations: Revocations::new(Arc::clone(&followers)),
            trust: Trust::new(
                storage.capabilities().is_shared.then_some(settings.trust_window),
                settings.outage_window,
            ),
            heads: Heads::new(&storage, &clock, settings.inproc_bytes),
            index: Arc::new(Index::new(Arc::clone(&storage), settings.maintain_index)),
            keeps_assertions: false,
            realms: RwLock::default(),
            uses: quick_cache::sync::Cache::new(MAX_USES),
            renewing: Renewing::default(),
            confirmations: Confirmations::default(),
            gathered: Gathered::default(),
            longest_session: AtomicU64::new(0),
            recoverable: Recoverable::default(),
            late: Arc::default(),
            sharing: AtomicBool::new(false),
            entity_id: None,
            shared: Notify::new(),
            counters: Counters::registered(registry, &tier, &outbox.pending, &nodes.count),
            tier,
            outbox,
            nodes,
            storage,
            clock,
            settings,
        }
    }

    /// The same cache, where issuers call us `entity_id`: a name that is qualified by it is as one that is not.
    #[must_use]
    pub fn known_as(self, entity_id: &str) -> Self {
        Self { entity_id: Some(entity_id.into()).filter(|_| !entity_id.is_empty()), ..self }
    }

    /// From now on another process works on the same storage, and its changes are not announced here: the one that takes
    /// the place of this one, or the one whose place this one takes. So no copy is served before storage was asked, and
    /// nobody is judged idle by what this process alone knows; what it knows it should write now ([`Cache::flush`]).
    pub fn begin_sharing(&self) {
        self.sharing.store(true, Ordering::SeqCst);
        self.shared.notify_one();
    }

    /// The other process is gone. What it changed last is found once storage has been asked again.
    pub fn end_sharing(&self) {
        self.tier.doubt_all();
        self.revocations.doubt();
        self.sharing.store(false, Ordering::SeqCst);
    }

    /// Whether another process works on the same storage, of which it is not told here.
    pub(crate) fn is_sharing(&self) -> bool {
        self.sharing.load(Ordering::SeqCst)
    }

    /// Whether a copy that is not doubted is as good as what storage has.
    pub(crate) fn is_believed(&self, held: &Held) -> bool {
        held.is_current() && !self.must_ask()
    }

    /// Whether storage must be asked, for others may have changed what nothing was heard of. Not if somebody has just done
    /// that in vain, and what was heard is good enough without it.
    pub(crate) fn must_ask(&self) -> bool {
        self.is_deaf() && !(self.trust.is_in_vain() && self.may_go_by_what_was_heard())
    }

    /// Whether others may work on the same storage unheard.
    pub(crate) fn is_deaf(&self) -> bool {
        self.sharing.load(Ordering::SeqCst) || self.trust.is_deaf()
    }

    /// Whether what was known when others were last heard of is good enough for whom storage has no answer.
    pub(crate) fn may_go_by_what_was_heard(&self) -> bool {
        !self.sharing.load(Ordering::SeqCst) && self.trust.holds()
    }

    /// Asks storage. While nothing is heard, and what was heard is good enough without an answer: not for long, and not soon
    /// again.
    pub(crate) async fn ask_briefly<T>(
        &self,
        ask: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        if !self.is_deaf() || !self.may_go_by_what_was_heard() {
            return ask.await;
        }
        let slow = || Unavailable::deadline(self.storage.id(), BRIEFLY);
        let answer = timeout(BRIEFLY, ask).await.unwrap_or_else(|_| Err(slow()));
        if answer.is_err() {
            self.trust.ask_in_vain();
        }
        answer
    }

    /// Whether this process knows of every use and every change.
    pub(crate) fn is_alone(&self) -> bool {
        !self.sharing.load(Ordering::SeqCst) && !self.storage.capabilities().is_shared
    }

    /// There are sessions of this realm. That all sessions of somebody were ended is remembered for as long as the longest
    /// of all realms could live. Who lists sessions judges those of a realm by its time-outs.
    pub fn reckon_with(&self, realm: &Arc<Realm>) {
        self.realms.write().insert(Arc::clone(&realm.id), Arc::clone(realm));
        // What was judged by other time-outs must be judged again.
        self.tier.followers.outdate();
        let longest = u64::try_from(realm.longest_session().as_millis()).unwrap_or(u64::MAX);
        self.longest_session.fetch_max(longest, Ordering::AcqRel);
    }

    /// The realm of this name, if there is one here.
    pub(crate) fn realm(&self, id: &str) -> Option<Arc<Realm>> {
        self.realms.read().get(id).cloned()
    }

    /// When a session that is used now, and never again, is over at the latest, whatever its realm.
    pub(crate) fn all_over_at(&self, now: Millis) -> Millis {
        let longest = self.longest_session.load(Ordering::Acquire);
        now.plus(Duration::from_millis(longest)).plus(AFTERLIFE)
    }

    /// The time by which this cache judges.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.clock.now()
    }

    /// The storage service below.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Where the record of a session lies: in one of 256 contexts, by its first byte, so that an engine can spread them.
    pub(crate) fn key(&self, handle: &Handle) -> Result<Key, Unavailable> {
        let [first, ..] = handle.as_bytes();
        Key::new(&format!("{SESSIONS}.{first:02x}"), handle.to_string().as_bytes())
            .map_err(|error| self.unavailable(error))
    }

    pub(crate) fn times(realm: &Realm, session: &Session, touched: Millis) -> Times {
        Times { touched, expires: realm.record_expires(session.begun, touched) }
    }

    pub(crate) fn unavailable(&self, cause: impl Into<BoxError>) -> Unavailable {
        Unavailable::failed(self.storage.id(), cause)
    }
}

/// The session that a notice about `key` means, if it is about one.
pub(crate) fn handle_of(key: &Key) -> Option<Handle> {
    key.context().strip_prefix(SESSIONS)?.strip_prefix('.')?;
    std::str::from_utf8(key.name()).ok()?.parse().ok()
}

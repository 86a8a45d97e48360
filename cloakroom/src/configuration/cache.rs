//! `[cache]`: the session cache above the storage services.

use std::time::Duration;

use super::form::{Count, List, Size, Span, Switch, Text, shown_duration};
use super::names::{EntityId, EntryName, Identifier, UserName};
use super::section::Section;
use super::storage::{Storage, check_storage};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// `[cache]`: the session cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// The id of the storage service that holds the sessions.
    pub storage: String,
    /// The id of the one that holds logout data: what ended sessions, and the index. Mostly the same.
    pub storage_lite: String,
    /// How long a session that nobody uses stays in this process.
    pub inproc_timeout: Duration,
    /// How often they are looked through for those.
    pub cleanup_interval: Duration,
    /// How much all of them may take there, in bytes.
    pub inproc_bytes: u64,
    /// Last-seen is written at most this often.
    pub touch_interval: Duration,
    /// How long copies are served without storage and its change stream.
    pub trust_window: Duration,
    /// How much longer, where storage has no answer.
    pub danger_outage_window: Duration,
    /// How long the previous secret of a renewed ticket is still good.
    pub renew_window: Duration,
    /// How long storage may take for one operation.
    pub deadline: Duration,
    /// How much longer than the session its record stays.
    pub cache_allowance: Duration,
    /// Whether sessions come back also while nobody can say whether they were ended.
    pub danger_soft_revocation: bool,
    /// Whether it is written which sessions are whose.
    pub maintain_reverse_index: bool,
    /// What SAML issuers call us.
    pub entity_id: Option<String>,
    /// Names of whose sessions it is not written.
    pub exclude_reverse_index: Vec<String>,
    /// Entries by which sessions are found quickly.
    pub index_entries: Vec<String>,
    /// Whether assertions are kept beside sessions.
    pub cache_assertions: bool,
}

/// Seconds to a day: how often last-seen is written.
pub(crate) const TOUCH_INTERVAL: Span = Span::between(SECOND, Duration::from_hours(24));

impl Cache {
    pub(crate) fn read(section: &mut Section<'_>, storage: &[Storage]) -> Self {
        let first = storage.first().map_or_else(|| Storage::standard().id, |first| first.id.clone());
        let sessions = section.following(
            "storage",
            &Text(Identifier),
            first,
            "the first `[[storage]]`",
            "The storage service that holds the sessions.",
        );
        let cache = Self {
            storage_lite: section.following(
                "storage_lite",
                &Text(Identifier),
                sessions.clone(),
                "`storage`",
                "The storage service that holds logout data: the index, the counters by which all sessions of somebody end, and \
                 which sealed or recoverable sessions are over. Where sessions lie in memory, one that is durable.",
            ),
            storage: sessions,
            inproc_timeout: section.value(
                "inproc_timeout",
                &Span::between(SECOND, Duration::from_hours(24)),
                MINUTE * 15,
                "How long a session that nobody uses stays in this process.",
            ),
            cleanup_interval: section.value(
                "cleanup_interval",
                &Span::between(SECOND, Duration::from_hours(24)).or_zero("never"),
                MINUTE * 15,
                "How often sessions that nobody used for `inproc_timeout` are taken out of this process's memory. They are not \
                 served from it before that either, and give way when room is needed.",
            ),
            inproc_bytes: section.value(
                "inproc_bytes",
                &Size::between(MIB, TIB),
                64 * MIB,
                "How much the sessions in this process may take. Those that were not used for longest give way.",
            ),
            touch_interval: section.value(
                "touch_interval",
                &TOUCH_INTERVAL,
                MINUTE,
                "When a session was last used is written at most this often. An application may differ.",
            ),
            trust_window: section.value(
                "trust_window",
                &Span::between(SECOND, MINUTE * 5).or_zero("not at all"),
                SECOND * 10,
                "Where storage is shared: how long this process serves its copies, and trusts sealed cookies, when it can \
                 neither ask storage nor hear of changes. It counts from when they may have been missed first, of which about \
                 four seconds pass unnoticed: in an outage visitors are served for that much less, and get 503 then. The longest \
                 that an end made elsewhere can take to hold here.",
            ),
            danger_outage_window: section.value(
                "danger_outage_window",
                &Span::between(SECOND, Duration::from_hours(24)).or_zero("not at all"),
                Duration::ZERO,
                "Where storage is shared: how much longer than `trust_window` this process serves its copies, and trusts sealed \
                 cookies, while it can neither ask storage nor hear of changes. Fewer visitors get 503 in an outage; but somebody \
                 who was logged out elsewhere is let in here for as much longer.",
            ),
            renew_window: section.value(
                "renew_window",
                &Span::between(SECOND, MINUTE * 5).or_zero("not at all"),
                MINUTE,
                "How long the ticket before a renewal is still good, for requests that were under way: after a login from then \
                 on; where tickets are renewed by `renew_interval`, from the first use of the new one. As long as a request may \
                 wait before it arrives.",
            ),
            deadline: section.value(
                "deadline",
                &Span::between(MILLISECOND * 10, MINUTE),
                SECOND * 5,
                "How long storage may take for one operation. After that it counts as unavailable, and the visitor is told to \
                 try again: nobody is logged out.",
            ),
            cache_allowance: allowance(section),
            danger_soft_revocation: section.value(
                "danger_soft_revocation",
                &Switch,
                false,
                "Shibboleth's softRevocation. Whether a session comes back from its recovery cookie, and is served, also while the \
                 storage of logout data cannot say whether it was ended.",
            ),
            maintain_reverse_index: section.value(
                "maintain_reverse_index",
                &Switch,
                true,
                "Whether it is written which sessions are whose, so that those of a person can be listed and counted: one small \
                 record for each session of somebody. That all sessions of somebody end at once does not need it.",
            ),
            entity_id: section.optional(
                "entity_id",
                &Text(EntityId),
                "https://sp.example.org/shibboleth".to_owned(),
                "Our own SAML entity id. A name that an issuer qualifies by it (SPNameQualifier) is the same as one that it does \
                 not qualify, so that a logout ends the sessions of either.",
            ),
            exclude_reverse_index: section.value(
                "exclude_reverse_index",
                &List(Text(UserName)),
                Vec::new(),
                "Names of whose sessions that is not written, in exactly this spelling: of those who open sessions without end, \
                 as monitoring does. Their sessions cannot be listed; to end them all works as with others.",
            ),
            index_entries: section.value(
                "index_entries",
                &List(Text(EntryName)),
                Vec::new(),
                "Entries by which sessions are found quickly: each text that a session holds under one of these names, alone or in a list, \
                 is a small record more. Of sessions that were there before, `cloakroom store check --index` writes them.",
            ),
            cache_assertions: section.value(
                "cache_assertions",
                &Switch,
                false,
                "Whether the assertions that a login was proved by are kept beside its session, for as long as it lives, where they \
                 are given when it is opened. Each is a record of its own, of at most what the storage keeps in one value.",
            ),
        };
        if section.optional(
            "reverse_index_max_size",
            &Count(0..=u32::MAX),
            0,
            "Taken from Shibboleth, and without effect: each session has an entry of its own, so that no entry grows.",
        ).is_some_and(|most| most > 0) {
            let message = "`reverse_index_max_size` has no effect: each session has an entry of its own, which goes with it";
            section.warn("reverse_index_max_size", message, "remove it");
        }
        if cache.danger_soft_revocation {
            let message = "sessions that were ended come back by their recovery cookies while the storage of logout data is away";
            section.warn("danger_soft_revocation", message, "remove this line");
        }
        let used = check_storage(section, "storage", &cache.storage, storage);
        let lite = match section.given("storage_lite") {
            true => check_storage(section, "storage_lite", &cache.storage_lite, storage),
            false => used,
        };
        if let (Some(used), Some(lite)) = (used, lite) {
            check_lite(section, used, lite);
        }
        let unnoticed = used.into_iter().chain(lite).map(|storage| storage.engine.unnoticed()).max();
        let unnoticed = unnoticed.unwrap_or_default();
        if let Some((message, cure)) = cache.trusts_too_shortly(unnoticed) {
            section.warn("trust_window", message, cure);
        }
        if !cache.danger_outage_window.is_zero() {
            let bound = shown_duration(cache.trust_window.saturating_add(cache.danger_outage_window));
            let message = format!(
                "with `danger_outage_window`, whoever was logged out elsewhere can be let in here for up to {bound}, while \
                 this process cannot reach the storage"
            );
            let cure = "remove it: visitors whom nobody can judge get 503 then, and nobody is logged out";
            section.warn("danger_outage_window", message, cure);
        }
        cache
    }

    /// What is wrong with a `trust_window` that is over before it is noticed that changes are not heard any more, and the
    /// cure.
    pub(crate) fn trusts_too_shortly(&self, unnoticed: Duration) -> Option<(String, String)> {
        let window = self.trust_window;
        if window.is_zero() || window > unnoticed {
            return None;
        }
        let longer = shown_duration(Duration::from_secs(unnoticed.as_secs() + 6));
        let (unnoticed, window) = (shown_duration(unnoticed), shown_duration(window));
        let message = format!(
            "`trust_window = \"{window}\"` is over before it is noticed that changes of the storage are not heard any more, which \
             takes up to {unnoticed}: so long can an end made elsewhere take to hold here, and no outage is bridged"
        );
        let cure = format!("say \"{longer}\", or \"0s\" to ask storage for every request");
        Some((message, cure))
    }
}

/// How much longer than their sessions records stay, by the key of today or by the one that Shibboleth has given up.
fn allowance(section: &mut Section<'_>) -> Duration {
    let longest = Duration::from_hours(24 * 400);
    let allowance = section.value(
        "cache_allowance",
        &Span::between(SECOND, longest).or_zero("an hour"),
        HOUR,
        "How much longer than a session what is known of it stays: so long a visitor can be told that it timed out, and an \
         operator when and why it ended. An hour at least.",
    );
    let timeout = section.optional(
        "cache_timeout",
        &Span::between(SECOND, longest).or_zero("not at all"),
        HOUR * 8,
        "The name that Shibboleth gave up for `cache_allowance`; it wins over that where it is not zero.",
    );
    let Some(timeout) = timeout.filter(|timeout| !timeout.is_zero()) else { return allowance };
    let message = "`cache_timeout` is deprecated, and counts from the end of a session here, so that none is cut short by it";
    section.warn(
        "cache_timeout",
        message,
        format!("say `cache_allowance = \"{}\"` instead", shown_duration(timeout)),
    );
    timeout
}

/// Logout data is to outlive the sessions, and to be seen by all who have them.
fn check_lite(section: &Section<'_>, used: &Storage, lite: &Storage) {
    if used.id == lite.id {
        return;
    }
    if let Some(old) = &lite.migrate_from {
        let message =
            format!("`{}` holds logout data, which does not move from `{old}` while it is in use", lite.id);
        let cure =
            "stop Cloakroom, move it with `cloakroom store dump` and `load`, and remove `migrate_from` there";
        section.wrong("storage_lite", message, cure);
    }
    if used.engine.may_be_shared() && !lite.engine.may_be_shared() {
        let message = format!(
            "`{}` is storage of this node alone, and `{}` is not: that all sessions of somebody were ended here holds on this \
             node only",
            lite.id, used.id
        );
        section.warn("storage_lite", message, "this is right as long as there is one node");
    }
    if lite.engine.is_memory() {
        let message = format!("`{}` is memory: a restart forgets which sessions were ended", lite.id);
        section.warn("storage_lite", message, "name a storage that is durable, or remove this line");
    }
}

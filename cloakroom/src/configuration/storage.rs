//! Where sessions are kept: storage services, the session cache above them, and the keys that seal.

mod redis;
mod remote;
mod server;
mod sql;

use std::path::PathBuf;
use std::time::Duration;

use seal::KeyState;

pub use self::redis::Redis;
pub use self::remote::Remote;

use super::document::Place;
use super::form::{Choice, Count, Form, List, Size, Span, Switch, Text, enumerate, shown_duration};
use super::names::{EntityId, EntryName, FileName, Identifier, UserName};
use super::section::Section;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

/// One `[[storage]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// What `[cache]` and the logs call it.
    pub id: String,
    /// What it is made of.
    pub engine: Engine,
    /// Whether its values are sealed, and what is done with those that are not.
    pub seal: Option<storage::Plain>,
    /// The id of the storage service from which everything moves to this one.
    pub migrate_from: Option<String>,
}

/// Where a storage service says what others must agree with.
pub(crate) struct StoragePlaces {
    pub(crate) id: Place,
    pub(crate) migrate_from: Place,
}

/// What a storage service is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Engine {
    /// This process's memory: everybody is logged out when it ends.
    Memory {
        /// How much it may hold, in bytes.
        max_bytes: u64,
    },
    /// A database of our own in the data directory.
    Embedded,
    /// A database that other nodes may share.
    Sql(engines::sql::Settings),
    /// Redis or Valkey, which other nodes may share.
    Redis(Box<Redis>),
    /// A storage service of another Cloakroom.
    Remote(Remote),
}

impl Engine {
    /// How long changes that others make may not be heard before that is noticed, at the least: what lies behind another
    /// Cloakroom is only known once it says so.
    pub(crate) fn unnoticed(&self) -> Duration {
        match self {
            Self::Memory { .. } | Self::Embedded => Duration::ZERO,
            Self::Sql(settings) => settings.unnoticed(),
            Self::Redis(_) | Self::Remote(_) => ::storage::LONGEST_UNNOTICED,
        }
    }

    /// Whether several nodes may use it.
    pub(crate) fn may_be_shared(&self) -> bool {
        // Who hears of changes by others can miss them.
        !self.unnoticed().is_zero()
    }

    /// Whether it is gone with this process.
    pub(crate) const fn is_memory(&self) -> bool {
        matches!(self, Self::Memory { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EngineName {
    Memory,
    Embedded,
    Sql,
    Redis,
    Remote,
}

const ENGINE: Choice<EngineName> = Choice {
    words: &[
        ("memory", EngineName::Memory),
        ("embedded", EngineName::Embedded),
        ("sql", EngineName::Sql),
        ("redis", EngineName::Redis),
        ("remote", EngineName::Remote),
    ],
    later: &["memcached", "files"],
};

impl Storage {
    /// What there is when the file names none.
    pub(crate) fn standard() -> Self {
        Self { id: "local".to_owned(), engine: Engine::Embedded, seal: None, migrate_from: None }
    }

    /// Reads the section.
    pub(crate) fn read(section: &mut Section<'_>) -> (Self, StoragePlaces) {
        let id = section.required(
            "id",
            &Text(Identifier),
            "local".to_owned(),
            "What `[cache]` and the logs call it.",
        );
        let engine = section.value(
            "engine",
            &ENGINE,
            EngineName::Embedded,
            "`embedded`: a database of our own in `data_dir`; `memory`: this process's memory, and everybody is logged out when \
             it ends; `sql`: PostgreSQL, MySQL or MariaDB, which several nodes can share, or SQLite in a file; `redis`: Redis or \
             Valkey, which several nodes can share; `remote`: a storage of another Cloakroom, through its session server.",
        );
        let max_bytes = section.value(
            "max_bytes",
            &Size::between(MIB, TIB),
            256 * MIB,
            "Of the engine `memory`: how much it may hold. When it is full, no session is opened, and none grows.",
        );
        let server = server::Keys::read(section);
        let sql = sql::Keys::read(section);
        let redis = redis::Keys::read(section);
        let remote = remote::Keys::read(section);
        let seal = section.value(
            "seal",
            &Switch,
            false,
            "Whether values are encrypted before they are written, with the keys of this installation.",
        );
        let migrate_from = section.optional(
            "migrate_from",
            &Text(Identifier),
            "old".to_owned(),
            "The id of the storage service from which everything moves to this one, while both are in use. The log says when all \
             of it is here, and this line can go.",
        );
        let is_plain_accepted = section.value(
            "danger_accept_plain",
            &Switch,
            false,
            "With `seal`: whether values that are not sealed are read all the same, for as long as records from before are \
             there. Whoever can write to the storage can then put a session of their own making there.",
        );
        if is_plain_accepted && seal {
            let message = "values that are not sealed are accepted: whoever can write to this storage can forge sessions";
            let cure = "remove `danger_accept_plain` when what was written before `seal = true` has expired";
            section.warn("danger_accept_plain", message, cure);
        } else if is_plain_accepted {
            let message = "`danger_accept_plain` belongs to `seal = true`; without it everything is plain";
            section.wrong("danger_accept_plain", message, "remove it, or say `seal = true`");
        }
        if !seal {
            section.without_effect(&["danger_accept_plain"]);
        }
        let seal = seal.then_some(if is_plain_accepted {
            storage::Plain::DangerAccepted
        } else {
            storage::Plain::Refused
        });
        section.later(&["servers", "path", "lock_path", "format"], "other engines");
        if engine != EngineName::Memory {
            section.without_effect(&["max_bytes"]);
            if section.given("max_bytes") {
                let message =
                    "`max_bytes` belongs to the engine `memory`; the others are bounded where they lie";
                section.wrong("max_bytes", message, "remove it, or say `engine = \"memory\"`");
            }
        }
        // Whose keys are these, and who uses them?
        let owners: [(&[&'static str], &[EngineName]); 5] = [
            (&server::NAMES, &[EngineName::Sql, EngineName::Redis, EngineName::Remote]),
            (&server::PASSWORD, &[EngineName::Sql, EngineName::Redis]),
            (&sql::NAMES, &[EngineName::Sql]),
            (&redis::NAMES, &[EngineName::Redis]),
            (&remote::NAMES, &[EngineName::Remote]),
        ];
        for (names, owners) in owners {
            if !owners.contains(&engine) {
                refuse(section, names, owners);
            }
        }
        let engine = match engine {
            EngineName::Memory => Engine::Memory { max_bytes },
            EngineName::Embedded => Engine::Embedded,
            // Where they give nothing, what is wrong was noted, and nothing is used.
            EngineName::Sql => sql.engine(section, server).unwrap_or(Engine::Embedded),
            EngineName::Redis => redis.engine(section, server).unwrap_or(Engine::Embedded),
            EngineName::Remote => remote.engine(section, server).unwrap_or(Engine::Embedded),
        };
        let places = StoragePlaces { id: section.place("id"), migrate_from: section.place("migrate_from") };
        (Self { id, engine, seal, migrate_from }, places)
    }
}

/// Notes keys that belong to other engines than the one that was chosen.
fn refuse(section: &mut Section<'_>, names: &[&'static str], owners: &[EngineName]) {
    // What was wrong with the others was said, and may be that one holds a password.
    let given: Vec<&str> = names.iter().copied().filter(|name| section.is_read(name)).collect();
    section.without_effect(names);
    if section.is_excused() {
        return;
    }
    let owners: Vec<&str> = owners.iter().map(|owner| ENGINE.word(owner)).collect();
    for name in given {
        let message = match owners.as_slice() {
            [one] => format!("`{name}` belongs to the engine `{one}`"),
            several => format!("`{name}` belongs to the engines {}", enumerate(several, "and")),
        };
        let first = owners.first().copied().unwrap_or_default();
        section.wrong(name, message, format!("remove it, or say `engine = \"{first}\"`"));
    }
}

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

/// The storage service that `key` names, if there is one of this name.
pub(crate) fn check_storage<'s>(
    section: &Section<'_>,
    key: &str,
    id: &str,
    storage: &'s [Storage],
) -> Option<&'s Storage> {
    let found = storage.iter().find(|storage| storage.id == id);
    if found.is_none() {
        let ids: Vec<&str> = storage.iter().map(|storage| storage.id.as_str()).collect();
        let message = format!("`{key} = {}` names no `[[storage]]`", Text(Identifier).write(&id.to_owned()));
        section.wrong(key, message, format!("there is {}", enumerate(&ids, "and")));
    }
    found
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

/// One of `[[keys]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFile {
    /// What a sealed value names its key by.
    pub id: String,
    /// 32 bytes in base64.
    pub file: PathBuf,
    /// What it is used for.
    pub state: KeyState,
}

const KEY_STATE: Choice<KeyState> = Choice {
    words: &[
        ("announced", KeyState::Announced),
        ("active", KeyState::Active),
        ("retiring", KeyState::Retiring),
    ],
    later: &[],
};

impl KeyFile {
    /// Reads the section; the places are those of the id and of the state.
    pub(crate) fn read(section: &mut Section<'_>) -> (Self, Place, Place) {
        let id = section.required(
            "id",
            &Text(Identifier),
            "2026-11".to_owned(),
            "What a sealed value names its key by.",
        );
        let file = section.required(
            "file",
            &Text(FileName),
            PathBuf::from("keys/2026-11.key"),
            "32 bytes in base64; `cloakroom keys new` makes one. Relative to the folder of this file.",
        );
        let state = section.value(
            "state",
            &KEY_STATE,
            KeyState::Active,
            "`active`: seals and opens, and of several the first seals; `announced`: opens, and will be active soon; `retiring`: \
             opens what it once sealed.",
        );
        let file =
            section.existing("file", &file, &format!("`cloakroom keys new {}` makes one", file.display()));
        (Self { id, file, state }, section.place("id"), section.place("state"))
    }
}

//! `[[storage]]`: the storage services in which sessions are kept.

mod redis;
mod remote;
mod server;
mod sql;

use std::time::Duration;

pub use self::redis::Redis;
pub use self::remote::Remote;

use super::document::Place;
use super::form::{Choice, Form, Size, Switch, Text, enumerate};
use super::names::Identifier;
use super::section::Section;

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
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

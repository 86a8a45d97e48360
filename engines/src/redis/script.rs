//! The scripts: each is known to a server by its hash, and sent again to one that does not know it.

use std::sync::LazyLock;

use redis::{Cmd, Script as Source};

/// A script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    Write,
    Read,
    Reap,
}

/// All scripts.
pub(super) const ALL: [Script; 3] = [Script::Write, Script::Read, Script::Reap];

static WRITE: LazyLock<Source> = LazyLock::new(|| Source::new(Script::Write.source()));
static READ: LazyLock<Source> = LazyLock::new(|| Source::new(Script::Read.source()));
static REAP: LazyLock<Source> = LazyLock::new(|| Source::new(Script::Reap.source()));

impl Script {
    pub(super) const fn source(self) -> &'static str {
        match self {
            Self::Write => include_str!("scripts/write.lua"),
            Self::Read => include_str!("scripts/read.lua"),
            Self::Reap => include_str!("scripts/reap.lua"),
        }
    }

    fn hash(self) -> &'static str {
        match self {
            Self::Write => WRITE.get_hash(),
            Self::Read => READ.get_hash(),
            Self::Reap => REAP.get_hash(),
        }
    }
}

/// A script with what it is to work on. It has no `Debug`: there are values in it.
pub(super) struct Call {
    pub(super) script: Script,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) arguments: Vec<Vec<u8>>,
    /// Whether a repetition recognises what it already did, by its write id. A batch cannot: somebody else may have written
    /// over a part of it.
    pub(super) is_single: bool,
}

impl Call {
    /// For a server that knows the script.
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", self.script.hash())
    }

    /// For a server that does not, and does from then on.
    pub(super) fn by_source(&self) -> Cmd {
        self.command("EVAL", self.script.source())
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len());
        for part in self.keys.iter().chain(&self.arguments) {
            command.arg(part.as_slice());
        }
        command
    }
}

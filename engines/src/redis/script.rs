//! The scripts: each is known to a server by its hash, and sent again to one that does not know it.

use std::sync::LazyLock;

use redis::{Arg, Cmd, Pipeline, Script as Source, cmd};

/// About how many arguments an operation has, beside its keys.
const ARGUMENTS: usize = 16;

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
    script: Script,
    by_hash: Pipeline,
    /// Whether a repetition recognises what it already did, by its write id. A batch cannot: somebody else may have written
    /// over a part of it.
    pub(super) is_single: bool,
}

impl Call {
    /// A command that calls `script` and still needs its keys, as many as are said here, and then its arguments. It has room for
    /// about `bytes` of them.
    pub(super) fn begin(script: Script, keys: usize, bytes: usize) -> Cmd {
        let mut command = Cmd::with_capacity(ARGUMENTS + keys, bytes);
        command.arg("EVALSHA").arg(script.hash()).arg(keys);
        command
    }

    /// The call that was [begun](Self::begin).
    pub(super) fn new(script: Script, command: Cmd, is_single: bool) -> Self {
        let mut by_hash = Pipeline::with_capacity(1);
        by_hash.add_command(command);
        Self { script, by_hash, is_single }
    }

    /// For a server that knows the script.
    pub(super) const fn by_hash(&self) -> &Pipeline {
        &self.by_hash
    }

    /// For a server that does not, and does from then on.
    pub(super) fn by_source(&self) -> Cmd {
        let mut command = cmd("EVAL");
        command.arg(self.script.source());
        let after_hash = self.by_hash.cmd_iter().flat_map(|call| call.args_iter().skip(2));
        for argument in after_hash {
            if let Arg::Simple(argument) = argument {
                command.arg(argument);
            }
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_know_a_script_is_sent_it_with_the_same_words() {
        let mut command = Call::begin(Script::Read, 1, 8);
        command.arg("key").arg(7);
        let call = Call::new(Script::Read, command, true);
        let words = |command: &Cmd| -> Vec<Vec<u8>> {
            let bytes = |argument| if let Arg::Simple(bytes) = argument { bytes } else { &[][..] };
            command.args_iter().map(bytes).map(<[u8]>::to_vec).collect()
        };
        let by_hash = call.by_hash().cmd_iter().next().map(words).unwrap();
        let by_source = words(&call.by_source());
        assert_eq!(by_hash[0], b"EVALSHA");
        assert_eq!(by_source[..2], [b"EVAL".to_vec(), Script::Read.source().as_bytes().to_vec()]);
        assert_eq!(by_source[2..], by_hash[2..]);
        assert_eq!(by_hash[2..], [b"1".to_vec(), b"key".to_vec(), b"7".to_vec()]);
    }
}

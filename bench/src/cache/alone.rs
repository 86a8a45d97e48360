//! What is done in a process of its own: under valgrind, which counts in all of it, or because it is the memory of a whole
//! process that is measured.

use std::ffi::OsStr;
use std::process::Command;

use crate::error::{Error, Result};

/// What to do there, as it stands on the command line: `find,1000,5000` or `first-tier,100000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alone {
    pub(super) who: String,
    /// How many sessions there are.
    pub(super) sessions: u64,
    /// How often something is done, if that is asked.
    pub(super) times: Option<u32>,
}

impl Alone {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let wrong =
            || Error::Step { step: text.to_owned(), what: "expected WHO,SESSIONS[,TIMES]".to_owned() };
        let mut parts = text.split(',');
        let (who, sessions) = (parts.next().ok_or_else(wrong)?, parts.next().ok_or_else(wrong)?);
        let sessions = sessions.parse().map_err(|_| wrong())?;
        let times = parts.next().map(str::parse).transpose().map_err(|_| wrong())?;
        Ok(Self { who: who.to_owned(), sessions, times })
    }

    /// Does it under another program, or by itself, and gives what it printed.
    pub(super) fn run<S: AsRef<OsStr>>(&self, under: Option<(&OsStr, &[S])>) -> Result<String> {
        let own = std::env::current_exe().map_err(Error::file("the running program"))?;
        let mut command = match under {
            None => Command::new(own),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(own);
                command
            }
        };
        let output = command.args(["cache", "--alone", &self.shown()]).output();
        let output = output.map_err(Error::file("a process of its own"))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Error::Step { step: self.shown(), what: String::from_utf8_lossy(&output.stderr).into_owned() })
    }

    fn shown(&self) -> String {
        let Self { who, sessions, times } = self;
        let times = times.map(|times| format!(",{times}")).unwrap_or_default();
        format!("{who},{sessions}{times}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_done_is_read_as_it_is_written() {
        for text in ["find,1000,5000", "first-tier,100000"] {
            assert_eq!(Alone::parse(text).unwrap().shown(), text);
        }
        for text in ["", "find", "find,many", "find,1,often"] {
            assert!(Alone::parse(text).is_err(), "{text}");
        }
    }
}

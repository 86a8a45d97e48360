//! Why a server of the tests is not there.
//!
//! A program that is not installed and a program that does not work are different things: the first lets a
//! developer's run go on without it, the second is a failure everywhere. On the build server, which installs
//! everything first, both are failures; a check that silently did not run is worse than none.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server could not be started, asked or stopped.
///
/// Its `Debug` is the same text as its `Display`, because that is what a test shows when it unwraps one, and a
/// log in one line with escapes is no help to anybody.
#[derive(thiserror::Error)]
pub enum Error {
    /// The program is not on this machine.
    #[error("{program} is not installed (apt-get install {package})")]
    Missing {
        /// What was looked for in the search path.
        program: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// What `cargo xtask test` brings is not there.
    #[error("{program} is not installed (cargo xtask test brings it)")]
    NotBrought {
        /// What was looked for.
        program: &'static str,
    },
    /// Somebody else has the port that cannot be chosen.
    #[error("port {0} is taken")]
    Taken(u16),
    /// The program ended, or never answered.
    #[error("{program} did not start: {cause}\n--- its log ---\n{log}")]
    Start {
        /// What was started.
        program: String,
        /// What was seen from outside.
        cause: String,
        /// The end of what it printed.
        log: String,
    },
    /// The binary of this workspace could not be built or found.
    #[error("no cloakroom to test at {}: {cause}", path.display())]
    Binary {
        /// Where it should be.
        path: PathBuf,
        /// What cargo said, or what is wrong with the file.
        cause: String,
    },
    /// Something was not over in time.
    #[error("{what} took longer than {after:?}")]
    Slow {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// A peer sent something that is no HTTP.
    #[error("no HTTP: {what}: {:?}", String::from_utf8_lossy(bytes))]
    Nonsense {
        /// What is wrong with it.
        what: &'static str,
        /// What came.
        bytes: Vec<u8>,
    },
    /// The browser or its driver refused.
    #[error("the browser: {0}")]
    Browser(String),
    /// The operating system refused.
    #[error("{what}: {cause}")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        cause: io::Error,
    },
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Error {
    /// Wraps what the operating system said with what was tried.
    pub fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |cause| Self::System { what, cause }
    }
}

/// The server, or `None` when its program is not on this machine, or its port is taken, and that may be overlooked.
///
/// A test says `let Some(nginx) = available(Nginx::start(..)).unwrap() else { return };`. With `CI` set in the
/// environment both stay the errors that they are.
pub fn available<T>(started: Result<T>) -> Result<Option<T>> {
    overlook_missing(started, std::env::var_os("CI").is_none())
}

fn overlook_missing<T>(started: Result<T>, may_skip: bool) -> Result<Option<T>> {
    match started {
        Ok(server) => Ok(Some(server)),
        Err(missing @ (Error::Missing { .. } | Error::NotBrought { .. } | Error::Taken(_))) if may_skip => {
            eprintln!("skipped: {missing}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::find;

    #[test]
    fn a_missing_program_is_a_skip_here_and_a_failure_on_the_build_server() {
        let missing = || find("no-such-program", "no-such-package");
        assert!(overlook_missing(missing(), true).unwrap().is_none());
        assert_eq!(
            overlook_missing(missing(), false).unwrap_err().to_string(),
            "no-such-program is not installed (apt-get install no-such-package)"
        );
    }

    #[test]
    fn a_program_that_fails_is_never_skipped() {
        let failed: Result<()> = Err(Error::Browser("it fell over".to_owned()));
        assert!(overlook_missing(failed, true).is_err());
    }
}

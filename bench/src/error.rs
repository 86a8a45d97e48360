//! Why a measurement did not happen.
//!
//! Figures of a server that answered with errors, or that did something else than its row says, are worse than
//! none. So whatever looks wrong ends the run.

use std::io;
use std::path::{Path, PathBuf};

/// The result of everything that measures.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why a measurement did not happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A server could not be started or asked.
    #[error(transparent)]
    Server(#[from] interop::Error),
    /// An engine could not be opened.
    #[error(transparent)]
    Engine(#[from] engines::OpenError),
    /// The load did not run, or not every answer was a good one.
    #[error("the load: {0}")]
    Load(String),
    /// A server does not do what is to be measured.
    #[error("{row}: {what}")]
    Wrong {
        /// Which row.
        row: &'static str,
        /// What was expected and what came.
        what: String,
    },
    /// There is no such row.
    #[error("there is no row `{asked}`; there are: {known}")]
    NoSuchRow {
        /// What was asked for.
        asked: String,
        /// All that there are.
        known: String,
    },
    /// A step of a request could not be done or counted.
    #[error("{step}: {what}")]
    Step {
        /// Which one.
        step: String,
        /// What went wrong.
        what: String,
    },
    /// The user has ended the run.
    #[error("ended before all was measured")]
    Interrupted,
    /// A file could not be read or written.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system said, or what is wrong with the text.
        cause: io::Error,
    },
}

impl Error {
    /// Wraps what the operating system said with the file that it was about.
    pub(crate) fn file(path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |cause| Self::File { path, cause }
    }

    /// A file is not written as the kernel documents it.
    pub(crate) fn unreadable(path: impl AsRef<Path>) -> Self {
        Self::file(path)(io::Error::other("it is not written as expected"))
    }

    /// The program that is not on this machine, if that is all that is wrong.
    pub(crate) fn missing(&self) -> Option<String> {
        match self {
            Self::Server(missing @ interop::Error::Missing { .. }) => Some(missing.to_string()),
            _ => None,
        }
    }
}

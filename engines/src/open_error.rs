//! Why an engine could not be opened, in the words of whoever must repair it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use storage::BoxError;

/// An engine could not be opened. Nothing that it keeps was changed.
#[derive(Debug, thiserror::Error)]
#[error("storage {storage} cannot be opened: {problem}")]
pub struct OpenError {
    /// The `id` from the configuration.
    pub storage: Arc<str>,
    /// What stands in the way.
    pub problem: Problem,
}

/// What stands in the way of an engine, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The data folder is not there and cannot be made, or nothing can be written in it.
    #[error(
        "{} cannot be written: {cause}; make it a folder that the user of this process may write, or name another \
         one as `data_dir`", path.display()
    )]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Another process, or another storage service of this one, has the folder open.
    #[error(
        "{} is in use{}; stop that one, or give each a `data_dir` of its own", path.display(),
        by.map(|process| format!(" by process {process}")).unwrap_or_default()
    )]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who, if it left its number.
        by: Option<u32>,
    },
    /// The file is a database, but none of ours.
    #[error(
        "{} is a database of another program; move it away, or name another folder as `data_dir`", path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is no database, or one that is damaged.
    #[error(
        "{} is no database, or it is damaged ({cause}); put a backup in its place, or move it away to begin \
         without sessions", path.display()
    )]
    NoDatabase {
        /// The file.
        path: PathBuf,
        /// What the database library said.
        cause: BoxError,
    },
    /// A newer Cloakroom wrote the file.
    #[error(
        "{} has schema {found}, and this Cloakroom knows up to {known}: a newer one wrote it; use that one, or put \
         a backup from before the upgrade in its place", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The schema that it has.
        found: i64,
        /// The newest schema that this build knows.
        known: i64,
    },
    /// The file is of an older Cloakroom, which uses it right now.
    #[error(
        "{} has schema {found}, and this Cloakroom brings it to {known}, which the one that runs could not read; stop \
         that one, then start this one", path.display()
    )]
    Older {
        /// The file.
        path: PathBuf,
        /// The schema that it has.
        found: i64,
        /// The schema that this build needs.
        known: i64,
    },
    /// A database on a server cannot be used.
    #[error("{place}: {problem}; {cure}")]
    Database {
        /// Which database, without a password.
        place: String,
        /// What stands in the way.
        problem: String,
        /// What to do.
        cure: String,
    },
    /// Anything else.
    #[error("{}: {cause}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the database library said.
        cause: BoxError,
    },
    /// Whoever answers does not offer the service to us, or nobody answers.
    #[cfg(feature = "remote")]
    #[error(transparent)]
    NotOffered(client::NotOffered),
    /// A service cannot have that name.
    #[cfg(feature = "remote")]
    #[error("`service` cannot be the name of a storage: {0}")]
    Service(BoxError),
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
impl Problem {
    /// A database on a server cannot be used.
    pub(crate) fn database(
        place: impl Into<String>,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self::Database { place: place.into(), problem: problem.into(), cure: cure.into() }
    }
}

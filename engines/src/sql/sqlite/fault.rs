//! What SQLite says when it fails, in the words of whoever must do something about it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use storage::{Applied, Blame, Unavailable};

use crate::Problem;

// The primary result codes: https://www.sqlite.org/rescode.html
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
const NOTADB: i32 = 26;

/// A failure of the database. It is shared by all whose operations were in the same transaction.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}: {} ({cause})", file.display(), cure(cause))]
pub(super) struct Fault {
    file: Arc<Path>,
    cause: Arc<rusqlite::Error>,
}

impl Fault {
    pub(super) fn new(file: &Arc<Path>, cause: rusqlite::Error) -> Self {
        Self { file: Arc::clone(file), cause: Arc::new(cause) }
    }

    /// A failed commit is certain not to be there only if its last page did not fit: after any other failure, a
    /// synchronisation that the disk refused above all, a crash may still bring it to light.
    pub(super) fn of_commit(&self) -> Applied {
        if code(&self.cause) == FULL { Applied::No } else { Applied::Unknown }
    }

    /// As the answer to an operation.
    pub(super) fn unavailable(&self, storage: &Arc<str>, applied: Applied) -> Unavailable {
        let is_lasting = matches!(code(&self.cause), CORRUPT | NOTADB | READONLY);
        Unavailable {
            storage: Arc::clone(storage),
            applied,
            blame: Blame::Storage,
            retry_after: (!is_lasting).then_some(Duration::from_secs(1)),
            cause: Box::new(self.clone()),
        }
    }
}

/// A failure while opening `file`.
pub(super) fn problem(file: &Path, cause: rusqlite::Error) -> Problem {
    match code(&cause) {
        CORRUPT | NOTADB => Problem::NoDatabase { path: file.into(), cause: cause.into() },
        _ => Problem::Failed { path: file.into(), cause: Box::new(Fault::new(&file.into(), cause)) },
    }
}

fn cure(cause: &rusqlite::Error) -> &'static str {
    match code(cause) {
        BUSY | LOCKED => "another program holds a lock on the database; end it",
        READONLY => {
            "it cannot be written; give the user of this process the right to write it and its folder"
        }
        IOERR => "the disk fails; see the log of the system",
        CORRUPT | NOTADB => "the database is damaged; stop, and put a backup in its place",
        FULL => "the disk is full; make room on it",
        CANTOPEN => {
            "it cannot be opened; see that its folder is there and that files may be opened (`ulimit -n`)"
        }
        _ => "the database failed",
    }
}

/// The primary result code; 0 for what SQLite did not say itself.
fn code(error: &rusqlite::Error) -> i32 {
    // The low byte is the kind, the rest the detail.
    error.sqlite_error().map_or(0, |error| error.extended_code & 0xff)
}

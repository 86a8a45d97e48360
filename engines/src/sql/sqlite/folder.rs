//! The folder that holds the database, for one process at a time.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Problem;

const DATABASE: &str = "cloakroom.sqlite";
const LOCK: &str = "cloakroom.lock";

/// A data folder that is ours as long as this lives, and goes free when the process ends, however it does.
#[derive(Debug)]
pub(super) struct Folder {
    /// The database in it.
    pub(super) database: Arc<Path>,
    /// What makes it ours.
    pub(super) lock: Arc<File>,
}

impl Folder {
    /// Makes the folder if it is not there, and claims it.
    pub(super) fn claim(path: &Path) -> Result<Self, Problem> {
        Self::claim_file(path, DATABASE.as_ref(), LOCK.as_ref())
    }

    /// The same for files of these names in it.
    pub(super) fn claim_file(path: &Path, database: &OsStr, lock: &OsStr) -> Result<Self, Problem> {
        let refused = |path: PathBuf| move |cause| Problem::Folder { path, cause };
        make(path).map_err(refused(path.into()))?;
        let lock_path = path.join(lock);
        let mut lock = private().open(&lock_path).map_err(refused(lock_path.clone()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Problem::InUse { path: path.into(), by: holder(&mut lock) });
            }
            Err(TryLockError::Error(cause)) => return Err(Problem::Folder { path: lock_path, cause }),
        }
        let database = path.join(database);
        // SQLite takes an empty file for an empty database, and gives its other files the rights of this one.
        private().open(&database).map_err(refused(database.clone()))?;
        sign(&mut lock).map_err(refused(lock_path))?;
        Ok(Self { database: database.into(), lock: Arc::new(lock) })
    }

    /// A folder that another process has claimed and gives to this one: `lock` is its very claim, so that there is no
    /// moment in which the folder is free.
    pub(super) fn inherit(path: &Path, mut lock: File) -> Result<Self, Problem> {
        let lock_path = path.join(LOCK);
        let refused = |cause| Problem::Folder { path: lock_path.clone(), cause };
        let (claimed, there) =
            (lock.metadata().map_err(refused)?, fs::metadata(&lock_path).map_err(refused)?);
        if (claimed.dev(), claimed.ino()) != (there.dev(), there.ino()) {
            return Err(Problem::InUse { path: path.into(), by: None });
        }
        lock.rewind().and_then(|()| sign(&mut lock)).map_err(refused)?;
        Ok(Self { database: path.join(DATABASE).into(), lock: Arc::new(lock) })
    }
}

/// Who comes too late is told our number.
fn sign(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    writeln!(lock, "{}", std::process::id())
}

fn holder(lock: &mut File) -> Option<u32> {
    let mut number = String::new();
    lock.rewind().ok()?;
    lock.take(16).read_to_string(&mut number).ok()?;
    number.trim().parse().ok()
}

/// What sessions hold concerns nobody but the user of this process.
#[cfg(unix)]
fn make(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn make(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// How a file is opened that only the user of this process may read, and is made if it is not there.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

//! Who may log in: an htpasswd file, kept in memory and followed when it changes.
//!
//! Verifying a password is slow by intention. It runs on threads that may block, a few at a time; who finds
//! all of them taken for some seconds is told so, rather than that everybody waits behind a flood of attempts.

mod apr1;
#[cfg(feature = "fuzzing")]
pub(super) mod fuzzing;
mod hash;
mod users;

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

pub use hash::HashError;
pub(super) use users::MAX_USER;
pub use users::{Fault, LineError};

use users::Users;

/// The longest password that is tried, in bytes. Some schemes take longer for longer ones.
const MAX_PASSWORD: usize = 256;

/// The largest file, in bytes: more than a hundred thousand users.
const MAX_FILE: u64 = 16 << 20;

/// How often the file is looked at, at most.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How long one waits for a thread before being told that there is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// The users of a file.
#[derive(Debug)]
pub(super) struct Passwords {
    file: Arc<Watched>,
    verifiers: Verifiers,
    patience: Duration,
}

/// The threads that verify passwords. Share one among all logins of a process: each verification may take a core for up
/// to a second and 256 MiB, and all of them together must leave some for everything else.
#[derive(Debug, Clone)]
pub struct Verifiers(Arc<Semaphore>);

impl Verifiers {
    /// That many verifications at a time.
    #[must_use]
    pub fn new(at_a_time: NonZeroUsize) -> Self {
        Self(Arc::new(Semaphore::new(at_a_time.get().min(Semaphore::MAX_PERMITS))))
    }

    /// As many as half of this machine's cores, and one at least.
    #[must_use]
    pub fn for_half_of_the_cores() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self::new(NonZeroUsize::new(cores / 2).unwrap_or(NonZeroUsize::MIN))
    }

    async fn acquire(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        Arc::clone(&self.0).acquire_owned().await
    }
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Right,
    /// Unknown user or wrong password. Nobody is told which.
    Wrong,
    /// All threads were taken: nothing was tried.
    Busy,
}

impl Passwords {
    /// Reads the file.
    pub(super) fn open(file: &Path, verifiers: Verifiers) -> Result<Self, FileError> {
        Ok(Self { file: Arc::new(Watched::open(file, LOOK_AGAIN)?), verifiers, patience: PATIENCE })
    }

    /// Whether this is the user's password. What no provider could know is not asked for: NUL would end the text for some
    /// of them.
    pub(super) async fn verify(&self, user: &str, password: &str) -> Verdict {
        if user.len() > MAX_USER || password.len() > MAX_PASSWORD || password.contains('\0') {
            return Verdict::Wrong;
        }
        let permit = tokio::time::timeout(self.patience, self.verifiers.acquire()).await;
        let Ok(Ok(permit)) = permit else {
            return Verdict::Busy;
        };
        let (file, user) = (Arc::clone(&self.file), user.to_owned());
        let password = Zeroizing::new(password.to_owned());
        // The permit goes along: a visitor who does not wait for the answer does not free the thread by that.
        let verified = spawn_blocking(move || {
            let right = file.users().verify(&user, &password);
            drop(permit);
            right
        });
        match verified.await {
            Ok(true) => Verdict::Right,
            Ok(false) => Verdict::Wrong,
            // The runtime is shutting down, or the library panicked: nothing was found out.
            Err(_) => Verdict::Busy,
        }
    }
}

/// A file that is read again when it has changed. A broken one is told in the log, and the last good one stays.
struct Watched {
    path: PathBuf,
    look_again: Duration,
    latest: Mutex<Latest>,
}

struct Latest {
    users: Arc<Users>,
    /// The file that was read last, good or broken; none when it must be read again in any case.
    stamp: Option<Stamp>,
    looked: Instant,
    /// The last trouble that the log was told of.
    trouble: Option<String>,
}

impl Watched {
    fn open(path: &Path, look_again: Duration) -> Result<Self, FileError> {
        let (users, stamp) = read(path);
        let users = users?;
        told(path, &users);
        let latest = Latest { users: Arc::new(users), stamp, looked: Instant::now(), trouble: None };
        Ok(Self { path: path.to_owned(), look_again, latest: Mutex::new(latest) })
    }

    /// The users of the file as it is, or was at most a second ago. Reads files.
    fn users(&self) -> Arc<Users> {
        let mut latest = self.latest.lock();
        if latest.looked.elapsed() >= self.look_again {
            self.look(&mut latest);
            latest.looked = Instant::now();
        }
        Arc::clone(&latest.users)
    }

    fn look(&self, latest: &mut Latest) {
        if latest.stamp.is_some() && fs::metadata(&self.path).is_ok_and(|now| latest.stamp == Stamp::of(&now))
        {
            return;
        }
        let (users, stamp) = read(&self.path);
        let was_settled = latest.stamp.is_some();
        latest.stamp = stamp;
        match users {
            Ok(users) => {
                if latest.trouble.take().is_some() || was_settled {
                    told(&self.path, &users);
                }
                latest.users = Arc::new(users);
            }
            Err(error) => {
                let trouble = error.to_string();
                if latest.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!("{trouble}; the users that were read before stay in force");
                    latest.trouble = Some(trouble);
                }
            }
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a file of users cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system does not let us read it.
    #[error("the users' file {} cannot be read: {cause}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: io::Error,
    },
    /// It is larger than any that we hold in memory.
    #[error("the users' file {} has {length} bytes: at most {MAX_FILE} are allowed", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// Lines of it are wrong. Up to twenty are told.
    #[error("the users' file {} is wrong: {}", file.display(), joined(faults))]
    Lines {
        /// Which file.
        file: PathBuf,
        /// The wrong lines, in their order.
        faults: Vec<Fault>,
    },
}

/// By what a changed file is told from the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    /// A file that was put in the place of another has another one.
    inode: u64,
}

impl Stamp {
    /// None for a file that was just written: it may be written once more within one tick of its clock.
    fn of(file: &Metadata) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let modified = file.modified().ok()?;
        let settled = modified.elapsed().map_or(true, |age| age > Duration::from_secs(2));
        settled.then(|| Self { modified, length: file.len(), inode: file.ino() })
    }
}

/// The file, and by what it is recognised when it is met again, good or broken.
fn read(path: &Path) -> (Result<Users, FileError>, Option<Stamp>) {
    let failed = |cause| FileError::Read { file: path.to_owned(), cause };
    // The stamp is of before: whatever is written while we read makes another.
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(cause) => return (Err(failed(cause)), None),
    };
    let length = metadata.len();
    let users = if length > MAX_FILE {
        Err(FileError::TooLarge { file: path.to_owned(), length })
    } else {
        fs::read_to_string(path).map(Zeroizing::new).map_err(failed).and_then(|text| {
            Users::parse(&text).map_err(|faults| FileError::Lines { file: path.to_owned(), faults })
        })
    };
    (users, Stamp::of(&metadata))
}

fn told(path: &Path, users: &Users) {
    tracing::info!(file = %path.display(), users = users.len(), "the users' file was read");
    if let Some(weak) = users.weak() {
        tracing::warn!(
            file = %path.display(),
            users = weak,
            "users have apr1 or SHA-1 hashes, which a thief of the file breaks quickly: set them anew with `htpasswd -B`"
        );
    }
}

fn joined(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
pub(super) use hash::tests as tests_support;

#[cfg(test)]
mod tests {
    use super::hash::tests::{BCRYPT, PASSWORD, SHA1};
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.htpasswd");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn open(path: &Path) -> Passwords {
        Passwords::open(path, Verifiers::new(NonZeroUsize::MIN)).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_all_else_is_wrong() {
        let (_folder, path) = file(&format!("ada:{BCRYPT}\n"));
        let passwords = open(&path);
        assert_eq!(passwords.verify("ada", PASSWORD).await, Verdict::Right);
        let long = "x".repeat(MAX_PASSWORD + 1);
        for (user, password) in [
            ("ada", "wrong"),
            ("bob", PASSWORD),
            ("", PASSWORD),
            ("ada", ""),
            ("ada", &long),
            (&long, "x"),
            ("ada", "\0"),
        ] {
            assert_eq!(passwords.verify(user, password).await, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn who_finds_all_threads_taken_is_told_so_by_whichever_login() {
        let (_folder, path) = file(&format!("ada:{BCRYPT}\n"));
        let verifiers = Verifiers::new(NonZeroUsize::MIN);
        let login = || Passwords {
            patience: Duration::from_millis(20),
            ..Passwords::open(&path, verifiers.clone()).unwrap()
        };
        let (passwords, another) = (login(), login());
        let taken = verifiers.acquire().await.unwrap();
        assert_eq!(passwords.verify("ada", PASSWORD).await, Verdict::Busy);
        assert_eq!(another.verify("ada", PASSWORD).await, Verdict::Busy);
        drop(taken);
        assert_eq!(passwords.verify("ada", PASSWORD).await, Verdict::Right);
    }

    #[test]
    fn a_changed_file_is_followed_and_a_broken_one_is_not() {
        let (folder, path) = file(&format!("ada:{SHA1}\n"));
        let watched = Watched::open(&path, Duration::ZERO).unwrap();
        let known = |user| watched.users().verify(user, PASSWORD);
        assert!(known("ada") && !known("bob"));

        fs::write(&path, format!("bob:{SHA1}\n")).unwrap();
        assert!(!known("ada") && known("bob"), "same length, same moment, other content");

        fs::write(&path, "bob:plain text\n").unwrap();
        assert!(known("bob"), "a broken file leaves the last good one in force");
        fs::remove_file(&path).unwrap();
        assert!(known("bob"), "so does a missing one");

        let next = folder.path().join("next");
        fs::write(&next, format!("eve:{SHA1}\n")).unwrap();
        fs::rename(&next, &path).unwrap();
        assert!(known("eve") && !known("bob"), "and the next good one is taken");
    }

    #[test]
    fn a_settled_file_is_read_once() {
        let (_folder, path) = file(&format!("ada:{SHA1}\n"));
        let long_ago = SystemTime::now() - Duration::from_secs(60);
        fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
        let watched = Watched::open(&path, Duration::ZERO).unwrap();
        assert!(Arc::ptr_eq(&watched.users(), &watched.users()));
        let seldom = Watched::open(&path, Duration::from_secs(3600)).unwrap();
        fs::write(&path, "").unwrap();
        assert!(seldom.users().verify("ada", PASSWORD), "not looked at more often than said");
        assert!(!watched.users().verify("ada", PASSWORD));
    }

    #[test]
    fn a_file_that_cannot_be_used_says_why() {
        let (folder, path) = file("ada:secret\nbob\n");
        let say =
            |path: &Path| Passwords::open(path, Verifiers::new(NonZeroUsize::MIN)).unwrap_err().to_string();
        let said = say(&path);
        for part in ["users.htpasswd", "line 1: ", "plain text", "line 2: ", "no colon"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("secret"));
        assert!(say(&folder.path().join("none")).contains("cannot be read"));
        fs::write(&path, b"\xff\xfe").unwrap();
        assert!(say(&path).contains("cannot be read"));
    }
}

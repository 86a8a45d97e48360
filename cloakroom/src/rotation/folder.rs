//! The folder of the keys, which all nodes share.
//!
//! A key is a file `ring-000001.key` that never changes: when it was made, from when on it seals, and its 32 bytes.
//! The number is the slot: the file appears under its name with all its content or not at all, and never in place of
//! another one, so that of nodes which make the next key at once one does, and the others find it. A crash leaves at
//! most a file with another name, which nobody reads and which is removed later.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use seal::{Key, KeyState};
use session::Millis;
use zeroize::Zeroizing;

use super::schedule::Dates;
use crate::key_files::{KeyFileError, private_folder};

const FORMAT: &str = "cloakroom key 1";
const PREFIX: &str = "ring-";
const SUFFIX: &str = ".key";
/// What a file is called before it is whole.
const UNFINISHED: &str = ".unfinished-";
/// What nobody has finished by then is nobody's any more.
const ABANDONED: Duration = Duration::from_hours(1);
/// No key file is longer, in bytes.
const MAX_FILE: u64 = 1024;
/// More keys than this are not read: no schedule makes so many.
const MAX_KEYS: usize = 1000;

/// A folder of keys.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
}

/// A key of the folder.
#[derive(Debug)]
pub struct Dated {
    /// What it says about itself.
    pub dates: Dates,
    /// The key, in no particular state.
    pub key: Key,
}

/// What a look into the folder found.
#[derive(Debug, Default)]
pub struct Found {
    /// The keys, in their order.
    pub keys: Vec<Dated>,
    /// Files that have the name of a key and could not be read as one.
    pub unreadable: Vec<(u32, KeyFileError)>,
}

impl Folder {
    /// The folder at this path. Nothing is looked at yet.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder if it is not there, for its owner alone.
    pub fn prepare(&self) -> Result<(), KeyFileError> {
        private_folder().create(&self.path).map_err(|cause| unwritable(&self.path, cause))
    }

    /// Where the key of this number lies.
    #[must_use]
    pub fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{}{SUFFIX}", id(number)))
    }

    /// Reads all keys. A file that went meanwhile is not missed.
    pub fn read(&self) -> Result<Found, KeyFileError> {
        let mut found = Found::default();
        for number in self.numbers()?.into_iter().take(MAX_KEYS) {
            match self.read_one(number) {
                Ok(Some(key)) => found.keys.push(key),
                Ok(None) => {}
                Err(error) => found.unreadable.push((number, error)),
            }
        }
        found.keys.sort_by_key(|key| key.dates);
        Ok(found)
    }

    /// Makes the key of `dates`, unless there is one of that number: then nothing is changed, and the answer is `false`.
    pub fn make(&self, dates: Dates) -> Result<bool, KeyFileError> {
        let target = self.file(dates.number);
        let text = Key::generate_text()?;
        let made = (|| {
            let mut file = self.unfinished()?;
            let (made, active) = (shown(dates.made)?, shown(dates.active)?);
            writeln!(file, "{FORMAT}\nmade {made}\nactive {active}")?;
            file.write_all(text.expose().as_bytes())?;
            file.as_file().sync_all()?;
            match file.persist_noclobber(&target) {
                Ok(_) => File::open(&self.path)?.sync_all().map(|()| true),
                Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
                Err(error) => Err(error.error),
            }
        })();
        made.map_err(|cause| unwritable(&target, cause))
    }

    /// Removes a key. One that is gone is no mistake: another node was faster.
    pub fn remove(&self, number: u32) -> Result<(), KeyFileError> {
        let file = self.file(number);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unwritable(&file, error)),
            _ => Ok(()),
        }
    }

    /// How far `now` is from the time of whoever keeps the files: of a shared folder, that is another machine.
    pub fn skew(&self, now: Millis) -> Result<Duration, KeyFileError> {
        let measured = (|| {
            let mut probe = self.unfinished()?;
            probe.write_all(b"what time is it")?;
            probe.as_file().metadata()?.modified()
        })();
        let there = millis(measured.map_err(|cause| unwritable(&self.path, cause))?);
        Ok(now.since(there).max(there.since(now)))
    }

    /// Removes what a crash left unfinished.
    pub fn tidy(&self, now: SystemTime) -> Result<(), KeyFileError> {
        for entry in self.entries()? {
            let Ok(entry) = entry else { continue };
            let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED));
            let age = || now.duration_since(entry.metadata().ok()?.modified().ok()?).ok();
            if is_ours && age().is_some_and(|age| age > ABANDONED) {
                // It is in nobody's way; whoever may will do it.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    fn numbers(&self) -> Result<Vec<u32>, KeyFileError> {
        let mut numbers = Vec::new();
        for entry in self.entries()? {
            let name = entry.map_err(|cause| self.unreadable(cause))?.file_name();
            numbers.extend(name.to_str().and_then(number));
        }
        // The latest are those that count.
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        Ok(numbers)
    }

    fn entries(&self) -> Result<fs::ReadDir, KeyFileError> {
        fs::read_dir(&self.path).map_err(|cause| self.unreadable(cause))
    }

    fn read_one(&self, number: u32) -> Result<Option<Dated>, KeyFileError> {
        let file = self.file(number);
        let unreadable = |cause| KeyFileError::Folder { path: file.clone(), cause };
        let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
        match File::open(&file) {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => {
                opened.map_err(unreadable)?.take(MAX_FILE).read_to_string(&mut text).map_err(unreadable)?
            }
        };
        let mut lines = text.lines();
        let mut line = |name: &str| lines.next().and_then(|line| line.strip_prefix(name));
        let dated = || Some((line(FORMAT)?, moment(line("made ")?)?, moment(line("active ")?)?, line("")?));
        let Some(("", made, active, secret)) = { dated }() else {
            return Err(KeyFileError::NoDates { file });
        };
        let no_key = |cause| KeyFileError::NoKey { file: file.clone(), cause };
        let key = Key::from_text(id(number).parse()?, KeyState::Retiring, secret).map_err(no_key)?;
        let key = key.made_at(UNIX_EPOCH + Duration::from_millis(made.0));
        Ok(Some(Dated { dates: Dates { active, number, made }, key }))
    }

    /// A file for its owner alone that is gone when it is dropped, if it was not given its name.
    fn unfinished(&self) -> io::Result<tempfile::NamedTempFile> {
        // Its mode is 0600: the library sees to that.
        tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.path)
    }

    fn unreadable(&self, cause: io::Error) -> KeyFileError {
        KeyFileError::Folder { path: self.path.clone(), cause }
    }
}

fn unwritable(file: &Path, cause: io::Error) -> KeyFileError {
    KeyFileError::Unwritable { file: file.to_owned(), cause }
}

/// The name of a key.
fn id(number: u32) -> String {
    format!("{PREFIX}{number:06}")
}

/// The number of a file, if it has the name of a key. Each number has one spelling.
pub fn number(name: &str) -> Option<u32> {
    let number = name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok()?;
    (format!("{}{SUFFIX}", id(number)) == name).then_some(number)
}

/// RFC 3339 in UTC, to the millisecond.
pub fn shown(moment: Millis) -> io::Result<String> {
    let millis = i64::try_from(moment.0).map_err(io::Error::other)?;
    Ok(format!("{:.3}", Timestamp::from_millisecond(millis).map_err(io::Error::other)?))
}

fn moment(text: &str) -> Option<Millis> {
    let moment: Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Millis)
}

fn millis(time: SystemTime) -> Millis {
    Millis(0).plus(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

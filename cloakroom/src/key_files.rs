//! Files that hold a key: making them, and reading them into a key ring.
//!
//! A key file is one line of base64, readable for its owner only. It is never overwritten: a key that is lost takes
//! with it all that it sealed.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use seal::{IdError, Key, KeyId, KeyRing, KeyState, RingError, SealError, TextError};
use zeroize::Zeroizing;

use crate::configuration::KeyFile;

/// No key file is longer, in bytes.
const MAX_FILE: u64 = 4096;

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum KeyFileError {
    /// It is not there, or not for us.
    #[error("cannot read the key {}", file.display())]
    #[diagnostic(help("`cloakroom keys new {}` makes one", file.display()))]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It is there, and may be in use.
    #[error("{} exists, and a key is never overwritten", file.display())]
    #[diagnostic(help(
        "take another name, such as that of this month; retire the old key with `state = \"retiring\"`"
    ))]
    Exists {
        /// The file.
        file: PathBuf,
    },
    /// It could not be made.
    #[error("cannot write the key {}", file.display())]
    Unwritable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It holds something else.
    #[error("{} holds no key", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
        /// Why it is no key, without repeating any of it.
        #[source]
        cause: TextError,
    },
    /// The folder of keys that follow one another, or a key in it, is not there or not for us.
    #[error("cannot read {}", path.display())]
    #[diagnostic(help(
        "whoever runs Cloakroom must be able to read and write the `folder` of `[key_rotation]`"
    ))]
    Folder {
        /// The folder or the file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: io::Error,
    },
    /// It has the name of a key that follows others, but was not made as one.
    #[error("{} does not say from when on it seals", file.display())]
    #[diagnostic(help("only Cloakroom makes such files; give another one another name"))]
    NoDates {
        /// The file.
        file: PathBuf,
    },
    /// The name of the key cannot be one.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The keys do not go together.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The system has no randomness, or its cryptography refuses to work.
    #[error(transparent)]
    Refused(#[from] SealError),
}

/// Makes a new key from the system's random generator, in a file that only its owner can read. Folders that are missing
/// are made for the owner alone.
pub fn create(file: &Path) -> Result<(), KeyFileError> {
    let unwritable = |cause| KeyFileError::Unwritable { file: file.to_owned(), cause };
    let text = Key::generate_text()?;
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        private_folder().create(folder).map_err(unwritable)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    for_owner_only(&mut options);
    let mut target = match options.open(file) {
        Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
            return Err(KeyFileError::Exists { file: file.to_owned() });
        }
        opened => opened.map_err(unwritable)?,
    };
    let written = target.write_all(text.expose().as_bytes()).and_then(|()| target.sync_all());
    written.map_err(|cause| {
        // Half a key is in nobody's way when it is gone, and nobody has used it yet.
        let _ = fs::remove_file(file);
        unwritable(cause)
    })
}

/// Reads one key.
pub fn load(key: &KeyFile) -> Result<Key, KeyFileError> {
    let unreadable = |cause| KeyFileError::Unreadable { file: key.file.clone(), cause };
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE as usize));
    let file = File::open(&key.file).map_err(unreadable)?;
    file.take(MAX_FILE).read_to_string(&mut text).map_err(unreadable)?;
    let id: KeyId = key.id.parse()?;
    let loaded = Key::from_text(id, key.state, &text)
        .map_err(|cause| KeyFileError::NoKey { file: key.file.clone(), cause })?;
    // The file does not say when it was made; when it was written is the next best, if the system says that.
    Ok(match fs::metadata(&key.file).and_then(|about| about.modified()) {
        Ok(written) => loaded.made_at(written),
        Err(_) => loaded,
    })
}

/// The key that is made where the configuration names none.
pub fn default_key(data_dir: &Path) -> KeyFile {
    KeyFile {
        id: "default".to_owned(),
        file: data_dir.join("keys").join("default.key"),
        state: KeyState::Active,
    }
}

/// Reads all keys of a configuration. There must be one that is active.
pub fn ring(keys: &[KeyFile]) -> Result<KeyRing, KeyFileError> {
    let keys: Result<Vec<Key>, KeyFileError> = keys.iter().map(load).collect();
    Ok(KeyRing::new(keys?)?)
}

#[cfg(unix)]
fn for_owner_only(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.mode(0o600);
}

#[cfg(not(unix))]
fn for_owner_only(_: &mut OpenOptions) {}

pub(crate) fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
}

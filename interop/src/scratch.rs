//! Temporary directories and the configuration files in them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// A new directory, removed when dropped. Workers that run as somebody else may use it too: Apache's cannot be
/// told to stay root.
pub(crate) fn directory() -> Result<TempDir> {
    let directory = tempfile::Builder::new()
        .prefix("cloakroom-")
        .tempdir()
        .map_err(Error::system("creating a temporary directory"))?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777))
        .map_err(Error::system("opening a temporary directory to all"))?;
    Ok(directory)
}

/// Writes a file and gives its path.
pub(crate) fn write(directory: &Path, name: &str, text: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, text).map_err(Error::system(format!("writing {}", path.display())))?;
    Ok(path)
}

/// Puts in what a configuration leaves open.
pub(crate) fn fill(text: &str, address: SocketAddr, directory: &Path) -> String {
    text.replace("{address}", &address.to_string())
        .replace("{port}", &address.port().to_string())
        .replace("{directory}", &directory.display().to_string())
}

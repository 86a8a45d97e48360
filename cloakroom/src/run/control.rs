//! Listening for those who want to speak to this process.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use miette::miette;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::hand_over::HandingOver;
use super::reload::Reloading;
use crate::control::{Answer, MAX_LINE, Request, socket};

/// How long somebody may take to say what they want.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long accepting pauses when it fails.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket of this process, which goes with it.
#[derive(Debug)]
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
    /// By which it is known whether the socket there is still this one.
    inode: u64,
}

impl Control {
    /// Listens in `data_dir`, in the place of a process that is gone.
    pub(super) fn listen(data_dir: &Path) -> miette::Result<Self> {
        let path = socket(data_dir);
        if std::os::unix::net::UnixStream::connect(&path).is_ok() {
            return Err(miette!(
                help = "stop that one, or give each a `data_dir` of its own",
                "another Cloakroom runs with the data folder {}",
                data_dir.display(),
            ));
        }
        Self::in_the_place_of_another(data_dir)
    }

    /// Listens in `data_dir`, in the place of the process that has handed over to this one.
    pub(super) fn in_the_place_of_another(data_dir: &Path) -> miette::Result<Self> {
        let path = socket(data_dir);
        Self::bind(&path).map_err(|error| {
            miette!(
                help = "`data_dir` must be writable for the user of this process, and its path shorter than 90 bytes",
                "cannot listen on {}: {error}",
                path.display(),
            )
        })
    }

    /// Nobody else may speak on it, not for a moment either: so it gets its name only when it has its rights.
    fn bind(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let unfinished = path.with_extension(std::process::id().to_string());
        // Of a process that had the same number.
        let _ = fs::remove_file(&unfinished);
        let listener = UnixListener::bind(&unfinished)?;
        fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
        let inode = fs::metadata(&unfinished)?.ino();
        fs::rename(&unfinished, path)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    /// Answers whoever asks, until it is dropped.
    pub(super) async fn serve(&self, reloading: Arc<Reloading>, handing_over: Arc<HandingOver>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let (reloading, handing_over) = (Arc::clone(&reloading), Arc::clone(&handing_over));
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, &reloading, handing_over).await {
                            tracing::debug!(%error, "somebody did not say what they want, or did not wait for the answer");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "nobody can speak to this process for a moment");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if fs::metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn converse(
    mut stream: UnixStream,
    reloading: &Arc<Reloading>,
    handing_over: Arc<HandingOver>,
) -> io::Result<()> {
    let mut line = String::new();
    let (reading, mut writing) = stream.split();
    timeout(PATIENCE, BufReader::new(reading.take(MAX_LINE)).read_line(&mut line)).await??;
    let answer = match serde_json::from_str(&line) {
        Ok(Request::TakeOver) => {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            handing_over.hand_over(stream).await;
            return Ok(());
        }
        Ok(Request::Reload { configuration }) => reload(reloading, &configuration).await,
        Err(error) => Answer::Refused { text: format!("this Cloakroom does not understand that: {error}") },
    };
    let mut answer = serde_json::to_vec(&answer)?;
    answer.push(b'\n');
    timeout(PATIENCE, writing.write_all(&answer)).await?
}

async fn reload(reloading: &Arc<Reloading>, asked: &Path) -> Answer {
    if let Err(text) = reloading.is_by(asked) {
        return Answer::Refused { text };
    }
    match Arc::clone(reloading).reload().await {
        Ok(text) => Answer::Done { text },
        Err(text) => Answer::Refused { text },
    }
}

//! Handing over to another process, while visitors are there: a new build takes the place of the old one.
//!
//! ```text
//! the next one                            this one
//! take over  ---------------------------> its copies are not believed any more; last uses are written
//!            <--------------------------- its listening sockets, and the claim on the data folder
//! reads storage, makes itself ready
//! ready      ---------------------------> accepts no more
//!            <--------------------------- yours
//! accepts                                 requests under way end; then it ends, and the connection with it
//! its copies are believed from now on
//! ```
//!
//! The sockets are the same in both, so whoever connects meanwhile waits in a queue that nobody closes. Until the next one
//! is ready nothing has changed but that each request asks storage, and if it goes wrong this one goes on alone. While both
//! live neither believes a copy of its own, so a logout in one holds at once in the other (law 1); and neither calls
//! anybody idle by what it alone knows.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, IntoRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cache::Cache;
use engines::embedded::HandOver;
use miette::miette;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::passing::{receive, send};
use super::sockets::{Listening, Sockets};
use super::stop::Stop;
use crate::control::{Answer, Request, socket};

/// How long writing the last uses may hold up the next process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// How long each may be silent to the other. A start reads files, and storage may take its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the claim on the data folder is called among what is passed.
const CLAIM: &str = "claim";

/// What both say to each other once one has asked to take over.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
enum Line {
    /// These files come with the line, in this order.
    Handed { files: Vec<String> },
    /// The next one could accept now.
    Ready,
    /// It may.
    Yours,
}

/// What this process has to hand over.
#[derive(Debug)]
pub(super) struct HandingOver {
    pub(super) cache: Arc<Cache>,
    /// None where storage needs no claim.
    pub(super) engine: Option<HandOver>,
    pub(super) listening: Mutex<Listening>,
    /// Told when the next process has taken over.
    pub(super) stops: [Stop; 2],
    pub(super) is_handing_over: AtomicBool,
}

impl HandingOver {
    /// Hands over to whoever asked on `stream`. What goes wrong is in the log, and then this process goes on.
    pub(super) async fn hand_over(self: Arc<Self>, stream: UnixStream) {
        if self.is_handing_over.swap(true, Ordering::SeqCst) {
            refuse(&stream, "another process takes over already");
            return;
        }
        if !self.cache.are_ends_kept() {
            refuse(
                &stream,
                "sessions were ended, storage has not confirmed it yet, and they could not be written down; try again when it \
                 has",
            );
        } else {
            match self.share(stream).await {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "the next process did not take over; this one goes on"),
            }
        }
        self.is_handing_over.store(false, Ordering::SeqCst);
    }

    /// From the moment in which another process may write what this one has copies of.
    async fn share(&self, stream: UnixStream) -> io::Result<()> {
        let shared = self.share_until_taken_over(stream).await;
        if shared.is_err() {
            self.cache.end_sharing();
            if let Some(engine) = &self.engine {
                engine.end_sharing();
            }
        }
        shared
    }

    /// Closes what it has of the sockets, or they would be open, and nobody accept, when this process stops to listen.
    pub(super) fn listen_no_more(&self) {
        *self.listening.lock() = Listening::default();
    }

    fn pass(&self, stream: &UnixStream, claim: Option<&File>) -> io::Result<()> {
        let listening = self.listening.lock();
        let (mut names, mut files): (Vec<_>, Vec<_>) =
            listening.iter().map(|(name, socket)| (name.to_owned(), socket)).unzip();
        if let Some(claim) = claim {
            names.push(CLAIM.to_owned());
            files.push(claim.as_fd());
        }
        say(stream, &Line::Handed { files: names }, &files)
    }

    async fn share_until_taken_over(&self, stream: UnixStream) -> io::Result<()> {
        tracing::info!("another process asks to take over");
        self.cache.begin_sharing();
        let claim = self.engine.as_ref().map(HandOver::share).transpose()?;
        if timeout(FLUSH_TIMEOUT, self.cache.flush()).await.is_err() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "storage takes too long"));
        }
        self.pass(&stream, claim.as_ref())?;
        let stream = tokio::task::spawn_blocking(move || match hear(&stream)? {
            (Line::Ready, _) => Ok(stream),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        });
        let stream = stream.await.map_err(io::Error::other)??;
        self.stops.iter().for_each(Stop::now);
        say(&stream, &Line::Yours, &[])?;
        tracing::info!("the next process has taken over; requests under way may end");
        // It tells the other one that this process has gone, so nothing but its end may close it.
        let _ = stream.into_raw_fd();
        Ok(())
    }
}

/// The process whose place this one takes.
#[derive(Debug)]
pub(super) struct Predecessor {
    stream: UnixStream,
    /// Its claim on the data folder.
    claim: Option<File>,
}

impl Predecessor {
    /// Asks the process that runs with this data folder, if there is one, for what it has; its sockets are put into
    /// `sockets`. Waits for it.
    pub(super) fn ask(data_dir: &Path, sockets: &mut Sockets) -> miette::Result<Option<Self>> {
        let Ok(stream) = UnixStream::connect(socket(data_dir)) else {
            tracing::info!("nobody runs with this data folder: there is nothing to take over");
            return Ok(None);
        };
        let (line, files) = request(&stream).map_err(|error| {
            miette!(
                help = "its log may say why; it goes on",
                "the running Cloakroom did not hand over: {error}"
            )
        })?;
        let names = match serde_json::from_slice(&line) {
            Ok(Line::Handed { files }) => files,
            _ => match serde_json::from_slice(&line) {
                Ok(Answer::Refused { text }) => {
                    return Err(miette!("the running Cloakroom does not hand over, and goes on: {text}"));
                }
                _ => {
                    return Err(miette!(
                        "the running Cloakroom answered something else: it may be too old for this"
                    ));
                }
            },
        };
        let mut claim = None;
        for (name, file) in names.iter().zip(files) {
            match name.as_str() {
                CLAIM => claim = Some(File::from(file)),
                name => sockets.add(name, file),
            }
        }
        Ok(Some(Self { stream, claim }))
    }

    /// Its claim on the data folder, and itself.
    pub(super) fn into_parts(mut self) -> (Option<File>, Self) {
        (self.claim.take(), self)
    }

    /// Says that this process is ready, and waits until the other one accepts no more.
    pub(super) fn relieve(self) -> miette::Result<Leaving> {
        let relieved = say(&self.stream, &Line::Ready, &[]).and_then(|()| hear(&self.stream));
        match relieved {
            Ok((Line::Yours, _)) => Ok(Leaving(self.stream)),
            Ok(_) => Err(miette!("the running Cloakroom did not give way")),
            Err(error) => Err(miette!("the running Cloakroom did not give way: {error}")),
        }
    }
}

/// A process that answers its last requests.
#[derive(Debug)]
pub(super) struct Leaving(UnixStream);

impl Leaving {
    /// Waits until it has gone; from then on this process is the only one.
    pub(super) async fn then_believe(self, cache: Arc<Cache>, engine: Option<HandOver>) {
        if let Err(error) = self.wait().await {
            // It is safe to share for ever, and slow.
            tracing::error!(%error, "it cannot be told when the process before this one has ended");
            return;
        }
        if let Some(engine) = &engine {
            engine.end_sharing();
        }
        cache.end_sharing();
        tracing::info!("the process before this one has ended");
    }

    async fn wait(self) -> io::Result<()> {
        self.0.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(self.0)?;
        let mut nothing = [0; 64];
        // A broken connection is as good as one that is closed: the system breaks it when the process has gone.
        while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
        Ok(())
    }
}

fn request(stream: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    send(stream, &serde_json::to_vec(&Request::TakeOver)?, &[])?;
    receive(stream)
}

fn say(stream: &UnixStream, line: &Line, files: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<()> {
    send(stream, &serde_json::to_vec(line)?, files)
}

fn hear(stream: &UnixStream) -> io::Result<(Line, Vec<OwnedFd>)> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let (line, files) = receive(stream)?;
    Ok((serde_json::from_slice(&line)?, files))
}

fn refuse(stream: &UnixStream, text: &str) {
    tracing::warn!("another process may not take over: {text}");
    let answer = serde_json::to_vec(&Answer::Refused { text: text.to_owned() }).unwrap_or_default();
    if let Err(error) = send(stream, &answer, &[]) {
        tracing::debug!(%error, "it could not be told so");
    }
}

//! What fails between us and Redis, what became of the change, and what is to be done about it.
//!
//! | what | fate | what it means here |
//! |---|---|---|
//! | no connection | not applied | the next attempt is under way already; see link.rs |
//! | a connection that broke, no answer in time | unknown | as above, and the write id says what became of it |
//! | `MOVED`, `ASK` | not applied | asked again where it lies now |
//! | `TRYAGAIN`, `CLUSTERDOWN`, `MASTERDOWN`, `LOADING`, `BUSY` | not applied | asked again a few times, then told |
//! | `READONLY` | not applied | the primary is looked for again, a few times, then told |
//! | `OOM`, `MISCONF`, `NOREPLICAS` | not applied | told |
//! | `NOAUTH`, `WRONGPASS`, `NOPERM` | not applied | told; nobody but an operator can help |
//! | too few replicas confirm an end | unknown | told; see lane.rs |
//!
//! A script that was refused wrote nothing: Redis checks what it checks before the first write of a script.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind, RedisError};
use storage::{Applied, Blame, Unavailable};

use super::url::Address;

/// A failure, of which several may hear.
#[derive(Debug, Clone, thiserror::Error)]
#[error("redis {server}: {what}{}", cure.map(|cure| format!("; {cure}")).unwrap_or_default())]
pub(super) struct Fault {
    /// Which server it was about.
    pub(super) server: Arc<str>,
    pub(super) kind: Kind,
    what: Arc<str>,
    cure: Option<&'static str>,
}

/// What kind of failure it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no connection; nothing was sent.
    Unreachable(Blame),
    /// The connection broke while we waited.
    Lost,
    /// No answer came in time.
    Silent,
    /// It lies elsewhere.
    Moved(String),
    /// It is on its way elsewhere, and may be there.
    Ask(String),
    /// It will pass: the server is loading, or a Cluster is between two states.
    Passing,
    /// It is no primary, or no longer.
    ReadOnly,
    /// The script is not known.
    NoScript,
    /// The server cannot do it now.
    Unable,
    /// Somebody must change something before it can be done.
    Lasting,
    /// It was done, but by how many is not known.
    TooFew,
    /// The answer makes no sense.
    Nonsense,
}

impl Fault {
    pub(super) fn new(server: &impl ToString, kind: Kind, what: impl Into<Arc<str>>) -> Self {
        Self { server: server.to_string().into(), kind, what: what.into(), cure: None }
    }

    pub(super) fn with_cure(self, cure: &'static str) -> Self {
        Self { cure: Some(cure), ..self }
    }

    /// The same, as we see it.
    pub(super) fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// Nothing was answered in time.
    pub(super) fn silent(server: &Address, after: Duration) -> Self {
        Self::new(server, Kind::Silent, format!("no answer within {} ms", after.as_millis()))
    }

    /// There was no connection in time.
    pub(super) fn unconnected(server: &Address, after: Duration) -> Self {
        let what = format!("no connection within {} ms", after.as_millis());
        Self::new(server, Kind::Unreachable(Blame::Network), what)
            .with_cure("see whether it runs and whether the network lets us through")
    }

    /// What Redis answered is not what was asked for.
    pub(super) fn nonsense(server: &impl ToString, what: &str) -> Self {
        Self::new(server, Kind::Nonsense, what)
            .with_cure("somebody else writes under our prefix, or this is an error in Cloakroom")
    }

    /// While a connection was made: nothing was asked yet.
    pub(super) fn of_connecting(server: &Address, error: &RedisError) -> Self {
        let fault = Self::of(server, error);
        match fault.kind {
            Kind::Lost | Kind::Silent | Kind::Nonsense => {
                let blame = if error.is_timeout() { Blame::Network } else { Blame::Storage };
                let cure = match error.kind() {
                    ErrorKind::Parse => {
                        "it answers, but not as Redis does: see that host and port are those of Redis"
                    }
                    _ => "see whether it runs, and that host and port are right",
                };
                Self { kind: Kind::Unreachable(blame), cure: Some(cure), ..fault }
            }
            _ => fault,
        }
    }

    /// While an answer was waited for.
    pub(super) fn of(server: &Address, error: &RedisError) -> Self {
        let (kind, cure) = kind(error);
        // What the library says may begin with its own name for the kind; nothing of what we sent is in it.
        Self { cure, ..Self::new(server, kind, error.to_string()) }
    }

    pub(super) const fn applied(&self) -> Applied {
        match self.kind {
            Kind::Lost | Kind::Silent | Kind::TooFew | Kind::Nonsense => Applied::Unknown,
            _ => Applied::No,
        }
    }

    /// Whether a new connection is needed before anything else can be asked.
    pub(super) const fn is_of_connection(&self) -> bool {
        matches!(self.kind, Kind::Lost | Kind::Silent)
    }

    /// As the answer to an operation.
    pub(super) fn unavailable(self, storage: &Arc<str>) -> Unavailable {
        let blame = match self.kind {
            Kind::Unreachable(blame) => blame,
            Kind::Lost | Kind::Silent => Blame::Network,
            _ => Blame::Storage,
        };
        let retry_after = match self.kind {
            Kind::Lasting | Kind::Nonsense => None,
            _ => Some(Duration::from_secs(1)),
        };
        Unavailable {
            storage: Arc::clone(storage),
            applied: self.applied(),
            blame,
            retry_after,
            cause: Box::new(self),
        }
    }

    /// In the words of whoever opens a storage service.
    pub(super) fn problem(&self) -> crate::Problem {
        crate::Problem::Database {
            place: format!("redis {}", self.server),
            problem: self.what.to_string(),
            cure: self.cure.unwrap_or("see the log of that server").to_owned(),
        }
    }
}

fn kind(error: &RedisError) -> (Kind, Option<&'static str>) {
    let to = || error.redirect_node().map(|(to, _)| to.to_owned()).unwrap_or_default();
    // Within a script, Redis 6.2 puts its own words before the code.
    let text = error.detail().unwrap_or_default();
    let says = |code: &str| error.code() == Some(code) || text.contains(&format!("-{code} "));
    if says("MOVED") {
        return (Kind::Moved(to()), None);
    }
    if says("ASK") {
        return (Kind::Ask(to()), None);
    }
    if says("NOSCRIPT") {
        return (Kind::NoScript, None);
    }
    if says("READONLY") {
        return (Kind::ReadOnly, Some("it is a replica: name the primary, or let Sentinels find it"));
    }
    if ["TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "LOADING", "BUSY"].into_iter().any(says) {
        return (Kind::Passing, Some("it will pass; if it does not, see the log of that server"));
    }
    if says("OOM") {
        return (Kind::Unable, Some("its memory is full: raise `maxmemory`, or give it less to keep"));
    }
    if says("MISCONF") {
        return (Kind::Unable, Some("it cannot write to its disk, and refuses to go on without"));
    }
    if says("NOREPLICAS") {
        return (Kind::Unable, Some("too few of its replicas are in reach (`min-replicas-to-write`)"));
    }
    if says("WRONGPASS") || says("NOAUTH") || error.kind() == ErrorKind::AuthenticationFailed {
        let cure = "see `password_file`, and the user and password in `url`";
        return (Kind::Lasting, Some(cure));
    }
    if says("NOPERM") {
        let cure = "let the user have what the book says (`ACL SETUSER`)";
        return (Kind::Lasting, Some(cure));
    }
    if error.to_string().contains("switch database") {
        let cure = "a database is a number from 0 to 15, or up to what `databases` says there";
        return (Kind::Lasting, Some(cure));
    }
    if error.is_timeout() {
        return (Kind::Silent, None);
    }
    if error.is_io_error() {
        let is_certificate = error.to_string().to_ascii_lowercase().contains("certificate");
        if is_certificate {
            return (Kind::Lasting, Some("see `ca_file`, and that the certificate is for the host in `url`"));
        }
        let is_there = error.is_connection_refusal() || missing(error);
        let cure = is_there.then_some("see whether it runs, and that host and port are right");
        return (Kind::Lost, cure);
    }
    match error.kind() {
        ErrorKind::Parse => (Kind::Lost, None),
        ErrorKind::UnexpectedReturnType => (Kind::Nonsense, None),
        ErrorKind::Server(_) | ErrorKind::Extension => (Kind::Unable, None),
        _ => (Kind::Lasting, None),
    }
}

fn missing(error: &RedisError) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<io::Error>());
    source.is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

//! What a failure means, and what can be done about it.
//!
//! Three things are told apart. The server said that two transactions got into each other's way: nothing was done, and
//! another try may succeed at once. The server said no: nothing was done, and somebody must do something. The connection
//! is gone: what became of the last statement nobody knows.

use std::error::Error as _;
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use storage::{Applied, Blame, Unavailable};

use super::Backend;
use crate::Problem;

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sql) enum Nature {
    /// Another try may succeed.
    Again,
    /// The connection is of no use any more, and what became of the last statement is not known.
    Lost,
    /// The server only reads: another one has taken its place, to which a new connection may lead. Nothing was done.
    Moved,
    /// The server does not do it, and did nothing.
    Refused {
        /// What to do about it.
        cure: &'static str,
        /// Nothing changes until somebody does that.
        lasts: bool,
    },
}

/// A failure of a database server.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{place}: {text}")]
pub(in crate::sql) struct Fault {
    place: Arc<str>,
    text: Arc<str>,
    nature: Nature,
    blame: Blame,
}

impl Fault {
    pub(in crate::sql) fn new(backend: &impl Backend, error: sqlx::Error) -> Self {
        let nature = error.as_database_error().map_or(Nature::Lost, |said| backend.nature(said));
        Self {
            place: backend.place().into(),
            text: text(&error, nature).into(),
            nature,
            blame: blame(&error),
        }
    }

    /// The opening of a connection took too long.
    pub(super) fn slow(backend: &impl Backend, after: Duration) -> Self {
        let text = format!("no connection within {} ms (`connect_timeout`)", after.as_millis());
        let (nature, blame) = (Nature::Lost, Blame::Network);
        Self { place: backend.place().into(), text: text.into(), nature, blame }
    }

    pub(super) const fn nature(&self) -> Nature {
        self.nature
    }

    /// As the answer to an operation.
    pub(super) fn unavailable(&self, storage: &Arc<str>, applied: Applied) -> Unavailable {
        let lasts = matches!(self.nature, Nature::Refused { lasts: true, .. });
        Unavailable {
            storage: Arc::clone(storage),
            applied,
            blame: self.blame,
            retry_after: (!lasts).then_some(Duration::from_secs(1)),
            cause: Box::new(self.clone()),
        }
    }
}

/// What happened, then what to do. What an error of a key that is there already would tell is that key, so nothing of
/// that kind is shown.
fn text(error: &sqlx::Error, nature: Nature) -> String {
    match nature {
        Nature::Again => "transactions keep getting into each other's way".to_owned(),
        Nature::Moved => "the server only reads; see that the URL leads to the one that writes".to_owned(),
        Nature::Refused { cure, .. } => {
            let said = error.as_database_error().map_or("", |said| said.message());
            format!("{said}; {cure}")
        }
        Nature::Lost => match error {
            sqlx::Error::Io(cause) => match cause.kind() {
                ErrorKind::ConnectionRefused => {
                    "nobody listens there; see that the database server runs".to_owned()
                }
                ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
                ErrorKind::TimedOut => "the server does not answer".to_owned(),
                _ => cause.to_string(),
            },
            sqlx::Error::Database(said) => said.message().to_owned(),
            other => match other.source() {
                Some(source) => format!("{other} ({source})"),
                None => other.to_string(),
            },
        },
    }
}

/// A server that is down is told apart from a network that is.
fn blame(error: &sqlx::Error) -> Blame {
    match error {
        sqlx::Error::Io(cause) if is_of_network(cause) => Blame::Network,
        _ => Blame::Storage,
    }
}

fn is_of_network(cause: &io::Error) -> bool {
    matches!(
        cause.kind(),
        ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::AddrNotAvailable
    )
}

impl Problem {
    /// The server could not be asked at all.
    pub(in crate::sql) fn unreachable(place: &str, error: &sqlx::Error) -> Self {
        let untrusted = |cause: &dyn fmt::Display| {
            let cure = "name the authority of the server's certificate as `ca_file`, and the server in `url` as its certificate \
                        does; what `sslmode` may say is in the chapter on SQL databases";
            Self::database(place, format!("no encrypted connection: {cause}"), cure)
        };
        match error {
            sqlx::Error::Tls(cause) => untrusted(cause),
            // How the library for TLS calls a certificate that it does not believe.
            sqlx::Error::Io(cause) if cause.kind() == ErrorKind::InvalidData => untrusted(cause),
            sqlx::Error::Io(cause) => {
                let cure = "see that the server runs, and that host and port in `url` are its own";
                Self::database(place, cause.to_string(), cure)
            }
            other => Self::database(place, other.to_string(), "mend the configuration, or the server"),
        }
    }
}

//! Why an application did not answer, and who is to blame.

use std::io::ErrorKind;
use std::time::Duration;

use connector::{causes, is_refused_stream};

use crate::body::InboundError;

/// Why an application did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It cannot be reached.
    #[error("the application cannot be reached: {0}")]
    Unreachable(#[from] ConnectError),
    /// It took too long to begin its answer.
    #[error("the application did not begin its answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// It broke off, or what it said is no HTTP.
    #[error("the application broke off or answered something that is no HTTP: {}", Chain(.0))]
    Nonsense(hyper::Error),
    /// The client did not send the request whole.
    #[error(transparent)]
    Request(InboundError),
}

/// Why there is no connection to a server. Nothing of a request has reached it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Socket(#[from] connector::ConnectError),
    #[error("{server} did not begin to speak HTTP/2 within {} ms", .after.as_millis())]
    TooSlow { server: Box<str>, after: Duration },
    #[error("{server} does not speak HTTP as it should: {}", Chain(.error))]
    Handshake { server: Box<str>, error: hyper::Error },
    #[error("there is no server left to ask")]
    Nobody,
}

impl UpstreamError {
    /// The name of the reason in metrics and traces.
    pub(crate) const fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TooSlow(_) => "too_slow",
            Self::Nonsense(_) => "broken_answer",
            Self::Request(InboundError::TooSlow) => "slow_client",
            Self::Request(InboundError::TooLarge(_)) => "body_too_large",
            Self::Request(InboundError::Broken(_)) => "broken_request",
        }
    }

    /// What a failed request means, which may be the client's fault.
    pub(crate) fn of(error: hyper::Error, response_timeout: Duration) -> Self {
        let inbound = causes(&error).find_map(|cause| cause.downcast_ref::<InboundError>()).cloned();
        match inbound {
            Some(inbound) => Self::Request(inbound),
            None if is_timed_out(&error) => Self::TooSlow(response_timeout),
            None => Self::Nonsense(error),
        }
    }

    /// Whether the server is to blame.
    pub(crate) const fn is_the_servers(&self) -> bool {
        !matches!(self, Self::Request(_))
    }
}

/// Whether the connection broke, rather than that somebody said something wrong on it.
pub(crate) fn is_broken_connection(error: &hyper::Error) -> bool {
    error.is_incomplete_message()
        || error.is_canceled()
        || error.is_closed()
        || is_refused_stream(error)
        || causes(error).any(|cause| {
            let broke = cause.downcast_ref::<std::io::Error>().is_some_and(|error| {
                use ErrorKind::{
                    BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof,
                };
                matches!(
                    error.kind(),
                    BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
                )
            });
            broke || cause.downcast_ref::<h2::Error>().is_some_and(|error| error.is_io())
        })
}

/// Whether the application did not take the request.
fn is_timed_out(error: &hyper::Error) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::TimedOut)
    })
}

/// An error with what it comes from, which the library does not say by itself.
struct Chain<'a>(&'a hyper::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut causes = causes(self.0);
        causes.next().map_or(Ok(()), |error| write!(formatter, "{error}"))?;
        causes.try_for_each(|cause| write!(formatter, ": {cause}"))
    }
}

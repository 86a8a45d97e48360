//! Requests over TLS, by h2load, which speaks both versions of HTTP in the same way.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::NamedTempFile;

use super::{Seen, clients};
use crate::error::{Error, Result};

/// What is spoken over TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, with several requests at a time on each connection.
    Http2,
}

/// How many requests are under way at a time on one connection of HTTP/2.
pub(crate) const STREAMS: u32 = 8;

impl Protocol {
    /// What the two sides call it when they agree on it.
    const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "h2",
        }
    }

    pub(super) fn send(self, to: SocketAddr, path: &str, connections: u32, length: Duration) -> Result<Seen> {
        let failed = |error: std::io::Error| Error::Load(format!("h2load: {error}"));
        let log = NamedTempFile::new().map_err(failed)?;
        let mut h2load = Command::new(interop::find("h2load", "nghttp2-client")?);
        h2load.arg("--threads=1").arg(format!("--clients={connections}"));
        h2load.arg(format!("--duration={}", length.as_secs())).arg("--log-file").arg(log.path());
        h2load.arg(format!("--npn-list={}", self.name()));
        if self == Self::Http2 {
            h2load.arg(format!("--max-concurrent-streams={STREAMS}"));
        }
        h2load.arg(format!("https://localhost:{}{path}", to.port())).arg(format!("--connect-to={to}"));
        let output = h2load.stdin(Stdio::null()).output().map_err(failed)?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let spoken = format!("Application protocol: {}", self.name());
        if !output.status.success() || !printed.contains(&spoken) {
            let errors = String::from_utf8_lossy(&output.stderr);
            return Err(Error::Load(format!("h2load: it ended with {}:\n{printed}{errors}", output.status)));
        }
        let log = std::fs::read_to_string(log.path()).map_err(failed)?;
        let took = log.lines().map(|line| answered(line).ok_or(line)).collect::<std::result::Result<_, _>>();
        let took = took.map_err(|line| Error::Load(format!("h2load: a request was not answered: {line}")))?;
        clients::seen(took, length).ok_or_else(|| Error::Load("h2load: nothing was answered".to_owned()))
    }
}

/// How long a request took, from its line in the log: when it began, the status, microseconds until its end. `None`
/// where it was not answered well.
fn answered(line: &str) -> Option<Duration> {
    let mut fields = line.split('\t');
    let (_began, status, took) = (fields.next()?, fields.next()?, fields.next()?);
    (status == "200").then(|| took.parse().ok().map(Duration::from_micros)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_good_answers_count() {
        assert_eq!(answered("1700000000000001\t200\t250"), Some(Duration::from_micros(250)));
        assert_eq!(answered("1700000000000001\t503\t250"), None);
        assert_eq!(answered("1700000000000001\t-1\t250"), None);
        assert_eq!(answered("cut off"), None);
    }
}

//! Requests in the clear, by wrk.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tempfile::NamedTempFile;

use super::Seen;
use crate::error::{Error, Result};

const SCRIPT: &str = include_str!("wrk.lua");

/// What is asked for, again and again.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    /// The path.
    pub(crate) path: &'static str,
    /// Cookies as `name=value`: requests take them in turn. With none there is no such header.
    pub(crate) cookies: Vec<String>,
}

/// What wrk and the script print.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Printed {
    requests: u64,
    microseconds: u64,
    p50: u64,
    p99: u64,
    /// Answers that were neither 2xx nor 3xx.
    refused: u64,
    /// Connections that failed, and requests without an answer.
    broken: u64,
}

impl Requests {
    /// The path without any cookie.
    pub(crate) fn to(path: &'static str) -> Self {
        Self { path, cookies: Vec::new() }
    }

    /// The path with these cookies in turn.
    pub(crate) fn with(path: &'static str, cookies: Vec<String>) -> Self {
        Self { path, cookies }
    }

    /// Sends them for that long over that many connections, from one thread.
    pub(super) fn send(&self, to: SocketAddr, connections: u32, length: Duration) -> Result<Seen> {
        let failed = |error: std::io::Error| Error::Load(error.to_string());
        let script = NamedTempFile::with_suffix(".lua").map_err(failed)?;
        std::fs::write(script.path(), SCRIPT).map_err(failed)?;
        let mut wrk = Command::new(interop::find("wrk", "wrk")?);
        wrk.arg("--threads=1").arg(format!("--connections={connections}"));
        wrk.arg(format!("--duration={}s", length.as_secs())).arg("--script").arg(script.path());
        wrk.args(["--header", "Accept: */*", "--header", "User-Agent: wrk"]);
        // One cookie that never changes is no reason to choose a request each time.
        let in_turn = match self.cookies.as_slice() {
            [only] => {
                wrk.arg("--header").arg(format!("Cookie: {only}"));
                &[]
            }
            several => several,
        };
        wrk.arg(format!("http://{to}{}", self.path)).arg("--").args(in_turn);
        let output = wrk.stdin(Stdio::null()).output().map_err(failed)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let printed = Printed::read(&text).ok_or_else(|| {
            let errors = String::from_utf8_lossy(&output.stderr);
            Error::Load(format!("wrk: it ended with {} and measured nothing:\n{text}{errors}", output.status))
        })?;
        printed.good()
    }
}

impl Printed {
    fn read(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("measured "))?;
        serde_json::from_str(line).ok()
    }

    fn good(self) -> Result<Seen> {
        let Self { requests, microseconds, p50, p99, .. } = self;
        match self {
            Self { requests: 0, .. } => Err(Error::Load("wrk: nothing was answered".to_owned())),
            Self { refused: 0, broken: 0, .. } => Ok(Seen { requests, microseconds, p50, p99 }),
            Self { requests, refused, broken, .. } => Err(Error::Load(format!(
                "wrk: of {requests} requests {refused} were answered with an error, and {broken} broke"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use interop::{Answer, Capture, available};

    /// As one would write it by hand, so that a machine without wrk does not fail.
    fn sent(requests: &Requests, to: &Capture) -> Option<Seen> {
        available(interop::find("wrk", "wrk")).unwrap()?;
        Some(requests.send(to.address(), 2, Duration::from_secs(1)).unwrap())
    }

    #[test]
    fn cookies_are_taken_in_turn() {
        let upstream = Capture::start().unwrap();
        let cookies = ["session=a", "session=b", "session=c"].map(str::to_owned).to_vec();
        let Some(seen) = sent(&Requests::with("/there", cookies), &upstream) else { return };
        let requests = upstream.take();
        assert!(seen.requests >= 6 && seen.p99 >= seen.p50, "{seen:?}");
        for cookie in ["session=a", "session=b", "session=c"] {
            let with = requests.iter().filter(|request| request.header("cookie").as_deref() == Some(cookie));
            assert!(with.count() * 4 >= requests.len(), "a third each");
        }
        let first = requests.first().unwrap();
        assert_eq!(first.line(), "GET /there HTTP/1.1");
        assert_eq!(first.header("user-agent").as_deref(), Some("wrk"));
    }

    #[test]
    fn one_cookie_or_none_is_sent_with_each_request() {
        let upstream = Capture::start().unwrap();
        let Some(_) = sent(&Requests::with("/", vec!["session=a".to_owned()]), &upstream) else { return };
        assert!(
            upstream.take().iter().all(|request| request.header("cookie").as_deref() == Some("session=a"))
        );
        sent(&Requests::to("/"), &upstream).unwrap();
        assert!(upstream.take().iter().all(|request| request.header("cookie").is_none()));
    }

    #[test]
    fn a_server_that_answers_with_errors_is_not_measured() {
        let answer = || Answer::Bytes(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_vec());
        let upstream = Capture::answering(move |_| answer()).unwrap();
        let Some(_) = available(interop::find("wrk", "wrk")).unwrap() else { return };
        let refused = Requests::to("/").send(upstream.address(), 1, Duration::from_secs(1)).unwrap_err();
        assert!(refused.to_string().contains("were answered with an error, and 0 broke"), "{refused}");
    }
}

//! HAProxy, as a plain proxy.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;

use crate::error::Result;
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

/// A running HAProxy.
#[derive(Debug)]
pub struct Haproxy {
    process: Process,
    port: Port,
    _directory: TempDir,
}

impl Haproxy {
    /// Starts HAProxy in the foreground with that configuration, in which `{address}` stands for where to bind
    /// and `{directory}` for a directory of its own.
    pub fn start(configuration: &str) -> Result<Self> {
        let program = find("haproxy", "haproxy")?;
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path();
        let text = scratch::fill(configuration, port.address(), place);
        let file = scratch::write(place, "haproxy.cfg", &text)?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(file);
        let mut process = Process::spawn(command, place.join("log"))?;
        process.wait_for(port.address())?;
        Ok(Self { process, port, _directory: directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The process and its helpers.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capture, available, raw};

    #[test]
    fn haproxy_passes_a_request_on() {
        let upstream = Capture::start().unwrap();
        let configuration = format!(
            "defaults\n mode http\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
             listen front\n bind {{address}}\n server up {}\n",
            upstream.address()
        );
        let Some(haproxy) = available(Haproxy::start(&configuration)).unwrap() else {
            return;
        };
        let response = raw::get(haproxy.address(), "/there", "").unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(upstream.take()[0].line(), "GET /there HTTP/1.1");
    }
}

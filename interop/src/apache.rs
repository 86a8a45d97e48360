//! Apache httpd, whose session modules Cloakroom takes over from.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::error::Result;
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

/// Where Debian keeps the modules.
const MODULES: &str = "/usr/lib/apache2/modules";
/// Modules without which nothing useful starts.
const ALWAYS: [&str; 3] = ["mpm_event", "authz_core", "unixd"];

/// A running Apache.
#[derive(Debug)]
pub struct Apache {
    process: Process,
    port: Port,
    directory: TempDir,
}

impl Apache {
    /// Starts Apache with these modules beside the few that are always needed (`"session"` loads
    /// `mod_session.so`; one that is built in is passed over), and `configuration`, in which `{address}` stands
    /// for where to listen and `{directory}` for a directory of its own that its workers may write to.
    pub fn start(modules: &[&str], configuration: &str) -> Result<Self> {
        let program = find("apache2", "apache2")?;
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path();
        let loads: String = ALWAYS
            .iter()
            .chain(modules)
            .map(|name| (name, format!("{MODULES}/mod_{name}.so")))
            .filter(|(_, file)| Path::new(file).is_file())
            .map(|(name, file)| format!("LoadModule {name}_module {file}\n"))
            .collect();
        let text = format!(
            "ServerRoot {{directory}}\n\
             DefaultRuntimeDir {{directory}}\n\
             PidFile {{directory}}/apache.pid\n\
             ServerName 127.0.0.1\n\
             Listen {{address}}\n\
             ErrorLog /dev/stderr\n\
             {user}{loads}{configuration}\n",
            user = if rustix::process::geteuid().is_root() { "User www-data\nGroup www-data\n" } else { "" },
        );
        let text = scratch::fill(&text, port.address(), place);
        let file = scratch::write(place, "apache.conf", &text)?;
        let mut command = Command::new(program);
        command.args(["-D", "FOREGROUND", "-f"]).arg(file);
        let mut process = Process::spawn(command, place.join("log"))?;
        process.wait_for(port.address())?;
        Ok(Self { process, port, directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The directory that the configuration knows as `{directory}`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process and its children.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Answer, Capture, available, raw};

    #[test]
    fn apache_keeps_a_session_in_a_plain_cookie() {
        let upstream =
            Capture::answering(|_| Answer::with("X-Replace-Session: basket=apples\r\n", "kept")).unwrap();
        let modules = ["headers", "proxy", "proxy_http", "session", "session_cookie"];
        let configuration = format!(
            "Session On\nSessionCookieName session path=/\nSessionHeader X-Replace-Session\n\
             ProxyPass / {}/\n",
            upstream.url()
        );
        let Some(apache) = available(Apache::start(&modules, &configuration)).unwrap() else {
            return;
        };
        let response = raw::get(apache.address(), "/", "").unwrap();
        assert_eq!(response.cookie("session"), Some("session=basket=apples"));
    }
}

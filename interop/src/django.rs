//! Django with its own administration: an application that nobody here wrote, with forms.
//!
//! It believes a header about who is there, through the middleware and the backend that Django brings for that
//! purpose, so whoever stands before it must never let that header through from outside. Its own sessions and
//! data are in SQLite.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

/// The whole project.
const FILES: [(&str, &str); 4] = [
    ("settings.py", include_str!("django/settings.py")),
    ("urls.py", include_str!("django/urls.py")),
    ("remote.py", include_str!("django/remote.py")),
    ("manage.py", include_str!("django/manage.py")),
];

/// A running Django.
#[derive(Debug)]
pub struct Django {
    process: Process,
    port: Port,
    _directory: TempDir,
}

impl Django {
    /// The request header from which Django takes who is there.
    pub const USER_HEADER: &'static str = "X-Remote-User";

    /// Writes a project, fills its database with one administrator of that name, who has no password and so
    /// comes in through [`Self::USER_HEADER`] alone, and starts it.
    pub fn start(administrator: &str) -> Result<Self> {
        let python = find("python3", "python3")?;
        // Debian's own interpreter: another one in the search path does not see Debian's Django.
        let python = match Path::new("/usr/bin/python3") {
            debian if debian.is_file() => debian.to_path_buf(),
            _ => python,
        };
        let has_django = Command::new(&python)
            .args(["-c", "import django"])
            .output()
            .map_err(Error::system("starting python3"))?;
        if !has_django.status.success() {
            return Err(Error::Missing { program: "Django", package: "python3-django" });
        }
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path();
        for (name, text) in FILES {
            scratch::write(place, name, text)?;
        }
        let manage = |arguments: &[&str]| {
            let mut command = Command::new(&python);
            command.arg("manage.py").args(arguments).current_dir(place);
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            command
        };
        for arguments in [&["migrate", "--verbosity", "0"][..], &["administrator", administrator][..]] {
            let done = manage(arguments).output().map_err(Error::system("starting Django"))?;
            if !done.status.success() {
                return Err(Error::Start {
                    program: format!("Django ({})", arguments.join(" ")),
                    cause: format!("it ended with {}", done.status),
                    log: String::from_utf8_lossy(&done.stderr).into_owned(),
                });
            }
        }
        let address = port.address().to_string();
        let serve = manage(&["runserver", "--noreload", &address]);
        let mut process = Process::spawn(serve, place.join("log"))?;
        process.wait_for(port.address())?;
        Ok(Self { process, port, _directory: directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{available, raw};

    #[test]
    fn django_believes_the_header_and_nothing_else() {
        let Some(django) = available(Django::start("ada")).unwrap() else {
            return;
        };
        let ada = format!("{}: ada\r\n", Django::USER_HEADER);
        let known = raw::get(django.address(), "/admin/", &ada).unwrap();
        assert_eq!(known.status, 200, "{}", known.text());
        assert!(known.text().contains("Site administration"));
        let unknown = raw::get(django.address(), "/admin/", "").unwrap();
        assert_eq!(unknown.status, 302);
    }
}

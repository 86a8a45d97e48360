//! The programs that the tests start, and the Debian packages that bring them.
//!
//! Installing a server on Debian also starts it, on the machine's own ports and directories. The tests start
//! their own and want none of that, so for the time of the installation a policy forbids it.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::steps::{Failed, program};

/// What the tests and the benchmarks start, by a file that tells that it is there.
const NEEDED: [(&str, &str); 28] = [
    ("nginx-light", "nginx"),
    ("apache2", "apache2"),
    ("systemd", "systemd-analyze"),
    ("haproxy", "haproxy"),
    ("wrk", "wrk"),
    ("chromium", "chromium"),
    ("chromium-driver", "chromedriver"),
    // What makes an environment has a version in its path.
    ("python3-venv", "/usr/share/doc/python3-venv"),
    ("python3-django", "/usr/lib/python3/dist-packages/django"),
    // The name of its program has a version in it.
    ("php-fpm", "/var/lib/dpkg/info/php-fpm.list"),
    ("puma", "puma"),
    ("nodejs", "node"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("prometheus", "promtool"),
    ("sqlite3", "sqlite3"),
    // Its programs are in a directory of their version.
    ("postgresql", "/usr/share/doc/postgresql"),
    ("mariadb-server", "mariadbd"),
    ("redis-server", "redis-server"),
    ("libaprutil1-dbd-sqlite3", "/usr/lib/x86_64-linux-gnu/apr-util-1/apr_dbd_sqlite3.so"),
    ("libapache2-mod-shib", "/usr/lib/apache2/modules/mod_shib.so"),
    ("shibboleth-sp-utils", "shibd"),
    ("starman", "starman"),
    ("liblemonldap-ng-manager-perl", "/usr/share/perl5/Lemonldap/NG/Manager.pm"),
    ("liblemonldap-ng-portal-perl", "/usr/share/perl5/Lemonldap/NG/Portal/Main.pm"),
    // Without these two it does not start, though it only recommends the first.
    ("libgd-securityimage-perl", "/usr/share/perl5/GD/SecurityImage.pm"),
    ("libimage-magick-perl", "/usr/share/doc/libimage-magick-perl"),
    ("libsoap-lite-perl", "/usr/share/perl5/SOAP/Lite.pm"),
];

/// What the benchmarks start besides.
const NEEDED_TO_MEASURE: [(&str, &str); 2] = [("nghttp2-client", "h2load"), ("valgrind", "valgrind")];

/// Whoever installs a service asks this program first; 101 means no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing, where that is allowed; says what is missing, where it is not.
pub(crate) fn install() -> Result<(), Failed> {
    install_all(missing())
}

/// The same, with what only the benchmarks need.
pub(crate) fn install_to_measure() -> Result<(), Failed> {
    install_all([missing(), not_there(&NEEDED_TO_MEASURE)].concat())
}

fn install_all(missing: Vec<&'static str>) -> Result<(), Failed> {
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !Path::new("/usr/bin/apt-get").is_file() || !is_root() {
        eprintln!(
            "not installed: {names}\n\
             What needs them is skipped. On Debian: apt-get install --no-install-recommends {names}"
        );
        return Ok(());
    }
    let _no_services = NoServices::start()?;
    let apt =
        |arguments: &[&str]| program("apt-get", arguments).with("DEBIAN_FRONTEND", "noninteractive").run();
    apt(&["update", "-q"])?;
    let install = ["install", "-q", "-y", "--no-install-recommends"];
    apt(&[&install[..], &missing].concat())
}

/// The packages whose program is not there.
pub(crate) fn missing() -> Vec<&'static str> {
    not_there(&NEEDED)
}

fn not_there(needed: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    needed.iter().filter(|(_, program)| !is_there(program)).map(|(package, _)| *package).collect()
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // Where Debian keeps servers, which is not in everybody's search path.
        .chain([PathBuf::from("/usr/sbin")])
        .any(|directory| directory.join(program).exists())
}

/// The owner of this very process, as the kernel shows it.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// While it lives, no package starts a service. A policy that the machine already has is left alone.
struct NoServices {
    ours: bool,
}

impl NoServices {
    fn start() -> Result<Self, Failed> {
        let created = fs::File::options().write(true).create_new(true).mode(0o755).open(POLICY);
        match created {
            Ok(mut file) => {
                let policy = Self { ours: true };
                std::io::Write::write_all(&mut file, b"#!/bin/sh\nexit 101\n")
                    .and_then(|()| file.set_permissions(fs::Permissions::from_mode(0o755)))
                    .map_err(|error| Failed::because(format!("writing {POLICY}"), error))?;
                Ok(policy)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { ours: false }),
            Err(error) => Err(Failed::because(format!("creating {POLICY}"), error)),
        }
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(POLICY);
        }
    }
}

//! LemonLDAP::NG: its portal under Starman, with its session servers (REST and SOAP) open, and its Perl classes.
//!
//! Sessions are files, as Debian sets it, each worker of Starman is a process, and all of them share a cache of files. They do not
//! run as root: for root that cache is skipped. Who may log in is its demonstration's: `dwho`, `rtyler`, `msmith`, each with
//! the name as the password.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::port::Port;
use crate::postgres::{run, unprivileged};
use crate::process::{Process, find};
use crate::{raw, scratch};

mod handler;
mod manager;

pub use handler::LemonLdapHandler;
pub use manager::LemonLdapManager;

/// A module of the portal: where Debian has it, its name, its package.
const MODULE: (&str, &str, &str) =
    ("/usr/share/perl5/Lemonldap/NG/Portal/Main.pm", "Lemonldap::NG::Portal", "liblemonldap-ng-portal-perl");
/// The portal loads these whether pictures are asked for or not, and does not depend on them.
const PICTURES: [(&str, &str, &str); 2] = [
    ("/usr/share/perl5/GD/SecurityImage.pm", "GD::SecurityImage", "libgd-securityimage-perl"),
    ("/usr/share/perl5/Image/Magick.pm", "Image::Magick", "libimage-magick-perl"),
];
/// Where Debian has its programs for operators.
const TOOLS: &str = "/usr/share/lemonldap-ng/bin";
/// How many requests are answered at once.
const WORKERS: usize = 6;

/// A running portal.
#[derive(Debug)]
pub struct LemonLdap {
    process: Process,
    port: Port,
    directory: TempDir,
}

impl LemonLdap {
    /// The key that the portal shares with those whom it trusts: `__secret` is made of it.
    pub const KEY: &'static str = "qwertyuiop123456";
    /// Somebody who may log in.
    pub const USER: &'static str = "dwho";
    /// The cookie that holds the id of a session.
    pub const COOKIE: &'static str = "lemonldap";

    /// Starts a portal.
    pub fn start() -> Result<Self> {
        Self::start_with(json!({}))
    }

    /// Starts a portal whose configuration has these members in the place of its own. `{directory}` in a text stands for the
    /// directory of the portal.
    pub fn start_with(settings: Value) -> Result<Self> {
        Self::serve(settings, PORTAL, |address| {
            // It takes connections before it is sure of its configuration; only a portal that is well shows who it is.
            raw::get(address, "/ping", "").is_ok_and(|answer| answer.status == 200)
        })
    }

    /// Starts an application of LemonLDAP::NG, and waits until it is well.
    fn serve(settings: Value, application: &str, is_well: impl Fn(SocketAddr) -> bool) -> Result<Self> {
        let starman = find("starman", "starman")?;
        [MODULE].into_iter().chain(PICTURES).try_for_each(needed)?;
        let directory = scratch::directory()?;
        let place = directory.path();
        for name in ["conf", "sessions", "sessions/lock", "persistent", "persistent/lock", "cache"] {
            folder(&place.join(name))?;
        }
        let port = Port::claim()?;
        let filled = |text: &str| scratch::fill(text, port.address(), place);
        scratch::write(place, "conf/lmConf-1.json", &filled(&configuration(settings)))?;
        scratch::write(place, "lemonldap-ng.ini", &filled(INI))?;
        let application = scratch::write(place, "application.psgi", application)?;
        let mut command = unprivileged(&starman);
        command.env("LLNG_DEFAULTCONFFILE", place.join("lemonldap-ng.ini"));
        let workers = WORKERS.to_string();
        let listen = port.address().to_string();
        command.args(["--listen", &listen, "--workers", &workers, "--preload-app"]).arg(application);
        let mut process = Process::spawn(command, place.join("log"))?;
        process.wait_until(|| is_well(port.address()))?;
        Ok(Self { process, port, directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Starman and its workers.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The directory with all that it has: sessions in `sessions`, its configuration in `conf`, `lemonldap-ng.ini`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Logs somebody in, and gives the id of the session.
    pub fn log_in(&self, user: &str) -> Result<String> {
        let form = format!("user={user}&password={user}");
        let address = self.address();
        let answer = raw::exchange(
            address,
            format!(
                "POST / HTTP/1.1\r\nHost: {address}\r\nAccept: application/json\r\nConnection: close\r\n\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
                form.len()
            ),
        )?;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        said.get("id")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| Error::Nonsense { what: "no login at LemonLDAP::NG", bytes: answer.body.clone() })
    }

    /// What a client that knows the key presents as `__secret`, made by its own class. Good for 15 s.
    pub fn secret(&self) -> Result<String> {
        let script = "use Lemonldap::NG::Common::Crypto; \
                      print Lemonldap::NG::Common::Crypto->new($ARGV[0])->encrypt(time);";
        self.perl(script, &[Self::KEY])
    }

    /// Everything that it printed.
    pub fn log(&self) -> String {
        self.process.whole_log()
    }

    /// Runs one of its programs, of those in `/usr/share/lemonldap-ng/bin`, with its configuration, and gives what that prints.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = unprivileged(&find("perl", "perl")?);
        command.env("LLNG_DEFAULTCONFFILE", self.directory().join("lemonldap-ng.ini"));
        command.arg(Path::new(TOOLS).join(name)).args(arguments);
        run(command)
    }

    /// Runs a script with its classes and its configuration, as its workers run, and gives what that prints.
    pub fn perl(&self, script: &str, arguments: &[&str]) -> Result<String> {
        let mut command = unprivileged(&find("perl", "perl")?);
        command.env("LLNG_DEFAULTCONFFILE", self.directory().join("lemonldap-ng.ini"));
        command.args(["-we", script]).args(arguments);
        run(command)
    }
}

/// A module that must be there.
fn needed((file, program, package): (&str, &'static str, &'static str)) -> Result<()> {
    if Path::new(file).is_file() { Ok(()) } else { Err(Error::Missing { program, package }) }
}

fn folder(path: &Path) -> Result<()> {
    let failed = || Error::system(format!("creating {}", path.display()));
    std::fs::create_dir(path).map_err(failed())?;
    // Whoever runs the workers writes there.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).map_err(failed())
}

fn configuration(settings: Value) -> String {
    let mut all = json!({
        "cfgNum": 1,
        "cfgDate": "1627287638",
        "key": LemonLdap::KEY,
        "domain": "example.com",
        "portal": "http://auth.example.com/",
        "cookieName": LemonLdap::COOKIE,
        "securedCookie": 0,
        "authentication": "Demo",
        "userDB": "Same",
        "passwordDB": "Null",
        "registerDB": "Null",
        "demoExportedVars": {"cn": "cn", "mail": "mail", "uid": "uid"},
        "macros": {"_whatToTrace": "lc($_user)"},
        "whatToTrace": "_whatToTrace",
        // Under whatever name it is asked.
        "locationRules": {"auth.example.com": {"default": "accept"}, "127.0.0.1": {"default": "accept"}},
        // Nobody types into its forms.
        "requireToken": 0,
        "timeout": 72_000,
        "restSessionServer": 1,
        "soapSessionServer": 1,
        "globalStorage": "Apache::Session::File",
        "globalStorageOptions": {
            "Directory": "{directory}/sessions",
            "LockDirectory": "{directory}/sessions/lock",
            "generateModule": "Lemonldap::NG::Common::Apache::Session::Generate::SHA256",
        },
        "persistentStorage": "Apache::Session::File",
        "persistentStorageOptions": {
            "Directory": "{directory}/persistent",
            "LockDirectory": "{directory}/persistent/lock",
        },
        "localSessionStorage": "Cache::FileCache",
        "localSessionStorageOptions": {
            "namespace": "lemonldap-ng-sessions",
            "default_expires_in": 600,
            "directory_umask": "007",
            "cache_root": "{directory}/cache",
            "cache_depth": 3,
        },
    });
    if let (Value::Object(all), Value::Object(settings)) = (&mut all, settings) {
        all.extend(settings);
    }
    all.to_string()
}

const INI: &str = "\
    [all]\n\
    logLevel = warn\n\
    logger = Lemonldap::NG::Common::Logger::Std\n\
    userLogger = Lemonldap::NG::Common::Logger::Std\n\
    [configuration]\n\
    type = File\n\
    dirName = {directory}/conf\n\
    localStorage = Cache::FileCache\n\
    localStorageOptions = { 'namespace' => 'lemonldap-ng-config', 'default_expires_in' => 600, 'directory_umask' => '007', \
    'cache_root' => '{directory}/cache', 'cache_depth' => 0 }\n\
    [portal]\n\
    templateDir = /usr/share/lemonldap-ng/portal/templates\n\
    staticPrefix = /static\n\
    [manager]\n\
    protection = none\n\
    enabledModules = sessions\n\
    templateDir = /usr/share/lemonldap-ng/manager/htdocs/templates\n\
    staticPrefix = /static\n";

/// The application, as its documentation has it.
const PORTAL: &str = "use Lemonldap::NG::Portal::Main;\nLemonldap::NG::Portal::Main->run({});\n";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::available;

    fn my_session(portal: &LemonLdap, id: &str) -> raw::Response {
        let cookie = format!("Cookie: {}={id}\r\nAccept: application/json\r\n", LemonLdap::COOKIE);
        raw::get(portal.address(), "/session/my/global", &cookie).unwrap()
    }

    #[test]
    fn the_portal_knows_whom_it_logged_in_and_its_secret_opens_the_list() {
        let Some(portal) = available(LemonLdap::start()).unwrap() else { return };
        let id = portal.log_in(LemonLdap::USER).unwrap();
        let mine = my_session(&portal, &id);
        assert_eq!(mine.status, 200, "{}", mine.text());
        assert!(mine.text().contains(&id), "{}", mine.text());
        assert_eq!(my_session(&portal, &"0".repeat(64)).status, 401);
        let body = format!(r#"{{"data": "uid", "__secret": "{}"}}"#, portal.secret().unwrap());
        let address = portal.address();
        let all = raw::exchange(
            address,
            format!(
                "POST /sessions/global?all=1 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        )
        .unwrap();
        assert!(all.text().contains(&id), "{}", all.text());
    }
}
